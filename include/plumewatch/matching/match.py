"""Which source a detection comes from: the probability of each candidate, and of a source that no inventory lists.

A source's weight is how strongly sources like it make detections here: prior x position,

    prior = expected emission ^ p
    position of CO2 peaks = N(across-wind distance; 0, s) x P(upwind) x exp(-along-wind distance / decay),
    s^2 = (position error)^2 + (plume width at that distance)^2 + (along-wind distance x tan(direction error))^2
    position of CH4 plumes = N2(distance; 0, position error), as a plume's origin is its source

and what no inventory lists has the weight of a stated emission density spread evenly: density x the integral of
`position` over the plane. A probability is a weight over the sum of all. The numbers are in `reference/matching.yaml`;
the rule is PROVISIONAL until it has been calibrated on published cases.

"In no inventory" supposes that there is a plume. That there is none at all is told apart: with the probability p of the
detection itself, and noise as likely anywhere as plumes are where there is much to emit,

    false detection = (1 - p) / (1 - p + p x (sum of all weights) / (that sum on average over the land)).

Winds blow towards (u, v). `along_wind_km` is positive where the source is upwind of the detection; `across_wind_km` is
positive where the source lies to the left of the wind's path, looking downwind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.gases import GASES
from plumewatch.geodesy import great_circle_distance_km, local_offset_km
from plumewatch.matching.detections import floats
from plumewatch.matching.rule import MatchingRule, Positions, matching_rule
from plumewatch.statuses import AMBIGUOUS, CONFIRMED, INCONSISTENT_RATE, UNKNOWN_SOURCE
from plumewatch.tables import MATCHES

Floats = NDArray[np.float64]

CALM_M_S = 0.05  # half the last digit that weather models are stored with: below, the direction is rounding

PAIRS = pa.schema(
    [(name, pa.string()) for name in ("detection_id", "source_id", "inventory")]
    + [(name, pa.float64()) for name in ("longitude", "latitude", "emission_t_y")]
)
"""A detection and a source near it, with the place and emission of the source."""


def match_detections(detections: pa.Table, pairs: pa.Table, gas: str) -> pa.Table:
    """Return the rows of the table `matches` for DETECTIONS, given the PAIRS within the rule's distance.

    Each detection has one row without source, "in no inventory"; its probabilities sum to 1 and rank 1 is the most
    probable. The status says what came of the detection: unknown_source where no listed source is the most probable;
    inconsistent_rate where the interval of its rate misses the expected rate by more than the stated factor either
    way; ambiguous where no source has more than half of the probability, or the first has no clear lead over the second
    (`confirmed_lead` times); else confirmed. Sources that lie as well as
    the first one emit into the same peak, so the expected rate counts them too. A detection without rate is judged by
    place alone.

    A plant of 1 kt/h on the axis 20 km upwind in 5 m/s, alone: position = 0.056 x 0.67 per km, weight 0.038 against
    1.8e-5 x 50 x 0.86 = 0.0008 of what isn't listed: probability 0.98.
    """
    rule = matching_rule(gas)
    detections = detections.sort_by("detection_id")
    ids = detections["detection_id"].to_numpy(zero_copy_only=False).astype(str)
    owner = np.searchsorted(ids, pairs["detection_id"].to_numpy(zero_copy_only=False).astype(str))
    at, speed = _positions(detections, pairs, owner)
    expected = floats(pairs["emission_t_y"]) * GASES[gas].units_per_t_y
    density, closeness = rule.position.densities(at)
    weight = expected**rule.position.emission_power * density
    weight = np.where(np.isfinite(weight), weight, 0.0)  # a source without a stated emission can't be weighed
    of_unlisted = rule.position.unlisted_weights(speed)
    is_false = _false_detections(detections, rule, weight, of_unlisted, owner)
    probability, unlisted = _shares(weight, of_unlisted, owner)
    kept = np.flatnonzero((probability >= rule.min_probability) & (weight > 0))
    owner, expected, closeness = owner[kept], expected[kept], closeness[kept]
    probability, unlisted = _shares(probability[kept], unlisted, owner)

    status = _statuses(detections, rule, owner, expected, closeness, probability, unlisted, is_false)
    detected = floats(detections["emission"])
    blank = np.full(len(ids), np.nan)
    source = pairs.take(pa.array(kept))
    which = np.concatenate([owner, np.arange(len(ids))])
    rows = {
        "detection_id": ids[which],
        "source_id": pa.concat_arrays([source["source_id"].combine_chunks(), pa.nulls(len(ids), pa.string())]),
        "inventory": pa.concat_arrays([source["inventory"].combine_chunks(), pa.nulls(len(ids), pa.string())]),
        "probability": np.concatenate([probability, unlisted]),
        "distance_km": np.concatenate([at.distance_km[kept], blank]),
        "along_wind_km": np.concatenate([at.along_km[kept], blank]),
        "across_wind_km": np.concatenate([at.across_km[kept], blank]),
        "expected_emission": np.concatenate([expected, blank]),
        "detected_emission": detected[which],
        "ratio": detected[which] / np.concatenate([expected, blank]),
        "status": status[which],
        "false_detection_probability": is_false[which],
    }
    return _ranked(rows)


def _positions(detections: pa.Table, pairs: pa.Table, owner: NDArray[np.intp]) -> tuple[Positions, Floats]:
    """Positions of the pairs, and the wind speed of each detection (NaN without wind or in a calm)."""
    lon0, lat0, u, v = (floats(detections[n]) for n in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s"))
    lon, lat = floats(pairs["longitude"]), floats(pairs["latitude"])
    speed = np.hypot(u, v)
    speed = np.where(speed >= CALM_M_S, speed, np.nan)
    east, north = local_offset_km(lon0[owner], lat0[owner], lon, lat)
    to_east, to_north = (u / speed)[owner], (v / speed)[owner]
    along, across = -(east * to_east + north * to_north), north * to_east - east * to_north
    distance = great_circle_distance_km(lon0[owner], lat0[owner], lon, lat)
    return Positions(distance, along, across, speed[owner]), speed


def _false_detections(
    detections: pa.Table, rule: MatchingRule, weight: Floats, of_unlisted: Floats, owner: NDArray[np.intp]
) -> Floats:
    """Probability that there is no plume, NaN where a detection has no probability of its own."""
    plume = floats(detections["probability"])
    total = of_unlisted + np.bincount(owner, weights=weight, minlength=len(of_unlisted))
    usual = of_unlisted * (1.0 + rule.position.listed_density / rule.position.unlisted_density)
    return (1.0 - plume) / (1.0 - plume + plume * total / usual)


def _shares(weight: Floats, unlisted: Floats, owner: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Weights of pairs and of "in no inventory" over their sum in each detection."""
    total = unlisted + np.bincount(owner, weights=weight, minlength=len(unlisted))
    return weight / total[owner], unlisted / total


