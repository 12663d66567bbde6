"""What a strip shows without a plume: background of three kinds, and noise of two origins, with their covariance.

Domes of cities are no background here: they are enhancements of real sources, and as wide and high as the plume of the
Highveld; who reports one has raised no false alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import lfilter

from plumewatch.constants import KM_PER_DEGREE
from plumewatch.oco2.evaluation.random_waves import random_waves
from plumewatch.oco2.evaluation.strip import FOOTPRINT_KM, FOOTPRINTS, ROW_KM, Strip

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

USUAL_PPM = 410.0
OVER_KM = 100.0
CALM_PPM, CALM_KM = (0.0, 0.15), (100.0, 200.0)
VEGETATION_PPM, VEGETATION_KM = (0.5, 1.0), (60.0, 120.0)  # rms difference over 100 km; correlation length
COAST_PPM, COAST_EVERY_KM = (0.3, 0.8), (100.0, 400.0)
WATER_NOISE = (0.5, 0.8)  # errors over water (glint) over those over land
SINGLE_PPM, ROW_PPM, ROW_LENGTH_KM = (0.25, 0.7), (0.05, 0.3), (1.0, 3.0)
MIDDLE_PPM, MIDDLE_LENGTH_KM = (0.0, 0.2), (5.0, 25.0)
OUTLIERS, OUTLIER_FACTOR = 0.02, 3.0  # share of soundings, and how much larger their error is
ROUGH_EVERY_KM, ROUGH_HALF_KM, ROUGH_SIZE_KM, ROUGH_PPM = 300.0, (8.0, 25.0), (2.0, 5.0), (0.15, 0.5)
STATED = (0.8, 1.4)  # stated error over the true one of a single sounding

BLOCK_ROWS = 4  # 9 km
MEDIAN_ROWS = 27  # 60 km: what a running median of this length follows is background
MIN_BLOCK = 0.5  # share of a block's footprints that must have been seen
SLOPES: Floats = np.linspace(-0.8, 0.8, 161)  # of a row, along over across; beyond, other rows are nearer
REAL_SINGLE_PPM, REAL_SHARED = 0.43, ((0.26, 1.5),)  # of orbit 11522, as in reference/oco2_peaks.yaml


@dataclass(frozen=True)
class Covariance:
    """What a filter that knows the noise is told of a track."""

    single_ppm: Floats
    """Error of each footprint's own, shape (rows, 8)."""
    shared: tuple[tuple[float, float], ...]
    """Strength (ppm) and correlation length (km, exponential) of errors that rows share, over land."""
    factor: Floats
    """Errors over those over land, shape (rows,)."""
    background: tuple[float, float]
    """Strength (ppm) and correlation length (km, squared exponential) of the background."""
    is_water: Bools
    """Shape (rows, 8); another level of unknown height."""

    def of_rows(self, row_km: Floats) -> Floats:
        """Return the covariance (ppm^2) of what rows share, shape (rows, rows)."""
        apart = np.abs(row_km[:, None] - row_km)
        noise = sum((sd**2 * np.exp(-apart / length) for sd, length in self.shared), np.zeros_like(apart))
        sd, length = self.background
        return noise * np.outer(self.factor, self.factor) + sd**2 * np.exp(-0.5 * (apart / length) ** 2)


@dataclass(frozen=True)
class Surroundings:
    """xco2 without a plume, and what is known of it."""

    xco2_ppm: Floats
    """Shape (rows, 8)."""
    is_measured: Bools
    """Where there is a value."""
    stated_ppm: Floats
    """Error as it is stated."""
    covariance: Covariance
    """Of noise and background."""


class StripNoise(Protocol):
    """Where noise comes from."""

    @property
    def name(self) -> str:
        """For the tables."""

    def draw(self, rng: np.random.Generator, strip: Strip) -> NoiseDraw:
        """Return the noise of a strip."""


@dataclass(frozen=True)
class NoiseDraw:
    """Noise over land."""

    error_ppm: Floats
    """Shape (rows, 8), NaN where nothing was measured."""
    single_ppm: float
    """Strength of its independent part."""
    shared: tuple[tuple[float, float], ...]
    """As in Covariance."""


