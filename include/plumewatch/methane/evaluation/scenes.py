"""Simulated overpasses for judging the detector: ground that changes, and plumes of puffs that are nobody's template.

Ground and plumes are made otherwise than in the world of `plumewatch.simulation`, so that the detector is held against
two worlds. On the ground chosen here a pixel's ratio scatters by 0.005 against one reference; MARS (UNEP) states 206
ppb, 0.004 for Sentinel-2A. Fields, roads and clouds come on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr

from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.passes import GridPlace, Pass
from plumewatch.methane.retrieval import PLATFORMS, compute_air_mass_factor, compute_transmittance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DESERT, FIELDS = "desert", "fields"

PIXEL_M = 20.0
SECONDS_PER_HOUR = 3600.0
FIRST_DAY = datetime(2025, 8, 1, 7, 15, tzinfo=UTC)
RELATIVE_ORBIT, EPSG = 63, 32640
LONGITUDE, LATITUDE = 54.2, 38.5  # of the middle; the cells are laid out in degrees
METRES_PER_DEGREE = 111_195.0
SOLAR_ZENITH_DEG, VIEW_ZENITH_DEG = (22.0, 38.0), (2.0, 9.0)

# The ground: ln of band 11 and of B12 / B11. Each field: power falls with frequency to the minus slope.
MEAN_B11, MEAN_RATIO = 0.42, 0.89
ALBEDO_TEXTURE, ALBEDO_SLOPE = 0.12, 2.4
RATIO_TEXTURE, RATIO_SLOPE, RATIO_OF_ALBEDO = 0.03, 2.2, 0.1
ROADS, ROAD_HALF_WIDTH_PX, ROAD_ALBEDO, ROAD_RATIO = 4, 1.2, -0.25, 0.06
STABLE_FIELDS, CHANGING_FIELDS = 25, 14
FIELD_HALF_SIZE_PX, ROUND_FIELDS = (6.0, 16.0), 0.4
FIELD_ALBEDO, FIELD_RATIO = -0.5, -0.3

# What changes from date to date, relative.
BAND_NOISE = 0.0018  # per band and pixel: 0.25 % in the ratio of the two
RATIO_CHANGE, RATIO_CHANGE_SLOPE = 0.0008, 1.6
BRIGHTNESS_CHANGE, BRIGHTNESS_SLOPE = 0.012, 2.0
UNIT_RESPONSE, UNIT_SLOPE = 0.001, 2.0  # the ratio of the same ground differs between satellites
SCENE_GAIN, SCENE_RATIO = 0.02, 0.01
WET_BRIGHTNESS, WET_RATIO = 0.15, 0.04  # of a field between dry and irrigated
OPTICS_PX = 0.5  # blur of the instrument; Sentinel-2's modulation transfer is 0.15 to 0.3 at the Nyquist frequency
REGISTRATION_PX = 0.2
STEP = 1e-4  # of the stored reflectance

CLOUDY_DATES = 0.4
CLOUD_SLOPE, CLOUD_GAIN, CLOUD_OFFSET = 3.0, 1.5, 1.8
CLOUD_B11, CLOUD_B12 = 0.55, 0.40
SHADE_B11, SHADE_B12, SHADE_SHIFT_PX = 0.40, 0.42, (6, 9)
SCREENED_CLOUD, SCREENED_SHADE, SCREEN_MARGIN_PX = 0.02, 0.03, 2  # a screen misses the thinnest edge

# Plumes.
PUFF_INTERVAL_S = 5.0
SOURCE_WIDTH_M = 8.0
GROWTH, GROWTH_MEMORY_S = 0.2, 60.0  # puffs of a daytime boundary layer: 90 m at 1 km in 3 m/s, beside the meandering
GUST, GUST_MEMORY_S = 0.15, 120.0  # relative to the wind; displacement grows linearly before, as a root after
PUFFING, PUFFING_S = 0.35, 60.0  # relative standard deviation of the release, and its memory
SCENES_LONG = 1.5  # puffs are followed over so many widths of the scene
EARLIER_WIND_M_S, EARLIER_RATE = (2.0, 6.0), (0.5, 1.5)


@dataclass(frozen=True)
class PlantedPlume:
    """A plume of known rate in a simulated pass."""

    emission_kg_h: float
    """Mean rate of the source."""
    row: float
    """Row of the source."""
    col: float
    """Column of the source."""
    wind_u_m_s: float
    """Wind towards east at 10 m."""
    wind_v_m_s: float
    """Wind towards north at 10 m."""


@dataclass(frozen=True, eq=False)
class SimulatedArea:
    """Passes over one piece of ground, oldest first; the last is the one to search."""

    passes: tuple[Pass, ...]
    """References, then the target."""
    plumes: tuple[PlantedPlume, ...]
    """What was planted into the target."""


def correlated_field(rng: np.random.Generator, size: int, slope: float) -> Floats:
    """Return random values of mean 0 and standard deviation 1 whose power falls with frequency ** -slope."""
    wide = 2 * size  # twice the width, so that opposite edges don't match
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(wide), np.fft.rfftfreq(wide), indexing="ij"))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((wide, wide))) * frequency ** (-slope / 2)
    field = np.fft.irfft2(spectrum, s=(wide, wide))[:size, :size]
    return (field - field.mean()) / field.std()


def plume_column(rng: np.random.Generator, size: int, plume: PlantedPlume) -> Floats:
    """Return the column enhancement (mol/m2) of a meandering train of puffs, size x size cells of 20 m.

    Puffs leave every few seconds with a mass that varies by a third, drift with the wind and with gusts that keep their
    direction for minutes, and grow by Taylor's law from a source of a few metres.
    """
    speed = float(np.hypot(plume.wind_u_m_s, plume.wind_v_m_s))
    age_s = np.arange(0.5, SCENES_LONG * size * PIXEL_M / speed / PUFF_INTERVAL_S) * PUFF_INTERVAL_S
    gust_east, gust_north = (GUST * speed * _slow_noise(rng, len(age_s), GUST_MEMORY_S) for _ in range(2))
    puffing = np.exp(PUFFING * _slow_noise(rng, len(age_s), PUFFING_S) - PUFFING**2 / 2)
    mass = plume.emission_kg_h / SECONDS_PER_HOUR * PUFF_INTERVAL_S * puffing
    reach = age_s / np.sqrt(1 + age_s / (2 * GUST_MEMORY_S))
    row = plume.row - (plume.wind_v_m_s * age_s + gust_north * reach) / PIXEL_M
    col = plume.col + (plume.wind_u_m_s * age_s + gust_east * reach) / PIXEL_M
    width = (SOURCE_WIDTH_M + GROWTH * speed * age_s / np.sqrt(1 + age_s / GROWTH_MEMORY_S)) / PIXEL_M
    in_rows, in_cols = (_cell_shares(size, centre, width) for centre in (row, col))
    return (in_rows * mass[:, None]).T @ in_cols / PIXEL_M**2 / MOLAR_MASS_CH4_KG_MOL


def _cell_shares(size: int, centre: Floats, sigma: Floats) -> Floats:
    """Return the part of each normal distribution (rows) that falls into each cell."""
    edges = np.arange(size + 1) - 0.5
    return np.diff(ndtr((edges[None, :] - centre[:, None]) / sigma[:, None]), axis=1)


def _slow_noise(rng: np.random.Generator, n: int, memory_s: float) -> Floats:
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n), memory_s / PUFF_INTERVAL_S, mode="reflect")
    return noise / noise.std()


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
) -> SimulatedArea:
    """Return passes over one simulated area: `n_references` every 2 or 3 days, then the target of `platform`.

    A source that is planted in the target also emits in `reference_plume_share` of the references, into another wind.
    The same seed gives the same pixels.
    """
    rng = np.random.default_rng(seed)
    albedo, ratio = _ground(rng, size, ground)
    units = [str(name) for name in rng.choice(list(PLATFORMS), n_references)] + [platform]
    responses = {unit: UNIT_RESPONSE * correlated_field(rng, size, UNIT_SLOPE) for unit in PLATFORMS}
    changing = _patches(rng, size, CHANGING_FIELDS) if ground == FIELDS else np.zeros((size, size))
    passes, day = [], 0
    for index, unit in enumerate(units):
        day += int(rng.integers(2, 4))
        emitting = plumes if index == n_references else _emitting_earlier(rng, plumes, reference_plume_share)
        b11, b12 = _bands(rng, albedo, ratio + responses[unit], changing)
        solar, view = (float(rng.uniform(*limits)) for limits in (SOLAR_ZENITH_DEG, VIEW_ZENITH_DEG))
        column = sum((plume_column(rng, size, plume) for plume in emitting), np.zeros((size, size)))
        gas = compute_transmittance(column, unit, float(compute_air_mass_factor(solar, view)))
        b11, b12, clear = _under_clouds(rng, b11 * gas.b11, b12 * gas.b12, clouds and rng.random() < CLOUDY_DATES)
        b11, b12 = (band * (1 + BAND_NOISE * rng.standard_normal((size, size))) for band in (b11, b12))
        passes.append(_as_pass(unit, day, b11, b12, clear, solar, view))
    return SimulatedArea(tuple(passes), plumes)


def _ground(rng: np.random.Generator, size: int, ground: str) -> tuple[Floats, Floats]:
    """Return ln B11 and ln(B12 / B11) of the ground as it always is: texture, roads, and fields where asked."""
    texture = ALBEDO_TEXTURE * correlated_field(rng, size, ALBEDO_SLOPE)
    albedo = np.log(MEAN_B11) + texture
    ratio = np.log(MEAN_RATIO) + RATIO_TEXTURE * correlated_field(rng, size, RATIO_SLOPE) + RATIO_OF_ALBEDO * texture
    for _ in range(ROADS):
        road = _line(rng, size)
        albedo, ratio = albedo + ROAD_ALBEDO * road, ratio + ROAD_RATIO * road
    if ground == FIELDS:
        patches = np.abs(_patches(rng, size, STABLE_FIELDS))
        albedo, ratio = albedo + FIELD_ALBEDO * patches, ratio + FIELD_RATIO * patches
    return albedo, ratio


def _line(rng: np.random.Generator, size: int) -> Floats:
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * size
    row, col = np.indices((size, size)) - size / 2
    return np.clip(ROAD_HALF_WIDTH_PX - np.abs(row * np.cos(angle) + col * np.sin(angle) - offset), 0.0, 1.0)


def _patches(rng: np.random.Generator, size: int, n: int) -> Floats:
    """Return rectangles and circles, each with a value of its own in [-1, 1]."""
    patches = np.zeros((size, size))
    rows, cols = np.indices((size, size))
    for _ in range(n):
        row, col = rng.uniform(0, size, 2)
        height, width = rng.uniform(*FIELD_HALF_SIZE_PX, 2)
        if rng.random() < ROUND_FIELDS:
            inside = np.hypot(rows - row, cols - col) < height
        else:
            inside = (np.abs(rows - row) < height) & (np.abs(cols - col) < width)
        patches[inside] = rng.uniform(-1, 1)
    return patches


def _bands(rng: np.random.Generator, albedo: Floats, ratio: Floats, changing: Floats) -> tuple[Floats, Floats]:
    """Return both bands of the ground on one date, shifted by the error of registration."""
    size, wet = len(albedo), changing * rng.uniform(-1, 1)
    brightness = BRIGHTNESS_CHANGE * correlated_field(rng, size, BRIGHTNESS_SLOPE) + rng.normal(0, SCENE_GAIN)
    change = RATIO_CHANGE * correlated_field(rng, size, RATIO_CHANGE_SLOPE) + rng.normal(0, SCENE_RATIO)
    b11 = albedo + brightness + WET_BRIGHTNESS * wet
    b12 = b11 + ratio + change + WET_RATIO * wet
    shift = rng.uniform(-REGISTRATION_PX, REGISTRATION_PX, 2)
    seen = [ndimage.gaussian_filter(np.exp(band), OPTICS_PX) for band in (b11, b12)]
    b11, b12 = (ndimage.shift(band, shift, order=3, mode="nearest") for band in seen)
    return b11, b12


def _under_clouds(rng: np.random.Generator, b11: Floats, b12: Floats, is_cloudy: bool) -> tuple[Floats, Floats, Mask]:
    """Return the bands with clouds and their shadows, and where a cloud screen calls them clear."""
    if not is_cloudy:
        return b11, b12, np.ones(b11.shape, bool)
    cloud = np.clip(CLOUD_GAIN * correlated_field(rng, len(b11), CLOUD_SLOPE) - CLOUD_OFFSET, 0.0, 1.0)
    shade = ndimage.shift(cloud, SHADE_SHIFT_PX, order=1, mode="constant")
    b11 = b11 * (1 - SHADE_B11 * shade) * (1 - cloud) + CLOUD_B11 * cloud
    b12 = b12 * (1 - SHADE_B12 * shade) * (1 - cloud) + CLOUD_B12 * cloud
    screened = (cloud > SCREENED_CLOUD) | (shade > SCREENED_SHADE)
    return b11, b12, ~ndimage.binary_dilation(screened, iterations=SCREEN_MARGIN_PX)


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


def _as_pass(unit: str, day: int, b11: Floats, b12: Floats, clear: Mask, solar: float, view: float) -> Pass:
    at = FIRST_DAY + timedelta(days=day)
    b11, b12 = (np.round(band / STEP) * STEP for band in (b11, b12))
    return Pass(
        platform=unit,
        relative_orbit=RELATIVE_ORBIT,
        observed_at_utc=at,
        scene_ids=(f"SIM_{unit[-2:].upper()}_{at:%Y%m%d}",),
        scene_index=np.zeros(b11.shape, np.int16),
        b11=b11.astype(np.float32),
        b12=b12.astype(np.float32),
        is_usable=clear,
        air_mass_factor=float(compute_air_mass_factor(solar, view)),
        view_zenith_deg=view,
        n_pixels=b11.size,
        epsg=EPSG,
        pixel_size_m=PIXEL_M,
        place=_place(len(b11)),
    )


def _place(size: int) -> GridPlace:
    """Return where the cells lie, as far as a polynomial's first terms: row and column are counted in half sizes."""
    half_deg = size / 2 * PIXEL_M / METRES_PER_DEGREE
    coefficients = np.zeros((10, 2))
    coefficients[0] = 0.0, LATITUDE
    coefficients[1, 1] = -half_deg
    coefficients[2, 0] = half_deg / np.cos(np.radians(LATITUDE))
    return GridPlace(0, 0, size, size, LONGITUDE, coefficients)
