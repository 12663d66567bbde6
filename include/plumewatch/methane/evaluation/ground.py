"""The ground of simulated areas as it always is: sand, rock, dunes, roads and fields, or a real scene's reflectance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]

DESERT, FIELDS, DENSE_FIELDS = "desert", "fields", "dense fields"

# ln of band 11 and of B12 / B11. Slopes (power falls with frequency to the minus slope) are those of the Sahara in
# S2A_29RKH_20200219. So is its intermittency, smooth sand beside rough rock: the change from pixel to pixel there is
# 0.037 and 0.012 root mean square, half of that by the median, which ROUGHNESS gives. A little less is taken here, as
# dunes and roads come on top.
MEAN_B11, MEAN_RATIO = 0.42, 0.89
ALBEDO_SLOPE, RATIO_SLOPE = 2.4, 2.9
ALBEDO_STEP, RATIO_STEP = 0.032, 0.009
ROUGHNESS, ROUGHNESS_SLOPE = 0.8, 3.0
DUNE_LENGTH_PX, DUNE_WIDTH, DUNE_TURN_RAD, DUNE_SHADE = (6.0, 14.0), 0.25, 0.35, 0.04
UNIT_PX = 250  # roads and fields are counted per square of this side
ROADS, ROAD_HALF_WIDTH_PX, ROAD_ALBEDO, ROAD_RATIO = 4, 1.2, -0.25, 0.06
FIELDS_PER_UNIT = {FIELDS: 7, DENSE_FIELDS: 40}  # with 7 the bare threshold is wrong as often as published
FIELD_HALF_SIZE_PX, ROUND_FIELDS = (6.0, 16.0), 0.4
FIELD_ALBEDO, FIELD_RATIO = (-0.5, -0.1), (-0.3, -0.05)
IRRIGATED = 0.4  # share of the fields that change from date to date
WET_RATIO = (0.15, 0.4)  # change of the ratio's logarithm over that of band 11
OTHER_BANDS_OF_B11 = {"b02": 0.35, "b03": 0.5, "b04": 0.7, "b08": 0.8, "b8a": 0.85}  # relative reflectance of sand
WIDER = 1.5  # fields are made so much wider, so that opposite edges don't match
OTHER_TEXTURE = 0.15  # what another band has of its own, over the texture of band 11


@dataclass(frozen=True, eq=False)
class Texture:
    """Reflectance of real ground on one date, height x width, without gaps."""

    b11: Floats
    """Band 11."""
    b12: Floats
    """Band 12."""
    other: dict[str, Floats]
    """Further bands by their names in the pixel table, `b02` and so on."""


@dataclass(frozen=True, eq=False)
class Ground:
    """One piece of ground, size x size cells."""

    log_b11: Floats
    """ln of the reflectance in band 11."""
    log_ratio: Floats
    """ln(B12 / B11)."""
    log_other: dict[str, Floats]
    """ln of the reflectance in further bands."""
    dunes: Floats
    """How a slope of sand turns towards the sun: what the sun's height changes in all bands alike."""
    field: NDArray[np.int64]
    """Number of the irrigated field that a cell lies in, 0 for none."""
    wet_ratio: Floats
    """Change of ln(B12 / B11) over that of ln B11 when a field is watered, by its number; 0 for none."""


def correlated_field(rng: np.random.Generator, size: int, slope: float) -> Floats:
    """Return random values of mean 0 and standard deviation 1 whose power falls with frequency ** -slope."""
    frequency = np.hypot(*_frequencies(size))
    frequency[0, 0] = np.inf
    return _filtered(rng, size, frequency ** (-slope / 2))


def make_ground(rng: np.random.Generator, size: int, kind: str, other_bands: tuple[str, ...] = ()) -> Ground:
    """Return ground of a kind (`desert`, `fields`, `dense fields`); the same state of `rng` gives the same."""
    roughness = np.exp(ROUGHNESS * correlated_field(rng, size, ROUGHNESS_SLOPE))
    texture = _with_step(correlated_field(rng, size, ALBEDO_SLOPE) * roughness, ALBEDO_STEP)
    albedo = np.log(MEAN_B11) + texture
    ratio = np.log(MEAN_RATIO) + _with_step(correlated_field(rng, size, RATIO_SLOPE) * roughness, RATIO_STEP)
    dunes = _dunes(rng, size)
    albedo = albedo + DUNE_SHADE * dunes
    roads = _roads(rng, size)
    albedo, ratio = albedo + ROAD_ALBEDO * roads, ratio + ROAD_RATIO * roads
    n_fields = round(FIELDS_PER_UNIT.get(kind, 0) * (size / UNIT_PX) ** 2)
    field = _fields(rng, size, n_fields)
    darker, lower = (_by_field(rng, limits, n_fields)[field] for limits in (FIELD_ALBEDO, FIELD_RATIO))
    irrigated = np.append(False, rng.random(n_fields) < IRRIGATED)
    other = {
        name: albedo + darker + np.log(OTHER_BANDS_OF_B11[name])
        + OTHER_TEXTURE * _with_step(correlated_field(rng, size, ALBEDO_SLOPE) * roughness, ALBEDO_STEP)
        for name in other_bands
    }  # fmt: skip
    return Ground(
        log_b11=albedo + darker,
        log_ratio=ratio + lower,
        log_other=other,
        dunes=dunes,
        field=np.where(irrigated[field], field, 0),
        wet_ratio=_by_field(rng, WET_RATIO, n_fields),
    )


