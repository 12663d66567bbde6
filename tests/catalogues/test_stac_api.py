"""A STAC API asked by several threads: one session, one landing page, one patience, and no faster than is stated."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import date

import pytest
import requests
import shapely
from plumewatch import http
from plumewatch.catalogues import stac
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import StacApi
from plumewatch.errors import ServiceError
from plumewatch.http import Pace, make_patient, one_patience_per_host, side_by_side
from plumewatch.models import Area
from plumewatch.settings import Settings
from slow_catalogue import Server, SlowCatalogue

DAY = date(2025, 8, 21)
PLACES = [shapely.box(50 + n / 10, 20, 50.05 + n / 10, 20.05) for n in range(24)]


@pytest.fixture
def api() -> Iterator[str]:
    SlowCatalogue.answer_s = 0.02
    SlowCatalogue.counts.clear()
    SlowCatalogue.began.clear()
    with Server(("127.0.0.1", 0), SlowCatalogue) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[float]]]:
    """A host that takes connections and says nothing, and when it was connected to."""
    monkeypatch.setattr(http, "PATIENCE_S", 0.4)
    monkeypatch.setattr(stac, "SEARCH_TIMEOUT_S", (0.4, 0.4))
    began: list[float] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        kept = []

        def accept() -> None:
            while True:
                try:
                    kept.append(listener.accept()[0])
                except OSError:
                    return
                began.append(time.monotonic())

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", began


def search(url: str, apis: dict[str, StacApi]) -> list[list[str] | ServiceError]:
    def of_place(place: shapely.Geometry) -> list[str] | ServiceError:
        catalogue = catalogue_of(Area("a", place), Settings("/nowhere", stac_api=url), apis)
        try:
            return [item["id"] for item in catalogue.search_items(place, DAY, DAY)]
        except ServiceError as error:
            return error

    with one_patience_per_host():
        return side_by_side(of_place, PLACES, "search", "places")


def test_many_areas_cost_one_landing_page_and_few_connections(api: str) -> None:
    assert search(api, {}) == [["S2A_40RDN_20250821_0_L2A"]] * len(PLACES)
    counts = SlowCatalogue.counts
    assert counts["landing pages"] == 1 and counts["searches"] == len(PLACES)
    assert counts["connections"] <= http.THREADS


def test_a_silent_host_is_waited_for_once_by_all_threads(attempts: tuple[str, list[float]]) -> None:
    url, began = attempts
    started = time.monotonic()
    errors = search(url, {})
    assert time.monotonic() - started < 1.0 and len(began) == 1
    assert len({str(error) for error in errors}) == 1 and "Read timed out" in str(errors[0])


def test_a_host_that_falls_silent_is_waited_for_by_those_that_ask_it_then(attempts: tuple[str, list[float]]) -> None:
    url, began = attempts
    with requests.Session() as session, one_patience_per_host():
        make_patient(session)

        def ask(n: int) -> str:
            with pytest.raises(requests.RequestException):
                session.get(f"{url}/{n}", timeout=0.4)
            return ""

        side_by_side(ask, range(24), "asked", "times")
    assert len(began) == http.THREADS and max(began) - min(began) < 0.4


def test_requests_begin_no_faster_than_stated_whoever_sends_them(api: str) -> None:
    apis = {api: StacApi(api, requests_per_s=50.0)}
    search(api, apis)
    times = sorted(SlowCatalogue.began)
    assert len(times) == 1 + len(PLACES)
    assert times[-1] - times[0] >= len(PLACES) / 50.0 - 0.02


def test_a_pace_makes_up_for_nothing() -> None:
    pace = Pace(100.0)
    pace.wait()
    time.sleep(0.1)
    started = time.monotonic()
    for _ in range(6):
        pace.wait()
    assert 0.05 <= time.monotonic() - started < 0.2


@pytest.mark.parametrize(
    ("url", "per_s"),
    [
        ("https://planetarycomputer.microsoft.com/api/stac/v1", 10.0),
        ("https://earth-search.aws.element84.com/v1", 150.0),
        ("https://planetarycomputer.microsoft.com.host.org/v1", 150.0),
    ],
)
def test_a_service_that_shuts_out_who_asks_too_much_is_asked_slowly(url: str, per_s: float) -> None:
    apis: dict[str, StacApi] = {}
    catalogue_of(Area("a", PLACES[0], stac_api=url), Settings("/nowhere"), apis)
    assert apis[url].requests_per_s == per_s
