"""What a key's detections change of all that is known of the sources of a gas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plumewatch import storage
from plumewatch.evidence.candidates import find_candidates
from plumewatch.evidence.estimates import read_source_passes, rejected_by_people, write_source_estimates
from plumewatch.evidence.keys import read_sources, write_source_passes
from plumewatch.evidence.page_files import write_source_pages
from plumewatch.evidence.rule import evidence_rule
from plumewatch.gases import Gas
from plumewatch.models import Area
from plumewatch.tables import SOURCE_CANDIDATES, SOURCE_PASSES


@dataclass(frozen=True)
class Updated:
    """How much was read and written."""

    passes: int
    """Rows of `source_passes` of all keys."""
    estimates: int
    """Sources with an estimate."""
    candidates: int
    """Places where detections recur."""
    pages: int
    """Pages of sources, and of what others saw."""


def update_evidence(storage_root: str, gas: Gas, key: str, areas: Sequence[Area] = ()) -> Updated:
    """Write the `source_passes` of a day or month, of all keys `source_estimates` and `source_candidates`, and pages.

    `areas` are the outlines of methane's areas. The tables of all keys are computed from what is stored of each, so
    that the order in which keys come makes no difference.
    """
    where, root = {"gas": gas.name, "key": key}, storage.join(storage_root, SOURCE_PASSES.name)
    before = storage.read_table(SOURCE_PASSES, root, ["source_id"], where=where)
    of_key = write_source_passes(storage_root, gas, key, areas)
    passes = read_source_passes(storage_root, gas, None)
    rejected = rejected_by_people(storage_root, gas)
    estimates = write_source_estimates(storage_root, gas, passes, read_sources(storage_root, gas), rejected)
    candidates = find_candidates(gas, passes, rejected)
    storage.write_partition(
        SOURCE_CANDIDATES,
        storage.join(storage_root, SOURCE_CANDIDATES.name),
        {"gas": gas.name},
        candidates,
        settings={"calibration": evidence_rule().version},
    )
    touched = {*of_key["source_id"].to_pylist(), *before["source_id"].to_pylist()} - {None}
    n_pages = write_source_pages(storage_root, gas, passes, estimates, touched, areas)
    return Updated(passes.num_rows, estimates.num_rows, candidates.num_rows, n_pages)
