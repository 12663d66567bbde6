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
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates import outputs, worker
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.worker import REPORT, detect_area_dates, detect_bins
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
    assert (failure["scene_id"], failure["area"]) == (f"area=field/date={task.dates[3]}/method=multi_pass", "field")
    assert failure["error_class"] in ("FileExistsError", "NotADirectoryError") and failure["stage"] == "detection"


def test_what_nobody_expected_on_one_date_stops_no_other(
    task: AreaDates, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    search = worker.search_pass

    def odd(area: str, target: Pass, *more: object) -> object:
        if f"{target.observed_at_utc:%Y-%m-%d}" == task.dates[1]:
            raise ZeroDivisionError("odd")
        return search(area, target, *more)

    monkeypatch.setattr(worker, "search_pass", odd)
    reports = detect_area_dates(task)
    assert [report["rows_written"] is None for report in reports] == [False, True, False, False, False]
    (failure,) = failures(reports[1])
    assert (failure["error_class"], failure["is_retryable"]) == ("ZeroDivisionError", False)
    assert failure["scene_id"] == f"area=field/date={task.dates[1]}/method=multi_pass"
    assert "Traceback" in caplog.text and f"date={task.dates[1]}" in caplog.text


@pytest.mark.parametrize("method", ["multi_pass", "isolation_forest"])
@pytest.mark.parametrize("output", ["plume_details", "anomalies"])
def test_what_explains_the_plumes_and_cannot_be_written_costs_none(
    task: AreaDates, tmp_path: Path, method: str, output: str
) -> None:
    last = replace(task, dates=task.dates[-1:], method=method, details_path=f"{tmp_path}/plume_details")
    detect_area_dates(last)
    whole, plumes = files(tmp_path), files(tmp_path / "plumes")
    shutil.rmtree(tmp_path / output, ignore_errors=True)
    (tmp_path / output).write_text("a file")
    (report,) = detect_area_dates(last)
    assert files(tmp_path / "plumes") == plumes != {} and report["rows_written"] is not None
    if output == "anomalies" and method == "multi_pass":  # which writes none
        assert failures(report) == []
        return
    name = f"area=field/date={last.dates[0]}/method={method}/{output}"
    told = {failure["scene_id"]: failure for failure in failures(report)}
    assert told[name]["error_class"] in ("FileExistsError", "NotADirectoryError") and not told[name]["is_retryable"]
    (tmp_path / output).unlink()
    assert failures(detect_area_dates(last)[0]) == [] and files(tmp_path) == whole


def test_a_picture_that_cannot_be_drawn_costs_no_plume(
    task: AreaDates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(*_: object) -> None:
        raise IndexError("odd")

    monkeypatch.setattr(outputs, "write_details", odd)
    (report,) = detect_area_dates(replace(task, dates=task.dates[-1:], details_path=f"{tmp_path}/plume_details"))
    (failure,) = failures(report)
    assert failure["scene_id"].endswith("/method=multi_pass/plume_details") and failure["is_retryable"] is False
    assert report["rows_written"] > 0 and "Traceback" in caplog.text


@pytest.mark.parametrize("method", ["multi_pass", "single_pass", "isolation_forest"])
@pytest.mark.parametrize("name", ["2025-8-3", "20250803", "2025-02-30", "yesterday"])
def test_a_folder_that_is_no_date_is_a_failure_of_every_method(
    task: AreaDates, world: tuple[Path, list], tmp_path: Path, method: str, name: str
) -> None:
    pixels, day = tmp_path / "pixels" / "area=field", task.dates[0]
    for folder in (day, name):
        shutil.copytree(world[0] / "pixels" / "area=field" / f"date={day}", pixels / f"date={folder}")
    odd = replace(task, dates=tuple(sorted((day, name))), pixels_root=str(pixels.parent), method=method)
    reports = {report["date"]: report for report in detect_area_dates(odd)}
    (failure,) = failures(reports[name])
    assert failure["scene_id"] == f"area=field/date={name}" and failure["is_retryable"] is False
    assert f"area=field/date={name}: date={name}; allowed: date=YYYY-MM-DD" in failure["message"]
    assert reports[name]["rows_written"] is None and failures(reports[day]) == []
    assert [path.name for path in (tmp_path / "plumes").rglob("date=*")] == [f"date={day}"]


def test_bins_are_done_task_by_task_and_tell_little(task: AreaDates) -> None:
    tasks = [replace(task, dates=task.dates[:1]), replace(task, dates=task.dates[1:2])]
    texts = [[one.to_json() for one in tasks], []]
    batch = pa.RecordBatch.from_pydict({"position": [0, 1], "tasks": pa.array(texts, pa.list_(pa.string()))})
    said = list(detect_bins(iter([batch])))
    assert [one.schema == REPORT for one in said] == [True, True]
    assert [one["date"].to_pylist() for one in said] == [[day] for day in task.dates[:2]]
    assert sum(one.nbytes for one in said) < 1000
    assert AreaDates.from_json(tasks[0].to_json()) == tasks[0]


def test_a_date_too_large_for_the_isolation_forest_is_refused_by_name(task: AreaDates, tmp_path: Path) -> None:
    """The window of the area has SIZE x SIZE cells: one less is refused, and heals by a run of that method alone."""
    first = replace(task, dates=task.dates[:1], method="isolation_forest")
    refused = replace(first, forest=replace(first.forest, most_cells=SIZE**2 - 1))
    (report,) = detect_area_dates(refused)
    assert report["rows_written"] is None and files(tmp_path) == {}
    (failure,) = failures(report)
    assert failure["scene_id"] == f"area=field/date={task.dates[0]}/method=isolation_forest"
    assert (failure["error_class"], failure["is_retryable"]) == ("InputError", False)
    assert failure["message"].startswith(f"{task.pixels_root}/area=field/date={task.dates[0]}: more cells than")
    assert "2,303 at most for isolation_forest" in failure["message"]
    (report,) = detect_area_dates(replace(first, forest=replace(first.forest, most_cells=SIZE**2)))
    assert report["rows_written"] and not failures(report)
