"""What is left of a searched date: its partitions of plumes and anomalies, its details, the pages of its scenes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.gases import ISOLATION_FOREST
from plumewatch.methane.anomalies import NOISE
from plumewatch.methane.dates.noting import noted
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.details.files import write_details
from plumewatch.methane.details.scene_pages import write_scene_pages
from plumewatch.methane.pass_search import PassResult, anomaly_columns, nothing_to_search
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.models import FailedScene
from plumewatch.statuses import ACCEPTED
from plumewatch.tables import ANOMALIES, PLUMES

NOTHING_WRITTEN: Mapping[str, Any] = {"rows_written": None, "outcomes": [], "counts": "{}"}
"""What is said of a date of which nothing is written, or not yet."""


def publish_results(
    task: AreaDates,
    day: str,
    results: Sequence[PassResult],
    lost: Sequence[Mapping[str, Any]],
    inputs: Collection[str],
    failures: list[FailedScene],
) -> Mapping[str, Any]:
    """Write all that is kept of a date if any of its passes could be searched, and return what is said of it."""
    told = NOTHING_WRITTEN
    if results or not lost:
        with noted(failures, task.area, day, f"method={task.method}"):
            rows = publish_date(task, day, results, lost, inputs, failures)
            outcomes = [one["outcome"] for one in stated_observations(task.area, results, lost)]
            told = {"rows_written": rows.num_rows, "outcomes": outcomes, "counts": json.dumps(count_by_status(rows))}
    return told


def publish_date(
    task: AreaDates,
    day: str,
    results: Sequence[PassResult],
    lost: Sequence[Mapping[str, Any]],
    inputs: Collection[str],
    failures: list[FailedScene],
) -> pa.Table:
    """Write all that is kept of a date and return its plumes.

    `lost` are the observations of passes that could not be searched. The partition of plumes is written last but for
    the pages, which show it; details, anomalies or a page that cannot be written cost no plume and go to `failures`.
    """

    def beside(output: str) -> AbstractContextManager[None]:
        return noted(failures, task.area, day, f"method={task.method}/{output}")

    if task.details_path is not None:
        with beside("plume_details"):
            write_details(task.details_path, task.keys(day), results)
    if task.anomalies_path is not None and task.method == ISOLATION_FOREST:
        with beside(ANOMALIES.name):
            _write_anomalies(task, task.anomalies_path, day, results, inputs)
    rows = _write_plumes(task, day, results, lost, inputs)
    if task.details_path is not None and task.anomalies_path is not None:
        with beside("scene_pages"):
            write_scene_pages(task.details_path, task.plumes_path, task.anomalies_path, task.area, day)
    return rows


def count_by_status(rows: pa.Table) -> dict[str, int]:
    """Return the number of rows of each status, `accepted` also where there is none."""
    return {ACCEPTED: 0} | dict(sorted(Counter(rows["status"].to_pylist()).items()))


def _write_plumes(
    task: AreaDates,
    day: str,
    results: Sequence[PassResult],
    lost: Sequence[Mapping[str, Any]],
    inputs: Collection[str],
) -> pa.Table:
    """Write the partition of plumes, with what was looked at in its manifest."""
    rows = PLUMES.from_pylist([plume.table_row for result in results for plume in result.plumes])
    settings = {"calibration": plume_thresholds().version, "wind_path": task.wind_path}
    storage.write_partition(
        PLUMES,
        task.plumes_path,
        task.keys(day),
        rows,
        inputs=inputs,
        settings=settings | (asdict(task.forest) if task.method == ISOLATION_FOREST else {}),
        counts=count_by_status(rows),
        extra={
            "observations": stated_observations(task.area, results, lost),
            "references": {r.observation["scene_id"]: [s for p in r.references for s in p.scene_ids] for r in results},
            "reference_weights": {r.observation["scene_id"]: _weights(r) for r in results if r.references},
            "compared_fraction": {r.observation["scene_id"]: _compared_fraction(r) for r in results if r.references},
        },
    )
    return rows


def stated_observations(
    area: str, results: Sequence[PassResult], lost: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the observations of a date: one a pass, one of a date without any."""
    return [*(result.observation for result in results), *map(dict, lost)] or [nothing_to_search(area)]


def _compared_fraction(result: PassResult) -> float:
    """Return the share of the target's usable pixels that were compared with a reference; the border never is."""
    if result.compared_fraction is not None:
        return result.compared_fraction
    detection, usable = result.detection, result.target.is_usable
    return 0.0 if detection is None else float((detection.valid & usable).sum() / max(1, usable.sum()))


def _weights(result: PassResult) -> list[dict[str, Any]]:
    """Return the scenes of each reference, nearest first, and its weight in the mean.

    They sum to 1, or to 0 where nothing was compared.
    """
    weights = result.detection.reference_weights if result.detection is not None else ()
    return [
        {"scene_ids": list(reference.scene_ids), "weight": weight}
        for reference, weight in zip(result.references, weights, strict=True)
    ]


def _write_anomalies(
    task: AreaDates, root: str, day: str, results: Sequence[PassResult], inputs: Collection[str]
) -> None:
    tables = [
        ANOMALIES.from_columns(anomaly_columns(r.target, r.anomalies)) for r in results if r.anomalies is not None
    ]
    rows = pa.concat_tables(tables) if tables else ANOMALIES.empty()
    clusters = sum(cluster != NOISE for cluster in rows["cluster"].to_pylist())
    storage.write_partition(
        ANOMALIES,
        root,
        {"area": task.area, "date": day},
        rows,
        inputs=inputs,
        settings=asdict(task.forest),
        counts={"in_clusters": clusters, "noise": rows.num_rows - clusters},
    )
