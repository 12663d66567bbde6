"""The job: which partitions it writes, what it says of bad input, and that a repetition changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from plumewatch import storage
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.failures import NothingDone
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates.noting import failure_of
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.tables import ANOMALIES, FAILED_SCENES, PIXELS, PLUMES

from tools.checkout import CHECKOUT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JOB = CHECKOUT / "spark_jobs" / "detect_methane_plumes.py"
SIZE = 130
PLUME = PlantedPlume(12_000.0, 70.0, 40.0, 3.0, 1.0)
Run = Callable[..., object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store_area: Callable, store_wind: Callable) -> dict:
    """Two areas of five dates each; the first holds a plume on its last date."""
    root = f"file://{tmp_path_factory.mktemp('methane') / 'storage'}"
    field = simulate_area(51, size=SIZE, n_references=4, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)
    desert = simulate_area(52, size=SIZE, n_references=4, clouds=False)
    days = {"field": store_area(root, "field", field), "desert": store_area(root, "desert", desert)}
    wind = store_wind(root, days["field"][-1], PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    source = field.passes[-1].place.longitude_latitude(PLUME.row, PLUME.col)
    return {"root": root, "days": days, "wind": wind, "source": source}


@pytest.fixture
def run(job: ModuleType, spark: object, world: dict, tmp_path: Path) -> Run:
    """Run the job on the world; outputs go below `tmp_path / out`."""

    def run_job(*more: str, pixels: str | None = None, wind: bool = True) -> object:
        arguments: Namespace = job.parse_arguments(
            ["--pixels-path", pixels or f"{world['root']}/pixels", "--plumes-path", f"{tmp_path}/out/plumes"]
            + (["--wind-path", world["wind"]] if wind else [])
            + list(more)
        )
        return job.run(arguments)

    return run_job


def rows_in(path: Path, method: str = "multi_pass") -> list[dict]:
    return storage.read_table(PLUMES, f"{path}/out/plumes", where={"method": method}).to_pylist()


def sure_plumes(path: Path) -> list[dict]:
    return [row for row in rows_in(path) if row["status"] == "accepted" and row["probability"] > 0.9]


def manifest(path: Path, area: str, day: str, method: str = "multi_pass") -> dict:
    found = storage.read_manifest(f"{path}/out/plumes/method={method}/area={area}/date={day}")
    assert found is not None
    return found


def test_all_dates_are_searched_and_the_plume_is_found(run: Run, world: dict, tmp_path: Path) -> None:
    result = run("--details-path", f"{tmp_path}/out/plume_details")
    (plume,) = sure_plumes(tmp_path)
    day = world["days"]["field"][-1]
    assert (plume["area"], plume["date"]) == ("field", day)
    assert great_circle_distance_km(*world["source"], plume["longitude"], plume["latitude"]) < 0.2
    assert plume["emission_kg_h_low"] < 12_000 < plume["emission_kg_h_high"]
    assert len(plume["reference_scene_ids"]) == 4
    written = storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")
    assert {(p.keys["area"], p.keys["date"]) for p in written} == {
        (a, d) for a, ds in world["days"].items() for d in ds
    }
    assert (result.rows_written, result.failed) == (len(rows_in(tmp_path)), 0)

    first, last = manifest(tmp_path, "field", world["days"]["field"][0]), manifest(tmp_path, "field", day)
    assert [o["outcome"] for o in first["observations"]] == ["no_reference"] and first["rows"] == 0
    (seen,) = last["observations"]
    assert (seen["outcome"], seen["detected"], seen["stage"]) == ("searched", True, "detection")
    assert seen["wind_speed_m_s"] == pytest.approx(10**0.5, abs=0.01) and seen["detection_limit"] > 100
    assert last["counts"]["accepted"] == 1 and len(last["inputs"]) == 5
    (nearest_first,) = last["references"].values()
    assert [scene[-8:] for scene in nearest_first] == [d.replace("-", "") for d in world["days"]["field"][-2::-1]]
    assert last["versions"]["calibration"] == "methane-detection-3"

    details = tmp_path / "out" / "plume_details" / "method=multi_pass" / "area=field" / f"date={day}"
    about = json.loads((details / f"{plume['plume_id']}.json").read_text())
    assert about["emission_kg_h"] == plume["emission_kg_h"] and about["significance"] > 10
    assert about["emission_by_wind_kg_h"]["2 m/s"] < about["emission_by_wind_kg_h"]["8 m/s"]
    assert (details / f"{plume['plume_id']}.png").read_bytes().startswith(b"\x89PNG")
    with rasterio.open(details / f"{plume['plume_id']}.tif") as cog:
        assert cog.crs.to_epsg() == 32640 and cog.descriptions == ("enhancement_mol_m2",)
        assert np.nanmax(cog.read(1)) == pytest.approx(plume["enhancement_max_mol_m2"], rel=1e-5)


def test_the_file_is_geoparquet_of_polygons(run: Run, world: dict, tmp_path: Path) -> None:
    run("--date", world["days"]["field"][-1])
    folder = tmp_path / "out" / "plumes" / "method=multi_pass" / "area=field" / f"date={world['days']['field'][-1]}"
    file = pq.ParquetFile(folder / "data.parquet")
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    assert geo["version"].startswith("1.1") and geo["primary_column"] == "geometry"
    outlines = [shapely.from_wkb(value) for value in file.read()["geometry"].to_pylist()]
    assert outlines and {outline.geom_type for outline in outlines} == {"Polygon"}


def test_a_repetition_gives_the_same_bytes(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["field"][-1]
    files = []
    for _ in range(2):
        run("--date", day, "--details-path", f"{tmp_path}/out/plume_details")
        files.append(
            {p.relative_to(tmp_path): p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()}
        )
    assert files[0] == files[1] and len(files[0]) > 4


def test_one_partition_folder_is_enough_and_its_references_are_found_beside_it(
    run: Run, world: dict, tmp_path: Path
) -> None:
    day = world["days"]["field"][-1]
    run(pixels=f"{world['root']}/pixels/area=field/date={day}")
    assert [p.keys["date"] for p in storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")] == [day]
    assert [o["outcome"] for o in manifest(tmp_path, "field", day)["observations"]] == ["searched"]


def test_a_range_of_dates(run: Run, world: dict, tmp_path: Path) -> None:
    days = world["days"]["desert"]
    run("--start-date", days[1], "--end-date", days[2], pixels=f"{world['root']}/pixels/area=desert")
    assert [p.keys["date"] for p in storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")] == days[1:3]
    result = run("--date", "2001-01-01")
    assert (result.rows_read, result.rows_written, result.failed) == (0, 0, 0)


@pytest.mark.parametrize("path", [None, "nowhere"])
def test_without_wind_there_are_masses_and_no_rates(run: Run, world: dict, tmp_path: Path, path: str | None) -> None:
    more = ["--wind-path", f"{tmp_path}/{path}"] if path else []
    run("--date", world["days"]["field"][-1], *more, wind=False)
    plumes = sure_plumes(tmp_path)  # maybe in pieces: without wind nothing tells that one is the far part of another
    assert plumes and {(p["emission_status"], p["emission_kg_h"]) for p in plumes} == {("no_wind", None)}
    assert max(p["ime_kg"] for p in plumes) > 100


def test_tables_without_the_nullable_columns(run: Run, world: dict, tmp_path: Path) -> None:
    bare = f"{tmp_path}/bare"
    for partition in storage.list_partitions(PIXELS, f"{world['root']}/pixels/area=field"):
        rows = storage.read_table(PIXELS, partition.path, PIXELS.schema.names)
        rows = rows.drop_columns(
            ["observed_at_utc", "relative_orbit", "epsg", "pixel_size_m", "cloud_probability_percent"]
        )
        folder = Path(bare) / "area=field" / f"date={partition.keys['date']}"
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part-0.parquet")
    day = world["days"]["field"][-1]
    run("--date", day, "--details-path", f"{tmp_path}/out/plume_details", pixels=bare)
    (plume,) = sure_plumes(tmp_path)
    assert plume["observed_at_utc"] is None and plume["emission_status"] == "ok"
    assert manifest(tmp_path, "field", day)["observations"][0]["observed_at_utc"] is None
    (cog,) = (tmp_path / "out" / "plume_details").rglob("*.tif")
    with rasterio.open(cog) as raster:
        assert raster.crs.to_epsg() == 4326
        assert shapely.box(*raster.bounds).contains(shapely.from_wkb(plume["geometry"]).centroid)


def test_bad_partitions_stop_nothing_and_are_recorded(run: Run, world: dict, tmp_path: Path) -> None:
    stored = Path(world["root"].removeprefix("file://")) / "pixels"
    pixels = shutil.copytree(stored, tmp_path / "pixels")
    bad_day, last = world["days"]["field"][1], world["days"]["field"][-1]
    bad = pixels / "area=field" / f"date={bad_day}"
    for file in bad.iterdir():
        file.unlink()
    (bad / "data.parquet").write_bytes(b"PAR1 no parquet")
    result = run(pixels=str(pixels))
    assert result.failed == 1
    assert len(sure_plumes(tmp_path)) == 1
    assert (
        len(manifest(tmp_path, "field", last)["inputs"]) == 4
        and not Path(f"{tmp_path}/out/plumes/method=multi_pass/area=field/date={bad_day}").exists()
    )
    failed = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
    assert [(r["dag_id"], r["key"], r["area"], r["scene_id"], r["stage"]) for r in failed] == [
        ("manual", bad_day, "field", f"area=field/date={bad_day}", "detection")
    ]
    assert failed[0]["healed_at_utc"] is None and "not readable as Parquet" in failed[0]["message"]

    shutil.copytree(stored / "area=field" / f"date={bad_day}", bad, dirs_exist_ok=True)
    assert run(pixels=str(pixels)).failed == 0
    (healed,) = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
    assert healed["healed_at_utc"] is not None


def test_a_bad_pass_is_recorded_and_healed_and_the_good_one_of_its_date_published(
    run: Run, world: dict, tmp_path: Path
) -> None:
    stored, day = f"{world['root']}/pixels/area=field", world["days"]["field"][-1]
    good = storage.read_table(PIXELS, f"{stored}/date={day}", PIXELS.schema.names)
    other = {"relative_orbit": pa.array([7] * len(good), pa.int16()), "solar_zenith_deg": pa.array([95.0] * len(good))}
    bad = good
    for name, column in other.items():
        bad = bad.set_column(bad.schema.get_field_index(name), name, column.cast(bad.schema.field(name).type))
    pixels = shutil.copytree(stored.removeprefix("file://"), tmp_path / "pixels" / "area=field").parent
    keys = {"area": "field", "date": day}
    storage.write_partition(PIXELS, str(pixels), keys, pa.concat_tables([good, bad]))
    for _ in range(2):
        assert run("--date", day, pixels=str(pixels)).failed == 1
        assert len(sure_plumes(tmp_path)) == 1
        (failed,) = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
        name = f"area=field/date={day}/platform=sentinel-2a/relative_orbit=7"
        assert (failed["key"], failed["scene_id"], failed["healed_at_utc"]) == (day, name, None)
        assert "solar_zenith_deg 95.0" in failed["message"] and failed["is_retryable"] is False
    storage.write_partition(PIXELS, str(pixels), keys, good)
    assert run("--date", day, pixels=str(pixels)).failed == 0
    (healed,) = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
    assert healed["healed_at_utc"] is not None


def test_data_that_crash_are_not_tried_again(
    job: ModuleType, run: Run, world: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are other processes: the report of one that crashed is made here."""
    day = world["days"]["field"][-1]
    for error, is_retryable in ((IndexError("odd"), False), (OSError("the bucket is away"), True)):
        report = {
            "area": "field", "date": day, "rows_read": 1, "rows_written": None, "dates_read": [day], "outcomes": [],
            "counts": "{}", "failures": json.dumps([asdict(failure_of(error, "field", day))]),
        }  # fmt: skip
        monkeypatch.setattr(job, "_detect", lambda bins, report=report: [report])
        with pytest.raises(NothingDone) as raised:
            run("--date", day)
        assert raised.value.is_retryable is is_retryable


