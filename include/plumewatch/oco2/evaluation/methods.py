"""Ways to find peaks on the same planted truth: the seed's fit, the same converged, the scan, an outlier method."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from sklearn.cluster import DBSCAN
from sklearn.ensemble import IsolationForest

from plumewatch.oco2.evaluation import seed_step
from plumewatch.oco2.evaluation.noise import NoiseSource
from plumewatch.oco2.evaluation.planted import HEIGHTS_PPM, empty_tracks, planted_tracks
from plumewatch.oco2.fit import SQRT_2_PI
from plumewatch.oco2.peaks import PeakSearch, find_peaks
from plumewatch.oco2.seed_method import find_peaks_seed
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT

Floats = NDArray[np.float64]

SEED_MAP_PPM = 1.0  # the seed's map shows only higher peaks
ROW_KM, MEDIAN_ROWS = 2.25, 27  # rows of footprints; the outlier method sees their means less the median of 60 km
FOREST_CONTAMINATION = 0.05  # chosen: with 2 % it alarms six times as often and finds less
CLUSTER_KM, CLUSTER_ROWS = 5.0, 3  # so many outliers so near each other are one detection


@dataclass(frozen=True)
class Found:
    """What a method accepts on a track; both arrays have one value a row."""

    centre_km: Floats
    """Place."""
    amplitude_ppm_km: Floats
    """NaN where the method gives none."""


def _scan(track: Track) -> Found:
    return _of(find_peaks(track), (ACCEPTED,))


def _seed_converged(track: Track) -> Found:
    return _of(find_peaks_seed(track), (ACCEPTED, NOT_SIGNIFICANT), SEED_MAP_PPM)


def _of(search: PeakSearch, statuses: Sequence[str], above_ppm: float = 0.0) -> Found:
    fits = [p.fit for p in search.peaks if p.status in statuses and p.fit.height_ppm > above_ppm]
    return Found(np.array([fit.centre_km for fit in fits]), np.array([fit.amplitude_ppm_km for fit in fits]))


def _seed(track: Track) -> Found:
    orbit = pd.DataFrame(
        {"distance": track.distance_km, "xco2": track.xco2_ppm, "xco2_uncert": track.uncertainty_ppm}
    ).sort_values("distance", ignore_index=True)
    rows = []
    for centre in range(0, len(orbit), seed_step.EVERY):
        parameters = seed_step.whole_step(orbit, centre)
        if parameters is not None and parameters[2] / (abs(parameters[3]) * SQRT_2_PI) > SEED_MAP_PPM:
            rows.append((float(orbit.loc[centre, "distance"]), float(parameters[2])))
    return Found(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))


def _isolation_forest(track: Track) -> Found:
    row = (track.distance_km / ROW_KM).astype(int)
    count = np.bincount(row)
    kept = count > 0
    centre = np.bincount(row, track.distance_km)[kept] / count[kept]
    mean = np.bincount(row, track.xco2_ppm)[kept] / count[kept]
    residual = mean - median_filter(mean, MEDIAN_ROWS, mode="nearest")
    forest = IsolationForest(contamination=FOREST_CONTAMINATION, random_state=0)
    outlier = (forest.fit_predict(residual[:, None]) < 0) & (residual > 0)
    if not outlier.any():
        return Found(np.empty(0), np.empty(0))
    label = DBSCAN(eps=CLUSTER_KM, min_samples=CLUSTER_ROWS).fit_predict(centre[outlier, None])
    centres = np.array([centre[outlier][label == k].mean() for k in range(label.max() + 1)])
    return Found(centres, np.full(len(centres), np.nan))


METHODS: Mapping[str, Callable[[Track], Found]] = {
    "the seed's fit": _seed,
    "the same, converged": _seed_converged,
    "the scan": _scan,
    "Isolation Forest": _isolation_forest,
}


def comparison_lines(source: NoiseSource, n_empty: int, per_cell: int) -> list[str]:
    """Return a table of all methods on tracks without a peak and on planted ones of 4, 10 and 20 km."""
    heights = "".join(f"  {height:>4.1f} ppm" for height in HEIGHTS_PPM)
    lines = [f"{'method':22}  alarms/track{heights}  rows/plume  unrelated/track  |error| found  ms/track"]
    return lines + [_method_line(name, find, source, n_empty, per_cell) for name, find in METHODS.items()]


def _method_line(name: str, find: Callable[[Track], Found], source: NoiseSource, n_empty: int, per_cell: int) -> str:
    began = time.perf_counter()
    alarms = [len(find(track).centre_km) for track in empty_tracks(source, n_empty)]
    rows: dict[float, list[int]] = {height: [] for height in HEIGHTS_PPM}
    unrelated, errors = [], []
    for planted, track in planted_tracks(source, per_cell):
        found = find(track)
        is_right = planted.is_near(found.centre_km)
        rows[planted.height_ppm].append(int(is_right.sum()))
        unrelated.append(int((~is_right).sum()))
        errors += list(np.abs(found.amplitude_ppm_km[is_right] / planted.amplitude_ppm_km - 1.0))
    ms = 1e3 * (time.perf_counter() - began) / (n_empty + len(unrelated))
    recall = "".join(f"  {np.mean(np.array(n) > 0):8.2f}" for n in rows.values())
    per_plume = np.mean([n for some in rows.values() for n in some if n] or [0])
    error = np.nanmedian(errors) if np.isfinite(errors).any() else np.nan
    return (
        f"{name:22}  {np.mean(alarms):12.2f}{recall}  {per_plume:10.2f}  {np.mean(unrelated):15.2f}  "
        f"{error:13.3f}  {ms:8.0f}"
    )
