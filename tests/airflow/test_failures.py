"""Failures in a run: recorded, reconciled, healed; and how a Spark job may end."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.errors import InputError, QuotaUsedUp, ServiceError
from plumewatch.failures import FailureBook, not_seen_again
from plumewatch.gases import CH4
from plumewatch.jobs import JobResult
from plumewatch.models import FailedScene
from plumewatch.rasters.scene_store import scene_paths
from plumewatch.sentinel2.ingest import record_missing_scenes
from plumewatch.tables import OBSERVATIONS
from plumewatch.zones.hub_month import CountedByHub

DAG, KEY = "some_dag", "2025-08-24"


class Dag:
    dag_id = DAG


class Task:
    try_number = 2


@pytest.fixture
def context(dagbag: Any, storage_root: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a running task sees; its storage is empty."""
    from plumewatch_airflow import failures, spark, summary

    values = {"dag": Dag, "ti": Task, "run_id": "run2"}
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    for module in (failures, spark, summary):
        monkeypatch.setattr(module, "get_current_context", lambda: values)
    return values


def open_rows(root: str) -> list[tuple[str | None, str, str, int]]:
    rows = FailureBook(root, DAG, "any run").rows(KEY)
    return [(r["area"], r["scene_id"], r["error_class"], r["attempts"]) for r in rows if r["healed_at_utc"] is None]


def test_what_heals_is_retried_and_what_cannot_is_not(context: dict[str, Any], storage_root: str) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
    from plumewatch_airflow.failures import failure_recorded
    from plumewatch_airflow.summary import summarised

    with (
        pytest.raises(AirflowException, match="ServiceError: busy"),
        summarised(),
        failure_recorded(KEY, "s1", "fetch_scene", "a"),
    ):
        raise ServiceError("busy", 503)
    failing = pytest.raises(AirflowFailException, match="cut off")
    with failing, summarised(), failure_recorded(KEY, "s2", "fetch_scene", "a"):
        raise InputError("x.tif", "cut off", "a whole file")
    assert open_rows(storage_root) == [("a", "s1", "ServiceError", 2), ("a", "s2", "InputError", 2)]


