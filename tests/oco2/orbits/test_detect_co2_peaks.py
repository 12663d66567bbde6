from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from planted import Planted, planted_columns, soundings_of
from plumewatch import jobs, storage
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.failures import FailureBook
from plumewatch.observations import read_observations, write_detection_observations, write_observations
from plumewatch.oco2.granules.soundings import list_orbits, months_touched
from plumewatch.tables import FAILED_SCENES, PEAKS, SOUNDINGS

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "detect_co2_peaks.py"
AUGUST, SEPTEMBER = "2016-08", "2016-09"
PLUME = Planted(500, 3.0, 8.0)

pytestmark = pytest.mark.usefixtures("spark")


@pytest.fixture(scope="module")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detect_co2_peaks", JOB)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def orbit(number: int, start: datetime, plume: Planted | None, longitude: float = 20.0) -> Any:
    columns = planted_columns(
        np.random.default_rng(number), 1000, [plume] if plume else [], orbit=number, start=start, longitude=longitude
    )
    return soundings_of(columns)


@pytest.fixture
def soundings(storage_root: str) -> str:
    """Two orbits of August, with a plume and without, and one that crosses midnight of its end with a plume before it.

    A file a UTC day, as granules are.
    """
    root = storage.join(storage_root, "soundings")
    crossing = orbit(11530, datetime(2016, 8, 31, 23, 58, 40, tzinfo=UTC), PLUME, -160.0)
    month = pc.strftime(crossing["observed_at_utc"], "%Y-%m")
    first = orbit(11500, datetime(2016, 8, 30, 10, tzinfo=UTC), PLUME)
    second = orbit(11501, datetime(2016, 8, 30, 12, tzinfo=UTC), None, -10.0)
    days = {
        (AUGUST, "30"): pa.concat_tables([first, second]),
        (AUGUST, "31"): crossing.filter(pc.equal(month, AUGUST)),
        (SEPTEMBER, "01"): crossing.filter(pc.equal(month, SEPTEMBER)),
    }
    for key in (AUGUST, SEPTEMBER):
        files, count = [], 0
        for (of_month, name), rows in days.items():
            if of_month == key:
                storage.write_parquet(SOUNDINGS, storage.join(root, f"month={key}", f"{name}.parquet"), rows)
                files.append(f"{name}.parquet")
                count += rows.num_rows
        storage.publish_partition(SOUNDINGS, root, {"month": key}, files, count)
    return root


def run(job: ModuleType, soundings: str, *more: str) -> jobs.JobResult:
    root = storage.parent(storage.table_root(SOUNDINGS, soundings))
    paths = ["--soundings-path", soundings, "--peaks-path", f"{root}/peaks", "--details-path", f"{root}/peak_details"]
    return job.run(job.parse_arguments([*paths, *more]))


def accepted(soundings: str, **where: str) -> list[dict[str, Any]]:
    table = storage.read_table(PEAKS, storage.join(storage.parent(soundings), "peaks"), where=where)
    return [row for row in table.to_pylist() if row["status"] == "accepted"]


def observations(soundings: str, month: str) -> dict[int, dict[str, Any]]:
    path = storage.join(storage.parent(soundings), "peaks", "method=scan", f"month={month}")
    manifest = storage.read_manifest(path)
    assert manifest is not None
    return {row["orbit"]: row for row in manifest["observations"]}


def test_orbits_and_months_that_belong_together(soundings: str) -> None:
    found = {o.orbit: (len(o.files), o.months) for o in list_orbits(soundings)}
    assert found == {11500: (1, (AUGUST,)), 11501: (1, (AUGUST,)), 11530: (2, (AUGUST, SEPTEMBER))}
    assert [o.orbit for o in list_orbits(soundings, [SEPTEMBER])] == [11530]
    assert months_touched(soundings, AUGUST) == months_touched(soundings, SEPTEMBER) == [AUGUST, SEPTEMBER]
    assert months_touched(soundings, "2016-10") == ["2016-10"]


