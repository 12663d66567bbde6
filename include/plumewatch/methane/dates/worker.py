"""Areas by their dates, from the pixel table to plumes: what a worker does by itself, files in and files out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa

from plumewatch.errors import InputError
from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS
from plumewatch.methane.dates.large_dates import LargeDate, plan_large_date
from plumewatch.methane.dates.outputs import NOTHING_WRITTEN, publish_results
from plumewatch.methane.dates.stored_passes import StoredDay, StoredPasses, on_window
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.window_tasks import publish_found, windows_of
from plumewatch.methane.dates.work import Work, part_name, read_wind
from plumewatch.methane.pass_search import PassResult, is_comparable, nothing_to_search, observation_of, search_pass
from plumewatch.methane.passes import Pass
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import FAILED
from plumewatch.wind.kept_files import KeptFiles

REPORT = pa.schema(
    [(name, pa.string()) for name in ("area", "date", "counts", "failures")]
    + [(name, pa.int64()) for name in ("rows_read", "rows_written")]
    + [(name, pa.list_(pa.string())) for name in ("dates_read", "outcomes")]
    + [("large", pa.binary()), ("n_windows", pa.int64())]
)
"""What a worker says of an area and date: rows that it read anew and of which dates, rows of the table plumes (null
where the date failed), outcomes of its passes, and as JSON its plumes by status and its failures. The rest is in the
partitions that it wrote. Of a date that is too large for it (LargeDate, pickled, and how many windows it has) nothing
is written yet."""


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


def publish_dates(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Publish large dates by what their windows found (rows of FOUND, those of a date one after the other).

    The function of a mapInArrow to REPORT: what applyInArrow hands on, a date as one buffer, has no room for a tile.
    """
    rows = ((row["date"], row["content"]) for batch in batches for row in batch.to_pylist())
    for _, of_date in groupby(rows, key=itemgetter(0)):
        yield pa.RecordBatch.from_pylist([publish_found(content for _, content in of_date)], schema=REPORT)


def detect_area_dates(task: AreaDates, wind: KeptFiles | None = None) -> list[dict[str, Any]]:
    """Detect the plumes of all dates of a task, publish their partitions, and return their rows of REPORT.

    `wind` are the files of the task's wind_path, if others have a use for them too. A date, or one pass of it, that
    cannot be searched or published is a failure in its report, and the others go on; so is an earlier one, which is
    left out of the references. Doing a task again leaves the same partitions.
    """
    if task.wind_path and wind is None:
        wind = KeptFiles(task.wind_path)
    days_back = plume_thresholds().references.max_days_back if task.method == MULTI_PASS else 0
    most_cells = task.forest.most_cells if task.method == ISOLATION_FOREST else task.blocks.most_whole_cells
    passes = StoredPasses(task.pixels_root, task.area, task.dates, days_back, most_whole_cells=most_cells)
    return [_detect_date(task, day, passes, wind) for day in task.dates]


def _detect_date(task: AreaDates, day: str, passes: StoredPasses, wind: KeptFiles | None) -> dict[str, Any]:
    work = Work(task, day, passes, wind)
    rows_read, n_dates_read = passes.rows_read, len(passes.dates_read)
    report: dict[str, Any] = {**NOTHING_WRITTEN, "large": None}
    with work.noting(day):
        passes.start(day)
        if not passes.is_large(day):
            results = _search(work)
            report |= publish_results(task, day, results, work.lost, work.inputs, work.failures)
        elif task.method != ISOLATION_FOREST:
            report |= _report_large(plan_large_date(work))
        else:
            with work.noting(day, f"method={task.method}"):
                raise _too_large(passes.partition(day), task.forest.most_cells)
    return report | {
        "area": task.area,
        "date": day,
        "rows_read": passes.rows_read - rows_read,
        "dates_read": passes.dates_read[n_dates_read:],
        "failures": json.dumps([asdict(failure) for failure in work.failures]),
    }


def _too_large(source: str, most_cells: int) -> InputError:
    allowed = f"{most_cells:,} at most for {ISOLATION_FOREST}, which isn't cut into windows as {MULTI_PASS} is"
    return InputError(source, "more cells than one worker holds at once", allowed)


def _report_large(date: LargeDate) -> Mapping[str, Any]:
    """Return what is said of a large date; one of which nothing is searched is published at once."""
    if windows := windows_of(date):
        return {**NOTHING_WRITTEN, "large": pickle.dumps(date), "n_windows": len(windows)}
    results = [one for one in date.passes if isinstance(one, PassResult)]
    return publish_results(date.task, date.day, results, date.lost, date.inputs, date.failures)


def _search(work: Work) -> list[PassResult]:
    """Search the passes of the date; those that can't be are noted, and the others stand."""
    stored = work.passes.read(work.day)
    work.inputs.add(work.passes.partition(work.day))
    for refused in stored.refused:
        work.note(refused, work.day)
        unread = {"scene_id": refused.scene_id, "outcome": FAILED}
        work.lost.append(nothing_to_search(work.task.area) | unread)
    results = []
    for target in stored.passes:
        result = None
        with work.noting(work.day, part_name(target, stored.n_passes, work.task.method)):
            result = _search_one(target, work)
        if result is None:
            work.lost.append(observation_of(work.task.area, target, FAILED))
        else:
            results.append(result)
    return results


def _search_one(target: Pass, work: Work) -> PassResult:
    task = work.task
    earlier = _earlier_passes(target, work) if task.method == MULTI_PASS else iter(())
    wind_of = read_wind(target, work)
    return search_pass(task.area, target, earlier, wind_of, task.method, task.forest, plume_thresholds())


def _earlier_passes(target: Pass, work: Work) -> Iterator[Pass]:
    """Yield passes of earlier dates, nearest first, read when asked for; unusable ones are noted and left out."""
    for day in work.passes.earlier(work.day):
        source = work.passes.partition(day)
        stored = StoredDay((), (), 0)
        with work.noting_reference(day):
            stored = work.passes.read(day, target.place)
            work.inputs.add(source)
        for refused in stored.refused:
            work.note(refused, day)
        for one in (one for one in stored.passes if is_comparable(target, one)):
            laid = None
            with work.noting_reference(day, part_name(one, stored.n_passes, work.task.method)):
                laid = on_window(one, target.place, source, target.pixel_size_m)
            if laid is not None:
                yield laid
