"""The job leaves out scenes that can't be used, whole, and says which and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from known_pixels import classes, image, lonlat_polygon, numbers, pixels, write_area
from plumewatch.errors import PlumewatchError
from plumewatch.failures import FailureBook
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2 import pixel_files, scene_windows
from plumewatch.sentinel2.pixel_plan import PixelSettings, plan_partition, plan_tasks, plan_windows
from plumewatch.sentinel2.stored_scene import read_scene
from sentinel2_scenes import NORTH, SCENE_ID, WEST, write_stacked


@pytest.mark.parametrize("error", [MemoryError("full"), KeyError("x"), OSError(28, "no space"), ValueError("x")])
def test_what_is_no_fault_of_a_scene_isnt_final_and_leaves_the_others(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> None:
        raise error

    write_stacked(scenes, numbers(60, 70), numbers(60, 70), classes(60, 70))
    partition, _ = plan_partition([read_scene(paths) for paths in list_scenes(str(scenes))], None)
    windows = [(window, True) for window in plan_windows(partition)]
    [task] = plan_tasks(partition, windows, None, str(tmp_path / "pixels"), PixelSettings((4, 5), 0.0))
    monkeypatch.setattr(scene_windows, "_read_window", broken)
    [failure] = json.loads(pixel_files.write_pixel_file(json.loads(task))["failures"])
    assert (failure["error_class"], failure["is_retryable"]) == (type(error).__name__, True)


class TestBadScenes:
    GOOD = "S2A_40RCN_20250821_0_L2A"

    def failures(self, tmp_path: Path, key: str = "2025-08-21") -> list[dict[str, Any]]:
        return FailureBook(str(tmp_path), "manual", "any run").rows(key)

    def write_good(self, scenes: Path) -> np.ndarray:
        b11 = numbers(60, 70)
        write_stacked(scenes, b11, b11, classes(60, 70), scene_id=self.GOOD)
        return b11

    def break_truncated(self, folder: Path) -> str:
        path = folder / f"{SCENE_ID}.tif"
        path.write_bytes(path.read_bytes()[:-2000])
        return "cut off"

    def break_no_raster(self, folder: Path) -> str:
        (folder / f"{SCENE_ID}.tif").write_text("<html>expired</html>")
        return "no raster"

    def break_no_classes(self, folder: Path) -> str:
        (folder / f"{SCENE_ID}_scl.tif").unlink()
        return "_scl.tif: no such file"

    def break_no_item(self, folder: Path) -> str:
        (folder / f"{SCENE_ID}.json").unlink()
        return "never published whole"

    def break_item(self, folder: Path) -> str:
        (folder / f"{SCENE_ID}.json").write_text("{")
        return "not JSON"

    def break_day(self, folder: Path) -> str:
        path = folder / f"{SCENE_ID}.json"
        path.write_text(path.read_text().replace('"datetime": "2025', '"datetime": "2024'))
        return "datetime 2024-08"

    def break_names(self, folder: Path) -> str:
        with rasterio.open(folder / f"{SCENE_ID}.tif", "r+") as target:
            target.descriptions = ("one", "two")
        return "bands described as"

    def break_scale(self, folder: Path) -> str:
        with rasterio.open(folder / f"{SCENE_ID}.tif", "r+") as target:
            target.scales = (1.0, 1.0)
        return "without scale"

    def break_numbers(self, folder: Path) -> str:
        path = folder / f"{SCENE_ID}.tif"
        with rasterio.open(path) as source:
            profile = source.profile
        with rasterio.open(path, "w", **{**profile, "dtype": "complex_int16"}) as target:
            target.descriptions = ("B11", "B12")
        return "pixels of type complex_int16"

    def break_grid(self, folder: Path) -> str:
        for path in folder.glob(f"{SCENE_ID}*.tif"):
            with rasterio.open(path, "r+") as target:
                target.crs = "EPSG:32639"
        return "EPSG:32639"

    def break_lattice(self, folder: Path) -> str:
        for path in folder.glob(f"{SCENE_ID}*.tif"):
            with rasterio.open(path, "r+") as target:
                target.transform = rasterio.Affine(20, 0, WEST + 7, 0, -20, NORTH)
        return "from 500007.00 E"

    def break_classes_grid(self, folder: Path) -> str:
        with rasterio.open(folder / f"{SCENE_ID}_scl.tif", "r+") as target:
            target.transform = rasterio.Affine(20, 0, WEST + 20, 0, -20, NORTH)
        return "another grid than the bands"

    def test_bad_scenes_are_named_and_left_out_whole(self, run: Callable, scenes: Path, tmp_path: Path) -> None:
        """Each day has a good scene and one that is broken in its own way; the last day is all good."""
        cases = sorted(name.removeprefix("break_") for name in dir(self) if name.startswith("break_"))
        expected = {}
        for number, how in enumerate([*cases, None], 10):
            day = f"2025-08-{number}"
            good = numbers(60, 70)
            write_stacked(scenes, good, good, classes(60, 70), scene_id=self.GOOD, date=day)
            if how is not None:
                # Taller than a window, so that its first window can be read and the cut-off one cannot. Of two scenes
                # on different grids neither is in the majority, and the good one comes first by its id.
                folder = write_stacked(scenes, numbers(700, 70), numbers(700, 70), classes(700, 70), date=day)
                expected[day] = good, getattr(self, f"break_{how}")(folder)
        result = run()
        assert (len(cases), result.failed, result.rows_written) == (12, 12, 13 * 4200)
        found = pixels(tmp_path)
        for day, (good, text) in expected.items():
            rows = found.filter(pa.compute.equal(found["date"], day))
            np.testing.assert_array_equal(image(rows, "b11", good.shape), (good / 1e4).astype(np.float32))
            [failure] = self.failures(tmp_path, day)
            assert (failure["area"], failure["scene_id"], failure["stage"]) == ("dune", SCENE_ID, "pixels")
            assert (failure["is_retryable"], failure["healed_at_utc"]) == (False, None)
            assert text in failure["message"], day

    def test_a_scene_that_has_recovered_is_healed(self, run: Callable, scenes: Path, tmp_path: Path) -> None:
        self.write_good(scenes)
        folder = write_stacked(scenes, numbers(9, 9), numbers(9, 9), classes(9, 9))
        self.break_no_classes(folder)
        assert run().failed == 1
        write_stacked(scenes, numbers(9, 9), numbers(9, 9), classes(9, 9))
        assert run().failed == 0
        [failure] = self.failures(tmp_path)
        assert failure["healed_at_utc"] is not None

    def test_failures_are_recorded_under_the_name_of_the_caller(
        self, run: Callable, scenes: Path, tmp_path: Path
    ) -> None:
        self.write_good(scenes)
        self.break_no_item(write_stacked(scenes, numbers(9, 9), numbers(9, 9), classes(9, 9)))
        run("--dag-id", "sentinel2_daily_ingest", "--run-id", "r7", "--key", "2025-08-20")
        [row] = FailureBook(str(tmp_path), "sentinel2_daily_ingest", "any run").rows("2025-08-20")
        assert row["run_id"] == "r7"

    def test_where_nothing_is_good_the_first_reason_is_the_answer(
        self, run: Callable, scenes: Path, tmp_path: Path
    ) -> None:
        self.break_no_raster(write_stacked(scenes, numbers(9, 9), numbers(9, 9), classes(9, 9)))
        with pytest.raises(PlumewatchError, match=rf"{SCENE_ID}\.tif: .*no raster.*; allowed: a complete GeoTIFF"):
            run()
        assert len(self.failures(tmp_path)) == 1
        assert not (tmp_path / "pixels").exists()

    def test_an_empty_partition_is_a_good_one(self, run: Callable, scenes: Path, tmp_path: Path) -> None:
        self.write_good(scenes)
        self.break_item(write_stacked(scenes, numbers(9, 9), numbers(9, 9), classes(9, 9), date="2025-08-23"))
        far = write_area(tmp_path / "areas.geojson", lonlat_polygon((500, 500), (509, 500), (509, 509)))
        result = run("--areas-path", far)
        assert (result.rows_written, result.failed) == (0, 1)
