"""The table `source_passes`: of each key what its passes saw of the sources, from what is stored of the key."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.evidence.passes import passes_of_key
from plumewatch.evidence.rule import evidence_rule
from plumewatch.evidence.sights import orbit_cells, sights_of_areas, sights_of_orbit, source_tree, sources_of
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.learning.training import learnt_emissions
from plumewatch.models import Area
from plumewatch.observations import stated_observations
from plumewatch.orbits import OCO2, sensors_of
from plumewatch.progress import followed
from plumewatch.reviews import read_detections
from plumewatch.statuses import SEARCHED
from plumewatch.tables import COMBINED, MATCHES, OBSERVATIONS, SOUNDINGS, SOURCE_PASSES, SOURCES

OF_SOURCE = ("source_id", "kind", "gas", "longitude", "latitude", "emission_t_y", "emission_t_y_sigma")
OF_SOUNDING = ("orbit", "sensor", "longitude", "latitude", "wind_u_m_s", "wind_v_m_s")

log = logging.getLogger(__name__)


def write_source_passes(storage_root: str, gas: Gas, key: str, areas: Sequence[Area] = ()) -> pa.Table:
    """Write what the passes of a day or month saw of the sources, and return it.

    Read are the key's detections and what its detection states of passes, its `matches`, the combined sources and, of
    CO2, its soundings: where those aren't stored, only what was seen is known. `areas` are the outlines of methane's.
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
    sources = read_sources(storage_root, gas)
    if gas is CH4:
        sights = sights_of_areas(observations.to_pylist(), {area.name: area.geometry for area in areas}, sources)
    else:
        sights = _sights_of_orbits(storage_root, key, observations, sources)
    passes = passes_of_key(gas, sights, observations, matches, detections)
    if gas is CO2 and (learnt := learnt_emissions(storage_root, detections)):
        values = pa.array([learnt.get(name) for name in passes["detection_id"].to_pylist()], pa.float64())
        passes = passes.set_column(passes.column_names.index("learnt_emission"), "learnt_emission", values)
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


def read_sources(storage_root: str, gas: Gas, columns: Sequence[str] = OF_SOURCE) -> pa.Table:
    """Return the combined sources of a gas."""
    path = storage.join(storage_root, SOURCES.name)
    return sources_of(gas.name, storage.read_table(SOURCES, path, columns, where={"inventory": COMBINED}))


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
        for orbit, cells in followed(_cells_by_orbit(partition), "orbits over sources", "orbits", len(by_orbit)):
            if orbit in by_orbit:
                found.append(sights_of_orbit(by_orbit[orbit], orbit_cells(*cells), sources, tree))
    return pa.concat_tables(found)


def _cells_by_orbit(partition: storage.Partition) -> Iterator[tuple[tuple[str, int], Any]]:
    """Soundings of each orbit (longitude, latitude, wind), thinned piece by piece so that a month fits into memory."""
    kept: dict[tuple[str, int], list[np.ndarray]] = {}
    for piece in storage.iter_partition(SOUNDINGS, partition, OF_SOUNDING):
        sensor = np.array(sensors_of(piece).to_pylist(), dtype=str)
        orbit = piece["orbit"].to_numpy()
        values = np.stack([piece[name].cast(pa.float64()).to_numpy() for name in OF_SOUNDING[2:]])
        usable = np.isfinite(values).all(axis=0)
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
