"""What the log says of a long piece of work."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from plumewatch import progress
from plumewatch.http import side_by_side
from plumewatch.progress import Progress, followed
from plumewatch.spark_session import progress_logged


class Clock:
    """Seconds that pass when told."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lines(caplog: pytest.LogCaptureFixture, total: int, unit: str, reached: dict[float, int], done: int = 0) -> list:
    """What is said of work of which so much is done after so many seconds."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    work = Progress("rasters", total, unit, done=done, clock=clock)
    for seconds, pieces in reached.items():
        clock.now_s = Clock.now_s + seconds
        work.reached(pieces)
    return [record.getMessage() for record in caplog.records]


def test_share_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, 64, "tasks", {14.9: 7, 16.0: 12, 30.9: 40, 32.0: 48})
    assert said == [
        "rasters: 12 of 64 tasks (19 %), 45 a minute, 69 s left",
        "rasters: 48 of 64 tasks (75 %), 1.5 a second, 11 s left",
    ]


def test_nothing_is_said_of_what_is_over_or_short(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, 3, "tasks", {5.0: 1, 14.0: 2, 60.0: 3}) == []


def test_what_was_done_before_is_no_rate(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, 10_000, "MB", {20.0: 5_000, 40.0: 5_100, 60.0: 9_000}, done=5_000)
    assert said == [
        "rasters: 5000 of 10000 MB (50 %), no rate yet",
        "rasters: 5100 of 10000 MB (51 %), 2.5 a second, 33 min left",
        "rasters: 9000 of 10000 MB (90 %), 67 a second, 15 s left",
    ]


def test_slow_work(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, 9, "areas", {7200.0: 1}) == ["rasters: 1 of 9 areas (11 %), 0.5 an hour, 16.0 h left"]


@pytest.fixture
def often(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """The log, that is told each tenth of a second."""
    monkeypatch.setattr(progress, "EVERY_S", 0.1)
    caplog.set_level(logging.INFO)
    return caplog


def test_a_loop_says_how_far_it_is(often: pytest.LogCaptureFixture) -> None:
    for _ in followed((number for number in range(3)), "loop", "turns", 3):
        time.sleep(0.12)
    said = [record.getMessage().rpartition(",")[0].rpartition(",")[0] for record in often.records]
    assert said == ["loop: 1 of 3 turns (33 %)", "loop: 2 of 3 turns (67 %)"]


def test_threads_work_side_by_side_and_say_how_far_they_are_though_none_has_ended(
    often: pytest.LogCaptureFixture,
) -> None:
    began = time.monotonic()
    assert side_by_side(lambda n: time.sleep(0.5) or n, range(20), "asked", "times", threads=20) == list(range(20))
    assert time.monotonic() - began < 5.0  # one after the other it takes 10 s
    assert "asked: 0 of 20 times (0 %), no rate yet" in [record.getMessage() for record in often.records]


def test_what_has_not_begun_when_one_fails_does_not_begin() -> None:
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)
        raise ValueError(f"number {number}")

    with pytest.raises(ValueError, match="number"):
        side_by_side(fail, range(200), "asked", "times", threads=2)
    assert len(begun) < 20


def test_spark_says_how_many_of_its_tasks_are_done(
    spark: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.5)
    caplog.set_level(logging.INFO)

    def slow(batches: Iterator[Any]) -> Iterator[Any]:
        time.sleep(0.6)
        yield from batches

    with progress_logged(spark, "sleep"):
        rows = spark.range(12).repartition(12).mapInArrow(slow, "id long").toArrow()
    assert rows.num_rows == 12
    said = [record.getMessage() for record in caplog.records]
    said = [line for line in said if line.startswith("sleep: ") and " of 12 tasks (" in line]  # not how rows are dealt
    assert said and said[-1].endswith(" s left")
