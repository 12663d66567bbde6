"""A known column is put into noisy bands and retrieved: `python -m plumewatch.methane.evaluation --only scenes`.

The bias of the mean over many pixels, for each form of the retrieval, satellite, air mass factor and column. What the
column does to the bands is computed otherwise than in the library: the table's transmittance is a sum over wavelengths
of weight x exp(-absorption x column), so non-negative weights of such a sum are fitted to its nodes, and between air
mass factors it goes by a cubic spline. Noise comes in pairs of opposite sign, so that its mean is exactly zero: what
remains is what the retrieval adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import nnls

from plumewatch.methane.fractional_change import centre_on_ground, compute_mbmp, compute_mbsp
from plumewatch.methane.retrieval import (
    PLATFORMS,
    TABLE_FILE,
    compute_log_ratio,
    compute_noise_bias,
    estimate_enhancement,
)
from plumewatch.reference.loading import read_reference

Floats = NDArray[np.float64]

RATIO, MBMP, MBSP = "ratio", "MBMP", "MBSP"
FORMS = (RATIO, MBMP, MBSP)
AIR_MASS_FACTORS = (2.0, 2.6, 3.1, 4.0)
COLUMNS_MOL_M2 = (0.0, 0.01, 0.03, 0.07, 0.12, 0.25, 0.6, 1.2, 2.4, 4.5, 7.0, 8.0)  # all but two between nodes
LEAST_RELATIVE_MOL_M2 = 0.03  # columns below are judged by their absolute bias
PAIRS = 10_000  # of pixels, on plume and ground each

# Per band, pixel and date: with two bands and two dates 0.004 in the ratio, the 206 ppb (0.073 mol/m2) that MARS (UNEP)
# states for Sentinel-2A, times its 0.0545 per mol/m2 at an air mass factor of 2.
BAND_NOISE = 0.002
ALBEDO, RATIO_OF_BANDS = 0.42, 0.89  # mean band 11, mean band 12 over band 11: desert
ALBEDO_TEXTURE, RATIO_TEXTURE = 0.12, 0.01  # relative, the same on both dates
SECOND_DATE_GAIN = (1.03, 0.98)  # of bands 11 and 12: illumination and water vapour

EXPONENTIALS = np.concatenate([[0.0], np.geomspace(1e-4, 30.0, 150)])  # absorption per mol/m2


@dataclass(frozen=True)
class RoundTrip:
    """One column put in and what came back."""

    form: str
    """ratio, MBMP or MBSP."""
    platform: str
    """Satellite."""
    air_mass_factor: float
    """Of the target date."""
    column_mol_m2: float
    """What was put in."""
    noise_mol_m2: float
    """Standard deviation of what came back, one pixel."""
    raw_bias_mol_m2: float
    """Mean of what came back minus what was put in, noise left as it is."""
    bias_mol_m2: float
    """The same with `compute_noise_bias` subtracted, by the noise seen on the ground beside."""


@lru_cache(maxsize=64)
def _weights(platform: str, band: str, air_mass_factor: float) -> Floats:
    """Return the non-negative weights of EXPONENTIALS that give the table's transmittance."""
    table = read_reference(TABLE_FILE)
    nodes = np.asarray(table["omega_mol_m2"])
    logs = CubicSpline(table["amf"], np.log(table[f"{PLATFORMS[platform]}_{band}"]))(air_mass_factor)
    return nnls(np.exp(-np.outer(nodes, EXPONENTIALS)), np.exp(logs))[0]


def mixture_transmittance(column_mol_m2: float, platform: str, band: str, air_mass_factor: float) -> float:
    """Return T of a band (`B11` or `B12`) by the sum of exponentials, 1 at no column exactly."""
    weights = _weights(platform, band, air_mass_factor)
    return float(weights @ np.exp(-EXPONENTIALS * column_mol_m2) / weights.sum())


@lru_cache(maxsize=2)
def round_trips(seed: int, pairs: int = PAIRS) -> tuple[RoundTrip, ...]:
    """Return every form, satellite, air mass factor and column; `pairs` pixels of either sign of the noise."""
    return tuple(
        trip
        for platform in PLATFORMS
        for air_mass_factor in AIR_MASS_FACTORS
        for column in COLUMNS_MOL_M2
        for trip in round_trip(seed, platform, air_mass_factor, column, pairs)
    )


