"""Stacked scenes become the pixel table: one row per grid cell and overpass whose centre lies in the area.

Sedona decides which windows of the rasters and which areas meet; the workers read those windows and write the Parquet
files themselves, so that no pixel passes through the JVM. A scene that cannot be read is named in failed_scenes, and
the others go through.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

import pyarrow as pa
import shapely
from plumewatch import jobs, storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.errors import InputError
from plumewatch.failures import NothingDone, went_through
from plumewatch.models import FailedScene
from plumewatch.rasters.scene_store import ScenePaths, list_scenes, unchanged
from plumewatch.sentinel2.bands import CLOUD_DILATION_M, LAST_CLASS
from plumewatch.sentinel2.clouds import PixelSettings, pixel_settings
from plumewatch.sentinel2.date_plans import Areas, DatePlans, Key
from plumewatch.sentinel2.pixel_files import WRITTEN_DDL, write_pixel_files
from plumewatch.sentinel2.pixel_plan import (
    PixelPartition,
    plan_tasks,
    plan_windows,
    window_envelope,
)
from plumewatch.sentinel2.pixels import CellWindow
from plumewatch.sentinel2.presence import outline_sha256
from plumewatch.sentinel2.replaced import empty_if_bare
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.statuses import PIXELS_STAGE
from plumewatch.tables import PIXELS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr

# Each Spark task does its share of the work list in turn: one more costs a worker 0.1 s, half of what a million pixels
# cost. From so few on, which keep some cores evenly busy, to what is enough for those of a small cluster.
FEW_SPARK_TASKS, MAX_SPARK_TASKS, SHARE = 8, 64, 4
WINDOWS_DDL = (
    "area string, date string, row int, col int, height int, width int, "
    "west double, south double, east double, north double"
)

log = logging.getLogger("plumewatch.rasters_to_pixels")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--scenes-path", required=True, help="stacked scenes: the root or a partition folder")
    parser.add_argument("--pixels-path", required=True, help="root of the table pixels")
    parser.add_argument(
        "--areas-path",
        nargs="+",
        action="extend",
        help="folders or files of areas of interest: only cells in the area of the partition's name",
    )
    parser.add_argument("--date", type=jobs.day, help="only this UTC date (YYYY-MM-DD)")
    parser.add_argument("--clear-classes", type=_classes, help="SCL classes (default: the area's, else 4,5,6,7)")
    parser.add_argument(
        "--cloud-dilation-m",
        type=jobs.number(float, lambda metres: 0 <= metres < math.inf, "metres, 0 or more"),
        help=f"margin around cloud and its shadow (default: the area's, else {CLOUD_DILATION_M:g} m)",
    )
    jobs.add_run_arguments(parser)
    return parser.parse_args(argv)


def join_windows(windows: DataFrame, areas: DataFrame) -> DataFrame:
    """Return the windows (WINDOWS_DDL) that meet the area of their name, with `is_inside`: the area contains them.

    `areas` has the columns name and outline (WKB, longitude and latitude).
    """
    envelope = "ST_PolygonFromEnvelope(west, south, east, north)"
    shapes = areas.select("name", expr("ST_GeomFromWKB(outline)").alias("shape"))
    met = windows.join(shapes, expr(f"area = name AND ST_Intersects(shape, {envelope})"))
    return met.withColumn("is_inside", expr(f"ST_Contains(shape, {envelope})"))


def transform(tasks: DataFrame) -> DataFrame:
    """Return the list of files that the workers wrote, a row for each task (a JSON of plan_tasks)."""
    return tasks.mapInArrow(write_pixel_files, WRITTEN_DDL)


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Write the partitions of all scenes that are asked for."""
    areas = _areas(arguments.areas_path)
    by_key: dict[Key, list[ScenePaths]] = {}
    for paths in _list(arguments, areas):
        by_key.setdefault((paths.area, paths.date), []).append(paths)
    plans, rows_read, rows_written = DatePlans(), 0, 0
    to_do = plans.plan(by_key, areas)
    settings = {partition.area: _settings(arguments, areas, partition.area) for partition in to_do}
    _tell_missing_probabilities(to_do, settings)
    published: list[PixelPartition] = []
    while to_do:
        answers = _write(get_spark("rasters_to_pixels"), to_do, areas, arguments.pixels_path, settings)
        again: list[PixelPartition] = []
        for partition in to_do:
            key = (partition.area, partition.date)
            written = answers.get(key, [])
            rows_read += sum(row["cells_read"] for row in written)
            with unchanged(plans.folders[key]):
                if now := plans.changed(key):
                    again += plans.plan(now, areas)
                    if not now[key]:
                        empty_if_bare(arguments.pixels_path, plans.folders[key][0])
                elif bad := {
                    v["scene_id"]: FailedScene(**v) for row in written for v in json.loads(row["failures"] or "[]")
                }:
                    plans.failures[key] += bad.values()
                    if rest := partition.without(set(bad)):
                        again.append(rest)
                else:
                    rows_written += _publish(arguments, settings[partition.area], areas, partition, written)
                    published.append(partition)
        to_do = again  # a scene that turned out to be bad is left out of its day as a whole
    scenes = [(partition.area, scene.paths.scene_id) for partition in published for scene in partition.scenes]
    failures = [(day, failure) for (_, day), failed in plans.failures.items() for failure in failed]
    dates = {partition.date for partition in published}
    jobs.settle(arguments, arguments.pixels_path, failures, dates, went_through(PIXELS_STAGE, scenes))
    if failures and not published:
        raise NothingDone([failure for _, failure in failures])
    return jobs.JobResult(rows_read, rows_written, len(failures))


