"""What several DAGs do about methane: rasters to pixels, pixels to plumes, and what a missing wind means for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from plumewatch.gases import CH4
from plumewatch.jobs import JobResult
from plumewatch.missing_settings import missing_wind
from plumewatch.statuses import PIXELS_STAGE

from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.detection import afterwards, draw_maps
from plumewatch_airflow.failures import failure_book
from plumewatch_airflow.missing import tell_missing
from plumewatch_airflow.spark import run_spark_job


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


@contextmanager
def lost_scenes_told(
    record: Callable[..., int], scenes: Sequence[Mapping[str, Any]], handed_on: Collection[str]
) -> Iterator[None]:
    """After a block that makes pixels of `scenes`, however it ends, `record` which of them gave none.

    And draw the maps of their days, but of those `handed_on` by then: these are detected and drawn after this run.
    `record` is `sentinel2.ingest.record_missing_scenes`.
    """
    settings, book = load_settings(), failure_book()

    def tell() -> None:
        keys = {scene["key"] for scene in scenes}
        for key in sorted(keys):
            rows = [row for row in book.open_rows_of_run(key) if row["stage"] == PIXELS_STAGE]
            failed = {(row["area"], row["scene_id"]) for row in rows}
            record(settings, key, [scene for scene in scenes if scene["key"] == key], failed)
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
