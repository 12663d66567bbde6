"""Simulated overpasses for judging the detector: ground that changes, and plumes of puffs that are nobody's template.

Ground and plumes are made otherwise than in the world of `plumewatch.simulation`, so that the detector is held against
two worlds.

Noise as published: MARS (UNEP) states 206 ppb, 0.0734 mol/m2, for a pixel of its grid of 10 m. At an air mass factor of
2 that is 0.0040 of the ratio of two dates for Sentinel-2A, so 0.0028 of one date's, if the pixels of 10 m are copies of
those of 20 m. Instrument, change of the surface and error of registration together give that here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.constants import KM_PER_DEGREE, METRES_PER_KM
from plumewatch.methane.evaluation.ground import (
    DESERT,
    FIELDS,
    Ground,
    Texture,
    correlated_field,
    ground_of_texture,
    make_ground,
)
from plumewatch.methane.evaluation.planted import PIXEL_M, PlantedPlume, plume_column
from plumewatch.methane.grid_place import FittedPlace, GridPlace
from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import compute_air_mass_factor, compute_transmittance, units_of
from plumewatch.methane.smoothing import Mask
from plumewatch.sensors.known import sensor_of_platform

__all__ = ["DESERT", "FIELDS", "PlantedPlume", "SimulatedArea", "correlated_field", "plume_column", "simulate_area"]

Floats = NDArray[np.float64]

FIRST_DAY = datetime(2025, 8, 1, 7, 15, tzinfo=UTC)
DAYS_APART = (2, 3)  # of a place that two orbits see
LANDSAT_DAYS_APART = 8  # of two satellites on one path
RELATIVE_ORBIT, EPSG = 63, 32640
LONGITUDE, LATITUDE = 54.2, 38.5  # of the middle; the cells are laid out in degrees
SOLAR_ZENITH_DEG, SOLAR_CHANGE_DEG, VIEW_ZENITH_DEG = (20.0, 45.0), 1.0, (2.0, 9.0)

# What changes from date to date, relative.
BAND_NOISE = 0.0016  # per band and pixel: 0.23 % in the ratio of the two, 0.32 % between two dates
OTHER_BAND_NOISE = 0.004
RATIO_CHANGE, RATIO_CHANGE_SLOPE = 0.0008, 1.6
BRIGHTNESS_CHANGE, BRIGHTNESS_SLOPE = 0.012, 2.0
DUNE_CHANGE = 0.1  # of the dunes' shading, with the sun
UNIT_RESPONSE, UNIT_SLOPE = 0.002, 2.0  # the ratio of the same ground differs between satellites
UNITS_IN_SERVICE = 2
SCENE_GAIN, SCENE_RATIO = 0.02, 0.01
WATERED, WET_BRIGHTNESS = 0.3, 0.15  # share of the irrigated fields whose water changes by a date; ln B11, dry to wet
OPTICS_PX = 0.5  # blur of the instrument; Sentinel-2's modulation transfer is 0.15 to 0.3 at the Nyquist frequency
REGISTRATION_PX = 0.3  # either way on each axis: multi-temporal registration of Sentinel-2 L1C, ESA data quality report
BAND_REGISTRATION_PX = 0.03  # standard deviation of B12 against B11; the requirement is 0.3 px at 3 sigma
HALF_CELL_M, CELL_IN_HALVES = 10.0, 2  # the ground is simulated in cells of 20 m; of their halves others are made
BORDER_PX = 4  # simulated beyond the area, so that shifted images have no edge of their own
STEP = 1e-4  # of the stored reflectance

CLOUDY_DATES = 0.4
CLOUD_SLOPE, CLOUD_GAIN, CLOUD_OFFSET = 3.0, 1.5, 1.8
CLOUD_B11, CLOUD_B12, CLOUD_OTHER = 0.55, 0.40, 0.65
SHADE_B11, SHADE_B12, SHADE_OTHER, SHADE_SHIFT_PX = 0.40, 0.42, 0.35, (6, 9)
SCREENED_CLOUD, SCREENED_SHADE, SCREEN_MARGIN_PX = 0.05, 0.10, 2  # a screen misses the thin edge

EARLIER_WIND_M_S, EARLIER_RATE = (2.0, 6.0), (0.5, 1.5)


@dataclass(frozen=True, eq=False)
class SimulatedArea:
    """Passes over one piece of ground, oldest first; the last is the one to search."""

    passes: tuple[Pass, ...]
    """References, then the target."""
    plumes: tuple[PlantedPlume, ...]
    """What was planted into the target."""
    column_mol_m2: Floats
    """The column of these plumes."""


@dataclass(frozen=True, eq=False)
class _Date:
    """One date's view: satellite, angles, and the reflectance of each band."""

    unit: str
    day: int
    solar_zenith_deg: float
    view_zenith_deg: float
    bands: dict[str, Floats]

    @property
    def air_mass_factor(self) -> float:
        return float(compute_air_mass_factor(self.solar_zenith_deg, self.view_zenith_deg))


