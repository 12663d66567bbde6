"""`make check` asks each wind product how far it goes: once, and not for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from plumewatch.settings import Settings
from wind_services import Answers

from tools.checks import sources
from tools.checks.finding import State
from tools.checks.sources import check_wind
from tools.ports import choose_ports


@pytest.fixture
def settings(geos_fp: Answers, era5: Answers) -> Settings:
    return Settings("storage", wind="geos_fp, era5", geos_fp_url=geos_fp.url, era5_url=era5.url)


def test_each_product_is_asked_in_the_order_of_the_setting(settings: Settings, geos_fp: Answers, era5: Answers) -> None:
    first, second = check_wind(settings)
    assert first.text == f"geos_fp: {geos_fp.url} answers: to 2025-09-01 23:30 UTC" and first.state is State.OK
    assert second.text == f"era5: {era5.url} answers: to 2025-09-01 23:00 UTC" and second.state is State.OK
    assert len(geos_fp.asked) == 2 and len(era5.asked) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>maintenance</html>", ""),
        (b"", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b"\xff" * 100, ""),
        (b'{"valid_time_stop": "soon"}', ""),
        (None, "HTTP 404"),
    ],
)
def test_an_answer_that_is_no_product_is_a_problem_that_stops_nothing(
    content: bytes | None, told: str, settings: Settings, geos_fp: Answers, era5: Answers, monkeypatch: Any
) -> None:
    for answers in (geos_fp, era5):
        monkeypatch.setattr(answers, "answer", lambda path, query: content)
    for finding in check_wind(settings):
        assert finding.state is State.PROBLEM and not finding.is_fatal and told in finding.text
        assert "127.0.0.1" in finding.text and "\n" not in finding.text


def test_a_busy_service_is_asked_once(settings: Settings, geos_fp: Answers, era5: Answers) -> None:
    geos_fp.refusals, era5.refusals = [503] * 3, [429] * 3
    first, second = check_wind(settings)
    assert "HTTP 503" in first.text and "HTTP 429" in second.text
    assert len(geos_fp.asked) == len(era5.asked) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """A service that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_service_that_is_away_or_silent_costs_seconds(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_S", (0.5, 0.5))
    away = f"http://127.0.0.1:{choose_ports(20002)[0]}"
    started = time.monotonic()
    found = list(check_wind(Settings("storage", wind="geos_fp,era5", geos_fp_url=silent, era5_url=away)))
    assert time.monotonic() - started < 5
    assert [finding.state for finding in found] == [State.PROBLEM] * 2
    assert all("no answer" in finding.text for finding in found)
