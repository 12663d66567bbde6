"""Scenes of a month become one picture an area: mean and median of what is clear, and on how many dates it was.

An area is one task of a worker, which reads its scenes strip by strip and writes the composite itself. Clouded cells
never enter; where several tiles of a date show a cell it counts once.

    monthly_composites.py --scenes-path storage/scenes --composites-path storage/composites --month 2025-08
"""

from __future__ import annotations

import argparse
import json
import logging

from plumewatch import jobs
from plumewatch.failures import NothingDone, went_through
from plumewatch.models import FailedScene
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.statuses import COMPOSITE_STAGE
from plumewatch.zones.area_months import read_area_months
from plumewatch.zones.composites import WRITTEN_DDL, write_composites
from pyspark.sql import DataFrame

log = logging.getLogger("plumewatch.monthly_composites")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="monthly_composites.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--scenes-path", required=True, help="stacked scenes: the root or a partition folder")
    parser.add_argument("--composites-path", required=True, help="root of the composites")
    parser.add_argument("--month", type=jobs.month, required=True, help="YYYY-MM")
    parser.add_argument(
        "--areas-path", nargs="+", action="extend", help="areas of interest: what counts as clear in each"
    )
    jobs.add_run_arguments(parser)
    return parser.parse_args(argv)


def transform(tasks: DataFrame) -> DataFrame:
    """Return a row an area (month, key and root as JSON in the first column), once its composite is written."""
    return tasks.mapInArrow(write_composites, WRITTEN_DDL)


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Write the composites of one month."""
    failures: dict[str, FailedScene] = {}
    months = read_area_months(arguments.scenes_path, arguments.month, arguments.areas_path, COMPOSITE_STAGE, failures)
    written = []
    if months:
        spark = get_spark("monthly_composites")
        tasks = [
            (json.dumps({"month": month.to_dict(), "key": arguments.month, "root": arguments.composites_path}),)
            for month in months.values()
        ]
        frame = spark.createDataFrame(tasks, "task string").repartition(len(tasks))
        with progress_logged(spark, "areas"):
            rows = transform(frame).toArrow().to_pylist()
        for row in rows:
            for failure in (FailedScene(**values) for values in json.loads(row["failures"])):
                failures[f"{failure.area}/{failure.scene_id}"] = failure
        written = sorted(row["item"] for row in rows if row["item"])
        for item in written:
            log.info("%s", item)
    scenes = [(scene.paths.area, scene.paths.scene_id) for month in months.values() for scene in month.scenes]
    jobs.settle(
        arguments,
        arguments.composites_path,
        [(arguments.month, failure) for failure in failures.values()],
        [arguments.month],
        went_through(COMPOSITE_STAGE, scenes),
    )
    if failures and not written:
        raise NothingDone(list(failures.values()))
    n_cells = sum(month.grid.width * month.grid.height * len(month.scenes) for month in months.values())
    return jobs.JobResult(n_cells, len(written), len(failures))


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
