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
    from plumewatch_airflow.alerts import DigestNotifier

    monkeypatch.setenv("PLUMEWATCH_ALERTS", channels)
    monkeypatch.setenv("PLUMEWATCH_ALERT_TO", to)
    DigestNotifier(digest).notify({})


def test_the_digest_names_each_scene_and_task(digest: Any) -> None:
    lines = digest.text.splitlines()
    assert len(lines) == 3 and "2025-08-24" in lines[0] and "failed scenes: 1, failed tasks: 1" in lines[0]
    assert lines[1].startswith("- hassi S2A_X (fetch_scene, attempt 3, retryable): ServiceError: HTTP 503")
    assert "write_pixels" in lines[2]


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
