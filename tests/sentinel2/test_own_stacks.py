"""Stacked scenes of one's own: numbers that are no reflectance, no class or no percentage are refused by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known_pixels import classes
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.pixel_files import write_pixel_file
from plumewatch.sentinel2.pixel_plan import PixelSettings, plan_partition, plan_tasks, plan_windows
from plumewatch.sentinel2.stored_scene import read_scene
from sentinel2_scenes import SCENE_ID, write_raster, write_stacked

SHAPE = (40, 50)
OTHER_ID = "S2A_40RDN_20250821_1_L2A"
REFLECTANCE = np.random.default_rng(3).uniform(0.05, 0.6, SHAPE)


def written(scenes: Path, dilation_m: float = 0.0) -> tuple[list[pa.Table], list[dict[str, Any]]]:
    """Plan the scenes of a day and do the tasks here: the tables, and what failed."""
    partition, failed = plan_partition([read_scene(paths) for paths in list_scenes(str(scenes))], None)
    assert not failed
    windows = [(window, True) for window in plan_windows(partition)]
    tasks = plan_tasks(partition, windows, None, str(scenes.parent / "pixels"), PixelSettings((4, 5), dilation_m))
    done = [write_pixel_file(json.loads(task)) for task in tasks]
    tables = [pq.read_table(scenes.parent / "pixels" / d["file"]) for d in done if d["file"]]
    return tables, [failure for d in done for failure in json.loads(d["failures"] or "[]")]


def part(numbers: np.ndarray, value: float, share: float) -> np.ndarray:
    """The numbers with the first share of them replaced."""
    changed = numbers.copy().ravel()
    changed[: round(share * changed.size)] = value
    return changed.reshape(numbers.shape)


WRONG: dict[str, tuple[np.ndarray, float | None, float]] = {
    "digital numbers as floats": ((REFLECTANCE * 1e4).astype("f4"), None, 0.0),
    "percent as floats": ((REFLECTANCE * 100).astype("f8"), None, 0.0),
    "a scale of 1e-2": ((REFLECTANCE * 1e4).astype("u2"), 1e-2, 0.0),
    "a scale of 1e-3 with an offset": ((REFLECTANCE * 1e4 + 2000).astype("u2"), 1e-3, -0.1),
    "an offset of digital numbers": ((REFLECTANCE * 1e4).astype("u2"), 1e-4, -1000.0),
    "an offset taken off twice": ((REFLECTANCE * 1e4).astype("u2"), 1e-4, -0.2),
    "scaled twice": (REFLECTANCE.astype("f4"), 1e-4, 0.0),
    "a scale of 1e-8": ((REFLECTANCE * 1e4).astype("u2"), 1e-8, 0.0),
    "a fill of -9999 that isn't stated": (part(REFLECTANCE, -9999.0, 0.1).astype("f4"), None, 0.0),
    "a fill of 1e20 in most pixels": (part(REFLECTANCE, 1e20, 0.6).astype("f4"), None, 0.0),
}


@pytest.mark.parametrize("how", WRONG)
def test_numbers_that_are_no_reflectance_are_refused_by_name(scenes: Path, how: str) -> None:
    numbers, scale, offset = WRONG[how]
    b11 = REFLECTANCE.astype(numbers.dtype) if scale is None else numbers  # floats: B12 alone is wrong
    write_stacked(scenes, b11, numbers, classes(*SHAPE), scale=scale, offset=offset)
    tables, [failure] = written(scenes)
    assert not tables and not failure["is_retryable"] and failure["error_class"] == "InputError"
    assert (
        f"{SCENE_ID}.tif, {'B12' if scale is None else 'B11'}: " in failure["message"]
        and "pixels with reflectance" in failure["message"]
    )
    assert "allowed: reflectance as a fraction (0.25)" in failure["message"]


@pytest.mark.parametrize(
    "numbers, scale, offset, expected",
    [
        (REFLECTANCE.astype("f4"), None, 0.0, REFLECTANCE),
        ((REFLECTANCE * 100).round().astype("u1"), 1e-2, 0.0, (REFLECTANCE * 100).round() / 100),
        ((REFLECTANCE * 1e4).round().astype("f4"), 1e-4, 0.0, (REFLECTANCE * 1e4).round() / 1e4),
        (((REFLECTANCE + 0.2) / 2.75e-5).round().astype("u2"), 2.75e-5, -0.2, REFLECTANCE),
        (part(REFLECTANCE, 6.5, 0.01).astype("f4"), None, 0.0, part(REFLECTANCE, 6.5, 0.01)),
        (part(REFLECTANCE, -0.04, 0.9).astype("f4"), None, 0.0, part(REFLECTANCE, -0.04, 0.9)),
        (part(REFLECTANCE, np.inf, 0.7).astype("f4"), None, 0.0, part(REFLECTANCE, np.nan, 0.7)),
    ],
    ids=["floats", "percent of 1e-2", "floats with a scale", "Landsat's packing", "flares", "over-corrected", "inf"],
)
def test_numbers_that_are_reflectance_are_served(
    scenes: Path, numbers: np.ndarray, scale: float | None, offset: float, expected: np.ndarray
) -> None:
    write_stacked(scenes, numbers, numbers, classes(*SHAPE), scale=scale, offset=offset)
    [table], failures = written(scenes)
    assert not failures
    np.testing.assert_allclose(table["b11"].to_numpy(), expected.ravel(), atol=2e-5)
    assert table["is_clear"].to_pylist() == np.isfinite(expected).ravel().tolist()


NOT_PLAIN: dict[str, tuple[str, np.ndarray, str]] = {
    "class 260": ("scl", np.full(SHAPE, 260, "u2"), "2000 pixels of 260; allowed: whole numbers from 0 to 11"),
    "class 12": ("scl", np.full(SHAPE, 12, "u1"), "2000 pixels of 12"),
    "class -1": ("scl", np.full(SHAPE, -1, "i2"), "2000 pixels of -1"),
    "class 4.5": ("scl", np.full(SHAPE, 4.5, "f4"), "2000 pixels of 4.5"),
    "one class of 65535": ("scl", part(np.full(SHAPE, 5), 65535, 0.0005).astype("u2"), "1 pixels of 65535"),
    "complex classes": ("scl", np.full(SHAPE, 5, "c8"), "pixels of type complex64"),
    "infinite classes": ("scl", np.full(SHAPE, np.inf, "f4"), "2000 pixels of inf"),
    "class 261 around": ("around", np.full(SHAPE, 261, "u2"), "2000 pixels of 261"),
    "300 percent": ("cloud", np.full(SHAPE, 300, "u2"), "2000 pixels of 300; allowed: whole numbers from 0 to 100"),
    "101 percent": ("cloud", np.full(SHAPE, 101, "u1"), "2000 pixels of 101"),
    "cloud as a fraction": ("cloud", np.full(SHAPE, 0.25, "f4"), "2000 pixels of 0.25"),
}


@pytest.mark.parametrize("how", NOT_PLAIN)
def test_classes_and_percentages_that_cannot_be_are_refused_by_name(scenes: Path, how: str) -> None:
    kind, numbers, found = NOT_PLAIN[how]
    reflectance = REFLECTANCE.astype("f4")
    folder = write_stacked(scenes, reflectance, reflectance, classes(*SHAPE), scale=None)
    write_raster(folder / f"{SCENE_ID}_{kind}.tif", numbers, nodata=None)
    margin_m = 60.0 if kind == "around" else 0.0  # without a margin nothing is read of what lies around
    tables, [failure] = written(scenes, margin_m)
    assert not tables and not failure["is_retryable"]
    assert f"{SCENE_ID}_{kind}.tif: {found}" in failure["message"]


@pytest.mark.parametrize("kind", ["scl", "cloud"])
@pytest.mark.parametrize("wrong", ["packed", "of two bands"])
def test_packed_classes_and_several_bands_are_refused_by_name(scenes: Path, kind: str, wrong: str) -> None:
    reflectance = REFLECTANCE.astype("f4")
    folder = write_stacked(scenes, reflectance, reflectance, classes(*SHAPE), scale=None)
    bands = [classes(*SHAPE)] * (2 if wrong == "of two bands" else 1)
    write_raster(folder / f"{SCENE_ID}_{kind}.tif", *bands, scale=0.5 if wrong == "packed" else None)
    _, [failure] = written(scenes)
    assert ("2 bands" if wrong == "of two bands" else "numbers with scale 0.5") in failure["message"]


@pytest.mark.parametrize("dtype, nodata", [("u1", 255), ("u2", 65535), ("i2", -1), ("f4", np.nan), ("f8", -9999.0)])
def test_classes_of_any_kind_with_a_stated_no_data_value_are_served(scenes: Path, dtype: str, nodata: float) -> None:
    scl = part(np.full(SHAPE, 5.0), nodata, 0.25).astype(dtype)
    reflectance = REFLECTANCE.astype("f4")
    folder = write_stacked(scenes, reflectance, reflectance, classes(*SHAPE), scale=None)
    for kind in ("scl", "cloud"):
        write_raster(folder / f"{SCENE_ID}_{kind}.tif", scl, nodata=nodata)
    [table], failures = written(scenes)
    assert not failures and table["scl"].to_pylist() == [0] * 500 + [5] * 1500
    assert table["cloud_probability_percent"].to_pylist() == [None] * 500 + [5] * 1500


@pytest.mark.parametrize("kind", [None, "scl", "cloud"])
def test_what_a_mask_band_leaves_out_is_no_data_whatever_stands_below_it(scenes: Path, kind: str | None) -> None:
    mask = np.arange(REFLECTANCE.size).reshape(SHAPE) >= 500
    numbers = np.where(mask, 4000, 65000).astype("u2")  # 6.5, which most of a scene can't have
    folder = write_stacked(scenes, np.full(SHAPE, 4000, "u2"), np.full(SHAPE, 4000, "u2"), classes(*SHAPE))
    write_raster(folder / f"{SCENE_ID}_cloud.tif", np.full(SHAPE, 5, "u1"), nodata=255)
    if kind is None:
        names, path = ("B11", "B12"), folder / f"{SCENE_ID}.tif"
        write_raster(path, numbers, numbers, nodata=None, names=names, scale=1e-4, mask=mask)
    else:
        write_raster(folder / f"{SCENE_ID}_{kind}.tif", np.where(mask, 5, 200).astype("u1"), nodata=None, mask=mask)
    [table], failures = written(scenes)
    is_kept = mask.ravel().tolist()
    assert not failures and table["is_clear"].to_pylist() == ([True] * mask.size if kind == "cloud" else is_kept)
    if kind is None:
        assert np.isfinite(table["b11"].to_numpy()).tolist() == np.isfinite(table["b12"].to_numpy()).tolist() == is_kept
    elif kind == "scl":
        assert table["scl"].to_pylist() == [0] * 500 + [5] * 1500
    else:
        assert table["cloud_probability_percent"].to_pylist() == [None] * 500 + [5] * 1500


def write_twice(scenes: Path, *stated: tuple[int | None, str | None], tile: str | None = "MGRS-40RDN") -> None:
    """One acquisition in two products, of which each says its orbit and time, or doesn't."""
    for number, (scene_id, (orbit, time)) in enumerate(zip((SCENE_ID, OTHER_ID), stated, strict=True)):
        numbers = (REFLECTANCE + 0.1 * number).astype("f4")
        properties = {"sat:relative_orbit": orbit, "datetime": time, "grid:code": tile, "s2:sequence": str(number)}
        write_stacked(scenes, numbers, numbers, classes(*SHAPE), scale=None, scene_id=scene_id, properties=properties)


