"""Random numbers that depend on the seed and on what they are for, never on the order in which things are made."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

BURN_IN_SCALES = 10.0  # after so many correlation lengths the start is forgotten


def random_stream(seed: int, *names: object) -> np.random.Generator:
    """Return the generator of one purpose: the same seed and names give the same numbers.

    >>> float(random_stream(1, "wind").random()) == float(random_stream(1, "wind").random())
    True
    """
    digest = hashlib.sha256(repr((int(seed), *(str(name) for name in names))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def gaussian_field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> NDArray[np.float64]:
    """Return a Gaussian random field of mean 0 and standard deviation 1, (rows, columns), periodic.

    White noise smoothed by a Gaussian of standard deviation `scale` (cells): two cells d apart correlate by
    exp(-d^2 / (4 scale^2)).
    """
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    transfer = np.exp(-2.0 * (np.pi * scale) ** 2 * (fx**2 + fy**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    field -= field.mean()
    return field / field.std()


def correlated_series(rng: np.random.Generator, length: int, scale: float) -> NDArray[np.float64]:
    """Return a Gaussian series of mean 0 and standard deviation 1; `scale` as in `gaussian_field`, in steps."""
    padded = length + int(np.ceil(8 * scale)) + 1
    frequency = np.fft.rfftfreq(padded)
    transfer = np.exp(-2.0 * (np.pi * scale * frequency) ** 2)
    series = np.fft.irfft(np.fft.rfft(rng.standard_normal(padded)) * transfer, n=padded)[:length]
    full = np.concatenate([transfer, transfer[1 : (padded + 1) // 2]])
    return series / np.sqrt(np.mean(full**2))


def autoregressive_series(rng: np.random.Generator, length: int, scale: float) -> NDArray[np.float64]:
    """Return autoregressive noise of mean 0 and standard deviation 1; d steps apart it correlates by exp(-d/scale)."""
    memory = np.exp(-1.0 / scale)
    start = int(np.ceil(BURN_IN_SCALES * scale))
    white = rng.standard_normal(length + start)
    return lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], white)[start:]
