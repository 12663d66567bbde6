"""From a candidate region to a row of the table `plumes`: place of its source, mass, rate, outline, id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.constants import METRES_PER_KM
from plumewatch.geodesy import local_offset_km
from plumewatch.methane.alignment import DERIVATIVES_PX
from plumewatch.methane.cut_offs import compute_cut_off
from plumewatch.methane.detection import Detection
from plumewatch.methane.grid_place import GridPlace
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.passes import Pass
from plumewatch.methane.quantification import GroundNoise, Mass, PlumeEmission, compute_mass, estimate_plume_emission
from plumewatch.methane.references import away_from
from plumewatch.methane.smoothing import OWN, TRUNCATE, Array, Mask, SceneNumbers, smooth
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import ACCEPTED, DOWNWIND_PIECE, NO_WIND, RATED
from plumewatch.wind.at_point import WindAtPoint

WindOf = Callable[[float, float], WindAtPoint | None]
"""Wind at a longitude and latitude at the time of the pass."""

ORIGIN_SCALE_PX = 2.0  # averaged so that single noisy pixels don't count
ORIGIN_MARGIN_PX = round(TRUNCATE * ORIGIN_SCALE_PX)  # pixels further off have no part in the averages of the mask
ORIGIN_SHARE = 0.05  # the first twentieth of the weight along the wind lies around the source, whatever the length
END_SHARE = 0.15  # the same without wind, of either end: more, as the end itself is in question


@dataclass(frozen=True, eq=False)
class Plume:
    """A candidate with all that is known of it."""

    plume_id: str
    """From area, method, scene and origin."""
    candidate: Candidate
    """Region, significance, probability, status."""
    row: int
    """Row of the origin on the pass's window."""
    col: int
    """Column of the origin on the pass's window."""
    corner: tuple[int, int]
    """Row and column on the area's grid of the first cell of the window of the mask."""
    longitude: float
    """Of the origin, degrees."""
    latitude: float
    """Of the origin, degrees."""
    mass: Mass
    """Methane in the mask."""
    wind: WindAtPoint | None
    """At the region's centre, None where it is not known."""
    emission: PlumeEmission | None
    """None without wind."""
    geometry: shapely.Geometry
    """Outline in longitude and latitude."""
    table_row: dict[str, Any]
    """The row of the table `plumes`."""


def find_origin(enhancement: Array, mask: Mask, place: GridPlace, wind: WindAtPoint | None) -> tuple[int, int]:
    """Return the pixel of the mask where the source is: its upwind end, the stronger end without wind."""
    around = window_around(mask, ORIGIN_MARGIN_PX)
    near, inside = enhancement[around], mask[around]
    rows, cols = (at + part.start for at, part in zip(np.nonzero(inside), around, strict=True))
    averaged = smooth(near, np.isfinite(near), ORIGIN_SCALE_PX)[inside]
    weight = np.maximum(averaged, 0.0).astype(float) ** 2  # squared: a plume is densest at its source, noise is thin
    if not weight.any():
        weight = np.ones(len(rows))
    longitude, latitude = place.longitude_latitude(rows, cols)
    east, north = local_offset_km(longitude[0], latitude[0], longitude, latitude)
    if wind is not None:
        end = _first_share(wind.wind_u_m_s * east + wind.wind_v_m_s * north, weight, ORIGIN_SHARE)
    else:
        end = _stronger_end(np.column_stack([east, north]), weight)
    centre = np.average(east[end], weights=weight[end]), np.average(north[end], weights=weight[end])
    nearest = int(np.argmin((east - centre[0]) ** 2 + (north - centre[1]) ** 2))
    return int(rows[nearest]), int(cols[nearest])


