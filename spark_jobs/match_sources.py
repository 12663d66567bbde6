"""Detections and sources to `matches`: Sedona joins them by distance, the wind and the inventories share out the blame.

Each date (ch4) or month (co2) is rebuilt whole, from the accepted detections of all its areas, whatever partition the
path points at; `multi_pass` plumes and `scan` peaks are matched, other methods are for comparison. A key that has
partitions but no accepted detection gets an empty partition.

    match_sources.py --detections-path storage/plumes --gas ch4 --sources-path storage/sources/inventory=combined \
        --wind-path storage/wind --matches-path storage/matches --date 2025-08-31
"""

from __future__ import annotations

import argparse
import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plumewatch import jobs, storage
from plumewatch.constants import METRES_PER_KM
from plumewatch.errors import InputError, some_of
from plumewatch.failures import Condition, NothingDone, Scene, went_through
from plumewatch.gases import CH4, CO2, GASES, Gas
from plumewatch.matching.detections import (
    DETECTIONS,
    detections_of_peaks,
    detections_of_plumes,
    once_each,
    placed,
    with_wind,
)
from plumewatch.matching.match import PAIRS, match_detections
from plumewatch.matching.rule import matching_rule
from plumewatch.matching.sources import single_sources
from plumewatch.models import FailedScene
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.progress import followed
from plumewatch.spark_session import get_spark
from plumewatch.statuses import ACCEPTED, MATCHING_STAGE
from plumewatch.storage import Partition
from plumewatch.tables import COMBINED, MATCHES, SOURCES, TIME
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, winds_at
from plumewatch.wind.files import READ_AROUND, read_wind_files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

