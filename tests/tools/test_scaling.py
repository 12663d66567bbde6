"""The tables of docs/scaling.md are what the unit costs and volumes give now, and count the tasks that DAGs have."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tools.bench import BENCHMARKS
from tools.scaling.__main__ import FILE, FOLDER, values, with_tables
from tools.scaling.table import rows

COSTS: dict[str, Any] = yaml.safe_load((FOLDER / "costs.yaml").read_text(encoding="utf-8"))
VOLUMES: dict[str, Any] = yaml.safe_load((FOLDER / "services.yaml").read_text(encoding="utf-8"))
MAPPED_OR_EMPTY = {"fetch_scene", "fetch_scene_again", "fetched_again", "fetch_granule", "ingest_again"}


def test_the_page_that_is_there_is_the_one_of_the_numbers() -> None:
    page = FILE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "write it anew: .venv/bin/python -m tools.scaling"


def test_costs_times_volumes() -> None:
    volumes = values(VOLUMES["common"]) | {"areas": 100.0, "revisit_days": 5.0, "area_side_km": 10.2, "pixel_m": 20.0}
    found = {row.name: row.value for row in rows(values(COSTS) | {"pixels_core_s_mpx": 3.6}, volumes)}
    assert found["overpasses of areas"] == 20
    assert found["scenes fetched"] == pytest.approx(20 * 1.2**2)
    assert found["pixels, rows of `pixels`"] == pytest.approx(20 * 0.510**2)
    assert found["rasters to pixels"] == pytest.approx(20 * 0.510**2 / 1000)


def test_twice_the_areas_are_twice_the_pixels_and_the_same_soundings() -> None:
    once, twice = (
        {
            row.name: row.value
            for row in rows(values(COSTS), values(VOLUMES["common"]) | {"areas": n, "revisit_days": 5.0})
        }
        for n in (100.0, 200.0)
    )
    for name in ("scenes fetched", "stored: `pixels`", "methane: search and details", "requests to S3"):
        assert twice[name] == pytest.approx(2 * once[name])
    assert twice["CO2: extraction and peaks"] == once["CO2: extraction and peaks"]


def test_every_number_says_where_it_is_from() -> None:
    assert all({"value", "unit", "what", "by"} == set(cost) for cost in COSTS.values())
    entries = [*VOLUMES["common"].values(), *(e for own in VOLUMES["services"].values() for e in own.values())]
    assert all(entry["from"] for entry in entries)
    asked = {cost["by"].split("ONLY=")[1].split("`")[0] for cost in COSTS.values() if "ONLY=" in cost["by"]}
    assert asked and asked <= set(BENCHMARKS)


def test_the_tasks_are_those_of_the_dags(dagbag: Any) -> None:
    def tasks_of(*dag_ids: str) -> int:
        return sum(t.task_id not in MAPPED_OR_EMPTY for dag_id in dag_ids for t in dagbag.dags[dag_id].tasks)

    costs = values(COSTS)
    assert costs["tasks_of_day"] == tasks_of("sentinel2_daily_ingest", "methane_detection_and_matching")
    assert costs["tasks_of_month"] == tasks_of("oco2_monthly_extraction", "co2_detection_and_matching")
    watched = 48 * tasks_of("waiting_detections") + 4 * tasks_of("sentinel2_late_scenes")
    assert costs["tasks_of_watch_a_day"] == watched
