"""Cells under all else: XCO2 of a month and gridded inventories, as routes give them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from cell_rows import CELL, EDGAR_PLACE, MONTH, fill_cells, grid_cell, sounding
from map_rows import DAY, NASTY, observation
from plumewatch import storage
from plumewatch.maps import cells_shown
from plumewatch.maps.columns import rows_of
from plumewatch.tables import OBSERVATIONS, SOUNDINGS, SOURCES

EMPTY_MONTH = "2016-09"


@pytest.fixture
def ask(client: Callable[..., Any], view_storage: str) -> Callable[..., Any]:
    """What a viewer is answered of the cells of a gas."""
    fill_cells(view_storage)
    for key in (MONTH, EMPTY_MONTH):
        rows = OBSERVATIONS.from_pylist([observation(None, "searched", orbit=1)])
        storage.write_partition(OBSERVATIONS, f"{view_storage}/observations", {"gas": "co2", "key": key}, rows)
    return lambda gas, **params: client("viewer").get(f"/data/{gas}/cells", params=params)


def test_a_map_offers_the_cells_that_there_may_be_of_a_gas(ask: Callable[..., Any], client: Callable[..., Any]) -> None:
    gases = client("viewer").get("/data/start").json()["gases"]
    names = {gas["name"]: [(one["name"], one["is_monthly"]) for one in gas["cells"]] for gas in gases}
    assert names == {"ch4": [("edgar", False)], "co2": [("xco2", True), ("edgar", False), ("odiac", False)]}


def test_xco2_of_a_month_is_the_mean_of_its_good_soundings(ask: Callable[..., Any]) -> None:
    answer = ask("co2", kind="xco2", key=MONTH).json()
    rows = rows_of(answer["cells"])
    assert CELL in rows and len(rows) == 4
    places = {(row["lon"], row["lat"]): row["value"] for row in rows}
    assert places[-179.5, 44.5] == 402.0 and places[21.5, 89.5] == 399.0  # the antimeridian is one, the pole has a cell
    assert answer["unit"] == "ppm" and answer["size"] == [1.0, 1.0]
    assert answer["text"] == "Mean of 7 good soundings in 4 cells of 1°; elsewhere there is none."
    assert answer["attribution"] == ["OCO-2 and OCO-3 Lite data: NASA GES DISC"]
    values = [value for value, _ in answer["stops"]]
    assert values == sorted(set(values)) and 399 < values[0] < values[-1] < 412


def test_a_month_without_soundings_says_so(ask: Callable[..., Any], view_storage: str) -> None:
    for _ in range(2):
        answer = ask("co2", kind="xco2", key=EMPTY_MONTH)
        assert answer.status_code == 200 and answer.json()["cells"]["n"] == 0 and answer.json()["legend"] is None
        assert answer.json()["text"] == f"No good sounding is stored of {EMPTY_MONTH}."
        bad = SOUNDINGS.from_pylist([sounding(1, 20.5, 45.5, 404.0, quality=1)])
        storage.write_partition(SOUNDINGS, f"{view_storage}/soundings", {"month": EMPTY_MONTH}, bad)


def test_cells_of_an_inventory_are_those_of_the_gas_with_year_and_licence(ask: Callable[..., Any]) -> None:
    answer = ask("ch4", kind="edgar").json()
    strongest, other = rows_of(answer["cells"])
    assert strongest == {"lon": EDGAR_PLACE[0], "lat": EDGAR_PLACE[1], "value": 12.35} and other["value"] == 4.0
    assert answer["unit"] == "kt a year" and answer["size"] == [0.1, 0.1]
    assert answer["title"] == "EDGAR inventory, CH4, 2022" and ["year", "2022"] in answer["facts"]
    assert "2 cells of 0.1°, from 4.0 kt a year on" in answer["text"] and NASTY in answer["text"]
    assert answer["attribution"] == ["EDGAR TOTALS (CC BY 4.0)"]
    assert [value for value, _ in answer["stops"]] == pytest.approx(np.geomspace(4.0, 12.3456, 7))
    alone = ask("co2", kind="edgar").json()
    assert alone["cells"]["n"] == 1 and len(alone["stops"]) == 1  # of one value there is one colour
    nothing = ask("co2", kind="odiac").json()
    assert nothing["cells"]["n"] == 0 and nothing["text"].startswith("Nothing is stored of it")


def test_what_is_sent_is_bounded(ask: Callable[..., Any], view_storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_shown, "MAX_CELLS", 3)
    rows = [grid_cell(f"{n}", 10.05 + n / 10, 50.05, "ch4", 5e3 + n) for n in range(5)]
    storage.write_partition(SOURCES, f"{view_storage}/sources", {"inventory": "edgar"}, SOURCES.from_pylist(rows))
    answer = ask("ch4", kind="edgar").json()
    assert [row["lon"] for row in rows_of(answer["cells"])] == [10.45, 10.35, 10.25]
    assert "the 3 strongest of 5 cells of 0.1°" in answer["text"]
    lon, lat = np.meshgrid(np.arange(-179.5, 180.0), np.arange(-89.5, 90.0))
    n, at = lon.size, datetime(2016, 8, 3, tzinfo=UTC)
    globe = SOUNDINGS.from_columns(
        {name: [None] * n for name in SOUNDINGS.schema.names}
        | {"sounding_id": np.arange(n), "observed_at_utc": [at] * n, "longitude": lon.ravel(), "latitude": lat.ravel()}
        | {"xco2_ppm": 400.0 + np.arange(n) % 997 / 99, "xco2_quality_flag": np.zeros(n, np.int8)}
    )
    storage.write_partition(SOUNDINGS, f"{view_storage}/soundings", {"month": MONTH}, globe)
    answer = ask("co2", kind="xco2", key=MONTH)
    assert answer.json()["cells"]["n"] == 64_800 and len(answer.content) < 2_500_000


@pytest.mark.parametrize(
    ("gas", "params"),
    [
        ("ch4", {"kind": "xco2", "key": DAY}), ("co2", {"kind": "combined"}), ("co2", {"kind": "../secret"}),
        ("co2", {"kind": "xco2"}), ("co2", {"kind": "xco2", "key": "2016-07"}),
        ("co2", {"kind": "xco2", "key": "../x"}),
    ],
)  # fmt: skip
def test_only_cells_of_listed_months_are_given(ask: Callable[..., Any], gas: str, params: dict[str, str]) -> None:
    answer = ask(gas, **params)
    assert answer.status_code == 404 and "secret" not in answer.text


def test_the_colours_are_those_of_matplotlib() -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    assert [to_hex(one) for one in colormaps["viridis"](np.linspace(0.0, 1.0, 7))] == list(cells_shown.COLOURS)