OBSERVED_AT = pa.field("observed_at_utc", TIME)
PLACE = "an id, longitude from -180 to 360, latitude from -90 to 90"
MAX_IDS = 10  # of sources, in a message
SOURCE_COLUMNS = ("source_id", "inventory", "longitude", "latitude", "emission_t_y")

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
    """DETECTIONS and observed_at_utc."""
    failures: list[FailedScene]
    went_through: Condition
    """Of failures: that a partition could not be read, which can be now."""
    is_lost: bool
    """Whether none of its partitions could be read."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="match_sources.py", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--detections-path", required=True, help="table plumes or peaks, or a partition folder below it"
    )
    parser.add_argument("--gas", required=True, choices=sorted(GASES))
    parser.add_argument(
        "--sources-path", required=True, help="table sources with one inventory, or an inventory's folder"
    )
    parser.add_argument("--wind-path", help="wind files; the wind columns of the detections where absent or empty")
    parser.add_argument("--matches-path", required=True, help="root of the table matches")
    period = parser.add_mutually_exclusive_group()
    period.add_argument("--date", type=jobs.day, help="only this date, YYYY-MM-DD (ch4)")
    period.add_argument("--month", type=jobs.month, help="only this month, YYYY-MM")
    distance = jobs.number(float, lambda km: 0 < km < math.inf, "kilometres above 0")
    parser.add_argument("--max-distance-km", type=distance, help="farthest source (default: 100 for co2, 5 for ch4)")
    jobs.add_run_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.gas == CO2.name and arguments.date:
        parser.error("--date: CO2 is matched by month; allowed: --month YYYY-MM")
    return arguments


def transform(spark: SparkSession, detections: pa.Table, sources: DataFrame, max_distance_km: float) -> DataFrame:
    """Return the PAIRS of detections and sources at most so far apart, over the antimeridian and the poles too."""
    from pyspark.sql.functions import broadcast, expr

    # In one chunk: Spark loses the rows behind an empty leading chunk.
    seen = spark.createDataFrame(detections.select(["detection_id", "longitude", "latitude"]).combine_chunks())
    seen = seen.select("detection_id", expr("ST_Point(longitude, latitude)").alias("seen_at"))
    placed = sources.select(*SOURCE_COLUMNS, expr("ST_Point(longitude, latitude)").alias("source_at"))
    is_near = expr(f"ST_DistanceSphere(source_at, seen_at) <= {max_distance_km * METRES_PER_KM!r}")
    return placed.join(broadcast(seen), is_near).select(*PAIRS.names)


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Match the detections of every key that fits and write its partition of `matches`."""
    gas = GASES[arguments.gas]
    path = arguments.detections_path
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder", f"the table {gas.table.name}, or a partition folder below it")
    _refuse_sources_twice(arguments.sources_path)
    max_distance_km = arguments.max_distance_km or matching_rule(gas.name).position.max_distance_km
    found = followed(_partitions(gas, arguments).items(), "detections read", "days or months")
    periods = [_read_period(gas, *of_key) for of_key in found]
    detections = pa.concat_tables([p.detections for p in periods]) if periods else DETECTIONS.empty_table()
    pairs, n_sources = PAIRS.empty_table(), 0
    bad_sources: list[FailedScene] = []
    if detections.num_rows:
        sources, bad_sources = _read_sources(gas, arguments.sources_path)
        if sources is None:
            keyed = [(period.key, failure) for period in periods for failure in (*period.failures, *bad_sources)]
            jobs.settle(arguments, arguments.matches_path, keyed)
            raise NothingDone(bad_sources)
        pairs, n_sources = _pairs(sources, detections, max_distance_km), sources.num_rows
    written = failed = 0
    for period in followed(periods, "matched", "days or months"):
        failures = [*period.failures, *bad_sources]
        if not period.is_lost:  # else what was matched before stays
            seen = _with_wind_files(period.detections, arguments, failures)
            of_period = pairs.filter(pc.is_in(pairs["detection_id"], seen["detection_id"].combine_chunks()))
            matches = match_detections(seen, of_period, gas.name)
            _write(arguments, gas, period, matches, max_distance_km)
            written += matches.num_rows
        keyed = [(period.key, failure) for failure in failures]
        jobs.settle(arguments, arguments.matches_path, keyed, [period.key], period.went_through)
        failed += len(failures)
    if periods and all(period.is_lost for period in periods):
        raise NothingDone([failure for period in periods for failure in period.failures])
    return jobs.JobResult(sum(p.rows_read for p in periods) + n_sources, written, failed)


def _partitions(gas: Gas, arguments: argparse.Namespace) -> dict[str, list[Partition]]:
    """The keys that fit, each with all its partitions of the table, also those beside the given path."""
    at_path = storage.list_partitions(gas.table, arguments.detections_path, {"method": gas.method})
    wanted = arguments.date or arguments.month or ""
    keys = {p.keys[gas.key_column] for p in at_path if p.keys.get(gas.key_column, "").startswith(wanted)}
    root = storage.table_root(gas.table, arguments.detections_path)
    found = storage.list_partitions(gas.table, root, {"method": gas.method, gas.key_column: keys}) if keys else []
    return {key: [p for p in found if p.keys[gas.key_column] == key] for key in sorted(keys)}


def _read_period(gas: Gas, key: str, partitions: list[Partition]) -> Period:
    read, failures = [DETECTIONS.append(OBSERVED_AT).empty_table()], []
    rows_read = n_lost = 0
    for partition in partitions:
        area, name = _name(gas, partition)
        try:
            rows = storage.read_table(gas.table, partition.path, gas.table.schema.names)
            accepted = rows.filter(pc.equal(rows["status"], ACCEPTED))
            found = READ[gas.name](rows).append_column(OBSERVED_AT, accepted[OBSERVED_AT.name])
        except InputError as error:
            failures.append(FailedScene.from_exception(error, scene_id=name, stage=MATCHING_STAGE, area=area))
            n_lost += 1
            continue
        rows_read += rows.num_rows
        found, others = placed(found, "detection_id")
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


