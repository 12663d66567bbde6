"""Stacked scenes in their folders: which area and date they are of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.rasters.scene_store import checksum, find_damage, list_scenes, publish_scene, scene_paths

ABOVE = ("date=2024-01-01", "area=other", "area=other/date=2024-01-01", "key=value", "date=2024-01-01/x/area=other", "")


@pytest.mark.parametrize("above", ABOVE)
def test_folders_above_the_root_say_nothing(tmp_path: Path, above: str) -> None:
    folder = tmp_path / above / "scenes" / "area=dune" / "date=2025-08-21"
    folder.mkdir(parents=True)
    (folder / "a.json").touch()
    for path in (tmp_path / above / "scenes", folder.parent, folder):
        [scene] = list_scenes(str(path))
        assert (scene.area, scene.date, scene.scene_id) == ("dune", "2025-08-21", "a")


def test_a_file_outside_of_the_partitions_is_no_scene_of_the_folders_above(tmp_path: Path) -> None:
    stray = tmp_path / "area=other" / "date=2024-01-01" / "scenes"
    stray.mkdir(parents=True)
    (stray / "a.json").touch()
    assert list_scenes(str(stray)) == []


def test_two_runs_that_publish_a_scene_at_once_leave_one_of_the_two(tmp_path: Path) -> None:
    paths = scene_paths(str(tmp_path), "dune", "2025-08-21", "a")

    def publish(version: int) -> None:
        rasters = {kind: bytes([65 + version]) * 200_000 for kind in ("data", "scl")}
        publish_scene(paths, rasters, {"assets": {k: {"file:checksum": checksum(v)} for k, v in rasters.items()}})

    for _ in range(20):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(publish, (0, 1)))
        assert find_damage(paths, storage.read_json(paths.item)) is None
