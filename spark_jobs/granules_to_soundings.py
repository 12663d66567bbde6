"""Lite granules of OCO-2 and OCO-3 become the table soundings: one Parquet file a granule, one partition a month.

The months of the given granules are replaced whole. Workers read a granule each and write its file themselves; a
granule that cannot be read is named in failed_scenes, and the others go through. An older version of its day serves in
its place where there is one that can be read, else what the stored month has of that day stays, if it was extracted
with the same choice.

    granules_to_soundings.py --granules-path granules --soundings-path storage/soundings --csv-path export
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plumewatch import jobs, storage
from plumewatch.failures import NothingDone, went_through
from plumewatch.models import FailedScene
from plumewatch.oco2.archive.listing import GranuleListing, GranuleRef, log_left_out, older_of_day, read_listing
from plumewatch.oco2.granules.granule import MODES, REPEATED_ID, SURFACES
from plumewatch.oco2.granules.seed_csv import write_seed_csv
from plumewatch.oco2.granules.soundings import (
    EXTRACTED_DDL,
    GranuleTask,
    extract_granules,
    find_lost,
    keep_each_once,
)
from plumewatch.oco2.granules.stored_soundings import read_stored_files
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.statuses import EXTRACTION_STAGE
from plumewatch.tables import SOUNDINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MANY_GRANULES = 100  # more than the two sensors' of a month, which are read in seconds
MANY_SPARK_TASKS = 64
KEPT, READ, STORED, DROPPED = "kept", "read", "kept_stored", "dropped_"

log = logging.getLogger("plumewatch.granules_to_soundings")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="granules_to_soundings.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--granules-path", required=True, help="folder or prefix of Lite files, or one of them")
    parser.add_argument("--soundings-path", required=True, help="root of the table soundings")
    parser.add_argument("--month", type=jobs.month, help="only granules of this month, YYYY-MM")
    parser.add_argument("--keep-bad-quality", action="store_true", help="also soundings whose quality flag is not 0")
    parser.add_argument(
        "--modes", type=_modes, help="operation modes, such as 0,1; 2 is target, 4 area map (default: all)"
    )
    parser.add_argument("--surfaces", type=_surfaces, help="land, water or both (default: all)")
    parser.add_argument(
        "--keep-stored",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="granules that could not be had: keep their rows",
    )
    parser.add_argument("--csv-path", help="folder for one CSV a sensor and month in the seed's sixteen columns")
    jobs.add_run_arguments(parser)
    return parser.parse_args(argv)


def _modes(text: str) -> tuple[int, ...]:
    known = {str(mode): mode for mode in MODES}
    if not set(text.split(",")) <= set(known):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: {', '.join(known)}, with commas")
    return tuple(sorted({known[mode] for mode in text.split(",")}))


def _surfaces(text: str) -> tuple[str, ...]:
    surfaces = tuple(sorted(set(text.split(","))))
    if not set(surfaces) <= set(SURFACES):
        raise argparse.ArgumentTypeError(f"{text}; allowed: {', '.join(SURFACES)}")
    return surfaces


def transform(tasks: DataFrame) -> DataFrame:
    """Return one row a granule: the file that a worker wrote, or why there is none (soundings.EXTRACTED)."""
    return tasks.mapInArrow(extract_granules, EXTRACTED_DDL)


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Extract all granules that are asked for and publish their months."""
    storage.require_folder(arguments.soundings_path, f"the table {SOUNDINGS.name}")
    listing = read_listing(arguments.granules_path, arguments.month)
    log_left_out(listing)
    answers = _extract_each_day(arguments, listing)
    failures = _refused(listing) + [
        (answer["month"], FailedScene(**json.loads(answer["failure"]))) for answer in answers if answer["failure"]
    ]
    good = [answer for answer in answers if not answer["failure"]]
    absent = {*arguments.keep_stored, *(failure.scene_id for _, failure in failures)}
    months = sorted({answer["month"] for answer in good})
    written = sum(
        _publish(arguments, listing, month, [answer for answer in good if answer["month"] == month], absent)
        for month in months
    )
    lost = ((answer["month"], find_lost(arguments.soundings_path, answer)) for answer in good)
    failures += [(month, failure) for month, failure in lost if failure]
    extracted = went_through(EXTRACTION_STAGE, [(None, answer["name"]) for answer in good])
    jobs.settle(arguments, arguments.soundings_path, failures, months, extracted)
    if failures and not good:
        raise NothingDone([failure for _, failure in failures])
    return jobs.JobResult(sum(answer["n_soundings"] for answer in good), written, len(failures))


