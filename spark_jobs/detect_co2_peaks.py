"""Soundings become peaks with their CO2 emission: one task an orbit of a sensor, one partition a method and month.

A month's peaks are those whose centre lies in it; an orbit that crosses midnight of the month's end is searched with
the soundings of both months. Every orbit, with a peak or without, is stated under `observations` in the manifest.

    detect_co2_peaks.py --soundings-path storage/soundings --peaks-path storage/peaks --details-path
    storage/peak_details
"""

from __future__ import annotations

import argparse
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plumewatch import jobs, storage
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone
from plumewatch.gases import SCAN
from plumewatch.models import FailedScene
from plumewatch.oco2.detection import METHODS, calibration_version
from plumewatch.oco2.granules.soundings import OnFailure, list_months, list_orbits
from plumewatch.oco2.orbits.worker import (
    DETECTED,
    OrbitTask,
    details_folder,
    detect_orbits,
    name_left_out,
    orbits_went_through,
    reports,
    sum_left_out,
)
from plumewatch.oco2.probability import plume_probabilities
from plumewatch.pages.wording import without_rate_text
from plumewatch.progress import followed
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.statuses import ACCEPTED, RATED
from plumewatch.tables import PEAKS, SOUNDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_SPARK_TASKS = 32  # orbits go to workers in runs of neighbours, which share files

DETAILS = re.compile(r"(?P<peak_id>\d+)\.(json|png)")

log = logging.getLogger("plumewatch.detect_co2_peaks")