def _name(gas: Gas, partition: Partition) -> Scene:
    """What failed_scenes calls a partition of detections: its area and its path below the storage root."""
    above = storage.parent(storage.table_root(gas.table, partition.path)) + "/"
    return partition.keys.get("area"), partition.path.removeprefix(above)


def _refuse_sources_twice(sources_path: str) -> None:
    inventories = {str(p.keys.get("inventory")) for p in storage.list_partitions(SOURCES, sources_path)}
    if COMBINED in inventories and len(inventories) > 1:
        found = f"{COMBINED} beside the inventories that it was made of ({', '.join(sorted(inventories - {COMBINED}))})"
        allowed = f"one of its folders, such as {storage.join(sources_path, f'inventory={COMBINED}')}"
        raise InputError(sources_path, found, allowed)


def _read_sources(gas: Gas, sources_path: str) -> tuple[pa.Table | None, list[FailedScene]]:
    """The sources of the gas, in one chunk, and the files that cannot be used; None where that is all of them.

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
    once, contradicting = single_sources(together, ("longitude", "latitude", "emission_t_y"))
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


def _pairs(sources: pa.Table, detections: pa.Table, max_distance_km: float) -> pa.Table:
    """The pairs, in an order of their own; a detection that two keys have is in one with each source."""
    if not sources.num_rows:
        return PAIRS.empty_table()
    spark = get_spark("match_sources")
    pairs = transform(spark, detections, spark.createDataFrame(sources), max_distance_km).toArrow().cast(PAIRS)
    pairs = pairs.group_by(PAIRS.names).aggregate([])
    return pairs.sort_by([(name, "ascending") for name in ("detection_id", "source_id", "inventory")])


def _with_wind_files(detections: pa.Table, arguments: argparse.Namespace, failures: list[FailedScene]) -> pa.Table:
    """DETECTIONS with the wind of the files where they know it; read day by day, near that day's detections only."""
    wind_path, height_m = arguments.wind_path, WIND_HEIGHT_M[arguments.gas]
    observed = detections["observed_at_utc"].to_numpy().astype("datetime64[us]")
    detections = detections.select(DETECTIONS.names)
    if not wind_path or not detections.num_rows:
        return detections
    lon, lat = detections["longitude"].to_numpy(), detections["latitude"].to_numpy()
    u, v = np.full(len(lon), np.nan), np.full(len(lon), np.nan)
    days = observed.astype("datetime64[D]")
    bad_files: list[FailedScene] = []
    for day in np.unique(days[~np.isnat(days)]):
        of_day = np.flatnonzero(days == day)
        start = datetime.combine(day.item(), time(), UTC)
        wind = read_wind_files(
            wind_path,
            start - READ_AROUND,
            start + timedelta(days=1) + READ_AROUND,
            points=(lon[of_day], lat[of_day]),
            on_failure=bad_files.append,
        )
        found = winds_at(wind, lon[of_day], lat[of_day], observed[of_day], height_m)
        u[of_day], v[of_day] = found.wind_u_m_s, found.wind_v_m_s
    failures += {failure.asset or failure.scene_id: failure for failure in bad_files}.values()  # once each
    return with_wind(detections, u, v)


def _write(arguments: argparse.Namespace, gas: Gas, period: Period, matches: pa.Table, max_distance_km: float) -> None:
    first = matches.filter(pc.equal(matches["rank"], 1))
    counts = {c["values"]: c["counts"] for c in first["status"].value_counts().to_pylist()}
    storage.write_partition(
        MATCHES,
        arguments.matches_path,
        {"gas": gas.name, "period": period.key},
        matches,
        inputs=[*(p.path for p in period.partitions), *filter(None, (arguments.sources_path, arguments.wind_path))],
        settings={"max_distance_km": max_distance_km, "calibration": matching_rule(gas.name).version},
        counts=counts,
    )
    log.info("%s %s: %d detections, %s", gas.name, period.key, first.num_rows, counts or "nothing accepted")


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
