"""The files of a scene are read side by side, each asked for its size once, and a failure leaves nothing behind."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pystac
import pytest
from distant_files import Files
from known_source import AREA, RNG, SHAPE
from plumewatch.errors import InputError, ServiceError
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.storage import LOCK


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, str]], list[Callable[[], object]]]]:
    """A server of the sources: its address, what it was asked, and what to do before it answers with a size."""
    seen: list[tuple[str, str]] = []
    before: list[Callable[[], object]] = []

    class Asked(Files):
        folder = tmp_path / "served"

        def do_HEAD(self) -> None:
            for wait in before:
                wait()
            self.do_GET()

        def do_GET(self) -> None:
            seen.append((self.command, Path(self.path).name))
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen, before
        server.shutdown()


@pytest.fixture
def served(source: Callable, arrays: dict, asked: tuple, tmp_path: Path) -> pystac.Item:
    """A scene of two bands, classification and cloud probability on that server."""
    item = source({**arrays, "CLD": RNG.integers(0, 101, SHAPE).astype(np.uint8)})
    (tmp_path / "served").mkdir()
    for asset in item["assets"].values():
        name = Path(asset["href"]).name
        Path(asset["href"]).rename(tmp_path / "served" / name)
        asset["href"] = f"{asked[0]}/{name}"
    return pystac.Item.from_dict(item, migrate=False)


def test_the_files_of_a_scene_are_read_side_by_side(served: pystac.Item, asked: tuple, tmp_path: Path) -> None:
    """None of the four has its answer before all four are asked for."""
    _, seen, before = asked
    before.append(threading.Barrier(4, timeout=20).wait)
    assert fetch_scene(served, AREA, str(tmp_path / "scenes")).endswith(".json")
    sizes = Counter(name for command, name in seen if command == "HEAD")
    assert sizes == {"B11.tif": 1, "B12.tif": 1, "SCL.tif": 1, "CLD.tif": 1}


@pytest.mark.parametrize("wrong", ["missing", "cut off", "a page"])
def test_a_failing_read_leaves_nothing(
    served: pystac.Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Neither in the folder for temporary files, nor in the storage; the error names the file that fails."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name in ("TMPDIR", "CPL_TMPDIR"):
        monkeypatch.setenv(name, str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    file = tmp_path / "served" / "B12.tif"
    content = file.read_bytes()
    if wrong == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if wrong == "cut off" else b"<html>maintenance</html>")
    with pytest.raises(InputError if wrong == "cut off" else ServiceError, match=r"B12\.tif"):
        fetch_scene(served, AREA, str(tmp_path / "scenes"))
    assert not list(scratch.rglob("*")) and not list((tmp_path / "scenes").rglob("*"))
    file.write_bytes(content)
    fetch_scene(served, AREA, str(tmp_path / "scenes"))
    assert not list(scratch.rglob("*"))
    assert not [
        p
        for p in (tmp_path / "scenes").rglob("*")
        if p.is_file() and p.suffix not in (".tif", ".json") and p.name != LOCK
    ]
