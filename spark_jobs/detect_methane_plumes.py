"""Pixels become methane plumes with their rates: one partition a method, area and date, all of them in one Spark job.

The dates of an area go to one worker, which reads each of them once, as the one to search and as a reference of later
ones, and publishes their partitions itself; the driver only hears what was done. A long run of dates is shared out.

By multi_pass a date is compared with earlier dates of the same area, read from the same table: point --pixels-path at
its root, or at a partition folder below it to detect only that one. Every pass, with a plume or without, is stated
under `observations` in the manifest; a partition of pixels that cannot be read is named in failed_scenes, and the
others go through.

    detect_methane_plumes.py --pixels-path storage/pixels --plumes-path storage/plumes --wind-path storage/wind
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from plumewatch import jobs, storage
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone, day_of_failure, partition_name
from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS, SINGLE_PASS
from plumewatch.http import side_by_side
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.blocks.windows import ALIGNED_PX, BLOCK_PX, Blocks
from plumewatch.methane.dates.noting import dates_went_through, failure_of
from plumewatch.methane.dates.plan import plan_runs
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.window_tasks import FOUND, plan_tasks, search_windows
from plumewatch.methane.dates.worker import REPORT, detect_bins, publish_dates
from plumewatch.models import FailedScene
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.storage import Partition, Where
from plumewatch.tables import PIXELS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

METHODS = (MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST)
MAX_SPARK_TASKS = 64  # enough for the cores of a small cluster; each reads the wind of its dates once
MOST_PIXELS = 2**31 - 1  # of a batch or a cluster: 40 times a Sentinel-2 tile, and what an int32 holds
LARGEST_EPS_DEG = 180.0  # no two places are further apart
LARGEST_CONTAMINATION = 0.5  # more than half of the pixels are no anomalies
MANIFEST_READERS = 16  # at once: a bucket answers in tens of milliseconds

log = logging.getLogger("plumewatch.detect_methane_plumes")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    forest = ForestSettings()
    parser = argparse.ArgumentParser(prog="detect_methane_plumes.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pixels-path", required=True, help="table pixels, or a partition folder below it")
    parser.add_argument("--plumes-path", required=True, help="root of the table plumes")
    parser.add_argument("--date", type=jobs.day, help="only this UTC date, YYYY-MM-DD (default: all that are present)")
    parser.add_argument("--start-date", type=jobs.day, help="only this date and later")
    parser.add_argument("--end-date", type=jobs.day, help="only this date and earlier")
    parser.add_argument("--wind-path", help="wind files; without them rates are null (no_wind)")
    parser.add_argument("--details-path", help="root of plume_details: JSON of every candidate, PNG and COG of plumes")
    parser.add_argument("--anomalies-path", help="root of the table anomalies (isolation_forest writes it)")
    parser.add_argument("--method", choices=METHODS, default=MULTI_PASS, help="default: %(default)s")
    block = jobs.number(int, lambda n: n > 0 and n % ALIGNED_PX == 0, f"a multiple of {ALIGNED_PX}")
    parser.add_argument(
        "--block-px",
        type=block,
        default=BLOCK_PX,
        help="rows and columns that are searched at once of a pass too large for one worker (default: %(default)s)",
    )
    group = parser.add_argument_group("isolation_forest")
    count = jobs.number(int, lambda n: 1 <= n <= MOST_PIXELS, f"a whole number from 1 to {MOST_PIXELS}")
    group.add_argument("--batch-size", type=count, default=forest.batch_size, help="pixels at a time (%(default)s)")
    group.add_argument(
        "--contamination",
        type=_up_to(LARGEST_CONTAMINATION),
        default=forest.contamination,
        help="anomalous share (%(default)s)",
    )
    group.add_argument(
        "--eps", type=_up_to(LARGEST_EPS_DEG), default=forest.eps_deg, help="neighbourhood, degrees (%(default)s)"
    )
    group.add_argument("--min-samples", type=count, default=forest.min_samples, help="pixels of a core (%(default)s)")
    jobs.add_run_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.date and (arguments.start_date or arguments.end_date):
        parser.error("--date with --start-date or --end-date; allowed: one date, or a range")
    if arguments.start_date and arguments.end_date and arguments.start_date > arguments.end_date:
        parser.error("--start-date after --end-date; allowed: a range from the earlier to the later date")
    return arguments


def _up_to(largest: float) -> Callable[[str], float]:
    return jobs.number(float, lambda value: 0.0 < value <= largest, f"a number above 0, at most {largest:g}")


def share_out(spark: SparkSession, bins: Sequence[Sequence[AreaDates]]) -> DataFrame:
    """Return the bins as rows (position, tasks), each in a partition of its own.

    So each is one Spark task: the fullest start first, and a core takes the next one when it is free.
    """
    rows = [(position, [task.to_json() for task in tasks]) for position, tasks in enumerate(bins)]
    frame = spark.createDataFrame(rows, "position int, tasks array<string>")
    return frame.repartitionByRange(len(rows), "position")


def transform(bins: DataFrame) -> DataFrame:
    """Return one row an area and date, once its partitions are written (plumewatch.methane.dates.worker.REPORT)."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return bins.mapInArrow(detect_bins, from_arrow_schema(REPORT))


