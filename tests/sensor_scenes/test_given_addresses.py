"""What a given address leads to: a redirection, and the number of a name, are held to what the address is held to."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from plumewatch import http
from plumewatch.errors import InputError
from plumewatch.sensor_scenes.fetch import fetch_sensor_scene
from plumewatch.sensor_scenes.search import area_named, find_given
from sensor_services import AREA, SensorServices

ITEM = "flood/tiles/a.json"
RASTER = "10300100DD82D200-visual.tif"


@pytest.fixture
def services(sensor_services: SensorServices, monkeypatch: pytest.MonkeyPatch) -> SensorServices:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    sensor_services.add_worldview()
    return sensor_services


def elsewhere(services: SensorServices, path: str) -> str:
    """The same server by another number of the loopback, which no setting names."""
    return f"{services.url.replace('127.0.0.1', '127.0.0.2')}/{path}"


def given(services: SensorServices, settings: Any) -> Any:
    return find_given(settings, area_named(settings, AREA), [f"{services.url}/maxar/{ITEM}"], None)


def test_an_item_that_redirects_into_the_own_network_is_refused_by_name(
    services: SensorServices, tmp_path: Path
) -> None:
    services.moved[ITEM] = elsewhere(services, "maxar/secret.json")
    [failure] = given(services, services.settings(tmp_path)).failed
    assert "127.0.0.2" in failure.message and "which is no public one; allowed: http:// or https://" in failure.message
    assert not failure.is_retryable and services.asked["secret.json"] == 0
    services.moved[ITEM] = f"{services.url}/maxar/flood/tiles/moved.json"
    services.files["flood/tiles/moved.json"] = services.files[ITEM]
    assert given(services, services.settings(tmp_path)).failed == []  # a host that is set may redirect to itself


def test_a_raster_that_redirects_into_the_own_network_is_not_read(services: SensorServices, tmp_path: Path) -> None:
    settings = services.settings(tmp_path)
    [scene] = given(services, settings).scenes
    services.moved[RASTER] = elsewhere(services, "rasters/inside.tif")
    services.rasters["inside.tif"] = services.rasters[RASTER]
    with pytest.raises(InputError, match=r"127\.0\.0\.2.*no public one"):
        fetch_sensor_scene(settings, scene)
    assert services.asked["inside.tif"] == 0
    services.moved[RASTER] = f"{services.url}/rasters/inside.tif"
    assert fetch_sensor_scene(settings, scene).path.endswith(".json") and services.asked["inside.tif"] > 0


def test_a_name_that_leads_into_the_own_network_is_refused(
    services: SensorServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "inside.example.org" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings = services.settings(tmp_path)
    address = f"{services.url.replace('127.0.0.1', 'inside.example.org')}/maxar/{ITEM}"
    [failure] = find_given(settings, area_named(settings, AREA), [address], None).failed
    assert "inside.example.org: a name of 127.0.0.1, which is no public address" in failure.message
    assert services.asked["a.json"] == 0
