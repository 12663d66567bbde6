"""The lines that end a task's log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from plumewatch.errors import InputError, ServiceError

AT = datetime(2025, 8, 27, 5, tzinfo=UTC)


@pytest.fixture
def context(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from plumewatch_airflow import summary

    values: dict[str, Any] = {}
    monkeypatch.setattr(summary, "get_current_context", lambda: values)
    return values


def test_it_comes_when_the_task_has_ended(context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    from plumewatch_airflow.summary import log_summary, summarised

    with caplog.at_level(logging.INFO, logger="plumewatch.task"):
        with summarised() as summary:
            summary.read, summary.written, summary.skipped, summary.failed, summary.path = 5, 3, 1, 1, "s3://b/pixels"
        assert not caplog.records
        log_summary(context)
    [record] = caplog.records
    assert record.getMessage().startswith("read 5, written 3, skipped 1, failed 1, ")
    assert record.getMessage().endswith(" s, s3://b/pixels")


class Run:
    conf: dict[str, Any] = {}  # noqa: RUF012 - as Airflow has it


def ended(context: dict[str, Any], dag: Any, how: str, error: BaseException | None, **facts: Any) -> list[str]:
    """The lines that end a log, in order."""
    from plumewatch_airflow import summary

    task = dag.tasks[0]
    ti = SimpleNamespace(task=task, task_id=task.task_id, try_number=1, max_tries=2, map_index=-1)
    known = {"dag": dag, "ti": ti, "exception": error, "dag_run": Run, "partition_key": "2025-08-27"}
    context |= known | facts
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    summary.log.addHandler(handler)
    summary.log.setLevel(logging.INFO)
    try:
        {"retry": summary.log_retry, "failure": summary.log_failure}[how](context)
    finally:
        summary.log.removeHandler(handler)
    return lines


def test_a_failed_try_ends_with_what_failed_and_when_it_is_tried_again(context: dict[str, Any], dagbag: Any) -> None:
    from plumewatch_airflow.summary import summarised

    with pytest.raises(ValueError, match="x"), summarised() as summary:
        summary.read = 7
        raise ValueError("x")
    group, counts, last = ended(context, dagbag.dags["sentinel2_daily_ingest"], "retry", ValueError("x\ny"))
    assert group == "::endgroup::"  # else the UI folds up what follows
    assert counts.startswith("read 7, written 0, skipped 0, failed 1, ")
    assert last == "FAILED search_scenes, try 1 of 3: will be tried again in 30 to 60 s. Cause: ValueError: x y"


@pytest.mark.parametrize(
    ("dag_id", "facts", "then"),
    [
        ("sentinel2_daily_ingest", {}, "trigger sentinel2_daily_ingest with the key 2025-08-27"),
        ("oco2_monthly_extraction", {"partition_key": None, "dag_run": SimpleNamespace(conf={}, run_after=AT)},
         "trigger oco2_monthly_extraction with the key 2025-08"),
        ("sentinel2_daily_ingest", {"partition_key": "2025-8-1"},
         "trigger sentinel2_daily_ingest with a key of the form YYYY-MM-DD"),
        ("sentinel2_daily_ingest", {"dag_run": SimpleNamespace(conf={"newest": True}, run_after=AT)},
         "trigger sentinel2_daily_ingest with the key 2025-08-27 and the same params"),
        ("inventory_refresh", {"partition_key": None}, "trigger inventory_refresh again"),
        ("methane_detection_and_matching", {}, "trigger methane_detection_and_matching with the key 2025-08-27"),
    ],
)  # fmt: skip
def test_a_final_failure_ends_with_what_to_do(
    context: dict[str, Any], dagbag: Any, dag_id: str, facts: dict[str, Any], then: str
) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    dag = dagbag.dags[dag_id]
    last = ended(context, dag, "failure", AirflowFailException("InputError: x.tif: cut off"), **facts)[-1]
    name = dag.tasks[0].task_id
    assert last == f"FAILED {name}, final: mend the cause, then {then}. Cause: InputError: x.tif: cut off"
    last = ended(context, dag, "failure", AirflowException("ServiceError: busy"), **facts)[-1]
    assert last == f"FAILED {name}, try 1 of 3: mend the cause, then {then}. Cause: ServiceError: busy"


def test_a_refused_parameter_is_told_to_take_another(context: dict[str, Any], dagbag: Any) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from plumewatch_airflow.assets import keys_between
    from plumewatch_airflow.summary import summarised

    with pytest.raises(AirflowFailException) as caught, summarised():
        keys_between("2025-09-06", "2025-09-01", "%Y-%m-%d")
    last = ended(context, dagbag.dags["redetect"], "failure", caught.value)[-1]
    assert last.startswith("FAILED check_params, final: trigger redetect") and "mend the cause" not in last
    assert "with other params. Cause: ParameterError: from 2025-09-06 to 2025-09-01; allowed: a first day" in last


def test_the_project_s_own_errors_come_without_those_that_caused_them(context: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
    from plumewatch_airflow.summary import summarised

    for error, kind in (
        (ServiceError("busy", 503), AirflowException),
        (InputError("x", "y", "z"), AirflowFailException),
    ):
        with pytest.raises(kind) as caught, summarised():
            try:
                raise OSError("deep down")
            except OSError as cause:
                raise error from cause
        assert caught.value.__suppress_context__ and caught.value.__cause__ is None
        assert str(caught.value) == f"{type(error).__name__}: {error}"


def raised_from(*causes: Exception) -> InputError:
    error: Exception = causes[0]
    for outer in (*causes[1:], InputError("x.tif", "not readable", "a file")):
        try:
            raise error
        except Exception as cause:  # noqa: BLE001 - whatever is to be the cause
            outer.__cause__ = cause
        error = outer
    assert isinstance(error, InputError)
    return error


@pytest.mark.parametrize(
    ("causes", "is_told"),
    [
        ([KeyError("x")], True), ([AttributeError("x")], True), ([TypeError("x")], True), ([IndexError("x")], True),
        ([AssertionError("x")], True), ([ZeroDivisionError("x")], True), ([KeyError("x"), ValueError("y")], True),
        ([OSError("x")], False), ([ValueError("x")], False), ([UnicodeDecodeError("utf-8", b"", 0, 1, "x")], False),
        ([FileNotFoundError("x"), RuntimeError("y")], False),
    ],
    ids=str,
)  # fmt: skip
def test_where_a_bug_may_be_the_cause_its_place_is_in_the_log(
    context: dict[str, Any], caplog: pytest.LogCaptureFixture, causes: list[Exception], is_told: bool
) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from plumewatch_airflow.summary import summarised

    error = raised_from(*causes)
    caplog.set_level(logging.INFO, logger="plumewatch.task")
    with pytest.raises(AirflowFailException), summarised():
        raise error
    assert ("test_summary.py" in caplog.text and "in raised_from" in caplog.text) is is_told


def test_a_task_that_is_skipped_counts_it(context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    from airflow.sdk.exceptions import AirflowSkipException
    from plumewatch_airflow.summary import summarised

    with caplog.at_level(logging.INFO, logger="plumewatch.task"), pytest.raises(AirflowSkipException), summarised():
        raise AirflowSkipException("nothing to do")
    assert caplog.records[-1].getMessage().startswith("read 0, written 0, skipped 1, failed 0, ")


@pytest.mark.airflow
def test_the_line_ends_the_log_of_a_real_task(
    run_dag: Callable[..., Any], storage_root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    with caplog.at_level(logging.INFO, logger="plumewatch.task"):
        assert run_dag("sentinel2_daily_ingest", "2025-8-1").state == "failed"
        assert run_dag("co2_detection_and_matching", "2025-08-20").state == "failed"
    lines = [record.getMessage() for record in caplog.records if record.name == "plumewatch.task"]
    told = "mend the cause, then trigger co2_detection_and_matching with a key of the form YYYY-MM. Cause: "
    assert f"FAILED begin, final: {told}partition key '2025-08-20'; allowed: YYYY-MM" in lines
    of_search = lines.index(next(line for line in lines if line.startswith("FAILED search_scenes, final: ")))
    assert ", failed 1, " in lines[of_search - 1] and "'2025-8-1'; allowed: YYYY-MM-DD" in lines[of_search]
    assert lines[-1].startswith("FAILED report_failures, final: ") and ", failed 1, " in lines[-2]


def test_every_task_has_it(dagbag: Any) -> None:
    from plumewatch_airflow.summary import log_failure, log_retry, log_summary

    ends = {"post_execute": log_summary, "on_retry_callback": log_retry, "on_failure_callback": log_failure}
    assert all(dag.default_args.items() >= ends.items() for dag in dagbag.dags.values())
