"""What the cells of a map are made of: soundings of a month over four cells, and two gridded inventories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from map_rows import NASTY, source
from plumewatch import storage
from plumewatch.tables import SOUNDINGS, SOURCES

MONTH = "2016-08"
PLACE = (20.5, 45.5)  # centre of a cell with three good soundings of two days, 404, 406 and 408 ppm
CELL = {"lon": 20.5, "lat": 45.5, "value": 406.0, "spread": 1.63, "soundings": 3, "days": 2}
EDGAR_PLACE = (55.85, 22.15)  # centre of the strongest cell of methane, 12,345.6 t a year


def sounding(n: int, lon: float, lat: float, xco2_ppm: float, day: int = 3, quality: int | None = 0) -> dict[str, Any]:
    at = datetime(2016, 8, day, 12, tzinfo=UTC)
    row = {"sounding_id": n, "observed_at_utc": at, "orbit": 11522, "longitude": lon, "latitude": lat}
    return dict.fromkeys(SOUNDINGS.schema.names) | row | {"xco2_ppm": xco2_ppm, "xco2_quality_flag": quality}


def grid_cell(name: str, lon: float, lat: float, gas: str, emission: float) -> dict[str, Any]:
    row = source(name, lon, lat, gas, f"cell {name}", emission, "grid_cell")
    return row | {"cell_width_deg": 0.1, "cell_height_deg": 0.1, "year": 2022, "provenance": f"EDGAR TOTALS, {NASTY}"}


def fill_cells(root: str) -> None:
    """Write the soundings of MONTH, and EDGAR with two cells of methane and one of CO2; no ODIAC."""

    def write(table: Any, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(rows))

    in_cell = [(20.1, 45.1, 404.0, 3), (20.9, 45.9, 406.0, 3), (20.5, 45.0, 408.0, 4)]
    rows = [sounding(n, lon, lat, ppm, day) for n, (lon, lat, ppm, day) in enumerate(in_cell, 1)]
    rows += [sounding(10, 20.5, 45.5, 450.0, quality=1), sounding(11, 20.5, 45.5, 450.0, quality=None)]
    rows += [sounding(12, 20.5, 45.5, 2000.0), sounding(13, 20.5, 95.0, 404.0)]  # no XCO2, and no place
    rows += [sounding(20, -180.0, 44.5, 401.0), sounding(21, 180.0, 44.5, 403.0), sounding(22, 21.5, 90.0, 399.0)]
    write(SOUNDINGS, {"month": MONTH}, [*rows, sounding(23, 21.5, 45.5, 412.0)])
    cells = [grid_cell("one", *EDGAR_PLACE, "ch4", 12_345.6), grid_cell("two", 55.95, 22.15, "ch4", 4_000.0)]
    write(SOURCES, {"inventory": "edgar"}, [*cells, grid_cell("three", 20.55, 45.55, "co2", 5e5)])