def _first_share(along: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> NDArray[np.int64]:
    """Return the pixels with the smallest `along` that together hold the share of the weight."""
    order = np.lexsort((np.arange(len(along)), along))
    held = np.cumsum(weight[order]) / weight.sum()
    return order[: int(np.searchsorted(held, share)) + 1]


def _stronger_end(offset: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.int64]:
    centred = offset - np.average(offset, axis=0, weights=weight)
    axis = np.linalg.eigh((centred * weight[:, None]).T @ centred)[1][:, -1]
    ends = [_first_share(sign * centred @ axis, weight, END_SHARE) for sign in (1.0, -1.0)]
    return max(ends, key=lambda end: float(weight[end].mean()))


def describe_plumes(
    area: str,
    target: Pass,
    references: Sequence[Pass],
    detection: Detection,
    wind_of: WindOf,
    limits: PlumeThresholds,
    numbers: SceneNumbers = OWN,
) -> list[Plume]:
    """Return all candidates of a detection as plumes, in its order; which are pieces of others is not asked."""
    if not detection.candidates:
        return []
    ground = numbers.of(
        "ground", lambda: GroundNoise.of(detection.enhancement_mol_m2, plume_free(detection, target, limits))
    )
    return [_describe(area, target, references, detection, c, ground, wind_of, limits) for c in detection.candidates]


def plume_free(detection: Detection, target: Pass, limits: PlumeThresholds) -> Mask:
    """Return where it was searched and no candidate is near."""
    anywhere = np.logical_or.reduce([np.zeros(target.shape, bool), *(one.mask for one in detection.candidates)])
    return away_from(anywhere, detection.valid, target.pixel_size_m, limits)


def refuse_downwind_pieces(plumes: Sequence[Plume], pixel_size_m: float, limits: PlumeThresholds) -> list[Plume]:
    """Return the plumes; refused are those that are the far part of another, which thinned out and came back."""
    kept: list[Plume] = []
    result = []
    for plume in sorted(plumes, key=lambda p: -(p.candidate.significance or 0.0)):
        if plume.candidate.status == ACCEPTED:
            if any(_is_downwind_piece(plume, other, pixel_size_m, limits) for other in kept):
                candidate = replace(plume.candidate, status=DOWNWIND_PIECE)
                plume = replace(plume, candidate=candidate, table_row=plume.table_row | {"status": DOWNWIND_PIECE})
            else:
                kept.append(plume)
        result.append(plume)
    return result


def _is_downwind_piece(piece: Plume, plume: Plume, pixel_size_m: float, limits: PlumeThresholds) -> bool:
    if plume.wind is None or not plume.wind.speed_m_s or piece.mass.ime_kg >= plume.mass.ime_kg:
        return False
    levels = limits.candidates
    if _least_gap_px(piece, plume) * pixel_size_m > levels.downwind_gap_m:
        return False
    offset = local_offset_km(plume.longitude, plume.latitude, piece.longitude, piece.latitude)
    east_m, north_m = (METRES_PER_KM * float(part) for part in offset)
    u, v = (part / plume.wind.speed_m_s for part in (plume.wind.wind_u_m_s, plume.wind.wind_v_m_s))
    along, across = u * east_m + v * north_m, abs(v * east_m - u * north_m)
    within = levels.downwind_width_m + np.tan(np.radians(levels.downwind_angle_deg)) * along
    is_behind = along > 0.0 and across <= within
    return bool(is_behind and _gap_px(piece, plume) * pixel_size_m <= levels.downwind_gap_m)


def _least_gap_px(one: Plume, other: Plume) -> int:
    """Return what the distance of two plumes is at least, by where their masks end: of a basin's most are far apart."""
    first, last = [one.corner, other.corner], [p.candidate.mask.shape for p in (one, other)]
    ends = [
        [at + n - 1 for at, n in zip(corner, shape, strict=True)] for corner, shape in zip(first, last, strict=True)
    ]
    return max(max(first[0][axis] - ends[1][axis], first[1][axis] - ends[0][axis]) for axis in (0, 1))


def _gap_px(one: Plume, other: Plume) -> float:
    """Return the distance of the nearest pixels of two plumes."""
    places = [np.argwhere(plume.candidate.mask) + plume.corner for plume in (one, other)]
    return float(cKDTree(places[1]).query(places[0])[0].min())


def _describe(
    area: str, target: Pass, references: Sequence[Pass], detection: Detection, candidate: Candidate,
    ground: GroundNoise, wind_of: WindOf, limits: PlumeThresholds,
) -> Plume:  # fmt: skip
    mask, enhancement = candidate.mask, detection.enhancement_mol_m2
    around = window_around(mask, 0)
    inside = mask[around]
    columns = enhancement[around][inside]
    middle = [part.start + float(at.mean()) for at, part in zip(np.nonzero(inside), around, strict=True)]
    wind = wind_of(*(float(a) for a in target.place.longitude_latitude(*middle)))
    row, col = find_origin(enhancement, mask, target.place, wind)
    longitude, latitude = (float(a) for a in target.place.longitude_latitude(row, col))
    scene_id = target.scene_ids[int(target.scene_index[row, col])]
    plume_id = _plume_id(
        area,
        f"{detection.method}|{target.platform}|{target.relative_orbit}",
        scene_id,
        target.place.row0 + row,
        target.place.col0 + col,
    )
    mass = compute_mass(enhancement, mask, ground, target.pixel_size_m, limits)
    emission = None if wind is None else estimate_plume_emission(mass, wind.speed_m_s, plume_id, limits)
    geometry = target.place.polygon(mask)
    table_row = {
        "plume_id": plume_id,
        "scene_id": scene_id,
        "observed_at_utc": target.observed_at_utc,
        "reference_scene_ids": sorted({scene for reference in references for scene in reference.scene_ids}),
        "longitude": longitude,
        "latitude": latitude,
        "area_m2": mass.area_m2,
        "n_pixels": int(inside.sum()),
        "enhancement_mean_mol_m2": float(np.nanmean(columns)),
        "enhancement_max_mol_m2": float(np.nanmax(columns)),
        "ime_kg": mass.ime_kg,
        "wind_speed_10m_m_s": None if wind is None else wind.speed_m_s,
        "wind_from_deg": None if wind is None else wind.from_deg,
        "emission_kg_h": None if emission is None else emission.emission_kg_h,
        "emission_kg_h_low": None if emission is None else emission.low_kg_h,
        "emission_kg_h_high": None if emission is None else emission.high_kg_h,
        "emission_status": NO_WIND if emission is None else RATED,
        "probability": candidate.probability,
        "status": candidate.status,
        "geometry": shapely.to_wkb(geometry),
        "is_cut": _is_cut(target, detection, mask),
    }
    corner = target.place.row0, target.place.col0
    return Plume(plume_id, candidate, row, col, corner, longitude, latitude, mass, wind, emission, geometry, table_row)


def _is_cut(target: Pass, detection: Detection, mask: Mask) -> bool:
    """Return whether the plume runs into the end of the area or into pixels that weren't seen."""
    around = window_around(mask, 1 + DERIVATIVES_PX)
    cut = compute_cut_off(mask[around], np.isfinite(target.b11[around]), detection.valid[around])
    return cut.is_at_edge or cut.is_at_gap


def _plume_id(area: str, method: str, scene_id: str, row: int, col: int) -> str:
    """Return an id from what the plume is, so that a repetition gives the same."""
    return hashlib.sha256("|".join([area, method, scene_id, str(row), str(col)]).encode()).hexdigest()[:16]
