"""Cells of a grid as sources: where they are, how large they are, and rows of those that emit much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch.constants import EARTH_RADIUS_KM, METRES_PER_KM
from plumewatch.errors import InputError
from plumewatch.geodesy import wrap_longitude
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.tables import SOURCES

Floats = NDArray[np.float64]

KIND = "grid_cell"
MOST_CELLS = 30_000_000  # 0.05 degrees of the globe are 25.9 million
MAX_UNEVEN = 0.02  # of a step: centres in float32 differ by less
MAX_OFF = 1e-5  # of what a spacing in float32 may be off from the part of a degree that it is
DIGITS = 6  # of a degree: a tenth of a metre, and what float32 adds is gone
TURN_DEG, POLE_DEG = 360.0, 90.0
TITLES = {"co2": "CO2", "ch4": "CH4"}


@dataclass(frozen=True)
class Grid:
    """Evenly spaced cells."""

    longitude: Floats
    """Centres, degrees from -180 on, rising."""
    latitude: Floats
    """Centres, degrees, rising."""
    width_deg: float
    """From west to east of a cell."""
    height_deg: float
    """From south to north of a cell; the outermost end at the poles."""

    @classmethod
    def of(
        cls, longitude: NDArray[Any], latitude: NDArray[Any], path: str
    ) -> tuple[Grid, NDArray[np.intp], NDArray[np.intp]]:
        """Return the grid of a file's centres, and the order of its rows and columns in the file.

        Longitudes may run from 0 to 360 or from -180 to 180, latitudes may rise or fall. Raises InputError where they
        aren't evenly spaced, or are no degrees.
        """
        width = _spacing(longitude, path, "longitude", TURN_DEG)
        height = _spacing(latitude, path, "latitude", POLE_DEG)
        wrapped = wrap_longitude(longitude)
        columns, rows = np.argsort(wrapped, kind="stable"), np.argsort(latitude, kind="stable")
        if (np.diff(wrapped[columns]) <= 0).any() or width * len(longitude) > TURN_DEG + 1.01 * width:
            raise InputError(path, f"{len(longitude)} longitudes {width:g} degrees apart", "the globe once")
        grid = cls(np.round(wrapped[columns], DIGITS), np.round(latitude[rows], DIGITS), width, height)
        return grid, rows, columns

    def areas_m2(self) -> Floats:
        """Return the area of the cells of each latitude: R^2 x dlon x (sin north - sin south).

        A cell of 0.1 degree at the equator is 123.6 km2.

        >>> Grid(np.array([0.05]), np.array([0.0]), 0.1, 0.1).areas_m2().round(-5).tolist()
        [123600000.0]
        """
        south, north = (np.clip(self.latitude + side * self.height_deg / 2, -90.0, 90.0) for side in (-1, 1))
        band = np.sin(np.radians(north)) - np.sin(np.radians(south))
        return np.asarray((EARTH_RADIUS_KM * METRES_PER_KM) ** 2 * np.radians(self.width_deg) * band)

    def is_like(self, other: Grid) -> bool:
        """Whether another grid has the same cells."""
        near = MAX_UNEVEN * min(self.width_deg, self.height_deg)
        axes = ((self.longitude, other.longitude), (self.latitude, other.latitude))
        return all(len(mine) == len(its) and np.allclose(mine, its, rtol=0.0, atol=near) for mine, its in axes)


def _spacing(centres: NDArray[Any], path: str, name: str, most: float) -> float:
    if len(centres) < 2 or not np.isfinite(centres).all() or np.abs(centres).max() > most:
        found = f"{len(centres)} centres in {name}" + (
            f" from {np.nanmin(centres):g} to {np.nanmax(centres):g}" if np.isfinite(centres).any() else ""
        )
        raise InputError(path, found, f"at least two, degrees from {-most:g} to {most:g}")
    step = float(centres[-1] - centres[0]) / (len(centres) - 1)
    if step == 0 or np.abs(np.diff(centres) - step).max() > MAX_UNEVEN * abs(step):
        raise InputError(path, f"{name} isn't evenly spaced", "centres of cells, rising or falling by one step")
    per_degree = round(1.0 / abs(step))
    is_part = per_degree > 0 and abs(1.0 / abs(step) - per_degree) < MAX_OFF * per_degree
    return 1.0 / per_degree if is_part else abs(step)


def cell_sources(
    emission_t_y: Floats, grid: Grid, gas: str, year: int, inventory: str, licence: str, provenance: str
) -> pa.Table:
    """Return the cells over the stated rate as rows of the table `sources`.

    `emission_t_y` has a row for each latitude and a column for each longitude; NaN is no emission. An id is that of
    the cell, so that another year of it keeps it.
    """
    factors = inventory_factors()
    row, col = np.nonzero(emission_t_y >= factors.least_of_cell_t_y[gas])
    emission = emission_t_y[row, col]
    place = _place_texts(grid, row, col)
    n = len(emission)
    same = {"kind": KIND, "fuel": "", "gas": gas, "licence": licence, "provenance": provenance}
    return SOURCES.from_columns(
        {
            "source_id": pc.binary_join_element_wise(f"{inventory}-{gas}", pc.replace_substring(place, " ", "-"), "-"),
            "name": pc.binary_join_element_wise(f"{inventory.upper()} {TITLES[gas]} cell", place, " "),
            **{name: pa.repeat(pa.scalar(value, pa.string()), n) for name, value in same.items()},
            "emission_t_y": emission,
            "emission_t_y_sigma": emission * factors.relative_sigma[f"cell_{gas}"],
            "year": np.full(n, year, np.int16),
            "longitude": grid.longitude[col],
            "latitude": grid.latitude[row],
            "cell_width_deg": np.full(n, grid.width_deg),
            "cell_height_deg": np.full(n, grid.height_deg),
        }
    )


def _place_texts(grid: Grid, row: NDArray[np.intp], col: NDArray[np.intp]) -> pa.Array:
    """Centres of cells as text, `26.05S 28.95E`; each latitude and longitude is written once."""
    north, east = (
        pa.array([f"{abs(value):.3f}".rstrip("0").rstrip(".") + signs[value < 0] for value in centres.tolist()])
        for centres, signs in ((grid.latitude, "NS"), (grid.longitude, "EW"))
    )
    return pc.binary_join_element_wise(north.take(pa.array(row)), east.take(pa.array(col)), " ")


def believable_cells(emission_t_y: Floats, gas: str, path: str) -> tuple[Floats, int]:
    """Return the cells, with NaN for those that are negative or infinite, and how many those are.

    Raises InputError where all cells together emit what the world doesn't: the unit is another one.
    """
    is_bad = (emission_t_y < 0) | np.isinf(emission_t_y)
    kept = np.where(is_bad, np.nan, emission_t_y) if is_bad.any() else emission_t_y
    total, most = float(np.nansum(kept)), inventory_factors().most_of_grid_t_y[gas]
    if total > most:
        raise InputError(path, f"{total:.3g} t of {gas.upper()} a year in all", f"at most {most:.0e}: another unit?")
    return kept, int(is_bad.sum())
