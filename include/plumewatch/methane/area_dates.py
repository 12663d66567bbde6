"""Areas by their dates, from the pixel table to plumes: what a worker does by itself, files in and files out."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.maps.scene_file import write_scene_pages
from plumewatch.methane.anomalies import NOISE, ForestSettings
from plumewatch.methane.details import write_details
from plumewatch.methane.detection import ACCEPTED, ISOLATION_FOREST, MULTI_PASS
from plumewatch.methane.passes import GridPlace, Pass
from plumewatch.methane.plumes import WindOf
from plumewatch.methane.search import STAGE, PassResult, anomaly_columns, nothing_to_search, search_pass, time_of
from plumewatch.methane.stored_passes import StoredPasses, on_window
from plumewatch.methane.thresholds import thresholds
from plumewatch.models import FailedScene
from plumewatch.tables import ANOMALIES, PLUMES
from plumewatch.wind.at_point import WindAtPoint, wind_at
from plumewatch.wind.files import READ_AROUND
from plumewatch.wind.kept_files import KeptFiles

EXPECTED = (PlumewatchError, OSError, pa.ArrowException)  # what a broken file raises
REPORT = pa.schema(
    [
        ("area", pa.string()),
        ("date", pa.string()),
        ("rows_read", pa.int64()),
        ("rows_written", pa.int64()),
        ("dates_read", pa.list_(pa.string())),
        ("outcomes", pa.list_(pa.string())),
        ("counts", pa.string()),
        ("failures", pa.string()),
    ]
)
"""What a worker says of an area and date: rows that it read anew and of which dates, rows of the table plumes (null
where the date failed), outcomes of its passes, and as JSON its plumes by status and its failures. The rest is in the
partitions that it wrote."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AreaDates:
    """What a worker has to do: dates of one area, in their order."""

    area: str
    """Partition of the table pixels."""
    dates: tuple[str, ...]
    """Partitions of the table pixels, YYYY-MM-DD, ascending."""
    pixels_root: str
    """Root of the table pixels: earlier dates are looked for there."""
    plumes_path: str
    """Root of the table plumes."""
    method: str
    """multi_pass, single_pass or isolation_forest."""
    wind_path: str | None
    """Rows of wind; None: no rates."""
    details_path: str | None
    """Root of the details; None: not written."""
    anomalies_path: str | None
    """Root of the table anomalies; None: not written."""
    forest: ForestSettings
    """Parameters of isolation_forest."""

    @classmethod
    def from_json(cls, text: str) -> AreaDates:
        """Return the task that `to_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"dates": tuple(values["dates"]), "forest": ForestSettings(**values["forest"])})

    def to_json(self) -> str:
        """Return the task as text."""
        return json.dumps(asdict(self), sort_keys=True)

    def keys(self, day: str) -> dict[str, str]:
        """Return the partition of plumes and details of a date."""
        return {"method": self.method, "area": self.area, "date": day}


@dataclass
class _Work:
    """What came up on the way of one date."""

    inputs: set[str]
    """Partitions of pixels that it looked at."""
    failures: list[FailedScene]
    """Its own, or of references and wind."""


def detect_bins(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
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

    `wind` are the files of the task's wind_path, if others have a use for them too. A date that cannot be searched or
    published is a failure in its report, and the others go on; an earlier date that cannot be read is left out of the
    references. Doing a task again leaves the same partitions.
    """
    if task.wind_path and wind is None:
        wind = KeptFiles(task.wind_path)
    days_back = thresholds()["references"]["max_days_back"] if task.method == MULTI_PASS else 0
    passes = StoredPasses(task.pixels_root, task.area, task.dates, days_back)
    return [_detect_date(task, day, passes, wind) for day in task.dates]


def _detect_date(task: AreaDates, day: str, passes: StoredPasses, wind: KeptFiles | None) -> dict[str, Any]:
    work = _Work(set(), [])
    rows_read, n_dates_read = passes.rows_read, len(passes.dates_read)
    report: dict[str, Any] = {"rows_written": None, "outcomes": [], "counts": "{}"}
    try:
        results = _search(task, day, passes, wind, work)
        rows = PLUMES.from_pylist([plume.table_row for result in results for plume in result.plumes])
        counts = count_by_status(rows)
        observations = [result.observation for result in results] or [nothing_to_search(task.area)]
        _publish(task, day, results, rows, observations, work)
        _write_scene_pages(task, day, work)
        outcomes = [observation["outcome"] for observation in observations]
        report = {"rows_written": rows.num_rows, "outcomes": outcomes, "counts": json.dumps(counts)}
    except Exception as error:  # what is odd on one date must not take the others along
        if not isinstance(error, EXPECTED):
            log.exception("area=%s/date=%s", task.area, day)
        work.failures.append(_failure(error, task.area, day))
    return report | {
        "area": task.area,
        "date": day,
        "rows_read": passes.rows_read - rows_read,
        "dates_read": passes.dates_read[n_dates_read:],
        "failures": json.dumps([asdict(failure) for failure in work.failures]),
    }


