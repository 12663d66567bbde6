"""One area on one date, from the pixel table to plumes: what a worker does by itself, files in and files out."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.methane.anomalies import NOISE, ForestSettings
from plumewatch.methane.details import write_details
from plumewatch.methane.detection import ACCEPTED, ISOLATION_FOREST, MULTI_PASS
from plumewatch.methane.passes import COLUMNS, GridPlace, Pass, grid_pass, split_passes
from plumewatch.methane.plumes import WindOf
from plumewatch.methane.search import STAGE, PassResult, anomaly_columns, nothing_to_search, search_pass, time_of
from plumewatch.methane.thresholds import thresholds
from plumewatch.models import FailedScene
from plumewatch.tables import ANOMALIES, PIXELS, PLUMES
from plumewatch.wind.at_point import WindAtPoint, wind_at
from plumewatch.wind.files import READ_AROUND, read_wind_files

BAD_INPUT = (PlumewatchError, OSError, pa.ArrowException)  # what a broken file raises
ANSWER_DDL = "area string, date string, rows_read bigint, plumes binary, report string"
ANSWER = pa.schema(
    [
        ("area", pa.string()),
        ("date", pa.string()),
        ("rows_read", pa.int64()),
        ("plumes", pa.binary()),
        ("report", pa.string()),
    ]
)
"""What a worker says: rows of the table plumes (Arrow stream; null where the date failed) and the rest as JSON."""


@dataclass(frozen=True)
class AreaDate:
    """What a worker has to do."""

    area: str
    """Partition of the table pixels."""
    date: str
    """Partition of the table pixels, YYYY-MM-DD."""
    pixels_root: str
    """Root of the table pixels: earlier dates are looked for there."""
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
    def from_json(cls, text: str) -> AreaDate:
        """Return the task that `to_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"forest": ForestSettings(**values["forest"])})

    def to_json(self) -> str:
        """Return the task as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def name(self) -> str:
        """How failures name the partition."""
        return f"area={self.area}/date={self.date}"


@dataclass
class _Work:
    """What came up on the way."""

    rows_read: int
    inputs: set[str]
    failures: list[FailedScene]


def detect_area_dates(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the first column of each batch (JSON of AreaDate): the function of a mapInArrow."""
    for batch in batches:
        for text in batch.column(0).to_pylist():
            yield pa.RecordBatch.from_pylist([detect_area_date(AreaDate.from_json(text))], schema=ANSWER)


def detect_area_date(task: AreaDate) -> dict[str, Any]:
    """Detect the plumes of all passes of one area and date, write details and anomalies, and return the row of ANSWER.

    Pixels that cannot be used are a failure in the report: those of the date leave its `plumes` null, those of an
    earlier date leave that date out.
    """
    work = _Work(0, set(), [])
    try:
        results = _search(task, work)
    except BAD_INPUT as error:
        work.failures.append(_failure(error, task.area, task.date))
        return _answer(task, work, None, [])
    plumes = [plume for result in results for plume in result.plumes]
    if task.details_path is not None:
        write_details(task.details_path, {"method": task.method, "area": task.area, "date": task.date}, results)
    if task.anomalies_path is not None and task.method == ISOLATION_FOREST:
        _write_anomalies(task, task.anomalies_path, results, work)
    rows = PLUMES.from_pylist([plume.table_row for plume in plumes])
    return _answer(task, work, rows, results)


def _search(task: AreaDate, work: _Work) -> list[PassResult]:
    limits = thresholds()
    pixels = _read_pixels(task, task.date, work)
    results = []
    for rows in split_passes(pixels) if pixels.num_rows else []:
        target = grid_pass(rows, source=_partition(task, task.date))
        wind_of = _wind_of(task, target, work)
        earlier = _earlier_passes(task, target.place, limits["references"]["max_days_back"], work)
        results.append(search_pass(task.area, target, earlier, wind_of, task.method, task.forest, limits))
    return results


def _read_pixels(task: AreaDate, day: str, work: _Work) -> pa.Table:
    path = _partition(task, day)
    rows = storage.read_table(PIXELS, path, COLUMNS)
    work.rows_read += rows.num_rows
    work.inputs.add(path)
    return rows


def _partition(task: AreaDate, day: str) -> str:
    return storage.partition_path(task.pixels_root, {"area": task.area, "date": day})


def _earlier_passes(task: AreaDate, onto: GridPlace, max_days_back: int, work: _Work) -> Iterator[Pass]:
    """Yield passes of earlier dates, nearest first, read when asked for; unusable ones are noted and left out."""
    if task.method != MULTI_PASS:
        return
    first = str(date.fromisoformat(task.date) - timedelta(days=max_days_back))
    stored = storage.list_partitions(PIXELS, storage.join(task.pixels_root, f"area={task.area}"))
    days = sorted((p.keys["date"] for p in stored if first <= p.keys.get("date", "") < task.date), reverse=True)
    for day in days:
        try:
            pixels = _read_pixels(task, day, work)
            passes = (
                [grid_pass(rows, onto, _partition(task, day)) for rows in split_passes(pixels)]
                if pixels.num_rows
                else []
            )
        except BAD_INPUT as error:
            work.failures.append(_failure(error, task.area, day))
            continue
        yield from passes


def _wind_of(task: AreaDate, target: Pass, work: _Work) -> WindOf:
    """Return the wind at a place at the time of the pass, None where there is no wind."""
    observed_at = time_of(target, task.date)
    if not task.wind_path:
        return lambda longitude, latitude: None
    height, width = target.shape
    corners = target.place.longitude_latitude([0, 0, height - 1, height - 1], [0, width - 1, 0, width - 1])
    wind = read_wind_files(
        task.wind_path,
        observed_at - READ_AROUND,
        observed_at + READ_AROUND,
        points=corners,
        on_failure=lambda failure: work.failures.append(replace(failure, area=task.area)),
    )

    def wind_of(longitude: float, latitude: float) -> WindAtPoint | None:
        return wind_at(wind, longitude, latitude, observed_at) if wind.num_rows else None

    return wind_of


def _failure(error: Exception, area: str, day: str) -> FailedScene:
    return FailedScene.from_exception(error, scene_id=f"area={area}/date={day}", stage=STAGE, area=area)


def _answer(task: AreaDate, work: _Work, rows: pa.Table | None, results: Sequence[PassResult]) -> dict[str, Any]:
    report = {
        "inputs": sorted(work.inputs),
        "failures": [asdict(failure) for failure in work.failures],
        "observations": [result.observation for result in results] or [nothing_to_search(task.area)],
        "references": {r.observation["scene_id"]: [s for p in r.references for s in p.scene_ids] for r in results},
    }
    return {
        "area": task.area,
        "date": task.date,
        "rows_read": work.rows_read,
        "plumes": None if rows is None else arrow_bytes(rows),
        "report": json.dumps(report, sort_keys=True),
    }


def arrow_bytes(rows: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, rows.schema) as stream:
        stream.write_table(rows)
    return buffer.getvalue()


def _write_anomalies(task: AreaDate, root: str, results: Sequence[PassResult], work: _Work) -> None:
    tables = [
        ANOMALIES.from_columns(anomaly_columns(r.target, r.anomalies)) for r in results if r.anomalies is not None
    ]
    rows = pa.concat_tables(tables) if tables else ANOMALIES.empty()
    clusters = sum(cluster != NOISE for cluster in rows["cluster"].to_pylist())
    storage.write_partition(
        ANOMALIES,
        root,
        {"area": task.area, "date": task.date},
        rows,
        inputs=work.inputs,
        settings=asdict(task.forest),
        counts={"in_clusters": clusters, "noise": rows.num_rows - clusters},
    )


def count_by_status(rows: pa.Table) -> dict[str, int]:
    """Return the number of rows of each status, `accepted` also where there is none."""
    return {ACCEPTED: 0} | dict(sorted(Counter(rows["status"].to_pylist()).items()))
