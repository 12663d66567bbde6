"""Several sensors of an area, collected by the DAG: a bad scene is named, the others go through, a later run heals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.tables import FAILED_SCENES
from sensor_services import AREA, SensorServices

pytestmark = pytest.mark.airflow
DAG, KEY = "multi_sensor_collection", "2025-09-10"
EVENT = {"area": AREA, "event": "2025-08-20", "days_before": 15, "days_after": 15}


@pytest.fixture
def root(sensor_services: SensorServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The storage of DAGs whose catalogues are on loopback."""
    settings = sensor_services.settings(tmp_path)
    for name in ("storage_root", "areas", "stac_api", "pc_stac_api", "maxar_catalogue"):
        monkeypatch.setenv(f"PLUMEWATCH_{name.upper()}", getattr(settings, name))
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    return tmp_path / "storage"


def failures(root: Path) -> dict[str, bool]:
    """Scenes that have failed, and whether they are healed."""
    rows = storage.read_table(FAILED_SCENES, str(root / "failed_scenes")).to_pylist()
    return {row["scene_id"]: row["healed_at_utc"] is not None for row in rows}


def test_a_run_with_a_bad_scene_and_one_that_heals_it(
    sensor_services: SensorServices, root: Path, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    sensor_services.add_optical()
    sensor_services.add_worldview()
    whole = sensor_services.rasters["10300100DD82D200-visual.tif"]
    sensor_services.rasters["10300100DD82D200-visual.tif"] = whole[:3000]
    run = run_dag(DAG, KEY, **EVENT)
    states = states_of(run)
    assert run.state == "failed" and states["draw_picture"] == ["success"]
    assert states["fetch_scene"] == ["success"] * 6 + ["failed"]
    assert failures(root) == {"40-031133012001-2025-08-28-10300100DD82D200": False}
    stored = sorted(path.stem for path in (root / "sensor_scenes").rglob("*.json"))
    assert len(stored) == 6 and len(list((root / "sensor_scenes" / f"area={AREA}").glob("side_by_side_*.png"))) == 1
    sensor_services.rasters["10300100DD82D200-visual.tif"] = whole
    sensor_services.asked.clear()
    left_open = {"sentinel-2 search": "elsewhere", "landsat search": AREA, "worldview search": AREA}
    left = [FailedScene(name, "search", "ServiceError", "busy", area=area) for name, area in left_open.items()]
    FailureBook(str(root), DAG, "before").settle(KEY, left)
    run = run_dag(DAG, KEY, **EVENT, sensors=["worldview"])
    assert run.state == "success" and failures(root) == {
        "40-031133012001-2025-08-28-10300100DD82D200": True, "worldview search": True,
        "sentinel-2 search": False, "landsat search": False,
    }  # fmt: skip
    assert {name for name in sensor_services.asked if name.endswith(".tif")} == {"10300100DD82D200-visual.tif"}


def test_a_place_that_nobody_has_seen_is_a_success_and_no_event_a_refusal(
    sensor_services: SensorServices, root: Path, run_dag: Callable[..., Any], states_of: Callable[..., Any]
) -> None:
    sensor_services.files["catalog.json"] = {"stac_version": "1.0.0", "type": "Catalog", "links": []}
    run = run_dag(DAG, KEY, **EVENT)
    assert run.state == "success" and states_of(run)["draw_picture"] == ["skipped"]
    assert not (root / "sensor_scenes").exists() and not (root / "failed_scenes").exists()
    run = run_dag(DAG, KEY, area=AREA)
    assert run.state == "failed" and failures(root) == {"search": False}