def test_a_broken_wind_file_costs_the_rates_alone(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["field"][-1]
    wind = tmp_path / "broken" / "product=p" / f"date={day}"
    wind.mkdir(parents=True)
    (wind / "data.parquet").write_bytes(b"no parquet")
    result = run("--date", day, "--wind-path", f"{tmp_path}/broken", wind=False)
    assert result.failed >= 1 and {p["emission_status"] for p in sure_plumes(tmp_path)} == {"no_wind"}
    failed = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
    assert {(row["key"], row["stage"], row["scene_id"]) for row in failed} == {(day, "wind", "data.parquet")}


def test_a_date_without_pixels_is_stated(run: Run, world: dict, tmp_path: Path) -> None:
    storage.write_partition(PIXELS, f"{tmp_path}/pixels", {"area": "a", "date": "2025-08-20"}, PIXELS.empty())
    result = run(pixels=f"{tmp_path}/pixels")
    assert (result.rows_written, result.failed) == (0, 0)
    assert [o["outcome"] for o in manifest(tmp_path, "a", "2025-08-20")["observations"]] == ["no_input"]


def test_nothing_usable_is_an_error_that_names_the_file(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder; allowed: the table pixels"):
        run(pixels=f"{tmp_path}/nowhere")
    folder = tmp_path / "pixels" / "area=a" / "date=2025-08-20"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_bytes(b"no parquet")
    with pytest.raises(PlumewatchError, match=r"data\.parquet: not readable as Parquet"):
        run(pixels=f"{tmp_path}/pixels")
    assert storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").num_rows == 1


def test_isolation_forest_writes_unrated_clusters_and_all_anomalies(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["desert"][-1]
    run(
        "--method", "isolation_forest", "--date", day, "--anomalies-path", f"{tmp_path}/out/anomalies",
        "--contamination", "0.02", "--min-samples", "4", "--batch-size", "8000",
        pixels=f"{world['root']}/pixels/area=desert",
    )  # fmt: skip
    anomalies = storage.read_table(ANOMALIES, f"{tmp_path}/out/anomalies")
    clusters = np.unique(anomalies["cluster"].to_numpy())
    assert anomalies.num_rows == pytest.approx(0.02 * SIZE**2, rel=0.05) and clusters[0] == -1
    plumes = rows_in(tmp_path, "isolation_forest")
    assert len(plumes) == clusters.max() + 1
    assert {(p["status"], p["probability"], p["reference_scene_ids"] == []) for p in plumes} == {
        ("unrated", None, True)
    }
    settings = manifest(tmp_path, "desert", day, "isolation_forest")["settings"]
    assert settings["contamination"] == 0.02 and settings["batch_size"] == 8000


def test_each_bin_is_a_spark_task_of_its_own(job: ModuleType, spark: SparkSession) -> None:
    task = AreaDates("a", ("2025-08-20",), "pixels", "plumes", "multi_pass", None, None, None, ForestSettings())
    bins = [[replace(task, area=f"{n}-{k}") for k in range(1 + n % 3)] for n in range(64)]
    rows = job.share_out(spark, bins).selectExpr("spark_partition_id() AS id", "position", "tasks").toArrow()
    assert rows.sort_by("position")["id"].to_pylist() == list(range(64))
    assert [
        [AreaDates.from_json(text) for text in texts] for texts in rows.sort_by("position")["tasks"].to_pylist()
    ] == bins


def test_the_pixels_of_an_area_are_those_of_its_newest_manifest_or_the_mean(job: ModuleType, tmp_path: Path) -> None:
    for area, rows in (("known", 100), ("other", 300), ("broken", 0)):
        folder = tmp_path / f"area={area}" / "date=2025-08-20"
        folder.mkdir(parents=True)
        text = json.dumps({"files": [], "rows": rows}) if rows else "no JSON"
        (folder / "_manifest.json").write_text(text)
    (tmp_path / "area=bare" / "date=2025-08-20").mkdir(parents=True)
    names = ("bare", "broken", "known", "other")
    newest = {name: storage.Partition(f"{tmp_path}/area={name}/date=2025-08-20", {"area": name}) for name in names}
    assert job._pixels_of(newest) == {"bare": 200, "broken": 200, "known": 100, "other": 300}
    assert job._pixels_of({"bare": newest["bare"]}) == {"bare": 1}


@pytest.mark.parametrize("method", ["multi_pass", "single_pass"])
def test_a_folder_that_is_no_date_is_named_and_the_others_go_through(
    run: Run, world: dict, tmp_path: Path, method: str
) -> None:
    pixels = tmp_path / "pixels" / "area=desert"
    stored = Path(world["root"].removeprefix("file://")) / "pixels" / "area=desert"
    days = world["days"]["desert"][:2]
    for day in (*days, "2025-8-30"):
        shutil.copytree(stored / f"date={days[0] if day == '2025-8-30' else day}", pixels / f"date={day}")
    assert run("--method", method, pixels=f"{tmp_path}/pixels").failed == 1
    assert [p.keys["date"] for p in storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")] == days
    (failed,) = storage.read_table(FAILED_SCENES, f"{tmp_path}/out/failed_scenes").to_pylist()
    assert failed["scene_id"] == "area=desert/date=2025-8-30" and "allowed: date=YYYY-MM-DD" in failed["message"]


def test_single_pass_needs_no_reference(run: Run, world: dict, tmp_path: Path) -> None:
    run("--method", "single_pass", "--date", world["days"]["field"][0])
    assert [
        o["outcome"] for o in manifest(tmp_path, "field", world["days"]["field"][0], "single_pass")["observations"]
    ] == ["searched"]


def test_details_of_a_former_run_are_removed(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["field"][-1]
    folder = tmp_path / "out" / "plume_details" / "method=multi_pass" / "area=field" / f"date={day}"
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.png").write_bytes(b"old")
    run("--date", day, "--details-path", f"{tmp_path}/out/plume_details")
    assert not (folder / "0123456789abcdef.png").exists() and list(folder.glob("*.png"))


@pytest.mark.parametrize(
    "arguments",
    [["--date", "2025-08-20", "--end-date", "2025-08-21"], ["--date", "20 August"], ["--contamination", "0.7"],
     ["--date", "2025-02-30"], ["--start-date", "2025-08-21", "--end-date", "2025-08-20"], ["--method", "magic"],
     *(["--eps", text] for text in ("-1", "0", "inf", "nan", "1e309", "181", "wide")),
     *(["--contamination", text] for text in ("0", "nan", "inf", "-0.1", "0.51", "few")),
     *(["--min-samples", text] for text in ("0", "-3", "1.5", "nan", "inf", "99999999999", "many")),
     *(["--batch-size", text] for text in ("0", "-1", "1e5", "inf", "99999999999", "all"))],
    ids=" ".join,
)  # fmt: skip
def test_bad_arguments_are_refused(job: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        job.parse_arguments(["--pixels-path", "a", "--plumes-path", "b", *arguments])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2 and said.startswith("detect_methane_plumes.py: error: ") and arguments[0] in said
    assert "allowed: " in said or "choose from" in said


def test_good_arguments_are_taken(job: ModuleType) -> None:
    forest = ["--eps", "1e-3", "--contamination", "0.5", "--min-samples", "1", "--batch-size", "1"]
    taken = job.parse_arguments(["--pixels-path", "a", "--plumes-path", "b", "--date", "20250820", *forest])
    assert (taken.eps, taken.contamination, taken.min_samples, taken.batch_size) == (0.001, 0.5, 1, 1)
    assert taken.date == "2025-08-20"


def test_command_line_ends_with_one_line_of_json(world: dict, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(JOB), "--pixels-path", f"{world['root']}/pixels", "--date", world["days"]["desert"][-1],
         "--plumes-path", f"{tmp_path}/out/plumes"],
        capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    (line,) = finished.stdout.splitlines()
    assert set(json.loads(line)) == {"rows_read", "rows_written", "failed", "seconds"}
