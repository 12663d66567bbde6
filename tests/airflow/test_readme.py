"""The README's timetable says what the DAGs' own docs say."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tools.checkout import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
TABLES = {
    "scenes", "pixels", "wind", "observations", "failed_scenes", "soundings", "peaks", "peak_details", "plumes",
    "plume_details", "anomalies", "matches", "maps", "sources", "validation",
    "scene_gaps", "zonal_statistics", "composites", "reported_plumes", "source_passes", "source_estimates",
    "source_candidates", "models", "sensor_scenes",
}  # fmt: skip
DAG_IDS = (
    "sentinel2_daily_ingest", "oco2_monthly_extraction", "methane_detection_and_matching", "co2_detection_and_matching",
    "redetect", "inventory_refresh", "published_cases_validation", "sentinel2_gap_fill", "sentinel2_late_scenes",
    "zonal_statistics_monthly", "source_model_training", "multi_sensor_collection",
    "sentinel_hub_orders",
)  # fmt: skip


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text)) & TABLES


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_row_a_dag_with_what_it_writes(dagbag: Any, dag_id: str) -> None:
    [row] = re.findall(rf"^\| `{dag_id}` \|(.*)\|$", README, re.MULTILINE)
    writes = re.search(r"\*\*Writes\*\*:(.*?)(?=\n\*|\n\n|\Z)", dagbag.dags[dag_id].doc_md, re.DOTALL)
    assert writes and names(row.split("|")[-1]) == names(writes[1].split("Hands on")[0])


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    told = set(re.findall(r"`make ([a-z]+)", README)) | {"demo", "test"}
    assert told <= targets and targets - {"help"} <= told
