"""Spectral indices of reflectance, by name: what bands one needs, and its equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.reference.loading import load_values
from plumewatch.zonal_names import INDEX_BANDS, bands_of

Reflectance = NDArray[np.float32]


@dataclass(frozen=True)
class Evi:
    """Constants of the enhanced vegetation index, without unit."""

    G: float
    """Gain."""
    C1: float
    """Of red, against aerosol."""
    C2: float
    """Of blue, against aerosol."""
    L: float
    """Of the canopy's background."""


@dataclass(frozen=True)
class AllIndices:
    """What all indices share."""

    eps: float
    """Added to each denominator."""


@dataclass(frozen=True)
class IndexConstants:
    """The numbers of the equations (reference/spectral_indices.yaml)."""

    version: str
    """Of the file."""
    evi: Evi
    """See Evi."""
    all: AllIndices
    """See AllIndices."""


def normalised_difference(c: IndexConstants, one: Reflectance, other: Reflectance) -> NDArray[np.float64]:
    """Return (one - other) / (one + other + eps).

    >>> red, nir = np.float32([0.1]), np.float32([0.3])
    >>> float(normalised_difference(index_constants(), nir, red)[0].round(6))
    0.5
    """
    first, second = one.astype(np.float64), other.astype(np.float64)
    return (first - second) / (first + second + c.all.eps)


def enhanced_vegetation(
    c: IndexConstants, nir: Reflectance, red: Reflectance, blue: Reflectance
) -> NDArray[np.float64]:
    """Return G (nir - red) / (nir + C1 red - C2 blue + L + eps).

    >>> bands = [np.float32([value]) for value in (0.3, 0.1, 0.05)]
    >>> float(enhanced_vegetation(index_constants(), *bands)[0].round(5))  # 2.5 * 0.2 / 1.525
    0.32787
    """
    n, r, b = (band.astype(np.float64) for band in (nir, red, blue))
    k = c.evi
    return k.G * (n - r) / (n + k.C1 * r - k.C2 * b + k.L + c.all.eps)


OTHER_EQUATIONS: Mapping[str, Callable[..., NDArray[np.float64]]] = {"evi": enhanced_vegetation}
"""Of indices that aren't a normalised difference: of the constants and the bands' reflectance."""


@cache
def index_constants() -> IndexConstants:
    """Return the project's constants."""
    return load_values(IndexConstants, "spectral_indices.yaml")


def constants_with(settings: Sequence[str]) -> IndexConstants:
    """Return the constants, some of them set: `G=2.6` of EVI, `eps=0` of all.

    Raises ValueError where a setting isn't a name and a finite number.

    >>> constants_with(["L=0.5"]).evi.L
    0.5
    """
    constants = index_constants()
    for setting in settings:
        name, _, text = setting.partition("=")
        value = float(text)
        if not np.isfinite(value):
            raise ValueError(setting)
        for section in ("evi", "all"):
            held = getattr(constants, section)
            if name in (field.name for field in fields(held)):
                constants = replace(constants, **{section: replace(held, **{name: value})})
                break
        else:
            raise ValueError(setting)
    return constants


def require_bands(name: str, present: Sequence[str], file: str) -> None:
    """Raise InputError, naming the file and the missing bands, where a scene lacks a band of an index."""
    if missing := [band for band in bands_of(name) if band not in present]:
        allowed = f"scenes with {', '.join(bands_of(name))} (`bands` of the area's file)"
        raise InputError(file, f"{name} needs {', '.join(missing)}; it has {', '.join(present)}", allowed)


def compute_index(name: str, reflectance: Mapping[str, Reflectance], constants: IndexConstants) -> Reflectance:
    """Return an index, or a band itself, as 32-bit numbers; NaN where a band has no data or the equation no value."""
    if name not in INDEX_BANDS:
        return reflectance[name.upper()]
    equation = OTHER_EQUATIONS.get(name, normalised_difference)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = equation(constants, *(reflectance[band] for band in INDEX_BANDS[name])).astype(np.float32)
    return np.where(np.isfinite(value), value, np.float32(np.nan))
