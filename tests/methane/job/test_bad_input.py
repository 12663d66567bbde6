"""The job on bad input: what it says of it, what goes through all the same, and what heals."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.failures import NothingDone
from plumewatch.methane.dates.noting import failure_of
from plumewatch.tables import FAILED_SCENES, PIXELS, PLUMES
from written_plumes import Run, manifest, sure_plumes


def test_bad_partitions_stop_nothing_and_are_recorded(run: Run, world: dict, tmp_path: Path) -> None:
    stored = Path(world["root"].removeprefix("file://")) / "pixels"
    pixels = tmp_path / "pixels"
    shutil.copytree(stored / "area=field", pixels / "area=field")
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