def _statuses(
    detections: pa.Table,
    rule: MatchingRule,
    owner: NDArray[np.intp],
    expected: Floats,
    closeness: Floats,
    probability: Floats,
    unlisted: Floats,
    is_false: Floats,
) -> NDArray[np.str_]:
    n = len(unlisted)
    order = np.lexsort((expected, probability, owner))
    first = order[np.append(owner[order][1:] != owner[order][:-1], True)] if len(order) else order
    best, second, first_closeness = np.zeros(n), unlisted.copy(), np.ones(n)
    best[owner[first]], first_closeness[owner[first]] = probability[first], closeness[first]
    others = np.setdiff1d(order, first)
    np.maximum.at(second, owner[others], probability[others])
    all_told = best * (1.0 - np.nan_to_num(is_false))
    is_unsure = (all_told <= rule.confirmed_probability) | (best < rule.confirmed_lead * second)
    share = np.minimum(closeness / first_closeness[owner], 1.0)
    rate = np.bincount(owner, weights=share * expected, minlength=n)
    low, high = (
        np.where(np.isfinite(end), end, floats(detections["emission"]))
        for end in (floats(detections["emission_low"]), floats(detections["emission_high"]))
    )
    factor = rule.position.rate_factor
    is_off = (low > rate * factor) | (high < rate / factor)  # False where the rate is NaN
    return np.select(
        [best < unlisted, is_off, is_unsure],
        [UNKNOWN_SOURCE, INCONSISTENT_RATE, AMBIGUOUS],
        CONFIRMED,
    )


def _ranked(rows: dict[str, Any]) -> pa.Table:
    """Conformed rows; most probable first, a listed source before none, then by id."""
    sources = np.array(rows["source_id"].to_pylist(), dtype=object)
    is_none = np.array([s is None for s in sources], dtype=bool)
    key = np.where(is_none, "", sources).astype(str)
    order = np.lexsort((key, is_none, -rows["probability"], rows["detection_id"]))
    detection = rows["detection_id"][order]
    starts = np.flatnonzero(np.append(True, detection[1:] != detection[:-1])) if len(order) else order
    rank = np.empty(len(order), np.int16)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order)))) + 1
    columns = {name: _nullable(values) for name, values in {**rows, "rank": rank}.items()}
    return MATCHES.from_columns(columns)


def _nullable(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    return values if isinstance(values, pa.Array) else pa.array(values.tolist())
