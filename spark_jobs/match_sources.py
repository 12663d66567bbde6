"""Detections and sources to `matches`: pairs by distance; the wind, rates and inventories share out the blame.

The workers hold the sources in a tree, find the pairs of a slice of detections, weigh them and write what came of it:
pairs and matches don't pass through the driver. Each date (ch4) or month (co2) is rebuilt whole, from the accepted
detections of all its areas, whatever partition the path points at; `multi_pass` plumes and `scan` peaks are matched,
other methods are for comparison, and what people say of a detection (`reviews`) is heeded. A key that has partitions
but no accepted detection gets an empty partition.

    match_sources.py --detections-path storage/plumes --gas ch4 --sources-path storage/sources/inventory=combined \
        --wind-path storage/wind --matches-path storage/matches --date 2025-08-31
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
from plumewatch import jobs, storage
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone
from plumewatch.gases import CO2, GASES, Gas
from plumewatch.inventory.coco2_profiles import profiles_in
from plumewatch.matching.candidates import ListedSources
from plumewatch.matching.hourly import HourlyRates
from plumewatch.matching.periods.emissions import orbit_files
from plumewatch.matching.periods.inputs import (
    Period,
    partitions_by_key,
    read_period,
    read_sources,
    refuse_sources_twice,
    with_wind_files,
)
from plumewatch.matching.periods.worker import (
    DONE,
    SEEN,
    MatchTask,
    PeriodMatcher,
    join_parts,
    join_task,
    matches_origin,
    slice_bytes,
)
from plumewatch.matching.rule import matching_rule
from plumewatch.models import FailedScene
from plumewatch.oco2.granules.soundings import list_orbits
from plumewatch.progress import followed
from plumewatch.reviews import read_reviews_at
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.tables import MATCHES, REVIEWS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MAX_SPARK_TASKS = 64
SLICE, SLICE_WITH_SOUNDINGS = 20_000, 200  # detections of a task; with soundings each takes a tenth of a second

log = logging.getLogger("match_sources")

Failures = Mapping[str, list[FailedScene]]
"""What failed, by key."""


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="match_sources.py", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--detections-path", required=True, help="table plumes or peaks, or a partition folder below it"
    )
    parser.add_argument("--gas", required=True, choices=sorted(GASES))
    parser.add_argument(
        "--sources-path", required=True, help="table sources with one inventory, or an inventory's folder"
    )
    parser.add_argument("--profiles-path", help="folder with CoCO2's files, for the rate at the hour of a detection")
    parser.add_argument("--soundings-path", help="table soundings, for the emission by the plume's model (co2)")
    parser.add_argument("--wind-path", help="wind files; the wind columns of the detections where absent or empty")
    parser.add_argument("--reviews-path", help="table reviews, a person's word (default: beside the detections' table)")
    parser.add_argument("--matches-path", required=True, help="root of the table matches")
    period = parser.add_mutually_exclusive_group()
    period.add_argument("--date", type=jobs.day, help="only this date, YYYY-MM-DD (ch4)")
    period.add_argument("--month", type=jobs.month, help="only this month, YYYY-MM")
    distance = jobs.number(float, lambda km: 0 < km < math.inf, "kilometres above 0")
    parser.add_argument("--max-distance-km", type=distance, help="farthest source (default: 100 for co2, 5 for ch4)")
    jobs.add_run_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.gas == CO2.name and arguments.date:
        parser.error("--date: CO2 is matched by month; allowed: --month YYYY-MM")
    return arguments


def transform(tasks: DataFrame, matcher: PeriodMatcher) -> DataFrame:
    """Return what was written of slices of detections (plumewatch.matching.periods.worker.DONE)."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return tasks.mapInArrow(matcher.match, from_arrow_schema(DONE))


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Match the detections of every key that fits and write its partition of `matches`."""
    gas = GASES[arguments.gas]
    path = arguments.detections_path
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder", f"the table {gas.table.name}, or a partition folder below it")
    refuse_sources_twice(arguments.sources_path)
    max_distance_km = arguments.max_distance_km or matching_rule(gas.name).position.max_distance_km
    partitions = partitions_by_key(gas, path, arguments.date or arguments.month or "")
    found = followed(partitions.items(), "detections read", "days or months")
    reviews = read_reviews_at(_reviews_path(arguments, gas), gas.name)
    periods = [read_period(gas, *of_key, reviews) for of_key in found]
    sources, bad_sources = None, list[FailedScene]()
    if any(period.detections.num_rows for period in periods):
        sources, bad_sources = read_sources(gas, arguments.sources_path)
        if sources is None:
            keyed = [(period.key, failure) for period in periods for failure in (*period.failures, *bad_sources)]
            jobs.settle(arguments, arguments.matches_path, keyed)
            raise NothingDone(bad_sources)
    to_match = [period for period in periods if not period.is_lost]  # of others what was matched before stays
    failures_of = {period.key: [*period.failures, *bad_sources] for period in periods}
    written = _match(arguments, gas, to_match, sources, max_distance_km, failures_of)
    for period in periods:
        keyed = [(period.key, failure) for failure in failures_of[period.key]]
        jobs.settle(arguments, arguments.matches_path, keyed, [period.key], period.went_through)
    if periods and all(period.is_lost for period in periods):
        raise NothingDone([failure for period in periods for failure in period.failures])
    n_read = sum(p.rows_read for p in periods) + (sources.num_rows if sources else 0)
    return jobs.JobResult(n_read, written, sum(map(len, failures_of.values())))


def _reviews_path(arguments: argparse.Namespace, gas: Gas) -> str:
    beside = storage.parent(storage.table_root(gas.table, arguments.detections_path))
    return str(arguments.reviews_path or storage.join(beside, REVIEWS.name))


def _match(
    arguments: argparse.Namespace,
    gas: Gas,
    periods: Sequence[Period],
    sources: pa.Table | None,
    max_distance_km: float,
    failures_of: Failures,
) -> int:
    """Match the periods, publish their partitions, and return the number of rows."""
    work = {
        period.key: storage.join(_partition(arguments.matches_path, gas.name, period.key), f".work-{uuid4().hex}")
        for period in periods
    }
    try:
        tasks = [
            task
            for period in followed(periods, "detections with their wind", "days or months")
            for task in _slices(arguments, period, work[period.key], failures_of[period.key])
        ]
        done: dict[str, _Written] = {}
        if tasks and sources is not None:
            matcher = _matcher(arguments, gas, sources, max_distance_km, periods, failures_of)
            done = _done_by_workers(tasks, matcher)
    finally:
        for folder in work.values():
            for file in storage.list_files(folder):
                storage.delete(file)
    for period in periods:
        if period.key in done:
            failures_of[period.key].extend(done[period.key].failures)
        else:
            origin = matches_origin(gas.name, max_distance_km, _inputs(arguments, period), {})
            keys = {"gas": gas.name, "period": period.key}
            storage.write_partition(MATCHES, arguments.matches_path, keys, MATCHES.empty(), **origin)
        counts = done[period.key].counts if period.key in done else Counter()
        log.info("%s %s: %d detections, %s", gas.name, period.key, counts.total(), dict(counts) or "nothing accepted")
    return sum(written.rows for written in done.values())


def _partition(matches_path: str, gas: str, key: str) -> str:
    return storage.partition_path(matches_path, {"gas": gas, "period": key})


def _inputs(arguments: argparse.Namespace, period: Period) -> list[str]:
    paths = (arguments.sources_path, arguments.wind_path, arguments.profiles_path, arguments.soundings_path)
    return [*(partition.path for partition in period.partitions), *filter(None, paths)]


def _slices(arguments: argparse.Namespace, period: Period, work: str, failures: list[FailedScene]) -> list[MatchTask]:
    """Write the detections of a period in slices for the workers."""
    seen = with_wind_files(GASES[arguments.gas], period.detections, arguments.wind_path, failures)
    rows = SLICE_WITH_SOUNDINGS if arguments.soundings_path else SLICE
    tasks = []
    for number, start in enumerate(range(0, len(seen), rows)):
        of_slice = storage.join(work, f"detections-{number:05d}.parquet")
        storage.write_bytes(of_slice, slice_bytes(seen.slice(start, rows)))
        part = None if len(seen) <= rows else storage.join(work, f"matches-{number:05d}.parquet")
        tasks.append(MatchTask(period.key, of_slice, part, _inputs(arguments, period)))
    return tasks


def _matcher(
    arguments: argparse.Namespace,
    gas: Gas,
    sources: pa.Table,
    max_distance_km: float,
    periods: Sequence[Period],
    failures_of: Failures,
) -> PeriodMatcher:
    failures: list[FailedScene] = []
    hourly = orbits = None
    if arguments.profiles_path and (profiles := profiles_in(arguments.profiles_path, failures.append)):
        hourly = HourlyRates.of(sources["source_id"].to_pylist(), profiles)
    if arguments.soundings_path and gas is CO2:
        keys = [period.key for period in periods]
        orbits = orbit_files(list_orbits(arguments.soundings_path, keys, failures.append))
    for of_period in failures_of.values():
        of_period += failures
    listed = ListedSources.of(sources)
    return PeriodMatcher(gas.name, listed, max_distance_km, hourly, orbits=orbits, matches_path=arguments.matches_path)


@dataclass
class _Written:
    """What was written of a key."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Detections by status."""
    failures: dict[FailedScene, None] = field(default_factory=dict)


