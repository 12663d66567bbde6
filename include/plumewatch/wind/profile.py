"""The wind at a height between, above or below those that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.reference.loading import load_values

Floats = NDArray[np.float64]

FILE = "wind_profile.yaml"


@dataclass(frozen=True)
class _Plausible:
    max_wind_m_s: float
    min_height_m: float
    max_height_m: float


@dataclass(frozen=True)
class _PowerLaw:
    exponent: float
    exponent_error: float


@dataclass(frozen=True)
class _Profile:
    version: str
    plausible: _Plausible
    power_law: _PowerLaw


@lru_cache(maxsize=1)
def _profile() -> _Profile:
    return load_values(_Profile, FILE)


def is_plausible(wind_u_m_s: ArrayLike, wind_v_m_s: ArrayLike) -> NDArray[np.bool_]:
    """Return where both components (m/s) are known and make a wind that there can be near the ground.

    >>> is_plausible([3.0, -999999.0], [4.0, 0.0]).tolist()
    [True, False]
    """
    speed = np.hypot(np.asarray(wind_u_m_s, dtype=float), np.asarray(wind_v_m_s, dtype=float))
    return speed <= _profile().plausible.max_wind_m_s


def is_plausible_height(height_m: ArrayLike) -> NDArray[np.bool_]:
    """Return where a height (m above ground) is one of a wind near the ground, up to the top of deep boundary layers.

    >>> is_plausible_height([10.0, 1e4, 0.01, -1.0]).tolist()
    [True, False, False, False]
    """
    height, plausible = np.asarray(height_m, dtype=float), _profile().plausible
    return (height >= plausible.min_height_m) & (height <= plausible.max_height_m)


def exponent() -> float:
    """Return the exponent of the power law, from `reference/wind_profile.yaml`."""
    return _profile().power_law.exponent


def height_factor(from_m: ArrayLike, to_m: ArrayLike) -> Floats:
    """Return by what a wind known at `from_m` is multiplied to be that at `to_m`: (to / from)^p, p by daytime.

    Heights in metres above ground. Irwin 1979, doi:10.1016/0004-6981(79)90260-9.

    >>> round(float(height_factor(10.0, 250.0)), 3), round(float(height_factor(100.0, 250.0)), 3)
    (1.294, 1.076)
    """
    return (np.asarray(to_m, dtype=float) / np.asarray(from_m, dtype=float)) ** exponent()


def height_factor_error(from_m: ArrayLike, to_m: ArrayLike) -> Floats:
    """Return the relative 68 % error of `height_factor`: |ln(to / from)| times the error of the exponent.

    >>> round(float(height_factor_error(10.0, 250.0)), 3)
    0.097
    """
    ratio = np.asarray(to_m, dtype=float) / np.asarray(from_m, dtype=float)
    return np.abs(np.log(ratio)) * _profile().power_law.exponent_error


def levels_around(heights_m: Sequence[float], height_m: float) -> tuple[float, ...]:
    """Return the stored heights that tell the wind at `height_m`: itself, the two around it, or the nearest end.

    >>> levels_around([10.0, 50.0, 100.0], 70.0), levels_around([10.0, 50.0], 250.0), levels_around([10.0], 10.0)
    ((50.0, 100.0), (50.0,), (10.0,))
    """
    below = [h for h in heights_m if h <= height_m]
    above = [h for h in heights_m if h >= height_m]
    if not below or not above:
        return (max(below),) if below else (min(above),)
    return tuple(sorted({max(below), min(above)}))


def share_of_upper(lower_m: float, upper_m: float, height_m: float) -> float:
    """Return the share of the upper of two heights in the wind between them, linear in the logarithm of height.

    >>> share_of_upper(10.0, 1000.0, 100.0)
    0.5
    """
    return float(np.log(height_m / lower_m) / np.log(upper_m / lower_m))
