"""What a key's detections change of all that is known of the sources of a gas.

Of all keys only what may have changed is held in memory: the passes over those sources that the key's passes looked at
or had looked at, and all detections. The other sources keep their estimates, as long as these were made of the same:
the files of `source_passes`, the sources, what people rejected, and the rules.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import __version__, storage
from plumewatch.evidence.candidates import find_candidates
from plumewatch.evidence.estimates import (
    OF_PASS,
    files_of_passes,
    read_source_passes,
    rejected_by_people,
    write_source_estimates,
)
from plumewatch.evidence.keys import OF_SOURCE, read_sources, write_source_passes
from plumewatch.evidence.looks import looks_of_orbits
from plumewatch.evidence.page_files import read_reports, write_source_pages
from plumewatch.evidence.rule import evidence_rule
from plumewatch.gases import CO2, Gas
from plumewatch.models import Area
from plumewatch.tables import SOURCE_CANDIDATES, SOURCE_ESTIMATES, SOURCE_PASSES, SOURCES

OF_CANDIDATE = (*OF_PASS, "area", "orbit", "sensor", "scene_id", "longitude", "latitude", "wind_from_deg")
MADE_OF = "_made_of"  # beside the estimates: a hash of what they were made of
STATED = ("source_id", "emission_t_y", "emission_t_y_sigma")  # of a source, what its estimate is made of


@dataclass(frozen=True)
class Updated:
    """How much was read and written."""

    passes: int
    """Rows of `source_passes` that were held: those of the sources that may have changed, and all detections."""
    estimates: int
    """Sources with an estimate."""
    candidates: int
    """Places where detections recur."""
    pages: int
    """Pages of sources, and of what others saw."""


def update_evidence(storage_root: str, gas: Gas, key: str, areas: Sequence[Area] = ()) -> Updated:
    """Write the `source_passes` of a day or month, of all keys `source_estimates` and `source_candidates`, and pages.

    `areas` are the outlines of methane's areas. The tables of all keys follow from what is stored of each, so that the
    order in which keys come makes no difference.
    """
    where, root = {"gas": gas.name, "key": key}, storage.join(storage_root, SOURCE_PASSES.name)
    all_sources = read_sources(storage_root, gas, SOURCES.schema.names)
    sources, rejected = all_sources.select(OF_SOURCE), rejected_by_people(storage_root, gas)
    before = storage.read_table(SOURCE_PASSES, root, ["source_id"], where=where)
    stored = _stored_estimates(storage_root, gas, _made_of(storage_root, gas, sources, rejected))
    of_key = write_source_passes(storage_root, gas, key, areas, sources)
    touched = {*of_key["source_id"].to_pylist(), *before["source_id"].to_pylist()} - {None}
    reported = read_reports(storage_root, gas, all_sources)
    also = {name for name, its in reported.near.items() if its} if gas is CO2 else set[str]()
    changed, passes = (None if stored is None else _ids(touched)), _passes(storage_root, gas, stored, touched | also)
    kept = None if stored is None else stored.filter(pc.invert(pc.is_in(stored["source_id"], value_set=changed)))
    of_changed = passes if changed is None else passes.filter(pc.is_in(passes["source_id"], value_set=changed))
    estimates = write_source_estimates(storage_root, gas, of_changed, sources, rejected, kept)
    storage.write_bytes(_marker(storage_root, gas), _made_of(storage_root, gas, sources, rejected).encode())
    candidates = find_candidates(gas, passes, rejected, partial(looks_of_orbits, storage_root))
    storage.write_partition(
        SOURCE_CANDIDATES,
        storage.join(storage_root, SOURCE_CANDIDATES.name),
        {"gas": gas.name},
        candidates,
        settings={"calibration": evidence_rule().version},
    )
    n_pages = write_source_pages(storage_root, gas, passes, estimates, touched, areas, all_sources, reported)
    return Updated(passes.num_rows, estimates.num_rows, candidates.num_rows, n_pages)


def _passes(storage_root: str, gas: Gas, stored: pa.Table | None, names: Collection[str]) -> pa.Table:
    """Passes over some sources, over all where no estimates are stored that hold, and those over no listed source."""
    wanted = _ids(names)

    def keep(rows: pa.Table) -> pa.Table:
        is_no_source = pc.or_(rows["source_id"].is_null(), rows["detection_id"].is_valid())
        return rows.filter(pc.or_(is_no_source, pc.is_in(rows["source_id"], value_set=wanted)))

    return read_source_passes(storage_root, gas, OF_CANDIDATE, keep if stored is not None else None)


def _ids(names: Collection[str]) -> pa.Array:
    return pa.array(sorted(names), pa.string())


def _made_of(storage_root: str, gas: Gas, sources: pa.Table, rejected: frozenset[str]) -> str:
    """A hash of what estimates are made of; of passes that of the listing, as each run writes its key's file anew."""
    files = [
        (file.path.removeprefix(storage_root), file.n_bytes, file.modified_at.isoformat())
        for file in files_of_passes(storage_root, gas)
    ]
    stated = sources.select(STATED).sort_by("source_id").to_pydict()
    said = [__version__, evidence_rule().version, files, stated, sorted(rejected)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _stored_estimates(storage_root: str, gas: Gas, made_of: str) -> pa.Table | None:
    """The stored estimates if they were made of the same, else None."""
    folder = storage.join(storage_root, SOURCE_ESTIMATES.name)
    path = _marker(storage_root, gas)
    if not storage.exists(path) or storage.read_bytes(path) != made_of.encode():
        return None
    return storage.read_table(SOURCE_ESTIMATES, folder, SOURCE_ESTIMATES.schema.names, where={"gas": gas.name})


def _marker(storage_root: str, gas: Gas) -> str:
    return storage.join(
        storage.partition_path(storage.join(storage_root, SOURCE_ESTIMATES.name), {"gas": gas.name}), MADE_OF
    )
