"""News and silence reach the channels, with pictures, once."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import logging
import socketserver
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from plumewatch import http, storage
from plumewatch.gases import CH4
from plumewatch.tables import PLUMES
from plumewatch.told import read_told

from tools.checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests" / "maps"))

from map_rows import DAY, plume

PNG = b"\x89PNG picture"


@pytest.fixture
def root(storage_root: str, dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage root with two plumes of one day, one with a picture; news of all days are asked for."""
    keys = {"method": "multi_pass", "area": "oman", "date": DAY}
    rows = PLUMES.from_pylist([plume("a1", 56.0, 22.0), plume("a2", 57.0, 22.0, rate=900.0)])
    storage.write_partition(PLUMES, f"{storage_root}/plumes", keys, rows)
    folder = storage.partition_path(f"{storage_root}/plume_details", keys)
    storage.write_bytes(f"{folder}/a1.png", PNG)
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    monkeypatch.setenv("PLUMEWATCH_NEWS", "new_source,rate")
    monkeypatch.setenv("PLUMEWATCH_NEWS_CH4_KG_H", "1000")
    monkeypatch.setenv("PLUMEWATCH_NEWS_DAYS", "100000")
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    return storage_root


@pytest.fixture
def web() -> Iterator[tuple[str, list[tuple[str, bytes]], dict[str, int]]]:
    """A server on loopback that is a webhook and Slack: its address, what came (path, body), and a status by path."""
    came: list[tuple[str, bytes]] = []
    status: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status.get(self.path, 200))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            answer: dict[str, Any] = {"ok": True, "files": [{"id": "F1"}]}
            if "getUploadURLExternal" in self.path:
                answer |= {"upload_url": f"http://127.0.0.1:{server.server_port}/upload", "file_id": "F1"}
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", came, status
    server.shutdown()


def tell(monkeypatch: pytest.MonkeyPatch, channels: str = "log", to: str = "x") -> int:
    from plumewatch_airflow.news import tell_news

    monkeypatch.setenv("PLUMEWATCH_ALERTS", channels)
    monkeypatch.setenv("PLUMEWATCH_ALERT_TO", to)
    return int(tell_news(CH4, DAY, "maps/ch4/x.html"))


