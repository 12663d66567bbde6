"""Scenes of a month become statistics of bands and indices over zones: polygons of a file, or hexagons of H3.

Sedona decides which zones and which areas' grids meet; the workers read the windows around some zones from each scene
of the month and count there, so that no pixel passes through the JVM. A cell is in the zone that holds its centre;
clouded cells never enter; over the month a cell counts once a date. What was counted is published after each large
share of the zones, in the order of their ids: a run that was ended goes on by --start-from, and finished zones are
kept.

    zonal_statistics.py --scenes-path storage/scenes --zones-path fields.gpkg --month 2025-08 \
        --statistics-path storage/zonal_statistics --index ndvi
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely
from plumewatch import jobs
from plumewatch.errors import InputError, some_of
from plumewatch.failures import Condition, NothingDone, never, went_through
from plumewatch.models import FailedScene
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.spark_session import get_spark, progress_logged
from plumewatch.statuses import STATISTICS_STAGE
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zonal_names import ALLOWED_STATISTICS, DEFAULT_STATISTICS, INDEX_BANDS, bands_of, is_statistic
from plumewatch.zones.area_months import AreaMonth, read_area_months
from plumewatch.zones.exports import month_table, write_csv, write_geopackage
from plumewatch.zones.hexagons import RESOLUTIONS, hexagons_over
from plumewatch.zones.indices import constants_with, require_bands
from plumewatch.zones.months import COUNTED, COUNTED_DDL, ZoneTask, count_zones
from plumewatch.zones.outlines import lonlat_shapes, outline_of, shapes_on
from plumewatch.zones.partition import ZonePartition, is_of_counted_zones, rows_of, zone_failure_name
from plumewatch.zones.plan import WAVE_CELLS, Counting, cells_of, plan_zone_tasks, waves
from plumewatch.zones.zone import Zones, sort_key
from plumewatch.zones.zone_files import read_zones
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import broadcast, expr

MAX_SPARK_TASKS = 256
MOST_NAMED = 10

log = logging.getLogger("plumewatch.zonal_statistics")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="zonal_statistics.py", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--scenes-path", required=True, help="stacked scenes: the root or a partition folder")
    zones = parser.add_mutually_exclusive_group(required=True)
    zones.add_argument("--zones-path", help="GeoPackage, Shapefile or GeoJSON of polygons or points")
    resolution = jobs.number(int, lambda n: n in RESOLUTIONS, f"a whole number from 0 to {RESOLUTIONS[-1]}")
    zones.add_argument("--h3-resolution", type=resolution, help="hexagons of H3 over the scenes")
    parser.add_argument("--layer", help="layer of the file, where it has several")
    parser.add_argument("--zone-id-column", help="default: the first of zone_id, id, name, else 1, 2")
    parser.add_argument(
        "--zone-id", nargs="+", action="extend", help="only these zones; the stored rows of others are kept"
    )
    parser.add_argument("--start-from", help="only this zone and those after it; the stored rows of others are kept")
    parser.add_argument("--month", type=jobs.month, required=True, help="YYYY-MM")
    parser.add_argument("--statistics-path", required=True, help="root of the table zonal_statistics")
    parser.add_argument(
        "--index",
        nargs="+",
        action="extend",
        default=[],
        help=f"{', '.join(INDEX_BANDS)}, or bands (b04); default: the scenes' bands",
    )
    parser.add_argument(
        "--statistics", default=",".join(DEFAULT_STATISTICS), help=f"{ALLOWED_STATISTICS} (default: %(default)s)"
    )
    parser.add_argument(
        "--index-constants", nargs="+", action="extend", default=[], help="such as L=0.5 eps=0 (default: the project's)"
    )
    parser.add_argument(
        "--areas-path", nargs="+", action="extend", help="areas of interest: what counts as clear in each"
    )
    count = jobs.number(int, lambda n: n >= 1, "a whole number of at least 1")
    parser.add_argument("--zones-at-once", type=count, help="publish after so many (default: by their number of cells)")
    parser.add_argument("--geopackage-path", help="file for the month: a zone a row, with its outline")
    parser.add_argument("--csv-path", help="file for the month: a zone a row")
    jobs.add_run_arguments(parser)
    arguments = parser.parse_args(argv)
    arguments.index, indices = _names(arguments.index), f"{', '.join(INDEX_BANDS)}, or bands as b04"
    arguments.statistics = _names([arguments.statistics])
    if odd := [name for name in arguments.index if name not in INDEX_BANDS and not _is_band(name)]:
        parser.error(f"--index {', '.join(map(repr, odd))}; allowed: {indices}")
    if odd := [name for name in arguments.statistics if not is_statistic(name)]:
        parser.error(f"--statistics {', '.join(map(repr, odd))}; allowed: {ALLOWED_STATISTICS}")
    try:
        constants_with(arguments.index_constants)
    except ValueError as error:
        parser.error(f"--index-constants {error}; allowed: G, C1, C2, L, eps as NAME=number")
    if arguments.zone_id and arguments.start_from:
        parser.error("--zone-id with --start-from; allowed: one of them")
    if arguments.h3_resolution is not None and (arguments.layer or arguments.zone_id_column):
        parser.error("--h3-resolution with --layer or --zone-id-column; allowed: those with --zones-path")
    return arguments


def _names(texts: Sequence[str]) -> list[str]:
    """Names between commas, in small letters; an empty one stays, as no name is none of those allowed."""
    return [name.strip().lower() for text in texts for name in text.split(",")]


def _is_band(name: str) -> bool:
    return name.upper() in SENTINEL2.bands


def join_zones(zones: DataFrame, grids: DataFrame) -> DataFrame:
    """Return for each of the `zones` (number, outline) the area of the `grids` (area, outline) that holds most of it,
    and how many hold some (n_areas).

    Outlines are WKB in degrees. Of areas that hold as much of a zone it is the last by name; a zone that no area
    reaches has no row.
    """
    one = zones.selectExpr("number", "ST_GeomFromWKB(outline) AS zone")
    other = grids.selectExpr("area", "ST_GeomFromWKB(outline) AS grid")
    held = "struct(round(ST_Area(ST_Intersection(zone, grid)), 12) AS shared, area) AS held"
    met = one.join(broadcast(other), expr("ST_Intersects(zone, grid)")).selectExpr("number", held)
    return met.groupBy("number").agg(expr("max(held).area AS area"), expr("count(*) AS n_areas"))


def transform(tasks: DataFrame) -> DataFrame:
    """Return what the workers count (plumewatch.zones.months.COUNTED), from a JSON of ZoneTask in each row."""
    return tasks.mapInArrow(count_zones, COUNTED_DDL)


@dataclass
class _Work:
    """What a run has read, and what it finds on the way."""

    zones: Zones
    months: dict[str, AreaMonth]
    """By area."""
    counting: Counting
    scene_ids: list[str]
    """By number."""
    failures: dict[str, FailedScene]
    """By what failed."""

    @property
    def inputs(self) -> list[str]:
        items = (scene.paths.item for month in self.months.values() for scene in month.scenes)
        return [item for item in items if item not in self.counting.bad]


def run(arguments: argparse.Namespace) -> jobs.JobResult:
    """Count the zones of one month; what failed is recorded where nothing could be counted too."""
    failures: dict[str, FailedScene] = {}
    try:
        return _run(arguments, failures)
    except NothingDone:
        _settle(arguments, failures, never)
        raise


def _settle(arguments: argparse.Namespace, failures: dict[str, FailedScene], is_over: Condition) -> None:
    keyed = [(arguments.month, failure) for failure in failures.values()]
    jobs.settle(arguments, arguments.statistics_path, keyed, [arguments.month], is_over)


def _run(arguments: argparse.Namespace, failures: dict[str, FailedScene]) -> jobs.JobResult:
    months = read_area_months(arguments.scenes_path, arguments.month, arguments.areas_path, STATISTICS_STAGE, failures)
    if failures and not months:
        raise NothingDone(list(failures.values()))
    if not months:
        return jobs.JobResult(0, 0)
    scene_ids = [scene.paths.scene_id for month in months.values() for scene in month.scenes]
    zones = _zones(arguments, months, failures)
    work = _Work(zones, months, _counting(arguments, months), scene_ids, failures)
    wanted = _wanted(arguments, zones)
    others = sorted(set(range(len(zones.zones))) - set(wanted))
    partition = ZonePartition(arguments.statistics_path, arguments.month, zones, work.counting, others)
    spark = get_spark("zonal_statistics")
    rows = _count_all(spark, work, wanted, partition, arguments.zones_at_once)
    _settle(arguments, failures, _is_over(months, zones, wanted))
    if arguments.csv_path:
        write_csv(arguments.csv_path, month_table(partition.read()))
    if arguments.geopackage_path:
        write_geopackage(arguments.geopackage_path, month_table(partition.read()), zones)
    of_scenes = rows.filter(pc.is_valid(rows["scene_id"]))
    cells_read = (pc.sum(of_scenes["count_total"]).as_py() or 0) // len(work.counting.statistics)
    return jobs.JobResult(cells_read, rows.num_rows, len(failures))


def _zones(arguments: argparse.Namespace, months: dict[str, AreaMonth], failures: dict[str, FailedScene]) -> Zones:
    if arguments.h3_resolution is not None:
        cell_m = max((month.grid.resolution_m for month in months.values()), default=0.0)
        return hexagons_over([outline_of(m.grid) for m in months.values()], arguments.h3_resolution, cell_m)

    refused: dict[str, InputError] = {}
    zones = read_zones(arguments.zones_path, arguments.layer, arguments.zone_id_column, refused.__setitem__)
    for where, error in refused.items():
        name = zone_failure_name(zones, where)
        failures[name] = FailedScene.from_exception(error, scene_id=name, stage=STATISTICS_STAGE)
    if zones.mended:
        log.warning("crossed themselves, and were made valid: %s", some_of(zones.mended, MOST_NAMED))
    return zones


def _is_over(months: dict[str, AreaMonth], zones: Zones, wanted: Sequence[int]) -> Condition:
    """Heals the scenes that were counted, the zones that were, and what the file refuses no more."""
    scenes = [(scene.paths.area, scene.paths.scene_id) for month in months.values() for scene in month.scenes]
    counted = went_through(STATISTICS_STAGE, scenes)
    left = {zone.zone_id for zone in zones.zones} - {zones.zones[number].zone_id for number in wanted}
    of_zones = is_of_counted_zones(zones, left)
    return lambda row: counted(row) or of_zones(row)


def _wanted(arguments: argparse.Namespace, zones: Zones) -> list[int]:
    """Numbers of the zones that are asked for."""
    ids = [zone.zone_id for zone in zones.zones]
    if arguments.zone_id:
        if unknown := [one for one in arguments.zone_id if one not in ids]:
            raise InputError(f"--zone-id {', '.join(unknown)}", "no such zone", some_of(ids, MOST_NAMED))
        return [number for number, zone_id in enumerate(ids) if zone_id in arguments.zone_id]
    if arguments.start_from is None:
        return list(range(len(ids)))
    if arguments.start_from not in ids:
        raise InputError(f"--start-from {arguments.start_from}", "no such zone", some_of(ids, MOST_NAMED))
    order = sort_key(ids)
    return [number for number, zone_id in enumerate(ids) if order(zone_id) >= order(arguments.start_from)]


def _counting(arguments: argparse.Namespace, months: dict[str, AreaMonth]) -> Counting:
    """What is counted; scenes that lack the bands of an index are left out by name, and there must be others."""
    scenes = [scene for month in months.values() for scene in month.scenes]
    present = sorted({band for scene in scenes for band in scene.bands if band}, key=SENTINEL2.bands.index)
    names = tuple(dict.fromkeys(arguments.index)) or tuple(band.lower() for band in present)
    for name in names:
        lacking = [scene for scene in scenes if not set(bands_of(name)) <= set(scene.bands)]
        if lacking and len(lacking) == len(scenes):
            require_bands(name, [band for band in scenes[0].bands if band], scenes[0].paths.raster("data"))
        if lacking and name in arguments.index:
            log.warning(
                "left out of %s, as they lack its bands %s: %s", name, ", ".join(bands_of(name)),
                some_of([scene.paths.item for scene in lacking], MOST_NAMED),
            )  # fmt: skip
    return Counting(names, tuple(dict.fromkeys(arguments.statistics)), tuple(arguments.index_constants))


def _areas_of(spark: SparkSession, work: _Work, outlines: dict[int, Any]) -> dict[int, str]:
    """The area on whose grid each zone is counted, by its outline in degrees; those outside of all are named."""
    zones = [(number, shapely.to_wkb(outline)) for number, outline in outlines.items()]
    grids = [(area, shapely.to_wkb(outline_of(month.grid))) for area, month in work.months.items()]
    held = join_zones(
        spark.createDataFrame(zones, "number int, outline binary"),
        spark.createDataFrame(grids, "area string, outline binary"),
    ).toArrow()
    found = dict(zip(held["number"].to_pylist(), held["area"].to_pylist(), strict=True))
    if outside := [work.zones.zones[number].zone_id for number in outlines if number not in found]:
        log.warning("outside of all scenes: zones %s", some_of(outside, MOST_NAMED))
    shared = held.filter(pc.greater(held["n_areas"], 1))["number"].to_pylist()
    if several := [work.zones.zones[number].zone_id for number in sorted(shared)]:
        log.warning("of several areas, counted in the one that holds most: zones %s", some_of(several, MOST_NAMED))
    return found


def _shapes(work: _Work, area_of: dict[int, str], outlines: dict[int, Any]) -> dict[int, Any]:
    """The shapes of the zones that are met, in the system of their area's grid."""
    found: dict[int, Any] = {}
    for area, month in work.months.items():
        numbers = [number for number, held_by in area_of.items() if held_by == area]
        zones = [work.zones.zones[number] for number in numbers]
        shapes = shapes_on(month.grid, zones, work.zones.crs, [outlines[number] for number in numbers])
        found |= dict(zip(numbers, shapes, strict=True))
    return found