def test_all_months(job: ModuleType, soundings: str) -> None:
    result = run(job, soundings)
    assert result.rows_read == 3 * 3552 and result.failed == 0
    rows = accepted(soundings)
    assert [(row["orbit"], row["month"], row["method"]) for row in rows] == [
        (11500, AUGUST, "scan"),
        (11530, AUGUST, "scan"),
    ]
    assert all(abs(row["latitude"] - (-30 + 500 / 111.195)) < 0.05 for row in rows)
    assert rows[1]["n_soundings"] > 650  # the window reaches over midnight
    seen = observations(soundings, AUGUST)
    assert {o: row["detected"] for o, row in seen.items()} == {11500: True, 11501: False, 11530: True}
    assert all(row["outcome"] == "searched" and 0 < row["detection_limit"] < 30 for row in seen.values())
    assert {o: row["detected"] for o, row in observations(soundings, SEPTEMBER).items()} == {11530: False}
    manifest = storage.read_manifest(storage.join(storage.parent(soundings), "peaks", "method=scan", f"month={AUGUST}"))
    assert manifest is not None and manifest["counts"]["accepted"] == 2 and len(manifest["inputs"]) == 3
    assert manifest["versions"]["calibration"].startswith("oco2-peaks-")


def test_one_month_uses_both_months_soundings(job: ModuleType, soundings: str) -> None:
    run(job, soundings)
    whole = accepted(soundings, month=AUGUST)
    storage.delete(storage.join(storage.parent(soundings), "peaks"))
    result = run(job, soundings, "--month", AUGUST)
    assert result.rows_read == 3 * 3552 and accepted(soundings) == whole
    for part in ("peaks", "peak_details"):
        storage.delete(storage.join(storage.parent(soundings), part))
    run(job, storage.join(soundings, f"month={SEPTEMBER}"))
    assert accepted(soundings) == [] and list(observations(soundings, SEPTEMBER)) == [11530]
    for part in ("peaks", "peak_details"):
        assert not storage.exists(storage.join(storage.parent(soundings), part, "method=scan", f"month={AUGUST}"))


def test_details_and_their_removal(job: ModuleType, soundings: str) -> None:
    folder = storage.join(storage.parent(soundings), "peak_details", "method=scan", f"month={AUGUST}")
    storage.write_json(storage.join(folder, "2016080100000001.json"), {})
    run(job, soundings)
    ids = {str(row["peak_id"]) for row in accepted(soundings)}
    assert {Path(f).name for f in storage.list_files(folder)} == {
        f"{i}.{kind}" for i in ids for kind in ("json", "png")
    }
    details = storage.read_json(storage.join(folder, f"{min(ids)}.json"))
    assert details["peak_id"] == min(ids) and details["orbit"] == 11500


def test_repetition_gives_the_same_bytes(job: ModuleType, soundings: str) -> None:
    def content() -> dict[str, bytes]:
        files = [
            f
            for part in ("peaks", "peak_details")
            for f in storage.list_files(storage.join(storage.parent(soundings), part))
        ]
        return {f: storage.read_bytes(f) for f in files}

    run(job, soundings)
    first = content()
    run(job, soundings)
    assert content() == first and len(first) >= 8


def test_methods_are_partitions_of_their_own(job: ModuleType, soundings: str) -> None:
    run(job, soundings, "--month", AUGUST)
    scan = accepted(soundings)
    run(job, soundings, "--month", AUGUST, "--method", "curve_fit_seed")
    assert accepted(soundings, method="scan") == scan
    assert len(accepted(soundings, method="curve_fit_seed")) > len(scan)


def wind_files(folder: Path) -> str:
    """A wind of -9 m/s at 250 m around the peak of orbit 11500."""
    from plumewatch.tables import WIND

    rows = [
        {
            "observed_at_utc": datetime(2016, 8, 30, h, tzinfo=UTC), "longitude": lon, "latitude": lat,
            "wind_u_m_s": -9.0, "wind_v_m_s": 0.0, "height_m": 250.0,
        }
        for h in (9, 12) for lon in (19.0, 20.0, 21.0) for lat in (-27.0, -26.0, -25.0, -24.0)
    ]  # fmt: skip
    storage.write_partition(WIND, str(folder), {"product": "p", "date": "2016-08-30"}, WIND.from_pylist(rows))
    return str(folder)


