"""What failed on the way of a date, by name: a partition of pixels, one pass of it, or something written for it.

A partition is `area=A/date=D`, one of its passes `area=A/date=D/platform=P/relative_orbit=N`; what depends on the
method as well ends in `/method=M` and, for an output, its table: another method that goes well doesn't heal it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from plumewatch.errors import PlumewatchError
from plumewatch.failed_scenes import heal_scenes, read_failed_scenes
from plumewatch.jobs import LASTING_ERRORS
from plumewatch.models import FailedScene
from plumewatch.statuses import DETECTION_STAGE

EXPECTED = (PlumewatchError, OSError, pa.ArrowException)  # what a broken file raises
MAY_HEAL = (OSError, MemoryError, BotoCoreError, ClientError)
"""What a disk, a bucket or a full machine raises; any other error comes of the data, the same each time."""
LASTING = (*LASTING_ERRORS, NoCredentialsError)

AreaDay = tuple[str, str]
"""Area and date (YYYY-MM-DD) of a partition of pixels."""

log = logging.getLogger(__name__)


def partition_name(area: str, day: str) -> str:
    """Return how failures name a partition of pixels."""
    return f"area={area}/date={day}"


def pass_name(platform: str | None, relative_orbit: int | None) -> str:
    """Return how failures name a pass of a partition, `unknown` for what the table doesn't say.

    >>> pass_name("sentinel-2b", 63)
    'platform=sentinel-2b/relative_orbit=63'
    """
    orbit = "unknown" if relative_orbit is None else relative_orbit
    return f"platform={platform or 'unknown'}/relative_orbit={orbit}"


def day_of(name: str) -> str:
    """Return the date in the name of a failure, nothing for the name of a file.

    >>> day_of("area=hassi/date=2025-08-20/platform=sentinel-2b/relative_orbit=63")
    '2025-08-20'
    """
    return name.partition("/date=")[2].partition("/")[0]


def failure_of(error: Exception, area: str, day: str, part: str = "") -> FailedScene:
    """Describe an error on a date, or on a `part` of it."""
    name = "/".join(filter(None, (partition_name(area, day), part)))
    failure = FailedScene.from_exception(error, scene_id=name, stage=DETECTION_STAGE, area=area)
    return replace(failure, is_retryable=may_heal(error))


@contextmanager
def noted(failures: list[FailedScene], area: str, day: str, part: str = "") -> Iterator[None]:
    """Add an exception of the block to `failures` and go on: what is odd at one place must not take others along.

    One that nobody expects is logged with its traceback.
    """
    try:
        yield
    except Exception as error:
        failure = failure_of(error, area, day, part)
        if not isinstance(error, EXPECTED):
            log.exception("%s", failure.scene_id)
        failures.append(failure)


def may_heal(error: Exception) -> bool:
    """Return whether trying again makes sense: what crashes on the same data crashes on them each time."""
    if isinstance(error, PlumewatchError):
        return error.is_retryable
    return isinstance(error, MAY_HEAL) and not isinstance(error, LASTING)


def heal_dates(
    storage_root: str,
    dag_id: str,
    key: str,
    *,
    read: Collection[AreaDay],
    published: Collection[AreaDay],
    method: str,
    failed: Collection[tuple[str | None, str]],
) -> None:
    """Mark as healed what failed before in a key and went through now.

    `read` are the partitions of pixels that were read, `published` those that `method` has published, `failed` area
    and name of what fails now.
    """

    def is_over(row: Mapping[str, Any]) -> bool:
        its_method = row["scene_id"].partition("/method=")[2].partition("/")[0]
        done = published if its_method else read
        went_through = its_method in ("", method) and (row["area"], day_of(row["scene_id"])) in done
        is_open = row["stage"] == DETECTION_STAGE and row["healed_at_utc"] is None
        return is_open and went_through and (row["area"], row["scene_id"]) not in failed

    rows = read_failed_scenes(storage_root, dag_id, key).to_pylist()
    over = [(row["area"], row["scene_id"]) for row in rows if is_over(row)]
    if over:
        heal_scenes(storage_root, dag_id, key, over, DETECTION_STAGE)
