"""Windows that hold a peak: planted ones are told from noise that wasn't learnt; a model is numbers in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plumewatch.errors import InputError
from plumewatch.learning.planted_windows import judge_planted, planted_windows
from plumewatch.learning.windows import (
    FEATURES,
    judge_windows,
    train_windows,
    windows_from_json,
    windows_of,
    windows_to_json,
)
from plumewatch.oco2.evaluation.noise import SimulatedNoise
from plumewatch.oco2.evaluation.planted import PlantedPeak


def test_planted_peaks_are_told_from_noise_on_tracks_that_were_not_learnt() -> None:
    judged = judge_planted(planted_windows(SimulatedNoise(), 3))
    print(judged)
    assert judged.n_peaks == 72 and judged.learnt > 0.8 and judged.scan > 0.7 > 10 * judged.by_chance


def test_a_model_says_where_the_peak_is_and_comes_back_from_json() -> None:
    rng = np.random.default_rng(5)
    windows = [windows_of(SimulatedNoise().draw(np.random.default_rng([9, n]))) for n in range(8)]
    peaks = [PlantedPeak(float(rng.uniform(150, 450)), 3.0, 8.0) for _ in range(12)]
    tracks = [peak.added_to(SimulatedNoise().draw(np.random.default_rng([8, n]))) for n, peak in enumerate(peaks)]
    found = [windows_of(track) for track in tracks]
    values = np.concatenate([w.values for w in (*windows, *found)])
    holds = [np.zeros(len(w.values), bool) for w in windows]
    holds += [np.abs(w.middle_km - peak.centre_km) <= 10 for w, peak in zip(found, peaks, strict=True)]
    model = train_windows(values, np.concatenate(holds))
    again = windows_from_json("card.json", json.loads(json.dumps(windows_to_json(model))))
    assert again == model
    best = [w.middle_km[np.argmax(again.probability(w))] for w in found]
    assert max(abs(at - peak.centre_km) for at, peak in zip(best, peaks, strict=True)) <= 15
    with pytest.raises(InputError, match=r"card\.json: 3 features"):
        windows_from_json("card.json", windows_to_json(model) | {"mean": [0.0] * 3})


def test_a_track_with_gaps_has_fewer_windows_and_a_short_one_none() -> None:
    track = SimulatedNoise().draw(np.random.default_rng(1))
    all_of_it = windows_of(track)
    assert all_of_it.values.shape == (len(all_of_it.middle_km), FEATURES) and np.isfinite(all_of_it.values).all()
    is_left = (track.distance_km < 200) | (track.distance_km > 350)
    assert 0 < len(windows_of(track.at(is_left)).middle_km) < len(all_of_it.middle_km)
    assert len(windows_of(track.at(track.distance_km < 80)).middle_km) == 0


def test_too_few_windows_are_refused_by_number() -> None:
    with pytest.raises(InputError, match="3 windows with a peak and 7 without"):
        judge_windows(np.zeros((10, FEATURES)), np.arange(10) < 3, np.zeros(10), list(range(10)))
