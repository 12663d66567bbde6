"""One pass searched by one method: references chosen, plumes described, and what was looked at stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS
from plumewatch.methane.alignment import cloud_margin_px, comparable_ground
from plumewatch.methane.anomalies import Anomalies, ForestSettings, detect_isolation_forest, find_anomalies
from plumewatch.methane.detection import Detection, detect_multi_pass, detect_single_pass
from plumewatch.methane.enhancement_bias import unbiased_enhancement
from plumewatch.methane.grid_place import GridPlace
from plumewatch.methane.pass_rows import PassFacts
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume, WindOf, describe_plumes, refuse_downwind_pieces
from plumewatch.methane.probability import is_calibrated
from plumewatch.methane.quantification import detection_limit_kg_h
from plumewatch.methane.smoothing import OWN, Mask, SceneNumbers, robust_sigma, sampled
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.sensors.known import sensor_of_platform
from plumewatch.statuses import ACCEPTED, DETECTION_STAGE, NO_INPUT, NO_REFERENCE, SEARCHED, SKIPPED_CLOUD
from plumewatch.wind.at_point import WindAtPoint

LEAST_TEXTURE = 1e-4  # spread of ln B11 of a picture: the noise of the instrument alone gives ten times that
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
    around: Mapping[str, PassResult] = field(default_factory=dict)
    """By plume_id: the part of a large pass around a plume, searched; empty for a pass that was searched whole."""
    compared_fraction: float | None = None
    """Share of a large pass's usable pixels that were searched."""

    def near(self, plume: Plume) -> PassResult:
        """Return what holds the pixels of a plume's mask."""
        return self.around.get(plume.plume_id, self)


def choose_references(target: Pass, earlier: Iterable[Pass], limits: PlumeThresholds) -> list[Pass]:
    """Return the `earlier` passes (nearest in time first) that see enough of the target's ground, in their order.

    They are of the same sensor, those of Landsat of the same path. Of more than `max_count` those of the same satellite
    and relative orbit are preferred, then those of the same orbit, then the nearest.
    """
    rule = limits.references
    ground = comparable_ground(target)
    fit = [one for one in earlier if is_comparable(target, one) and _is_fit(target, ground, one, limits)]

    def difference(index: int) -> tuple[bool, bool, int]:
        orbit_differs = fit[index].relative_orbit != target.relative_orbit
        return orbit_differs, orbit_differs or fit[index].platform != target.platform, index

    kept = sorted(sorted(range(len(fit)), key=difference)[: rule.max_count])
    return [fit[index] for index in kept]


def is_comparable(target: Pass | PassFacts, earlier: Pass | PassFacts) -> bool:
    """Whether two passes are of the same sensor, and of the same track where that is asked of its images."""
    sensor = sensor_of_platform(target.platform)
    if sensor is not sensor_of_platform(earlier.platform):
        return False
    return not sensor.is_compared_along_track or target.relative_orbit == earlier.relative_orbit


def _is_fit(target: Pass, ground: Mask, candidate: Pass, limits: PlumeThresholds) -> bool:
    """Whether a pass sees enough of the target's ground, in a picture that is neither the same nor an empty one."""
    rule = limits.references
    if candidate.clear_fraction < rule.min_clear_fraction:
        return False
    shared = ground & comparable_ground(candidate, cloud_margin_px(target, limits))
    if shared.sum() < rule.min_shared_fraction * max(1, int(target.is_usable.sum())):
        return False
    pixels = sampled(np.flatnonzero(shared))
    one, other = (np.log(band.ravel()[pixels]) for band in (target.b11, candidate.b11))
    is_flat = [robust_sigma(band) < LEAST_TEXTURE for band in (one, other)]
    is_copy = not any(is_flat) and robust_sigma(one - other) < LEAST_TEXTURE  # the same picture, scaled perhaps
    return not is_copy and not np.array_equal(one, other) and is_flat[0] == is_flat[1]


