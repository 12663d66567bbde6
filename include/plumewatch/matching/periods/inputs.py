"""What a key's matching is made of, read and checked: detections with their wind, and sources.

What can't be used is told, and the rest is matched.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError, is_of_content, some_of
from plumewatch.failures import Condition, Scene, went_through
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.geodesy import destination
from plumewatch.matching.detections import (
    DETECTIONS,
    detections_of_peaks,
    detections_of_plumes,
    once_each,
    placed,
    with_wind,
)
from plumewatch.matching.paths import find_paths, with_paths
from plumewatch.matching.rule import PeakRule, matching_rule
from plumewatch.matching.sources import single_sources
from plumewatch.models import FailedScene
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.reviews import heeded
from plumewatch.statuses import MATCHING_STAGE
from plumewatch.storage import Partition
from plumewatch.tables import COMBINED, SOURCES
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, WindLookup, winds_at
from plumewatch.wind.files import READ_AROUND, read_wind_files

PLACE = "an id, longitude from -180 to 360, latitude from -90 to 90"
MAX_IDS = 10  # of sources, in a message
SAID = ("longitude", "latitude", "emission_t_y")  # what rows of one source have to agree in
FURTHER = ("emission_t_y_sigma", "kind", "cell_width_deg", "cell_height_deg")
SOURCE_COLUMNS = ("source_id", "inventory", *SAID, *FURTHER)

Floats = NDArray[np.float64]

log = logging.getLogger("match_sources")

READ = {CH4.name: detections_of_plumes, CO2.name: detections_of_peaks}
"""From the accepted rows of a gas's table to DETECTIONS."""
WIND_HEIGHT_M = {CH4.name: SURFACE_WIND_HEIGHT_M, CO2.name: peak_thresholds().flux.plume_height_m}
"""Height above ground of the wind that carries a gas: that of the wind columns of its table."""


@dataclass(frozen=True)
class Period:
    """The detections of one key."""

    key: str
    partitions: list[Partition]
    rows_read: int
    detections: pa.Table
    """DETECTIONS, by id."""
    failures: list[FailedScene]
    went_through: Condition
    """Of failures: that a partition could not be read, which can be now."""
    is_lost: bool
    """Whether none of its partitions could be read."""


def partitions_by_key(gas: Gas, detections_path: str, wanted: str) -> dict[str, list[Partition]]:
    """Return the keys that begin as wanted, each with all its partitions of the table, also those beside the path."""
    at_path = storage.list_partitions(gas.table, detections_path, {"method": gas.method})
    keys = {p.keys[gas.key_column] for p in at_path if p.keys.get(gas.key_column, "").startswith(wanted)}
    root = storage.table_root(gas.table, detections_path)
    found = storage.list_partitions(gas.table, root, {"method": gas.method, gas.key_column: keys}) if keys else []
    return {key: [p for p in found if p.keys[gas.key_column] == key] for key in sorted(keys)}


def read_period(gas: Gas, key: str, partitions: list[Partition], reviews: pa.Table | None = None) -> Period:
    """Return the detections of a key from its partitions, each once, as people have judged them in `reviews`."""
    read, failures = [DETECTIONS.empty_table()], []
    rows_read = n_lost = 0
    stored = []
    for partition in partitions:
        area, name = _name(gas, partition)
        try:
            stored.append((partition, storage.read_table(gas.table, partition.path, gas.table.schema.names)))
        except InputError as error:
            if not is_of_content(error):  # matched without them, the others would have other sources
                raise
            failures.append(FailedScene.from_exception(error, scene_id=name, stage=MATCHING_STAGE, area=area))
            n_lost += 1
    for partition, rows in _judged(gas, stored, reviews):
        area, name = _name(gas, partition)
        rows_read += rows.num_rows
        found, others = placed(READ[gas.name](rows), "detection_id")
        if others:
            misplaced = InputError(partition.path, others, PLACE)
            failures.append(FailedScene.from_exception(misplaced, scene_id=name, stage=MATCHING_STAGE, area=area))
        read.append(found)
    together = pa.concat_tables(read)
    detections = once_each(together)
    if twice := together.num_rows - detections.num_rows:
        log.warning("%s %s: %d rows of detections that are there twice; each is matched once", gas.name, key, twice)
    tables = went_through(MATCHING_STAGE, [_name(gas, partition) for partition in partitions])
    return Period(key, partitions, rows_read, detections, failures, tables, n_lost == len(partitions))


def _judged(
    gas: Gas, tables: list[tuple[Partition, pa.Table]], reviews: pa.Table | None
) -> list[tuple[Partition, pa.Table]]:
    """The rows of each partition as people have judged them: of all together, as one review is of one detection."""
    if reviews is None or not reviews.num_rows or not tables:
        return tables
    rows = heeded(gas, pa.concat_tables([table for _, table in tables]), reviews)
    starts = np.cumsum([0, *(table.num_rows for _, table in tables)])
    return [(partition, rows.slice(start, len(of))) for (partition, of), start in zip(tables, starts, strict=False)]


def _name(gas: Gas, partition: Partition) -> Scene:
    """What failed_scenes calls a partition of detections: its area and its path below the storage root."""
    above = storage.parent(storage.table_root(gas.table, partition.path)) + "/"
    return partition.keys.get("area"), partition.path.removeprefix(above)


