"""The job on small stacked scenes of known pixels, with Sedona and real workers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely
from known_pixels import JOB, RNG, centres, classes, image, lonlat_polygon, numbers, pixels, write_area
from plumewatch import jobs, storage
from plumewatch.areas import grid_of, read_areas
from plumewatch.errors import InputError
from plumewatch.sentinel2.clouds import PixelSettings, pixel_settings
from plumewatch.tables import PIXELS
from sentinel2_scenes import EPSG, SCENE_ID, SIZE_M, WEST, write_stacked


def test_a_whole_raster(run: Callable, scenes: Path, tmp_path: Path) -> None:
    b11, b12, scl = numbers(40, 50), numbers(40, 50), classes(40, 50)
    b11[3, 4], scl[5, 6], b12[7, 8] = 0, 9, 0
    cloud = RNG.integers(0, 101, (40, 50)).astype(np.uint8)
    cloud[0, 0], cloud[0, 1] = 255, 0
    write_stacked(scenes, b11, b12, scl, cloud=cloud)
    result = run()
    assert (result.rows_read, result.rows_written, result.failed) == (2000, 2000, 0)
    found = pixels(tmp_path)
    for band, values in (("b11", b11), ("b12", b12)):
        expected = np.where(values == 0, np.nan, values / 1e4).astype(np.float32)
        np.testing.assert_array_equal(image(found, band, (40, 50)), expected)
    difference = image(found, "b11", (40, 50)) - image(found, "b12", (40, 50))
    np.testing.assert_array_equal(image(found, "b_diff", (40, 50)), difference)
    np.testing.assert_array_equal(image(found, "scl", (40, 50)), scl)
    is_clear = (b11 > 0) & (b12 > 0) & (scl == 5)
    np.testing.assert_array_equal(image(found, "is_clear", (40, 50), False), is_clear)
    for column, exact in zip(("longitude", "latitude"), centres(40, 50), strict=True):
        np.testing.assert_allclose(image(found, column, (40, 50)), exact, atol=0.1 * SIZE_M / 111_000)
    probability = {(r["row"], r["col"]): r["cloud_probability_percent"] for r in found.to_pylist()}
    assert (probability[0, 0], probability[0, 1], probability[3, 4]) == (None, 0, None)
    assert all(probability[cell] == cloud[cell] for cell in ((10, 10), (39, 49), (20, 3)))
    first = found.slice(0, 1).to_pylist()[0]
    assert (first["area"], first["date"], first["scene_id"]) == ("dune", "2025-08-21", SCENE_ID)
    assert (first["platform"], first["relative_orbit"], first["epsg"]) == ("sentinel-2a", 20, EPSG)
    assert (first["solar_zenith_deg"], first["view_zenith_deg"], first["pixel_size_m"]) == (27.5, 4.25, 20.0)
    assert str(first["observed_at_utc"]) == "2025-08-21 06:48:12.123000+00:00"
    manifest = storage.read_manifest(str(tmp_path / "pixels/area=dune/date=2025-08-21"))
    n_clear = int(is_clear.sum())
    assert manifest["counts"] == {"clear": n_clear, "not_clear": 2000 - n_clear - 2, "no_data": 2}
    assert manifest["inputs"] == [str(scenes / f"area=dune/date=2025-08-21/{SCENE_ID}.json")]


def test_only_cells_whose_centre_lies_in_the_area(run: Callable, scenes: Path, tmp_path: Path) -> None:
    """Over several windows, of which one lies whole in the area and some outside."""
    shape = (1100, 1200)
    outline = lonlat_polygon(
        (30.3, 20.2), (1190.1, 10.4), (1120.2, 1080.6), (600.7, 1070.9), (560.6, 560.9), (80.4, 530.3)
    )
    write_stacked(scenes, numbers(*shape), numbers(*shape), classes(*shape))
    areas = write_area(tmp_path / "areas" / "dune.geojson", outline)
    result = run("--areas-path", areas)
    is_inside = shapely.contains_xy(outline, *centres(*shape))
    found = pixels(tmp_path)
    assert result.rows_written == found.num_rows == is_inside.sum()
    row0, col0 = (int(np.argwhere(is_inside)[:, axis].min()) for axis in (0, 1))
    rows, cols = found["row"].to_numpy(), found["col"].to_numpy()
    # The area's grid begins at whole multiples of 20 m around the outline: not where the raster begins.
    shift = (row0 - rows.min(), col0 - cols.min())
    assert shift != (0, 0)
    seen = np.zeros(shape, bool)
    seen[rows + shift[0], cols + shift[1]] = True
    np.testing.assert_array_equal(seen, is_inside)
    with rasterio.open(next(scenes.rglob(f"{SCENE_ID}.tif"))) as source:
        expected = source.read(1)[rows + shift[0], cols + shift[1]]
    np.testing.assert_array_equal(found["b11"].to_numpy(), (expected / 1e4).astype(np.float32))
    # Windows of 512 cells that the area doesn't reach are not read: here the one in the lower left.
    grid = grid_of(read_areas(str(areas))[0])
    assert result.rows_read == grid.height * grid.width - (grid.height - 1024) * 512


def test_cloud_beyond_a_windows_edge_counts(run: Callable, scenes: Path, tmp_path: Path) -> None:
    shape = (40, 600)
    scl = classes(*shape)
    scl[20, 510], scl[5, 513] = 9, 3
    write_stacked(scenes, numbers(*shape), numbers(*shape), scl)
    run("--cloud-dilation-m", 70)
    row, col = np.indices(shape)
    expected = (np.hypot(row - 20, col - 510) > 3.5) & (np.hypot(row - 5, col - 513) > 3.5)
    np.testing.assert_array_equal(image(pixels(tmp_path), "is_clear", shape, False), expected)


def test_clear_classes_are_an_argument(run: Callable, scenes: Path, tmp_path: Path) -> None:
    scl = np.array([[4, 5, 6, 7, 11, 2]], np.uint8)
    write_stacked(scenes, numbers(1, 6), numbers(1, 6), scl)
    run("--clear-classes", "5,11")
    assert image(pixels(tmp_path), "is_clear", (1, 6), False)[0].tolist() == [False, True, False, False, True, False]


def test_tiles_of_one_overpass_give_one_row_a_cell(run: Callable, scenes: Path, tmp_path: Path) -> None:
    """Two tiles side by side on the area's lattice, overlapping by 10 columns; a later orbit stays apart."""
    west, east = numbers(20, 30), numbers(20, 30)
    west_scl, east_scl = classes(20, 30), classes(20, 30)
    west_scl[:, 25:] = 9  # cloud in half of the overlap, in the western tile only
    west[0, 20] = 0
    write_stacked(scenes, west, west, west_scl, scene_id="S2A_40RDN_20250821_0_L2A")
    write_stacked(scenes, east, east, east_scl, scene_id="S2A_40REN_20250821_0_L2A", west=WEST + 20 * SIZE_M)
    other = {"sat:relative_orbit": 63, "datetime": "2025-08-21T07:30:00Z"}
    write_stacked(scenes, west, west, classes(20, 30), scene_id="S2A_40RDN_20250821_9_L2A", properties=other)
    result = run()
    found = pixels(tmp_path)
    assert result.rows_written == found.num_rows == 20 * 50 + 20 * 30
    first = found.filter(pa.compute.equal(found["relative_orbit"], 20))
    expected = np.zeros((20, 50), np.uint16)
    expected[:, 20:], expected[:, :25] = east, west[:, :25]
    expected[0, 20] = east[0, 0]
    np.testing.assert_array_equal(image(first, "b11", (20, 50)), (expected / 1e4).astype(np.float32))
    assert image(first, "is_clear", (20, 50), False).all()
    assert set(found.filter(pa.compute.equal(found["relative_orbit"], 63))["scene_id"].to_pylist()) == {
        "S2A_40RDN_20250821_9_L2A"
    }


