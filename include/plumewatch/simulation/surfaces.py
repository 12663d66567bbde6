"""Desert surfaces and clouds as Sentinel-2 sees them in B11, B12 and the scene classification."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from plumewatch.simulation.random_streams import gaussian_field, random_stream

SCL_NODATA, SCL_SHADOW, SCL_VEGETATION, SCL_BARE, SCL_WATER = 0, 3, 4, 5, 6
SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS = 8, 9, 10

CELL_M = 20.0
B11_MEAN, B12_OVER_B11 = 0.52, 0.88  # bright sand, as in Saharan L2A scenes
# (smoothing scale in m, relative standard deviation) of the surface's B11 and of its ratio B12 / B11.
B11_TEXTURE = ((600.0, 0.06), (120.0, 0.03), (20.0, 0.012))
RATIO_TEXTURE = ((900.0, 0.015), (100.0, 0.005))
# Relative standard deviation per square root of 5 days, common to both bands and of their ratio, with its scale in m.
COMMON_CHANGE = ((1500.0, 0.004), (150.0, 0.002))
RATIO_CHANGE = ((1200.0, 0.0005), (200.0, 0.0002))
CHANGE_DAYS = 5.0
SCENE_GAIN = 0.01  # of a scene as a whole: aerosol and calibration
PIXEL_NOISE = 0.0025  # of the signal, per band
UNIT_TEXTURE = {"S2A": 0.0, "S2B": 0.0004, "S2C": 0.0002}  # share of a mineral pattern that a unit's B12 sees
SIDE_VIEW_TEXTURE = 0.0003  # of the ratio, where the neighbouring orbit looks from the other side
FIELD_RADIUS_M, POND_RADIUS_M, ROAD_WIDTH_M = (90.0, 180.0), 130.0, 30.0
# Factors on B11 and on the ratio, class.
FIELDS = ((1.10, 1.0, SCL_BARE), (0.82, 0.99, SCL_BARE), (0.55, 0.75, SCL_VEGETATION))
POND_B11, POND_B12 = 0.05, 0.03
ROAD_FACTOR = 0.75
# Cloud: opacity and class from the core outwards, as shares of the cloudy area.
CLOUD_CORE, CLOUD_BODY = 0.45, 0.8
OPACITY_CORE, OPACITY_BODY, OPACITY_EDGE = 0.95, 0.6, 0.08
CLOUD_B11, CLOUD_B12 = 0.42, 0.30
CLOUD_SCALE_M = 450.0
SHADOW_FACTOR, SHADOW_SHIFT_PX = 0.55, (-12, -10)  # rows, columns: the morning sun stands in the south-east

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """What is on the ground or above it; arrays are (rows, columns), row 0 in the north."""

    b11: Floats
    """Reflectance of B11."""
    b12: Floats
    """Reflectance of B12."""
    scl: NDArray[np.uint8]
    """Class of the scene classification."""
    cloud_percent: NDArray[np.uint8]
    """Probability of cloud."""


def make_surface(seed: int, area: str, size: int, free_m: list[tuple[float, float]], clearance_m: float) -> Surface:
    """Return the ground of an area, size x size cells: sand, a road, three fields and a pond.

    Fields and the pond keep `clearance_m` away from the points `free_m` (x, y from the centre, metres, north up).
    """
    rng = random_stream(seed, "ground", area)
    shape = (size, size)
    b11 = B11_MEAN * np.exp(_textures(rng, shape, B11_TEXTURE))
    ratio = B12_OVER_B11 * np.exp(_textures(rng, shape, RATIO_TEXTURE))
    scl = np.full(shape, SCL_BARE, np.uint8)
    axis = (np.arange(size) + 0.5 - size / 2) * CELL_M
    x, y = np.meshgrid(axis, -axis)  # from the middle, eastwards and northwards
    angle, offset = rng.uniform(0.0, np.pi), rng.uniform(-700.0, 700.0)
    from_road = np.abs(np.sin(angle) * x - np.cos(angle) * y - offset)
    cover = np.clip((ROAD_WIDTH_M + CELL_M - 2.0 * from_road) / (2.0 * CELL_M), 0.0, 1.0)
    b11 *= 1.0 - (1.0 - ROAD_FACTOR) * cover
    taken = list(free_m)
    for on_b11, on_ratio, scl_class in FIELDS:
        inside = _disc(rng, x, y, rng.uniform(*FIELD_RADIUS_M), taken, clearance_m)
        b11[inside] *= on_b11
        ratio[inside] *= on_ratio
        scl[inside] = scl_class
    pond = _disc(rng, x, y, POND_RADIUS_M, taken, clearance_m)
    b12 = b11 * ratio
    b11[pond], b12[pond], scl[pond] = POND_B11, POND_B12, SCL_WATER
    return Surface(b11, b12, scl, np.zeros(shape, np.uint8))


def _textures(rng: np.random.Generator, shape: tuple[int, int], parts: tuple[tuple[float, float], ...]) -> Floats:
    return np.asarray(sum(sd * gaussian_field(rng, shape, scale / CELL_M) for scale, sd in parts))


def _disc(
    rng: np.random.Generator,
    x: Floats,
    y: Floats,
    radius_m: float,
    taken: list[tuple[float, float]],
    clearance_m: float,
) -> NDArray[np.bool_]:
    """Place a disc clear of the points `taken` (it joins them) and return its cells."""
    reach = float(x.max()) * 0.75
    centres = rng.uniform(-reach, reach, size=(1000, 2))
    away = np.min([np.hypot(centres[:, 0] - px, centres[:, 1] - py) for px, py in taken], axis=0)
    centre = centres[np.argmax(away > clearance_m) if (away > clearance_m).any() else np.argmax(away)]
    taken.append((float(centre[0]), float(centre[1])))
    return np.hypot(x - centre[0], y - centre[1]) < radius_m


def on_date(
    ground: Surface, seed: int, area: str, days: list[float], number: int, unit: str, is_side_view: bool
) -> Surface:
    """Return the ground on acquisition `number` of those made at `days`, as this unit and orbit see it, without noise.

    What has changed since the first acquisition is the sum of the changes between all acquisitions up to this one.
    """
    shape = ground.b11.shape
    common, ratio = np.zeros(shape), np.zeros(shape)
    for step in range(1, number + 1):
        rng = random_stream(seed, "change", area, step)
        growth = np.sqrt((days[step] - days[step - 1]) / CHANGE_DAYS)
        common += growth * _textures(rng, shape, COMMON_CHANGE)
        ratio += growth * _textures(rng, shape, RATIO_CHANGE)
    pattern = random_stream(seed, "pattern", area)
    ratio += UNIT_TEXTURE[unit] * gaussian_field(pattern, shape, 300.0 / CELL_M)
    if is_side_view:
        ratio += SIDE_VIEW_TEXTURE * gaussian_field(pattern, shape, 200.0 / CELL_M)
    gain = 1.0 + SCENE_GAIN * random_stream(seed, "gain", area, number).standard_normal(2)
    b11 = ground.b11 * gain[0] * np.exp(common)
    return replace(ground, b11=b11, b12=ground.b12 * gain[1] * np.exp(common + ratio))


def under_clouds(surface: Surface, rng: np.random.Generator, fraction: float) -> Surface:
    """Return the surface with the given share of cells under cloud, each cloud with its shadow."""
    field = gaussian_field(rng, surface.b11.shape, CLOUD_SCALE_M / CELL_M)
    rank = (rankdata(field, method="ordinal").reshape(field.shape) - 1) / (field.size - 1)  # from 0 to 1
    depth = (1.0 - rank) / fraction  # 0 in the core, 1 at the edge of the cloud, above 1 outside
    opacity = np.interp(depth, [0.0, CLOUD_CORE, CLOUD_BODY, 1.0], [1.0, OPACITY_CORE, OPACITY_BODY, OPACITY_EDGE])
    cloudy = depth <= 1.0
    opacity = np.where(cloudy, opacity, 0.0)
    shade = np.roll(cloudy & (depth < CLOUD_BODY), SHADOW_SHIFT_PX, axis=(0, 1)) & ~cloudy
    dim = 1.0 - (1.0 - SHADOW_FACTOR) * shade
    scl = surface.scl.copy()
    scl[shade] = SCL_SHADOW
    scl[cloudy] = SCL_CIRRUS
    scl[depth <= CLOUD_BODY] = SCL_CLOUD_MEDIUM
    scl[depth <= CLOUD_CORE] = SCL_CLOUD_HIGH
    return Surface(
        surface.b11 * dim * (1.0 - opacity) + CLOUD_B11 * opacity,
        surface.b12 * dim * (1.0 - opacity) + CLOUD_B12 * opacity,
        scl,
        np.round(100.0 * np.sqrt(opacity)).astype(np.uint8),
    )


def with_noise(surface: Surface, rng: np.random.Generator) -> Surface:
    """Return the surface with the instrument's noise, white from cell to cell and independent between bands."""
    noise = 1.0 + PIXEL_NOISE * rng.standard_normal((2, *surface.b11.shape))
    return replace(surface, b11=surface.b11 * noise[0], b12=surface.b12 * noise[1])
