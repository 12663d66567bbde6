"""The wind that carries a plume across an orbit: from wind products where they know it, else from the soundings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.oco2.flux import compute_wind_to_the_right
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.oco2.track import Track
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, WindAtPoint, wind_of_each_product
from plumewatch.wind.profile import exponent, height_factor, height_factor_error

GRANULE = "granule"
"""Stands for the wind of the soundings: 10 m, of the weather model that was sampled at each."""


@dataclass(frozen=True)
class PlumeWind:
    """The wind at plume height, and what it was made from."""

    wind: WindAtPoint
    """At plume height; NaN where unknown."""
    original: WindAtPoint
    """At the stored height nearest below (above where there is none), before anything was done with it."""
    others: tuple[WindAtPoint, ...] = ()
    """What further products say, at plume height."""

    @property
    def is_carried(self) -> bool:
        """Whether a power law has brought it to plume height."""
        return len(self.wind.from_heights_m) == 1 and self.wind.from_heights_m[0] != self.wind.height_m

    @property
    def height_factor_error(self) -> float:
        """Relative 68 % error of what brought it to plume height."""
        return float(height_factor_error(self.original.height_m, self.wind.height_m)) if self.is_carried else 0.0

    @property
    def source(self) -> str:
        """In words, as the table `peaks` has it."""
        if self.is_carried:
            return f"{self.wind.product} {self.original.height_m:g} m to {self.wind.height_m:g} m by a power law"
        return f"{self.wind.product} at {self.wind.height_m:g} m"

    def spread_across_m_s(self, bearing_deg: float) -> float:
        """Standard deviation of the products' components across a track, with their signs; 0 for a single product."""
        if not self.others:
            return 0.0
        u, v = np.array([(w.wind_u_m_s, w.wind_v_m_s) for w in (self.wind, *self.others)]).T
        return float(np.std(compute_wind_to_the_right(u, v, bearing_deg), ddof=1))

    def details(self) -> dict[str, Any]:
        """What the JSON of a peak says of its wind."""
        return {
            "source": self.source,
            "height_m": self.wind.height_m,
            "power_law_exponent": exponent() if self.is_carried else None,
            "from_heights_m": list(self.wind.from_heights_m),
            "used": _vector(self.wind),
            "original": _vector(self.original),
            "other_products": [_vector(other) for other in self.others],
        }


def _vector(wind: WindAtPoint) -> dict[str, Any]:
    known = math.isfinite(wind.wind_u_m_s) and math.isfinite(wind.wind_v_m_s)
    return {
        "product": wind.product,
        "height_m": wind.height_m,
        "wind_u_m_s": wind.wind_u_m_s if known else None,
        "wind_v_m_s": wind.wind_v_m_s if known else None,
    }


def wind_of_products(wind: pa.Table, longitude: float, latitude: float, observed_at_utc: datetime) -> PlumeWind | None:
    """Return the wind at plume height that the rows of the table `wind` know, the nearest product before others.

    None where no product has a row near enough in space and time.
    """
    where = longitude, latitude, observed_at_utc
    found = wind_of_each_product(wind, *where, peak_thresholds().flux.plume_height_m)
    if not found:
        return None
    first, *others = found
    at_stored = wind_of_each_product(wind, *where, first.from_heights_m[0])
    original = next((w for w in at_stored if w.product == first.product), first)
    return PlumeWind(first, original, tuple(others))


def wind_of_soundings(track: Track, at: NDArray[np.intp]) -> PlumeWind:
    """Return the mean wind of the soundings `at` that have both components, carried to plume height by a power law.

    10-m winds of (5, 0) and (7, 0) m/s: 6 m/s, times 1.294 at 250 m.
    """
    height = peak_thresholds().flux.plume_height_m
    u, v = track.wind_u_m_s[at], track.wind_v_m_s[at]
    both = np.isfinite(u) & np.isfinite(v)
    mean_u, mean_v = (float(c[both].mean()) if both.any() else math.nan for c in (u, v))
    factor = surface_to_plume_height()
    return PlumeWind(
        WindAtPoint(factor * mean_u, factor * mean_v, height, GRANULE, (SURFACE_WIND_HEIGHT_M,)),
        WindAtPoint(mean_u, mean_v, SURFACE_WIND_HEIGHT_M, GRANULE, (SURFACE_WIND_HEIGHT_M,)),
    )


def surface_to_plume_height() -> float:
    """Return by what a 10-m wind is multiplied to be the wind at plume height: 1.294 at 250 m."""
    return float(height_factor(SURFACE_WIND_HEIGHT_M, peak_thresholds().flux.plume_height_m))
