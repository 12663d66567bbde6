"""What orbits whose soundings are stored saw of places: of sources, and of candidates, which all months are asked for.

What the months said of candidates is kept beside the estimates, so that a run reads the months that changed since, and
for places that are new the granules that came near: of each granule it is kept which cells of 1 degree hold soundings.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch import __version__, storage
from plumewatch.evidence.rule import evidence_rule
from plumewatch.evidence.sights import orbit_cells, sights_of_orbit, source_tree
from plumewatch.gases import CO2
from plumewatch.geodesy import N_DEGREE_CELLS, degree_cell_middles, degree_cells, distance_to_chord, unit_vectors
from plumewatch.observations import stated_observations
from plumewatch.orbits import OCO2, sensors_of
from plumewatch.progress import followed
from plumewatch.statuses import SEARCHED
from plumewatch.storage.parquet import iter_parquet
from plumewatch.tables import OBSERVATIONS, SOUNDINGS, SOURCE_ESTIMATES, SOURCE_PASSES

CELL_KM = 3.2  # the diagonal of a cell, so that what stands for one near a place is the same whatever is left out
OF_SOUNDING = ("orbit", "sensor", "longitude", "latitude", "wind_u_m_s", "wind_v_m_s")
LOOKS = "_looks"  # beside the estimates: what the stored months said of candidates
COARSE_KM = 79.0  # from the middle of a cell of 1 degree to its corner, at the equator
DECIMALS = 5  # of a candidate's degrees, as its row states them: 1 m

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Row = dict[str, Any]
Place = tuple[float, float]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Month:
    """What a month said of places."""

    made_of: str
    """A hash of the listing of its soundings and its detection."""
    cells: Mapping[str, bytes]
    """By name of a file of soundings which cells of 1 degree hold some, a bit each."""
    looks: list[Row]
    """Rows of SOURCE_PASSES, named by place."""


KEPT = pa.schema(
    {
        "month": pa.string(),
        "made_of": pa.string(),
        "cells": pa.map_(pa.string(), pa.binary()),
        "looks": pa.list_(pa.struct(list(SOURCE_PASSES.schema))),
    }
)


def looks_of_orbits(storage_root: str, names: Sequence[str], longitude: Floats, latitude: Floats) -> pa.Table:
    """Return what all orbits whose soundings are stored saw of some places, their names as `source_id` (SOURCE_PASSES).

    Places (degrees) are rounded to 5 decimals. Months are read one after the other, and of each only the soundings near
    the places are held; what they say of these places is kept for the next call, and of no others.
    """
    xs, ys = (np.round(a, DECIMALS) + 0.0 for a in (longitude, latitude))  # and no -0.0
    at = list(zip(xs.tolist(), ys.tolist(), strict=True))
    wanted, made_of = sorted(set(at)), _made_of(storage_root)
    kept, known = _read(storage_root)
    new = [place for place in wanted if place not in known]
    cells_near = np.packbits(_cells_near(new))
    months: dict[str, _Month] = {}
    partitions = storage.list_partitions(SOUNDINGS, storage.join(storage_root, SOUNDINGS.name))
    for partition in followed(partitions, "soundings over candidates", "months"):
        month = partition.keys["month"]
        before, now = kept.get(month), made_of.get(month, "")
        if before is None or before.made_of != now:
            looks, cells = _read_month(storage_root, partition, wanted, storage.partition_files(partition))
            months[month] = _Month(now, cells, looks)
        else:
            names_near = [
                name for name, its in before.cells.items() if (np.frombuffer(its, np.uint8) & cells_near).any()
            ]
            files = [storage.join(partition.path, name) for name in names_near]
            more = _read_month(storage_root, partition, new, files)[0] if files else []
            months[month] = _Month(before.made_of, before.cells, before.looks + more)
    texts = set(map(_text, wanted))
    for month, its in months.items():
        months[month] = _Month(its.made_of, its.cells, [row for row in its.looks if row["source_id"] in texts])
    _write(storage_root, months, wanted)
    by_place: dict[str, list[Row]] = {}
    for its in months.values():
        for row in its.looks:
            by_place.setdefault(row["source_id"], []).append(row)
    named = zip(names, map(_text, at), strict=True)
    return SOURCE_PASSES.from_pylist(
        [row | {"source_id": name} for name, its in named for row in by_place.get(its, [])]
    )


def sights_of_files(
    files: Sequence[str], observations: pa.Table, sources: pa.Table, cells: dict[str, bytes] | None = None
) -> pa.Table:
    """Return what the searched orbits of a month saw of sources (SOURCE_PASSES), one orbit after the other.

    Of each of the `files` of soundings it's told in `cells`, by name, which cells of 1 degree hold some.
    """
    searched = observations.filter(pc.equal(observations["outcome"], SEARCHED)).to_pylist()
    found = [SOURCE_PASSES.empty()]
    if not searched or not sources.num_rows:
        return found[0]
    by_orbit = {(row["sensor"] or OCO2, row["orbit"]): row for row in searched}
    tree = source_tree(sources)
    orbits = _cells_by_orbit(files, tree, {} if cells is None else cells)
    for orbit, its in followed(orbits, "orbits over sources", "orbits", len(by_orbit)):
        if orbit in by_orbit:
            found.append(sights_of_orbit(by_orbit[orbit], orbit_cells(*its), sources, tree))
    return pa.concat_tables(found)


def stated_of_key(storage_root: str, key: str) -> pa.Table:
    """Return what the detection of CO2 of a month says of its passes (OBSERVATIONS)."""
    where = {"method": CO2.method, CO2.key_column: key}
    partitions = storage.list_partitions(CO2.table, storage.join(storage_root, CO2.table.name), where)
    return OBSERVATIONS.from_pylist([row for partition in partitions for row in stated_observations(partition.path)])


def _read_month(
    storage_root: str, partition: storage.Partition, places: Sequence[Place], files: Sequence[str]
) -> tuple[list[Row], dict[str, bytes]]:
    """Rows over places of a month from files of its soundings, and the cells of these."""
    table = pa.table(
        {
            "source_id": list(map(_text, places)),
            "kind": pa.array([""] * len(places)),
            "longitude": pa.array([x for x, _ in places], pa.float64()),
            "latitude": pa.array([y for _, y in places], pa.float64()),
        }
    )
    cells: dict[str, bytes] = {}
    observations = stated_of_key(storage_root, partition.keys["month"])
    return sights_of_files(files, observations, table, cells).to_pylist(), cells


def _cells_near(places: Sequence[Place]) -> NDArray[np.bool_]:
    """Which cells of 1 degree, by number, may hold soundings in reach of a place."""
    number = np.arange(N_DEGREE_CELLS)
    if not places:
        return np.zeros(len(number), bool)
    middles = unit_vectors(*degree_cell_middles(number))
    reach = distance_to_chord(evidence_rule().co2.reach_km + CELL_KM + COARSE_KM)
    tree = cKDTree(unit_vectors(*np.array(places).T))
    return np.asarray(np.isfinite(tree.query(middles, distance_upper_bound=reach)[0]))


def _cells_by_orbit(
    files: Sequence[str], tree: cKDTree, coarse: dict[str, bytes]
) -> Iterator[tuple[tuple[str, int], Any]]:
    """Soundings of each orbit (longitude, latitude, wind) in reach of a place of the tree.

    They are thinned piece by piece so that a month fits into memory.
    """
    reach = distance_to_chord(evidence_rule().co2.reach_km + CELL_KM)
    kept: dict[tuple[str, int], list[np.ndarray]] = {}
    for file in files:
        has_some = np.zeros(N_DEGREE_CELLS, bool)
        for piece in iter_parquet(SOUNDINGS, file, OF_SOUNDING):
            sensor = np.array(sensors_of(piece).to_pylist(), dtype=str)
            orbit = piece["orbit"].to_numpy()
            values = np.stack([piece[name].cast(pa.float64()).to_numpy() for name in OF_SOUNDING[2:]])
            usable = np.isfinite(values).all(axis=0)
            at = np.flatnonzero(usable)
            has_some[degree_cells(*values[:2, at])] = True
            usable[at] = np.isfinite(tree.query(unit_vectors(*values[:2, at]), distance_upper_bound=reach)[0])
            for name in np.unique(sensor[usable]):
                of_sensor = np.flatnonzero(usable & (sensor == name))
                of_sensor = of_sensor[np.argsort(orbit[of_sensor], kind="stable")]
                numbers, begins = np.unique(orbit[of_sensor], return_index=True)
                for number, at in zip(numbers, np.split(of_sensor, begins[1:]), strict=True):
                    cells = orbit_cells(*values[:, at])
                    thinned = np.stack([cells.longitude, cells.latitude, cells.wind_u_m_s, cells.wind_v_m_s])
                    kept.setdefault((str(name), int(number)), []).append(thinned)
        coarse[file.rsplit("/", 1)[-1]] = np.packbits(has_some).tobytes()
    for key in sorted(kept):
        yield key, np.concatenate(kept.pop(key), axis=1)


def _text(place: Place) -> str:
    return f"{place[0]:.{DECIMALS}f} {place[1]:.{DECIMALS}f}"


def _made_of(storage_root: str) -> dict[str, str]:
    """By month a hash of what is stored of its soundings and its detection, by one listing of each."""
    peaks = storage.partition_path(storage.join(storage_root, CO2.table.name), {"method": CO2.method})
    files: dict[str, list[tuple[str, ...]]] = {}
    for table, root in ((SOUNDINGS, storage.join(storage_root, SOUNDINGS.name)), (CO2.table, peaks)):
        for file in storage.stored_files(root):
            month = storage.keys_in_path(table, storage.parent(file.path)).get("month", "")
            name = file.path.rsplit("/", 1)[-1]
            files.setdefault(month, []).append((table.name, name, str(file.n_bytes), file.modified_at.isoformat()))
    return {month: hashlib.sha256(json.dumps(its).encode()).hexdigest() for month, its in files.items()}


def _path(storage_root: str) -> str:
    folder = storage.partition_path(storage.join(storage_root, SOURCE_ESTIMATES.name), {"gas": CO2.name})
    return storage.join(folder, LOOKS)


def _version() -> str:
    return f"{__version__} {evidence_rule().version}"


def _read(storage_root: str) -> tuple[dict[str, _Month], set[Place]]:
    """What is kept of months, and of which places; nothing where there is no such file of this version."""
    path = _path(storage_root)
    if not storage.exists(path):
        return {}, set()
    content = storage.read_bytes(path)
    try:
        table = pq.read_table(pa.BufferReader(content))
        said = json.loads((table.schema.metadata or {})[b"made_by"])
        if said["version"] != _version() or not table.schema.equals(KEPT):
            return {}, set()
        months = {row["month"]: _Month(row["made_of"], dict(row["cells"]), row["looks"]) for row in table.to_pylist()}
        return months, {(float(x), float(y)) for x, y in said["places"]}
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        log.warning("%s: can't be read (%s): the soundings of all months are read again", path, error)
        return {}, set()


def _write(storage_root: str, months: Mapping[str, _Month], places: Collection[Place]) -> None:
    rows = [{"month": name, "made_of": its.made_of, "cells": list(its.cells.items()), "looks": its.looks}
            for name, its in months.items()]  # fmt: skip
    said = json.dumps({"version": _version(), "places": sorted(places)})
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(rows, schema=KEPT.with_metadata({"made_by": said}))
    pq.write_table(table, buffer, compression="zstd")
    storage.write_bytes(_path(storage_root), buffer.getvalue())