def test_wind_files_are_used_where_they_know(job: ModuleType, soundings: str, tmp_path: Path) -> None:
    run(job, soundings, "--wind-path", wind_files(tmp_path / "wind"))
    of_granules = "granule 10 m to 250 m by a power law"
    assert [(round(r["wind_u_m_s"], 3), r["wind_source"]) for r in accepted(soundings)] == [
        (-9.0, "p at 250 m"),
        (round(5 * 25**0.08, 3), of_granules),
    ]
    run(job, soundings, "--wind-path", str(tmp_path / "absent"))
    assert [row["wind_source"] for row in accepted(soundings)] == [of_granules] * 2


def test_a_broken_wind_file_is_named_and_heals(job: ModuleType, soundings: str, tmp_path: Path) -> None:
    wind = wind_files(tmp_path / "wind")
    (tmp_path / "wind" / "broken.parquet").write_bytes(b"PAR1")
    result = run(job, soundings, "--wind-path", wind)
    assert result.failed == 1 and accepted(soundings)[0]["wind_source"] == "p at 250 m"

    def failed(key: str) -> list[tuple[Any, ...]]:
        rows = FailureBook(storage.parent(soundings), "manual", "any run").rows(key)
        return [(r["scene_id"], r["stage"], r["healed_at_utc"] is None) for r in rows]

    assert failed(AUGUST) == [("broken.parquet", "wind", True)]
    (tmp_path / "wind" / "broken.parquet").unlink()
    assert run(job, soundings, "--wind-path", wind).failed == 0
    assert failed(AUGUST) == [("broken.parquet", "wind", False)]


def test_a_damaged_file_is_named_and_the_other_orbits_go_through(job: ModuleType, soundings: str) -> None:
    run(job, soundings)
    path = storage.join(soundings, f"month={SEPTEMBER}", "01.parquet")
    storage.write_bytes(path, storage.read_bytes(path)[:-100])
    result = run(job, soundings)
    assert result.failed == 1 and [row["orbit"] for row in accepted(soundings)][:1] == [11500]
    where = {"dag_id": "manual", "key": SEPTEMBER}
    failed = storage.read_table(
        FAILED_SCENES, storage.join(storage.parent(soundings), "failed_scenes"), where=where
    ).to_pylist()
    assert len(failed) == 1 and "not readable as Parquet" in failed[0]["message"] and failed[0]["stage"] == "detect"


def test_what_was_said_of_an_orbit_that_failed_or_went_is_said_no_more(job: ModuleType, soundings: str) -> None:
    root, key = storage.parent(soundings), {"method": "scan", "month": AUGUST}

    def told() -> dict[int, str]:
        run(job, soundings)
        partitions = storage.list_partitions(PEAKS, storage.join(root, "peaks"), key)
        write_detection_observations(root, "co2", AUGUST, partitions)
        return {row["orbit"]: row["outcome"] for row in read_observations(root, "co2", [AUGUST])[AUGUST]}

    searched = {"orbit": 0, "outcome": "no_input", "detected": False}  # another writer's
    write_observations(root, "co2", AUGUST, "search", [searched])
    assert told() == {0: "no_input", 11500: "searched", 11501: "searched", 11530: "searched"}
    first, path = (storage.join(soundings, f"month={AUGUST}", f"{day}.parquet") for day in (30, 31))
    rows = storage.read_parquet(SOUNDINGS, first)
    storage.write_parquet(SOUNDINGS, first, rows.filter(pc.equal(rows["orbit"], 11500)))
    content = bytearray(storage.read_bytes(path))
    groups = pq.read_metadata(io.BytesIO(content)).row_group(0)
    [xco2] = [c for c in map(groups.column, range(groups.num_columns)) if c.path_in_schema == "xco2_ppm"]
    end = xco2.data_page_offset + xco2.total_compressed_size
    content[xco2.data_page_offset : end] = bytes(xco2.total_compressed_size)
    storage.write_bytes(path, bytes(content))
    assert told() == {0: "no_input", 11500: "searched", 11530: "failed"}
    assert observations(soundings, SEPTEMBER)[11530]["outcome"] == "failed"


def test_nothing_there(job: ModuleType, soundings: str, tmp_path: Path) -> None:
    assert run(job, soundings, "--month", "2015-01") == jobs.JobResult(0, 0, 0)
    assert not storage.exists(storage.join(storage.parent(soundings), "peaks"))
    with pytest.raises(InputError, match="no such folder"):
        run(job, str(tmp_path / "absent" / "soundings"))


