"""inventory_refresh with lists of several forms: a task each; a broken one turns the run red and costs no other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.keys import MONTH
from plumewatch.tables import REPORTED_PLUMES, SOURCES

sys.path.insert(0, str(Path(__file__).parents[1] / "inventory"))
from grid_files import edgar
from inventory_files import coco2, own, unit, write

pytestmark = pytest.mark.airflow
DAG = "inventory_refresh"


def test_each_list_has_a_task_and_a_broken_one_is_red_until_it_is_mended(
    storage_root: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_dag: Callable[..., Any],
    states_of: Callable[..., Any],
    keys_handed_on: Callable[..., Any],
) -> None:
    folder = tmp_path / "lists"
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    monkeypatch.setenv("PLUMEWATCH_INVENTORIES", str(folder))
    coco2(folder, unit(t_y=8e6))
    cells = np.zeros((1800, 3600))
    cells[640, 2090] = 1e7  # at -25.95, 29.05
    lon, lat = np.arange(3600) / 10 - 179.95, np.arange(1800) / 10 - 89.95
    edgar(folder / "EDGAR_2024_GHG_CO2_2023_TOTALS_emi.nc", cells, lon, lat)
    plume = "a,ch4,2024-05-01T10:00:00Z,54.2,38.5"
    write(folder, "own_plumes.csv", "report_id,gas,observed_at_utc,longitude,latitude", plume)
    own(folder, "A,landfill,waste,ch4,x,1,2025,10,10", "B,landfill,waste,ch4,5,1,2025,20,10")

    run = run_dag(DAG)
    states = states_of(run)
    assert run.state == "failed" and states["refresh_inventory"] == ["success"] * 4
    assert states["combine_inventories"] == ["success"] and states["report_failures"] == ["failed"]
    assert {asset for asset, _ in keys_handed_on(run)} == {"plumewatch_sources"}
    stored = storage.read_table(SOURCES, f"{storage_root}/sources", where={"inventory": "combined"}).to_pylist()
    assert {row["name"]: row["emission_t_y"] for row in stored} == {
        "CoCO2 ZAF coal 26.00S 29.00E": 8e6, "EDGAR CO2 cell 25.95S 29.05E": 2e6, "B": 5.0,
    }  # fmt: skip
    assert storage.read_table(REPORTED_PLUMES, f"{storage_root}/reported_plumes")["provider"].to_pylist() == ["own"]
    book, key = FailureBook(storage_root, DAG, "any run"), run.run_after.strftime(MONTH)
    assert [row["scene_id"] for row in book.open_rows(key)] == ["own_sources.csv:2"]

    own(folder, "A,landfill,waste,ch4,7,1,2025,10,10", "B,landfill,waste,ch4,5,1,2025,20,10")
    assert run_dag(DAG).state == "success" and book.open_rows(key) == []
