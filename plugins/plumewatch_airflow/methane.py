"""What DAGs do about methane: searches, rasters to pixels, pixels to plumes, and what a missing wind means for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import get_current_context
from plumewatch.failures import FailureBook
from plumewatch.gases import CH4
from plumewatch.jobs import JobResult
from plumewatch.keys import DAY
from plumewatch.missing_settings import HUB_ACCOUNT, missing_hub_account, missing_wind
from plumewatch.statuses import PIXELS_STAGE

from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import afterwards, draw_maps
from plumewatch_airflow.failures import failure_book
from plumewatch_airflow.missing import tell_missing
from plumewatch_airflow.spark import run_spark_job
from plumewatch_airflow.summary import Summary


def make_pixels(key: str, areas_path: str | list[str], **options: Any) -> JobResult:
    """Turn stacked scenes of the areas in `areas_path` into the pixel table."""
    settings = load_settings()
    return run_spark_job(
        "rasters_to_pixels",
        key=key,
        scenes_path=settings.table_root("scenes"),
        pixels_path=settings.table_root("pixels"),
        areas_path=areas_path,
        **options,
    )


def joined(found: Any, fetched: Any) -> EmptyOperator:
    """Return where a mapped task and what it was expanded over have ended; with nothing to expand it is skipped.

    A task that goes on after failures (`all_done_min_one_success`) is skipped where one before it is, this one isn't.
    """
    join = EmptyOperator(
        task_id="fetched_again",
        trigger_rule="none_failed_min_one_success",
        doc_md="What was found late is fetched, or nothing was found late.",
    )
    [found, fetched] >> join
    return join


def search_recorded(found: Any, book: FailureBook, summary: Summary) -> None:
    """Record what a search (`sentinel2.day_search.DaySearch`) found, and what failed, and count it.

    Areas that need an account that isn't there are told of, once by alert.
    """
    found.record(book)
    reason = missing_hub_account(load_settings())
    if found.without_account or not reason:
        tell_missing(HUB_ACCOUNT, partition_key(get_current_context(), DAY), reason)
    summary.read, summary.written, summary.skipped = found.n_items, len(found.scenes), found.n_skipped
    summary.failed = len(found.failed)


@contextmanager
def lost_scenes_told(
    record: Callable[..., int], scenes: Sequence[Mapping[str, Any]], handed_on: Collection[str], summary: Summary
) -> Iterator[None]:
    """After a block that makes pixels of `scenes`, however it ends, `record` which of them gave none, and count them.

    And draw the maps of their days, but of those `handed_on` by then: these are detected and drawn after this run.
    `record` is `sentinel2.ingest.record_missing_scenes`, once for each day.
    """
    settings, book = load_settings(), failure_book()

    def tell() -> None:
        keys, summary.failed = {scene["key"] for scene in scenes}, 0
        for key in sorted(keys):
            rows = [row for row in book.open_rows_of_run(key) if row["stage"] == PIXELS_STAGE]
            failed = {(row["area"], row["scene_id"]) for row in rows}
            of_key = [scene for scene in scenes if scene["key"] == key]
            others = failed - {(scene["area"], scene["scene_id"]) for scene in of_key}  # stored before, of the same day
            summary.failed += record(settings, key, of_key, failed) + len(others)
        draw_maps(CH4, keys - set(handed_on))

    with afterwards(tell):
        yield


def make_plumes(key: str, pixels: str = "pixels", **options: Any) -> JobResult:
    """Detect plumes, with the stored wind, in the table `pixels` or a partition of it (`pixels/area=A/date=D`)."""
    settings = load_settings()
    return run_spark_job(
        "detect_methane_plumes",
        key=key,
        pixels_path=settings.table_root(pixels),
        plumes_path=settings.table_root("plumes"),
        wind_path=settings.table_root("wind"),
        details_path=settings.table_root(CH4.details),
        **options,
    )


def tell_missing_wind(key: str) -> None:
    """Say that plumes have no rates where no wind source is set: in the log, and once by alert."""
    tell_missing("PLUMEWATCH_WIND", key, missing_wind(load_settings()))