def test_an_empty_month_gives_an_empty_partition(job: ModuleType, storage_root: str) -> None:
    root = storage.join(storage_root, "soundings")
    storage.publish_partition(SOUNDINGS, root, {"month": AUGUST}, [], 0)
    assert run(job, root) == jobs.JobResult(0, 0, 0)
    assert observations(root, AUGUST) == {}
    assert storage.read_table(PEAKS, storage.join(storage_root, "peaks")).num_rows == 0


def test_nothing_usable_is_an_error(job: ModuleType, soundings: str) -> None:
    for name in storage.list_files(soundings, ".parquet"):
        storage.write_bytes(name, b"PAR1")
    with pytest.raises(PlumewatchError, match="not readable as Parquet"):
        run(job, soundings)


def test_bad_arguments(job: ModuleType) -> None:
    for bad in (["--method", "lof"], ["--month", "August"]):
        with pytest.raises(SystemExit) as error:
            job.parse_arguments(["--soundings-path", "a", "--peaks-path", "b", *bad])
        assert error.value.code == 2


def test_command_line(soundings: str) -> None:
    root = storage.parent(soundings)
    command = [
        sys.executable,
        str(JOB),
        "--soundings-path",
        soundings,
        "--peaks-path",
        f"{root}/peaks",
        "--month",
        AUGUST,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["failed"] == 0 and len(accepted(soundings)) == 2


def test_what_is_no_month_or_has_no_manifest_is_named_and_the_good_month_is_done(
    job: ModuleType, soundings: str
) -> None:
    good = storage.join(soundings, f"month={AUGUST}", "30.parquet")
    for place in ("month=__HIVE_DEFAULT_PARTITION__/a.parquet", "stray.parquet"):
        storage.write_bytes(storage.join(soundings, place), storage.read_bytes(good))
    storage.write_bytes(storage.join(soundings, f"month={SEPTEMBER}", "_manifest.json"), b"{")
    result = run(job, soundings)
    assert result.failed == 3 and [row["orbit"] for row in accepted(soundings)] == [11500, 11530]
    assert months_touched(soundings, AUGUST) == [AUGUST]
    root = storage.parent(soundings)
    assert not storage.exists(storage.join(root, "peaks", "method=scan", "month=__HIVE_DEFAULT_PARTITION__"))


def test_soundings_without_an_orbit_are_named_and_the_others_searched(job: ModuleType, soundings: str) -> None:
    path = storage.join(soundings, f"month={AUGUST}", "30.parquet")
    rows = storage.read_parquet(SOUNDINGS, path)
    storage.write_parquet(SOUNDINGS, path, with_column(rows, "orbit", [None, *rows["orbit"].to_pylist()[1:]]))
    assert run(job, soundings).failed == 1 and len(accepted(soundings)) == 2


def test_files_of_others_beside_the_details_stay(job: ModuleType, soundings: str) -> None:
    note = storage.join(storage.parent(soundings), "peak_details", "method=scan", f"month={AUGUST}", "NOTES.txt")
    storage.write_bytes(note, b"mine")
    run(job, soundings, "--month", AUGUST)
    assert storage.read_bytes(note) == b"mine"


def test_only_soundings_of_good_quality_are_searched(
    job: ModuleType, soundings: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = storage.join(soundings, f"month={AUGUST}", "30.parquet")
    rows = storage.read_parquet(SOUNDINGS, path)
    plume = rows.filter(pc.equal(rows["orbit"], 11500))
    bad = with_column(plume, "xco2_quality_flag", [1] * plume.num_rows)
    unknown = rows.filter(pc.equal(rows["orbit"], 11501))
    flags = [None, 2, -1, 127, *[0] * (unknown.num_rows - 4)]
    storage.write_parquet(SOUNDINGS, path, pa.concat_tables([bad, with_column(unknown, "xco2_quality_flag", flags)]))
    with caplog.at_level("INFO"):
        result = run(job, soundings)
    assert result.failed == 0 and result.rows_read == 3 * 3552
    assert [row["orbit"] for row in accepted(soundings)] == [11530]
    manifest = storage.read_manifest(storage.join(storage.parent(soundings), "peaks", "method=scan", f"month={AUGUST}"))
    assert manifest is not None and manifest["left_out"] == {"bad_quality": 3552 + 4}
    assert f"orbit 11501: left out or unknown of 3552 soundings: bad_quality 4; {path}" in caplog.text


def with_column(rows: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
