"""The soundings of a month on a grid of the globe: what XCO2 was where, and how often it was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch.geodesy import N_DEGREE_CELLS, degree_cell_middles, degree_cells
from plumewatch.oco2.track import usable_soundings
from plumewatch.table import floats

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

CELL_DEG = 1.0  # chosen: as gridded products of OCO-2 usually have; narrower ones are seen by an orbit or two a month
ORIGIN_PPM = 400.0  # values less this are squared: else what they differ by is lost among their digits
DAYS = 31  # of a month, at most
NEEDED = ("sounding_id", "observed_at_utc", "longitude", "latitude", "xco2_ppm")
"""Columns of `soundings` that are looked at."""


@dataclass(frozen=True)
class MonthCells:
    """The cells that have soundings, from the south-west on, row by row; arrays have shape (cells,)."""

    longitude: Floats
    """Centres, degrees."""
    latitude: Floats
    """Centres, degrees."""
    xco2_ppm: Floats
    """Mean of the soundings."""
    spread_ppm: Floats
    """Standard deviation of the soundings about it (divided by their number); 0 of a single one."""
    n_soundings: Counts
    """How many there are."""
    n_days: Counts
    """On how many days of the month, UTC."""


def compute_month_cells(parts: Iterable[pa.Table]) -> MonthCells:
    """Return mean, spread and number of a month's soundings in cells of one degree.

    `parts` are rows of `soundings`, piece by piece (columns `NEEDED`): memory is that of a piece and of the grid. Each
    sounding counts alike: where orbits cross, the one with more clear sky weighs more. Soundings without an id, a time,
    a place or a plausible xco2 are left out, as they are of tracks. A cell's corners lie on whole degrees.

    >>> from datetime import UTC, datetime
    >>> rows = {"sounding_id": [1, 2], "observed_at_utc": 2 * [datetime(2025, 8, 3, tzinfo=UTC)],
    ...         "longitude": [10.2, 10.9], "latitude": [50.1, 50.5], "xco2_ppm": [410.0, 414.0]}
    >>> cells = compute_month_cells([pa.table(rows)])
    >>> cells.longitude.tolist(), cells.latitude.tolist(), cells.xco2_ppm.tolist(), cells.spread_ppm.tolist()
    ([10.5], [50.5], [412.0], [2.0])
    """
    n, total, squares = np.zeros(N_DEGREE_CELLS, np.int64), np.zeros(N_DEGREE_CELLS), np.zeros(N_DEGREE_CELLS)
    is_seen = np.zeros((DAYS, N_DEGREE_CELLS), bool)
    for part in parts:
        rows = usable_soundings(part)
        cell = degree_cells(floats(rows["longitude"]), floats(rows["latitude"]))
        above = floats(rows["xco2_ppm"]) - ORIGIN_PPM
        n += np.bincount(cell, minlength=n.size)
        total += np.bincount(cell, above, n.size)
        squares += np.bincount(cell, above**2, n.size)
        is_seen[pc.day(rows["observed_at_utc"]).to_numpy() - 1, cell] = True
    there = np.flatnonzero(n)
    mean = total[there] / n[there]
    longitude, latitude = degree_cell_middles(there)
    return MonthCells(
        longitude=longitude,
        latitude=latitude,
        xco2_ppm=ORIGIN_PPM + mean,
        spread_ppm=np.sqrt(np.maximum(squares[there] / n[there] - mean**2, 0.0)),
        n_soundings=n[there],
        n_days=is_seen[:, there].sum(axis=0),
    )