def simulate_area(
    seed: int,
    *,
    size: int = 250,
    n_references: int = 7,
    ground: str = DESERT,
    platform: str = "sentinel-2a",
    plumes: tuple[PlantedPlume, ...] = (),
    reference_plume_share: float = 0.3,
    clouds: bool = True,
    texture: Texture | None = None,
    other_bands: tuple[str, ...] = (),
) -> SimulatedArea:
    """Return passes over one simulated area: `n_references` every 2 or 3 days, then the target of `platform`.

    Landsat's cells are of 30 m and its dates 8 days apart. The ground is of the kind `ground`, or a piece of the real
    `texture`. A source that is planted in the target also emits in `reference_plume_share` of the references, into
    another wind. `other_bands` (`b04` ...) go into `Pass.other_bands`. The same seed gives the same pixels.
    """
    rng = np.random.default_rng(seed)
    pixel_m = sensor_of_platform(platform).pixel_m
    wide = fine_size(size, pixel_m) + 2 * BORDER_PX
    land = (
        ground_of_texture(rng, wide, texture, other_bands) if texture else make_ground(rng, wide, ground, other_bands)
    )
    partners = [unit for unit in units_of(platform) if unit != platform]
    in_service = [platform, *rng.choice(partners, UNITS_IN_SERVICE - 1, replace=False)]
    responses = {unit: UNIT_RESPONSE * correlated_field(rng, wide, UNIT_SLOPE) for unit in in_service}
    sun, wet = rng.uniform(*SOLAR_ZENITH_DEG), rng.uniform(-1, 1, len(land.wet_ratio))
    passes, day = [], 0
    for index in range(n_references + 1):
        is_target = index == n_references
        unit = platform if is_target else str(rng.choice(in_service))
        day += int(rng.integers(DAYS_APART[0], DAYS_APART[1] + 1)) if pixel_m == PIXEL_M else LANDSAT_DAYS_APART
        wet = np.where(rng.random(len(wet)) < WATERED, rng.uniform(-1, 1, len(wet)), wet)
        solar, view = float(sun + SOLAR_CHANGE_DEG * rng.standard_normal()), float(rng.uniform(*VIEW_ZENITH_DEG))
        seen = {name: in_cells(band, size, pixel_m) for name, band in _seen(rng, land, responses[unit], wet).items()}
        date = _Date(unit, day, solar, view, seen)
        emitting = plumes if is_target else _emitting_earlier(rng, plumes, reference_plume_share)
        column = sum((plume_column(rng, size, plume, pixel_m) for plume in emitting), np.zeros((size, size)))
        gas = compute_transmittance(column, unit, date.air_mass_factor)
        bands = date.bands | {"b11": date.bands["b11"] * gas.b11, "b12": date.bands["b12"] * gas.b12}
        bands, clear = _under_clouds(rng, bands, clouds and rng.random() < CLOUDY_DATES)
        passes.append(_as_pass(replace(date, bands=_with_noise(rng, bands)), clear, pixel_m))
    return SimulatedArea(tuple(passes), plumes, column)


