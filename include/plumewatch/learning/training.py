"""The model of emissions, learnt from what is stored, and used (its card: cards.py)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.gases import CO2
from plumewatch.learning.cards import read_card, write_card
from plumewatch.learning.emission_model import (
    LEAST_KNOWN_KT_H,
    EmissionModel,
    NothingToLearnFrom,
    from_json,
    judge_model,
    judged_lines,
    to_json,
    train_model,
)
from plumewatch.learning.features import LEAST_WIND_M_S, examples_of
from plumewatch.reviews import read_detections
from plumewatch.statuses import ACCEPTED
from plumewatch.tables import COMBINED, SOURCES

PEAK_EMISSION = "peak_emission"
KNOWN = "coco2"  # the inventory that emissions are learnt from: plants of the year 2018, each with its own figure
OF_SOURCE = ("source_id", "gas", "longitude", "latitude", "emission_t_y")

log = logging.getLogger(__name__)


def train_emission(storage_root: str, known: str = KNOWN) -> tuple[str, list[str]]:
    """Learn emissions from all stored peaks; return the path of the card, and the figures for people.

    Peaks that a person has rejected, and those in weaker winds than 2 m/s, are left out. Raises NothingToLearnFrom
    where too few peaks have a known emission upwind, or the inventory `known` isn't there.
    """
    inventories = _inventories(storage_root)
    if known not in inventories:
        found = f"no inventory {known} (there are {', '.join(sorted(inventories)) or 'none'})"
        raise NothingToLearnFrom(
            storage.join(storage_root, SOURCES.name), found, "the inventory that emissions are learnt from"
        )
    peaks = _peaks(storage_root)
    others = {name: rows for name, rows in inventories.items() if name != known}
    examples = examples_of(peaks, inventories[known], others)
    judged = judge_model(examples)
    model = train_model(examples, judged)
    card = {
        "name": PEAK_EMISSION,
        "what": "natural log of the emission of a CO2 peak's source, kt/h",
        "learnt_from": {
            "peaks": peaks.num_rows, "with_known_emission": judged.n_examples, "cells_of_2_degrees": judged.n_cells,
            "emission_of": known, "upwind_sums_of": sorted(others), "least_known_kt_h": LEAST_KNOWN_KT_H,
            "months": sorted(set(peaks["month"].to_pylist())),
        },
        "judged": {"by": "cross-validation in 5 folds of cells of 2 degrees", **asdict(judged)},
        "is_better_than_flux": judged.is_better,
        "model": to_json(model),
    }  # fmt: skip
    return write_card(storage_root, PEAK_EMISSION, card), judged_lines(judged)


def read_emission_model(storage_root: str) -> tuple[EmissionModel, Mapping[str, Any]] | None:
    """Return the model of emissions in use and its card; None where none is stored, or the flux alone tells more."""
    found = read_card(storage_root, PEAK_EMISSION)
    if found is None:
        return None
    path, card = found
    with reading(path, "a card as source_model_training writes it"):
        model, is_better = from_json(path, card["model"]), bool(card["is_better_than_flux"])
    return (model, card) if is_better else None


def learnt_emissions(storage_root: str, peaks: pa.Table) -> dict[str, float]:
    """Return what the model in use says each peak's source emits, in kt/h, by peak id as text; nothing without one.

    It knows what inventories list upwind, so it is no evidence of its own for what they state: it is shown beside. So a
    model that can't be used, or that learnt from an inventory that isn't there any more, is told in the log, and
    nothing is shown.
    """
    try:
        found = read_emission_model(storage_root)
    except InputError as error:
        log.warning("no learnt emissions: %s", error)
        return {}
    if found is None or not peaks.num_rows:
        return {}
    model, card = found
    inventories = _inventories(storage_root)
    wanted = card["learnt_from"]["upwind_sums_of"]
    if missing := sorted(set(wanted) - inventories.keys()):
        log.warning("no learnt emissions: the model learnt from %s too, of which no source is stored", missing)
        return {}
    examples = examples_of(peaks, None, {name: inventories[name] for name in wanted})
    try:
        log_emission = model.predict(examples)
    except InputError as error:
        log.warning("no learnt emissions: %s; source_model_training learns anew", error)
        return {}
    ids = peaks["peak_id"].cast(pa.string()).to_pylist()
    return {name: float(np.exp(v)) for name, v in zip(ids, log_emission.tolist(), strict=True) if np.isfinite(v)}


def _peaks(storage_root: str) -> pa.Table:
    """The accepted peaks of the default method as people have judged them, with wind, and their month."""
    rows = read_detections(storage_root, CO2)
    speed = pc.sqrt(pc.add(pc.power(rows["wind_u_m_s"], 2), pc.power(rows["wind_v_m_s"], 2)))
    is_usable = pc.and_kleene(pc.equal(rows["status"], ACCEPTED), pc.greater_equal(speed, LEAST_WIND_M_S))
    return rows.filter(pc.fill_null(is_usable, False)).sort_by("peak_id")


def _inventories(storage_root: str) -> dict[str, pa.Table]:
    """The CO2 sources with an emission of each inventory, `combined` aside."""
    path = storage.join(storage_root, SOURCES.name)
    rows = storage.read_table(SOURCES, path, [*OF_SOURCE, "inventory"])
    is_co2 = pc.and_(pc.equal(rows["gas"], CO2.name), pc.greater(pc.fill_null(rows["emission_t_y"], 0.0), 0.0))
    rows = rows.filter(is_co2)
    names: Sequence[str] = sorted(set(rows["inventory"].to_pylist()) - {COMBINED, None})
    return {name: rows.filter(pc.equal(rows["inventory"], name)).sort_by("source_id") for name in names}