def test_what_no_second_try_changes_ends_the_task_whoever_raised_it(context: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
    from plumewatch_airflow.summary import summarised

    with pytest.raises(AirflowFailException, match="PermissionError: no"), summarised():
        raise PermissionError("no")
    for passed_on in (ConnectionResetError("gone"), AirflowSkipException("nothing to do")):
        with pytest.raises(type(passed_on)), summarised():
            raise passed_on


def test_a_try_that_goes_well_heals_what_an_earlier_one_left(context: dict[str, Any], storage_root: str) -> None:
    from plumewatch_airflow.failures import failure_recorded

    with pytest.raises(ServiceError), failure_recorded(KEY, "search", "search_scenes"):
        raise ServiceError("busy", 503)
    with failure_recorded(KEY, "search", "search_scenes"):
        pass
    assert open_rows(storage_root) == []


def test_a_skip_is_no_failure_and_heals_none(context: dict[str, Any], storage_root: str) -> None:
    from airflow.sdk.exceptions import AirflowSkipException
    from plumewatch_airflow.failures import failure_recorded

    with pytest.raises(ServiceError), failure_recorded(KEY, "search", "search_scenes"):
        raise ServiceError("busy", 503)
    with pytest.raises(AirflowSkipException), failure_recorded(KEY, "search", "search_scenes"):
        raise AirflowSkipException("no areas")
    assert [row[1:3] for row in open_rows(storage_root)] == [("search", "ServiceError")]


def test_scenes_that_died_without_a_word_get_their_row(context: dict[str, Any], storage_root: str) -> None:
    from plumewatch_airflow.failures import reconcile

    scenes = [{"key": KEY, "area": "a", "scene_id": f"s{n}"} for n in range(4)]
    told = FailedScene("s1", "fetch_scene", "InputError", "cut off", area="a")
    book = FailureBook(storage_root, DAG, "run2")
    book.settle(KEY, [told])
    before = FailedScene("s3", "fetch_scene", "ServiceError", "busy", area="a")
    FailureBook(storage_root, DAG, "run1").settle(KEY, [before])
    states = {0: "success", 1: "failed", 2: "failed", 3: "success"}
    reconcile(book, "fetch_scene", scenes, states)
    assert open_rows(storage_root) == [("a", "s1", "InputError", 1), ("a", "s2", "ProcessDied", 3)]


def test_a_run_heals_what_earlier_runs_left_of_what_it_looked_at(storage_root: str) -> None:
    for area in ("a", "b"):
        FailureBook(storage_root, DAG, "run1").settle(KEY, [FailedScene("x", "matching", "E", "m", area=area)])
    book = FailureBook(storage_root, DAG, "run2")
    book.settle(KEY, [FailedScene("y", "matching", "E", "m", area="a")])
    book.settle(KEY, is_over=not_seen_again("run2", {"a"}))
    assert [row[:2] for row in open_rows(storage_root)] == [("a", "y"), ("b", "x")]


@pytest.mark.parametrize(
    "code, stderr, answer, kind",
    [
        (0, "fine", '{"rows_read": 2, "rows_written": 1, "failed": 0}', None),
        (3, "one bad", '{"rows_read": 2, "rows_written": 1, "failed": 1}', None),
        (2, "usage", "", "AirflowFailException"),
        (1, "x.tif: cut off; allowed: a whole file", "", "AirflowFailException"),
        (1, "Traceback\nmay heal when tried again: the job has crashed", "", "AirflowException"),
        (-9, "killed", "", "AirflowException"),
    ],
)
def test_how_a_job_may_end(
    context: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    stderr: str,
    answer: str,
    kind: str | None,
) -> None:
    from airflow.sdk import exceptions
    from plumewatch_airflow import spark

    end = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    lines = ["import os, sys", f"print({stderr!r}, file=sys.stderr, flush=True)", f"print({answer!r}, flush=True)"]
    # A late word on standard error must not be taken for the answer.
    (tmp_path / "job.py").write_text("\n".join([*lines, "print('late', file=sys.stderr)" if not kind else "", end]))
    monkeypatch.setattr(spark, "JOBS", tmp_path)
    if kind is None:
        result = spark.run_spark_job("job", key=KEY)
        assert (result.rows_read, result.rows_written, result.failed) == (2, 1, int(code == 3))
        return
    with pytest.raises(getattr(exceptions, kind)) as caught:
        spark.run_spark_job("job", key=KEY)
    last_line = stderr.splitlines()[-1].removeprefix("may heal when tried again: ")
    assert type(caught.value).__name__ == kind
    assert str(caught.value) == f"job ended with exit code {code}: {last_line}"


def test_arguments_become_options(context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from plumewatch_airflow import spark

    (tmp_path / "job.py").write_text(
        "import json, sys\nprint(' '.join(sys.argv[1:]), file=sys.stderr)\n"
        "print(json.dumps({'rows_read': len(sys.argv), 'rows_written': 0, 'failed': 0}))"
    )
    monkeypatch.setattr(spark, "JOBS", tmp_path)
    options = spark._options(
        {"pixels_path": "p", "keep_bad_quality": True, "wind_path": None, "areas_path": ["a", "b"]}
    )
    assert options == ["--pixels-path", "p", "--keep-bad-quality", "--areas-path", "a", "b"]
    assert spark.run_spark_job("job", key=KEY, pixels_path="p").rows_read == 9


@pytest.mark.parametrize("ends_well", [True, False])
def test_scenes_without_pixels_are_observations_and_their_days_are_drawn(
    context: dict[str, Any], storage_root: str, ends_well: bool
) -> None:
    from plumewatch_airflow.failures import failure_book
    from plumewatch_airflow.methane import lost_scenes_told
    from plumewatch_airflow.summary import Summary

    next_day = "2025-08-25"
    scenes = [
        {"key": KEY, "area": "a", "scene_id": "not stacked"},
        {"key": KEY, "area": "b", "scene_id": "no pixels"},
        {"key": next_day, "area": "a", "scene_id": "good"},
    ]
    for scene in scenes[1:]:
        paths = scene_paths(storage.join(storage_root, "scenes"), scene["area"], scene["key"], scene["scene_id"])
        storage.write_bytes(paths.item, b"{}")
    handed_on: set[str] = set()
    summary, calls = Summary(), []

    def record(settings: Any, key: str, *arguments: Any) -> int:
        calls.append(key)
        return record_missing_scenes(settings, key, *arguments)

    def make() -> None:
        with lost_scenes_told(record, scenes, handed_on, summary):
            lost = [
                FailedScene(name, "pixels", "InputError", "flat", area="b") for name in ("no pixels", "of a former run")
            ]
            failure_book().settle(KEY, lost)
            summary.add(JobResult(2, 1, failed=len(lost)))
            handed_on.add(next_day)
            if not ends_well:
                raise ServiceError("gone")

    if ends_well:
        make()
    else:
        with pytest.raises(ServiceError):
            make()
    assert summary.failed == 3 and calls == [KEY, next_day]  # each counted once, each day written once
    rows = storage.read_table(OBSERVATIONS, storage.join(storage_root, "observations")).to_pylist()
    assert sorted((r["key"], r["area"], r["scene_id"], r["outcome"], r["stage"]) for r in rows) == [
        (KEY, "a", "not stacked", "failed", "fetch"),
        (KEY, "b", "no pixels", "failed", "fetch"),
    ]
    [drawn] = storage.list_files(storage.join(storage_root, "maps"))
    assert drawn.endswith(f"ch4/{KEY}.html")
    assert "Nothing was searched: failed (2 areas)" in storage.read_bytes(drawn).decode()


@pytest.mark.parametrize("error", [ServiceError("gone"), MemoryError("full"), OSError(5, "bad disk"), KeyError("x"),
                                   KeyboardInterrupt()], ids=repr)  # fmt: skip
def test_a_map_that_cannot_be_drawn_does_not_hide_what_failed_before(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    from plumewatch_airflow import detection, methane
    from plumewatch_airflow.methane import lost_scenes_told
    from plumewatch_airflow.summary import Summary

    def broken(*_: object) -> None:
        raise InputError("matches/data.parquet", "cut off", "a Parquet file")

    for module in (detection, methane):
        monkeypatch.setattr(module, "draw_maps", broken)
    for told in (detection.maps_drawn(CH4), lost_scenes_told(lambda *_: 0, [], (), Summary())):
        with caplog.at_level(logging.ERROR, logger="plumewatch.task"), pytest.raises(type(error)) as caught, told:
            raise error
        assert caught.value is error and "cut off" in str(caplog.records.pop().exc_info)
        caplog.clear()
    for told in (detection.maps_drawn(CH4), lost_scenes_told(lambda *_: 0, [], (), Summary())):
        with pytest.raises(InputError, match="cut off"), told:
            pass  # where nothing else failed, it is the task's error


def test_zones_that_failed_are_recorded_where_the_quota_is_used_up(
    context: dict[str, Any], storage_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException
    from plumewatch_airflow import ingest
    from plumewatch_airflow.summary import Summary

    failed = FailedScene("zones=fields/1", "statistics", "InputError", "too wide")
    stopped = CountedByHub(failed=[failed], used_up=QuotaUsedUp("no more; go on", date(2025, 9, 1)))
    monkeypatch.setattr("plumewatch.zones.hub_month.count_by_hub", lambda *_, **__: stopped)
    monkeypatch.setattr(ingest, "skip_without", lambda *_: None)
    with pytest.raises(AirflowSkipException, match="no more; go on"):
        ingest.count_by_service(KEY, {"zones_path": "fields.gpkg"}, {"index": ["ndvi"], "statistics": []}, Summary())
    assert open_rows(storage_root) == [(None, "zones=fields/1", "InputError", 2)]


@pytest.mark.parametrize(
    "state, params, left",
    [
        ("success", {"start_from": None, "layer": None}, []), ("skipped", {"start_from": None}, ["z"]),
        ("success", {"start_from": "fields:2"}, ["z"]), ("success", {"layer": "north"}, ["z"]),
    ],
)  # fmt: skip
def test_what_earlier_runs_left_of_zones_is_over_only_where_all_were_counted(
    context: dict[str, Any],
    storage_root: str,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    params: dict[str, str | None],
    left: list[str],
) -> None:
    from plumewatch_airflow import failures

    for scene_id, stage in (("z", "statistics"), ("c", "composite")):
        FailureBook(storage_root, DAG, "run1").settle(KEY, [FailedScene(scene_id, stage, "E", "m")])
    states = {"compose": "success", "count_zones_0": "success", "count_zones_1": state}

    class Reporting(Task):
        task_id = "report_failures"

        @staticmethod
        def get_task_states(**_: Any) -> dict[str, dict[str, str]]:
            return {"run2": states}

    context |= {"ti": Reporting, "params": params}
    monkeypatch.setattr(failures, "partition_key", lambda *_: KEY)
    monkeypatch.setattr(failures, "run_link", lambda _: "")
    failures.report_failures.function("%Y-%m", stages={"count_zones": ["count_zones", "statistics"]})
    assert [row[1] for row in open_rows(storage_root)] == left
