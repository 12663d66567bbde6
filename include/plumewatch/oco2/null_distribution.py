"""How strong a candidate gets where there is no source.

The textbook's F test is wrong here: real noise is correlated along the track, more than neighbouring rows tell, and
narrow excursions (clouds, slopes, small sources) are not rare. A fitted height in units of its formal error, T, is
therefore divided by what it reaches without a source at that width, c(sigma), scaled to the orbit's own noise; the
largest value in 600 km is compared with a Gumbel law:

    z = T / (c(sigma) noise(sigma)),   P(z in 600 km without a source > z) = 1 - exp(-exp(-(z - location) / scale)).

`python -m plumewatch.oco2.calibration` makes the file that is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d

from plumewatch.constants import MEDIAN_OF_ABSOLUTE_NORMAL
from plumewatch.oco2.scan import Scan, scan_widths
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "oco2_null_distribution.yaml"
REFERENCE_KM = 600.0  # length of track that a false alarm probability speaks of


@dataclass(frozen=True)
class _NullValues:
    version: str
    spread: tuple[float, ...]
    reached: tuple[float, ...]
    gumbel_location: float
    gumbel_scale: float


@dataclass(frozen=True)
class NullDistribution:
    """The calibrated law of the largest statistic in 600 km without a source."""

    version: str
    """What manifests state as calibration, together with the version of the thresholds."""
    spread: Floats
    """Usual spread of the scan's statistic without a source, for each width of the scan."""
    reached: Floats
    """c(sigma) at each width of the scan: what T seldom exceeds without a source."""
    location: float
    """Of the Gumbel law."""
    scale: float
    """Of the Gumbel law."""

    def normalised(self, statistic: float, sigma_km: float, spread: Floats) -> float:
        """Return z of a fit: T over what noise reaches at its width, on a track whose scan has this `spread`."""
        reached = self.reached * spread / self.spread
        return float(statistic / np.interp(np.log(sigma_km), np.log(scan_widths()), reached))

    def false_alarm_probability(self, z: ArrayLike) -> Floats:
        """Return the probability of at least one value as large as `z` in 600 km without a source."""
        return -np.expm1(-np.exp(-(np.asarray(z, dtype=float) - self.location) / self.scale))

    def threshold(self, false_alarm_probability: float) -> float:
        """Return the z that noise exceeds with this probability in 600 km."""
        return float(self.location - self.scale * np.log(-np.log1p(-false_alarm_probability)))


@lru_cache(maxsize=1)
def null_distribution() -> NullDistribution:
    """Return the calibration that ships with the library."""
    file = load_values(_NullValues, FILE)
    spread, reached = np.array(file.spread), np.array(file.reached)
    return NullDistribution(file.version, spread, reached, file.gumbel_location, file.gumbel_scale)


def estimate_spread(scan: Scan, usual: Floats) -> Floats:
    """Return the spread of the statistic of each width on this track, shape (widths,).

    1.4826 x median of |t|, so that few plumes don't count; stretches around strong maxima are left out unless they are
    most of the track. Short tracks lean on the `usual` spread, by the ratio of their length to `noise.prior_km`.
    """
    settings = peak_thresholds().noise
    own = _mixed(scan, np.isfinite(scan.statistic), usual)
    z = np.max(np.nan_to_num(scan.statistic, nan=-np.inf) / own[:, None], axis=0, initial=-np.inf)
    reach = 2 * round(peak_thresholds().scan.half_window_km / scan.bin_km) + 1
    near_plume = maximum_filter1d(z, reach, mode="nearest") > settings.plume_statistic if len(z) else z > 0
    plume_free = np.isfinite(scan.statistic) & ~near_plume
    if plume_free.sum() < settings.min_plume_free * np.isfinite(scan.statistic).sum():
        return own
    return _mixed(scan, plume_free, usual)


def _mixed(scan: Scan, counts: NDArray[np.bool_], usual: Floats) -> Floats:
    """Spread over the bins that count, mixed with the usual one by length."""
    prior_km = peak_thresholds().noise.prior_km
    length_km = counts.sum(axis=1) * scan.bin_km
    absolute = np.where(counts, np.abs(scan.statistic), np.nan)
    own = np.zeros(len(usual))
    has_any = length_km > 0
    own[has_any] = np.nanmedian(absolute[has_any], axis=1) / MEDIAN_OF_ABSOLUTE_NORMAL
    return np.sqrt((length_km * own**2 + prior_km * usual**2) / (length_km + prior_km))
