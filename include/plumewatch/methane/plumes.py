"""From a candidate region to a row of the table `plumes`: place of its source, mass, rate, outline, id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.geodesy import local_offset_km
from plumewatch.methane.detection import ACCEPTED, DOWNWIND_PIECE, Candidate, Detection
from plumewatch.methane.passes import GridPlace, Pass
from plumewatch.methane.quantification import Emission, Mass, compute_mass, estimate_emission
from plumewatch.methane.significance import Array, Mask, smooth
from plumewatch.methane.thresholds import Thresholds
from plumewatch.wind.at_point import WindAtPoint

WindOf = Callable[[float, float], WindAtPoint | None]
"""Wind at a longitude and latitude at the time of the pass."""

ORIGIN_SCALE_PX = 2.0  # averaged so that single noisy pixels don't count
ORIGIN_SHARE = 0.05  # the first twentieth of the weight along the wind lies around the source, whatever the length
END_SHARE = 0.15  # the same without wind, of either end: more, as the end itself is in question
METRES_PER_KM = 1000.0
OK, NO_WIND = "ok", "no_wind"


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
    longitude: float
    """Of the origin, degrees."""
    latitude: float
    """Of the origin, degrees."""
    mass: Mass
    """Methane in the mask."""
    wind: WindAtPoint | None
    """At the region's centre, None where it is not known."""
    emission: Emission | None
    """None without wind."""
    geometry: shapely.Geometry
    """Outline in longitude and latitude."""
    table_row: dict[str, Any]
    """The row of the table `plumes`."""


def find_origin(enhancement: Array, mask: Mask, place: GridPlace, wind: WindAtPoint | None) -> tuple[int, int]:
    """Return the pixel of the mask where the source is: its upwind end, the stronger end without wind."""
    rows, cols = np.nonzero(mask)
    averaged = smooth(enhancement, np.isfinite(enhancement), ORIGIN_SCALE_PX).values[rows, cols]
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
    area: str, target: Pass, references: Sequence[Pass], detection: Detection, wind_of: WindOf, limits: Thresholds
) -> list[Plume]:
    """Return all candidates of a detection as plumes, in its order."""
    margin_px = limits["smoothing"]["background_margin_m"] / target.pixel_size_m
    anywhere = np.zeros(target.shape, bool)
    for candidate in detection.candidates:
        anywhere |= candidate.mask
    away = (
        detection.valid & (ndimage.distance_transform_edt(~anywhere) > margin_px) if anywhere.any() else detection.valid
    )
    plumes = [_describe(area, target, references, detection, c, away, wind_of, limits) for c in detection.candidates]
    return _refuse_downwind_pieces(plumes, target.pixel_size_m, limits)


def _refuse_downwind_pieces(plumes: list[Plume], pixel_size_m: float, limits: Thresholds) -> list[Plume]:
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


def _is_downwind_piece(piece: Plume, plume: Plume, pixel_size_m: float, limits: Thresholds) -> bool:
    if plume.wind is None or not plume.wind.speed_m_s or piece.mass.ime_kg >= plume.mass.ime_kg:
        return False
    levels = limits["candidates"]
    offset = local_offset_km(plume.longitude, plume.latitude, piece.longitude, piece.latitude)
    east_m, north_m = (METRES_PER_KM * float(part) for part in offset)
    u, v = (part / plume.wind.speed_m_s for part in (plume.wind.wind_u_m_s, plume.wind.wind_v_m_s))
    along, across = u * east_m + v * north_m, abs(v * east_m - u * north_m)
    within = levels["downwind_width_m"] + np.tan(np.radians(levels["downwind_angle_deg"])) * along
    gap_px = ndimage.distance_transform_edt(~plume.candidate.mask)[piece.candidate.mask].min()
    return bool(along > 0.0 and across <= within and gap_px * pixel_size_m <= levels["downwind_gap_m"])


def _describe(
    area: str, target: Pass, references: Sequence[Pass], detection: Detection, candidate: Candidate, plume_free: Mask,
    wind_of: WindOf, limits: Thresholds,
) -> Plume:  # fmt: skip
    mask, enhancement = candidate.mask, detection.enhancement_mol_m2
    middle = [float(axis.mean()) for axis in np.nonzero(mask)]
    wind = wind_of(*(float(a) for a in target.place.longitude_latitude(*middle)))
    row, col = find_origin(enhancement, mask, target.place, wind)
    longitude, latitude = (float(a) for a in target.place.longitude_latitude(row, col))
    scene_id = target.scene_ids[int(target.scene_index[row, col])]
    plume_id = _plume_id(area, detection.method, scene_id, target.place.row0 + row, target.place.col0 + col)
    mass = compute_mass(enhancement, mask, plume_free, target.pixel_size_m, limits)
    emission = None if wind is None else estimate_emission(mass, wind.speed_m_s, plume_id, limits)
    geometry = target.place.polygon(mask)
    table_row = {
        "plume_id": plume_id,
        "scene_id": scene_id,
        "observed_at_utc": target.observed_at_utc,
        "reference_scene_ids": sorted({scene for reference in references for scene in reference.scene_ids}),
        "longitude": longitude,
        "latitude": latitude,
        "area_m2": mass.area_m2,
        "n_pixels": int(mask.sum()),
        "enhancement_mean_mol_m2": float(np.nanmean(enhancement[mask])),
        "enhancement_max_mol_m2": float(np.nanmax(enhancement[mask])),
        "ime_kg": mass.ime_kg,
        "wind_speed_10m_m_s": None if wind is None else wind.speed_m_s,
        "wind_from_deg": None if wind is None else wind.from_deg,
        "emission_kg_h": None if emission is None else emission.emission_kg_h,
        "emission_kg_h_low": None if emission is None else emission.low_kg_h,
        "emission_kg_h_high": None if emission is None else emission.high_kg_h,
        "emission_status": NO_WIND if emission is None else OK,
        "probability": candidate.probability,
        "status": candidate.status,
        "geometry": shapely.to_wkb(geometry),
    }
    return Plume(plume_id, candidate, row, col, longitude, latitude, mass, wind, emission, geometry, table_row)


def _plume_id(area: str, method: str, scene_id: str, row: int, col: int) -> str:
    """Return an id from what the plume is, so that a repetition gives the same."""
    return hashlib.sha256("|".join([area, method, scene_id, str(row), str(col)]).encode()).hexdigest()[:16]
