"""A fetch that is killed in the middle, and repeated, reads nothing again that is whole already."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.presence import find_flaw
from scene_catalogue import AREA, SceneCatalogue, scene_catalogue, write_area

N_SCENES, KILLED_IN = 8, 4
FETCH = """
import json, sys
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.settings import Settings
root, url, ids = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
settings = Settings(storage_root=root, stac_api=url)
for scene_id in ids:
    print(scene_id, flush=True)
    fetch_area_scene(settings, "dune", f"{url}/items/{scene_id}")
"""


@pytest.fixture
def catalogue() -> Iterator[SceneCatalogue]:
    with scene_catalogue() as served:
        for number in range(N_SCENES):
            served.add("2025-08-01", number)
        yield served


def fetching(catalogue: SceneCatalogue, root: Path, ids: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, str(root), catalogue.url, json.dumps(ids)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_is_whole_is_not_read_again_after_a_kill(
    catalogue: SceneCatalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_area(tmp_path / "areas")
    ids = sorted(catalogue.scenes)
    killed_in = ids[KILLED_IN]
    process = fetching(catalogue, tmp_path, ids)
    assert process.stdout is not None
    while process.stdout.readline().strip() != killed_in:
        assert process.poll() is None
    catalogue.pause_s = 0.3
    deadline = time.monotonic() + 60
    while not catalogue.asked[killed_in] and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    catalogue.pause_s = 0.0
    before, scenes = dict(catalogue.asked), {paths.scene_id: paths for paths in list_scenes(str(tmp_path / "scenes"))}
    whole = [scene_id for scene_id, paths in scenes.items() if find_flaw(paths) is None]
    assert whole == ids[:KILLED_IN] and before.keys() == set(ids[: KILLED_IN + 1])

    catalogue.asked.clear()
    again = fetching(catalogue, tmp_path, ids)
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert catalogue.asked.keys() == set(ids[KILLED_IN:])
    stored = list_scenes(str(tmp_path / "scenes"))
    assert [paths.scene_id for paths in stored] == ids and all(find_flaw(paths) is None for paths in stored)
    assert {paths.area for paths in stored} == {AREA}
    with capsys.disabled():
        n_before, n_again = sum(before.values()), sum(catalogue.asked.values())
        print(
            f"\nkilled in scene {KILLED_IN + 1} of {N_SCENES}: {n_before} requests for rasters before, {n_again} after,"
        )
        print(f"  none of them for the {len(whole)} scenes that were whole")
