"""Windows of planted tracks, whose truth is known, to judge by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.learning.windows import (
    MIDDLE_KM,
    JudgedWindows,
    judge_elsewhere,
    judge_windows,
    scan_scores,
    windows_of,
)
from plumewatch.oco2.evaluation.noise import NoiseSource
from plumewatch.oco2.evaluation.planted import empty_tracks, planted_tracks
from plumewatch.oco2.peaks import find_peaks

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlantedWindows:
    """Windows of planted tracks, with what is true of them."""

    values: Floats
    holds_peak: NDArray[np.bool_]
    scan: Floats
    track: tuple[int, ...]
    """Number of the track that each is of."""


def planted_windows(source: NoiseSource, per_cell: int) -> PlantedWindows:
    """Return the windows of planted peaks, so many of each height and width, and of half as many empty tracks."""
    tracks = [(peak.centre_km, track) for peak, track in planted_tracks(source, per_cell)]
    tracks += [(np.inf, track) for track in empty_tracks(source, len(tracks) // 2)]
    values: list[Floats] = []
    holds: list[NDArray[np.bool_]] = []
    scores: list[Floats] = []
    groups: list[int] = []
    for number, (centre_km, track) in enumerate(tracks):
        windows = windows_of(track)
        distance = np.abs(windows.middle_km - centre_km)
        clear = (distance <= MIDDLE_KM) | (distance >= 3 * MIDDLE_KM)  # at the edge of a peak either answer is right
        values.append(windows.values[clear])
        holds.append(distance[clear] <= MIDDLE_KM)
        scores.append(scan_scores(windows, find_peaks(track))[clear])
        groups += [number] * int(clear.sum())
    return PlantedWindows(np.concatenate(values), np.concatenate(holds), np.concatenate(scores), tuple(groups))


def judge_planted(windows: PlantedWindows) -> JudgedWindows:
    """Return the average precision on tracks that weren't learnt."""
    return judge_windows(windows.values, windows.holds_peak, windows.scan, windows.track)


def judge_in_other_noise(learnt: PlantedWindows, judged: PlantedWindows) -> JudgedWindows:
    """Return the average precision of a model that has learnt in another noise than that which it is judged in."""
    return judge_elsewhere((learnt.values, learnt.holds_peak), (judged.values, judged.holds_peak, judged.scan))
