"""Pixels become methane plumes with their rates: one task an area and date, one partition a method, area and date.

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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from plumewatch import jobs, storage
from plumewatch.errors import InputError
from plumewatch.failed_scenes import heal_scenes
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.area_dates import ANSWER_DDL, AreaDate, count_by_status, detect_area_dates
from plumewatch.methane.detection import ISOLATION_FOREST, MULTI_PASS, SINGLE_PASS
from plumewatch.methane.search import STAGE
from plumewatch.methane.thresholds import thresholds
from plumewatch.models import FailedScene
from plumewatch.spark_session import get_spark
from plumewatch.storage import Where
from plumewatch.tables import PIXELS, PLUMES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

METHODS = (MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST)
MAX_SPARK_TASKS = 64  # enough for the cores of a small cluster; each does its share of the work list in turn

log = logging.getLogger("plumewatch.detect_methane_plumes")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    forest = ForestSettings()
    parser = argparse.ArgumentParser(prog="detect_methane_plumes.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--pixels-path", required=True, help="table pixels, or a partition folder below it")
    parser.add_argument("--plumes-path", required=True, help="root of the table plumes")
    parser.add_argument("--date", type=_date, help="only this UTC date, YYYY-MM-DD (default: all that are present)")
    parser.add_argument("--start-date", type=_date, help="only this date and later")
    parser.add_argument("--end-date", type=_date, help="only this date and earlier")
    parser.add_argument("--wind-path", help="wind files; without them rates are null (no_wind)")
    parser.add_argument("--details-path", help="root of plume_details: JSON of every candidate, PNG and COG of plumes")
    parser.add_argument("--anomalies-path", help="root of the table anomalies (isolation_forest)")
    parser.add_argument("--method", choices=METHODS, default=MULTI_PASS, help="default: %(default)s")
    group = parser.add_argument_group("isolation_forest")
    group.add_argument("--batch-size", type=_count, default=forest.batch_size, help="pixels a forest (%(default)s)")
    group.add_argument(
        "--contamination", type=_share, default=forest.contamination, help="anomalous share (%(default)s)"
    )
    group.add_argument("--eps", type=_positive, default=forest.eps_deg, help="neighbourhood, degrees (%(default)s)")
    group.add_argument("--min-samples", type=_count, default=forest.min_samples, help="pixels of a core (%(default)s)")
    jobs.add_run_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.date and (arguments.start_date or arguments.end_date):
        parser.error("--date with --start-date or --end-date; allowed: one date, or a range")
    if arguments.start_date and arguments.end_date and arguments.start_date > arguments.end_date:
        parser.error("--start-date after --end-date; allowed: a range from the earlier to the later date")
    return arguments


def _date(text: str) -> str:
    return str(date.fromisoformat(text))


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}; allowed: a whole number of at least 1")
    return value


def _positive(text: str) -> float:
    if not (value := float(text)) > 0.0:
        raise argparse.ArgumentTypeError(f"{text}; allowed: a number above 0")
    return value


def _share(text: str) -> float:
    if not 0.0 < (value := float(text)) <= 0.5:
        raise argparse.ArgumentTypeError(f"{text}; allowed: a number above 0, at most 0.5")
    return value


def transform(tasks: DataFrame) -> DataFrame:
    """Return one row an area and date: its plumes and what was looked at (plumewatch.methane.area_dates.ANSWER)."""
    return tasks.mapInArrow(detect_area_dates, ANSWER_DDL)


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Detect the plumes of all areas and dates that are asked for."""
    answers = _detect(_tasks(arguments))
    failures: dict[tuple[str, FailedScene], None] = {}
    for answer in answers:
        for failure in (FailedScene(**values) for values in answer["report"]["failures"]):
            failures[_day(failure.scene_id) or answer["date"], failure] = None
    written = [_publish(arguments, answer) for answer in answers if answer["plumes"] is not None]
    _record(arguments, answers, list(failures))
    if failures and not written:
        raise jobs.NothingDone([failure for _, failure in failures])
    return jobs.JobResult(sum(answer["rows_read"] for answer in answers), sum(written), len(failures))


def _tasks(arguments: argparse.Namespace) -> list[AreaDate]:
    path = arguments.pixels_path
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder", "the table pixels, or a partition folder below it")
    where: Where | None = {"date": arguments.date} if arguments.date else None
    first, last = arguments.start_date or "", arguments.end_date or "9999"
    forest = ForestSettings(arguments.batch_size, arguments.contamination, arguments.eps, arguments.min_samples)
    return [
        AreaDate(
            area=partition.keys["area"],
            date=partition.keys["date"],
            pixels_root=storage.table_root(PIXELS, path),
            method=arguments.method,
            wind_path=arguments.wind_path,
            details_path=arguments.details_path,
            anomalies_path=arguments.anomalies_path,
            forest=forest,
        )
        for partition in storage.list_partitions(PIXELS, path, where)
        if first <= partition.keys["date"] <= last
    ]


def _detect(tasks: Sequence[AreaDate]) -> list[dict[str, Any]]:
    """Return what the workers say, in the order of area and date."""
    if not tasks:
        return []
    spark = get_spark("detect_methane_plumes")
    frame = spark.createDataFrame([(task.to_json(),) for task in tasks], "task string")
    answers = transform(frame.repartition(min(len(tasks), MAX_SPARK_TASKS))).toArrow().to_pylist()
    answers = [answer | {"report": json.loads(answer["report"])} for answer in answers]
    return sorted(answers, key=lambda answer: (answer["area"], answer["date"]))


def _publish(arguments: argparse.Namespace, answer: Mapping[str, Any]) -> int:
    """Write the partition of an area and date and return its number of rows."""
    rows, report = pa.ipc.open_stream(answer["plumes"]).read_all(), answer["report"]
    counts = count_by_status(rows)
    settings = {"calibration": thresholds().version, "wind_path": arguments.wind_path}
    if arguments.method == ISOLATION_FOREST:
        settings |= asdict(
            ForestSettings(arguments.batch_size, arguments.contamination, arguments.eps, arguments.min_samples)
        )
    path = storage.write_partition(
        PLUMES,
        arguments.plumes_path,
        {"method": arguments.method, "area": answer["area"], "date": answer["date"]},
        rows,
        inputs=report["inputs"],
        settings=settings,
        counts=counts,
        extra={"observations": report["observations"], "references": report["references"]},
    )
    log.info("%s: %s, %s", path, ", ".join(o["outcome"] for o in report["observations"]), counts)
    return rows.num_rows


def _record(
    arguments: argparse.Namespace, answers: Sequence[Mapping[str, Any]], failures: Sequence[tuple[str, FailedScene]]
) -> None:
    """Record what failed (each with its date), and mark the partitions of pixels that went through as healed."""
    for key in sorted({day for day, _ in failures}):
        jobs.record_failures(arguments, arguments.plumes_path, key, [f for day, f in failures if day == key])
    failed = {(failure.area, failure.scene_id) for _, failure in failures}
    good: dict[str, set[tuple[str, str]]] = {}
    for answer in answers:
        for path in answer["report"]["inputs"]:
            scene = answer["area"], "/".join(path.split("/")[-2:])
            if scene not in failed:
                good.setdefault(arguments.key or _day(scene[1]), set()).add(scene)
    root = storage.parent(arguments.plumes_path)
    for key in sorted(good):
        heal_scenes(root, arguments.dag_id, key, sorted(good[key]), STAGE)


def _day(name: str) -> str:
    """Return the date of a partition's name, nothing for the name of a file."""
    return name.partition("/date=")[2]


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
