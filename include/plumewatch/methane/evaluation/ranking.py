"""How well a score sorts scenes with a plume before those without: average precision at a base rate of 5 %."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.gases import MULTI_PASS
from plumewatch.methane.evaluation.ground import DESERT, FIELDS
from plumewatch.methane.evaluation.measure import Setting, Trial
from plumewatch.methane.evaluation.seeds import judging_seed

SCENE_PX = 200
BASE_RATE = 0.05
EVERY = 20  # one scene in so many has a plume
RATE_KG_H = (500.0, 10_000.0)  # log-uniform
DRAWS = 1000  # of the bootstrap
INTERVAL = (0.025, 0.975)

DETECTOR, BARE = MULTI_PASS, "bare threshold"


@dataclass(frozen=True)
class Ranking:
    """Average precision of one score."""

    name: str
    """Of the score."""
    value: float
    """Average precision."""
    low: float
    """Lower end of its 95 % interval over the choice of scenes."""
    high: float
    """Upper end."""
    n_scenes: int
    """Scenes with this score."""
    n_plumes: int
    """Of these with a plume."""


def ranking_settings(count: int, n_forest: int, n_more: int = 0) -> Iterator[Setting]:
    """Return `count` scenes, every 20th with a plume, half of either kind of ground; the forest on the first ones.

    Then `n_more` with a plume each: as many plumes as 5 % of 1,000 scenes has tell too little.
    """
    for number in range(count + n_more):
        seed = judging_seed("ranking", number)
        has_plume = number % EVERY == EVERY - 1 or number >= count
        ground = (DESERT, FIELDS)[(number + number // EVERY) % 2]
        yield Setting(
            seed, ground, draw_rate(seed, RATE_KG_H) if has_plume else 0.0, size=SCENE_PX, has_baselines=True,
            has_forest=number < n_forest,
        )  # fmt: skip


def draw_rate(seed: int, limits_kg_h: tuple[float, float]) -> float:
    """Return a log-uniform rate that depends on the seed alone."""
    low, high = np.log(limits_kg_h)
    return float(np.exp(np.random.default_rng([seed, 2]).uniform(low, high)))


def average_precision(is_plume: ArrayLike, scores: ArrayLike, base_rate: float | None = None) -> float:
    """Return the sum of precision x step of recall over falling scores; equal scores count as one step.

    With a base rate, scenes with and without a plume are weighted to it. A score that says nothing has the base rate in
    expectation; NaN where all or none have a plume.
    """
    truth, score = np.asarray(is_plume, bool), np.asarray(scores, float)
    share = truth.mean()
    if not 0 < share < 1:
        return float("nan")
    rate = share if base_rate is None else base_rate
    order = np.argsort(-score, kind="stable")
    truth, score = truth[order], score[order]
    last = np.append(score[1:] != score[:-1], True)  # of equal ones
    found = np.cumsum(truth * rate / share)[last]
    wrong = np.cumsum(~truth * (1 - rate) / (1 - share))[last]
    return float(np.sum(np.diff(np.append(0.0, found)) * found / (found + wrong)) / found[-1])


def scene_scores(trials: Sequence[Trial]) -> NDArray[np.int64]:
    """Return the place of each scene's best candidate in the order of all: by probability, equal ones by significance.

    0 where there is no candidate.
    """
    best = [trial.candidates[0].rank if trial.candidates else (-1.0, 0.0) for trial in trials]
    place = {rank: number for number, rank in enumerate(sorted({*best, (-1.0, 0.0)}))}
    return np.array([place[rank] for rank in best], np.int64)


def rank_scenes(name: str, is_plume: ArrayLike, scores: ArrayLike) -> Ranking:
    """Return the average precision at a base rate of 5 %, and an interval.

    For the interval scenes with and without a plume are drawn again, each kind from its own.
    """
    truth, score = np.asarray(is_plume, bool), np.asarray(scores, float)
    rng = np.random.default_rng(0)
    kinds = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    draws = [np.concatenate([rng.choice(kind, len(kind)) for kind in kinds]) for _ in range(DRAWS)]
    low, high = np.quantile([average_precision(truth[d], score[d], BASE_RATE) for d in draws], INTERVAL)
    value = average_precision(truth, score, BASE_RATE)
    return Ranking(name, value, float(low), float(high), len(truth), int(truth.sum()))


def rankings(trials: Sequence[Trial]) -> dict[str, Ranking]:
    """Return those of the detector, the bare threshold and the forest's scores, on scenes whose plume can be seen."""
    seen = [trial for trial in trials if trial.is_visible]
    truth = [trial.setting.emission_kg_h > 0 for trial in seen]
    result = {
        DETECTOR: rank_scenes(DETECTOR, truth, scene_scores(seen)),
        BARE: rank_scenes(BARE, truth, [trial.bare for trial in seen]),
    }
    tried = [trial for trial in seen if trial.forest]
    truth = [trial.setting.emission_kg_h > 0 for trial in tried]
    for name in tried[0].forest if any(truth) else ():
        result[name] = rank_scenes(name, truth, [trial.forest[name] for trial in tried])
    return result


def ranking_lines(trials: Sequence[Trial], n_plain: int) -> list[str]:
    """Return a table of the average precision of each score: of the first `n_plain` scenes, of all, and by ground.

    Of these `n_plain` 5 % have a plume; all others are plumes and weigh so little that it is 5 % again.
    """
    groups = {f"first {n_plain}": list(trials[:n_plain]), "all": list(trials)}
    groups |= {ground: [t for t in trials if t.setting.ground == ground] for ground in (DESERT, FIELDS)}
    lines = ["score                          scenes of    number  plumes  average precision (95 %)"]
    for name, some in groups.items():
        seen = {trial.setting.emission_kg_h > 0 for trial in some if trial.is_visible}
        for one in rankings(some).values() if len(seen) > 1 else ():
            lines.append(
                f"{one.name:30} {name:11} {one.n_scenes:7} {one.n_plumes:7} {one.value:9.3f}"
                f"  ({one.low:.3f} to {one.high:.3f})"
            )
    return lines
