"""The soundings of one orbit along its ground track: a distance that folds at no antipode, antimeridian or pole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.errors import InputError
from plumewatch.geodesy import unit_vectors, wrap_longitude
from plumewatch.oco2.thresholds import peak_thresholds
from plumewatch.orbits import OCO2
from plumewatch.table import floats
from plumewatch.wind.profile import is_plausible

Floats = NDArray[np.float64]

COLUMNS = (
    "sounding_id", "observed_at_utc", "orbit", "longitude", "latitude", "xco2_ppm", "xco2_uncertainty_ppm",
    "wind_u_m_s", "wind_v_m_s", "surface_pressure_hpa", "tcwv_kg_m2", "operation_mode", "land_water_indicator",
    "sensor",
)  # fmt: skip
"""Columns of the table `soundings` that detection needs."""
NOT_MEASURED = ("sounding_id", "observed_at_utc", "orbit", "operation_mode", "land_water_indicator", "sensor")
WATER_SHARE = {0: 0.0, 1: 1.0, 2: 1.0, 3: 0.5}  # of land_water_indicator: land, sea, inland water, mixed

MICROSECONDS = 1e-6
POLE_DEG = 90.0
GROUND_SPEED_KM_S = 6.75  # OCO-2: 24 soundings a second, 8 in a row, rows 2.25 km apart
SHORT_WINDOW_KM = 50.0  # over this much track on both sides the direction at a place is fitted


@dataclass(frozen=True)
class Track:
    """Soundings of one orbit in the order of time; all arrays have one value a sounding, NaN where it is missing."""

    orbit: int
    """Orbit number."""
    sounding_id: NDArray[np.int64]
    """16 digits."""
    time_s: Floats
    """Seconds since 1970-01-01 UTC."""
    longitude: Floats
    """Degrees."""
    latitude: Floats
    """Degrees."""
    distance_km: Floats
    """Along the track from its first soundings; not strictly increasing, as a row of footprints is slanted."""
    across_km: Floats
    """To the right of the track's middle."""
    heading_deg: Floats
    """Direction of flight, degrees clockwise from north."""
    xco2_ppm: Floats
    """Column-averaged dry-air mole fraction."""
    uncertainty_ppm: Floats
    """Stated error of xco2; the orbit's median where none is stated."""
    wind_u_m_s: Floats
    """10-m wind towards east."""
    wind_v_m_s: Floats
    """Towards north."""
    surface_pressure_hpa: Floats
    """Retrieved surface pressure."""
    tcwv_kg_m2: Floats
    """Total column water vapour."""
    is_water: Floats
    """1 over the sea and inland water, 0 over land, a half where both are."""
    is_place: bool = False
    """Whether it is the axis of sweeps over one place, and so too short for the background and noise of a line."""
    is_across_wind: bool = False
    """Whether that axis lies across the wind, so that `across_km` is along it."""
    sensor: str = OCO2
    """Whose orbit it is."""

    def __len__(self) -> int:
        return len(self.sounding_id)

    def near(self, distance_km: float, within_km: float) -> NDArray[np.intp]:
        """Indices of the soundings within so many km along the track."""
        return np.flatnonzero(np.abs(self.distance_km - distance_km) <= within_km)

    def at(self, which: NDArray[np.bool_]) -> Track:
        """Some of the soundings."""
        values = [(f.name, getattr(self, f.name)) for f in fields(self)]
        of_soundings: dict[str, Any] = {name: v[which] for name, v in values if isinstance(v, np.ndarray)}
        return replace(self, **of_soundings)

    def bearing_deg(self, distance_km: float) -> float:
        """Direction of flight at a place of the track, of the axis over a place; degrees from north in [0, 360).

        The regression of positions on along-track distance over 50 km on both sides, in metres, not in degrees: one
        degree of longitude is cos(latitude) of one of latitude. NaN where the soundings don't span a line.
        """
        if self.is_place and len(self):
            return float(self.heading_deg[0])
        at = self.near(distance_km, SHORT_WINDOW_KM)
        x = self.distance_km[at] - self.distance_km[at].mean() if len(at) else np.empty(0)
        if not len(x) or not x.any():
            return float("nan")
        points = unit_vectors(self.longitude[at], self.latitude[at])
        east, north = east_and_north(normalised(points.mean(axis=0)))
        slope = x @ points
        return float(np.degrees(np.arctan2(slope @ east, slope @ north)) % 360.0)


Geometry = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]
"""From times (s) and places (unit vectors) of soundings to distance along, distance to the right (km), heading."""


