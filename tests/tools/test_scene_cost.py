"""What Sentinel Hub costs is said before, and what the account has left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plumewatch.areas import read_areas
from plumewatch.missing_settings import NO_HUB_ACCOUNT
from plumewatch.sentinel2.scene_cost import bytes_of_hub_scene, ledger_of, quota_line

from tools.backfill import Order, cost_of
from tools.checks.finding import State
from tools.checks.sentinel_hub import check_sentinel_hub

ORDER = Order("sentinel2_daily_ingest", date(2025, 8, 20), date(2025, 9, 6))


@pytest.fixture
def served(serve_hub: Callable[..., Any], served_world: tuple[Path, dict[str, Any], str]) -> Any:
    return serve_hub(served_world[0])


def settings_of(served: Any, storage_root: str, tmp_path: Path, **changed: Any) -> Any:
    """Settings with one area, of Sentinel Hub."""
    content = json.loads((served.hub.folder / "areas" / "hassi_messaoud.geojson").read_text())
    content["features"][0]["properties"] |= {"catalogue": "sentinel_hub"}
    (tmp_path / "areas").mkdir()
    (tmp_path / "areas" / "hassi_messaoud.geojson").write_text(json.dumps(content))
    return served.settings(storage_root, areas=str(tmp_path / "areas"), **changed)


def test_the_cost_of_days_is_scenes_bytes_units_and_days_of_quota(
    served: Any, storage_root: str, tmp_path: Path
) -> None:
    settings = settings_of(served, storage_root, tmp_path)
    assert cost_of(ORDER, settings) == [
        "18 days x 1 area: 18 runs",
        "  hassi_messaoud: 7 scenes of about 0.6 MB, 1 left out, 2.86 processing units",
        "7 scenes, at most about 4 MB to read",
        "2.86 processing units of Sentinel Hub: 0.0 days of its 10,000 a month; 10,000.00 are left of this month",
    ]
    assert not [path for path, _ in served.hub.seen if path.endswith("process")]
    [area] = read_areas(*settings.area_folders)
    assert bytes_of_hub_scene(area) == 259 * 258 * 5 + 289 * 288 * 3


def test_what_is_over_the_month_waits(served: Any, storage_root: str, tmp_path: Path) -> None:
    settings = settings_of(served, storage_root, tmp_path, sh_monthly_units=3.0)
    with ledger_of(settings).spending("a", "b", 2.0) as spending:
        spending.spent_units = 2.0
    line = quota_line(2.86, settings)
    assert "28.6 days of its 3 a month; only 1.00 are left of this month: the rest waits until" in line
    assert line.endswith("-01, as waiting_for_quota")


def test_the_account_is_asked_and_what_is_left_is_told(served: Any, storage_root: str, tmp_path: Path) -> None:
    settings = settings_of(served, storage_root, tmp_path)
    areas = read_areas(*settings.area_folders)
    answers, left = check_sentinel_hub(settings, areas)
    assert answers.state is State.OK and answers.text == f"{served.url} answers this account; areas of it: 1"
    assert left.text.startswith("10,000.00 of 10,000 processing units are left of ")
    refused, _ = check_sentinel_hub(replace(settings, sh_client_secret="wrong"), areas)
    assert refused.state is State.PROBLEM and refused.is_fatal and "the client is refused" in refused.text
    assert "simulated" not in refused.text and "wrong" not in refused.text
    _, folder, _ = check_sentinel_hub(replace(settings, sh_bucket_role="arn:aws:iam::1:role/hub"), areas)
    assert folder.state is State.PROBLEM and not folder.is_fatal and "allowed: s3://bucket/prefix" in folder.text
    [none] = check_sentinel_hub(replace(settings, sh_client_id=None), areas)
    assert none.state is State.MISSING and none.text.startswith(NO_HUB_ACCOUNT)
    [unneeded] = check_sentinel_hub(replace(settings, sh_client_id=None), [])
    assert unneeded.state is State.OK
