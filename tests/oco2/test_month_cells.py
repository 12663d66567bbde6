"""XCO2 of a month in cells: mean, spread and number of what is seen, wherever it lies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from plumewatch.geodesy import N_DEGREE_CELLS
from plumewatch.oco2.month_cells import NEEDED, compute_month_cells
from plumewatch.tables import SOUNDINGS


def month(n: int, seed: int = 1) -> pa.Table:
    """Soundings anywhere, at any time of a month of 31 days."""
    rng = np.random.default_rng(seed)
    times = np.datetime64("2025-08-01", "us") + rng.integers(0, 31 * 86_400_000_000, n).astype("timedelta64[us]")
    columns = {
        "sounding_id": np.arange(n),
        "observed_at_utc": pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        "longitude": rng.uniform(-180.0, 180.0, n),
        "latitude": rng.uniform(-90.0, 90.0, n),
        "xco2_ppm": rng.normal(420.0, 3.0, n).astype(np.float32),
    }
    return pa.table(columns)


def test_each_cell_has_mean_spread_and_number_of_its_soundings_in_whatever_pieces_they_come() -> None:
    rows = month(30_000)
    whole, pieces = (
        compute_month_cells(parts) for parts in ([rows], [rows.slice(n, 7_000) for n in range(0, 30_000, 7_000)])
    )
    n = np.argmax(whole.n_soundings)
    lon, lat, ppm = (rows[name].to_numpy() for name in ("longitude", "latitude", "xco2_ppm"))
    mine = (np.floor(lon) == whole.longitude[n] - 0.5) & (np.floor(lat) == whole.latitude[n] - 0.5)
    days = rows["observed_at_utc"].to_numpy()[mine].astype("datetime64[D]")
    assert whole.n_soundings[n] == mine.sum() > 3 and whole.n_days[n] == len(np.unique(days))
    assert whole.xco2_ppm[n] == pytest.approx(ppm[mine].astype(float).mean(), abs=1e-9)
    assert whole.spread_ppm[n] == pytest.approx(ppm[mine].astype(float).std(), abs=1e-6)
    assert whole.n_soundings.sum() == 30_000
    for name in ("longitude", "latitude", "xco2_ppm", "spread_ppm", "n_soundings", "n_days"):
        assert getattr(whole, name) == pytest.approx(getattr(pieces, name), abs=1e-9), name


def test_the_globe_closes_and_poles_have_a_cell() -> None:
    rows = month(5).to_pydict() | {"longitude": [-180.0, 180.0, 179.99, 540.0, 0.0], "latitude": [0, 0, 0, 90, -90]}
    cells = compute_month_cells([pa.table(rows)])
    places = list(zip(cells.longitude, cells.latitude, cells.n_soundings, strict=True))
    assert places == [(0.5, -89.5, 1), (-179.5, 0.5, 2), (179.5, 0.5, 1), (-179.5, 89.5, 1)]


def test_nothing_is_no_cell_and_a_whole_globe_all() -> None:
    assert len(compute_month_cells([]).n_days) == 0
    assert len(compute_month_cells([SOUNDINGS.empty().select(NEEDED)]).n_days) == 0
    lon, lat = np.meshgrid(np.arange(360) - 179.5, np.arange(180) - 89.5)
    rows = month(N_DEGREE_CELLS).to_pydict() | {"longitude": lon.ravel(), "latitude": lat.ravel()}
    assert (compute_month_cells([pa.table(rows)]).n_soundings == 1).all()
