"""Simulated overpasses for judging the detector: ground that changes, and plumes of puffs that are nobody's template.

Deliberately not the world of `plumewatch.simulation`: what is judged here was not tuned on that world, and the other
way round. Magnitudes of the ground are chosen so that a bare threshold on the ratio raises tens of false alarms per
scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.passes import GridPlace, Pass
from plumewatch.methane.retrieval import PLATFORMS, BandTransmittance, compute_transmittance

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PIXEL_M = 20.0
SECONDS_PER_HOUR = 3600.0
BAND_NOISE = 0.0018  # per band and pixel, relative: 0.25 % in the ratio of the two
RATIO_CHANGE = 0.001  # change of the ratio from date to date that is correlated from pixel to pixel, relative
BRIGHTNESS_CHANGE = 0.012  # the same of both bands together
UNIT_RESPONSE = 0.0015  # what the ratio of the same ground differs between satellites, relative
REGISTRATION_PX = 0.3  # largest shift of a date against the grid
SOURCE_WIDTH_M = 8.0
GROWTH, GROWTH_MEMORY_S = 0.2, 60.0  # puffs of a daytime boundary layer: 90 m at 1 km in 3 m/s, beside the meandering
GUST, GUST_MEMORY_S = 0.15, 120.0  # relative to the wind; displacement grows linearly before, as a root after
PUFFING, PUFFING_S = 0.35, 60.0  # relative standard deviation of the release, and its memory
DESERT, FIELDS = "desert", "fields"


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

    Puffs leave every few seconds with a mass that varies by a third (slowly), drift with the wind and with transverse
    gusts that keep their direction for minutes, and grow by Taylor's law from a source of a few metres.
    """
    speed = max(0.5, float(np.hypot(plume.wind_u_m_s, plume.wind_v_m_s)))
    step_s = min(5.0, 0.5 * PIXEL_M / speed)
    age_s = np.arange(0.5 * step_s, 1.5 * size * PIXEL_M / speed, step_s)
    gust_east, gust_north = (_slow_noise(rng, len(age_s), GUST_MEMORY_S / step_s) * GUST * speed for _ in range(2))
    mass = (
        plume.emission_kg_h
        / SECONDS_PER_HOUR
        * step_s
        * np.exp(PUFFING * _slow_noise(rng, len(age_s), PUFFING_S / step_s) - PUFFING**2 / 2)
    )
    reach = age_s / np.sqrt(1 + age_s / (2 * GUST_MEMORY_S))
    east = plume.wind_u_m_s * age_s + gust_east * reach
    north = plume.wind_v_m_s * age_s + gust_north * reach
    sigma_m = SOURCE_WIDTH_M + GROWTH * speed * age_s / np.sqrt(1 + age_s / GROWTH_MEMORY_S)
    row, col = plume.row - north / PIXEL_M, plume.col + east / PIXEL_M
    column = np.zeros((size, size))
    for r, c, s, m in zip(row, col, sigma_m / PIXEL_M, mass, strict=True):  # a few hundred puffs, each on its window
        top, left = max(0, int(r - 4 * s - 1)), max(0, int(c - 4 * s - 1))
        bottom, right = min(size, int(r + 4 * s + 2)), min(size, int(c + 4 * s + 2))
        if top >= bottom or left >= right:
            continue
        across_rows = _cell_shares(np.arange(top, bottom), r, s)
        across_cols = _cell_shares(np.arange(left, right), c, s)
        column[top:bottom, left:right] += m / PIXEL_M**2 * np.outer(across_rows, across_cols)
    return column / MOLAR_MASS_CH4_KG_MOL


def _cell_shares(cells: NDArray[np.int64], centre: float, sigma: float) -> Floats:
    """Return the part of a normal distribution that falls into each cell."""
    from scipy.special import ndtr

    return ndtr((cells + 0.5 - centre) / sigma) - ndtr((cells - 0.5 - centre) / sigma)


def _slow_noise(rng: np.random.Generator, n: int, memory_steps: float) -> Floats:
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n), max(1.0, memory_steps), mode="reflect")
    return noise / max(noise.std(), 1e-9)


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
    others = [str(name) for name in rng.choice(list(PLATFORMS), n_references)]
    unit_fields = {unit: UNIT_RESPONSE * correlated_field(rng, size, 2.0) for unit in PLATFORMS}
    fields_change = _field_patches(rng, size, 14) if ground == FIELDS else None
    passes, day = [], 0
    for index, unit in enumerate([*others, platform]):
        day += int(rng.integers(2, 4))
        is_target = index == n_references
        planted = plumes if is_target else _emitting_earlier(rng, plumes, reference_plume_share)
        b11, b12, clear = _one_date(rng, albedo, ratio + unit_fields[unit], fields_change, clouds)
        solar, view = float(rng.uniform(22, 38)), float(rng.uniform(2, 9))
        gas = _absorption(rng, size, planted, unit, solar, view)
        passes.append(_as_pass(unit, day, b11 * gas.b11, b12 * gas.b12, clear, solar, view))
    return SimulatedArea(tuple(passes), plumes)


def _ground(rng: np.random.Generator, size: int, ground: str) -> tuple[Floats, Floats]:
    """Return ln B11 and ln(B12 / B11) of the ground as it always is: texture, rock, roads, and fields where asked."""
    albedo = np.log(0.42) + 0.12 * correlated_field(rng, size, 2.4)
    ratio = -0.12 + 0.03 * correlated_field(rng, size, 2.2) + 0.1 * (albedo - albedo.mean())
    for _ in range(4):
        road = _line(rng, size)
        albedo, ratio = albedo - 0.25 * road, ratio + 0.06 * road
    if ground == FIELDS:
        patches = _field_patches(rng, size, 25)
        albedo, ratio = albedo - 0.5 * np.abs(patches), ratio - 0.3 * np.abs(patches)
    return albedo, ratio


