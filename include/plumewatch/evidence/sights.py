"""Which pass looked at which source, and how much of its plume's place it saw. Pure.

Methane's plumes begin at their source, so a pass looks at the sources of an area, and sees each with the share of the
area that was seen and clear. CO2's plumes are seen where they cross the orbit: with the wind of the soundings the axis
of a source's plume meets the orbit at a distance downwind, and the pass sees it with

    sum over strips of 2 km across the wind that hold soundings of N(across; 0, s) x 2 km x exp(-downwind / decay),
    s^2 = (position error)^2 + (downwind x tan(direction error))^2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.evidence.rule import GasRule, evidence_rule
from plumewatch.geodesy import along_and_across, distance_to_chord, index_pairs, local_offset_km, unit_vectors
from plumewatch.statuses import SEARCHED
from plumewatch.table import floats
from plumewatch.tables import SOURCE_PASSES

Row = Mapping[str, Any]
Floats = NDArray[np.float64]

STRIP_KM = 2.0  # across the wind: a footprint of a sounding, and a third of the narrowest plume
CELL_DEG = 0.02  # of latitude, 2.2 km: soundings so near each other say the same of where was looked
CALM_M_S = 0.5  # of the mean wind around a source: below, nobody knows where its plume is
NOT_LOOKED_FOR = ("grid_cell",)  # kinds without a place: they stand in the table where a detection is matched to one


@dataclass(frozen=True)
class OrbitCells:
    """Where an orbit has soundings, one entry a cell of 0.02 degrees and its wind."""

    longitude: Floats
    latitude: Floats
    wind_u_m_s: Floats
    wind_v_m_s: Floats


def orbit_cells(longitude: Floats, latitude: Floats, wind_u_m_s: Floats, wind_v_m_s: Floats) -> OrbitCells:
    """Return soundings of one orbit as cells, each with the first sounding in it; all arrays are of equal length."""
    places = np.stack([np.floor(longitude / CELL_DEG), np.floor(latitude / CELL_DEG)], axis=1).astype(np.int64)
    first = np.sort(np.unique(places, axis=0, return_index=True)[1])
    return OrbitCells(*(a[first].astype(float) for a in (longitude, latitude, wind_u_m_s, wind_v_m_s)))


def sights_of_areas(observations: Sequence[Row], areas: Mapping[str, Any], sources: pa.Table) -> pa.Table:
    """Return SOURCE_PASSES of the searched passes of a day over the sources in their areas.

    `observations` are rows of that table, `areas` the outline of each by name (shapely, degrees), `sources` those of
    the gas. An area whose outline isn't known has no rows. One row of each pass has no source: for places that nobody
    lists (candidates.py).
    """
    rule = evidence_rule().ch4
    lon, lat = _places(sources)
    is_point = ~np.isin(_texts(sources["kind"]), NOT_LOOKED_FOR)
    ids = _texts(sources["source_id"])
    rows: list[pa.Table] = []
    inside: dict[str, NDArray[np.intp]] = {}
    for seen in observations:
        area = seen["area"]
        if seen["outcome"] != SEARCHED or area not in areas:
            continue
        if area not in inside:
            inside[area] = np.flatnonzero(is_point & shapely.contains_xy(areas[area], lon, lat))
        visible = _or(seen["clear_fraction"], 1.0) * _or(seen["covered_fraction"], 1.0)
        at = inside[area]
        if visible >= rule.least_visible:
            rows.append(_rows(ids[at], seen, np.full(len(at), visible), np.full(len(at), np.nan)))
            rows.append(_rows(None, seen, np.array([visible]), np.array([np.nan])))
    return pa.concat_tables([SOURCE_PASSES.empty(), *rows])


def sights_of_orbit(observation: Row, cells: OrbitCells, sources: pa.Table, tree: cKDTree) -> pa.Table:
    """Return SOURCE_PASSES of one searched orbit over the sources whose plumes cross its soundings.

    `tree` holds the `unit_vectors` of the sources.
    """
    rule = evidence_rule().co2
    near = tree.query_ball_point(unit_vectors(cells.longitude, cells.latitude), distance_to_chord(rule.reach_km))
    cell, source = index_pairs(near)
    is_point = ~np.isin(_texts(sources["kind"]), NOT_LOOKED_FOR)
    cell, source = cell[is_point[source]], source[is_point[source]]
    if not len(source):
        return SOURCE_PASSES.empty()
    lon, lat = _places(sources)
    unique, own = np.unique(source, return_inverse=True)
    count = np.bincount(own)
    u, v = (np.bincount(own, weights=w[cell]) / count for w in (cells.wind_u_m_s, cells.wind_v_m_s))
    speed = np.hypot(u, v)
    east, north = local_offset_km(lon[source], lat[source], cells.longitude[cell], cells.latitude[cell])
    with np.errstate(invalid="ignore", divide="ignore"):
        to_east, to_north = (u / speed)[own], (v / speed)[own]
    along, across = along_and_across(east, north, to_east, to_north)
    visible, distance = _visible(rule, own, len(unique), along, across)
    kept = np.flatnonzero((visible >= rule.least_visible) & (speed >= CALM_M_S))
    ids = _texts(sources["source_id"])[unique[kept]]
    wind = {"wind_speed_m_s": speed[kept], "wind_from_deg": np.degrees(np.arctan2(-u[kept], -v[kept])) % 360.0}
    return _rows(ids, observation, visible[kept], distance[kept], wind)


def _visible(rule: GasRule, own: NDArray[np.intp], n: int, along: Floats, across: Floats) -> tuple[Floats, Floats]:
    """Visible fraction of each source, and how far downwind its axis is crossed; pairs of cells and sources."""
    is_downwind = along > 0.0
    own, along, across = own[is_downwind], along[is_downwind], across[is_downwind]
    strip = np.round(across / STRIP_KM).astype(np.int64)
    # Of several cells of a strip the nearest to the source counts: there the plume is seen best.
    order = np.lexsort((along, strip, own))
    own, strip, along = own[order], strip[order], along[order]
    is_first = np.append(True, (own[1:] != own[:-1]) | (strip[1:] != strip[:-1])) if len(own) else np.empty(0, bool)
    own, strip, along = own[is_first], strip[is_first], along[is_first]
    sigma = np.hypot(rule.position_sigma_km, along * np.tan(np.radians(rule.direction_sigma_deg)))
    density = np.exp(-0.5 * (strip * STRIP_KM / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    share = density * STRIP_KM * np.exp(-along / rule.decay_km)
    visible = np.bincount(own, weights=share, minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.bincount(own, weights=share * along, minlength=n) / visible
    return np.minimum(visible, 1.0), distance


def sources_of(gas: str, sources: pa.Table) -> pa.Table:
    """Return the sources of a gas (`co2`, `ch4`)."""
    return sources.filter(pa.array(_texts(sources["gas"]) == gas))


def source_tree(sources: pa.Table) -> cKDTree:
    """Return a tree of the places of sources, for `sights_of_orbit`."""
    return cKDTree(unit_vectors(*_places(sources)))


def _rows(
    ids: NDArray[np.str_] | None, seen: Row, visible: Floats, distance: Floats, wind: Mapping[str, Floats] | None = None
) -> pa.Table:
    n = len(visible)
    columns: dict[str, Any] = {field.name: pa.nulls(n, field.type) for field in SOURCE_PASSES.schema}
    for name in ("area", "orbit", "sensor", "scene_id", "observed_at_utc", "detection_limit", "wind_speed_m_s"):
        columns[name] = pa.repeat(pa.scalar(seen.get(name), SOURCE_PASSES.schema.field(name).type), n)
    columns["visible_fraction"] = visible
    if ids is not None:
        columns["source_id"] = pa.array(ids.tolist(), pa.string())
    columns["distance_km"] = pa.array(distance, from_pandas=True)
    return SOURCE_PASSES.from_columns(columns | {name: pa.array(values) for name, values in (wind or {}).items()})


def _places(sources: pa.Table) -> tuple[Floats, Floats]:
    return floats(sources["longitude"]), floats(sources["latitude"])


def _texts(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.array([text or "" for text in column.to_pylist()], dtype=str)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or value != value else float(value)
