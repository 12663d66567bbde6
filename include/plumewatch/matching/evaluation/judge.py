"""The rule asked about a world's detections, and how often it is right, with how many trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.gases import CO2
from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.matching.candidates import ListedSources, find_candidates
from plumewatch.matching.detections import DETECTIONS
from plumewatch.matching.evaluation.bound import Posterior
from plumewatch.matching.evaluation.worlds import Detections, Plants
from plumewatch.matching.match import match_candidates, seen_of_sources
from plumewatch.matching.rule import matching_rule
from plumewatch.statuses import UNKNOWN_SOURCE

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

ISOLATED_KM = 30.0  # an isolated source has no other so near
TONNES_PER_KT = 1000.0
BINS = 5
LEAST_ISOLATED, LEAST_CLUSTERED, LEAST_UNKNOWN, MOST_KNOWN, MOST_OFF = 0.92, 0.70, 0.85, 0.05, 0.1
FALSE_SHARES = (0.02, 0.05)  # of known sources flagged, at which the unknown flagged are told


@dataclass(frozen=True)
class Answers:
    """What is said of each detection."""

    plant: NDArray[np.intp]
    """The first one, -1 for none that is listed."""
    confidence: Floats
    """Probability of that."""
    unlisted: Floats
    """Probability that none is listed."""
    is_flagged: Booleans
    """Said to be of an unknown source."""
    names: tuple[frozenset[int], ...]
    """All plants that the answer names, -1 for none."""


def table_of(detections: Detections, has_intervals: bool = True) -> pa.Table:
    """Return a world's detections as DETECTIONS, their ids their places in it."""
    n = len(detections)
    interval = np.exp(0.35) if has_intervals else np.nan  # what their makers think of the rate's error
    columns = {
        "detection_id": [f"{i:08d}" for i in range(n)],
        "longitude": detections.longitude,
        "latitude": detections.latitude,
        "wind_u_m_s": detections.wind_u_m_s,
        "wind_v_m_s": detections.wind_v_m_s,
        "emission": detections.rate_kt_h,
        "emission_low": detections.rate_kt_h / interval,
        "emission_high": detections.rate_kt_h * interval,
        "sigma_km": detections.sigma_km,
    }
    columns |= {name: pa.nulls(n) for name in DETECTIONS.names if name not in columns}
    return pa.table({name: columns[name] for name in DETECTIONS.names}).cast(DETECTIONS)


def sources_of(plants: Plants) -> ListedSources:
    """Return plants as the sources of an inventory, their ids their places in it."""
    n = len(plants)
    return ListedSources.of(
        pa.table(
            {
                "source_id": [f"{i:08d}" for i in range(n)],
                "inventory": ["gppd"] * n,
                "longitude": plants.longitude,
                "latitude": plants.latitude,
                "emission_t_y": plants.emission_kt_h * TONNES_PER_KT * HOURS_PER_YEAR,
            }
        )
    )


def answers_of_rule(detections: Detections, plants: Plants, months: int = 1, *, has_intervals: bool = True) -> Answers:
    """Return what the rule says, the detections spread over so many keys, their rates with or without an interval."""
    seen, listed, n = table_of(detections, has_intervals), sources_of(plants), len(detections)
    key = np.arange(n) % months
    found = pa.concat_tables([_matched(seen.filter(pa.array(key == month)), listed) for month in range(months)])
    owner = np.array([int(one) for one in found["detection_id"].to_pylist()])
    plant = np.array([-1 if one is None else int(one) for one in found["source_id"].to_pylist()])
    probability, is_first = found["probability"].to_numpy(), found["rank"].to_numpy() == 1
    is_answer = found["is_answer"].to_numpy(zero_copy_only=False)
    is_unknown = np.array([status == UNKNOWN_SOURCE for status in found["status"].to_pylist()])
    first, confidence, unlisted = np.full(n, -1), np.zeros(n), np.zeros(n)
    flagged, names = np.zeros(n, bool), [set[int]() for _ in range(n)]
    first[owner[is_first]], confidence[owner[is_first]] = plant[is_first], probability[is_first]
    unlisted[owner[plant < 0]] = probability[plant < 0]
    flagged[owner[is_first]] = is_unknown[is_first]
    for one, name in zip(owner[is_answer].tolist(), plant[is_answer].tolist(), strict=True):
        names[one].add(name)
    return Answers(first, confidence, unlisted, flagged, tuple(map(frozenset, names)))


def _matched(seen: pa.Table, listed: ListedSources) -> pa.Table:
    place = seen["longitude"].to_numpy(), seen["latitude"].to_numpy()
    pairs = find_candidates(*place, listed, matching_rule(CO2.name).position.max_distance_km)
    elsewhere = seen_of_sources(seen, pairs, CO2.name)
    return match_candidates(seen, pairs, CO2.name, elsewhere=elsewhere)