def _done_by_workers(tasks: Sequence[MatchTask], matcher: PeriodMatcher) -> dict[str, _Written]:
    """Have the partitions of the tasks' keys written."""
    from pyspark.sql.pandas.types import from_arrow_schema

    spark = get_spark("match_sources")
    in_slices = [task for task in tasks if task.part is not None]
    written: dict[str, _Written] = defaultdict(_Written)
    with progress_logged(spark, "detections to matches"):
        if in_slices:
            seen = _frame(spark, [task.to_json() for task in in_slices]).mapInArrow(
                matcher.count_seen, from_arrow_schema(SEEN)
            )
            matcher = replace(matcher, seen=_sums(seen, len(matcher.listed)))
        done = transform(_frame(spark, [task.to_json() for task in tasks]), matcher).toArrow()
        for row in done.to_pylist():
            of_key = written[row["key"]]
            of_key.rows += row["rows"]
            of_key.counts.update(json.loads(row["counts"]))
            of_key.failures.update(dict.fromkeys(FailedScene(**values) for values in json.loads(row["failures"])))
        by_key: dict[str, list[MatchTask]] = defaultdict(list)
        for task in in_slices:
            by_key[task.key].append(task)
        if joins := [
            join_task(
                key,
                [task.part for task in of_key if task.part],
                _partition(matcher.matches_path, matcher.gas, key),
                written[key].rows,
                **matches_origin(matcher.gas, matcher.max_distance_km, of_key[0].inputs, written[key].counts),
            )
            for key, of_key in by_key.items()
        ]:
            _frame(spark, joins).mapInArrow(join_parts, from_arrow_schema(DONE)).toArrow()
    return written


def _frame(spark: SparkSession, tasks: Sequence[str]) -> DataFrame:
    frame = spark.createDataFrame(list(enumerate(tasks)), "position int, task string")
    return frame.repartitionByRange(min(len(tasks), MAX_SPARK_TASKS), "position").sortWithinPartitions("position")


def _sums(seen: DataFrame, n_sources: int) -> dict[str, np.ndarray]:
    """Of each key how many of its detections are from each source; whole numbers, the same in whatever order."""
    found: dict[str, np.ndarray] = {}
    sums = seen.groupBy("key", "source").sum("seen").toArrow()
    keys = np.array(sums["key"].to_pylist(), dtype=object)
    for key in sorted(set(keys.tolist())):
        is_of, total = keys == key, np.zeros(n_sources, np.int64)
        total[sums["source"].to_numpy()[is_of]] = sums["sum(seen)"].to_numpy()[is_of]
        found[key] = total
    return found


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