Report = Mapping[str, Any]
"""Each with its month."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="detect_co2_peaks.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--soundings-path", required=True, help="table soundings, or a partition folder below it")
    parser.add_argument("--peaks-path", required=True, help="root of the table peaks")
    parser.add_argument("--details-path", help="root of peak_details: JSON and picture of every accepted peak")
    parser.add_argument("--wind-path", help="wind files; the wind of the soundings where they know none")
    parser.add_argument("--month", type=jobs.month, help="only this month, YYYY-MM (default: all that are present)")
    parser.add_argument("--method", choices=sorted(METHODS), default=SCAN, help="default: %(default)s")
    jobs.add_run_arguments(parser)
    return parser.parse_args(argv)


def transform(tasks: DataFrame) -> DataFrame:
    """Return the peaks and the reports of the orbits (plumewatch.oco2.orbits.worker.DETECTED)."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return tasks.mapInArrow(detect_orbits, from_arrow_schema(DETECTED))


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Detect the peaks of all months that are asked for."""
    unreadable: dict[FailedScene, None] = {}  # once each, in their order
    months = _months(arguments, unreadable.setdefault)
    tasks = _tasks(arguments, months, unreadable.setdefault)
    detected = _detect(tasks)
    orbits = reports(detected)
    name_left_out(tasks, orbits)
    failures = [(month, failure) for failure in unreadable for month in _months_of(failure, months)]
    failures += _failures(tasks, orbits, months)
    jobs.settle(arguments, arguments.peaks_path, failures, months, orbits_went_through(tasks, arguments.wind_path))
    if (unreadable or failures) and all(report["failure"] for report in orbits):
        raise NothingDone([*unreadable, *(failure for _, failure in failures)])
    peaks = detected.filter(detected["peak_id"].is_valid())
    written = sum(_publish(arguments, month, peaks, tasks, orbits) for month in months)
    n_failed = len({failure.scene_id for _, failure in failures})
    return jobs.JobResult(sum(report["n_soundings"] for report in orbits), written, n_failed)


def _months(arguments: argparse.Namespace, on_failure: OnFailure) -> list[str]:
    path = arguments.soundings_path
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder", "the table soundings, or a partition folder below it")
    where = {"month": arguments.month} if arguments.month else None
    return list_months(path, on_failure, where)


def _months_of(failure: FailedScene, months: Sequence[str]) -> Sequence[str]:
    """The month that what failed lies in; all where it lies outside of the months."""
    month = storage.keys_in_path(SOUNDINGS, failure.asset or "").get("month")
    return months if month is None else [month]


def _tasks(arguments: argparse.Namespace, months: Sequence[str], on_failure: OnFailure) -> list[OrbitTask]:
    """One task for every orbit that has soundings in the months."""
    if not months:
        return []
    orbits = list_orbits(arguments.soundings_path, months, on_failure)
    paths = arguments.wind_path, arguments.details_path
    return [OrbitTask(n, orbit, tuple(months), arguments.method, *paths) for n, orbit in enumerate(orbits)]


def _failures(tasks: Sequence[OrbitTask], orbits: Sequence[Report], months: Sequence[str]) -> list[jobs.KeyedFailure]:
    """The orbits that could not be searched and the wind files that could not be used, once under each month."""
    of_orbit = {task.orbit.key: [month for month in task.orbit.months if month in months] for task in tasks}
    found = (
        (month, FailedScene(**values))
        for report in orbits
        for values in (report["failure"], *report["wind_failures"])
        if values
        for month in of_orbit[report["sensor"], report["orbit"]]
    )
    return list(dict.fromkeys(found))


def _detect(tasks: Sequence[OrbitTask]) -> pa.Table:
    if not tasks:
        return DETECTED.empty_table()
    spark = get_spark("detect_co2_peaks")
    frame = spark.createDataFrame([(task.position, task.to_json()) for task in tasks], "position int, task string")
    in_runs = frame.repartitionByRange(min(len(tasks), MAX_SPARK_TASKS), "position").sortWithinPartitions("position")
    with progress_logged(spark, "orbits to peaks"):
        return transform(in_runs).toArrow()


def _publish(
    arguments: argparse.Namespace, month: str, peaks: pa.Table, tasks: Sequence[OrbitTask], orbits: Sequence[Report]
) -> int:
    """Write the partition of a month and return its number of rows."""
    of_month = [task for task in tasks if month in task.orbit.months]
    keys = {task.orbit.key for task in of_month}
    own = [report for report in orbits if (report["sensor"], report["orbit"]) in keys]
    observations = [  # one that failed has no time
        [row for row in report["observations"] if (row["observed_at_utc"] or month).startswith(month)] for report in own
    ]
    searched = [report for report, rows in zip(own, observations, strict=True) if rows]
    rows = _with_probability(PEAKS.conform(peaks.filter(pc.equal(peaks["month"], month))), arguments.method, searched)
    counts = Counter(rows["status"].to_pylist())
    if arguments.details_path:
        _remove_other_details(arguments, month, rows)
    path = storage.write_partition(
        PEAKS,
        arguments.peaks_path,
        {"method": arguments.method, "month": month},
        rows,
        inputs={file for task in of_month for file in task.orbit.files},
        settings={"wind_path": arguments.wind_path, "calibration": calibration_version()},
        counts=dict(sorted(counts.items())),
        extra={
            "observations": [row for rows in observations for row in rows],
            "left_out": sum_left_out(own),
        },
    )
    log.info("%s: %s", path, dict(counts))
    no_rate = rows.filter(pc.and_(pc.equal(rows["status"], ACCEPTED), pc.not_equal(rows["emission_status"], RATED)))
    if no_rate.num_rows:
        log.warning(
            "%s: accepted peaks without a rate: %s", path, dict(Counter(map(without_rate_text, no_rate.to_pylist())))
        )
    return rows.num_rows


def _with_probability(peaks: pa.Table, method: str, orbits: Sequence[Report]) -> pa.Table:
    """State of each peak of the method `scan` how probable it is, among all of its sensor and key, that it is a plume.

    Sensors are apart, as they don't look at the same places: OCO-3 maps those where plumes are expected.
    """
    if method != SCAN:
        return peaks
    false_alarm, sensors = peaks["false_alarm_probability"].to_numpy(), np.array(peaks["sensor"].to_pylist(), object)
    probability = np.zeros(len(peaks), np.float32)
    for sensor in set(sensors):
        searched_km = sum(report["searched_km"] for report in orbits if report["sensor"] == sensor)
        is_of = sensors == sensor
        probability[is_of] = plume_probabilities(false_alarm[is_of], searched_km)
    probability = pa.array(probability)
    return peaks.set_column(peaks.schema.get_field_index("probability"), "probability", probability)


def _remove_other_details(arguments: argparse.Namespace, month: str, rows: pa.Table) -> None:
    """Take away what an earlier run left of peaks that are no longer accepted."""
    accepted = {str(i) for i in rows.filter(pc.equal(rows["status"], ACCEPTED))["peak_id"].to_pylist()}
    there = list(storage.list_files(details_folder(arguments.details_path, arguments.method, month)))
    for file in followed(there, f"pictures of {month} cleared", "files"):
        ours = DETAILS.fullmatch(file.rsplit("/", 1)[-1])
        if ours and ours["peak_id"] not in accepted:
            storage.delete(file)


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
