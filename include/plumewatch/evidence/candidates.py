"""Places where detections recur that no inventory explains. Pure.

Each detection that may be of an unlisted source has a weight w, the probability that it is a plume and of a source in
no inventory, and speaks for places: a plume of methane for those around its origin, a peak of CO2 for those upwind,

    CH4: k = exp(-distance^2 / 2 s^2), s the size of a cluster
    CO2: k = exp(-across^2 / 2 s^2) x exp(-upwind / decay), s^2 = (position error)^2 + (upwind x tan(direction error))^2

The place for which most speaks, sum of w x k over detections, is a candidate where at least two passes do with k of at
least 0.3; its detections are taken away, and the next place is looked for. How probable it is that a source is there:

    P(at least two of its detections are plumes) / (1 + expected number of such clusters that chance makes around it)

by the density of the other unexplained detections within 300 km, each as likely anywhere.

Its emission is that of all passes that looked at the place, those that saw nothing too, as of a listed source
(posterior.py); beforehand it is what is believed of sources in no inventory.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import pdtrc

from plumewatch.evidence.passes import SAME_PASS_S, look_names, numbers_of
from plumewatch.evidence.posterior import Passes, compute_posterior, prior_of
from plumewatch.evidence.rule import GasRule, evidence_rule
from plumewatch.gases import CH4, Gas
from plumewatch.geodesy import (
    along_and_across,
    destination,
    distance_to_chord,
    index_pairs,
    local_offset_km,
    unit_vectors,
)
from plumewatch.orbits import OCO2
from plumewatch.table import floats
from plumewatch.tables import SOURCE_CANDIDATES, SOURCE_PASSES

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
LooksAt = Callable[[Sequence[str], Floats, Floats], pa.Table]
"""From names and places (degrees) to what orbits looked at them, their names as `source_id` (SOURCE_PASSES)."""

LEAST_KERNEL = 0.3  # of the detections of a candidate
STEP_KM = 5.0  # between the places upwind that a peak speaks for
MIN_PASSES = 2
MICROSECONDS = 1e6
NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class _Pairs:
    """Places and the detections that speak for them, sorted by place."""

    place: Indices
    detection: Indices
    kernel: Floats


def find_candidates(
    gas: Gas, passes: pa.Table, rejected: frozenset[str] = frozenset(), looks_at: LooksAt | None = None
) -> pa.Table:
    """Return SOURCE_CANDIDATES from the rows of SOURCE_PASSES that have no source, of all keys.

    `candidate_id` follows from the first detection of a candidate, by time. Detections that a person has `rejected` are
    none. The emission, in the gas's unit, is that of all passes that looked: of methane the passes over the areas of
    the candidate's plumes (rows of `passes` without source and detection), of CO2 what `looks_at` says of the orbits.
    """
    rules = evidence_rule()
    rule = rules.of(gas.name)
    weight = passes["probability"].fill_null(0.0)
    is_usable = pc.and_(passes["source_id"].is_null(), pc.greater_equal(weight, rules.candidates.least_weight))
    is_out = pc.is_in(passes["detection_id"], value_set=pa.array(sorted(rejected), pa.string()))
    rows = passes.filter(pc.and_(is_usable, pc.invert(is_out)))
    rows = rows.sort_by([("observed_at_utc", "ascending"), ("detection_id", "ascending")])
    if rows.num_rows < MIN_PASSES:
        return SOURCE_CANDIDATES.empty()
    lon, lat, weights = (floats(rows[n]) for n in _PLACE)
    place_lon, place_lat = _places(gas, rule, rows, lon, lat)
    pairs = _pairs(gas, rule, rows, (lon, lat), (place_lon, place_lat))
    names = _pass_numbers(gas, rows)
    tree = cKDTree(unit_vectors(lon, lat))
    numbers = numbers_of(rows, [])
    found: list[_Found] = []
    for chosen, members in _clusters(pairs, weights, names, len(place_lon)):
        speaking = _one_of_each_pass(members, names, weights)
        at_place = place_lon[chosen], place_lat[chosen]
        probability = _probability(gas, rule, tree, at_place, weights, members, len(speaking))
        if probability < rules.candidates.least_probability:
            continue
        own = (pairs.place == chosen) & np.isin(pairs.detection, members)
        at = _centre(gas, rule, pairs.detection[own], (lon, lat), at_place, weights)
        found.append(_Found(_name(gas, rows, members), at, members, speaking, probability))
    looks = _looks(gas, passes, rows, found, looks_at)
    return SOURCE_CANDIDATES.from_pylist([_row(gas, rows, one, numbers, looks) for one in found])


_PLACE = ("longitude", "latitude", "probability")


@dataclass(frozen=True)
class _Found:
    """A candidate: where it is, and which rows are its detections."""

    name: str
    at: tuple[float, float]
    members: Indices
    speaking: Indices
    """One of them for each pass, by which it emits."""
    probability: float


def _one_of_each_pass(members: Indices, names: Indices, weights: Floats) -> Indices:
    """The most probable detection of each pass, as of a listed source; of equal ones the first."""
    order = members[np.argsort(-weights[members], kind="stable")]
    _, first = np.unique(names[order], return_index=True)
    return np.sort(order[first])


def _name(gas: Gas, rows: pa.Table, members: Indices) -> str:
    first = rows["detection_id"][int(members[0])].as_py()
    return "candidate-" + hashlib.sha256(f"{gas.name} {first}".encode()).hexdigest()[:12]


def _looks(
    gas: Gas, passes: pa.Table, rows: pa.Table, found: Sequence[_Found], looks_at: LooksAt | None
) -> Mapping[str, pa.Table]:
    """Passes that looked at each candidate and didn't see it, by its name (SOURCE_PASSES)."""
    if not found:
        return {}
    if gas is CH4:
        is_look = pc.and_(passes["source_id"].is_null(), passes["detection_id"].is_null())
        looked = passes.filter(is_look)
        by_name = {
            one.name: looked.filter(pc.is_in(looked["area"], value_set=_of(rows, "area", one.members))) for one in found
        }
    else:
        if looks_at is None:
            return {}
        looked = looks_at([one.name for one in found], *(np.array([one.at[i] for one in found]) for i in (0, 1)))
        by_name = {one.name: looked.filter(pc.equal(looked["source_id"], one.name)) for one in found}
    return {one.name: _unseen(gas, by_name[one.name], rows.take(pa.array(one.members))) for one in found}


