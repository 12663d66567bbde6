"""How strong the scan's statistic gets where there is no source.

The textbook's F test is wrong here: real noise is correlated along the track, so the statistic has a spread well
above 1, the more so the wider the Gaussian. It is therefore divided by its spread, which each orbit tells for itself
(with a calibrated prior), and the largest value in 600 km is compared with a Gumbel law fitted to simulated tracks:

    z = max over widths of t / spread(width),   P(z in 600 km without a source > z) = 1 - exp(-exp(-(z - location) /
    scale)).

`python -m plumewatch.oco2.calibration` makes the file that is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d

from plumewatch.oco2.scan import Scan
from plumewatch.oco2.thresholds import thresholds

Floats = NDArray[np.float64]

FILE = "oco2_null_distribution.yaml"
REFERENCE_KM = 600.0  # length of track that a false alarm probability speaks of
MEDIAN_OF_ABSOLUTE_NORMAL = 0.6744897501960817  # median of |x| of a standard normal x


@dataclass(frozen=True)
class NullDistribution:
    """The calibrated law of the largest statistic in 600 km without a source."""

    version: str
    """What manifests state as calibration, together with the version of the thresholds."""
    spread: Floats
    """Usual spread of the statistic of each width of the scan."""
    location: float
    """Of the Gumbel law."""
    scale: float
    """Of the Gumbel law."""

    def false_alarm_probability(self, z: ArrayLike) -> Floats:
        """Return the probability of at least one value as large as `z` in 600 km without a source."""
        return -np.expm1(-np.exp(-(np.asarray(z, dtype=float) - self.location) / self.scale))

    def threshold(self, false_alarm_probability: float) -> float:
        """Return the z that noise exceeds with this probability in 600 km."""
        return float(self.location - self.scale * np.log(-np.log1p(-false_alarm_probability)))


@lru_cache(maxsize=1)
def null_distribution() -> NullDistribution:
    """Return the calibration that ships with the library."""
    raw = yaml.safe_load(resources.files("plumewatch").joinpath("reference", FILE).read_text(encoding="utf-8"))
    return NullDistribution(
        raw["version"],
        np.array(raw["spread"]["value"]),
        float(raw["gumbel_location"]["value"]),
        float(raw["gumbel_scale"]["value"]),
    )


def estimate_spread(scan: Scan, usual: Floats) -> Floats:
    """Return the spread of the statistic of each width on this track, shape (widths,).

    1.4826 x median of |t|, so that few plumes don't count; stretches around strong maxima are left out unless they are
    most of the track. Short tracks lean on the `usual` spread, by the ratio of their length to `noise.prior_km`.
    """
    settings = thresholds()["noise"]
    own = _mixed(scan, np.isfinite(scan.statistic), usual)
    z = np.max(np.nan_to_num(scan.statistic, nan=-np.inf) / own[:, None], axis=0, initial=-np.inf)
    reach = 2 * round(thresholds()["scan"]["half_window_km"] / scan.bin_km) + 1
    near_plume = maximum_filter1d(z, reach, mode="nearest") > settings["plume_statistic"] if len(z) else z > 0
    plume_free = np.isfinite(scan.statistic) & ~near_plume
    if plume_free.sum() < settings["min_plume_free"] * np.isfinite(scan.statistic).sum():
        return own
    return _mixed(scan, plume_free, usual)


def _mixed(scan: Scan, counts: NDArray[np.bool_], usual: Floats) -> Floats:
    """Spread over the bins that count, mixed with the usual one by length."""
    prior_km = thresholds()["noise"]["prior_km"]
    length_km = counts.sum(axis=1) * scan.bin_km
    absolute = np.where(counts, np.abs(scan.statistic), np.nan)
    own = np.zeros(len(usual))
    has_any = length_km > 0
    own[has_any] = np.nanmedian(absolute[has_any], axis=1) / MEDIAN_OF_ABSOLUTE_NORMAL
    return np.sqrt((length_km * own**2 + prior_km * usual**2) / (length_km + prior_km))
