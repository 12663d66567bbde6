"""The alert digest: what it says, and that a channel which fails keeps no other from sending."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from plumewatch import http
from plumewatch.errors import ConfigurationError, ServiceError

FAILURE = {
    "area": "hassi", "scene_id": "S2A_X", "stage": "fetch_scene", "attempts": 3, "is_retryable": True,
    "error_class": "ServiceError", "message": "HTTP 503",
}  # fmt: skip


@pytest.fixture
def digest(dagbag: Any) -> Any:
    from plumewatch_airflow.alerts import Digest

    return Digest("sentinel2_daily_ingest", "run1", "2025-08-24", [FAILURE], ["write_pixels"])


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server on loopback that keeps what is posted to it."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204 if self.path == "/ok" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()


def send(digest: Any, monkeypatch: pytest.MonkeyPatch, channels: str, to: str) -> None:
    from plumewatch_airflow.channels import AlertNotifier

    monkeypatch.setenv("PLUMEWATCH_ALERTS", channels)
    monkeypatch.setenv("PLUMEWATCH_ALERT_TO", to)
    AlertNotifier(digest).notify({})


def test_the_digest_names_each_scene_and_task(digest: Any) -> None:
    lines = digest.text.splitlines()
    assert len(lines) == 3 and "2025-08-24" in lines[0] and "failed scenes: 1, failed tasks: 1" in lines[0]
    assert lines[1].startswith("- hassi S2A_X (fetch_scene, attempt 3, retryable): ServiceError: HTTP 503")
    assert "write_pixels" in lines[2]


def failure(area: str | None, scene_id: str, message: str, **changed: Any) -> dict[str, Any]:
    return FAILURE | {"area": area, "scene_id": scene_id, "message": message} | changed


def lines_of(failures: list[dict[str, Any]], tasks: list[str] | None = None) -> list[str]:
    from plumewatch_airflow.alerts import Digest

    return Digest("some_dag", "run1", "2025-08-24", failures, tasks or []).text.splitlines()


DOWN = "https://stac.example/v1: no answer: Failed to resolve 'stac.example'"
CAUSES = {
    "areas of one host": (
        [failure(f"a{n}", "search", DOWN, stage="search") for n in range(12)],
        f"- 12 areas (a0, a1, a2, a3, a4, a5 and 6 more) (search, attempt 3, retryable): ServiceError: {DOWN}",
    ),
    "each names itself": (
        [failure(f"a{n}", "search", f"area a{n}: catalogue 'x' is not served", stage="search") for n in range(2)],
        "- 2 areas (a0, a1) (search, attempt 3, retryable): ServiceError: area ...: catalogue 'x' is not served",
    ),
    "assets of one host": (
        [failure("a", f"S2A_{n}", f"https://cogs.example:8443/{n}/S2A_{n}/B11.tif: HTTP 503") for n in "12"],
        "- 2 failures (a S2A_1, a S2A_2) (fetch_scene, attempt 3, retryable): ServiceError: "
        "https://cogs.example:8443: HTTP 503",
    ),
    "granules, which have no area": (
        [failure(None, f"oco2_{n}.nc4", f"/x/oco2_{n}.nc4: cut off", stage="extract") for n in range(3)],
        "- 3 failures (oco2_0.nc4, oco2_1.nc4, oco2_2.nc4) (extract, attempt 3, retryable): ServiceError: "
        "/x/...: cut off",
    ),
    "tried once and three times": (
        [failure(f"a{n}", "search", DOWN, stage="search", attempts=n) for n in (1, 3)],
        f"- 2 areas (a1, a3) (search, attempt 3, retryable): ServiceError: {DOWN}",
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_one_cause_is_one_line(dagbag: Any, name: str) -> None:
    failures, line = CAUSES[name]
    assert lines_of(failures)[1:] == [line]


@pytest.mark.parametrize(
    "other",
    [
        {"message": "https://stac.example/v1: HTTP 400"},
        {"stage": "fetch_scene"},
        {"error_class": "InputError"},
        {"http_status": 503},
        {"is_retryable": False},
        {"message": DOWN.replace("stac.example", "other.example")},
    ],
    ids=str,
)
def test_another_cause_is_another_line(dagbag: Any, other: dict[str, Any]) -> None:
    one = failure("a", "search", DOWN, stage="search")
    assert len(lines_of([one, one | {"area": "b"} | other])) == 1 + 2


def test_a_task_that_failed_as_all_its_parts_did_is_no_cause_of_its_own(dagbag: Any) -> None:
    parts = [failure(f"a{n}", "search", DOWN, stage="search") for n in range(2)]
    whole = failure(None, "search", f"a0 search: {DOWN} (and 1 more)", stage="search_scenes", error_class="NothingDone")
    told = lines_of([*parts, whole], ["search_scenes"])
    assert len(told) == 2 and "failed scenes: 2, failed tasks: 1" in told[0]
    assert len(lines_of([whole], ["search_scenes", "fetch_wind"])) == 1 + 2  # where the parts are healed, it is all


def test_a_long_digest_ends_with_a_count(dagbag: Any) -> None:
    told = lines_of([failure("a", f"s{n}", f"reason {'x' * n}") for n in range(50)])
    assert len(told) == 42 and told[-1] == "- and 10 more; all are in failed_scenes"


def test_the_log_has_it_whatever_the_channels(
    digest: Any,
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, logger="plumewatch.alert"):
        send(digest, monkeypatch, "webhook", f"{webhook[0]}/ok")
    assert any(digest.text in record.getMessage() for record in caplog.records)


def test_log_and_webhook_get_the_same_digest(
    digest: Any,
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, received = webhook
    with caplog.at_level(logging.ERROR, logger="plumewatch.alert"):
        send(digest, monkeypatch, "log,webhook", f"{url}/ok")
    assert received == [{"title": digest.title, "text": digest.text}]
    assert any(digest.text in record.getMessage() for record in caplog.records)


def test_a_channel_that_fails_is_raised_after_the_others_have_sent(
    digest: Any,
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, received = webhook
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    with caplog.at_level(logging.ERROR, logger="plumewatch.alert"), pytest.raises(ServiceError, match="500"):
        send(digest, monkeypatch, "webhook,log", f"{url}/broken")
    assert any("ALERT" in record.getMessage() for record in caplog.records)
    assert len(received) == 1 + http.RETRIES  # a service that is busy is asked again


def test_a_channel_without_a_recipient_says_so(digest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="PLUMEWATCH_ALERT_TO is empty"):
        send(digest, monkeypatch, "webhook", "")


def test_an_unknown_channel_is_refused(digest: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="allowed: log, smtp"):
        send(digest, monkeypatch, "pigeon", "x")
