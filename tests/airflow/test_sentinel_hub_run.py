"""The daily ingest of an area of Sentinel Hub: fetched, waiting for its quota, or without an account."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plumewatch import storage
from plumewatch.catalogues.processing_units import UnitsLedger, account_name
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.settings import Settings
from plumewatch.simulation.sentinel_hub import CLIENT_ID, CLIENT_SECRET, HUB_PATH, TOKEN
from plumewatch.tables import OBSERVATIONS, PIXELS, PROCESSING_UNITS

INGEST, DAY, AREA = "sentinel2_daily_ingest", "2025-08-30", "by_hub"
SCENE = "S2B_MSIL2A_20250830T101819_N0511_R008_T31RGR_20250830T153019"
MONTH_UNITS = 100.0
pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def hub_area(world: Any, served_world: tuple[Path, dict[str, Any], str]) -> Iterator[str]:
    """An area over the oil field of Hassi Messaoud that is searched in Sentinel Hub, and the account of it."""
    areas = Path(world.storage_root.removeprefix("file://")) / "areas"
    content = json.loads((areas / "hassi_messaoud.geojson").read_text())
    content["features"][0]["properties"] = {"name": AREA, "catalogue": "sentinel_hub", "max_cloud_cover": 60}
    (areas / f"{AREA}.geojson").write_text(json.dumps(content))
    url = served_world[2] + HUB_PATH
    account = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "BASE_URL": url, "TOKEN_URL": url + TOKEN}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in account.items():
            patch.setenv(f"SH_{name}", value)
        yield AREA


def observations(world: Any) -> list[dict[str, Any]]:
    root = f"{world.storage_root}/observations"
    rows = storage.read_table(OBSERVATIONS, root, where={"gas": "ch4", "key": DAY}).to_pylist()
    return [row for row in rows if row["area"] == AREA]


def pixels(world: Any, area: str) -> Any:
    rows = storage.read_table(PIXELS, f"{world.storage_root}/pixels", where={"date": DAY, "area": area})
    return rows.sort_by([("row", "ascending"), ("col", "ascending")]).drop_columns(["scene_id", "area", "date"])


def test_the_connection_goes_first(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from plumewatch_airflow.connections import load_settings

    monkeypatch.setenv("SH_CLIENT_ID", "of the environment")
    assert load_settings().sh_client_id == "of the environment"
    said = {
        "login": "its client",
        "password": "its secret",
        "extra": {"base_url": "https://own", "token_url": "https://t"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SENTINEL_HUB", json.dumps({"conn_type": "generic", **said}))
    found = load_settings()
    assert (found.sh_client_id, found.sh_client_secret) == ("its client", "its secret")
    assert (found.sh_base_url, found.sh_token_url) == ("https://own", "https://t") and "its secret" not in repr(found)


def test_without_an_account_nothing_fails_and_it_is_told(
    world: Any, hub_area: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.delenv("SH_CLIENT_SECRET")
    run = run_dag(INGEST, DAY, areas=[hub_area])
    assert run.state == "success", states_of(run)
    [row] = observations(world)
    assert (row["outcome"], row["missing_setting"], row["stage"]) == ("no_input", "SH_CLIENT_ID", "search")
    assert storage.exists(f"{world.storage_root}/.told/SH_CLIENT_ID.json")


def test_a_used_up_month_waits_and_a_repetition_fetches(
    world: Any, hub_area: str, run_dag: Callable[..., Any], states_of: Callable[..., Any], monkeypatch: Any, caplog: Any
) -> None:
    """What waits costs no other area its pixels, and heals nothing."""
    book, settings = FailureBook(world.storage_root, INGEST, "any"), Settings.load()
    caplog.set_level(logging.INFO, "plumewatch.task")
    account = account_name(str(settings.sh_base_url), CLIENT_ID)
    UnitsLedger(world.storage_root, account, MONTH_UNITS).note(hub_area, "others", MONTH_UNITS, 1)
    book.settle(DAY, [FailedScene(SCENE, "fetch_scene", "ServiceError", "busy", area=hub_area, is_retryable=True)])
    for areas, written in (([hub_area], "skipped"), ([hub_area, "hassi_messaoud"], "success")):
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setenv("PLUMEWATCH_SH_MONTHLY_UNITS", str(MONTH_UNITS))
            run = run_dag(INGEST, DAY, areas=areas)
        states = states_of(run)
        assert run.state == "success", states
        assert states["fetch_scene"] == ["success"] * len(areas) and states["write_pixels"] == [written], states
        assert f"WAITING {hub_area} {SCENE} until" in caplog.text and "; waits until" in caplog.text
        [row] = observations(world)
        assert (row["outcome"], row["scene_id"], row["stage"]) == ("waiting_for_quota", SCENE, "fetch")
        assert [row["scene_id"] for row in book.open_rows(DAY)] == [SCENE]
        assert not pixels(world, hub_area).num_rows
    assert pixels(world, "hassi_messaoud").num_rows > 50_000
    run = run_dag(INGEST, DAY, areas=[hub_area, "hassi_messaoud"])
    assert run.state == "success", states_of(run)
    assert not [row for row in observations(world) if row["outcome"] == "waiting_for_quota"]
    assert book.open_rows(DAY) == []
    by_hub, by_files = pixels(world, hub_area), pixels(world, "hassi_messaoud")
    assert by_hub.num_rows > 50_000
    other = {name for name in by_hub.column_names if not by_hub[name].equals(by_files[name])}
    assert other <= {"solar_zenith_deg"}  # which the service states in 32 bits
    assert np.allclose(by_hub["solar_zenith_deg"], by_files["solar_zenith_deg"], atol=1e-3)
    [units] = storage.read_table(PROCESSING_UNITS, f"{world.storage_root}/processing_units").slice(1).to_pylist()
    assert (units["area"], units["scene_id"], units["n_requests"]) == (hub_area, SCENE, 3)
    assert units["spent_units"] == pytest.approx(units["predicted_units"], abs=1e-5)
    assert not storage.exists(f"{world.storage_root}/.told/SH_CLIENT_ID.json")