def compute_track(soundings: pa.Table, geometry: Geometry | None = None, *, is_across_wind: bool = False) -> Track:
    """Return the track of one orbit's soundings (columns of the table `soundings`, any order).

    `geometry` says where each lies on the axis over a place, which may be one across the wind; without, they are on a
    line:

    Every 10 s of flight are one knot, the mean of its soundings; distances are great-circle steps from knot to knot,
    and within a knot the projection on the direction of flight. Soundings without an id, a time, a place or a plausible
    xco2 are left out; a wind, pressure or water vapour that can't be is unknown (`reference/oco2_peaks.yaml`). An
    uncertainty that is missing counts as the orbit's median.
    """
    rows = usable_soundings(soundings).sort_by("sounding_id")
    if soundings.num_rows and not rows.num_rows:
        raise _nothing_usable(soundings)
    value = {name: floats(rows[name]) for name in COLUMNS if name not in NOT_MEASURED}
    value["longitude"] = wrap_longitude(value["longitude"])
    has_wind = is_plausible(value["wind_u_m_s"], value["wind_v_m_s"])
    is_known = {name: _is_within(value[name], name) for name in ("surface_pressure_hpa", "tcwv_kg_m2")}
    is_known |= {"wind_u_m_s": has_wind, "wind_v_m_s": has_wind}
    value |= {name: np.where(known, value[name], np.nan) for name, known in is_known.items()}
    time_s = rows["observed_at_utc"].cast(pa.int64()).to_numpy() * MICROSECONDS
    points = unit_vectors(value["longitude"], value["latitude"])
    distance_km, across_km, heading_deg = (geometry or _along_and_across)(time_s, points)
    uncertainty_ppm = _uncertainty(value.pop("xco2_uncertainty_ppm"))
    return Track(
        orbit=rows["orbit"][0].as_py() if len(rows) else -1,
        sounding_id=rows["sounding_id"].to_numpy(),
        time_s=time_s,
        distance_km=distance_km,
        across_km=across_km,
        heading_deg=heading_deg,
        uncertainty_ppm=uncertainty_ppm,
        is_water=_water(rows),
        is_place=geometry is not None,
        is_across_wind=is_across_wind,
        sensor=_sensor(rows),
        **value,
    )


def straight_track(distance_km: Floats, xco2_ppm: Floats, uncertainty_ppm: Floats) -> Track:
    """Return a track of soundings of which only the place along it is known: northward from the equator, no wind."""
    nothing = np.full(len(distance_km), np.nan)
    return Track(
        orbit=-1,
        sounding_id=np.arange(len(distance_km)),
        time_s=distance_km / GROUND_SPEED_KM_S,
        longitude=np.zeros(len(distance_km)),
        latitude=np.degrees(distance_km / EARTH_RADIUS_KM),
        distance_km=distance_km,
        across_km=np.zeros(len(distance_km)),
        heading_deg=np.zeros(len(distance_km)),
        xco2_ppm=xco2_ppm,
        uncertainty_ppm=uncertainty_ppm,
        wind_u_m_s=nothing,
        wind_v_m_s=nothing,
        surface_pressure_hpa=nothing,
        tcwv_kg_m2=nothing,
        is_water=nothing,
    )


def usable_soundings(soundings: pa.Table) -> pa.Table:
    """Return the soundings that nothing keeps out of a track."""
    return soundings.filter(pa.array(~np.any(list(reasons_against(soundings).values()), axis=0)))