def fine_size(size: int, pixel_m: float) -> int:
    """Return how many cells of 20 m hold so many of `pixel_m` along a side.

    >>> fine_size(100, 20.0), fine_size(101, 30.0)
    (100, 153)
    """
    step = int(pixel_m // HALF_CELL_M)
    return size if step == CELL_IN_HALVES else step * -(-size // CELL_IN_HALVES)


def in_cells(band: Floats, size: int, pixel_m: float) -> Floats:
    """Return size x size cells of `pixel_m`, means of the light of cells of 20 m (`fine_size` of them a side)."""
    step = int(pixel_m // HALF_CELL_M)
    if step == CELL_IN_HALVES:
        return band
    halves = band.repeat(CELL_IN_HALVES, 0).repeat(CELL_IN_HALVES, 1)
    cells = len(halves) // step
    return halves.reshape(cells, step, cells, step).mean(axis=(1, 3))[:size, :size]


def _seen(rng: np.random.Generator, land: Ground, response: Floats, wet: Floats) -> dict[str, Floats]:
    """Return the bands of the ground on one date, blurred and off by the errors of registration."""
    size = len(land.log_b11)
    water = WET_BRIGHTNESS * np.append(0.0, wet[1:])
    brightness = (
        BRIGHTNESS_CHANGE * correlated_field(rng, size, BRIGHTNESS_SLOPE) + rng.normal(0, SCENE_GAIN)
        + rng.normal(0, DUNE_CHANGE) * land.dunes + water[land.field]
    )  # fmt: skip
    change = RATIO_CHANGE * correlated_field(rng, size, RATIO_CHANGE_SLOPE) + rng.normal(0, SCENE_RATIO)
    b11 = land.log_b11 + brightness
    logs = {"b11": b11, "b12": b11 + land.log_ratio + response + change + (water * land.wet_ratio)[land.field]}
    logs |= {name: band + brightness for name, band in land.log_other.items()}
    shift = rng.uniform(-REGISTRATION_PX, REGISTRATION_PX, 2)
    off = {name: shift if name == "b11" else shift + rng.normal(0, BAND_REGISTRATION_PX, 2) for name in logs}
    inside = slice(BORDER_PX, -BORDER_PX)
    return {
        name: ndimage.shift(
            ndimage.gaussian_filter(np.exp(band), OPTICS_PX), off[name], order=3, mode="nearest"
        )[inside, inside]
        for name, band in logs.items()
    }  # fmt: skip


def _under_clouds(
    rng: np.random.Generator, bands: dict[str, Floats], is_cloudy: bool
) -> tuple[dict[str, Floats], Mask]:
    """Return the bands with clouds and their shadows, and where a cloud screen calls them clear."""
    shape = bands["b11"].shape
    if not is_cloudy:
        return bands, np.ones(shape, bool)
    cloud = np.clip(CLOUD_GAIN * correlated_field(rng, shape[0], CLOUD_SLOPE) - CLOUD_OFFSET, 0.0, 1.0)
    shade = ndimage.shift(cloud, SHADE_SHIFT_PX, order=1, mode="constant")
    white, dark = {"b11": CLOUD_B11, "b12": CLOUD_B12}, {"b11": SHADE_B11, "b12": SHADE_B12}
    seen = {
        name: band * (1 - dark.get(name, SHADE_OTHER) * shade) * (1 - cloud) + white.get(name, CLOUD_OTHER) * cloud
        for name, band in bands.items()
    }
    screened = (cloud > SCREENED_CLOUD) | (shade > SCREENED_SHADE)
    return seen, ~ndimage.binary_dilation(screened, iterations=SCREEN_MARGIN_PX)


def _emitting_earlier(
    rng: np.random.Generator, plumes: tuple[PlantedPlume, ...], share: float
) -> tuple[PlantedPlume, ...]:
    """Return the same sources as they were on an earlier date: some, with another rate and another wind."""
    earlier = []
    for plume in plumes:
        speed, towards = rng.uniform(*EARLIER_WIND_M_S), rng.uniform(0, 2 * np.pi)
        rate = plume.emission_kg_h * rng.uniform(*EARLIER_RATE)
        u, v = float(speed * np.sin(towards)), float(speed * np.cos(towards))
        if rng.random() < share:
            earlier.append(replace(plume, emission_kg_h=float(rate), wind_u_m_s=u, wind_v_m_s=v))
    return tuple(earlier)


def _with_noise(rng: np.random.Generator, bands: dict[str, Floats]) -> dict[str, Floats]:
    """Return the bands with the instrument's noise, in steps of the stored reflectance."""
    noisy = {}
    for name, band in bands.items():
        relative = BAND_NOISE if name in ("b11", "b12") else OTHER_BAND_NOISE
        noisy[name] = np.round(band * (1 + relative * rng.standard_normal(band.shape)) / STEP) * STEP
    return noisy


def _as_pass(date: _Date, clear: Mask, pixel_m: float) -> Pass:
    at = FIRST_DAY + timedelta(days=date.day)
    b11, b12 = date.bands["b11"], date.bands["b12"]
    return Pass(
        platform=date.unit,
        relative_orbit=RELATIVE_ORBIT,
        observed_at_utc=at,
        scene_ids=(f"SIM_{date.unit[-2:].upper()}_{at:%Y%m%d}",),
        scene_index=np.zeros(b11.shape, np.int16),
        b11=b11.astype(np.float32),
        b12=b12.astype(np.float32),
        is_usable=clear,
        air_mass_factor=date.air_mass_factor,
        view_zenith_deg=date.view_zenith_deg,
        n_pixels=b11.size,
        epsg=EPSG,
        pixel_size_m=pixel_m,
        place=grid_place(b11.shape[0], b11.shape[1], pixel_m),
        other_bands={n: band.astype(np.float32) for n, band in date.bands.items() if n not in ("b11", "b12")},
    )


def grid_place(height: int, width: int, pixel_m: float = PIXEL_M) -> GridPlace:
    """Return where cells lie, as far as a polynomial's first terms: rows and columns count in half sizes."""
    half_deg = max(height, width) / 2 * pixel_m / (KM_PER_DEGREE * METRES_PER_KM)
    coefficients = np.zeros((10, 2))
    coefficients[0] = 0.0, LATITUDE
    coefficients[1, 1] = -half_deg
    coefficients[2, 0] = half_deg / np.cos(np.radians(LATITUDE))
    return FittedPlace(0, 0, height, width, LONGITUDE, coefficients)
