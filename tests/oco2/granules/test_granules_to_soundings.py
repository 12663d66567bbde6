from __future__ import annotations

import bz2
import csv
import importlib.util
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from lite_granules import northward_track, write_lite
from plumewatch import jobs, storage
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.tables import FAILED_SCENES, SOUNDINGS

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "granules_to_soundings.py"
HTML = b"<html><head><title>Earthdata Login</title></head></html>"
JULY, AUGUST, AUGUST_OLD = (
    f"oco2_LtCO2_{day}_{build}.nc4"
    for day, build in (
        ("160730", "B11210Ar_240910224028s"),
        ("160831", "B11210Ar_240910224028s"),
        ("160831", "B10206Ar_200730235637s"),
    )
)
AUGUST_2 = "oco2_LtCO2_160802_B11210Ar_240910224028s.nc4"
BAD, ACOS = "oco2_LtCO2_160829_B11210Ar_240910224028s.nc4", "acos_LtCO2_160830_B11072Ar_240915205334s.nc4"

pytestmark = pytest.mark.usefixtures("spark")


@pytest.fixture(scope="module")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("granules_to_soundings", JOB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def day(text: str, n_bad: int = 0) -> dict[str, Any]:
    from datetime import UTC, datetime

    columns = northward_track(100, start=datetime.fromisoformat(text).replace(tzinfo=UTC))
    columns["xco2_quality_flag"][:n_bad] = 1
    columns["xco2"] = columns["xco2"] + np.arange(len(columns["xco2"])) / 100
    return columns


@pytest.fixture
def granules(tmp_path: Path) -> Path:
    """A day of July, one of August in two versions, a page in place of a file, and a file of another instrument."""
    folder = tmp_path / "granules"
    write_lite(folder / JULY, day("2016-07-30T10:00"))
    write_lite(folder / AUGUST, day("2016-08-31T10:00", n_bad=52))
    write_lite(folder / AUGUST_OLD, day("2016-08-31T10:00"))
    (folder / BAD).write_bytes(HTML)
    (folder / ACOS).write_bytes(b"x")
    return folder


def run(job: ModuleType, granules: Path, root: str, *more: str) -> jobs.JobResult:
    arguments = ["--granules-path", str(granules), "--soundings-path", storage.join(root, "soundings"), *more]
    return job.run(job.parse_arguments(arguments))


def rows(root: str, month: str) -> list[dict[str, Any]]:
    table = storage.read_table(SOUNDINGS, storage.join(root, "soundings"), where={"month": month})
    return table.sort_by("sounding_id").to_pylist()


def failed(root: str, key: str) -> dict[str, dict[str, Any]]:
    where = {"dag_id": "manual", "key": key}
    table = storage.read_table(FAILED_SCENES, storage.join(root, "failed_scenes"), where=where)
    return {row["scene_id"]: row for row in table.to_pylist()}


def test_months_are_written_and_bad_files_named(job: ModuleType, granules: Path, storage_root: str) -> None:
    result = run(job, granules, storage_root)
    assert result == jobs.JobResult(rows_read=704, rows_written=652, failed=2)
    july, august = rows(storage_root, "2016-07"), rows(storage_root, "2016-08")
    assert len(july) == 352 and len(august) == 300 and {row["granule"] for row in august} == {AUGUST}
    assert july[0]["sounding_id"] == 2016073010000001 and july[-1]["xco2_ppm"] == pytest.approx(403.51)
    manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
    assert manifest is not None and manifest["rows"] == 300 and len(manifest["files"]) == 1
    assert manifest["counts"] == {"read": 352, "kept": 300, "dropped_bad_quality": 52}
    assert manifest["superseded"] == [AUGUST_OLD] and [Path(p).name for p in manifest["inputs"]] == [AUGUST]
    bad = failed(storage_root, "2016-08")
    assert set(bad) == {BAD, ACOS} and all(row["is_retryable"] is False for row in bad.values())
    assert "an HTML page (Earthdata Login)" in bad[BAD]["message"] and "a file of acos" in bad[ACOS]["message"]
    assert bad[BAD]["stage"] == "extract" and bad[BAD]["error_class"] == "InputError"


def test_repetition_gives_the_same_files(job: ModuleType, granules: Path, storage_root: str) -> None:
    def content() -> dict[str, bytes]:
        return {
            f: storage.read_bytes(f) for f in storage.list_files(storage.join(storage_root, "soundings"), ".parquet")
        }

    run(job, granules, storage_root)
    first = content()
    run(job, granules, storage_root)
    assert content() == first and len(first) == 2


def test_a_month_is_replaced_whole_and_others_are_left(job: ModuleType, granules: Path, storage_root: str) -> None:
    run(job, granules, storage_root)
    july = rows(storage_root, "2016-07")
    other = "oco2_LtCO2_160802_B11210Ar_240910224028s.nc4"
    write_lite(granules / "other" / other, day("2016-08-02T10:00"))
    run(job, granules / "other", storage_root)
    assert {row["granule"] for row in rows(storage_root, "2016-08")} == {other}
    assert rows(storage_root, "2016-07") == july


def test_one_month_of_a_folder_and_one_file(job: ModuleType, granules: Path, storage_root: str) -> None:
    assert run(job, granules, storage_root, "--month", "2016-07") == jobs.JobResult(352, 352, 0)
    assert rows(storage_root, "2016-08") == [] and failed(storage_root, "2016-08") == {}
    assert run(job, granules / AUGUST_OLD, storage_root).rows_written == 352


def test_a_file_that_comes_back_whole_is_healed(job: ModuleType, granules: Path, storage_root: str) -> None:
    run(job, granules, storage_root)
    write_lite(granules / BAD, day("2016-08-29T10:00"))
    assert run(job, granules, storage_root).failed == 1
    after = failed(storage_root, "2016-08")
    assert after[BAD]["healed_at_utc"] is not None and after[ACOS]["healed_at_utc"] is None


def broken(granules: Path, root: str, job: ModuleType, *more: str) -> list[dict[str, Any]]:
    """The August of a month with two good days, run again with a page in place of the second."""
    other = granules / AUGUST_2
    write_lite(other, day("2016-08-02T10:00", n_bad=10))
    run(job, granules, root)
    other.write_bytes(HTML)
    run(job, granules, root, *more)
    return rows(root, "2016-08")


def test_a_granule_that_fails_in_a_repetition_keeps_its_earlier_soundings(
    job: ModuleType, granules: Path, storage_root: str
) -> None:
    after = broken(granules, storage_root, job)
    assert Counter(row["granule"] for row in after) == {AUGUST: 300, AUGUST_2: 342}
    manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
    assert manifest is not None and manifest["rows"] == 642 and len(manifest["files"]) == 2
    assert manifest["counts"] == {"read": 352, "kept": 300, "dropped_bad_quality": 52, "kept_stored": 342}
    assert manifest["kept_stored"] == [AUGUST_2]
    assert [Path(p).name for p in manifest["inputs"]] == [AUGUST_2, AUGUST]
    assert set(failed(storage_root, "2016-08")) >= {AUGUST_2}
    run(job, granules, storage_root)  # and again: they stay until it heals
    assert len(rows(storage_root, "2016-08")) == 642
    write_lite(granules / AUGUST_2, day("2016-08-02T10:00"))
    run(job, granules, storage_root)
    healed = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
    assert healed is not None and healed["rows"] == 652 and healed["kept_stored"] == []


def test_one_that_never_came_is_named_by_the_caller(job: ModuleType, granules: Path, storage_root: str) -> None:
    write_lite(granules / AUGUST_2, day("2016-08-02T10:00"))
    run(job, granules, storage_root)
    (granules / AUGUST_2).unlink()
    run(job, granules, storage_root, "--keep-stored", AUGUST_2, BAD)
    assert Counter(row["granule"] for row in rows(storage_root, "2016-08")) == {AUGUST: 300, AUGUST_2: 352}
    run(job, granules, storage_root)
    assert {row["granule"] for row in rows(storage_root, "2016-08")} == {AUGUST}


def test_a_day_of_two_versions_is_never_kept(job: ModuleType, granules: Path, storage_root: str) -> None:
    run(job, granules, storage_root)
    (granules / AUGUST).unlink()  # so that its older version counts
    run(job, granules, storage_root, "--keep-stored", AUGUST)
    assert {row["granule"] for row in rows(storage_root, "2016-08")} == {AUGUST_OLD}


def test_soundings_of_another_selection_are_not_kept(job: ModuleType, granules: Path, storage_root: str) -> None:
    after = broken(granules, storage_root, job, "--keep-bad-quality")
    assert Counter(row["granule"] for row in after) == {AUGUST: 352}


def test_selection_is_passed_on(job: ModuleType, granules: Path, storage_root: str) -> None:
    assert run(job, granules, storage_root, "--keep-bad-quality", "--month", "2016-08").rows_written == 352
    assert run(job, granules, storage_root, "--modes", "1,2").rows_written == 0
    assert run(job, granules, storage_root, "--surfaces", "water").rows_written == 0
    manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-07"))
    assert manifest is not None and manifest["counts"] == {"read": 352, "kept": 0, "dropped_other_surface": 352}


def test_soundings_of_another_month_are_dropped_and_named_unless_that_month_has_them(
    job: ModuleType, tmp_path: Path, storage_root: str
) -> None:
    write_lite(tmp_path / "g" / AUGUST, day("2016-08-31T23:59:55"))
    assert run(job, tmp_path / "g", storage_root) == jobs.JobResult(352, 120, 1)
    (named,) = failed(storage_root, "2016-08").values()
    assert named["scene_id"] == AUGUST and "232 of 352 soundings are of 2016-09, where no granule" in named["message"]
    manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
    assert manifest is not None and manifest["counts"]["dropped_other_month"] == 352 - 15 * 8
    assert {row["observed_at_utc"].month for row in rows(storage_root, "2016-08")} == {8}
    write_lite(tmp_path / "g" / AUGUST.replace("160831", "160901"), day("2016-08-31T23:59:55"))
    assert run(job, tmp_path / "g", storage_root) == jobs.JobResult(704, 352, 0)
    assert len(rows(storage_root, "2016-08")) == 120 and len(rows(storage_root, "2016-09")) == 232
    assert failed(storage_root, "2016-08")[AUGUST]["healed_at_utc"] is not None


def test_csv_in_the_seed_s_columns(job: ModuleType, granules: Path, storage_root: str) -> None:
    columns = day("2016-08-31T10:00")
    columns["Meteorology/windspeed_u_met"][3] = -999999
    write_lite(granules / AUGUST, columns)
    run(job, granules, storage_root, "--csv-path", storage.join(storage_root, "csv"))
    names = [Path(f).name for f in storage.list_files(storage.join(storage_root, "csv"))]
    assert names == ["oco2_1607.csv.bz2", "oco2_1608.csv.bz2"]
    text = bz2.decompress(storage.read_bytes(storage.join(storage_root, "csv", "oco2_1608.csv.bz2"))).decode()
    assert text.splitlines()[0] == (
        "sounding_id;latitude;longitude;xco2;xco2_uncert;orbit;windspeed_u;windspeed_v;surface_pressure_apriori;"
        "surface_pressure;altitude;land_water_indicator;land_fraction;tcwv;tcwv_apriori;tcwv_uncertainty"
    )
    lines = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert len(lines) == 352 and lines[0]["sounding_id"] == "2016083110000001"
    assert lines[3]["windspeed_u"] == "" and float(lines[4]["windspeed_u"]) == 5.0
    assert float(lines[351]["xco2"]) == pytest.approx(403.51, abs=1e-4)
    assert float(lines[0]["surface_pressure_apriori"]) == 981.0


def test_an_empty_folder_is_no_work(job: ModuleType, tmp_path: Path, storage_root: str) -> None:
    (tmp_path / "empty").mkdir()
    assert run(job, tmp_path / "empty", storage_root) == jobs.JobResult(0, 0, 0)
    assert not storage.exists(storage.join(storage_root, "soundings"))


def test_nothing_usable_is_an_error_that_names_the_file(job: ModuleType, tmp_path: Path, storage_root: str) -> None:
    (tmp_path / BAD).write_bytes(HTML)
    with pytest.raises(PlumewatchError, match=f"{BAD}: an HTML page"):
        run(job, tmp_path / BAD, storage_root)
    assert set(failed(storage_root, "2016-08")) == {BAD}
    with pytest.raises(InputError, match="no such folder"):
        run(job, tmp_path / "absent", storage_root)


@pytest.mark.parametrize(
    "bad",
    [["--modes", "nadir"], ["--modes", "9,-4"], ["--surfaces", "ice"], ["--month", "2016-13"], ["--month", "16-01"]],
)
def test_bad_arguments(job: ModuleType, bad: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        job.parse_arguments(["--granules-path", "a", "--soundings-path", "b", *bad])
    assert error.value.code == 2


def test_command_line(granules: Path, storage_root: str) -> None:
    command = [
        sys.executable,
        str(JOB),
        "--granules-path",
        str(granules),
        "--soundings-path",
        f"{storage_root}/soundings",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 3, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["rows_read"], summary["rows_written"], summary["failed"]) == (704, 652, 2)
    assert len(rows(storage_root, "2016-08")) == 300


def test_an_older_version_serves_where_the_newest_is_bad(job: ModuleType, granules: Path, storage_root: str) -> None:
    run(job, granules, storage_root)
    (granules / AUGUST).write_bytes(HTML)
    assert run(job, granules, storage_root).failed == 3
    assert Counter(row["granule"] for row in rows(storage_root, "2016-08")) == {AUGUST_OLD: 352}
    manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
    assert manifest is not None and manifest["superseded"] == [] and manifest["kept_stored"] == []
    assert [Path(p).name for p in manifest["inputs"]] == [AUGUST_OLD]
    assert failed(storage_root, "2016-08")[AUGUST]["healed_at_utc"] is None


@pytest.mark.parametrize("is_named", [False, True])
def test_a_day_keeps_its_stored_rows_where_a_newer_version_is_bad_or_absent(
    job: ModuleType, granules: Path, storage_root: str, is_named: bool
) -> None:
    write_lite(granules / AUGUST_2, day("2016-08-02T10:00"))
    run(job, granules, storage_root)
    newer = AUGUST_2.replace("240910", "250910")
    (granules / AUGUST_2).unlink()
    if is_named:
        run(job, granules, storage_root, "--keep-stored", newer)
    else:
        (granules / newer).write_bytes(HTML)
        run(job, granules, storage_root)
    assert Counter(row["granule"] for row in rows(storage_root, "2016-08")) == {AUGUST: 300, AUGUST_2: 352}


def test_a_granule_of_odd_types_does_not_stop_the_others(job: ModuleType, granules: Path, storage_root: str) -> None:
    path = write_lite(granules / AUGUST_2, day("2016-08-02T10:00"))
    with h5py.File(path, "a") as file:
        del file["xco2"]
        file["xco2"] = np.ones(352, "f2")
    assert run(job, granules, storage_root) == jobs.JobResult(rows_read=704, rows_written=652, failed=3)
    assert "variable xco2 of type float16" in failed(storage_root, "2016-08")[AUGUST_2]["message"]


@pytest.mark.parametrize("below", ["", "/soundings"])
def test_an_output_root_that_is_a_file_is_named(job: ModuleType, granules: Path, tmp_path: Path, below: str) -> None:
    (tmp_path / "afile").write_text("x")
    arguments = ["--granules-path", str(granules), "--soundings-path", f"{tmp_path}/afile{below}"]
    with pytest.raises(InputError, match="afile: a file; allowed: a folder for the table soundings"):
        job.run(job.parse_arguments(arguments))


@pytest.mark.parametrize("bad_quality", [0, 30])
def test_soundings_that_two_days_hold_are_stored_once(
    job: ModuleType, tmp_path: Path, storage_root: str, bad_quality: int
) -> None:
    """An orbit over midnight in both files: each sounding stays in the file of its own day."""
    second = AUGUST_2.replace("160802", "160803")
    write_lite(tmp_path / "g" / AUGUST_2, day("2016-08-02T23:59:55", n_bad=bad_quality))
    write_lite(tmp_path / "g" / second, day("2016-08-02T23:59:55", n_bad=bad_quality))
    kept = 352 - bad_quality
    for _ in range(2):
        assert run(job, tmp_path / "g", storage_root) == jobs.JobResult(704, kept, 0)
        stored = rows(storage_root, "2016-08")
        assert len({row["sounding_id"] for row in stored}) == len(stored) == kept
        assert Counter(row["granule"] for row in stored) == {AUGUST_2: 120 - bad_quality, second: 232}
        manifest = storage.read_manifest(storage.join(storage_root, "soundings", "month=2016-08"))
        assert manifest is not None and manifest["rows"] == manifest["counts"]["kept"] == kept
        assert manifest["counts"]["dropped_repeated_id"] == kept
    (tmp_path / "g" / AUGUST_2).write_bytes(HTML)  # its stored soundings stay, and the other's come once
    assert run(job, tmp_path / "g", storage_root) == jobs.JobResult(352, 232, 1)
    assert len(rows(storage_root, "2016-08")) == kept


def test_a_day_whose_soundings_another_day_has_all_leaves_no_file(
    job: ModuleType, tmp_path: Path, storage_root: str
) -> None:
    for name in (AUGUST_2, AUGUST_2.replace("160802", "160803")):
        write_lite(tmp_path / "g" / name, day("2016-08-02T23:00:00"))
    assert run(job, tmp_path / "g", storage_root) == jobs.JobResult(704, 352, 0)
    assert {row["granule"] for row in rows(storage_root, "2016-08")} == {AUGUST_2}
