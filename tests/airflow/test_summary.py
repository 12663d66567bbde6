"""The line that ends a task's log."""

from __future__ import annotations

import logging
from typing import Any

import pytest


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


def test_it_comes_before_the_exception(context: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    from plumewatch_airflow.summary import summarised

    with (
        caplog.at_level(logging.INFO, logger="plumewatch.task"),
        pytest.raises(ValueError, match="x"),
        summarised() as summary,
    ):
        summary.read = 7
        raise ValueError("x")
    assert caplog.records[0].getMessage().startswith("read 7, ")


def test_every_task_has_it(dagbag: Any) -> None:
    from plumewatch_airflow.summary import log_summary

    assert all(dag.default_args["post_execute"] is log_summary for dag in dagbag.dags.values())