def reasons_against(soundings: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """Return which soundings each reason keeps out of a track, in the order in which they count."""
    lon, lat, xco2 = (floats(soundings[name]) for name in ("longitude", "latitude", "xco2_ppm"))
    return {
        "no_id": soundings["sounding_id"].is_null().to_numpy(),
        "no_time": soundings["observed_at_utc"].is_null().to_numpy(),
        "no_place": ~(np.isfinite(lon) & (np.abs(lat) <= POLE_DEG)),
        "no_xco2": np.isnan(xco2),
        "implausible": ~_is_within(xco2, "xco2_ppm"),
    }


def count_left_out(soundings: pa.Table) -> dict[str, int]:
    """Return how many soundings are left out, each by its first reason; and of how many others a value is.

    A wind, pressure or water vapour that can't be counts as unknown, and its sounding stays.
    """
    keep, counts = np.ones(soundings.num_rows, bool), dict[str, int]()
    for reason, is_bad in reasons_against(soundings).items():
        counts[reason] = int(np.count_nonzero(keep & is_bad))
        keep &= ~is_bad
    for name in ("surface_pressure_hpa", "tcwv_kg_m2"):
        value = floats(soundings[name])
        counts[f"implausible_{name}"] = int(np.count_nonzero(keep & ~np.isnan(value) & ~_is_within(value, name)))
    u, v = floats(soundings["wind_u_m_s"]), floats(soundings["wind_v_m_s"])
    counts["implausible_wind"] = int(np.count_nonzero(keep & ~np.isnan(u) & ~np.isnan(v) & ~is_plausible(u, v)))
    return {reason: count for reason, count in counts.items() if count}


def _nothing_usable(soundings: pa.Table) -> InputError:
    missing = [name for name in ("sounding_id", "observed_at_utc") if soundings[name].null_count == len(soundings)]
    xco2 = floats(soundings["xco2_ppm"])
    usual = np.median(xco2[np.isfinite(xco2)]) if np.isfinite(xco2).any() else np.nan
    found = f"{len(soundings)} soundings, none with id, time, place and a plausible xco2"
    found += f" (xco2_ppm {usual:.4g} in the median{''.join(f', null in every {name}' for name in missing)})"
    low, high = peak_thresholds().plausible["xco2_ppm"]
    return InputError("soundings", found, f"xco2 from {low:g} to {high:g} ppm, times, places and ids")


def _is_within(values: Floats, name: str) -> NDArray[np.bool_]:
    low, high = peak_thresholds().plausible[name]
    return (values >= low) & (values <= high)


def _water(rows: pa.Table) -> Floats:
    """Share of water of each sounding; NaN where the table doesn't tell."""
    if "land_water_indicator" not in rows.column_names:
        return np.full(len(rows), np.nan)
    stated = floats(rows["land_water_indicator"])
    return np.select([stated == value for value in WATER_SHARE], list(WATER_SHARE.values()), np.nan)


def _sensor(rows: pa.Table) -> str:
    """Whose soundings of one orbit these are; OCO-2's where the table doesn't tell."""
    stated = rows["sensor"][0].as_py() if len(rows) and "sensor" in rows.column_names else None
    return stated or OCO2


def _uncertainty(uncertainty_ppm: Floats) -> Floats:
    known = np.isfinite(uncertainty_ppm) & (uncertainty_ppm > 0)
    usual = np.median(uncertainty_ppm[known]) if known.any() else 1.0
    return np.maximum(np.where(known, uncertainty_ppm, usual), peak_thresholds().track.min_uncertainty_ppm)


def normalised(vectors: Floats) -> Floats:
    """Return vectors of length 1; those of length 0 stay."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def east_and_north(points: Floats) -> tuple[Floats, Floats]:
    """Return unit vectors towards east and north at points of the sphere; shape (..., 3)."""
    east = normalised(np.stack([-points[..., 1], points[..., 0], np.zeros(points.shape[:-1])], axis=-1))
    return east, np.cross(points, east)


def _along_and_across(time_s: Floats, points: Floats) -> tuple[Floats, Floats, Floats]:
    """Distance along the track and to its right (km), and direction of flight, of soundings in the order of time."""
    if not len(time_s):
        return np.empty(0), np.empty(0), np.empty(0)
    _, knot = np.unique(np.floor((time_s - time_s[0]) / peak_thresholds().track.knot_s), return_inverse=True)
    count = np.bincount(knot)
    centre = normalised(np.stack([np.bincount(knot, column) for column in points.T], axis=-1))
    time = np.bincount(knot, time_s - time_s[0]) / count
    step = np.arctan2(np.linalg.norm(np.cross(centre[:-1], centre[1:]), axis=-1), (centre[:-1] * centre[1:]).sum(-1))
    start_km = np.concatenate([[0.0], np.cumsum(step)]) * EARTH_RADIUS_KM
    forward = _directions(centre, time) if len(centre) > 1 else _direction_within(time_s, points, centre)
    offset = points - centre[knot]
    right = np.cross(forward, centre)
    along = start_km[knot] + EARTH_RADIUS_KM * (offset * forward[knot]).sum(-1)
    east, north = east_and_north(centre)
    heading = np.degrees(np.arctan2((forward * east).sum(-1), (forward * north).sum(-1))) % 360.0
    return along - along.min(), EARTH_RADIUS_KM * (offset * right[knot]).sum(-1), heading[knot]


def _directions(centre: Floats, time: Floats) -> Floats:
    """Direction of flight at each knot: from and to its neighbours, the nearer in time counting more."""
    chord = np.diff(centre, axis=0) / np.diff(time)[:, None] ** 2
    total = np.zeros_like(centre)
    total[:-1] += chord
    total[1:] += chord
    return normalised(total - (total * centre).sum(-1, keepdims=True) * centre)


def _direction_within(time_s: Floats, points: Floats, centre: Floats) -> Floats:
    """Direction of flight of a track of one knot: the regression of places on time, north where all have one time."""
    slope = (time_s - time_s.mean()) @ points
    slope = slope - (slope @ centre[0]) * centre[0]
    return normalised(slope)[None] if slope.any() else east_and_north(centre[0])[1][None]