def ground_of_texture(
    rng: np.random.Generator, size: int, texture: Texture, other_bands: tuple[str, ...] = ()
) -> Ground:
    """Return a piece of a real scene, cut at a random place and turned by a multiple of 90 degrees, with roads.

    Raises ValueError where the scene is smaller than the piece.
    """
    height, width = texture.b11.shape
    if size > min(height, width):
        raise ValueError(f"texture of {height} x {width} pixels, wanted {size} x {size}")
    row, col = (int(rng.integers(n - size + 1)) for n in (height, width))
    turns = int(rng.integers(4))

    def piece(band: Floats) -> Floats:
        return np.log(np.rot90(band[row : row + size, col : col + size], turns).astype(float))

    b11, roads = piece(texture.b11), _roads(rng, size)
    return Ground(
        log_b11=b11 + ROAD_ALBEDO * roads,
        log_ratio=piece(texture.b12) - b11 + ROAD_RATIO * roads,
        log_other={name: piece(texture.other[name]) + ROAD_ALBEDO * roads for name in other_bands},
        dunes=np.zeros((size, size)),
        field=np.zeros((size, size), np.int64),
        wet_ratio=np.zeros(1),
    )


def _frequencies(size: int) -> list[Floats]:
    wide = fft.next_fast_len(round(WIDER * size), real=True)
    return list(np.meshgrid(fft.fftfreq(wide), fft.rfftfreq(wide), indexing="ij"))


def _filtered(rng: np.random.Generator, size: int, amplitude: Floats) -> Floats:
    """Return white noise with this amplitude by frequency, mean 0 and standard deviation 1."""
    wide = len(amplitude)
    white = rng.standard_normal((2, *amplitude.shape))
    field = fft.irfft2((white[0] + 1j * white[1]) * amplitude, s=(wide, wide))[:size, :size]
    return (field - field.mean()) / field.std()


def _with_step(field: Floats, step: float) -> Floats:
    """Return the field without its mean, scaled so that neighbours differ by `step` (root mean square)."""
    return (field - field.mean()) * (step / np.sqrt(np.mean(np.diff(field, axis=0) ** 2)))


def _dunes(rng: np.random.Generator, size: int) -> Floats:
    """Return ridges of one direction and about one wavelength in part of the scene, standard deviation about 0.5."""
    down, right = _frequencies(size)
    middle = 1.0 / rng.uniform(*DUNE_LENGTH_PX)
    direction = rng.uniform(0, np.pi)
    turned = np.abs((np.arctan2(right, down) - direction + np.pi / 2) % np.pi - np.pi / 2)
    ring = np.exp(-0.5 * ((np.hypot(down, right) / middle - 1.0) / DUNE_WIDTH) ** 2)
    ridges = _filtered(rng, size, ring * np.exp(-0.5 * (turned / DUNE_TURN_RAD) ** 2))
    return ridges * np.clip(correlated_field(rng, size, ROUGHNESS_SLOPE), 0.0, 1.0)


def _roads(rng: np.random.Generator, size: int) -> Floats:
    """Return the share of each cell that is road."""
    roads = np.zeros((size, size))
    row, col = np.indices((size, size)) - size / 2
    for _ in range(round(ROADS * size / UNIT_PX)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4) * size
        across = np.abs(row * np.cos(angle) + col * np.sin(angle) - offset)
        roads = np.maximum(roads, np.clip(ROAD_HALF_WIDTH_PX - across, 0.0, 1.0))
    return roads


def _fields(rng: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """Return the number of the field at each cell (rectangles and circles, later ones on top), 0 for none."""
    number = np.zeros((size, size), np.int64)
    rows, cols = np.indices((size, size))
    for one in range(1, count + 1):
        row, col = rng.uniform(0, size, 2)
        height, width = rng.uniform(*FIELD_HALF_SIZE_PX, 2)
        if rng.random() < ROUND_FIELDS:
            inside = np.hypot(rows - row, cols - col) < height
        else:
            inside = (np.abs(rows - row) < height) & (np.abs(cols - col) < width)
        number[inside] = one
    return number


def _by_field(rng: np.random.Generator, limits: tuple[float, float], count: int) -> Floats:
    """Return one value for each field, 0 for what is none."""
    return np.append(0.0, rng.uniform(*limits, count))
