"""Windows of an orbit's soundings that hold a peak: the older tool's second approach, learnt instead of fitted. Pure.

A window is 96 km of track, one each 10 km. Its features are the responses of Gaussian templates of 4, 8 and 16 km, less
a line and over the window's own noise, at the middle and at their largest within 10 km of it, and what tells a bent
background from a peak. A logistic regression on them and their squares says how probably the window holds a peak in the
10 km around its middle. It is judged by the average precision over windows of tracks that weren't learnt, beside the
scan's: there a window has the significance of the strongest peak in its middle that is accepted or merely not
significant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from plumewatch.errors import InputError, reading
from plumewatch.learning.emission_model import NothingToLearnFrom
from plumewatch.oco2.peaks import PeakSearch
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT

Floats = NDArray[np.float64]

BIN_KM, HALF_BINS, STEP_KM, MIDDLE_KM = 2.0, 24, 10.0, 10.0
TEMPLATES_KM = (4.0, 8.0, 16.0)
SHIFTS = range(-5, 6)  # of bins: 10 km to both sides
LEAST_SEEN = 0.5  # of a window's bins
FOLDS = 5
LEAST_WINDOWS = 50  # with a peak, and without one
FEATURES = 3 * len(TEMPLATES_KM) + 4


@dataclass(frozen=True)
class Windows:
    """Windows of one or more tracks."""

    values: Floats
    """Features, one row a window."""
    middle_km: Floats
    """Along the track."""
    index: NDArray[np.intp]
    """Which of the middles that were asked for each is of."""


@dataclass(frozen=True)
class WindowModel:
    """log odds = intercept + sum of coefficient x scaled feature, of the features and their products of two."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    intercept: float

    def probability(self, windows: Windows) -> Floats:
        """Return how probably each window holds a peak in its middle."""
        products = PolynomialFeatures(2, include_bias=False).fit_transform(
            (windows.values - np.array(self.mean)) / np.array(self.scale)
        )
        odds: Floats = 1.0 / (1.0 + np.exp(-(self.intercept + products @ np.array(self.coefficient))))
        return odds


@dataclass(frozen=True)
class JudgedWindows:
    """Average precision over windows of tracks, or cells, that weren't learnt."""

    n_windows: int
    n_peaks: int
    learnt: float
    scan: float
    by_chance: float
    """The share of windows with a peak."""


def middles_of(track: Track) -> Floats:
    """Return the middles of windows along a track, one each 10 km, as far as it is long enough."""
    if len(track) < 2 * HALF_BINS:
        return np.empty(0)
    first = float(track.distance_km.min())
    n_bins = int((float(track.distance_km.max()) - first) / BIN_KM) + 1
    bins = np.arange(HALF_BINS, n_bins - HALF_BINS, round(STEP_KM / BIN_KM))
    return np.asarray(first + (bins + 0.5) * BIN_KM, dtype=float)


def windows_of(track: Track, middle_km: Floats | None = None) -> Windows:
    """Return the windows around some places along a track (`middles_of` it) of which at least half holds soundings."""
    middles = middles_of(track) if middle_km is None else middle_km
    if not len(middles) or len(track) < 2 * HALF_BINS:
        return Windows(np.empty((0, FEATURES)), np.empty(0), np.empty(0, np.intp))
    first = float(track.distance_km.min())
    index = ((track.distance_km - first) / BIN_KM).astype(int)
    count = np.bincount(index)
    mean = np.bincount(index, track.xco2_ppm) / np.maximum(count, 1)
    bins = np.floor((middles - first) / BIN_KM).astype(int)
    rows, kept = [], []
    for at in np.flatnonzero((bins >= HALF_BINS) & (bins < len(count) - HALF_BINS)):
        part = slice(bins[at] - HALF_BINS, bins[at] + HALF_BINS + 1)
        is_seen = count[part] > 0
        if is_seen.mean() >= LEAST_SEEN:
            rows.append(_features(mean[part], is_seen))
            kept.append(at)
    return Windows(np.array(rows).reshape(-1, FEATURES), middles[kept], np.array(kept, np.intp))


