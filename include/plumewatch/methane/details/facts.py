"""All that the numbers of one candidate came from, as plain values that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

import numpy as np

from plumewatch.constants import SECONDS_PER_HOUR
from plumewatch.methane.cut_offs import compute_cut_off
from plumewatch.methane.pass_search import PassResult
from plumewatch.methane.passes import OTHER_BANDS, Pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.quantification import Mass, effective_wind_m_s
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.pages.wording import status_text

SHOWN_WINDS_M_S = (2.0, 4.0, 6.0, 8.0)  # of the table of rates: where plumes are seen
LARGEST_EXACT_INTEGER = 2**53  # readers of JSON that know only doubles spoil larger ones
FORMULA = "Q = (slope x U10 + offset) x IME / sqrt(area)"
FORMULA_SOURCE = "Varon et al. 2021, doi:10.5194/amt-14-2771-2021"


def plume_facts(result: PassResult, plume: Plume, limits: PlumeThresholds) -> dict[str, Any]:
    """Return the row of the candidate and what it was made from: references, tests, noise, mass, rate by wind.

    The keys are the same for every candidate; what isn't known is None, never NaN.
    """
    target, detection = result.target, result.detection
    facts = {name: value for name, value in plume.table_row.items() if name != "geometry"}
    facts |= {
        "platform": target.platform,
        "relative_orbit": target.relative_orbit,
        "air_mass_factor": target.air_mass_factor,
        "view_zenith_deg": target.view_zenith_deg,
        "pixel_size_m": target.pixel_size_m,
        "epsg": target.epsg,
        "clear_fraction": target.clear_fraction,
        "status_text": status_text(plume.candidate.status),
        "references": [
            _reference(target, reference) | {"weight": weight}
            for reference, weight in zip_longest(result.references, detection.reference_weights if detection else ())
        ],
        "observation": result.observation,
        "tests": plume.candidate.tests,
        "tests_skipped": [band for band in OTHER_BANDS if f"{band}_correlation" not in plume.candidate.tests],
        "significance": plume.candidate.significance,
        "scale_m": plume.candidate.scale_m,
        "noise_mol_m2": {f"{scale:g} m": sigma for scale, sigma in detection.noise_mol_m2.items()} if detection else {},
        "significance_per_mol_m": detection.significance_per_mol_m if detection else None,
        "cut_off": _cut_off(result, plume),
        "ime_sigma_kg": plume.mass.ime_sigma_kg,
        "ime_per_length_kg_m": dict(
            zip(("one_pixel_smaller", "mask", "one_pixel_larger"), plume.mass.ime_per_length_kg_m, strict=True)
        ),
        "wind": _wind(plume),
        "emission_formula": FORMULA,
        "emission_formula_source": FORMULA_SOURCE,
        "emission_rule": asdict(limits.emission),
        "emission_by_wind_kg_h": {
            f"{speed:g} m/s": rate for speed, rate in emission_by_wind_kg_h(plume.mass, SHOWN_WINDS_M_S, limits).items()
        },
        "outline": plume.geometry.__geo_interface__,
        "calibration": limits.version,
        "thresholds": {name: section for name, section in asdict(limits).items() if name != "version"},
    }
    plain: dict[str, Any] = as_plain(facts)
    return plain


def emission_by_wind_kg_h(mass: Mass, speeds_m_s: Sequence[float], limits: PlumeThresholds) -> dict[float, float]:
    """Return the rate that each wind speed at 10 m would give: what is known without one."""
    per_length = mass.ime_per_length_kg_m[1]
    return {u: float(effective_wind_m_s(u, limits)) * per_length * SECONDS_PER_HOUR for u in speeds_m_s}


def as_plain(value: Any) -> Any:
    """Return a value as JSON holds it: no NaN, no infinity, times as ISO text, integers beyond 2**53 as text.

    >>> as_plain({"a": float("nan"), 1.5: (2016083111560104, 2**60)})
    {'a': None, '1.5': [2016083111560104, '1152921504606846976']}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): as_plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(part) for part in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) > LARGEST_EXACT_INTEGER else value
    return value.isoformat() if isinstance(value, datetime | date) else value


def _reference(target: Pass, reference: Pass) -> dict[str, Any]:
    times = target.observed_at_utc, reference.observed_at_utc
    return {
        "scene_ids": reference.scene_ids,
        "platform": reference.platform,
        "relative_orbit": reference.relative_orbit,
        "observed_at_utc": reference.observed_at_utc,
        "days_before": None if times[0] is None or times[1] is None else (times[0] - times[1]).days,
        "clear_fraction": reference.clear_fraction,
        "view_zenith_deg": reference.view_zenith_deg,
    }


def _cut_off(result: PassResult, plume: Plume) -> dict[str, Any] | None:
    if result.detection is None:
        return None
    cut = compute_cut_off(plume.candidate.mask, np.isfinite(result.target.b11), result.detection.valid)
    return {"at_edge": cut.at_edge, "at_gap": cut.at_gap, "text": cut.text}


def _wind(plume: Plume) -> dict[str, Any] | None:
    if plume.wind is None:
        return None
    wind = plume.wind
    return {
        "u_m_s": wind.wind_u_m_s,
        "v_m_s": wind.wind_v_m_s,
        "speed_m_s": wind.speed_m_s,
        "from_deg": wind.from_deg,
        "height_m": wind.height_m,
        "product": wind.product,
        "from_heights_m": wind.from_heights_m,
    }


def references_text(references: Sequence[Pass]) -> str:
    """Return how many passes a pass was compared with, and from when to when."""
    if not references:
        return "no reference: compared with its own surroundings"
    days = sorted(f"{one.observed_at_utc:%Y-%m-%d}" for one in references if one.observed_at_utc is not None)
    span = "" if not days else f" ({days[0]})" if days[0] == days[-1] else f" ({days[0]} to {days[-1]})"
    return f"{len(references)} reference{'s' if len(references) > 1 else ''}{span}"