def test_dates_areas_and_partition_folders(run: Callable, scenes: Path, tmp_path: Path) -> None:
    for area, date in (("dune", "2025-08-21"), ("dune", "2025-08-23"), ("erg", "2025-08-21")):
        write_stacked(scenes, numbers(3, 4), numbers(3, 4), classes(3, 4), area=area, date=date)
    assert run("--date", "2025-08-21").rows_written == 24
    assert {(p.keys["area"], p.keys["date"]) for p in storage.list_partitions(PIXELS, str(tmp_path / "pixels"))} == {
        ("dune", "2025-08-21"), ("erg", "2025-08-21"),
    }  # fmt: skip
    assert run(scenes=scenes / "area=dune").rows_written == 24
    assert run(scenes=scenes / "area=erg" / "date=2025-08-21").rows_written == 12
    assert run("--date", "2030-01-01").rows_written == 0
    areas = write_area(tmp_path / "areas.geojson", lonlat_polygon((-1, -1), (9, -1), (9, 9), (-1, 9)), name="erg")
    assert run("--areas-path", areas).rows_written == 12
    with pytest.raises(InputError, match=r"areas\.geojson: none of the areas dune; allowed"):
        run("--areas-path", areas, scenes=scenes / "area=dune")


def test_an_area_that_meets_no_raster_is_an_empty_partition(run: Callable, scenes: Path, tmp_path: Path) -> None:
    write_stacked(scenes, numbers(3, 4), numbers(3, 4), classes(3, 4))
    far = lonlat_polygon((500, 500), (509, 500), (509, 509), (500, 509))
    assert run("--areas-path", write_area(tmp_path / "areas.geojson", far)).rows_written == 0
    manifest = storage.read_manifest(str(tmp_path / "pixels/area=dune/date=2025-08-21"))
    assert (manifest["rows"], len(manifest["files"])) == (0, 1)
    assert pixels(tmp_path).num_rows == 0


