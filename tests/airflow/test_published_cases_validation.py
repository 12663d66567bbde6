"""The validation on published cases, run whole: offline on an empty storage, and on scenes of a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.methane.cases import published as published_cases
from plumewatch.methane.cases import scenes as case_scenes
from plumewatch.methane.cases import validation as case_validation
from plumewatch.methane.cases.published import PublishedCase, read_cases
from plumewatch.methane.cases.validation import PAGE
from plumewatch.tables import PIXELS, VALIDATION

DAG = "published_cases_validation"
ARIZONA = "ehrenberg_20211019T181359"
ALL: dict[str, Any] = {"sets": [], "cases": [], "max_cases": None, "fetch": True}
pytestmark = pytest.mark.airflow


@pytest.fixture
def cases(world: Any, monkeypatch: pytest.MonkeyPatch) -> list[PublishedCase]:
    """Published cases that lie in the simulated world: a release that shows, a place that never emits, a cut-off file.

    The last is Landsat's.
    """
    planted = next(p for p in world.truth["plumes"] if p["must_be_found"])
    silent = next(s for s in world.truth["methane_sources"] if s["area"] == planted["area"] and not s["emission_kg_h"])
    [bad] = world.truth["bad_files"]["truncated_scenes"]
    day = planted["date"]
    beside = next(s for s in world.truth["methane_sources"] if s["area"] == bad["area"])
    first = read_cases()[0]

    def case(name: str, place: dict[str, Any], date: str, scene_id: str | None, **values: Any) -> PublishedCase:
        platform = f"sentinel-2{scene_id[2].lower()}" if scene_id else None
        platform = "landsat-8" if scene_id == "LC8" else platform
        at_place = {"longitude": place["longitude"], "latitude": place["latitude"], "observed_on": date}
        known = {"case_id": name, "platform": platform, "tile": None, "relative_orbit": None}
        return replace(first, **at_place, **known, **values)

    found = [
        case("shown", planted, day, planted["scene_id"], area="case_one", metered_kg_h=planted["emission_kg_h"]),
        case("silent", silent, day, planted["scene_id"], area="case_one", metered_kg_h=0.0),
        case("cut_off", beside, bad["date"], bad["scene_id"], area="case_two", metered_kg_h=1000.0),
        case("landsat", planted, day, "LC8", area="case_one_landsat", sensor="landsat"),
    ]
    for module in (published_cases, case_scenes, case_validation):
        monkeypatch.setattr(module, "read_cases", lambda: tuple(found))
    return found


def validation(world: Any) -> dict[str, dict[str, Any]]:
    rows = storage.read_table(VALIDATION, f"{world.storage_root}/validation").to_pylist()
    return {row["case"]: row for row in rows}


def test_tasks_and_params(dagbag: Any) -> None:
    dag = dagbag.dags[DAG]
    assert set(dag.task_ids) == {
        "search_scenes", "fetch_scene", "fetch_wind", "write_pixels", "find_pixels", "detect_plumes",
        "write_validation", "report_failures",
    }  # fmt: skip
    assert set(dag.params) == {"sets", "cases", "max_cases", "fetch"}
    assert dag.schedule is None
    sets = dag.params.get_param("sets").schema["examples"]
    assert sets == list(dict.fromkeys(case.set for case in read_cases()))


def test_offline_every_case_says_what_is_missing_and_the_run_is_green(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(DAG, None, **ALL | {"fetch": False})
    states = states_of(run)
    assert run.state == "success" and states["write_validation"] == ["success"], states
    assert states["fetch_scene"] == states["write_pixels"] == states["detect_plumes"] == ["skipped"]
    rows = validation(world)
    assert set(rows) == {case.case_id for case in read_cases()}
    assert {row["outcome"] for row in rows.values()} == {"no_input"}
    assert all(row["missing"] and row["source"] and row["emission_kg_h"] is None for row in rows.values())
    assert rows[ARIZONA]["metered_kg_h"] == 7175.7 and "nothing is fetched" in rows[ARIZONA]["missing"]
    assert "no_input" in storage.read_bytes(f"{world.storage_root}/{PAGE}").decode()


def test_without_a_network_the_run_is_green_too(
    world: Any, run_dag: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "RETRIES", 0)
    monkeypatch.setenv("PLUMEWATCH_STAC_API", "http://127.0.0.1:1")
    run = run_dag(DAG, None, **ALL | {"sets": ["stanford2021"], "max_cases": 1})
    assert run.state == "success"
    assert "the catalogue doesn't answer" in validation(world)[ARIZONA]["missing"]


def test_an_unknown_case_is_answered_with_the_known_ones(
    world: Any, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(DAG, None, **ALL | {"cases": ["atlantis"]})
    states = states_of(run)
    assert run.state == "failed" and states["search_scenes"] == ["failed"]
    assert states["detect_plumes"] == ["skipped"]
    key = run.run_after.strftime("%Y-%m-%d")
    [row] = [r for r in FailureBook(world.storage_root, DAG, "any run").rows(key) if r["run_id"] == run.run_id]
    assert row["stage"] == "search_scenes" and f"known: {ARIZONA}" in row["message"]


def test_scenes_of_a_catalogue_are_fetched_searched_and_set_beside_the_metered_rate(
    world: Any, cases: list[PublishedCase], run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    run = run_dag(DAG, None, **ALL)
    states = states_of(run)
    assert run.state == "failed" and states["report_failures"] == ["failed"]  # red for the cut-off file alone
    assert states["fetch_scene"].count("failed") == 1 and len(set(states["detect_plumes"])) == 1
    rows, shown = validation(world), cases[0]
    assert {name: rows[name]["outcome"] for name in ("shown", "silent", "cut_off", "landsat")} == {
        "shown": "detected", "silent": "not_detected", "cut_off": "failed", "landsat": "no_input",
    }  # fmt: skip
    assert rows["shown"]["area"] == "case_one" and rows["shown"]["distance_km"] < 0.5
    assert rows["shown"]["emission_kg_h_low"] < rows["shown"]["emission_kg_h"] < rows["shown"]["emission_kg_h_high"]
    assert rows["shown"]["error_percent"] == pytest.approx(
        100 * (rows["shown"]["emission_kg_h"] / shown.metered_kg_h - 1)
    )
    assert abs(rows["shown"]["error_percent"]) < 100 and rows["shown"]["wind_speed_10m_m_s"] > 0
    assert "cut off" in rows["cut_off"]["missing"] and rows["silent"]["n_plumes_elsewhere"] == 1
    page = storage.read_bytes(f"{world.storage_root}/{PAGE}").decode()
    assert "Metered releases seen: 1 of 1" in page and "False alarms: 0 of 1" in page
    areas = {p.keys["area"] for p in storage.list_partitions(PIXELS, f"{world.storage_root}/pixels")}
    assert areas == {"case_one", "case_two"}

    again = run_dag(DAG, None, **ALL | {"fetch": False, "cases": ["shown"]})
    assert again.state == "success" and states_of(again)["fetch_scene"] == ["skipped"]
    assert validation(world)["shown"] == rows["shown"]
