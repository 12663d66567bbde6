"""Runs of several methods on one date: the page of its scene is written by the first and renewed by the next."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates.worker import AreaDates, detect_area_dates
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.tables import ANOMALIES, PLUMES

PLUME = PlantedPlume(12_000.0, 60.0, 40.0, 3.0, 1.0)


@pytest.fixture
def do(tmp_path: Path, store_area: Callable, store_wind: Callable) -> Callable[[str], dict]:
    """Run a method on the last date of a small area and return the one report."""
    root = f"file://{tmp_path}"
    area = simulate_area(51, size=110, n_references=2, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)
    day = store_area(root, "field", area)[-1]
    wind = store_wind(root, day, PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    paths = {f"{name}_path": f"{root}/{table}" for name, table in (("plumes", "plumes"), ("anomalies", "anomalies"))}

    def run(method: str) -> dict:
        task = AreaDates(
            area="field", dates=(day,), pixels_root=f"{root}/pixels", method=method, wind_path=wind,
            details_path=f"{root}/plume_details", forest=ForestSettings(contamination=0.02), **paths,
        )  # fmt: skip
        (report,) = detect_area_dates(task)
        return report

    return run


def page_in(root: Path) -> dict | None:
    pages = list(root.rglob("*.html"))
    if not pages:
        return None
    (page,) = pages
    return json.loads(re.search(r'id="content">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_methods_meet_on_the_page_of_the_scene(do: Callable[[str], dict], tmp_path: Path) -> None:
    assert do("multi_pass")["failures"] == "[]" and page_in(tmp_path) is None
    assert do("isolation_forest")["failures"] == "[]"
    page = page_in(tmp_path)
    assert page is not None and [m["state"] for m in page["methods"]] == ["searched", "not run", "searched"]
    assert len(page["points"]["x"]) == storage.read_table(ANOMALIES, f"{tmp_path}/anomalies").num_rows > 200
    stored = storage.read_table(PLUMES, f"{tmp_path}/plumes", where={"method": "multi_pass"}).num_rows
    multi = page["methods"][0]
    assert multi["n_candidates"] == str(stored) and multi["n_accepted"] != "0" and multi["candidates"][0]["picture"]
    do("single_pass")
    page = page_in(tmp_path)
    assert page is not None and [m["state"] for m in page["methods"]] == ["searched"] * 3
    do("isolation_forest")  # removes its own former files, and writes the page anew
    assert page_in(tmp_path) is not None


def test_a_page_that_cannot_be_made_costs_no_plume(do: Callable[[str], dict], tmp_path: Path) -> None:
    do("isolation_forest")
    (table,) = (tmp_path / "anomalies").rglob("data.parquet")
    table.write_bytes(b"no parquet")
    report = do("multi_pass")
    (failure,) = json.loads(report["failures"])
    assert "data.parquet: not readable as Parquet" in failure["message"] and report["rows_written"] is not None
    assert storage.read_table(PLUMES, f"{tmp_path}/plumes", where={"method": "multi_pass"}).num_rows
