"""Sentinel Hub by real HTTP: its Catalog page by page, tokens, pauses that it asks for, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plumewatch.areas import read_areas
from plumewatch.catalogues.hub_client import REQUESTS_PER_S
from plumewatch.catalogues.sentinel_hub import (
    COPERNICUS_URL,
    MAIN_URL,
    TOKEN_URLS,
    SentinelHub,
    token_url,
    with_product_name,
)
from plumewatch.catalogues.services import catalogue_of
from plumewatch.errors import ConfigurationError, ServiceError
from plumewatch.sentinel2.scene import scene_ref
from plumewatch.sentinel2.search import search_scenes
from plumewatch.settings import Settings
from plumewatch.simulation.sentinel_hub import CATALOG, CLIENT_ID, CLIENT_SECRET

AREA = "hassi_messaoud"
FIRST, LAST = date(2025, 8, 20), date(2025, 9, 6)


@pytest.fixture
def folder(served_world: tuple[Path, dict[str, Any], str]) -> Path:
    return served_world[0]


@pytest.fixture
def outline(folder: Path) -> Any:
    return next(area.geometry for area in read_areas(str(folder / "areas")) if area.name == AREA)


def test_all_pages_are_read_and_items_are_known_by_their_products(
    serve_hub: Callable[..., Any], folder: Path, outline: Any, storage_root: str
) -> None:
    served = serve_hub(folder, most_items=3)
    hub = SentinelHub(served.settings(storage_root), AREA)
    items = list(hub.search_items(outline, FIRST, LAST))
    expected = [name for name, (item, _) in served.hub.scenes.items() if "31RGR" in name]
    assert sorted(item["id"] for item in items) == sorted(expected) and len(items) == 8
    assert [path for path, _ in served.hub.seen] == [f"{CATALOG}/search"] * 3
    ref = scene_ref(items[0], hub.item_href(items[0]))
    assert (ref.tile, ref.relative_orbit, ref.baseline, ref.platform) == ("31RGR", 51, (5, 11), "sentinel-2b")
    item = hub.read_item(ref.item_href)
    assert item.id == ref.scene_id and item.get_self_href() == ref.item_href
    assert len(list(hub.search_items(outline, date(2025, 8, 20), date(2025, 8, 20)))) == 1


def test_an_area_is_searched_where_it_says(serve_hub: Callable[..., Any], folder: Path, storage_root: str) -> None:
    from dataclasses import replace

    area = next(area for area in read_areas(str(folder / "areas")) if area.name == AREA)
    area = replace(area, catalogue="sentinel_hub")
    found = search_scenes(area, FIRST, LAST, catalogue_of(area, serve_hub(folder).settings(storage_root)))
    assert len(found.scenes) == 7 and [s.outcome for s in found.skipped] == ["skipped_cloud"] and not found.failed
    with pytest.raises(ConfigurationError, match="need an account: set SH_CLIENT_ID"):
        catalogue_of(area, Settings(storage_root))


def test_ids_of_the_copernicus_data_space_name_the_same_product() -> None:
    name = "S2B_MSIL2A_20240130T100149_N0510_R122_T33TUL_20240130T112430"
    for item_id in (name, f"{name}.SAFE"):
        assert with_product_name({"id": item_id, "properties": {}})["properties"]["s2:product_uri"] == f"{name}.SAFE"


def test_a_wrong_secret_is_named_and_not_shown(serve_hub: Callable[..., Any], folder: Path, storage_root: str) -> None:
    hub = SentinelHub(serve_hub(folder).settings(storage_root, sh_client_secret="not-the-secret"), AREA)
    with pytest.raises(ServiceError, match=r"HTTP 401: the client is refused .*SH_CLIENT_SECRET") as raised:
        hub.check_account()
    assert not raised.value.is_retryable and "not-the-secret" not in str(raised.value)
    assert "not-the-secret" not in repr(serve_hub(folder).settings(storage_root, sh_client_secret="not-the-secret"))


def test_a_process_has_one_session_and_renews_it(
    serve_hub: Callable[..., Any], folder: Path, storage_root: str
) -> None:
    served = serve_hub(folder)
    hubs = [SentinelHub(served.settings(storage_root), AREA) for _ in range(3)]
    for hub in hubs:
        hub.check_account()
    assert len(served.hub.tokens) == 1
    served.hub.tokens.clear()  # withdrawn before its time
    hubs[0].check_account()
    assert len(served.hub.tokens) == 1
    short = serve_hub(folder, token_life_s=1)
    hub = SentinelHub(short.settings(storage_root), AREA)
    hub.check_account()
    hub.check_account()
    assert len(short.hub.tokens) >= 2  # one that is about to end is renewed first


def test_clients_side_by_side_keep_one_pace_and_make_one_new_session(
    serve_hub: Callable[..., Any], folder: Path, storage_root: str
) -> None:
    served = serve_hub(folder)
    hubs = [SentinelHub(served.settings(storage_root), AREA) for _ in range(8)]
    hubs[0].check_account()
    served.hub.tokens.clear()  # withdrawn before its time, for all at once
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(SentinelHub.check_account, hubs))
    assert len(served.hub.tokens) == 1
    assert time.monotonic() - began > 8 / REQUESTS_PER_S


def test_nothing_is_written_into_the_home_folder(
    serve_hub: Callable[..., Any], folder: Path, storage_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    SentinelHub(serve_hub(folder).settings(storage_root), AREA).check_account()
    assert not (tmp_path / "home").exists()


def test_an_unknown_item_and_a_dead_service_are_errors_by_name(
    serve_hub: Callable[..., Any], folder: Path, storage_root: str
) -> None:
    served = serve_hub(folder)
    hub = SentinelHub(served.settings(storage_root), AREA)
    with pytest.raises(ServiceError, match=f"{served.url}: HTTP 404: Item NOTHING not found") as raised:
        hub.read_item(f"{served.url}/items/NOTHING")
    assert raised.value.http_status == 404 and not raised.value.is_retryable
    dead = SentinelHub(served.settings(storage_root, sh_token_url="http://127.0.0.1:9/token"), AREA, retries=0)
    with pytest.raises(ServiceError, match="no answer") as raised:
        dead.check_account()
    assert raised.value.is_retryable


def test_where_tokens_come_from_is_known_of_both_services() -> None:
    for url in (MAIN_URL, f"{COPERNICUS_URL}/", "https://services-uswest2.sentinel-hub.com"):
        settings = Settings("storage", sh_base_url=url, sh_client_id="me", sh_client_secret="mine")
        assert token_url(settings) == TOKEN_URLS[COPERNICUS_URL if "copernicus" in url else MAIN_URL]
        for _ in range(2):
            hub = SentinelHub(settings, "any")
            assert hub.data_collection.service_url == hub.config.sh_base_url == url.rstrip("/")
    assert token_url(Settings("storage", sh_base_url="https://own", sh_token_url="https://own/t")) == "https://own/t"
    with pytest.raises(ConfigurationError, match="SH_BASE_URL=https://own: set SH_TOKEN_URL too"):
        token_url(Settings("storage", sh_base_url="https://own"))


def test_the_account_is_read_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("SENTINEL_CLIENT_SECRET", CLIENT_SECRET)
    found = Settings.load()
    assert (found.sh_client_id, found.sh_client_secret) == (CLIENT_ID, CLIENT_SECRET)
    assert CLIENT_ID not in repr(found) and CLIENT_SECRET not in repr(found)
    monkeypatch.setenv("SH_CLIENT_ID", "first")
    assert Settings.load().sh_client_id == "first"
    monkeypatch.setenv("PLUMEWATCH_SH_MONTHLY_UNITS", "many")
    with pytest.raises(ConfigurationError, match="PLUMEWATCH_SH_MONTHLY_UNITS: 'many'; allowed: a number above 0"):
        Settings.load()