@dataclass(frozen=True)
class SimulatedStripNoise:
    """Independent errors with outliers, errors shared over some and over tens of kilometres, and rough stretches.

    These stand for what retrievals leave over slopes and beside clouds: a further error, alike over a few kilometres
    in both directions, which nobody is told of.
    """

    name: str = "simulated"
    """For the tables."""
    outliers: float = OUTLIERS
    """Share of soundings whose error is OUTLIER_FACTOR times as large."""
    rough_every_km: float = ROUGH_EVERY_KM
    """From one rough stretch to the next, in the mean."""

    @classmethod
    def as_told(cls) -> SimulatedStripNoise:
        """Return noise that is Gaussian, with the covariance that a filter is told, and nothing else."""
        return cls("as told", 0.0, np.inf)

    def draw(self, rng: np.random.Generator, strip: Strip) -> NoiseDraw:
        """Return noise of random strength."""
        single = rng.uniform(*SINGLE_PPM)
        shared = (
            (rng.uniform(*ROW_PPM), rng.uniform(*ROW_LENGTH_KM)),
            (rng.uniform(*MIDDLE_PPM), rng.uniform(*MIDDLE_LENGTH_KM)),
        )
        shape = strip.along_km.shape
        error = _rough(rng, strip, self.rough_every_km) + single * rng.standard_normal(shape) * np.where(
            rng.random(shape) < self.outliers, OUTLIER_FACTOR, 1.0
        )
        for sd, length_km in shared:
            a = np.exp(-ROW_KM / length_km)
            white = rng.standard_normal(strip.n_rows)
            white[0] /= np.sqrt(1.0 - a**2)
            error += sd * lfilter([np.sqrt(1.0 - a**2)], [1.0, -a], white)[:, None]
        variance = single**2 * (1.0 + self.outliers * (OUTLIER_FACTOR**2 - 1.0))
        return NoiseDraw(error, float(np.sqrt(variance)), shared)


def _rough(rng: np.random.Generator, strip: Strip, every_km: float) -> Floats:
    """Errors of some stretches of a strip, fading in and out, shape (rows, 8)."""
    error = np.zeros(strip.along_km.shape)
    for _ in range(rng.poisson(strip.row_km[-1] / every_km)):
        middle, half = rng.uniform(0.0, strip.row_km[-1]), rng.uniform(*ROUGH_HALF_KM)
        fading = np.clip(1.0 - np.abs(strip.along_km - middle) / half, 0.0, 1.0)
        field = random_waves(rng, rng.uniform(*ROUGH_SIZE_KM), strip.along_km, strip.across_km)
        error += rng.uniform(*ROUGH_PPM) * np.sqrt(fading) * field
    return error