def _areas(paths: list[str] | None) -> Areas:
    if paths is None:
        return None
    areas = {area.name: area for area in read_areas(*paths, on_failure=log_unreadable)}
    if not areas:
        allowed = "GeoJSON, GeoPackage or Shapefile, one feature an area"
        raise InputError(", ".join(paths), "no areas of interest", allowed)
    return areas


def _settings(arguments: argparse.Namespace, areas: Areas, name: str) -> PixelSettings:
    area = None if areas is None else areas[name]
    return pixel_settings(area, arguments.clear_classes, arguments.cloud_dilation_m)


def _tell_missing_probabilities(partitions: Sequence[PixelPartition], settings: Mapping[str, PixelSettings]) -> None:
    """Name the scenes without the cloud probability that their area has a limit of."""
    for partition in partitions:
        if settings[partition.area].max_cloud_probability is not None:
            for scene in partition.scenes:
                if not storage.exists(scene.paths.raster("cloud")):
                    log.warning("%s: no cloud probability: its classification alone decides", scene.paths.item)


def _list(arguments: argparse.Namespace, areas: Areas) -> list[ScenePaths]:
    """The scenes that are asked for."""
    path = arguments.scenes_path
    if not storage.exists(path):
        raise InputError(path, "no such folder", "the root of stacked scenes, or a partition folder of it")
    found = list_scenes(path, None if arguments.date is None else [arguments.date])
    known = [paths for paths in found if areas is None or paths.area in areas]
    others = sorted({paths.area for paths in found} - {paths.area for paths in known})
    if others and not known:
        found_instead = f"none of the areas {', '.join(others)}"
        raise InputError(", ".join(arguments.areas_path), found_instead, "the areas of the scenes")
    if others:
        log.warning("left out, not among the areas of %s: %s", ", ".join(arguments.areas_path), ", ".join(others))
    log.info("%s scenes below %s", len(known), path)
    return known


