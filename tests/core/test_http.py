"""The patience with services: bounded for a request, and spent once for all requests to a host."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from plumewatch import http
from plumewatch.errors import ServiceError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

FAST_S = 0.1  # of a request that isn't sent


class Service(BaseHTTPRequestHandler):
    """Answers with the next of `statuses`, the last one again and again; 0 breaks the connection."""

    statuses: list[int]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    Service.statuses, Service.asked = [200], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(params=["refused", "silent", "unreachable", "unknown name", "no TLS"])
def dead_host(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, service: str
) -> Iterator[tuple[str, str]]:
    """The address of a host that gives no answer, and how it is named."""
    monkeypatch.setattr(http, "TIMEOUT_S", (0.2, 0.2))
    monkeypatch.setattr(http, "PATIENCE_S", 0.4)
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        if request.param == "silent":
            listener.listen(20)
        elif request.param == "unreachable":  # its queue is full: what comes is dropped, as by a firewall
            listener.listen(0)
            for _ in range(4):
                waiting = open_sockets.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
        elif request.param == "unknown name":
            host = "catalogue.invalid"

            def unknown(*_: object, **__: object) -> None:
                raise socket.gaierror(-2, "Name or service not known")

            monkeypatch.setattr(socket, "getaddrinfo", unknown)
        elif request.param == "no TLS":
            host = service.removeprefix("http://")
        yield f"http{'s' if request.param == 'no TLS' else ''}://{host}/stac", host.partition(":")[0]


def failure_of(url: str) -> tuple[str, float]:
    """What an address fails with, and how long that takes in seconds."""
    started = time.monotonic()
    with http.http_session() as session, pytest.raises(ServiceError) as caught:
        http.ask(session, url)
    assert caught.value.is_retryable
    return str(caught.value), time.monotonic() - started


def test_a_dead_host_costs_its_patience_once_and_says_the_same_each_time(dead_host: tuple[str, str]) -> None:
    url, host = dead_host
    with http.one_patience_per_host():
        first, took = failure_of(url)
        assert took < 2.0 and host in first and "no answer" in first and "0x" not in first
        for _ in range(5):
            again, took = failure_of(url)
            assert again == first and took < FAST_S


def test_without_such_a_block_and_after_it_each_request_has_a_patience_of_its_own(service: str) -> None:
    Service.statuses = [503]
    with http.http_session() as session:
        for n in range(2):
            http.ask(session, f"{service}/{n}")
        with http.one_patience_per_host():
            http.ask(session, f"{service}/2")
        http.ask(session, f"{service}/3")
    assert Service.asked == [f"/{n}" for n in range(4) for _ in range(1 + http.RETRIES)]


def test_no_attempt_begins_after_the_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE_S", 0.5)
    monkeypatch.setattr(http, "BACKOFF_S", 0.1)  # pauses of 0, 0.2 and 0.4 s: the third would end too late
    _, took = failure_of("http://127.0.0.1:9/")
    assert 0.2 <= took < 0.5


@pytest.mark.parametrize("status", http.RETRIED_STATUS)
def test_a_service_that_goes_on_refusing_is_then_asked_once_a_request(service: str, status: int) -> None:
    Service.statuses = [status]
    with http.one_patience_per_host(), http.http_session() as session:
        assert [http.ask(session, f"{service}/{n}").status_code for n in range(3)] == [status] * 3
    assert Service.asked == ["/0"] * (1 + http.RETRIES) + ["/1", "/2"]


def test_one_that_answers_again_has_its_patience_back(service: str) -> None:
    Service.statuses = [503] * (1 + http.RETRIES) + [200, 503, 200]
    with http.one_patience_per_host(), http.http_session() as session:
        answers = [http.ask(session, f"{service}/{n}").status_code for n in range(3)]
    assert answers == [503, 200, 200] and Service.asked[-2:] == ["/2", "/2"]


def test_a_connection_that_breaks_is_the_request_s_matter(service: str) -> None:
    Service.statuses = [0] * (1 + http.RETRIES) + [200]
    with http.one_patience_per_host():
        assert "no answer" in failure_of(f"{service}/0")[0]
        with http.http_session() as session:
            assert http.ask(session, f"{service}/1").status_code == 200


def test_hosts_are_told_apart_and_an_inner_block_goes_on(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.one_patience_per_host():
        with http.one_patience_per_host():
            failure_of("http://127.0.0.1:9/")
        monkeypatch.setattr(http, "BACKOFF_S", FAST_S)  # what is tried again takes longer
        assert failure_of("http://user:secret@127.0.0.1:9/other")[1] < FAST_S
        with http.http_session() as session:
            assert http.ask(session, service).status_code == 200


def test_what_urllib3_says_of_its_tries_holds_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=1, backoff_factor=0.0)))
        with pytest.raises(requests.ConnectionError):
            session.post("http://127.0.0.1:9/services/s3cr3t?sig=s3cr3t", timeout=5)
    assert "Retrying" in caplog.text and "s3cr3t" not in caplog.text