def transform_windows(tasks: DataFrame) -> DataFrame:
    """Return one row a large date, once its windows are searched (rows of TASK) and its partitions are written."""
    from pyspark.sql.pandas.types import from_arrow_schema

    found = tasks.repartitionByRange(tasks.count(), "position").mapInArrow(search_windows, from_arrow_schema(FOUND))
    by_date = found.repartition("date").sortWithinPartitions("date")
    return by_date.mapInArrow(publish_dates, from_arrow_schema(REPORT))


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Detect the plumes of all areas and dates that are asked for."""
    failures: dict[tuple[str, FailedScene], None] = {}
    reports = _with_large(_detect(_bins(arguments, failures.setdefault)))
    for report in reports:
        for failure in (FailedScene(**values) for values in json.loads(report["failures"])):
            failures[day_of_failure(failure.scene_id) or report["date"], failure] = None
    written = [report for report in reports if report["rows_written"] is not None]
    for report in written:
        name = partition_name(report["area"], report["date"])
        log.info("%s: %s, %s", name, ", ".join(report["outcomes"]), report["counts"])
    _record(arguments, reports, list(failures))
    if failures and not written:
        raise NothingDone([failure for _, failure in failures])
    rows_read = sum(report["rows_read"] for report in reports)
    return jobs.JobResult(rows_read, sum(report["rows_written"] for report in written), len(failures))


def _bins(
    arguments: argparse.Namespace, on_failure: Callable[[tuple[str, FailedScene]], object]
) -> list[list[AreaDates]]:
    """Return the work list, shared out in bins of about equal pixels; a folder that is no date is told with it."""
    path = arguments.pixels_path
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder", "the table pixels, or a partition folder below it")
    where: Where | None = {"date": arguments.date} if arguments.date else None
    first, last = arguments.start_date or "", arguments.end_date or "9999"

    def on_stray(error: InputError) -> None:
        keys = storage.keys_in_path(PIXELS, error.file)
        if keys.keys() != set(PIXELS.partitions):
            raise error
        if first <= keys["date"] <= last:
            on_failure((keys["date"], failure_of(error, keys["area"], keys["date"])))

    found = [p for p in storage.list_partitions(PIXELS, path, where, on_stray) if first <= p.keys["date"] <= last]
    dates_of: dict[str, list[str]] = {}
    for partition in found:
        dates_of.setdefault(partition.keys["area"], []).append(partition.keys["date"])
    newest = {partition.keys["area"]: partition for partition in found}
    return [
        [
            AreaDates(
                area=run.area,
                dates=run.dates,
                pixels_root=storage.table_root(PIXELS, path),
                plumes_path=arguments.plumes_path,
                method=arguments.method,
                wind_path=arguments.wind_path,
                details_path=arguments.details_path,
                anomalies_path=arguments.anomalies_path,
                forest=ForestSettings(
                    arguments.batch_size, arguments.contamination, arguments.eps, arguments.min_samples
                ),
                blocks=replace(Blocks(), block_px=arguments.block_px),
            )
            for run in runs
        ]
        for runs in plan_runs(dates_of, _pixels_of(newest), MAX_SPARK_TASKS)
    ]


def _pixels_of(newest: Mapping[str, Partition]) -> dict[str, int]:
    """Return the pixels of one date of each area: what a manifest says, else the mean of the other areas."""
    sizes = side_by_side(_pixels, newest.values(), "manifests read", "areas", threads=MANIFEST_READERS)
    known = dict(zip(newest, sizes, strict=True))
    told = [pixels for pixels in known.values() if pixels is not None]
    mean = max(1, sum(told) // max(1, len(told)))
    return {area: mean if pixels is None else pixels for area, pixels in known.items()}


def _pixels(partition: Partition) -> int | None:
    try:
        manifest = storage.read_manifest(partition.path)
    except (InputError, OSError):  # the worker that reads it will say so; here it only weighs less exactly
        return None
    rows = manifest.get("rows") if manifest else None
    return rows if isinstance(rows, int) else None


def _detect(bins: Sequence[Sequence[AreaDates]]) -> list[dict[str, Any]]:
    """Return what the workers say, in the order of area and date."""
    if not bins:
        return []
    spark = get_spark("detect_methane_plumes")
    with progress_logged(spark, "pixels to plumes"):
        reports = transform(share_out(spark, bins)).toArrow()
    return sorted(reports.to_pylist(), key=lambda report: (report["area"], report["date"]))


def _with_large(reports: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the reports, those of large dates completed: their windows searched and their partitions written."""
    large = [report for report in reports if report.get("large")]
    if not large:
        return list(reports)
    spark = get_spark("detect_methane_plumes")
    tasks = plan_tasks([r["large"] for r in large], [r["n_windows"] for r in large], MAX_SPARK_TASKS)
    with progress_logged(spark, "windows to plumes"):
        done = transform_windows(spark.createDataFrame(tasks)).toArrow().to_pylist()
    completed = {(one["area"], one["date"]): one for one in done}
    wanted = ("rows_written", "outcomes", "counts", "failures")
    return [
        report | {name: completed[report["area"], report["date"]][name] for name in wanted}
        if report.get("large")
        else report
        for report in reports
    ]


def _record(
    arguments: argparse.Namespace, reports: Sequence[Mapping[str, Any]], failures: Sequence[tuple[str, FailedScene]]
) -> None:
    """Record what failed (each with its date), and mark as healed what went through."""
    read = {(report["area"], day) for report in reports for day in report["dates_read"]}
    published = {(report["area"], report["date"]) for report in reports if report["rows_written"] is not None}
    over = dates_went_through(read, published, arguments.method)
    jobs.settle(arguments, arguments.plumes_path, failures, {day for _, day in read | published}, over)


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