def test_a_webhook_gets_news_with_its_picture_once(
    root: str, web: tuple, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, came, _ = web
    with caplog.at_level(logging.INFO, logger="plumewatch.alert"):
        assert tell(monkeypatch, "log,webhook", f"{url}/hook") == 2
        assert tell(monkeypatch, "log,webhook", f"{url}/hook") == 2  # as a run that is tried or made again
    [(_, body)] = came
    told = json.loads(body)
    assert told["title"] == f"Plumewatch: 2 plumes of {DAY} are news"
    [title, strong, weak, map_line] = told["text"].splitlines()
    assert "5.2 t/h" in strong and strong.endswith("the first here, strong") and "900 kg/h" in weak
    assert map_line == "- map: maps/ch4/x.html"
    assert told["pictures"] == [{"name": "a1.png", "png_base64": base64.b64encode(PNG).decode()}]
    [record] = caplog.records
    assert record.levelno == logging.INFO and record.getMessage().startswith(f"NEWS {title}")


def test_what_comes_later_is_told_alone(root: str, web: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    url, came, _ = web
    tell(monkeypatch, "webhook", f"{url}/hook")
    rows = PLUMES.from_pylist([plume("b1", 10.0, 30.0)])
    storage.write_partition(PLUMES, f"{root}/plumes", {"method": "multi_pass", "area": "coast", "date": DAY}, rows)
    tell(monkeypatch, "webhook", f"{url}/hook")
    assert [json.loads(body)["title"] for _, body in came][1] == f"Plumewatch: 1 plume of {DAY} is news"


def test_a_channel_that_fails_is_told_again_and_no_other(
    root: str, web: tuple, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, came, status = web
    status["/hook"] = 403
    with caplog.at_level(logging.INFO, logger="plumewatch.alert"):
        with pytest.raises(Exception, match="HTTP 403"):
            tell(monkeypatch, "log,webhook", f"{url}/hook")
        assert read_told(root, "news", "ch4", DAY) == {"log": ["a1", "a2"], "webhook": []}
        status.clear()
        tell(monkeypatch, "log,webhook", f"{url}/hook")
    assert len(came) == 2 and sum("NEWS" in record.getMessage() for record in caplog.records) == 1


def test_nothing_is_told_unless_it_is_asked_for(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMEWATCH_NEWS")
    assert tell(monkeypatch) == 0 and read_told(root, "news", "ch4", DAY) == {}
    monkeypatch.setenv("PLUMEWATCH_NEWS", "weather")
    with pytest.raises(Exception, match=r"PLUMEWATCH_NEWS: .*weather.*allowed: new_source, rate"):
        tell(monkeypatch)


def test_slack_gets_the_text_and_then_the_picture(root: str, web: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    url, came, _ = web
    monkeypatch.setenv(
        "AIRFLOW_CONN_SLACK_DEFAULT",
        json.dumps({"conn_type": "slack", "password": "xoxb-t", "extra": {"base_url": f"{url}/api/"}}),
    )
    tell(monkeypatch, "slack", "C0123")
    paths = [path for path, _ in came]
    assert paths == [
        "/api/chat.postMessage",
        "/api/files.getUploadURLExternal",
        "/upload",
        "/api/files.completeUploadExternal",
    ]
    assert "2 plumes" in str(came[0][1]) and PNG in came[2][1]
    assert parse_qs(came[3][1].decode())["channel_id"] == ["C0123"]


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs to leave a message."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().strip().upper():
            if line.startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                content = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    content += line
                self.server.messages.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[attr-defined]
            self.wfile.write(b"250 ok\r\n")
            if line.startswith(b"QUIT"):
                return


def test_a_mail_has_the_picture_attached(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.messages = messages = list[EmailMessage]()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = {"disable_ssl": True, "disable_tls": True, "from_email": "plumewatch@example.org"}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": server.server_address[1], "extra": options}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
        tell(monkeypatch, "smtp", "ann@example.org")
        server.shutdown()
    [message] = messages
    assert message["Subject"] == f"Plumewatch: 2 plumes of {DAY} are news" and message["To"] == "ann@example.org"
    [picture] = [part for part in message.walk() if part.get_filename() == "a1.png"]
    assert picture.get_payload(decode=True) == PNG


def silence(paused: Collection[str] = (), unended: int = 0, ended: int = 0) -> int:
    """How much is silent, where each DAG has so many runs."""
    from plumewatch_airflow.news import tell_silence

    return int(tell_silence(lambda dag_id: dag_id in paused, lambda _: unended, lambda _: ended))


def told_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [line for record in caplog.records for line in record.getMessage().splitlines()[1:]]
    caplog.clear()
    return lines


def test_silence_is_told_once_until_it_heals(
    root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    area = {
        "type": "Feature",
        "properties": {"name": "dune"},
        "geometry": {"type": "Polygon", "coordinates": [[[1, 30], [1.1, 30], [1.1, 30.1], [1, 30]]]},
    }
    storage.write_json(f"{root}/areas/dune.geojson", {"type": "FeatureCollection", "features": [area]})
    monkeypatch.setenv("PLUMEWATCH_AREAS", f"{root}/none")
    paused = {"oco2_monthly_extraction"}
    with caplog.at_level(logging.INFO, logger="plumewatch.alert"):
        assert silence(paused | {"sentinel2_daily_ingest"}) == 0 and told_lines(caplog) == []
        assert silence(paused) == 1
        assert told_lines(caplog) == ["- area dune: no clear scene in 15 days: no run has looked"]
        assert silence(paused) == 1 and told_lines(caplog) == []
        storage.delete(f"{root}/areas/dune.geojson")
        assert silence(paused) == 0
        storage.write_json(f"{root}/areas/dune.geojson", {"type": "FeatureCollection", "features": [area]})
        assert silence(paused) == 1 and len(told_lines(caplog)) == 1
        assert silence() == 1  # no month of soundings was ever looked at


def test_runs_of_which_none_has_ended_for_a_day_are_told(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from plumewatch_airflow import news

    paused = {"sentinel2_daily_ingest", "oco2_monthly_extraction"}
    assert silence(paused, 30, 5) == 0
    later = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(news, "datetime", type("Later", (datetime,), {"now": classmethod(lambda cls, tz: later)}))
    assert silence(paused, 30, 6) == 0  # it goes on, though as many wait
    later += timedelta(days=1)
    assert silence(paused, 30, 6) == 4  # of each of the DAGs that are watched
    later += timedelta(days=1)
    assert silence(paused, 0, 6) == 0  # there is nothing that could end


@pytest.mark.airflow
def test_the_dag_listens(root: str, run_dag: Callable[..., Any], states_of: Callable[..., Any]) -> None:
    run = run_dag("silence")
    assert run.state == "success" and states_of(run)["listen"] == ["success"]
