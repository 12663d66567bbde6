"""Which source a detection comes from: the probability of each candidate, and of a source that no inventory lists.

A source's weight is how strongly sources like it make detections like this one here,

    weight of CO2 peaks = E^p x place x rate x width
    place = N(arc; 0, s) x exp(-distance / decay) x that the air came so far in some hours,
    s^2 = (place's error)^2 + (plume width)^2 + (distance x direction error)^2 + (extent of an area source)^2 / 12
    rate = N(ln D; ln E, ...), one in ten odd, one in four of all that lie as well together
    width = how well the peak's width agrees with a plume of that distance
    weight of CH4 plumes = kind x E^p x N2(distance; 0, place's error), as a plume's origin is its source,

with E the expected and D the detected emission, and the arc that from the wind's axis to the source. What no inventory
lists has the weight of a stated density of sources spread evenly, and of a share of what is listed around, spread too:
the integral of the same over all places.
A probability is a weight over the sum of all. docs/matching.md says more; the numbers are in `reference/matching.yaml`.

Several passes of one place are one question: what the other detections of a key say of a source, `elsewhere`, raises
its weight by 1 + elsewhere / worth.

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

from plumewatch.matching.candidates import Candidates, candidates_of
from plumewatch.matching.rule import MatchingRule, matching_rule
from plumewatch.matching.sharing import plume_shares
from plumewatch.matching.weights import Weights, compute_weights
from plumewatch.statuses import AMBIGUOUS, CONFIRMED, INCONSISTENT_RATE, UNKNOWN_SOURCE
from plumewatch.table import floats
from plumewatch.tables import MATCHES

Floats = NDArray[np.float64]

SEEN_UNITS = 1e6  # probabilities are summed in millionths: whole numbers have one sum, in whatever order


def match_detections(detections: pa.Table, pairs: pa.Table, gas: str) -> pa.Table:
    """Return the rows of the table `matches` for DETECTIONS, given the PAIRS within the rule's distance.

    Each detection has one row without source, "in no inventory"; its probabilities sum to 1 and rank 1 is the most
    probable. `is_answer` are the first one and those over which it has no clear lead (`confirmed_lead` times): what no
    one can tell apart is one answer with several names. `share` is a source's part of the detected plume (sharing.py).

    The status says what came of the detection: unknown_source where no listed source is more probable than that none
    is, grid cells counted with the latter; inconsistent_rate where the interval of its rate misses the expected rate by
    more than the stated factor either way; ambiguous where no source has more than half of the probability, or the
    first has no clear lead; else confirmed. Sources that lie as well as the first one may emit into the same peak: what
    is expected reaches from the first alone to all of them. A detection without rate is judged by place alone.

    A plant of 1 kt/h on the axis 20 km upwind in 5 m/s, alone, with a rate of 1 kt/h: place 0.056 x 0.67 per km, rate
    0.74, so 0.028, against (2e-5 x 0.49 + 0.1 x 0.74 / 31,400) x 43 = 0.0005 of what isn't listed: probability 0.98.
    """
    detections = detections.sort_by("detection_id")
    ids = detections["detection_id"].to_numpy(zero_copy_only=False).astype(str)
    return match_candidates(detections, candidates_of(pairs, ids), gas)


def match_candidates(
    detections: pa.Table,
    pairs: Candidates,
    gas: str,
    hour_factor: Floats | None = None,
    elsewhere: NDArray[np.int64] | None = None,
) -> pa.Table:
    """Return what `match_detections` does for DETECTIONS by id; `elsewhere` as `seen_of_sources`, of the whole key."""
    rule, owner = matching_rule(gas), pairs.detection
    found = compute_weights(detections, pairs, gas, hour_factor)
    weight = found.weight
    if elsewhere is not None:
        alone, _ = _shares(weight, found.unlisted, owner)
        others = (elsewhere[pairs.source] - _in_units(alone)) / SEEN_UNITS
        weight = weight * (1.0 + np.maximum(others, 0.0) / rule.position.passes_worth)
    is_false = _false_detections(detections, found, owner)
    probability, unlisted = _shares(weight, found.unlisted, owner)
    kept = np.flatnonzero((probability >= rule.min_probability) & (weight > 0))
    owner, expected = owner[kept], found.expected[kept]
    probability, unlisted = _shares(probability[kept], unlisted, owner)
    status = _statuses(detections, rule, owner, found, kept, probability, unlisted, is_false)
    detected = floats(detections["emission"])
    n = detections.num_rows
    blank = np.full(n, np.nan)
    source = pa.array(pairs.source[kept])
    which = np.concatenate([owner, np.arange(n)])
    none = pa.nulls(n, pa.string())
    rows = {
        "detection_id": detections["detection_id"].combine_chunks().take(pa.array(which)),
        "source_id": pa.concat_arrays([pairs.listed.ids.take(source), none]),
        "inventory": pa.concat_arrays([pairs.listed.inventory.take(source), none]),
        "probability": np.concatenate([probability, unlisted]),
        "distance_km": np.concatenate([found.at.distance_km[kept], blank]),
        "along_wind_km": np.concatenate([found.at.along_km[kept], blank]),
        "across_wind_km": np.concatenate([found.at.across_km[kept], blank]),
        "expected_emission": np.concatenate([expected, blank]),
        "detected_emission": detected[which],
        "ratio": detected[which] / np.concatenate([expected, blank]),
        "share": np.concatenate([plume_shares(detections, rule, owner, found, kept, probability), blank]),
        "status": status[which],
        "false_detection_probability": is_false[which],
    }
    return _ranked(rows, which, rule)


def seen_of_sources(
    detections: pa.Table, pairs: Candidates, gas: str, hour_factor: Floats | None = None
) -> NDArray[np.int64]:
    """Return how many of the detections are from each source, each by itself: sums of probabilities, in millionths."""
    found = compute_weights(detections, pairs, gas, hour_factor)
    alone, _ = _shares(found.weight, found.unlisted, pairs.detection)
    seen = np.zeros(len(pairs.listed), np.int64)
    np.add.at(seen, pairs.source, _in_units(alone))
    return seen


def _in_units(probability: Floats) -> NDArray[np.int64]:
    return np.rint(probability * SEEN_UNITS).astype(np.int64)


def _false_detections(detections: pa.Table, found: Weights, owner: NDArray[np.intp]) -> Floats:
    """Probability that there is no plume, NaN where a detection has no probability of its own."""
    plume = floats(detections["probability"])
    total = found.unlisted + np.bincount(owner, weights=found.weight, minlength=len(found.unlisted))
    return (1.0 - plume) / (1.0 - plume + plume * total / found.usual)


def _shares(weight: Floats, unlisted: Floats, owner: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Weights of pairs and of "in no inventory" over their sum in each detection."""
    total = unlisted + np.bincount(owner, weights=weight, minlength=len(unlisted))
    return weight / total[owner], unlisted / total