def _count_all(
    spark: SparkSession, work: _Work, wanted: Sequence[int], partition: ZonePartition, zones_at_once: int | None
) -> pa.Table:
    """Count the wanted zones in the order of their ids, publish each large share, and return all rows.

    A scene that turns out to be bad is left out of the whole month: then all is counted anew. Where none is left
    nothing is published.
    """
    if partition.kept:
        partition.read()  # said before the work where finished zones don't fit
    chosen = [work.zones.zones[number] for number in wanted]
    outlines = dict(zip(wanted, lonlat_shapes(chosen, work.zones.crs), strict=True))
    area_of = _areas_of(spark, work, outlines)
    shapes = _shapes(work, area_of, outlines)
    weights = (
        [1.0] * len(wanted)
        if zones_at_once
        else cells_of(wanted, work.months, area_of, shapes, len(work.counting.names))
    )
    while True:
        rows, n_bad = ZONAL_STATISTICS.empty(), len(work.counting.bad)
        for wave in waves(weights, zones_at_once or WAVE_CELLS):
            numbers, left = wanted[wave.start : wave.stop], wanted[wave.stop :]
            counted = _counted(spark, _tasks(work, numbers, area_of, shapes))
            if _note_bad_scenes(work, counted):
                if not work.inputs:
                    raise NothingDone([work.failures[item] for item in sorted(work.counting.bad)])
                break
            named = rows_of(counted, numbers, work.zones, work.scene_ids, work.counting)
            rows = pa.concat_tables([rows, named])
            partition.write(rows, left, work.inputs)
            if left:
                log.info("published to zone %s; %s left", work.zones.zones[numbers[-1]].zone_id, len(left))
        if len(work.counting.bad) == n_bad:
            return rows