def _unseen(gas: Gas, looked: pa.Table, seen: pa.Table) -> pa.Table:
    """Passes that looked, without those of the detections."""
    if gas is CH4:  # tiles of one pass are some seconds apart
        times, others = (t["observed_at_utc"].cast(pa.int64()).to_numpy(zero_copy_only=False) for t in (looked, seen))
        apart = np.abs(times[:, None].astype(float) - others[None].astype(float)) / MICROSECONDS
        unseen = looked.filter(pa.array(~(apart <= SAME_PASS_S).any(axis=1)))
        _, first = np.unique(_pass_numbers(gas, unseen), return_index=True)  # areas may overlap
        return unseen.take(pa.array(first))
    sensor, orbit = (seen[name].to_pylist() for name in ("sensor", "orbit"))
    own = set(zip(sensor, orbit, strict=True))
    names = zip(looked["sensor"].to_pylist(), looked["orbit"].to_pylist(), strict=True)
    return looked.filter(pa.array([(a or OCO2, b) not in own for a, b in names], pa.bool_()))


def _of(rows: pa.Table, name: str, at: Indices) -> pa.Array:
    return pc.drop_null(pc.unique(rows[name].take(pa.array(at))))


def _places(gas: Gas, rule: GasRule, rows: pa.Table, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Places that are looked into: origins of plumes; of peaks steps upwind, or, without a wind, their own."""
    if gas is CH4:
        return lon, lat
    origin = floats(rows["wind_from_deg"])
    steps = np.arange(0.0, rule.reach_km + STEP_KM, STEP_KM)
    known = np.isfinite(origin)
    far = np.broadcast_to(steps, (len(lon), len(steps)))[known]
    x, y = destination(lon[known, None], lat[known, None], origin[known, None], far)
    return np.concatenate([x.ravel(), lon[~known]]), np.concatenate([y.ravel(), lat[~known]])


def _pairs(
    gas: Gas, rule: GasRule, rows: pa.Table, seen: tuple[Floats, Floats], places: tuple[Floats, Floats]
) -> _Pairs:
    reach_km = 3.0 * rule.cluster_km if gas is CH4 else rule.reach_km
    tree = cKDTree(unit_vectors(*seen))
    near = tree.query_ball_point(unit_vectors(*places), distance_to_chord(reach_km))
    place, detection = index_pairs(near)
    east, north = local_offset_km(*(a[detection] for a in seen), *(a[place] for a in places))
    distance = np.hypot(east, north)
    kernel = np.exp(-0.5 * (distance / rule.cluster_km) ** 2)
    if gas is not CH4:
        origin = np.radians(floats(rows["wind_from_deg"]))[detection]
        upwind, across = along_and_across(east, north, np.sin(origin), np.cos(origin))
        ahead = np.maximum(upwind, 0.0)
        sigma = np.hypot(rule.position_sigma_km, ahead * np.tan(np.radians(rule.direction_sigma_deg)))
        behind = np.minimum(upwind, 0.0) / rule.position_sigma_km
        by_wind = np.exp(-0.5 * ((across / sigma) ** 2 + behind**2) - ahead / rule.decay_km)
        kernel = np.where(np.isfinite(by_wind), by_wind, kernel)
    kept = kernel > NEGLIGIBLE
    return _Pairs(place[kept], detection[kept], kernel[kept])


def _pass_numbers(gas: Gas, rows: pa.Table) -> Indices:
    """A number for each pass; several detections of one pass speak once, also those of areas that overlap."""
    columns = ["observed_at_utc", "scene_id"] if gas is CH4 else ["sensor", "orbit"]
    return pd.factorize(look_names(gas, rows.select(columns).to_pandas()))[0].astype(np.intp)


def _clusters(pairs: _Pairs, weights: Floats, names: Indices, n: int) -> list[tuple[int, Indices]]:
    """Places with the detections that are theirs, that for which most speaks first."""
    value: Floats = weights[pairs.detection] * pairs.kernel
    score: Floats = np.bincount(pairs.place, weights=value, minlength=n).astype(float)
    begins = np.searchsorted(pairs.place, np.arange(n + 1))
    by_detection = np.argsort(pairs.detection, kind="stable")
    its = np.searchsorted(pairs.detection[by_detection], np.arange(len(weights) + 1))
    left = np.ones(len(weights), bool)
    found = []
    is_close = pairs.kernel >= LEAST_KERNEL
    of_passes = np.unique(pairs.place[is_close] * (names.max() + 1) + names[pairs.detection[is_close]])
    enough = np.bincount(of_passes // (names.max() + 1), minlength=n) >= MIN_PASSES
    queue = [(-float(score[place]), int(place)) for place in np.flatnonzero(enough)]
    heapq.heapify(queue)
    while queue:
        negative, best = heapq.heappop(queue)
        if -negative != score[best]:  # it has lost detections since: a score only falls
            if score[best] > 0.0:
                heapq.heappush(queue, (-float(score[best]), best))
            continue
        stretch = slice(begins[best], begins[best + 1])
        members = pairs.detection[stretch][(pairs.kernel[stretch] >= LEAST_KERNEL) & left[pairs.detection[stretch]]]
        if len(np.unique(names[members])) < MIN_PASSES:
            continue
        found.append((best, np.sort(members)))
        left[members] = False
        for one in members:
            gone = by_detection[its[one] : its[one + 1]]
            rest = score[pairs.place[gone]] - value[gone]
            score[pairs.place[gone]] = np.where(rest < NEGLIGIBLE, 0.0, rest)
        if score[best] > 0.0:
            heapq.heappush(queue, (-float(score[best]), best))
    return found


def _probability(
    gas: Gas,
    rule: GasRule,
    tree: cKDTree,
    at: tuple[float, float],
    weights: Floats,
    members: Indices,
    n_passes: int,
) -> float:
    none, one = 1.0, 0.0  # that none, and that exactly one of the detections is a plume of an unlisted source
    for weight in weights[members]:
        none, one = none * (1.0 - weight), one * (1.0 - weight) + none * weight
    radius_km = evidence_rule().candidates.surroundings_km
    [near] = tree.query_ball_point(unit_vectors([at[0]], [at[1]]), distance_to_chord(radius_km))
    others = np.setdiff1d(np.array(near, dtype=np.intp), members)
    # What a detection speaks for, its k over the plane, meets that of another by chance.
    width = rule.position_sigma_km + rule.decay_km / 2 * np.tan(np.radians(rule.direction_sigma_deg))
    reach = rule.decay_km * -np.expm1(-rule.reach_km / rule.decay_km)
    size_km2 = 2 * np.pi * rule.cluster_km**2 if gas is CH4 else np.sqrt(2 * np.pi) * width * reach
    expected = len(others) * size_km2 / (np.pi * radius_km**2)
    by_chance = len(others) * float(pdtrc(n_passes - 2, expected)) if len(others) else 0.0
    return float((1.0 - none - one) / (1.0 + by_chance))


def _centre(
    gas: Gas,
    rule: GasRule,
    own: Indices,
    seen: tuple[Floats, Floats],
    place: tuple[float, float],
    weights: Floats,
) -> tuple[float, float]:
    """The place of a candidate: of plumes the mean of their origins, of peaks that for which most speaks."""
    if gas is not CH4:
        return place
    east, north = local_offset_km(*place, seen[0][own], seen[1][own])
    x, y = (float(np.average(offset, weights=weights[own])) for offset in (east, north))
    lon, lat = destination(*place, float(np.degrees(np.arctan2(x, y))), float(np.hypot(x, y)))
    return float(lon), float(lat)


def _row(gas: Gas, rows: pa.Table, found: _Found, numbers: Passes, looks: Mapping[str, pa.Table]) -> dict[str, Any]:
    members = found.members
    ids = [rows["detection_id"][int(one)].as_py() for one in members]
    times: list[datetime] = [t for one in members if (t := rows["observed_at_utc"][int(one)].as_py()) is not None]
    unseen = looks.get(found.name, SOURCE_PASSES.empty())
    both = [
        np.concatenate([own[found.speaking], others])
        for own, others in zip(_values(numbers), _values(numbers_of(unseen, [])), strict=True)
    ]
    passes = Passes(np.zeros(len(both[0]), np.intp), *both)
    has_rate = np.isfinite(numbers.rate[found.speaking]).any()
    unlisted = prior_of(gas.name, np.array([np.nan]), np.array([np.nan]))
    posterior = compute_posterior(gas.name, unlisted, passes)
    return {
        "candidate_id": found.name,
        "longitude": round(found.at[0], 5),
        "latitude": round(found.at[1], 5),
        "times_observed": len(found.speaking) + unseen.num_rows,
        "times_seen": len(found.speaking),
        "emission": float(posterior.median[0]) if has_rate else None,
        "emission_low": float(posterior.low[0]) if has_rate else None,
        "emission_high": float(posterior.high[0]) if has_rate else None,
        "probability": found.probability,
        "first_seen": min(times, default=None),
        "last_seen": max(times, default=None),
        "detection_ids": ids,
    }


def _values(passes: Passes) -> tuple[Floats, ...]:
    return passes.visible, passes.limit, passes.probability, passes.rate, passes.rate_sigma
