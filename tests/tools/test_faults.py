"""The bucket in trouble that `make faults` makes, and its readers, over servers and tables that are real."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.tables import FAILED_SCENES

from tools.checkout import CHECKOUT
from tools.faults.__main__ import A_ROUND, FEW, FULL, draw
from tools.faults.left_secrets import find_secrets, secrets_in
from tools.faults.reading import overdue, read_all
from tools.faults.spoiled_s3 import ANSWERS, Trouble
from tools.faults.strikes import strikes
from tools.ports import choose_ports

BODY = b"x" * 200_000


class _Object(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its URL, and the file that says what is wrong."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Object)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    [port] = choose_ports(24311)
    trouble = tmp_path_factory.mktemp("proxy") / "trouble.json"
    command = [sys.executable, "-m", "tools.faults.spoiled_s3", str(port), str(server.server_port), str(trouble)]
    with subprocess.Popen(command, cwd=CHECKOUT) as process:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                requests.get(f"http://127.0.0.1:{port}", timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", trouble
        process.kill()
    server.shutdown()


def test_what_passes_is_whole_over_one_connection(proxy: tuple[str, Path]) -> None:
    with requests.Session() as session:
        assert [session.get(proxy[0], timeout=5).content for _ in range(3)] == [BODY] * 3


@pytest.mark.parametrize("kind", [*ANSWERS, "reset", "truncated"])
def test_each_trouble_is_seen_and_ends(proxy: tuple[str, Path], kind: str) -> None:
    url, file = proxy
    Trouble((kind,), 1.0).begin(file)
    if kind in ANSWERS:
        answer = requests.get(url, timeout=5)
        assert answer.status_code == int(kind) and f"<Code>{ANSWERS[kind]}</Code>" in answer.text
        assert requests.put(url, data=BODY, timeout=5).status_code == int(kind)
    else:
        with pytest.raises(requests.RequestException):
            requests.get(url, timeout=5)
    Trouble.end(file)
    assert requests.get(url, timeout=5).content == BODY


def test_every_kind_has_its_turn_before_one_comes_again() -> None:
    kinds = strikes(has_disk=True)
    few = [strike for seed in (1, 2) for chosen in draw(kinds, FEW, seed) for strike in chosen]
    assert len(few) == 2 * FEW and {strike.name for strike in few} == {strike.name for strike in kinds}
    for seed in (1, 2, 3):
        rounds = list(draw(kinds, FULL, seed))
        assert {len(chosen) for chosen in rounds} == {A_ROUND}
        counted = Counter(strike.name for chosen in rounds for strike in chosen)
        assert set(counted.values()) == {3} and len(counted) == len(kinds) == 20
        names = [strike.name for chosen in rounds for strike in chosen]
        assert names == [strike.name for chosen in draw(kinds, FULL, seed) for strike in chosen]
        assert len(set(names[: len(kinds)])) == len(kinds)


def test_readers_name_what_is_not_whole(tmp_path: Path) -> None:
    root = str(tmp_path)
    FailureBook(root, "sentinel2_daily_ingest", "r").settle("2025-08-01", [FailedScene("s", "search", "E", "m", "a")])
    n_read, problems = read_all(root)
    assert n_read == 1 and not problems
    [partition] = storage.list_partitions(FAILED_SCENES, storage.join(root, FAILED_SCENES.name))
    [file] = Path(partition.path).glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    assert any(str(file) in problem for problem in read_all(root)[1])


def test_rows_are_held_against_the_manifest_of_their_own_write(tmp_path: Path) -> None:
    root = str(tmp_path)
    book = FailureBook(root, "sentinel2_daily_ingest", "r")
    book.settle("2025-08-01", [FailedScene("s", "search", "E", "m", "a")])
    [partition] = storage.list_partitions(FAILED_SCENES, storage.join(root, FAILED_SCENES.name))
    manifest, file = Path(partition.path, storage.MANIFEST), Path(partition.path, storage.DATA_FILE)
    before = manifest.read_bytes()
    book.settle("2025-08-01", [FailedScene(name, "search", "E", "m", "a") for name in ("s", "t")])
    assert not overdue(root)
    manifest.write_bytes(before)  # a reader between the two, or a writer that died there
    assert read_all(root) == (1, []) and ["DIFFERENT failed_scenes/" in line for line in overdue(root)] == [True]
    rows = storage.read_parquet(FAILED_SCENES, str(file))
    file.write_bytes(storage.parquet_bytes(FAILED_SCENES, rows.slice(0, 1), storage.manifest_within(str(file))))
    assert [problem.endswith("1 rows where its manifest says 2") for problem in read_all(root)[1]] == [True]


def test_a_secret_is_found_wherever_it_stands(tmp_path: Path) -> None:
    settings = {"SH_CLIENT_SECRET": "s3cr3t-s3cr3t", "SH_TOKEN_URL": "http://x/token", "AWS_REGION": "us-east-1"}
    planted = secrets_in(settings)
    assert planted == {"SH_CLIENT_SECRET": b"s3cr3t-s3cr3t"}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "secrets.json").write_text(settings["SH_CLIENT_SECRET"])
    assert not find_secrets(tmp_path, planted)
    (tmp_path / "a" / "task.log").write_text(f"refused: client_secret={settings['SH_CLIENT_SECRET']}")
    (tmp_path / "item.json").write_text('{"href": "https://x/B11.tif?X-Amz-Signature=1"}')
    found = find_secrets(tmp_path, planted)
    assert [line.partition(": ")[0] for line in found] == [
        str(tmp_path / "a" / "task.log"),
        str(tmp_path / "item.json"),
    ]
