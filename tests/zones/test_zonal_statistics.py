"""The job: scenes of a month and zones in, the table out, held against numpy on the numbers that were written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
import shapely
from known_zones import rectangle, write_zones
from numpy.typing import NDArray
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone
from plumewatch.tables import FAILED_SCENES
from plumewatch.zonal_names import DEFAULT_STATISTICS
from plumewatch.zones.months import COUNTED
from plumewatch.zones.partition import ZonePartition, rows_of
from plumewatch.zones.plan import Counting
from plumewatch.zones.zone import Zone, Zones
from plumewatch.zones.zone_files import read_zones
from pyproj import CRS
from sentinel2_scenes import EPSG, NORTH, SIZE_M, WEST

from tools.checkout import CHECKOUT

DAYS = ("2025-08-21", "2025-08-26", "2025-08-31")
JOBS = CHECKOUT / "spark_jobs"
ZONES = {"1": rectangle(2, 3, 10, 12), "2": rectangle(8, 9, 9, 9), "10": rectangle(30, 30, 20, 20)}
CELLS = {"1": np.s_[2:12, 3:15], "2": np.s_[8:17, 9:18], "10": np.s_[30:40, 30:40]}

Count = Callable[..., Any]
Scene = Callable[..., Mapping[str, NDArray[Any]]]


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Three zones of cells: two overlap, one reaches beyond the scenes."""
    return write_zones(tmp_path / "fields.gpkg", ZONES)


