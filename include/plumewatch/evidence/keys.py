"""The table `source_passes`: of each key what its passes saw of the sources, from what is stored of the key."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.evidence.looks import sights_of_files
from plumewatch.evidence.passes import passes_of_key
from plumewatch.evidence.rule import evidence_rule
from plumewatch.evidence.sights import sights_of_areas, sources_of
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.learning.training import learnt_emissions
from plumewatch.learning.window_training import window_probabilities
from plumewatch.models import Area
from plumewatch.observations import stated_observations
from plumewatch.reviews import read_detections
from plumewatch.statuses import SEARCHED
from plumewatch.tables import COMBINED, MATCHES, OBSERVATIONS, SOUNDINGS, SOURCE_PASSES, SOURCES

OF_SOURCE = ("source_id", "kind", "gas", "longitude", "latitude", "emission_t_y", "emission_t_y_sigma")

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


def _sights_of_orbits(storage_root: str, month: str, observations: pa.Table, sources: pa.Table) -> pa.Table:
    """Sights of the orbits that were searched."""
    searched = observations.filter(pc.equal(observations["outcome"], SEARCHED))
    if not searched.num_rows or not sources.num_rows:
        return SOURCE_PASSES.empty()
    path = storage.join(storage_root, SOUNDINGS.name)
    partitions = storage.list_partitions(SOUNDINGS, path, {"month": month})
    if not partitions:
        log.warning("co2 %s: no soundings are stored: nobody knows which sources its orbits looked at", month)
    files = [file for partition in partitions for file in storage.partition_files(partition)]
    return sights_of_files(files, searched, sources)
