"""Areas by their dates, from the pixel table to plumes: what a worker does by itself, files in and files out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from plumewatch.failures import pass_name
from plumewatch.gases import MULTI_PASS
from plumewatch.methane.dates.noting import failure_of, noted
from plumewatch.methane.dates.outputs import count_by_status, publish_date, stated_observations
from plumewatch.methane.dates.stored_passes import RefusedPass, StoredDay, StoredPasses, on_window
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.pass_search import PassResult, nothing_to_search, observation_of, search_pass, time_of
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import WindOf
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.models import FailedScene
from plumewatch.statuses import FAILED
from plumewatch.wind.at_point import WindLookup, wind_at
from plumewatch.wind.files import READ_AROUND
from plumewatch.wind.kept_files import KeptFiles

REPORT = pa.schema(
    [(name, pa.string()) for name in ("area", "date", "counts", "failures")]
    + [(name, pa.int64()) for name in ("rows_read", "rows_written")]
    + [(name, pa.list_(pa.string())) for name in ("dates_read", "outcomes")]
)
"""What a worker says of an area and date: rows that it read anew and of which dates, rows of the table plumes (null
where the date failed), outcomes of its passes, and as JSON its plumes by status and its failures. The rest is in the
partitions that it wrote."""


def detect_bins(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the column `tasks` of each batch (lists of JSON of AreaDates): the function of a mapInArrow.

    The tasks of a list share the wind files, which hold the wind around all areas.
    """
    for batch in batches:
        for texts in batch.column("tasks").to_pylist():
            tasks = [AreaDates.from_json(text) for text in texts]
            winds: dict[str | None, KeptFiles] = {path: KeptFiles(path) for t in tasks if (path := t.wind_path)}
            for task in tasks:
                yield pa.RecordBatch.from_pylist(detect_area_dates(task, winds.get(task.wind_path)), schema=REPORT)


def detect_area_dates(task: AreaDates, wind: KeptFiles | None = None) -> list[dict[str, Any]]:
    """Detect the plumes of all dates of a task, publish their partitions, and return their rows of REPORT.

    `wind` are the files of the task's wind_path, if others have a use for them too. A date, or one pass of it, that
    cannot be searched or published is a failure in its report, and the others go on; so is an earlier one, which is
    left out of the references. Doing a task again leaves the same partitions.
    """
    if task.wind_path and wind is None:
        wind = KeptFiles(task.wind_path)
    days_back = plume_thresholds().references.max_days_back if task.method == MULTI_PASS else 0
    passes = StoredPasses(task.pixels_root, task.area, task.dates, days_back)
    return [_detect_date(task, day, passes, wind) for day in task.dates]


def _detect_date(task: AreaDates, day: str, passes: StoredPasses, wind: KeptFiles | None) -> dict[str, Any]:
    work = _Work(task, day, passes, wind)
    rows_read, n_dates_read = passes.rows_read, len(passes.dates_read)
    report: dict[str, Any] = {"rows_written": None, "outcomes": [], "counts": "{}"}
    with work.noting(day):
        results = _search(work)
        if results or not work.lost:
            with work.noting(day, f"method={task.method}"):
                rows = publish_date(task, day, results, work.lost, work.inputs, work.failures)
                outcomes = [one["outcome"] for one in stated_observations(task.area, results, work.lost)]
                counts = json.dumps(count_by_status(rows))
                report = {"rows_written": rows.num_rows, "outcomes": outcomes, "counts": counts}
    return report | {
        "area": task.area,
        "date": day,
        "rows_read": passes.rows_read - rows_read,
        "dates_read": passes.dates_read[n_dates_read:],
        "failures": json.dumps([asdict(failure) for failure in work.failures]),
    }


@dataclass
class _Work:
    """A date that is searched, and what came up on the way."""

    task: AreaDates
    """What it is a part of."""
    day: str
    """The date, YYYY-MM-DD."""
    passes: StoredPasses
    """Of its area."""
    wind: KeptFiles | None
    """None without a wind_path."""
    inputs: set[str] = field(default_factory=set)
    """Partitions of pixels that were looked at."""
    lost: list[dict[str, Any]] = field(default_factory=list)
    """Observations of its passes that could not be searched."""
    failures: list[FailedScene] = field(default_factory=list)
    """Its own, or of references and wind."""

    def noting(self, day: str, part: str = "") -> AbstractContextManager[None]:
        """Go on after an exception of the block and note it as a failure of a date, its own or an earlier one."""
        return noted(self.failures, self.task.area, day, part)

    def note(self, refused: RefusedPass, day: str) -> None:
        """Note a pass that cannot be used."""
        part = pass_name(refused.platform, refused.relative_orbit)
        self.failures.append(failure_of(refused.error, self.task.area, day, part))


def _search(work: _Work) -> list[PassResult]:
    """Search the passes of the date; those that can't be are noted, and the others stand."""
    work.passes.start(work.day)
    stored = work.passes.read(work.day)
    work.inputs.add(work.passes.partition(work.day))
    for refused in stored.refused:
        work.note(refused, work.day)
        unread = {"scene_id": refused.scene_id, "outcome": FAILED}
        work.lost.append(nothing_to_search(work.task.area) | unread)
    results = []
    for target in stored.passes:
        result = None
        with work.noting(work.day, _part(target, stored, work.task.method)):
            result = _search_one(target, work)
        if result is None:
            work.lost.append(observation_of(work.task.area, target, FAILED))
        else:
            results.append(result)
    return results


def _part(one: Pass, stored: StoredDay, method: str) -> str:
    """Return the name of a pass in its partition for what depends on the method; an only pass needs none."""
    name = [pass_name(one.platform, one.relative_orbit)] if stored.n_passes > 1 else []
    return "/".join([*name, f"method={method}"])


def _search_one(target: Pass, work: _Work) -> PassResult:
    task = work.task
    earlier = _earlier_passes(target, work) if task.method == MULTI_PASS else iter(())
    return search_pass(task.area, target, earlier, _wind_of(target, work), task.method, task.forest, plume_thresholds())


def _earlier_passes(target: Pass, work: _Work) -> Iterator[Pass]:
    """Yield passes of earlier dates, nearest first, read when asked for; unusable ones are noted and left out."""
    for day in work.passes.earlier(work.day):
        source = work.passes.partition(day)
        stored = StoredDay((), (), 0)
        with work.noting(day):
            stored = work.passes.read(day)
            work.inputs.add(source)
        for refused in stored.refused:
            work.note(refused, day)
        for one in stored.passes:
            laid = None
            with work.noting(day, _part(one, stored, work.task.method)):
                laid = on_window(one, target.place, source, target.pixel_size_m)
            if laid is not None:
                yield laid


def _wind_of(target: Pass, work: _Work) -> WindOf:
    """Return the wind at a place at the time of the pass, None where there is no wind."""
    if work.wind is None:
        return lambda longitude, latitude: None
    observed_at = time_of(target, work.day)
    height, width = target.shape
    corners = target.place.longitude_latitude([0, 0, height - 1, height - 1], [0, width - 1, 0, width - 1])
    rows = work.wind.read(
        observed_at - READ_AROUND,
        observed_at + READ_AROUND,
        corners,
        lambda failure: work.failures.append(replace(failure, area=work.task.area)),
    )

    winds = WindLookup.of(rows)
    return lambda longitude, latitude: wind_at(winds, longitude, latitude, observed_at)
