"""The table `source_passes`: of each key what its passes saw of the sources, from what is stored of the key."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch import storage
from plumewatch.evidence.passes import passes_of_key
from plumewatch.evidence.rule import evidence_rule
from plumewatch.evidence.sights import orbit_cells, sights_of_areas, sights_of_orbit, source_tree, sources_of
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.learning.training import learnt_emissions
from plumewatch.learning.window_training import window_probabilities
from plumewatch.models import Area
from plumewatch.observations import stated_observations
from plumewatch.orbits import OCO2, sensors_of
from plumewatch.progress import followed
from plumewatch.reviews import read_detections
from plumewatch.statuses import SEARCHED
from plumewatch.tables import COMBINED, MATCHES, OBSERVATIONS, SOUNDINGS, SOURCE_PASSES, SOURCES

OF_SOURCE = ("source_id", "kind", "gas", "longitude", "latitude", "emission_t_y", "emission_t_y_sigma")
CELL_KM = 3.2  # the diagonal of a cell, so that what stands for one near a place is the same whatever is left out
OF_SOUNDING = ("orbit", "sensor", "longitude", "latitude", "wind_u_m_s", "wind_v_m_s")

Floats = NDArray[np.float64]

log = logging.getLogger(__name__)


def write_source_passes(
    storage_root: str, gas: Gas, key: str, areas: Sequence[Area] = (), sources: pa.Table | None = None
) -> pa.Table:
    """Write what the passes of a day or month saw of the sources, and return it.

    Read are the key's detections and what its detection states of passes, its `matches`, the combined sources (unless
    `sources` are they) and, of CO2, its soundings: where those aren't stored, only what was seen is known. `areas` are
    the outlines of methane's.
    """

    def root(name: str) -> str:
        return storage.join(storage_root, name)

    where = {"method": gas.method, gas.key_column: key}
    partitions = storage.list_partitions(gas.table, root(gas.table.name), where)
    stated = [row for partition in partitions for row in stated_observations(partition.path)]
    observations = OBSERVATIONS.from_pylist(stated)
    detections = read_detections(storage_root, gas, key)
    of_key = {"gas": gas.name, "period": key}
    matches = storage.read_table(MATCHES, root(MATCHES.name), MATCHES.schema.names, where=of_key)
    if sources is None:
        sources = read_sources(storage_root, gas)
    if gas is CH4:
        sights = sights_of_areas(observations.to_pylist(), {area.name: area.geometry for area in areas}, sources)
    else:
        sights = _sights_of_orbits(storage_root, key, observations, sources)
    passes = passes_of_key(gas, sights, observations, matches, detections)
    if gas is CO2:
        passes = _with(passes, "learnt_emission", learnt_emissions(storage_root, detections))
        passes = _with(passes, "window_probability", window_probabilities(storage_root, key, detections))
    storage.write_partition(
        SOURCE_PASSES,
        root(SOURCE_PASSES.name),
        {"gas": gas.name, "key": key},
        passes,
        inputs=[partition.path for partition in partitions],
        settings={"calibration": evidence_rule().version},
        counts={"seen": passes.num_rows - passes["detection_id"].null_count},
    )
    return passes


def _with(passes: pa.Table, name: str, of_detection: Mapping[str, float]) -> pa.Table:
    """Passes with what a model says of their detections."""
    values = pa.array([of_detection.get(one) for one in passes["detection_id"].to_pylist()], pa.float64())
    return passes.set_column(passes.column_names.index(name), name, values)


def read_sources(storage_root: str, gas: Gas, columns: Sequence[str] = OF_SOURCE) -> pa.Table:
    """Return the combined sources of a gas."""
    path = storage.join(storage_root, SOURCES.name)
    return sources_of(gas.name, storage.read_table(SOURCES, path, columns, where={"inventory": COMBINED}))


def looks_of_orbits(storage_root: str, names: Sequence[str], longitude: Floats, latitude: Floats) -> pa.Table:
    """Return what all orbits whose soundings are stored saw of some places, their names as `source_id` (SOURCE_PASSES).

    Months are read one after the other, and of each only the soundings near the places are held.
    """
    places = pa.table({"source_id": list(names), "longitude": longitude, "latitude": latitude})
    places = places.append_column("kind", pa.array([""] * len(names)))
    found = [SOURCE_PASSES.empty()]
    months = storage.list_partitions(SOUNDINGS, storage.join(storage_root, SOUNDINGS.name))
    for partition in followed(months, "soundings over candidates", "months"):
        month = partition.keys["month"]
        searched = OBSERVATIONS.from_pylist(_stated(storage_root, CO2, month))
        found.append(_sights_of_orbits(storage_root, month, searched, places))
    return pa.concat_tables(found)


def _stated(storage_root: str, gas: Gas, key: str) -> list[dict[str, Any]]:
    """What the detection of a key says of its passes."""
    where = {"method": gas.method, gas.key_column: key}
    partitions = storage.list_partitions(gas.table, storage.join(storage_root, gas.table.name), where)
    return [row for partition in partitions for row in stated_observations(partition.path)]


def _sights_of_orbits(storage_root: str, month: str, observations: pa.Table, sources: pa.Table) -> pa.Table:
    """Sights of the orbits that were searched, one orbit after the other."""
    searched = observations.filter(pc.equal(observations["outcome"], SEARCHED)).to_pylist()
    found = [SOURCE_PASSES.empty()]
    if not searched or not sources.num_rows:
        return found[0]
    by_orbit = {(row["sensor"] or OCO2, row["orbit"]): row for row in searched}
    path = storage.join(storage_root, SOUNDINGS.name)
    partitions = storage.list_partitions(SOUNDINGS, path, {"month": month})
    if not partitions:
        log.warning("co2 %s: no soundings are stored: nobody knows which sources its orbits looked at", month)
    tree = source_tree(sources)
    for partition in partitions:
        for orbit, cells in followed(_cells_by_orbit(partition, tree), "orbits over sources", "orbits", len(by_orbit)):
            if orbit in by_orbit:
                found.append(sights_of_orbit(by_orbit[orbit], orbit_cells(*cells), sources, tree))
    return pa.concat_tables(found)


def _cells_by_orbit(partition: storage.Partition, tree: cKDTree) -> Iterator[tuple[tuple[str, int], Any]]:
    """Soundings of each orbit (longitude, latitude, wind) in reach of a place of the tree.

    They are thinned piece by piece so that a month fits into memory.
    """
    reach = distance_to_chord(evidence_rule().co2.reach_km + CELL_KM)
    kept: dict[tuple[str, int], list[np.ndarray]] = {}
    for piece in storage.iter_partition(SOUNDINGS, partition, OF_SOUNDING):
        sensor = np.array(sensors_of(piece).to_pylist(), dtype=str)
        orbit = piece["orbit"].to_numpy()
        values = np.stack([piece[name].cast(pa.float64()).to_numpy() for name in OF_SOUNDING[2:]])
        usable = np.isfinite(values).all(axis=0)
        at = np.flatnonzero(usable)
        usable[at] = np.isfinite(tree.query(unit_vectors(*values[:2, at]), distance_upper_bound=reach)[0])
        for name in np.unique(sensor):
            of_sensor = np.flatnonzero(usable & (sensor == name))
            of_sensor = of_sensor[np.argsort(orbit[of_sensor], kind="stable")]
            numbers, begins = np.unique(orbit[of_sensor], return_index=True)
            for number, at in zip(numbers, np.split(of_sensor, begins[1:]), strict=True):
                cells = orbit_cells(*values[:, at])
                thinned = np.stack([cells.longitude, cells.latitude, cells.wind_u_m_s, cells.wind_v_m_s])
                kept.setdefault((str(name), int(number)), []).append(thinned)
    for key in sorted(kept):
        yield key, np.concatenate(kept.pop(key), axis=1)
