"""One orbit of 64,000 soundings: the scan, and the whole search for peaks, against the seed's way, one thread each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from figures import Figure, time_in_turns
from orbits import simulate_orbit
from plumewatch.oco2.evaluation.seed_step import EVERY, first_guess, fit_line_and_gaussian, select, whole_step
from plumewatch.oco2.granules.seed_csv import SEED_COLUMNS
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.scan import Scan
from plumewatch.oco2.track import Track, compute_track

ORBIT, SHARE = 3, 0.9
SAMPLE = 150  # windows, spread over the orbit
ROUNDS = 3
SCAN_LIMITS = {"converged": ">= 200", "whole step": ">= 100"}


def frame_of(track: Track, soundings: pa.Table) -> pd.DataFrame:
    """Return an orbit as the seed holds it, by distance."""
    frame = soundings.sort_by("sounding_id").select(list(SEED_COLUMNS.values())).to_pandas()
    frame.columns = pd.Index(SEED_COLUMNS)
    frame["distance"] = track.distance_km
    return frame.sort_values("distance", ignore_index=True)


def scan_against_the_seed() -> Iterator[Figure]:
    """Speed of the scan and of `find_peaks` over an orbit."""
    soundings = simulate_orbit(ORBIT, SHARE)
    track = compute_track(soundings)
    orbit = frame_of(track, soundings)
    centres = range(0, len(track), EVERY)
    sample = [centres[int(i)] for i in np.linspace(0, len(centres) - 1, SAMPLE)]
    converged = [_arrays(window, i) for i in sample if (window := select(orbit, i)) is not None]
    steps = [
        partial(Scan.of_track, track),
        partial(find_peaks, track),
        lambda: [fit_line_and_gaussian(*arrays) for arrays in converged],
        lambda: [whole_step(orbit, i) for i in sample],
    ]
    scan_s, search_s, converged_s, step_s = time_in_turns(steps, ROUNDS)
    scale = len(centres) / len(sample)
    seeds = {"converged": converged_s * scale, "whole step": step_s * scale}
    what = {
        "converged": "curve_fit to convergence in every window of the seed",
        "whole step": "the seed's selection, loose fit and tests for every window",
    }
    for name, seed_s in seeds.items():
        note = (
            f"{len(track)} soundings, {track.distance_km.max():.0f} km; {len(sample)} of {len(centres)} windows "
            f"timed, {seed_s / len(centres) * 1e3:.1f} ms each, scaled; one thread"
        )
        yield _figure("scan of an orbit", scan_s, seed_s, what[name], SCAN_LIMITS[name], note)
        yield _figure("find_peaks of an orbit (scan, candidates, fits)", search_s, seed_s, what[name], None, note)


def _arrays(window: pd.DataFrame, centre: int) -> tuple[Any, ...]:
    """What the converged fit needs, as arrays, with which it is fastest."""
    columns = (window[name].to_numpy(dtype=float) for name in ("x", "xco2", "xco2_uncert"))
    return *columns, first_guess(window, centre)


def _figure(name: str, own_s: float, seed_s: float, baseline_is: str, limit: str | None, note: str) -> Figure:
    return Figure(name, own_s, "s", seed_s, baseline_is, seed_s / own_s, limit, note)
