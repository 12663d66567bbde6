"""What several DAGs do about methane: rasters to pixels, pixels to plumes, and what a missing wind means for them."""

from __future__ import annotations

from typing import Any

from plumewatch.gases import CH4
from plumewatch.jobs import JobResult
from plumewatch.missing_settings import missing_wind

from plumewatch_airflow.connections import load_settings
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
