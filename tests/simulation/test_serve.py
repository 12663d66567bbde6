"""The catalogue is served as a STAC API with its files, and the server leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rasterio
from plumewatch.areas import read_areas
from plumewatch.errors import InputError
from plumewatch.simulation.serve import read_catalogue
from pystac_client import Client

World = tuple[Path, dict[str, Any]]
COMMAND = [sys.executable, "-m", "plumewatch.simulation.serve"]


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([*COMMAND, str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[str]:
    process, url = start(world[0])
    yield url
    process.terminate()
    assert process.wait(15) == 0


def test_search_finds_the_scenes_of_an_area_page_by_page(world: World, server: str) -> None:
    client = Client.open(server)
    for area in read_areas(str(world[0] / "areas")):
        expected = {s["scene_id"] for s in world[1]["scenes"] if s["area"] == area.name}
        search = client.search(
            collections=["sentinel-2-l2a"],
            intersects=area.geometry,
            datetime="2025-08-20T00:00:00Z/2025-09-08T23:59:59Z",
            limit=2,
        )
        pages = list(search.pages_as_dicts())
        found = [feature["id"] for page in pages for feature in page["features"]]
        assert len(pages) > 2 and len(found) == len(set(found)) and set(found) == expected


def test_search_narrows_to_a_day_and_ignores_extensions_that_it_lacks(world: World, server: str) -> None:
    day = {s["scene_id"] for s in world[1]["scenes"] if s["date"] == "2025-09-02"}
    client = Client.open(server)
    assert {i.id for i in client.search(collections=["sentinel-2-l2a"], datetime="2025-09-02").items()} == day
    with pytest.warns(UserWarning, match="QUERY"):
        search = client.search(
            collections=["sentinel-2-l2a"], datetime="2025-09-02", query={"eo:cloud_cover": {"lt": 1}}
        )
    assert {i.id for i in search.items()} == day


def test_assets_are_read_over_http_in_ranges(world: World, server: str) -> None:
    (item,) = Client.open(server).search(ids=["S2B_40QDJ_20250820_0_L2A"]).items()
    href = item.assets["swir22"].href
    assert href.startswith(f"{server}/assets/")
    with urllib.request.urlopen(urllib.request.Request(href, headers={"Range": "bytes=0-99"})) as answer:
        assert answer.status == 206 and len(answer.read()) == 100
    local = world[0] / "catalogue" / "sentinel-2-l2a" / item.id / "B12.tif"
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        rasterio.open(f"/vsicurl/{href}") as remote,
        rasterio.open(local) as source,
    ):
        assert remote.transform == source.transform and (remote.read(1) == source.read(1)).all()


def test_what_is_not_there_is_404(server: str) -> None:
    for path in ("/assets/nothing.tif", "/collections/nothing"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(server + path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_and_no_port_is_left(world: World, how: signal.Signals) -> None:
    process, url = start(world[0])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.send_signal(how)
    assert process.wait(15) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=2)


def test_a_folder_without_a_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no STAC collection with items"):
        read_catalogue(tmp_path, "http://127.0.0.1:1")
    done = subprocess.run([*COMMAND, str(tmp_path), "--port", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
