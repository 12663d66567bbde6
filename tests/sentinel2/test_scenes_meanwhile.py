"""What other runs do to a date's scenes while its pixels are made: the date is planned again before it is published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_pixels import classes, image, numbers, pixels
from plumewatch import storage
from plumewatch.rasters.scene_store import list_scenes, withdraw_scene_files
from plumewatch.tables import PIXELS
from sentinel2_scenes import SCENE_ID, write_stacked

OTHER = "S2B_40RDN_20250821_0_L2A"
SHAPE = (20, 30)
PLACE = Path("pixels/area=dune/date=2025-08-21")


@contextmanager
def while_pixels_are_made(run: Callable[..., Any], scenes: Path, tmp_path: Path) -> Iterator[list[Any]]:
    """The block runs while the job has its files written and waits for the area's lock; its result is in the list."""
    done: list[Any] = []
    job = threading.Thread(target=lambda: done.append(run()))
    before = written(tmp_path)
    with storage.lock(str(scenes / "area=dune")):
        job.start()
        ends_at = time.monotonic() + 60
        while written(tmp_path) == before:
            assert job.is_alive() and time.monotonic() < ends_at
            time.sleep(0.02)
        yield done
    job.join(60)
    assert done


def written(tmp_path: Path) -> dict[Path, int]:
    """Files of pixels, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in (tmp_path / "pixels").rglob("*.parquet")}


def shown(tmp_path: Path) -> set[str]:
    return set(pixels(tmp_path)["scene_id"].to_pylist())


def test_a_scene_that_comes_meanwhile_is_in_the_pixels(run: Callable, scenes: Path, tmp_path: Path) -> None:
    write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE))
    with while_pixels_are_made(run, scenes, tmp_path) as done:
        write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE), scene_id=OTHER)
    [result] = done
    assert shown(tmp_path) == {SCENE_ID, OTHER}
    assert (result.rows_written, result.failed) == (2 * SHAPE[0] * SHAPE[1], 0)
    manifest = storage.read_manifest(str(tmp_path / PLACE))
    assert [Path(path).stem for path in manifest["inputs"]] == [SCENE_ID, OTHER]


@pytest.mark.parametrize("was_bad", [False, True])
def test_one_that_is_replaced_meanwhile_is_read_anew(
    run: Callable, scenes: Path, tmp_path: Path, was_bad: bool
) -> None:
    folder = write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE))
    write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE), date="2025-08-22")
    if was_bad:
        raster = folder / f"{SCENE_ID}_scl.tif"
        raster.write_bytes(raster.read_bytes()[:300])
    b11 = numbers(*SHAPE)
    with while_pixels_are_made(run, scenes, tmp_path) as done:
        stated = {"processing:version": "05.12"}
        write_stacked(scenes, b11, numbers(*SHAPE), classes(*SHAPE), properties=stated)
    assert done[0].failed == 0
    day = storage.read_table(PIXELS, str(tmp_path / PLACE))
    np.testing.assert_array_equal(image(day, "b11", SHAPE), (b11 / 1e4).astype(np.float32))
    assert not storage.exists(str(tmp_path / "failed_scenes"))


def test_where_all_are_withdrawn_meanwhile_no_pixel_is_left(run: Callable, scenes: Path, tmp_path: Path) -> None:
    folder = write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE))
    run()
    assert shown(tmp_path) == {SCENE_ID}
    [paths] = list_scenes(str(folder))
    with while_pixels_are_made(run, scenes, tmp_path) as done:
        withdraw_scene_files(paths)
    assert shown(tmp_path) == set() and done[0].failed == 0
    assert storage.read_manifest(str(tmp_path / PLACE))["rows"] == 0


def test_a_folder_of_others_is_left_without_a_lock(run: Callable, scenes: Path) -> None:
    write_stacked(scenes, numbers(*SHAPE), numbers(*SHAPE), classes(*SHAPE))
    before = sorted(scenes.rglob("*"))
    assert run().failed == 0 and sorted(scenes.rglob("*")) == before
