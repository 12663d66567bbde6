"""Pairs of detections and sources at most 50 km apart, as the job's workers find them, against other ways to them.

Slices of detections lie in files, as the job writes them; the workers find the pairs of each, and hand back how many
and a sum that tells whether they are the right ones.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from detections_of_months import DetectionsAndSources, made_up
from figures import Figure, time_in_turns
from jobs import load_job
from plumewatch import storage
from plumewatch.geodesy import distance_to_chord, great_circle_distance_km, unit_vectors
from plumewatch.matching.candidates import ListedSources
from plumewatch.matching.detections import DETECTIONS
from plumewatch.matching.periods.worker import PeriodMatcher, slice_bytes
from plumewatch.spark_session import get_spark
from plumewatch.table import floats
from pyspark.sql import SparkSession
from scipy.spatial import cKDTree

N, N_SMALL, N_SOURCES, WITHIN_KM = 1_000_000, 100_000, 50_000, 50.0
SLICE, ROUNDS = 20_000, 3
KM_PER_DEGREE = 111.19
LIMITS = {"geopandas": ">= 1", "cKDTree": "<= 1.5", "ST_DistanceSphere": ">= 2", "growth": "<= 8"}

Found = tuple[int, int]
"""Number of pairs, and the sum of (detection x 7919 + source) over them."""


def pairs() -> Iterator[Figure]:
    """The stage that finds pairs, and the whole job at both sizes."""
    spark, folder = get_spark("bench"), Path(mkdtemp())
    try:
        world = made_up(N, N_SOURCES)
        few = DetectionsAndSources(world.seen.slice(0, N_SMALL), world.listed)
        staged = {n: _staged(folder / str(n), one) for n, one in ((N, world), (N_SMALL, few))}
        matcher = PeriodMatcher("co2", ListedSources.of(world.listed), WITHIN_KM)
        ours = partial(_by_workers, spark, matcher, staged[N])
        steps = [
            ours,
            partial(_by_workers, spark, matcher, staged[N_SMALL]),
            partial(_by_tree, world),
            partial(_by_geopandas, world),
        ]
        found = [step() for step in steps]  # warm
        sedona_s = time_in_turns([lambda: found.append(_by_sedona(spark, folder, world))], 1)[0]
        own, small, tree, boxes = time_in_turns(steps, ROUNDS)
        [wanted, right] = found[2], found[0] == found[2] == found[4]
        if not right:
            raise RuntimeError(f"other pairs than the tree's {wanted}: ours {found[0]}, Sedona's {found[4]}")
        note = f"{N} detections, {N_SOURCES} sources, {WITHIN_KM:.0f} km, {wanted[0]} pairs, all right; local[2], warm"
        lost = wanted[0] - found[3][0]
        for name, baseline_s, what, ratio in (
            ("geopandas", boxes, f"boxes, sjoin, haversine; it loses {lost} pairs", boxes / own),
            ("cKDTree", tree, "a bare cKDTree, one thread", own / tree),
            ("ST_DistanceSphere", sedona_s, "Sedona's join by ST_DistanceSphere, sources broadcast", sedona_s / own),
            ("growth", small, f"the same of {N_SMALL} detections", own / small),
        ):
            yield Figure(f"matching.pairs.{name}", own, "s", baseline_s, what, ratio, LIMITS[name], note)
        yield from _whole_job(folder, world, few)
    finally:
        shutil.rmtree(folder)
        spark.stop()


def _whole_job(folder: Path, world: DetectionsAndSources, few: DetectionsAndSources) -> Iterator[Figure]:
    job, seconds = load_job("match_sources"), {}
    for name, one in (("warm", few), ("few", few), ("all", world)):
        root = folder / name
        one.write(root)
        arguments = ["--detections-path", f"{root}/peaks", "--sources-path", f"{root}/sources", "--gas", "co2"]
        run = partial(job.run, job.parse_arguments([*arguments, "--matches-path", f"{root}/matches"]))
        [seconds[name]] = time_in_turns([run], 1)
    note = (
        f"{len(few.seen)} and {len(world.seen)} peaks of one month, pairs within 100 km, scored and written; local[2]"
    )
    growth = seconds["all"] / seconds["few"]
    yield Figure(
        "matching.job.growth", seconds["all"], "s", seconds["few"], f"the same of {len(few.seen)}", growth, None, note
    )


def _staged(folder: Path, world: DetectionsAndSources) -> list[str]:
    folder.mkdir()
    files = []
    for start in range(0, len(world.seen), SLICE):
        files.append(f"{folder}/{start:09d}.parquet")
        rows = world.seen.slice(start, SLICE)
        columns = {name: rows[name] if name in rows.column_names else pa.nulls(len(rows)) for name in DETECTIONS.names}
        storage.write_bytes(files[-1], slice_bytes(pa.table(columns).cast(DETECTIONS)))
    return files


def _by_workers(spark: SparkSession, matcher: PeriodMatcher, files: list[str]) -> Found:
    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import io

        import numpy
        import pyarrow
        import pyarrow.parquet

        for batch in batches:
            for number, path in (one for text in batch.column(0).to_pylist() for one in json.loads(text)):
                seen = pyarrow.parquet.read_table(io.BytesIO(storage.read_bytes(path)))
                near = matcher.pairs(seen)
                total = int(((near.detection + number * SLICE) * 7919 + near.source).astype(numpy.int64).sum())
                yield pyarrow.RecordBatch.from_pydict({"n": [len(near)], "total": [total]})

    half = -(-len(files) // 2)
    tasks = [json.dumps([[n, file] for n, file in list(enumerate(files))[at : at + half]]) for at in (0, half)]
    frame = spark.createDataFrame(list(enumerate(tasks)), "position int, task string")
    frame = frame.repartitionByRange(2, "position").select("task")
    rows = frame.mapInArrow(find, "n long, total long").toArrow()
    return pc.sum(rows["n"]).as_py(), pc.sum(rows["total"]).as_py()


def _by_tree(world: DetectionsAndSources) -> Found:
    trees = [cKDTree(unit_vectors(*(floats(rows[n]) for n in ("longitude", "latitude")))) for rows in world.both]
    near = trees[0].sparse_distance_matrix(trees[1], distance_to_chord(WITHIN_KM), output_type="ndarray")
    return _sum(near["i"], near["j"])


def _by_geopandas(world: DetectionsAndSources) -> Found:
    (lon0, lat0), (lon, lat) = ([floats(rows[n]) for n in ("longitude", "latitude")] for rows in world.both)
    high = WITHIN_KM / KM_PER_DEGREE
    wide = high / np.maximum(np.cos(np.radians(lat)), 0.01)
    boxes = geopandas.GeoDataFrame(geometry=shapely.box(lon - wide, lat - high, lon + wide, lat + high))
    joined = geopandas.GeoDataFrame(geometry=shapely.points(lon0, lat0)).sjoin(boxes, predicate="within")
    i, j = joined.index.to_numpy(), joined["index_right"].to_numpy()
    is_near = great_circle_distance_km(lon0[i], lat0[i], lon[j], lat[j]) <= WITHIN_KM
    return _sum(i[is_near], j[is_near])


def _by_sedona(spark: SparkSession, folder: Path, world: DetectionsAndSources) -> Found:
    from pyspark.sql.functions import broadcast, expr

    frames = []
    for name, rows in zip(("seen", "listed"), world.both, strict=True):
        places = pa.table({"i": np.arange(len(rows)), "x": rows["longitude"], "y": rows["latitude"]})
        pq.write_table(places, folder / f"{name}.parquet")
        frame = spark.read.parquet(f"{folder}/{name}.parquet").selectExpr(
            f"i AS {name}", f"ST_Point(x, y) AS at_{name}"
        )
        frames.append(frame)
    near = expr(f"ST_DistanceSphere(at_seen, at_listed) <= {WITHIN_KM * 1000.0!r}")
    joined = frames[0].repartition(2).join(broadcast(frames[1]), on=near)
    row: Any = joined.selectExpr("count(*) AS n", "sum(seen * 7919 + listed) AS total").first()
    return row["n"], row["total"]


def _sum(detection: np.ndarray, source: np.ndarray) -> Found:
    return len(detection), int((detection.astype(np.int64) * 7919 + source).sum())
