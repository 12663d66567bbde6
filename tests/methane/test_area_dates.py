"""The worker: dates of an area in one task or in many leave the same files, and one bad date stops no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.methane import area_dates
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.area_dates import REPORT, AreaDates, detect_area_dates, detect_bins
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.methane.passes import Pass

SIZE = 48
PLUME = PlantedPlume(15_000.0, 24.0, 12.0, 3.0, 1.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store_area: Callable, store_wind: Callable) -> tuple[Path, list]:
    """One area of five dates with a source, and the wind of the last."""
    root = tmp_path_factory.mktemp("area") / "storage"
    area = simulate_area(31, size=SIZE, n_references=4, plumes=(PLUME,), clouds=False, reference_plume_share=0.2)
    days = store_area(str(root), "field", area)
    store_wind(str(root), days[-1], PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    return root, days


@pytest.fixture
def task(world: tuple[Path, list], tmp_path: Path) -> AreaDates:
    root, days = world
    return AreaDates(
        area="field",
        dates=tuple(days),
        pixels_root=f"{root}/pixels",
        plumes_path=f"{tmp_path}/plumes",
        method="multi_pass",
        wind_path=f"{root}/wind",
        details_path=None,
        anomalies_path=f"{tmp_path}/anomalies",
        forest=ForestSettings(contamination=0.05, min_samples=4),
    )


def into(task: AreaDates, folder: Path) -> AreaDates:
    return replace(task, plumes_path=f"{folder}/plumes", anomalies_path=f"{folder}/anomalies")


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def failures(report: dict) -> list[dict]:
    return json.loads(report["failures"])


@pytest.mark.parametrize("method", ["multi_pass", "isolation_forest"])
def test_dates_one_by_one_in_runs_or_at_once_leave_the_same_files(task: AreaDates, tmp_path: Path, method: str) -> None:
    days = task.dates
    ways = {"at once": [days], "one by one": [(day,) for day in days], "in runs": [days[:2], days[2:]]}
    left, rows = {}, {}
    for name, runs in ways.items():
        folder = tmp_path / name
        reports = [
            report
            for run in runs
            for report in detect_area_dates(replace(into(task, folder), dates=run, method=method))
        ]
        assert [(r["date"], failures(r)) for r in reports] == [(day, []) for day in days]
        left[name], rows[name] = files(folder), [report["rows_written"] for report in reports]
    assert left["one by one"] == left["at once"] and left["in runs"] == left["at once"]
    assert rows["one by one"] == rows["at once"] == rows["in runs"] and sum(rows["at once"]) > 0
    manifests = [path for path in left["at once"] if path.parts[0] == "plumes" and path.name == "_manifest.json"]
    assert [path.parent.name for path in manifests] == [f"date={day}" for day in days]


def test_a_task_done_again_leaves_the_same_files(task: AreaDates, tmp_path: Path) -> None:
    last = replace(task, dates=task.dates[-2:], details_path=f"{tmp_path}/plume_details")
    detect_area_dates(last)
    first = files(tmp_path)
    detect_area_dates(last)
    assert files(tmp_path) == first and {path.suffix for path in first} >= {".parquet", ".json", ".png"}


def test_each_partition_is_read_once_in_a_run(task: AreaDates) -> None:
    reports = detect_area_dates(task)
    assert [report["dates_read"] for report in reports] == [[day] for day in task.dates]
    assert [report["rows_read"] for report in reports] == [SIZE**2] * len(task.dates)
    (last,) = detect_area_dates(replace(task, dates=task.dates[-1:]))
    assert sorted(last["dates_read"]) == list(task.dates) and last["rows_read"] == 5 * SIZE**2


def test_a_date_that_cannot_be_read_is_left_out_and_the_others_go_on(
    task: AreaDates, world: tuple[Path, list], tmp_path: Path
) -> None:
    pixels = shutil.copytree(world[0] / "pixels", tmp_path / "pixels")
    bad = task.dates[2]
    (pixels / "area=field" / f"date={bad}" / "data.parquet").write_bytes(b"no parquet")
    reports = detect_area_dates(replace(task, pixels_root=str(pixels)))
    assert [report["date"] for report in reports if report["rows_written"] is None] == [bad]
    assert [report["outcomes"] for report in reports] == [["no_reference"], ["searched"], [], *[["searched"]] * 2]
    assert [{f["scene_id"] for f in failures(r)} for r in reports[2:]] == [{f"area=field/date={bad}"}] * 3
    manifest = storage.read_manifest(f"{tmp_path}/plumes/method=multi_pass/area=field/date={task.dates[-1]}")
    assert manifest is not None and not [path for path in manifest["inputs"] if bad in path]
    assert len(manifest["inputs"]) == 4 and bad not in [day for r in reports for day in r["dates_read"]]


def test_a_partition_that_cannot_be_written_is_a_failure_of_its_date(task: AreaDates, tmp_path: Path) -> None:
    in_the_way = tmp_path / "plumes" / "method=multi_pass" / "area=field" / f"date={task.dates[3]}"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file")
    reports = detect_area_dates(task)
    assert [report["rows_written"] is None for report in reports] == [False, False, False, True, False]
    (failure,) = failures(reports[3])
    assert (failure["scene_id"], failure["area"]) == (f"area=field/date={task.dates[3]}", "field")
    assert failure["error_class"] in ("FileExistsError", "NotADirectoryError") and failure["stage"] == "detection"


def test_what_nobody_expected_on_one_date_stops_no_other(
    task: AreaDates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    search = area_dates.search_pass

    def odd(area: str, target: Pass, *more: object) -> object:
        if f"{target.observed_at_utc:%Y-%m-%d}" == task.dates[1]:
            raise ZeroDivisionError("odd")
        return search(area, target, *more)

    monkeypatch.setattr(area_dates, "search_pass", odd)
    reports = detect_area_dates(task)
    assert [report["rows_written"] is None for report in reports] == [False, True, False, False, False]
    assert failures(reports[1])[0]["error_class"] == "ZeroDivisionError"
    assert "Traceback" in caplog.text and f"date={task.dates[1]}" in caplog.text


def test_bins_are_done_task_by_task_and_tell_little(task: AreaDates) -> None:
    tasks = [replace(task, dates=task.dates[:1]), replace(task, dates=task.dates[1:2])]
    texts = [[one.to_json() for one in tasks], []]
    batch = pa.RecordBatch.from_pydict({"position": [0, 1], "tasks": pa.array(texts, pa.list_(pa.string()))})
    said = list(detect_bins(iter([batch])))
    assert [one.schema == REPORT for one in said] == [True, True]
    assert [one["date"].to_pylist() for one in said] == [[day] for day in task.dates[:2]]
    assert sum(one.nbytes for one in said) < 1000
    assert AreaDates.from_json(tasks[0].to_json()) == tasks[0]