def refuse_sources_twice(sources_path: str) -> None:
    """Raise InputError where `combined` lies beside the inventories that it was made of."""
    inventories = {str(p.keys.get("inventory")) for p in storage.list_partitions(SOURCES, sources_path)}
    if COMBINED in inventories and len(inventories) > 1:
        found = f"{COMBINED} beside the inventories that it was made of ({', '.join(sorted(inventories - {COMBINED}))})"
        allowed = f"one of its folders, such as {storage.join(sources_path, f'inventory={COMBINED}')}"
        raise InputError(sources_path, found, allowed)


def read_sources(gas: Gas, sources_path: str) -> tuple[pa.Table | None, list[FailedScene]]:
    """Return the sources of the gas, in one chunk, and the files that cannot be used; None where that is all of them.

    Of an id with different places or emissions no source is used, and each file that has it is named.
    """
    partitions = storage.list_partitions(SOURCES, sources_path)
    if not partitions:
        raise InputError(sources_path, "no sources", "the table sources, or one of its folders inventory=...")
    tables, failures = [], []
    for partition in partitions:
        for file in storage.partition_files(partition):
            try:
                rows, others = _sources_of(gas, file)
            except InputError as error:
                if not is_of_content(error):
                    raise
                failures.append(_failed_file(error, file, sources_path))
                continue
            if others:
                failures.append(_failed_file(InputError(file, others, PLACE), file, sources_path))
            for name, said in (("inventory", partition.keys.get("inventory")), ("file", file)):
                rows = rows.append_column(name, pa.repeat(pa.scalar(said, pa.string()), rows.num_rows))
            tables.append(rows.select([*SOURCE_COLUMNS, "file"]))
    if not tables:
        return None, failures
    together = pa.concat_tables(tables)
    once, contradicting = single_sources(together, SAID)
    spoilt = together.filter(pc.is_in(together["source_id"], contradicting))
    for file in pc.unique(spoilt["file"]).to_pylist():
        ids = pc.unique(spoilt.filter(pc.equal(spoilt["file"], file))["source_id"]).to_pylist()
        found = f"other places or emissions of the same source_id ({some_of(ids, MAX_IDS)}), here or in another file"
        failures.append(
            _failed_file(InputError(file, found, "each source once, or the same again"), file, sources_path)
        )
    return once.select(SOURCE_COLUMNS).combine_chunks(), failures


def _sources_of(gas: Gas, file: str) -> tuple[pa.Table, str | None]:
    """The sources of the gas in a file, and what those have that can't be used."""
    rows = storage.read_parquet(SOURCES, file)
    is_gas = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(rows["gas"])), gas.name)
    return placed(rows.filter(is_gas), "source_id")


def _failed_file(error: InputError, file: str, sources_path: str) -> FailedScene:
    name = file.removeprefix(storage.parent(storage.table_root(SOURCES, sources_path)) + "/")
    return FailedScene.from_exception(error, scene_id=name, stage=MATCHING_STAGE, asset=file)


def with_wind_files(gas: Gas, detections: pa.Table, wind_path: str | None, failures: list[FailedScene]) -> pa.Table:
    """Return DETECTIONS with the wind of the files where they know it, and of peaks the way that their air came.

    The files are read by days, near their detections only.
    """
    height_m, rule = WIND_HEIGHT_M[gas.name], matching_rule(gas.name).position
    observed = detections["observed_at_utc"].to_numpy().astype("datetime64[us]")
    if not wind_path or not detections.num_rows:
        return detections
    lon, lat = detections["longitude"].to_numpy(), detections["latitude"].to_numpy()
    u, v = np.full(len(lon), np.nan), np.full(len(lon), np.nan)
    days = observed.astype("datetime64[D]")
    bad_files: list[FailedScene] = []
    ways = []
    for day in np.unique(days[~np.isnat(days)]):
        of_day = np.flatnonzero(days == day)
        start = datetime.combine(day.item(), time(), UTC)
        points, before = (lon[of_day], lat[of_day]), READ_AROUND
        if isinstance(rule, PeakRule):
            points, before = (
                _around(*points, rule.max_distance_km),
                READ_AROUND + timedelta(hours=rule.max_travel_hours),
            )
        wind = WindLookup.of(
            read_wind_files(
                wind_path,
                start - before,
                start + timedelta(days=1) + READ_AROUND,
                points=points,
                on_failure=bad_files.append,
            )
        )
        found = winds_at(wind, lon[of_day], lat[of_day], observed[of_day], height_m)
        u[of_day], v[of_day] = blowing = found.wind_u_m_s, found.wind_v_m_s
        if isinstance(rule, PeakRule) and wind.products:
            place = lon[of_day], lat[of_day]
            ways.append((of_day, find_paths(wind, *place, observed[of_day], blowing, rule, height_m)))
    failures += {failure.asset or failure.scene_id: failure for failure in bad_files}.values()  # once each
    detections = with_wind(detections, u, v)
    return with_paths(detections, ways) if ways else detections


def _around(lon: Floats, lat: Floats, distance_km: float) -> tuple[Floats, Floats]:
    """The places, and eight around each at a distance."""
    bearings = np.arange(0.0, 360.0, 45.0)
    lons, lats = destination(lon[:, None], lat[:, None], bearings[None], distance_km)
    return np.concatenate([lon, lons.ravel()]), np.concatenate([lat, lats.ravel()])
