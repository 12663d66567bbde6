"""What is known of a peak and of what lies upwind of it, as numbers a model learns from. Pure.

Upwind sums are taken in bins of distance along the wind and across it, in kt/h, of each inventory for itself. The
emission that is known of a peak's source is that of one inventory, which none of its features comes from,

    known = sum of emission x exp(-across^2 / 2 s^2),  -3 km <= upwind <= 50 km,
    s^2 = (3 km)^2 + (upwind x tan(20 degrees))^2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.gases import CO2
from plumewatch.geodesy import along_and_across, distance_to_chord, index_pairs, local_offset_km, unit_vectors
from plumewatch.table import floats

Floats = NDArray[np.float64]

REACH_KM, BEHIND_KM = 50.0, 3.0
POSITION_KM, DIRECTION_DEG = 3.0, 20.0
ALONG_KM = (-3.0, 10.0, 25.0, 50.0)
ACROSS_KM = (0.0, 5.0, 15.0, 40.0)
"""Edges of the bins of upwind sums."""
FLOOR_KT_H = 0.01  # added before the logarithm: what no peak shows
LEAST_WIND_M_S = 2.0  # as of cross-sectional fluxes
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Examples:
    """Peaks as a model sees them."""

    names: tuple[str, ...]
    """Of the features."""
    values: Floats
    """One row a peak."""
    log_flux: Floats
    """Natural log of the cross-sectional flux, kt/h."""
    log_known: Floats
    """Natural log of the known emission upwind, kt/h; NaN where none is known."""
    cell: NDArray[np.int64]
    """Number of the cell of 2 degrees that the peak lies in."""


@dataclass(frozen=True)
class Pairs:
    """Peaks and sources upwind of them."""

    peak: NDArray[np.intp]
    emission_kt_h: Floats
    upwind_km: Floats
    across_km: Floats


def upwind_pairs(peaks: pa.Table, sources: pa.Table) -> Pairs:
    """Return the pairs of peaks (columns of `peaks`) and sources at most 65 km apart, seen along the peak's wind."""
    lon, lat, u, v = (floats(peaks[n]) for n in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s"))
    x, y, emission = (floats(sources[n]) for n in ("longitude", "latitude", "emission_t_y"))
    if not len(lon) or not len(x):
        return Pairs(np.empty(0, np.intp), *(np.empty(0) for _ in range(3)))
    within = distance_to_chord(float(np.hypot(ALONG_KM[-1], ACROSS_KM[-1])))
    near = cKDTree(unit_vectors(x, y)).query_ball_point(unit_vectors(lon, lat), within)
    peak, source = index_pairs(near)
    east, north = local_offset_km(lon[peak], lat[peak], x[source], y[source])
    speed = np.hypot(u, v)
    with np.errstate(invalid="ignore", divide="ignore"):
        to_east, to_north = (u / speed)[peak], (v / speed)[peak]
    downwind, across = along_and_across(east, north, to_east, to_north)
    return Pairs(peak, emission[source] * CO2.units_per_t_y, -downwind, across)


def known_emission_kt_h(pairs: Pairs, n_peaks: int) -> Floats:
    """Return what is known to be emitted upwind of each peak, in kt/h.

    >>> one = Pairs(np.zeros(2, np.intp), np.array([2.0, 5.0]), np.array([20.0, -30.0]), np.array([0.0, 0.0]))
    >>> known_emission_kt_h(one, 1).tolist()
    [2.0]
    """
    sigma = np.hypot(POSITION_KM, np.maximum(pairs.upwind_km, 0.0) * np.tan(np.radians(DIRECTION_DEG)))
    is_upwind = (pairs.upwind_km >= -BEHIND_KM) & (pairs.upwind_km <= REACH_KM)
    share = np.exp(-0.5 * (pairs.across_km / sigma) ** 2) * is_upwind
    total: Floats = np.bincount(pairs.peak, np.nan_to_num(pairs.emission_kt_h * share), n_peaks).astype(float)
    return total


def examples_of(peaks: pa.Table, known: pa.Table | None, others: Mapping[str, pa.Table]) -> Examples:
    """Return peaks as examples: `known` is the inventory (rows of `sources`) that the emission is learnt from.

    `others` are the inventories whose upwind sums are features, by name. A peak without wind, pressure or height has
    features that are NaN.
    """
    lon, lat, u, v, height, sigma, pressure, water = (floats(peaks[name]) for name in (
        "longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "height_ppm", "sigma_km", "surface_pressure_hpa",
        "tcwv_kg_m2",
    ))  # fmt: skip
    flux, across = floats(peaks["emission_kt_h"]), np.abs(floats(peaks["wind_across_track_m_s"]))
    seconds = peaks["observed_at_utc"].cast(pa.int64()).to_numpy().astype(float) / 1e6
    season = 2 * np.pi * ((seconds / 86_400.0 / DAYS_PER_YEAR) % 1.0)
    speed = np.hypot(u, v)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_flux = np.log(np.where(flux > 0, flux, np.nan))
        columns = {
            "log_flux": log_flux, "log_height": np.log(height), "log_sigma": np.log(sigma), "log_wind": np.log(speed),
            "log_wind_across": np.log(np.maximum(across, 0.1)), "pressure": pressure / 1000.0, "water": water / 10.0,
            "north": np.abs(lat) / 90.0, "winter": np.cos(season) * np.sign(lat),
            "spring": np.sin(season) * np.sign(lat),
        }  # fmt: skip
        log_known = np.full(len(lon), np.nan)
        if known is not None:
            emission = known_emission_kt_h(upwind_pairs(peaks, known), len(lon))
            log_known = np.where(emission > 0, np.log(emission), np.nan)
    for name in sorted(others):
        columns |= _upwind_sums(name, upwind_pairs(peaks, others[name]), len(lon))
    cell = np.floor((lon + 180.0) / 2.0).astype(np.int64) * 90 + np.floor((lat + 90.0) / 2.0).astype(np.int64)
    return Examples(tuple(columns), np.stack(list(columns.values()), axis=1), log_flux, log_known, cell)


def _upwind_sums(name: str, pairs: Pairs, n: int) -> dict[str, Floats]:
    along = np.digitize(pairs.upwind_km, ALONG_KM) - 1
    across = np.digitize(np.abs(pairs.across_km), ACROSS_KM) - 1
    sums = {}
    for i in range(len(ALONG_KM) - 1):
        for j in range(len(ACROSS_KM) - 1):
            own = (along == i) & (across == j)
            emission = np.nan_to_num(pairs.emission_kt_h[own])
            total = np.bincount(pairs.peak[own], weights=emission, minlength=n)
            sums[f"{name} {ALONG_KM[i]:g}-{ALONG_KM[i + 1]:g} km, across {ACROSS_KM[j]:g}-{ACROSS_KM[j + 1]:g} km"] = (
                np.log(total + FLOOR_KT_H) - np.log(FLOOR_KT_H)
            )
    return sums