def test_scale_and_offset_are_applied(run: Callable, scenes: Path, tmp_path: Path) -> None:
    b11 = numbers(5, 6)
    folder = write_stacked(scenes, b11, b11, classes(5, 6), scale=0.0002, offset=-0.05)
    run()
    expected = (b11 * 0.0002 - 0.05).astype(np.float32)
    np.testing.assert_array_equal(image(pixels(tmp_path), "b11", (5, 6)), expected)
    # Without tags, what the item says of the file.
    write_stacked(scenes, b11, b11, classes(5, 6), scale=None)
    path = folder / f"{SCENE_ID}.json"
    item = json.loads(path.read_text())
    bands = [{"scale": 0.0003, "offset": 0.01}] * 2
    path.write_text(json.dumps({**item, "assets": {"data": {"href": f"./{SCENE_ID}.tif", "raster:bands": bands}}}))
    run()
    expected = (b11 * 0.0003 + 0.01).astype(np.float32)
    np.testing.assert_array_equal(image(pixels(tmp_path), "b11", (5, 6)), expected)


def test_further_bands_are_further_columns(run: Callable, scenes: Path, tmp_path: Path) -> None:
    red = numbers(5, 6)
    write_stacked(scenes, numbers(5, 6), numbers(5, 6), classes(5, 6), further={"B04": red})
    run()
    np.testing.assert_array_equal(image(pixels(tmp_path), "b04", (5, 6)), (red / 1e4).astype(np.float32))


def test_a_scene_without_methane_bands_has_no_pixels_and_is_no_failure(
    run: Callable, scenes: Path, tmp_path: Path
) -> None:
    folder = write_stacked(scenes, numbers(5, 6), numbers(5, 6), classes(5, 6))
    with rasterio.open(folder / f"{SCENE_ID}.tif", "r+") as target:
        target.descriptions = ("B04", "B08")
    result = run()
    assert (result.rows_written, result.failed) == (0, 0)
    assert not (tmp_path / "pixels").exists()


def test_the_manifest_says_from_which_pixels_scenes_were_stacked(run: Callable, scenes: Path, tmp_path: Path) -> None:
    sizes = {SCENE_ID: {"B11": 200.0, "B12": 20.0, "B04": 600.0}, "S2B_40RDN_20250821_0_L2A": None}
    for scene_id, size in sizes.items():
        stated = {"plumewatch:source_pixel_m": size}
        write_stacked(scenes, numbers(2, 2), numbers(2, 2), classes(2, 2), scene_id=scene_id, properties=stated)
    run()
    manifest = storage.read_manifest(str(tmp_path / "pixels/area=dune/date=2025-08-21"))
    assert manifest["source_pixel_m"] == {SCENE_ID: 200.0}


def test_an_item_that_says_little(run: Callable, scenes: Path, tmp_path: Path) -> None:
    angles = ("view:sun_elevation", "view:incidence_angle")
    nothing = dict.fromkeys(("datetime", "platform", "sat:relative_orbit", *angles))
    write_stacked(scenes, numbers(2, 2), numbers(2, 2), classes(2, 2), properties=nothing)
    run()
    row = pixels(tmp_path).to_pylist()[0]
    assert (row["platform"], row["view_zenith_deg"]) == ("sentinel-2a", 0.0)
    assert (row["observed_at_utc"], row["relative_orbit"], row["solar_zenith_deg"]) == (None, None, None)