def _note_bad_scenes(work: _Work, counted: pa.Table) -> bool:
    """Note the scenes that the workers couldn't read; whether there are any."""
    items = {
        (scene.paths.area, scene.paths.scene_id): scene.paths.item
        for month in work.months.values()
        for scene in month.scenes
    }
    found = [FailedScene(**json.loads(text)) for text in pc.drop_null(counted["failures"]).to_pylist()]
    for failure in found:
        item = items[str(failure.area), failure.scene_id]
        work.failures[item] = failure
        work.counting.bad.add(item)
    return bool(found)


def _tasks(work: _Work, numbers: Sequence[int], area_of: dict[int, str], shapes: dict[int, Any]) -> Iterator[ZoneTask]:
    for area, month in work.months.items():
        of_area = [number for number in numbers if area_of.get(number) == area]
        yield from plan_zone_tasks(month, of_area, shapes, work.counting)


def _counted(spark: SparkSession, tasks: Iterator[ZoneTask]) -> pa.Table:
    rows = [(task.to_json(),) for task in tasks]
    if not rows:
        return COUNTED.empty_table()
    frame = spark.createDataFrame(rows, "task string").repartition(min(len(rows), MAX_SPARK_TASKS))
    with progress_logged(spark, "zones"):
        return transform(frame).toArrow()


if __name__ == "__main__":
    jobs.main(parse_arguments, run)
