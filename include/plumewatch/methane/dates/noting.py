"""What fails on the way of a date is noted by name and the rest goes on; what a later run of the dates heals."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from plumewatch.errors import PlumewatchError, is_of_content, may_heal
from plumewatch.failures import Condition, Row, day_of_failure, partition_name
from plumewatch.models import FailedScene
from plumewatch.statuses import DETECTION_STAGE, WIND_STAGE

EXPECTED = (PlumewatchError, OSError, pa.ArrowException)  # what a broken file raises
FROM_OUTSIDE = (PlumewatchError, OSError, MemoryError, BotoCoreError, ClientError)
"""What a disk, a bucket or a full machine raises; any other error comes of the data, the same each time."""

AreaDay = tuple[str, str]
"""Area and date (YYYY-MM-DD) of a partition of pixels."""

log = logging.getLogger(__name__)


def failure_of(error: Exception, area: str, day: str, part: str = "") -> FailedScene:
    """Describe an error on a date, or on a `part` of it; what crashes on the same data crashes on them each time."""
    name = "/".join(filter(None, (partition_name(area, day), part)))
    failure = FailedScene.from_exception(error, scene_id=name, stage=DETECTION_STAGE, area=area)
    is_from_outside = isinstance(error, FROM_OUTSIDE) and not isinstance(error, NoCredentialsError)
    return replace(failure, is_retryable=may_heal(error) and is_from_outside)


@contextmanager
def noted(
    failures: list[FailedScene], area: str, day: str, part: str = "", *, is_reference: bool = False
) -> Iterator[None]:
    """Add an exception of the block to `failures` and go on: what is odd at one place must not take others along.

    One that nobody expects is logged with its traceback. Of a reference only what its content is at fault for: without
    one that couldn't be read now the target would be another result, so that fails, and is tried again.
    """
    try:
        yield
    except Exception as error:
        if is_reference and not is_of_content(error):
            raise
        failure = failure_of(error, area, day, part)
        if not isinstance(error, EXPECTED):
            log.exception("%s", failure.scene_id)
        failures.append(failure)


def dates_went_through(read: Collection[AreaDay], published: Collection[AreaDay], method: str) -> Condition:
    """Return the condition for failures of dates that are over.

    `read` are the partitions of pixels that were read, `published` those that `method` has published: another method
    that goes well doesn't heal what depends on the method. The wind of an area is over where its dates were published.
    """
    with_wind = {area for area, _ in published}

    def is_over(row: Row) -> bool:
        if row["stage"] == WIND_STAGE:
            return row["area"] in with_wind
        its_method = row["scene_id"].partition("/method=")[2].partition("/")[0]
        done = published if its_method else read
        went_through = its_method in ("", method) and (row["area"], day_of_failure(row["scene_id"])) in done
        return row["stage"] == DETECTION_STAGE and went_through

    return is_over