def _line(rng: np.random.Generator, size: int) -> Floats:
    angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * size
    r, c = np.indices((size, size)) - size / 2
    distance = np.abs(r * np.cos(angle) + c * np.sin(angle) - offset)
    return np.clip(1.2 - distance, 0.0, 1.0)


def _field_patches(rng: np.random.Generator, size: int, n: int) -> Floats:
    """Return rectangles and circles, each with a value of its own in [-1, 1]."""
    patches = np.zeros((size, size))
    r, c = np.indices((size, size))
    for _ in range(n):
        row, col = rng.uniform(0, size, 2)
        half = rng.uniform(6, 16, 2)
        inside = (
            np.hypot(r - row, c - col) < half[0]
            if rng.random() < 0.4
            else (np.abs(r - row) < half[0]) & (np.abs(c - col) < half[1])
        )
        patches[inside] = rng.uniform(-1, 1)
    return patches


def _one_date(
    rng: np.random.Generator, albedo: Floats, ratio: Floats, fields: Floats | None, clouds: bool
) -> tuple[Floats, Floats, Mask]:
    size = len(albedo)
    brightness = BRIGHTNESS_CHANGE * correlated_field(rng, size, 2.0) + rng.normal(0, 0.02)
    ratio_today = ratio + RATIO_CHANGE * correlated_field(rng, size, 1.6) + rng.normal(0, 0.01)
    if fields is not None:
        wet = fields * rng.uniform(-1, 1)
        brightness, ratio_today = brightness + 0.15 * wet, ratio_today + 0.04 * wet
    shift = rng.uniform(-REGISTRATION_PX, REGISTRATION_PX, 2)
    b11, b12 = (
        ndimage.shift(np.exp(a), shift, order=1, mode="nearest")
        for a in (albedo + brightness, albedo + brightness + ratio_today)
    )
    clear = np.ones((size, size), bool)
    if clouds and rng.random() < 0.4:
        thickness = np.clip(1.5 * correlated_field(rng, size, 3.0) - 1.8, 0.0, 1.0)
        shade = ndimage.shift(thickness, (6, 9), order=1, mode="constant")
        b11, b12 = b11 * (1 - 0.4 * shade), b12 * (1 - 0.42 * shade)
        b11, b12 = b11 + thickness * (0.55 - b11), b12 + thickness * (0.40 - b12)
        # A cloud screen misses the thinnest edge: what is left of it, 1 %, is outside the mask and its margin.
        clear = ~ndimage.binary_dilation((thickness > 0.02) | (shade > 0.03), iterations=2)
    noise = [1 + BAND_NOISE * rng.standard_normal((size, size)) for _ in range(2)]
    return np.round(b11 * noise[0], 4), np.round(b12 * noise[1], 4), clear


def _emitting_earlier(
    rng: np.random.Generator, plumes: tuple[PlantedPlume, ...], share: float
) -> tuple[PlantedPlume, ...]:
    """Return the same sources as they were on an earlier date: some, with another rate and another wind."""
    earlier = []
    for plume in plumes:
        speed, to = rng.uniform(2, 6), rng.uniform(0, 2 * np.pi)
        if rng.random() < share:
            rate = plume.emission_kg_h * rng.uniform(0.5, 1.5)
            earlier.append(
                replace(plume, emission_kg_h=rate, wind_u_m_s=speed * np.sin(to), wind_v_m_s=speed * np.cos(to))
            )
    return tuple(earlier)


def _absorption(
    rng: np.random.Generator, size: int, plumes: tuple[PlantedPlume, ...], unit: str, solar: float, view: float
) -> BandTransmittance:
    column = sum((plume_column(rng, size, plume) for plume in plumes), np.zeros((size, size)))
    amf = 1 / np.cos(np.radians(solar)) + 1 / np.cos(np.radians(view))
    return compute_transmittance(column, unit, float(amf))


def _as_pass(unit: str, day: int, b11: Floats, b12: Floats, clear: Mask, solar: float, view: float) -> Pass:
    size = len(b11)
    at = datetime(2025, 8, 1, 7, 15, tzinfo=UTC) + timedelta(days=day)
    scene = f"SIM_{unit[-2:].upper()}_{at:%Y%m%d}"
    return Pass(
        platform=unit,
        relative_orbit=63,
        observed_at_utc=at,
        scene_ids=(scene,),
        scene_index=np.zeros((size, size), np.int16),
        b11=b11.astype(np.float32),
        b12=b12.astype(np.float32),
        is_usable=clear,
        air_mass_factor=float(1 / np.cos(np.radians(solar)) + 1 / np.cos(np.radians(view))),
        view_zenith_deg=view,
        n_pixels=size * size,
        epsg=32640,
        pixel_size_m=PIXEL_M,
        place=_place(size),
    )


def _place(size: int) -> GridPlace:
    """Return cells of 20 m around 54.2 E 38.5 N, laid out in degrees."""
    half = size / 2
    per_cell = np.array([PIXEL_M / (111_195.0 * np.cos(np.radians(38.5))), PIXEL_M / 111_195.0])
    coefficients = np.zeros((10, 2))
    coefficients[0] = 0.0, 38.5
    coefficients[1, 1], coefficients[2, 0] = -half * per_cell[1], half * per_cell[0]
    return GridPlace(0, 0, size, size, 54.2, coefficients)