def test_scenes_that_are_not_on_the_areas_grid_count_on_their_own(
    run: Callable, scenes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_stacked(scenes, numbers(8, 9), numbers(8, 9), classes(8, 9), size_m=60.0, west=WEST + 33)
    outline = lonlat_polygon((-9, -9), (90, -9), (90, 90), (-9, 90))
    assert run("--areas-path", write_area(tmp_path / "areas.geojson", outline)).rows_written == 72
    found = pixels(tmp_path)
    assert (found["row"].to_numpy().min(), found["col"].to_numpy().max()) == (0, 8)
    assert set(found["pixel_size_m"].to_pylist()) == {60.0}
    assert "not on the area's grid" in caplog.text
    manifest = storage.read_manifest(str(tmp_path / "pixels/area=dune/date=2025-08-21"))
    assert manifest["settings"]["rows_count_on"] == "scenes"


def test_repetition_and_change(run: Callable, scenes: Path, tmp_path: Path) -> None:
    shape = (600, 700)
    write_stacked(scenes, numbers(*shape), numbers(*shape), classes(*shape))
    write_stacked(scenes, numbers(*shape), numbers(*shape), classes(*shape), scene_id="S2B_40RDN_20250821_0_L2A")
    partition = str(tmp_path / "pixels/area=dune/date=2025-08-21")
    run()
    first, manifest = pixels(tmp_path), storage.read_manifest(partition)
    run()
    assert pixels(tmp_path).equals(first) and storage.read_manifest(partition) == manifest
    assert first.num_rows == 2 * 600 * 700
    cell = first["row"].to_numpy() * 700 + first["col"].to_numpy()
    np.testing.assert_array_equal(cell, np.tile(np.arange(600 * 700), 2))  # sorted, one overpass after the other
    assert first["platform"].to_pylist()[::300_000] == ["sentinel-2a", "sentinel-2a", "sentinel-2b"]
    assert len(manifest["files"]) == len(set(manifest["files"])) == 2
    # Another version of the scene makes other files, so that no reader meets new rows under the old manifest. An item
    # tells versions apart by its checksums.
    write_stacked(scenes, numbers(*shape), numbers(*shape), classes(*shape), properties={"file:checksum": "12200"})
    run()
    assert set(storage.read_manifest(partition)["files"]) & set(manifest["files"]) == {
        name for name in manifest["files"] if name.startswith("sentinel-2b")
    }
    assert not pixels(tmp_path).equals(first)


@pytest.mark.parametrize(
    "bad",
    [
        ["--date", "yesterday"], ["--clear-classes", "4,5,cloud"], ["--clear-classes", "12"],
        ["--cloud-dilation-m", "-1"], ["--cloud-dilation-m", "inf"], ["--no-such"],
    ],
)  # fmt: skip
def test_bad_arguments(job: ModuleType, bad: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        job.parse_arguments(["--scenes-path", "s", "--pixels-path", "p", *bad])
    assert caught.value.code == 2


def test_defaults(job: ModuleType) -> None:
    arguments = job.parse_arguments(["--scenes-path", "s", "--pixels-path", "p"])
    assert (arguments.clear_classes, arguments.cloud_dilation_m, arguments.date) == (None, None, None)
    assert pixel_settings() == PixelSettings((4, 5, 6, 7), 60.0, None)


def test_an_empty_folder_and_none_at_all(run: Callable, scenes: Path, tmp_path: Path) -> None:
    assert run() == type(run())(0, 0, 0)
    with pytest.raises(InputError, match=r"nowhere: no such folder; allowed"):
        run(scenes=tmp_path / "nowhere")
    with pytest.raises(InputError, match="no areas of interest"):
        run("--areas-path", tmp_path / "nothing.geojson")


def test_command_line(scenes: Path, tmp_path: Path) -> None:
    write_stacked(scenes, numbers(5, 6), numbers(5, 6), classes(5, 6), date="2025-08-23")
    folder = write_stacked(scenes, numbers(5, 6), numbers(5, 6), classes(5, 6))
    (folder / f"{SCENE_ID}.tif").write_text("nothing")
    command = [sys.executable, str(JOB), "--scenes-path", str(scenes), "--pixels-path", f"file://{tmp_path}/pixels"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert {k: said[k] for k in ("rows_read", "rows_written", "failed")} == {
        "rows_read": 30,
        "rows_written": 30,
        "failed": 1,
    }
    assert (tmp_path / "failed_scenes/dag_id=manual/key=2025-08-21").is_dir()


@pytest.mark.parametrize("form", [str, Path.as_uri], ids=["a path", "an address"])
def test_folders_may_be_called_as_folders_can_be(
    job: ModuleType, spark: object, tmp_path: Path, form: Callable[[Path], str]
) -> None:
    """By the job's own arguments, through its whole frame: what a name holds is no wildcard, query or fragment."""
    root = tmp_path / "a b" / "c#d" / "e?f=g" / "\u00fc\u4e2d" / "100%25" / "[h]*"
    write_stacked(root / "scenes", numbers(20, 30), numbers(20, 30), classes(20, 30))
    write_area(root / "areas" / "dune.geojson", lonlat_polygon((-1, -1), (31, -1), (31, 21), (-1, 21)))
    arguments = [t for n in ("scenes", "pixels", "areas") for t in (f"--{n}-path", form(root / n))]
    with pytest.raises(SystemExit) as ended:
        jobs.main(lambda _: job.parse_arguments(arguments), job.run)
    assert ended.value.code == 0
    assert pixels(root).num_rows == 600