def _search(task: AreaDates, day: str, passes: StoredPasses, wind: KeptFiles | None, work: _Work) -> list[PassResult]:
    limits = thresholds()
    passes.start(day)
    targets = passes.read(day)
    work.inputs.add(passes.partition(day))
    results = []
    for target in targets:
        wind_of = _wind_of(task, target, day, wind, work)
        earlier = _earlier_passes(task, day, target.place, passes, work) if task.method == MULTI_PASS else iter(())
        results.append(search_pass(task.area, target, earlier, wind_of, task.method, task.forest, limits))
    return results


def _earlier_passes(task: AreaDates, day: str, onto: GridPlace, passes: StoredPasses, work: _Work) -> Iterator[Pass]:
    """Yield passes of earlier dates, nearest first, read when asked for; unusable ones are noted and left out."""
    for earlier in passes.earlier(day):
        source = passes.partition(earlier)
        try:
            stored = [on_window(one, onto, source) for one in passes.read(earlier)]
        except EXPECTED as error:
            work.failures.append(_failure(error, task.area, earlier))
            continue
        work.inputs.add(source)
        yield from stored


def _wind_of(task: AreaDates, target: Pass, day: str, wind: KeptFiles | None, work: _Work) -> WindOf:
    """Return the wind at a place at the time of the pass, None where there is no wind."""
    if wind is None:
        return lambda longitude, latitude: None
    observed_at = time_of(target, day)
    height, width = target.shape
    corners = target.place.longitude_latitude([0, 0, height - 1, height - 1], [0, width - 1, 0, width - 1])
    rows = wind.read(
        observed_at - READ_AROUND,
        observed_at + READ_AROUND,
        corners,
        lambda failure: work.failures.append(replace(failure, area=task.area)),
    )

    def wind_of(longitude: float, latitude: float) -> WindAtPoint | None:
        return wind_at(rows, longitude, latitude, observed_at) if rows.num_rows else None

    return wind_of


def _failure(error: Exception, area: str, day: str) -> FailedScene:
    return FailedScene.from_exception(error, scene_id=partition_name(area, day), stage=STAGE, area=area)


def partition_name(area: str, day: str) -> str:
    """Return how failures name a partition of pixels."""
    return f"area={area}/date={day}"


def _publish(
    task: AreaDates, day: str, results: Sequence[PassResult], rows: pa.Table, observations: Sequence[dict[str, Any]],
    work: _Work,
) -> None:  # fmt: skip
    """Write details, anomalies and, last, the partition of plumes with what was looked at in its manifest."""
    if task.details_path is not None:
        write_details(task.details_path, task.keys(day), results)
    if task.anomalies_path is not None and task.method == ISOLATION_FOREST:
        _write_anomalies(task, task.anomalies_path, day, results, work)
    settings = {"calibration": thresholds().version, "wind_path": task.wind_path}
    storage.write_partition(
        PLUMES,
        task.plumes_path,
        task.keys(day),
        rows,
        inputs=work.inputs,
        settings=settings | (asdict(task.forest) if task.method == ISOLATION_FOREST else {}),
        counts=count_by_status(rows),
        extra={
            "observations": observations,
            "references": {r.observation["scene_id"]: [s for p in r.references for s in p.scene_ids] for r in results},
        },
    )


def _write_scene_pages(task: AreaDates, day: str, work: _Work) -> None:
    """Show on the pages of the date's scenes what is stored now; a page that can't be made costs no plume."""
    if task.details_path is None or task.anomalies_path is None:
        return
    try:
        write_scene_pages(task.details_path, task.plumes_path, task.anomalies_path, task.area, day)
    except EXPECTED as error:
        work.failures.append(_failure(error, task.area, day))


def _write_anomalies(task: AreaDates, root: str, day: str, results: Sequence[PassResult], work: _Work) -> None:
    tables = [
        ANOMALIES.from_columns(anomaly_columns(r.target, r.anomalies)) for r in results if r.anomalies is not None
    ]
    rows = pa.concat_tables(tables) if tables else ANOMALIES.empty()
    clusters = sum(cluster != NOISE for cluster in rows["cluster"].to_pylist())
    storage.write_partition(
        ANOMALIES,
        root,
        {"area": task.area, "date": day},
        rows,
        inputs=work.inputs,
        settings=asdict(task.forest),
        counts={"in_clusters": clusters, "noise": rows.num_rows - clusters},
    )


def count_by_status(rows: pa.Table) -> dict[str, int]:
    """Return the number of rows of each status, `accepted` also where there is none."""
    return {ACCEPTED: 0} | dict(sorted(Counter(rows["status"].to_pylist()).items()))