def _features(xco2_ppm: Floats, is_seen: NDArray[np.bool_]) -> Floats:
    at = np.arange(-HALF_BINS, HALF_BINS + 1) * BIN_KM
    x: Floats = np.asarray(at[is_seen], float)
    y: Floats = np.asarray(xco2_ppm[is_seen] - np.median(xco2_ppm[is_seen]), float)
    noise = max(float(np.median(np.abs(np.diff(y)))) / 0.954, 0.05)  # of white noise: 0.6745 x sqrt(2)
    values: list[float] = []
    for sigma in TEMPLATES_KM:
        responses = [_response(x, y, shift * BIN_KM, sigma) for shift in SHIFTS]
        middle, best = responses[len(responses) // 2], int(np.argmax(responses))
        values += [middle / noise, responses[best] / noise, abs(SHIFTS[best]) / 5.0]
    bend = np.polyfit(x / (HALF_BINS * BIN_KM), y, 2)
    steps = float(np.abs(np.diff(y)).max())
    return np.array([*values, bend[0] / noise, abs(bend[1]) / noise, np.log(noise), steps / noise])


def _response(x: Floats, y: Floats, centre_km: float, sigma_km: float) -> float:
    """Amplitude of a Gaussian beside a line, over what noise of 1 ppm a bin would leave of it."""
    template = np.exp(-0.5 * ((x - centre_km) / sigma_km) ** 2)
    line = np.stack([np.ones_like(x), x / (HALF_BINS * BIN_KM)], axis=1)
    q = np.linalg.qr(line)[0]
    template = template - q @ (q.T @ template)
    size = float(np.sqrt(template @ template))
    return float(template @ (y - q @ (q.T @ y))) / size if size > 1e-9 else 0.0


def scan_scores(windows: Windows, search: PeakSearch) -> Floats:
    """Return the significance of the strongest peak in the middle of each window, 0 where there is none."""
    scores = np.zeros(len(windows.middle_km))
    for peak in search.peaks:
        if peak.status in (ACCEPTED, NOT_SIGNIFICANT):
            is_in = np.abs(windows.middle_km - peak.fit.centre_km) <= 2 * MIDDLE_KM  # a fit may be off by some
            scores[is_in] = np.maximum(scores[is_in], max(peak.significance, 0.0))
    return scores


def judge_windows(values: Floats, holds_peak: NDArray[np.bool_], scan: Floats, group: Sequence[int]) -> JudgedWindows:
    """Return the average precision of a model that never saw the group (track, or cell) of what it is judged on.

    Raises NothingToLearnFrom with fewer than 50 windows with a peak, or without one.
    """
    if min(holds_peak.sum(), (~holds_peak).sum()) < LEAST_WINDOWS or len(set(group)) < FOLDS:
        found = f"{int(holds_peak.sum())} windows with a peak and {int((~holds_peak).sum())} without"
        raise NothingToLearnFrom("the training", found, f"at least {LEAST_WINDOWS} of each, in {FOLDS} groups")
    score = np.empty(len(values))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=0).split(values, holds_peak, group):
        score[test] = _fitted(values[train], holds_peak[train]).decision_function(values[test])
    return JudgedWindows(
        len(values), int(holds_peak.sum()), float(average_precision_score(holds_peak, score)),
        float(average_precision_score(holds_peak, scan)), float(holds_peak.mean()),
    )  # fmt: skip


def train_windows(values: Floats, holds_peak: NDArray[np.bool_]) -> WindowModel:
    """Return the model that all windows give."""
    scaler, _, logistic = _fitted(values, holds_peak).named_steps.values()
    return WindowModel(
        tuple(map(float, scaler.mean_)), tuple(map(float, scaler.scale_)), tuple(map(float, logistic.coef_[0])),
        float(logistic.intercept_[0]),
    )  # fmt: skip


def windows_to_json(model: WindowModel) -> dict[str, Any]:
    """Return the model as JSON can hold it."""
    return asdict(model)


def windows_from_json(file: str, content: Any) -> WindowModel:
    """Return the model of a file's content; InputError names the file where it is another form."""
    with reading(file, "a model of windows as source_model_training writes it"):
        mean, scale, coefficient = (tuple(map(float, content[name])) for name in ("mean", "scale", "coefficient"))
        if (len(mean), len(scale)) != (FEATURES, FEATURES) or len(coefficient) != FEATURES * (FEATURES + 3) // 2:
            raise InputError(file, f"{len(mean)} features", f"{FEATURES}")
        return WindowModel(mean, scale, coefficient, float(content["intercept"]))


def window_lines(judged: JudgedWindows) -> list[str]:
    """Return the figures for people."""
    return [
        f"{judged.n_windows} windows, {judged.n_peaks} with a peak",
        f"  average precision: learnt {judged.learnt:.2f}, scan {judged.scan:.2f}, by chance {judged.by_chance:.2f}",
    ]


def judge_elsewhere(
    learnt: tuple[Floats, NDArray[np.bool_]], judged: tuple[Floats, NDArray[np.bool_], Floats]
) -> JudgedWindows:
    """Return the average precision of what other windows teach: features and truth, then these and the scan's score."""
    values, holds_peak, scan = judged
    score = _fitted(*learnt).decision_function(values)
    return JudgedWindows(
        len(values), int(holds_peak.sum()), float(average_precision_score(holds_peak, score)),
        float(average_precision_score(holds_peak, scan)), float(holds_peak.mean()),
    )  # fmt: skip


def _fitted(values: Floats, holds_peak: NDArray[np.bool_]) -> Any:
    logistic = LogisticRegression(C=0.1, max_iter=2000)
    return make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), logistic).fit(values, holds_peak)