def _statuses(
    detections: pa.Table,
    rule: MatchingRule,
    owner: NDArray[np.intp],
    found: Weights,
    kept: NDArray[np.intp],
    probability: Floats,
    unlisted: Floats,
    is_false: Floats,
) -> NDArray[np.str_]:
    n, is_named = len(unlisted), ~found.is_cell[kept]
    expected, closeness = found.expected[kept], found.closeness[kept]
    none = unlisted + np.bincount(owner[~is_named], weights=probability[~is_named], minlength=n)
    order = np.lexsort((expected, probability, owner))
    order = order[is_named[order]]
    first = order[np.append(owner[order][1:] != owner[order][:-1], True)] if len(order) else order
    best, second, first_closeness = np.zeros(n), none.copy(), np.ones(n)
    best[owner[first]], first_closeness[owner[first]] = probability[first], closeness[first]
    others = np.setdiff1d(order, first)
    np.maximum.at(second, owner[others], probability[others])
    all_told = best * (1.0 - np.nan_to_num(is_false))
    is_unsure = (all_told <= rule.confirmed_probability) | (best < rule.confirmed_lead * second)
    share = np.minimum(closeness / np.maximum(first_closeness[owner], 1e-300), 1.0) * is_named
    rate = np.bincount(owner, weights=share * expected, minlength=n)
    low, high = (
        np.where(np.isfinite(end), end, floats(detections["emission"]))
        for end in (floats(detections["emission_low"]), floats(detections["emission_high"]))
    )
    factor, alone = rule.position.rate_factor, np.full(n, np.nan)
    alone[owner[first]] = expected[first]
    is_off = (low > rate * factor) | (high < alone / factor)  # False where a rate is NaN
    return np.select(
        [best < none, is_off, is_unsure],
        [UNKNOWN_SOURCE, INCONSISTENT_RATE, AMBIGUOUS],
        CONFIRMED,
    )


def _ranked(rows: dict[str, Any], which: NDArray[np.intp], rule: MatchingRule) -> pa.Table:
    """Conformed rows; most probable first, a listed source before none, then by id."""
    columns = {name: _nullable(values) for name, values in rows.items()}
    ids = columns["source_id"].dictionary_encode()
    place = np.append(np.argsort(np.argsort(ids.dictionary.to_numpy(False).astype(str))), np.iinfo(int).max)
    by_id = place[ids.indices.fill_null(len(ids.dictionary)).to_numpy()]  # none behind all
    order = np.lexsort((by_id, -rows["probability"], which))
    detection = which[order]
    starts = np.flatnonzero(np.append(True, detection[1:] != detection[:-1])) if len(order) else order
    sizes = np.diff(np.append(starts, len(order)))
    table = pa.table(columns).take(pa.array(order))
    rank = (np.arange(len(order)) - np.repeat(starts, sizes) + 1).astype(np.int16)
    probability = rows["probability"][order]
    is_answer = probability * rule.confirmed_lead > np.repeat(probability[starts], sizes)
    further = {"rank": pa.array(rank), "is_answer": pa.array(is_answer)}
    return MATCHES.from_columns({name: table[name] for name in table.column_names} | further)


def _nullable(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    return values if isinstance(values, pa.Array) else pa.array(values)