def round_trip(
    seed: int, platform: str, air_mass_factor: float, column_mol_m2: float, pairs: int = PAIRS
) -> tuple[RoundTrip, ...]:
    """Put one column (mol/m2) into noisy bands of the second of two dates and retrieve it by each form."""
    bands, plume = _simulate(seed, platform, air_mass_factor, column_mol_m2, pairs)
    results = []
    for form, signal in _signals(bands, plume).items():
        # The planted ground has no outliers: the plain standard deviation is the surest.
        noise = float(np.log1p(-signal[~plume]).std())
        enhancement = estimate_enhancement(signal[plume], platform, air_mass_factor)
        excess = compute_noise_bias(signal[plume], platform, air_mass_factor, noise)
        raw = float(enhancement.mean() - column_mol_m2)
        results.append(
            RoundTrip(
                form, platform, air_mass_factor, column_mol_m2,
                float(enhancement.std()), raw, raw - float(excess.mean()),
            )
        )  # fmt: skip
    return tuple(results)


def _simulate(
    seed: int, platform: str, air_mass_factor: float, column: float, pairs: int
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """Return bands of both dates (row 0 ground, row 1 plume on the second date) and the mask of the plume."""
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((6, 2, pairs))
    albedo, texture, *noise = np.concatenate([draws, -draws], axis=-1)
    albedo[:, pairs:] *= -1.0  # of a pair both lie on equally bright ground
    plume = np.zeros(albedo.shape, bool)
    plume[1] = True
    ground = {"B11": ALBEDO * np.exp(ALBEDO_TEXTURE * albedo)}
    ground["B12"] = ground["B11"] * RATIO_OF_BANDS * np.exp(RATIO_TEXTURE * texture)
    bands = {}
    for number, (band, gain) in enumerate(zip(("B11", "B12"), SECOND_DATE_GAIN, strict=True)):
        transmitted = np.where(plume, mixture_transmittance(column, platform, band, air_mass_factor), 1.0)
        bands[f"{band} before"] = ground[band] * (1.0 + BAND_NOISE * noise[number])
        bands[band] = ground[band] * transmitted * gain * (1.0 + BAND_NOISE * noise[2 + number])
    return {name: band.astype(np.float32) for name, band in bands.items()}, plume


def _signals(bands: dict[str, NDArray[np.float32]], plume: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """Return y = 1 - M of each form, scaled on ground outside the plume."""
    valid = np.ones(plume.shape, bool)
    single, before = (compute_mbsp(bands["B11" + date], bands["B12" + date], valid, plume) for date in ("", " before"))
    log_ratio, log_before = (
        compute_log_ratio(bands["B11" + date], bands["B12" + date], valid) for date in ("", " before")
    )
    log_m = log_ratio - log_before
    log_m -= np.median(log_m[~plume])
    changes = {MBMP: compute_mbmp(single, [before]), MBSP: single}
    return {RATIO: -np.expm1(log_m)} | {form: -centre_on_ground(change, ~plume) for form, change in changes.items()}


def worst_round_trip_bias(seed: int = 0, pairs: int = PAIRS) -> float:
    """Return the largest |bias| / column over all forms, satellites, air mass factors and columns from 0.03 mol/m2 on.

    0.01 is 1 %. The mean over noise is corrected as `RoundTrip.bias_mol_m2` says.
    """
    return max(_relative(trip) for trip in round_trips(seed, pairs) if trip.column_mol_m2 >= LEAST_RELATIVE_MOL_M2)


def _relative(trip: RoundTrip) -> float:
    return abs(trip.bias_mol_m2) / trip.column_mol_m2


def round_trip_lines(seed: int = 0, pairs: int = PAIRS) -> list[str]:
    """Return the table as lines: for each form and satellite the worst over air mass factors and columns."""
    trips = round_trips(seed, pairs)
    lines = [
        f"columns 0.03 to 8 mol/m2, air mass factors 2 to 4, {2 * pairs} pixels each; around zero: 0 and 0.01 mol/m2",
        "form   satellite    noise mol/m2  worst bias %  (uncorrected)  around zero mol/m2  share of the noise %",
    ]
    for form in FORMS:
        for platform in PLATFORMS:
            some = [trip for trip in trips if (trip.form, trip.platform) == (form, platform)]
            columns = [trip for trip in some if trip.column_mol_m2 >= LEAST_RELATIVE_MOL_M2]
            small = [trip for trip in some if trip.column_mol_m2 < LEAST_RELATIVE_MOL_M2]
            raw = max(abs(trip.raw_bias_mol_m2) / trip.column_mol_m2 for trip in columns)
            lines.append(
                f"{form:6} {platform:12} {max(trip.noise_mol_m2 for trip in small):12.3f}"
                f"  {100 * max(map(_relative, columns)):12.2f}  {100 * raw:13.2f}"
                f"  {max(abs(trip.bias_mol_m2) for trip in small):18.5f}"
                f"  {100 * max(abs(trip.bias_mol_m2) / trip.noise_mol_m2 for trip in small):20.2f}"
            )
    return lines