@dataclass(frozen=True)
class RealStripNoise:
    """Blocks of rows of a real orbit's residuals, in random order."""

    name: str
    """For the tables."""
    blocks: tuple[Floats, ...]
    """Each of shape (4, 8), NaN where a footprint is missing."""

    @classmethod
    def of(cls, name: str, longitude: Floats, latitude: Floats, xco2_ppm: Floats, is_plume: Bools) -> RealStripNoise:
        """Put the soundings of an orbit into rows of footprints and cut them into blocks, but for its plume."""
        row, footprint = _rows_and_footprints(longitude, latitude)
        values = np.full((row.max() + 1, FOOTPRINTS), np.nan)
        values[row, footprint] = xco2_ppm
        plume = np.zeros(len(values), dtype=bool)
        plume[row[is_plume]] = True
        has_any = np.isfinite(values).any(axis=1)
        level = np.interp(np.arange(len(values)), np.flatnonzero(has_any), np.nanmedian(values[has_any], axis=1))
        residual = values - median_filter(level, MEDIAN_ROWS, mode="nearest")[:, None]
        starts = range(0, len(values) - BLOCK_ROWS + 1, BLOCK_ROWS)
        blocks = (residual[k : k + BLOCK_ROWS] for k in starts if not plume[k : k + BLOCK_ROWS].any())
        return cls(name, tuple(block for block in blocks if np.isfinite(block).mean() >= MIN_BLOCK))

    def draw(self, rng: np.random.Generator, strip: Strip) -> NoiseDraw:
        """Return rows of blocks."""
        picked = rng.integers(0, len(self.blocks), -(-strip.n_rows // BLOCK_ROWS))
        return NoiseDraw(np.concatenate([self.blocks[k] for k in picked])[: strip.n_rows], REAL_SINGLE_PPM, REAL_SHARED)


def _rows_and_footprints(longitude: Floats, latitude: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and footprint of the soundings of some hundred kilometres of a track, any order, by their places alone."""
    north = (latitude - latitude.mean()) * KM_PER_DEGREE
    east = (longitude - longitude.mean()) * KM_PER_DEGREE * np.cos(np.radians(latitude))
    curve = np.polynomial.Polynomial.fit(north, east, 3)
    tilt = np.arctan(curve.deriv()(north))
    across = (east - curve(north)) * np.cos(tilt)
    footprint = np.clip(np.rint((across - across.min()) / FOOTPRINT_KM), 0, FOOTPRINTS - 1).astype(np.intp)
    along = north / np.cos(tilt)
    steps = [np.diff(np.sort(along - slope * across)) for slope in SLOPES]
    slope = SLOPES[np.argmax([np.sum(np.minimum(step, ROW_KM) ** 2) for step in steps])]  # rows part best
    order = np.argsort(along - slope * across, kind="stable")
    step = np.diff((along - slope * across)[order], prepend=np.min(along - slope * across))
    row = np.empty(len(order), dtype=np.intp)
    row[order] = np.cumsum(np.where(step > ROW_KM / 2, np.maximum(np.rint(step / ROW_KM), 1), 0)).astype(np.intp)
    return row, footprint


BACKGROUNDS = ("calm", "vegetation", "coast")


def draw_surroundings(rng: np.random.Generator, background: str, noise: StripNoise, strip: Strip) -> Surroundings:
    """Return background and noise of a strip, by the name of the background."""
    drawn = noise.draw(rng, strip)
    if background == "calm":
        sd, length_km = rng.uniform(*CALM_PPM), rng.uniform(*CALM_KM)
    else:
        length_km = rng.uniform(*VEGETATION_KM)
        over = rng.uniform(*VEGETATION_PPM) * (0.5 if background == "coast" else 1.0)
        sd = over / np.sqrt(2.0 * -np.expm1(-0.5 * (OVER_KM / length_km) ** 2))
    is_water, step_ppm, calmer = np.zeros(strip.along_km.shape, dtype=bool), 0.0, 1.0
    if background == "coast":
        is_water = _water(rng, strip)
        step_ppm, calmer = rng.choice((-1.0, 1.0)) * rng.uniform(*COAST_PPM), rng.uniform(*WATER_NOISE)
    smooth = sd * random_waves(rng, length_km, strip.row_km)
    factor = np.where(is_water, calmer, 1.0)
    return Surroundings(
        USUAL_PPM + smooth[:, None] + step_ppm * is_water + drawn.error_ppm * factor,
        np.isfinite(drawn.error_ppm),
        drawn.single_ppm * factor * rng.uniform(*STATED),
        Covariance(drawn.single_ppm * factor, drawn.shared, factor.mean(axis=1), (sd, length_km), is_water),
    )


def _water(rng: np.random.Generator, strip: Strip) -> Bools:
    """Land and water in turn, with straight coasts that cross the strip at an angle."""
    is_water = np.full(strip.along_km.shape, bool(rng.integers(2)))
    at_km = rng.uniform(0.0, COAST_EVERY_KM[1])
    while at_km < strip.row_km[-1]:
        is_water ^= strip.along_km + strip.across_km * rng.uniform(-1.0, 1.0) > at_km
        at_km += rng.uniform(*COAST_EVERY_KM)
    return is_water
