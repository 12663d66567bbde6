"""One pass searched by one method: references chosen, plumes described, and what was looked at stated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch.methane.anomalies import Anomalies, ForestSettings, detect_isolation_forest, find_anomalies
from plumewatch.methane.detection import (
    ACCEPTED,
    MULTI_PASS,
    SINGLE_PASS,
    Detection,
    accepted_significance,
    detect_multi_pass,
    detect_single_pass,
)
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume, WindOf, describe_plumes
from plumewatch.methane.quantification import detection_limit_kg_h
from plumewatch.methane.thresholds import Thresholds

SEARCHED, SKIPPED_CLOUD, NO_REFERENCE, NO_INPUT = "searched", "skipped_cloud", "no_reference", "no_input"
STAGE = "detection"
OVERPASS_SOLAR_HOURS = 10.5  # mean local solar time at the descending node, ESA Sentinel-2 mission guide
DEGREES_PER_HOUR = 15.0


@dataclass(frozen=True, eq=False)
class PassResult:
    """What came of one pass."""

    target: Pass
    """The pass that was searched."""
    references: tuple[Pass, ...]
    """What it was compared with, nearest in time first."""
    detection: Detection | None
    """None where it wasn't searched."""
    plumes: tuple[Plume, ...]
    """All candidates, refused ones too."""
    anomalies: Anomalies | None
    """Of isolation_forest."""
    observation: dict[str, Any]
    """The row of the table `observations`, its time as ISO text."""


def choose_references(target: Pass, earlier: Iterable[Pass], limits: Thresholds) -> list[Pass]:
    """Return the first of the `earlier` passes (nearest in time first) that see enough of the target's ground."""
    rule = limits["references"]
    usable = max(1, int(target.is_usable.sum()))
    chosen: list[Pass] = []
    for candidate in earlier:
        shared = int((target.is_usable & candidate.is_usable).sum()) / usable
        if candidate.clear_fraction >= rule["min_clear_fraction"] and shared >= rule["min_shared_fraction"]:
            chosen.append(candidate)
        if len(chosen) == rule["max_count"]:
            break
    return chosen


def search_pass(
    area: str,
    target: Pass,
    earlier: Iterable[Pass],
    wind_of: WindOf,
    method: str,
    forest: ForestSettings,
    limits: Thresholds,
) -> PassResult:
    """Search one pass by `multi_pass`, `single_pass` or `isolation_forest`.

    `earlier` are passes on the target's window, nearest in time first; they are only looked at by multi_pass.
    """
    references: list[Pass] = []
    if target.clear_fraction < limits["scene"]["min_clear_fraction"]:
        return _result(area, target, references, SKIPPED_CLOUD, None, None, wind_of, limits)
    if method == MULTI_PASS:
        references = choose_references(target, earlier, limits)
        if not references:
            return _result(area, target, references, NO_REFERENCE, None, None, wind_of, limits)
        return _result(
            area, target, references, SEARCHED, detect_multi_pass(target, references, limits), None, wind_of, limits
        )
    if method == SINGLE_PASS:
        return _result(area, target, references, SEARCHED, detect_single_pass(target, limits), None, wind_of, limits)
    anomalies = find_anomalies(target, forest)
    detection = detect_isolation_forest(target, anomalies, limits)
    return _result(area, target, references, SEARCHED, detection, anomalies, wind_of, limits)


def _result(
    area: str, target: Pass, references: Sequence[Pass], outcome: str, detection: Detection | None,
    anomalies: Anomalies | None, wind_of: WindOf, limits: Thresholds,
) -> PassResult:  # fmt: skip
    plumes = describe_plumes(area, target, references, detection, wind_of, limits) if detection else []
    height, width = target.shape
    wind = wind_of(*(float(a) for a in target.place.longitude_latitude((height - 1) / 2, (width - 1) / 2)))
    limit = float("nan")
    if detection and wind and detection.noise_mol_m2:
        accepted_at = accepted_significance(detection.method, len(references), limits)
        limit = detection_limit_kg_h(detection.noise_mol_m2, wind.speed_m_s, accepted_at)
    observation = {
        "area": area,
        "orbit": None,
        "scene_id": target.scene_ids[0],
        "source_id": None,
        "observed_at_utc": target.observed_at_utc.isoformat() if target.observed_at_utc else None,
        "outcome": outcome,
        "clear_fraction": target.clear_fraction,
        "wind_speed_m_s": wind.speed_m_s if wind else None,
        "detection_limit": limit if np.isfinite(limit) else None,
        "detected": any(plume.candidate.status == ACCEPTED for plume in plumes),
        "stage": STAGE,
    }
    return PassResult(target, tuple(references), detection, tuple(plumes), anomalies, observation)


def nothing_to_search(area: str) -> dict[str, Any]:
    """Return the observation of an area and date whose pixel table has no rows."""
    empty = dict.fromkeys(
        ("orbit", "scene_id", "source_id", "observed_at_utc", "clear_fraction", "wind_speed_m_s", "detection_limit")
    )
    return empty | {"area": area, "outcome": NO_INPUT, "detected": False, "stage": STAGE}


def time_of(target: Pass, day: str) -> datetime:
    """Return when the pass was: what the table says, else 10:30 mean solar time of the area on `day` (YYYY-MM-DD)."""
    if target.observed_at_utc is not None:
        return target.observed_at_utc
    midnight = datetime.combine(date.fromisoformat(day), time(), UTC)
    return midnight + timedelta(hours=OVERPASS_SOLAR_HOURS - target.place.longitude0 / DEGREES_PER_HOUR)


def anomaly_columns(target: Pass, anomalies: Anomalies) -> dict[str, Any]:
    """Return the columns of the table `anomalies`."""
    index = target.scene_index[anomalies.row, anomalies.col]
    return {
        "scene_id": pa.array([target.scene_ids[i] for i in index], pa.string()),
        "row": (anomalies.row + target.place.row0).astype("int32"),
        "col": (anomalies.col + target.place.col0).astype("int32"),
        "longitude": anomalies.longitude,
        "latitude": anomalies.latitude,
        "score": anomalies.score,
        "cluster": anomalies.cluster,
    }