def answers_of_bound(posterior: Posterior) -> Answers:
    """Return what who knows all distributions would say."""
    n = len(posterior.unlisted)
    order = np.lexsort((posterior.probability, posterior.detection))
    owner = posterior.detection[order]
    last = order[np.append(owner[1:] != owner[:-1], True)] if n else order
    best, plant = np.zeros(n), np.full(n, -1)
    best[posterior.detection[last]] = posterior.probability[last]
    plant[posterior.detection[last]] = posterior.plant[last]
    plant = np.where(best > posterior.unlisted, plant, -1)
    names = tuple(frozenset([int(one)]) for one in plant)
    return Answers(plant, np.maximum(best, posterior.unlisted), posterior.unlisted, plant < 0, names)


@dataclass(frozen=True)
class Score:
    """How often answers are right; shares, with the trials behind them."""

    isolated: float
    n_isolated: int
    clustered: float
    n_clustered: int
    named: float
    """Of those in clusters: the truth is among the names of the answer."""
    n_names: float
    """Names of an answer in a cluster, on average."""
    unknown: float
    n_unknown: int
    known: float
    n_known: int
    unknown_at: tuple[float, ...]
    """Unknown ones flagged where the limit is such that FALSE_SHARES of the known are."""
    off: float
    """How far the share that is right is from what is said, in the worst of equal bins of confidence."""

    def misses(self) -> list[str]:
        """Return the limits that aren't kept."""
        kept = {
            f"isolated >= {LEAST_ISOLATED}": self.isolated >= LEAST_ISOLATED,
            f"clusters >= {LEAST_CLUSTERED}": self.clustered >= LEAST_CLUSTERED,
            f"unknown flagged >= {LEAST_UNKNOWN}": self.unknown >= LEAST_UNKNOWN,
            f"known flagged <= {MOST_KNOWN}": self.known <= MOST_KNOWN,
            f"bins off <= {MOST_OFF}": self.off <= MOST_OFF,
        }
        return [name for name, is_kept in kept.items() if not is_kept]


def score(answers: Answers, detections: Detections, plants: Plants) -> Score:
    """Return how good the answers are."""
    near = plants.tree().query_ball_point(
        unit_vectors(plants.longitude, plants.latitude), distance_to_chord(ISOLATED_KM), return_length=True
    )
    is_known = detections.source >= 0
    is_isolated = is_known & (near[np.maximum(detections.source, 0)] == 1)
    in_cluster = is_known & ~is_isolated
    is_right = answers.plant == detections.source
    is_named = np.array([truth in some for truth, some in zip(detections.source.tolist(), answers.names, strict=True)])
    n_names = np.array([len(some) for some in answers.names])
    limits = [np.quantile(answers.unlisted[is_known], 1.0 - share) for share in FALSE_SHARES]
    bins = np.array_split(np.argsort(answers.confidence, kind="stable"), BINS)
    return Score(
        _mean(is_right[is_isolated]), int(is_isolated.sum()), _mean(is_right[in_cluster]), int(in_cluster.sum()),
        _mean(is_named[in_cluster]), _mean(n_names[in_cluster]),
        _mean(answers.is_flagged[~is_known]), int((~is_known).sum()),
        _mean(answers.is_flagged[is_known]), int(is_known.sum()),
        tuple(_mean(answers.unlisted[~is_known] > limit) for limit in limits),
        max(abs(_mean(answers.confidence[one]) - _mean(is_right[one])) for one in bins),
    )  # fmt: skip


def score_lines(scores: Sequence[tuple[str, Score]]) -> list[str]:
    """Return a table of scores."""
    head = ("", "isolated", "clusters", "named", "names", "unknown", "known", "at 2 %", "at 5 %", "off")
    lines = ["{:<34}{:>9}{:>9}{:>7}{:>7}{:>9}{:>7}{:>8}{:>8}{:>7}".format(*head)]
    for name, one in scores:
        shares = (one.isolated, one.clustered, one.named, one.n_names, one.unknown, one.known, *one.unknown_at, one.off)
        lines.append(
            "{:<34}{:>9.3f}{:>9.3f}{:>7.3f}{:>7.2f}{:>9.3f}{:>7.3f}{:>8.3f}{:>8.3f}{:>7.3f}".format(name, *shares)
        )
    one = scores[0][1]
    lines.append(
        f"trials: {one.n_isolated} isolated, {one.n_clustered} in clusters, {one.n_unknown} of unknown sources, "
        f"{one.n_known} of known ones"
    )
    return lines


def _mean(values: NDArray[np.bool_ | np.float64 | np.int_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
