"""Tracks without a source: of pieces of a real orbit's residuals, or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from plumewatch.oco2.null_distribution import REFERENCE_KM
from plumewatch.oco2.track import Track, straight_track

Floats = NDArray[np.float64]

TRACK_KM = REFERENCE_KM
BLOCK_KM = 10.0  # residuals are drawn in blocks of this length: their correlation, of some kilometres, stays
MEDIAN_KM = 60.0  # what a running median of this length follows is background
BACKGROUND_PPM = 0.4  # amplitude of the smooth background that is put under the residuals
BACKGROUND_KM = (250.0, 600.0)  # its wavelength
USUAL_PPM = 400.0
UNCERTAINTY_PPM = 0.65  # stated error of orbit 11522's soundings; what is found doesn't depend on it

FRAME_KM = 2.25  # OCO-2: 3 frames a second at 6.75 km/s over ground
FOOTPRINTS = 8
KEPT_FRACTION = (0.5, 1.0)  # soundings of good quality; orbit 11522 has 0.9
STATED_PPM = 0.5  # error; the statistic doesn't depend on it
SINGLE_PPM = (0.3, 0.6)  # independent error of a sounding; orbit 11522: 0.43
ROW_PPM = (0.1, 0.3)  # error that neighbouring soundings share; orbit 11522: 0.26
ROW_KM = (1.0, 3.0)  # its correlation length; orbit 11522: 1.5
MIDDLE_PPM = (0.0, 0.15)  # error shared over tens of kilometres
MIDDLE_KM = (5.0, 25.0)
WAVES_PPM = (0.0, 0.4)  # amplitude of two waves of the background
EXCURSIONS_PER_KM = 1.0 / 500.0
EXCURSION_PPM = 0.57  # standard deviation of their heights, of either sign; the one of orbit 11522 is twice that
EXCURSION_KM = (1.0, 4.0)  # sigma


class NoiseSource(Protocol):
    """Where tracks come from."""

    @property
    def name(self) -> str:
        """For the tables."""

    @property
    def origin(self) -> str:
        """What the reader of a table should know of it."""

    def draw(self, rng: np.random.Generator) -> Track:
        """Return a track of 600 km."""


@dataclass(frozen=True)
class Block:
    """Neighbouring soundings of a real orbit."""

    distance_km: Floats
    """From the beginning of the block."""
    residual_ppm: Floats
    """xco2 minus its running median."""


@dataclass(frozen=True)
class RealNoise:
    """Blocks of real residuals in a random order, on a smooth background."""

    name: str
    """For the tables."""
    blocks: tuple[Block, ...]
    """Each 10 km long."""
    background_ppm: float = BACKGROUND_PPM
    """Amplitude of the background."""

    @property
    def origin(self) -> str:
        """What the reader of a table should know of it."""
        return f"{len(self.blocks)} blocks of {BLOCK_KM:.0f} km in random order; some thresholds were chosen on them"

    @classmethod
    def of(cls, name: str, distance_km: Floats, xco2_ppm: Floats, without_km: tuple[float, float]) -> RealNoise:
        """Cut the soundings of an orbit into blocks, but for the stretch where it has a plume."""
        order = np.argsort(distance_km, kind="stable")
        x, y = distance_km[order], xco2_ppm[order]
        around = zip(np.searchsorted(x, x - MEDIAN_KM / 2), np.searchsorted(x, x + MEDIAN_KM / 2), strict=True)
        residual = y - np.array([np.median(y[first:last]) for first, last in around])
        start = np.arange(np.floor(x[0] / BLOCK_KM), np.floor(x[-1] / BLOCK_KM)) * BLOCK_KM
        start = start[(start < without_km[0]) | (start >= without_km[1])]
        cuts = [slice(*np.searchsorted(x, [s, s + BLOCK_KM])) for s in start]
        return cls(name, tuple(Block(x[cut] - s, residual[cut]) for s, cut in zip(start, cuts, strict=True)))

    def draw(self, rng: np.random.Generator) -> Track:
        """Return a track of 600 km."""
        picked = [self.blocks[k] for k in rng.integers(0, len(self.blocks), round(TRACK_KM / BLOCK_KM))]
        distance = np.concatenate([block.distance_km + n * BLOCK_KM for n, block in enumerate(picked)])
        wave = distance / rng.uniform(*BACKGROUND_KM) + rng.uniform(0.0, 1.0)
        xco2 = USUAL_PPM + self.background_ppm * np.sin(2.0 * np.pi * wave)
        xco2 += np.concatenate([block.residual_ppm for block in picked])
        return straight_track(distance, xco2, np.full(len(distance), UNCERTAINTY_PPM))


@dataclass(frozen=True)
class SimulatedNoise:
    """Correlated noise of random strength, a smooth background, and narrow excursions."""

    name: str = "simulated noise"
    """For the tables."""
    origin: str = "noise, background and excursions of random strength; nothing was chosen on it"
    """What the reader of a table should know of it."""

    def draw(self, rng: np.random.Generator) -> Track:
        """Return a track of 600 km."""
        return simulate_track(rng, TRACK_KM)


def simulate_track(rng: np.random.Generator, length_km: float) -> Track:
    """Return soundings of a source-free track with noise of random strength and correlation."""
    frames = np.arange(0.0, length_km, FRAME_KM)
    kept = rng.random((len(frames), FOOTPRINTS)) < rng.uniform(*KEPT_FRACTION)
    frame, _ = np.nonzero(kept)
    noise = _background(rng, frames) + _excursions(rng, frames)
    noise += _correlated(rng, len(frames), rng.uniform(*ROW_PPM), rng.uniform(*ROW_KM))
    noise += _correlated(rng, len(frames), rng.uniform(*MIDDLE_PPM), rng.uniform(*MIDDLE_KM))
    xco2 = noise[frame] + rng.normal(0.0, rng.uniform(*SINGLE_PPM), len(frame))
    return straight_track(frames[frame], xco2, np.full(len(frame), STATED_PPM))


def _correlated(rng: np.random.Generator, n: int, sd_ppm: float, length_km: float) -> Floats:
    """First-order autoregressive noise at the frames."""
    a = np.exp(-FRAME_KM / length_km)
    return lfilter([np.sqrt(1 - a**2)], [1.0, -a], rng.standard_normal(n)) * sd_ppm


def _background(rng: np.random.Generator, distance_km: Floats) -> Floats:
    total = np.zeros_like(distance_km)
    for _ in range(2):
        phase, length = rng.uniform(0.0, 2 * np.pi), rng.uniform(*BACKGROUND_KM)
        total += rng.uniform(*WAVES_PPM) * np.sin(2 * np.pi * distance_km / length + phase)
    return total


def _excursions(rng: np.random.Generator, distance_km: Floats) -> Floats:
    count = rng.poisson(EXCURSIONS_PER_KM * (distance_km[-1] - distance_km[0]))
    place, width = rng.uniform(distance_km[0], distance_km[-1], count), rng.uniform(*EXCURSION_KM, count)
    height = rng.normal(0.0, EXCURSION_PPM, count)
    return (height * np.exp(-0.5 * ((distance_km[:, None] - place) / width) ** 2)).sum(axis=1)
