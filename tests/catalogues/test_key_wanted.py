"""Terrain corrected Sentinel-1 of Planetary Computer: its token is for accounts with a key, that of GRD for anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

import pytest
from plumewatch.sensor_scenes.fetch import fetch_sensor_scene
from plumewatch.sensor_scenes.search import area_named, find_given
from plumewatch.settings import Settings
from sensor_services import AFTER, AREA, RTC_ID, SensorServices, write_area
from service_hosts import Answer, Hosts, ranged

API = "http://planetarycomputer.microsoft.com/api/stac/v1"
RTC = RTC_ID.format(AFTER.replace("-", ""))
KEY = "my-key"


@pytest.fixture
def settings(hosts: Hosts, planted_rasters: dict[str, bytes], tmp_path: Path) -> Settings:
    """The API with its items, tokens by container, and the blobs."""
    services = SensorServices(url="http://none")
    services.add_radar((AFTER,))
    items = {item["id"]: item for of_one in services.items.values() for item in of_one}

    def api(url: SplitResult, handler: BaseHTTPRequestHandler) -> Answer:
        if "/sas/v1/token/" in url.path:
            if "sentinel1euwestrtc" in url.path and handler.headers.get("Ocp-Apim-Subscription-Key") != KEY:
                return 403, b"{}", {}
            ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            return 200, json.dumps({"msft:expiry": ends, "token": "sig=secret"}).encode(), {}
        item: dict[str, Any] = items[url.path.rsplit("/", 1)[-1]]
        account = "sentinel1euwestrtc" if item["id"].endswith("_rtc") else "sentinel1euwest"
        assets = {"vv": {"href": f"http://{account}.blob.core.windows.net/s1/vv.tif"}}
        return 200, json.dumps({**item, "assets": assets, "links": []}).encode(), {}

    def blob(name: str) -> Any:
        return lambda url, handler: (
            ranged(planted_rasters[name], handler) if "sig=secret" in url.query else (409, b"", {})
        )

    hosts.answers = {"planetarycomputer.microsoft.com": api}
    for account, name in (("sentinel1euwestrtc", "rtc_vv.tif"), ("sentinel1euwest", "grd_vv.tif")):
        hosts.answers[f"{account}.blob.core.windows.net"] = blob(name)
    write_area(tmp_path / "areas")
    places = {
        "areas": str(tmp_path / "areas"),
        "pc_stac_api": API,
        "pc_sas_url": API.replace("stac/v1", "sas/v1/token"),
    }
    return Settings(str(tmp_path / "storage"), **places)


@pytest.mark.parametrize("key, stored", [(KEY, RTC), (None, RTC.removesuffix("_rtc"))], ids=["with a key", "without"])
def test_without_a_key_the_product_it_was_made_of_stands_in(
    settings: Settings, hosts: Hosts, key: str | None, stored: str
) -> None:
    settings = replace(settings, pc_subscription_key=key)
    [scene] = find_given(
        settings, area_named(settings, AREA), [f"{API}/collections/sentinel-1-rtc/items/{RTC}"], None
    ).scenes
    fetched = fetch_sensor_scene(settings, scene)
    item = json.loads(Path(fetched.path).read_text())
    assert item["id"] == stored and "secret" not in str(item) + fetched.note
    assert ("PC_SDK_SUBSCRIPTION_KEY" in fetched.note) is (key is None)
    assert ("plumewatch:stands_in_for" in item["properties"]) is (key is None)
