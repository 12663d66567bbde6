"""The steps that both detection DAGs share: what people say meanwhile is heeded, reports know the areas."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.jobs import JobResult
from plumewatch.maps.report import report_path
from plumewatch.reviews import append_review
from plumewatch.tables import COMBINED, MATCHES, OBSERVATIONS, PLUMES, SOURCES

pytestmark = pytest.mark.airflow
DAY, MONTH = "2025-08-20", "2025-08"
PLACE = {"longitude": 54.2, "latitude": 38.5, "observed_at_utc": datetime(2025, 8, 20, 7, 14, tzinfo=UTC)}


class Dag:
    dag_id = "methane_detection_and_matching"


@pytest.fixture
def root(dagbag: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty storage root, where a running task looks."""
    from plumewatch_airflow import detection, missing, summary

    values = {"dag": Dag, "ti": None, "run_id": "run", "params": {}}
    for module in (detection, missing, summary):
        monkeypatch.setattr(module, "get_current_context", lambda: values)
    for module in (detection, summary):
        monkeypatch.setattr(module, "partition_key", lambda *_: DAY)
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", str(tmp_path / "store"))
    return str(tmp_path / "store")


def write(root: str, table: Any, keys: dict[str, str], *rows: dict[str, Any]) -> None:
    full = [dict.fromkeys(table.schema.names) | row for row in rows]
    storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(full))


def test_a_rejection_while_sources_are_matched_is_heeded(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from plumewatch_airflow import detection

    def job(*_: Any, **__: Any) -> JobResult:
        append_review(root, "ch4", "a", **PLACE, verdict="reject", by="ann", at=datetime(2025, 9, 1, tzinfo=UTC))
        match = {"source_id": "s", "rank": 1, "probability": 1.0, "status": "confirmed"}
        rows = [match | {"detection_id": name} for name in "ab"]
        write(root, MATCHES, {"gas": "ch4", "period": DAY}, *rows)  # of the reviews as they were when it began
        return JobResult(rows_read=2, rows_written=2)

    write(root, SOURCES, {"inventory": COMBINED})
    plumes = [{"plume_id": "a", **PLACE}, {"plume_id": "b", **PLACE, "latitude": 39.0}]
    write(root, PLUMES, {"method": CH4.method, "area": "field", "date": DAY}, *plumes)
    monkeypatch.setattr(detection, "run_spark_job", job)
    detection.match_sources.function("ch4")
    assert storage.read_table(MATCHES, f"{root}/matches")["detection_id"].to_pylist() == ["b"]


def test_a_report_that_co2_writes_first_knows_the_areas(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plumewatch_airflow.detection import draw_maps

    square = {"type": "Polygon", "coordinates": [[[5, 30], [6, 30], [6, 31], [5, 31], [5, 30]]]}
    area = {"type": "Feature", "properties": {"name": "sahara"}, "geometry": square}
    (tmp_path / "areas").mkdir()
    (tmp_path / "areas" / "sahara.geojson").write_text(json.dumps(area))
    monkeypatch.setenv("PLUMEWATCH_AREAS", str(tmp_path / "areas"))
    write(root, OBSERVATIONS, {"gas": "ch4", "key": DAY}, {"area": "oman", "outcome": "searched"})
    draw_maps(CO2, [MONTH])
    assert "sahara" in storage.read_bytes(report_path(root, MONTH)).decode()