def _extract_each_day(arguments: argparse.Namespace, listing: GranuleListing) -> list[dict[str, Any]]:
    """What the workers say of the newest granule of each day, and of older ones where a newer one is bad."""
    left = {granule.sensor_day: older_of_day(listing, granule.sensor_day) for granule in listing.granules}
    answers, turn = [], list(listing.granules)
    while turn:
        answers += (answered := _extract(_tasks(arguments, turn)))
        bad = {answer["name"] for answer in answered if answer["failure"]}
        turn = [left[granule.sensor_day].pop(0) for granule in turn if granule.name in bad and left[granule.sensor_day]]
        for granule in turn:
            log.warning("%s serves in place of a newer file of its day that can't be read", granule.name)
    return answers


def _tasks(arguments: argparse.Namespace, granules: Sequence[GranuleRef]) -> list[GranuleTask]:
    choice = arguments.keep_bad_quality, arguments.modes, arguments.surfaces
    return [GranuleTask(g.name, g.path, g.month, arguments.soundings_path, *choice) for g in granules]


def _extract(tasks: Sequence[GranuleTask]) -> list[dict[str, Any]]:
    """What the workers say, in the order of the tasks."""
    if not tasks:
        return []
    spark = get_spark("granules_to_soundings")
    # One partition a core, as the local list is cut anyway: a task costs the worker more than reading half a granule.
    frame = spark.createDataFrame([(task.to_json(),) for task in tasks], "task string")
    if len(tasks) > MANY_GRANULES:
        frame = frame.repartition(MANY_SPARK_TASKS)  # the log tells how many of them are done
    with progress_logged(spark, "granules to soundings"):
        answers = transform(frame).toArrow()
    return sorted(answers.to_pylist(), key=lambda answer: answer["name"])


def _refused(listing: GranuleListing) -> list[jobs.KeyedFailure]:
    return [
        (
            refused.month or jobs.MANUAL,
            FailedScene.from_exception(
                refused.error, scene_id=refused.name, stage=EXTRACTION_STAGE, asset=refused.path
            ),
        )
        for refused in listing.refused
    ]


def _publish(
    arguments: argparse.Namespace,
    listing: GranuleListing,
    month: str,
    answers: Sequence[Mapping[str, Any]],
    absent: Collection[str],
) -> int:
    """Make the files of the month's granules its partition, state what was dropped and why, and return the rows kept.

    The files that the stored partition has of granules that are absent this time stay in it.
    """
    counts = Counter({READ: 0, KEPT: 0})
    for answer in answers:
        counts += Counter({DROPPED + reason: n for reason, n in json.loads(answer["dropped"]).items()})
        counts[READ] += answer["n_soundings"]
        counts[KEPT] += answer["rows"]
    names = sorted(answer["name"] for answer in answers)
    used = [answer["path"] for answer in answers]
    choice = {name: getattr(arguments, name) for name in ("keep_bad_quality", "modes", "surfaces")}
    stored = read_stored_files(arguments.soundings_path, month, absent, names, choice)
    files = {a["name"]: a["file"] for a in answers if a["file"]} | {file.granule: file.name for file in stored}
    again = keep_each_once(storage.partition_path(arguments.soundings_path, {"month": month}), files)
    if n_again := sum(again[name][1] for name in names if name in again):
        counts += Counter({DROPPED + REPEATED_ID: n_again})
        counts[KEPT] -= n_again
    if stored:
        counts[STORED] = sum(file.rows - again.get(file.granule, (None, 0))[1] for file in stored)
    files |= {name: file for name, (file, _) in again.items()}
    path = storage.publish_partition(
        SOUNDINGS,
        arguments.soundings_path,
        {"month": month},
        [file for file in files.values() if file],
        counts[KEPT] + counts[STORED],
        inputs=[*used, *(file.input for file in stored)],
        settings=choice,
        counts=dict(counts),
        extra={
            "superseded": sorted(g.name for g in listing.superseded if g.month == month and g.path not in used),
            "kept_stored": sorted(file.granule for file in stored),
        },
    )
    if arguments.csv_path:
        for csv in write_seed_csv(arguments.soundings_path, month, arguments.csv_path):
            log.info("wrote %s", csv)
    log.info("%s: %s", path, dict(counts))
    return counts[KEPT]


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