AT, SOON, LATER = "2025-08-21T06:48:12Z", "2025-08-21T06:58:12Z", "2025-08-21T08:28:48Z"


@pytest.mark.parametrize(
    "stated",
    [
        ((20, AT), (None, AT)), ((None, AT), (20, AT)), ((20, AT), (None, SOON)), ((None, SOON), (20, AT)),
        ((20, AT), (None, None)), ((20, None), (None, AT)), ((None, AT), (None, AT)),
    ],
)  # fmt: skip
def test_an_acquisition_that_is_there_twice_is_one_pass(
    scenes: Path, stated: Sequence[tuple[int | None, str | None]]
) -> None:
    write_twice(scenes, *stated)
    [table], failures = written(scenes)
    assert not failures and table.num_rows == REFLECTANCE.size
    known = {orbit for orbit, _ in stated if orbit} or {None}
    assert set(table["relative_orbit"].to_pylist()) == known
    assert set(table["scene_id"].to_pylist()) == {OTHER_ID}  # the newer product
    np.testing.assert_allclose(table["b11"].to_numpy(), REFLECTANCE.ravel() + 0.1, atol=1e-6)


@pytest.mark.parametrize("stated", [((20, AT), (None, LATER)), ((20, AT), (63, LATER)), ((None, LATER), (20, AT))])
def test_passes_that_are_an_orbit_apart_stay_two(scenes: Path, stated: Sequence[tuple[int | None, str | None]]) -> None:
    write_twice(scenes, *stated)
    tables, failures = written(scenes)
    assert not failures and [table.num_rows for table in tables] == [REFLECTANCE.size] * 2
