"""How long is waited where Sentinel Hub, or a gateway before it, says when to come back: each in its own unit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from plumewatch import http
from plumewatch.catalogues import hub_client
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import ServiceError
from plumewatch.settings import Settings

OWN = json.dumps({"error": {"status": 429, "reason": "Too Many Requests", "code": "RATE_LIMIT_EXCEEDED"}}).encode()
PAGE = b"<html><body>429 Too Many Requests</body></html>"
GATEWAY = json.dumps({"message": "API rate limit exceeded"}).encode()
TOKEN = json.dumps({"access_token": "one", "expires_in": 600}).encode()


class Service(BaseHTTPRequestHandler):
    """Gives a token, then the answers (status, Retry-After, body) in turn, then the collection."""

    answers: list[tuple[int, str | None, bytes]]

    def do_GET(self) -> None:
        status, after, body = 200, None, TOKEN
        if self.command == "GET":
            status, after, body = self.answers.pop(0) if self.answers else (200, None, b'{"id": "sentinel-2-l2a"}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if after is not None:
            self.send_header("Retry-After", after)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SentinelHub]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    monkeypatch.setattr(hub_client, "PAUSE_S", 0.5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        account = {"sh_client_id": str(tmp_path), "sh_client_secret": "s", "sh_token_url": f"{url}/token"}
        yield SentinelHub(Settings(str(tmp_path), sh_base_url=url, **account), "dune")
        server.shutdown()


def in_s(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("status", "after", "body", "least_s"),
    [
        (429, "700", OWN, 0.7),
        (429, "1", PAGE, 1.0),
        (429, "1", GATEWAY, 1.0),
        (429, "700", GATEWAY, 0.7),
        (429, "61", PAGE, 0.5),  # nobody says whose: a pause at least
        (429, None, PAGE, 0.5),
        (429, None, OWN, 0.5),
        (429, "soon", PAGE, 0.5),
        (429, "9" * 5000, PAGE, 0.5),
        (429, "-3", OWN, 0.5),
        (503, "1", PAGE, 1.0),
        (503, "soon", PAGE, 0.0),
        (502, None, PAGE, 0.0),
    ],
)
def test_it_is_waited_as_long_as_is_asked_for(
    hub: SentinelHub, status: int, after: str | None, body: bytes, least_s: float
) -> None:
    Service.answers = []
    hub.check_account()  # which has a token now
    Service.answers = [(status, after, body)]
    started = time.monotonic()
    hub.check_account()
    assert least_s <= time.monotonic() - started < least_s + 0.6 and not Service.answers


def test_a_date_is_waited_for(hub: SentinelHub) -> None:
    Service.answers = []
    hub.check_account()
    Service.answers = [(429, in_s(2.0), PAGE)]
    started = time.monotonic()
    hub.check_account()
    assert 0.9 <= time.monotonic() - started < 2.6  # a date has whole seconds


@pytest.mark.parametrize(
    ("after", "body", "pause"),
    [("61000", OWN, "61 s"), ("61000", PAGE, "61 s"), (in_s(3600), PAGE, r"\d{4} s")],
    ids=["its own", "a gateway's", "a date"],
)
def test_one_that_is_too_long_is_left_to_the_task(hub: SentinelHub, after: str, body: bytes, pause: str) -> None:
    Service.answers = []
    hub.check_account()
    Service.answers = [(429, after, body)]
    started = time.monotonic()
    with pytest.raises(ServiceError, match=f"HTTP 429: .*pause of {pause}, allowed: 60 s") as caught:
        hub.check_account()
    assert caught.value.is_retryable and time.monotonic() - started < 0.6


def test_a_gateway_that_asks_for_more_of_what_it_has_trouble_with_is_waited_for_a_minute_at_most() -> None:
    patience = hub_client._HubAdapter(None)._patience(None)
    assert patience.parse_retry_after("86400") == hub_client.LONGEST_PAUSE_S