def search_pass(
    area: str,
    target: Pass,
    earlier: Iterable[Pass],
    wind_of: WindOf,
    method: str,
    forest: ForestSettings,
    limits: PlumeThresholds,
) -> PassResult:
    """Search one pass by `multi_pass`, `single_pass` or `isolation_forest`.

    `earlier` are passes on the target's window, nearest in time first; they are only looked at by multi_pass.
    """
    wind = wind_in_the_middle(target.place, wind_of)
    if (reason := reason_not_to_search(target, limits)) is not None:
        return not_searched(area, target, reason, wind)
    references = choose_references(target, earlier, limits) if method == MULTI_PASS else []
    if method == MULTI_PASS and not references:
        return not_searched(area, target, NO_REFERENCE, wind)
    anomalies = None
    if method == ISOLATION_FOREST:
        anomalies = find_anomalies(target, forest)
        detection = detect_isolation_forest(target, anomalies, limits)
    else:
        detection = detect(method, target, references, limits, wind_towards_deg(wind))
    plumes = describe_plumes(area, target, references, detection, wind_of, limits)
    plumes = refuse_downwind_pieces(plumes, target.pixel_size_m, limits)
    observation = observation_of(area, target, SEARCHED, wind) | {
        "detection_limit": detection_limit(detection, target.platform, wind, limits),
        "detected": any(plume.candidate.status == ACCEPTED for plume in plumes),
    }
    return PassResult(target, tuple(references), detection, tuple(plumes), anomalies, observation)


def wind_in_the_middle(place: GridPlace, wind_of: WindOf) -> WindAtPoint | None:
    """Return the wind in the middle of a window."""
    return wind_of(*(float(a) for a in place.longitude_latitude((place.height - 1) / 2, (place.width - 1) / 2)))


def reason_not_to_search(target: Pass, limits: PlumeThresholds) -> str | None:
    """Return the outcome of a pass of which too little was seen, None for others."""
    if not target.n_seen:
        return NO_INPUT
    return SKIPPED_CLOUD if target.clear_fraction < limits.scene.min_clear_fraction else None


def not_searched(area: str, target: Pass, outcome: str, wind: WindAtPoint | None) -> PassResult:
    """Return what came of a pass that wasn't searched."""
    return PassResult(target, (), None, (), None, observation_of(area, target, outcome, wind))


def wind_towards_deg(wind: WindAtPoint | None) -> float | None:
    """Return where the wind blows to, None where nobody knows or it doesn't."""
    return (wind.from_deg + 180.0) % 360.0 if wind is not None and wind.speed_m_s else None


def detect(
    method: str,
    target: Pass,
    references: Sequence[Pass],
    limits: PlumeThresholds,
    towards_deg: float | None,
    numbers: SceneNumbers = OWN,
) -> Detection:
    """Return what multi_pass or single_pass finds, with the enhancement that plumes are weighed by."""
    if method == MULTI_PASS:
        detection = detect_multi_pass(target, references, limits, towards_deg, numbers)
    else:
        detection = detect_single_pass(target, limits, towards_deg, numbers)
    return replace(detection, enhancement_mol_m2=unbiased_enhancement(detection, target, limits, numbers))


def detection_limit(
    detection: Detection, platform: str, wind: WindAtPoint | None, limits: PlumeThresholds
) -> float | None:
    """Return the rate (kg/h) at which half of the plumes are found; None where no wind or no noise tells it.

    Or where it wasn't measured for the sensor of the `platform`.
    """
    if wind is None or not is_calibrated(detection.method, sensor_of_platform(platform).name, limits):
        return None
    half_found = limits.probability.limit_significance[detection.method]
    limit = detection_limit_kg_h(detection.significance_per_mol_m, wind.speed_m_s, half_found, limits)
    return limit if np.isfinite(limit) else None


def observation_of(area: str, target: Pass, outcome: str, wind: WindAtPoint | None = None) -> dict[str, Any]:
    """Return the row of a pass in which nothing was found, its limit unknown."""
    return nothing_to_search(area) | {
        "scene_id": target.scene_ids[0],
        "observed_at_utc": target.observed_at_utc.isoformat() if target.observed_at_utc else None,
        "outcome": outcome,
        "clear_fraction": target.clear_fraction if target.n_seen else None,
        "covered_fraction": target.covered_fraction,
        "wind_speed_m_s": wind.speed_m_s if wind else None,
    }


def nothing_to_search(area: str) -> dict[str, Any]:
    """Return the observation of an area and date whose pixel table has no rows."""
    empty = dict.fromkeys(
        (
            "orbit", "scene_id", "source_id", "observed_at_utc", "clear_fraction", "covered_fraction",
            "wind_speed_m_s", "detection_limit",
        )
    )  # fmt: skip
    return empty | {"area": area, "outcome": NO_INPUT, "detected": False, "stage": DETECTION_STAGE}


def time_of(target: Pass | PassFacts, day: str) -> datetime:
    """Return when the pass was: what the table says, else 10:30 mean solar time of the area on `day` (YYYY-MM-DD)."""
    if target.observed_at_utc is not None:
        return target.observed_at_utc
    midnight = datetime.combine(date.fromisoformat(day), time(), UTC)
    return midnight + timedelta(hours=(OVERPASS_SOLAR_HOURS - target.place.longitude0 / DEGREES_PER_HOUR) % 24.0)


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