def _write(
    spark: SparkSession,
    partitions: Sequence[PixelPartition],
    areas: Areas,
    root: str,
    settings: Mapping[str, PixelSettings],
) -> dict[Key, list[dict[str, Any]]]:
    """Let the workers write the files of the partitions, and return what they say."""
    windows = _windows(spark, partitions, areas)
    tasks = [
        task
        for partition in partitions
        for task in plan_tasks(
            partition,
            windows.get((partition.area, partition.date), []),
            None if areas is None else shapely.to_wkb(areas[partition.area].geometry),
            storage.partition_path(root, {"area": partition.area, "date": partition.date}),
            settings[partition.area],
        )
    ]
    answers: dict[Key, list[dict[str, Any]]] = {}
    if tasks:
        frame = spark.createDataFrame(pa.table({"task": tasks}))  # from rows a worker's Python would turn them first
        with progress_logged(spark, "rasters to pixels"):
            written = transform(frame.repartition(_count_spark_tasks(len(tasks)))).toArrow()
        for row in written.to_pylist():
            answers.setdefault((row["area"], row["date"]), []).append(row)
    return answers


def _count_spark_tasks(n: int) -> int:
    """How many Spark tasks share n tasks."""
    return min(n, max(FEW_SPARK_TASKS, n // SHARE), MAX_SPARK_TASKS)


def _windows(
    spark: SparkSession, partitions: Sequence[PixelPartition], areas: Areas
) -> dict[Key, list[tuple[CellWindow, bool]]]:
    """The windows of each partition that meet its area, each with whether the area contains it whole."""
    planned = {(p.area, p.date): plan_windows(p) for p in partitions}
    if areas is None:
        return {key: [(window, True) for window in windows] for key, windows in planned.items()}
    rows = [
        (p.area, p.date, *astuple(window), *window_envelope(p.grid, window))
        for p in partitions
        for window in planned[p.area, p.date]
    ]
    outlines = [(name, shapely.to_wkb(area.geometry)) for name, area in sorted(areas.items())]
    met = join_windows(
        spark.createDataFrame(rows, WINDOWS_DDL), spark.createDataFrame(outlines, "name string, outline binary")
    )
    columns = ("area", "date", "row", "col", "height", "width", "is_inside")
    found: dict[Key, list[tuple[CellWindow, bool]]] = {}
    for row in met.select(*columns).orderBy(*columns[:4]).toArrow().to_pylist():
        window = CellWindow(row["row"], row["col"], row["height"], row["width"])
        found.setdefault((row["area"], row["date"]), []).append((window, row["is_inside"]))
    return found


def _publish(
    arguments: argparse.Namespace,
    settings: PixelSettings,
    areas: Areas,
    partition: PixelPartition,
    written: Sequence[Mapping[str, Any]],
) -> int:
    """Make the workers' files the partition, and return its number of rows."""
    outline = {} if areas is None else {"outline_sha256": outline_sha256(areas[partition.area])}
    rows, clear, no_data = (sum(row[name] for row in written) for name in ("rows", "clear", "no_data"))
    storage.publish_partition(
        PIXELS,
        arguments.pixels_path,
        {"area": partition.area, "date": partition.date},
        [row["file"] for row in written if row["file"]],
        rows,
        inputs=[scene.paths.item for scene in partition.scenes],
        settings={
            "clear_classes": settings.clear_classes,
            "cloud_dilation_m": settings.cloud_dilation_m,
            **({} if (limit := settings.max_cloud_probability) is None else {"max_cloud_probability": limit}),
            "rows_count_on": "area" if partition.is_on_area_grid else "scenes",
        },
        extra={"grid": asdict(partition.grid), **outline, **partition.stated_sources},
        counts={"clear": clear, "not_clear": rows - clear - no_data, "no_data": no_data},
    )
    log.info("area=%s date=%s: %s rows of %s scenes", partition.area, partition.date, rows, len(partition.scenes))
    return rows


def _classes(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) <= LAST_CLASS for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: numbers from 0 to {LAST_CLASS}, with commas")
    return tuple(sorted({int(part) for part in parts}))


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
