"""Windows of planted tracks, whose truth is known, to judge by. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plumewatch.learning.windows import MIDDLE_KM, JudgedWindows, judge_windows, scan_scores, windows_of
from plumewatch.oco2.evaluation.noise import NoiseSource
from plumewatch.oco2.evaluation.planted import empty_tracks, planted_tracks
from plumewatch.oco2.peaks import find_peaks

Floats = NDArray[np.float64]


def judge_planted(source: NoiseSource, per_cell: int) -> JudgedWindows:
    """Return the average precision on planted peaks, so many of each height and width, and as many empty tracks."""
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
    return judge_windows(np.concatenate(values), np.concatenate(holds), np.concatenate(scores), groups)