def ndvi(numbers: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """NDVI of numbers, NaN where cloud or no data is."""
    red, nir = (numbers[band] / 10_000.0 for band in ("B04", "B08"))
    with np.errstate(invalid="ignore"):
        value = (nir - red) / (nir + red)
    is_seen = np.isin(numbers["SCL"], (4, 5, 6, 7)) & (numbers["B04"] > 0) & (numbers["B08"] > 0)
    return np.where(is_seen, value, np.nan)


def of(rows: Any, zone: str, statistic: str, scene_id: str | None = None) -> Any:
    """The one row of a zone, scene and statistic."""
    chosen = rows[(rows.zone_id == zone) & (rows.statistic == statistic)]
    chosen = chosen[chosen.scene_id.isna() if scene_id is None else chosen.scene_id == scene_id]
    [row] = chosen.to_dict("records")
    return row


def test_scenes_and_month_are_those_of_numpy(
    count: Count, scene: Scene, stored: Callable[[], Any], zones: Path
) -> None:
    numbers = [scene(day, hole=np.s_[:4, :6]) for day in DAYS]
    result = count("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi", "--statistics",
                   "mean,median,p90,std,count")  # fmt: skip
    rows = stored()
    assert result.failed == 0 and result.rows_written == len(rows) == 3 * 4 * 5
    assert set(rows.band_or_index) == {"ndvi"} and set(rows.zones) == {"fields"} and set(rows.month) == {"2025-08"}
    stack = np.stack([ndvi(one) for one in numbers])
    for zone, cells in CELLS.items():
        parts = {None: stack[(slice(None), *cells)]} | {
            f"S2A_40RDN_{day.replace('-', '')}_0_L2A": stack[i][cells] for i, day in enumerate(DAYS)
        }
        for scene_id, part in parts.items():
            seen = part[np.isfinite(part)]
            expected = {
                "mean": seen.mean(), "median": np.median(seen), "p90": np.percentile(seen, 90), "std": seen.std(),
                "count": seen.size,
            }  # fmt: skip
            for statistic, value in expected.items():
                row = of(rows, zone, statistic, scene_id)
                assert row["value"] == pytest.approx(value, rel=1e-6, abs=1e-7), (zone, scene_id, statistic)
                assert (row["count_clear"], row["count_total"]) == (seen.size, part.size)
                assert row["clear_fraction"] == pytest.approx(seen.size / part.size, abs=1e-6)


def test_a_month_without_anything_clear_is_null_and_a_zone_outside_is_named(
    count: Count, scene: Scene, stored: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene(scl=np.full((40, 40), 9, np.uint8))
    far = {"in": rectangle(0, 0, 5, 5), "out": rectangle(200, 0, 5, 5)}
    count("--zones-path", write_zones(tmp_path / "far.gpkg", far), "--zone-id-column", "zone")
    rows = stored()
    clouded, outside = of(rows[rows.band_or_index == "b04"], "in", "median"), rows[rows.zone_id == "out"]
    assert rows[rows.zone_id == "in"].value.isna().all()  # counts as well
    assert np.isnan(clouded["value"]) and (clouded["count_clear"], clouded["count_total"]) == (0, 25)
    assert clouded["clear_fraction"] == 0.0
    assert outside.scene_id.isna().all() and outside.value.isna().all() and (outside.count_total == 0).all()
    assert len(outside) == 4 * 6 and "outside of all scenes: zones out" in caplog.text  # b04, b08, b11, b12


def test_overlapping_tiles_of_a_date_count_a_cell_once_and_where_it_is_clear(
    count: Count, scene: Scene, stored: Callable[[], Any], zones: Path
) -> None:
    cloudy = np.full((40, 40), 9, np.uint8)
    one = scene(tile="40RDN", scl=np.where(np.arange(40) < 20, np.uint8(4), cloudy))
    other = scene(tile="40RDP", scl=np.where(np.arange(40) < 12, cloudy, np.uint8(4)))
    count("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi")
    together = np.where(np.arange(40) < 20, ndvi(one), ndvi(other))
    rows = stored()
    for zone, cells in CELLS.items():
        row = of(rows, zone, "median")
        assert row["value"] == pytest.approx(np.median(together[cells]), rel=1e-6, abs=1e-7)
        assert row["count_total"] == row["count_clear"] == together[cells].size


def test_a_margin_around_cloud_counts_as_cloud(
    count: Count, scene: Scene, stored: Callable[[], Any], tmp_path: Path
) -> None:
    scl = np.full((40, 40), 4, np.uint8)
    scl[20, 20] = 9
    scene(scl=scl)
    whole = write_zones(tmp_path / "whole.gpkg", {"a": rectangle(0, 0, 40, 40)})
    count("--zones-path", whole, "--index", "b08", areas=False)
    row, col = np.indices((40, 40))
    cloud = np.hypot(row - 20, col - 20) <= 3  # 60 m of 20 m
    assert of(stored(), "1", "count")["value"] == 1600 - cloud.sum()


def test_hexagons_share_the_cells_out(count: Count, scene: Scene, stored: Callable[[], Any]) -> None:
    scene(scl=np.full((40, 40), 4, np.uint8))
    count("--h3-resolution", 9, "--index", "b08", "--statistics", "count")
    rows = stored()
    assert set(rows.zones) == {"h3_9"} and rows.zone_id.str.fullmatch("89[0-9a-f]{13}").all()
    month = rows[rows.scene_id.isna()]
    assert month.value.sum() == month.count_total.sum() == 1600


def test_some_zones_are_counted_anew_and_the_others_stay(
    count: Count, scene: Scene, stored: Callable[[], Any], zones: Path
) -> None:
    scene()
    options = ("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi")
    count(*options)
    first = stored()
    scene(DAYS[1])
    count(*options, "--start-from", "2")  # ids are numbers: 1, 2, 10
    rows = stored()
    changed = {zone for zone in ZONES if len(rows[rows.zone_id == zone]) > len(first[first.zone_id == zone])}
    assert changed == {"2", "10"}
    count(*options, "--zone-id", "1")
    count(*options)
    assert len(stored()) == 3 * 3 * 6
    with pytest.raises(InputError, match="--start-from 3: no such zone"):
        count(*options, "--start-from", "3")
    with pytest.raises(InputError, match="finished zones of"):
        count(*options[:-1], "b08", "--start-from", "2")


def test_a_run_of_other_indices_leaves_no_rows_of_the_former_beside_its_own(tmp_path: Path) -> None:
    zones = Zones("fields", CRS.from_epsg(EPSG), tuple(Zone(name, shape) for name, shape in ZONES.items()))

    def write(name: str, n_counted: int) -> set[tuple[str, str]]:
        counting = Counting((name,), ("mean",))
        partition = ZonePartition(str(tmp_path / "zonal_statistics"), "2025-08", zones, counting, ())
        rows = rows_of(COUNTED.empty_table(), range(n_counted), zones, [], counting)
        partition.write(rows, range(n_counted, 3), [])
        return {(row["zone_id"], row["band_or_index"]) for row in partition.read().to_pylist()}

    assert write("ndvi", 3) == write("ndvi", 2) == {("1", "ndvi"), ("2", "ndvi"), ("10", "ndvi")}
    assert write("b08", 2) == {("1", "b08"), ("2", "b08")}  # and ended before the third


def test_a_run_that_is_killed_leaves_whole_zones_and_goes_on(
    count: Count, scene: Scene, stored: Callable[[], Any], tmp_path: Path
) -> None:
    scene()
    many = {str(n): rectangle(n % 36, n // 36 * 5, 4, 4) for n in range(250)}
    zones = write_zones(tmp_path / "many.gpkg", many)
    options = ["--zones-path", str(zones), "--zone-id-column", "zone", "--index", "ndvi"]
    count(*options)
    undisturbed = stored()
    shutil.rmtree(tmp_path / "zonal_statistics")
    paths = ["--scenes-path", tmp_path / "scenes", "--statistics-path", tmp_path / "zonal_statistics"]
    paths += ["--areas-path", tmp_path / "areas" / "dune.geojson", "--month", "2025-08", "--zones-at-once", 10]
    command = [sys.executable, str(JOBS / "zonal_statistics.py"), *options, *map(str, paths)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as job:
        data = tmp_path / "zonal_statistics" / "zones=many" / "month=2025-08" / "_manifest.json"
        while not data.exists() and job.poll() is None:
            time.sleep(0.02)
        os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == -signal.SIGKILL
    done = sorted({int(zone) for zone in stored().zone_id})
    assert 0 < len(done) < 250 and done == list(range(len(done))) and len(done) % 10 == 0
    count(*options, "--start-from", str(len(done)))
    pd.testing.assert_frame_equal(stored(), undisturbed)


def test_a_bad_scene_is_left_out_and_named_and_the_others_count(
    count: Count, scene: Scene, stored: Callable[[], Any], zones: Path, tmp_path: Path
) -> None:
    numbers = [scene(day) for day in DAYS]
    bad = tmp_path / "scenes" / "area=dune" / f"date={DAYS[1]}" / "S2A_40RDN_20250826_0_L2A.tif"
    content = bytearray(bad.read_bytes())
    content[-3000:] = b"\0" * 3000
    bad.write_bytes(content)
    result = count("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi")
    assert result.failed == 1
    [failed] = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    assert failed["scene_id"] == "S2A_40RDN_20250826_0_L2A" and failed["stage"] == "statistics"
    rows = stored()
    assert "S2A_40RDN_20250826_0_L2A" not in set(rows.scene_id)
    seen = np.stack([ndvi(numbers[0]), ndvi(numbers[2])])[(slice(None), *CELLS["1"])]
    assert of(rows, "1", "mean")["value"] == pytest.approx(np.nanmean(seen), rel=1e-6, abs=1e-7)
    manifest = json.loads(next(tmp_path.glob("zonal_statistics/*/*/_manifest.json")).read_text())
    assert len(manifest["inputs"]) == 2 and manifest["counts"] == {"zones": 3, "zones_left": 0}


@pytest.mark.parametrize("where", [np.s_[-3000:], np.s_[200:2000]], ids=["header", "pixels"])
def test_where_all_scenes_are_bad_the_stored_statistics_stay(
    count: Count, scene: Scene, stored: Callable[[], Any], zones: Path, tmp_path: Path, where: slice
) -> None:
    scene()
    options = ("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi")
    count(*options)
    before = stored()
    bad = tmp_path / "scenes" / "area=dune" / f"date={DAYS[0]}" / "S2A_40RDN_20250821_0_L2A.tif"
    content = bytearray(bad.read_bytes())
    content[where] = bytes(len(content[where]))
    bad.write_bytes(content)
    with pytest.raises(NothingDone, match="S2A_40RDN_20250821_0_L2A"):
        count(*options)
    pd.testing.assert_frame_equal(stored(), before)
    [failed] = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    assert failed["scene_id"] == "S2A_40RDN_20250821_0_L2A" and failed["healed_at_utc"] is None


def test_a_month_without_scenes_does_nothing_and_an_index_without_its_band_is_an_error(
    count: Count, scene: Scene, zones: Path, tmp_path: Path
) -> None:
    scene()
    assert count("--zones-path", zones, month="2025-07").rows_written == 0
    assert not (tmp_path / "zonal_statistics").exists()
    with pytest.raises(InputError, match=r"evi needs B02; it has B11, B12, B04, B08"):
        count("--zones-path", zones, "--index", "evi")
    with pytest.raises(InputError, match="absent: no such file or folder; allowed: areas of interest"):
        count("--zones-path", zones, "--areas-path", tmp_path / "absent", areas=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "ndwx"], "ndvi, evi"),
        (["--statistics", "mode"], "percentiles as p10"),
        (["--index-constants", "G=much"], "NAME=number"),
        (["--zone-id", "1", "--start-from", "2"], "one of them"),
        (["--month", "2025-8"], "YYYY-MM"),
        (["--statistics", ","], "--statistics '', ''"),
        (["--index", "ndvi,"], "--index ''"),
    ],
)
def test_bad_arguments_end_with_2(
    zonal_job: Any, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--scenes-path", "s", "--zones-path", "z.gpkg", "--month", "2025-08", "--statistics-path", "t", *arguments]
    with pytest.raises(SystemExit) as ended:
        zonal_job.parse_arguments(argv)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_names_given_twice_and_with_spaces_all_count(zonal_job: Any) -> None:
    argv = ["--scenes-path", "s", "--zones-path", "z.gpkg", "--month", "2025-08", "--statistics-path", "t"]
    argv += ["--index", "NDVI, b04", "--index", "evi", "--zone-id", "1", "--zone-id", "2", "--statistics", "mean, P90"]
    found = zonal_job.parse_arguments([*argv, "--index-constants", "L=0", "--index-constants", "G=2"])
    assert found.index == ["ndvi", "b04", "evi"] and found.zone_id == ["1", "2"]
    assert found.statistics == ["mean", "p90"] and found.index_constants == ["L=0", "G=2"]
    assert zonal_job.parse_arguments(argv[:8]).index == []


def test_a_refused_zone_is_of_its_file_and_healed_once_it_is_mended(count: Count, scene: Scene, tmp_path: Path) -> None:
    scene()
    line, box = shapely.LineString([(0, 0), (1, 1)]), rectangle(0, 0, 5, 5)
    options = ("--zone-id-column", "zone", "--index", "b08", "--statistics", "count")
    for name in ("fields", "parcels"):
        assert (
            count("--zones-path", write_zones(tmp_path / f"{name}.gpkg", {"a": line, "b": box}), *options).failed == 1
        )
    (tmp_path / "fields.gpkg").unlink()
    assert count("--zones-path", write_zones(tmp_path / "fields.gpkg", {"a": box, "b": box}), *options).failed == 0
    rows = storage.read_table(FAILED_SCENES, str(tmp_path / "failed_scenes")).to_pylist()
    is_healed = {row["scene_id"]: row["healed_at_utc"] is not None for row in rows}
    assert is_healed == {"zones=fields/zone a": True, "zones=parcels/zone a": False}


def test_two_runs_on_zones_of_their_own_keep_what_the_other_has_published_meanwhile(
    zonal_job: Any, count: Count, scene: Scene, stored: Callable[[], Any], zones: Path, tmp_path: Path
) -> None:
    scene()
    options = ("--zones-path", zones, "--zone-id-column", "zone", "--index", "ndvi")
    count(*options)
    scene(DAYS[1])
    root = str(tmp_path / "zonal_statistics")
    of_file = read_zones(str(zones), None, "zone", lambda where, error: None)
    counting = Counting(("ndvi",), DEFAULT_STATISTICS)
    slow = ZonePartition(root, "2025-08", of_file, counting, kept=[1, 2])
    first = slow.read().filter(pc.equal(slow.read()["zone_id"], "1"))
    count(*options, "--zone-id", "2")
    slow.write(first, [], [])
    n_rows = stored().groupby("zone_id").size()
    assert (n_rows["1"], n_rows["2"], n_rows["10"]) == (12, 18, 12)


def test_a_zone_of_two_areas_is_counted_on_the_one_that_holds_most_of_it(
    count: Count, scene: Scene, stored: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene()
    scene(area="east", west=WEST + 30 * SIZE_M, tile="40RDP")
    both = shapely.box(WEST + 20 * SIZE_M, NORTH - 10 * SIZE_M, WEST + 60 * SIZE_M, NORTH)
    count("--zones-path", write_zones(tmp_path / "both.gpkg", {"a": both}, crs=EPSG), "--index", "b08")
    assert of(stored(), "1", "count")["count_total"] == 300  # 10 x 30 cells of east, 10 x 20 of dune
    assert "of several areas, counted in the one that holds most: zones 1" in caplog.text
