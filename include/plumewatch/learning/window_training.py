"""The model of windows that hold a peak, learnt from stored soundings where inventories are complete.

What lies upwind of a window's middle says whether it holds a peak, not what a finder saw in it:

    complete    a cell of 2 degrees where what points leave to the grids is at most a fifth of all that emits there, or
                0.1 kt/h; the middle of the window lies in one, and the place 50 km upwind of it
    a peak      at least 1 kt/h of points upwind (features.py says how they are summed), in a wind of at least 2 m/s
    none        less than 0.05 kt/h

What lies between is left out, and of windows with none every tenth is taken. So an hour at which a plant stands still,
and a plume that the wind carried elsewhere, are errors of what is learnt; they are the same for the scan beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.gases import CO2
from plumewatch.geodesy import destination, great_circle_distance_km
from plumewatch.learning.cards import read_card, write_card
from plumewatch.learning.emission_model import NothingToLearnFrom
from plumewatch.learning.features import LEAST_WIND_M_S, REACH_KM, known_emission_kt_h, upwind_pairs
from plumewatch.learning.windows import (
    MIDDLE_KM,
    WindowModel,
    Windows,
    judge_windows,
    middles_of,
    train_windows,
    window_lines,
    windows_from_json,
    windows_of,
    windows_to_json,
)
from plumewatch.oco2.granules.soundings import OrbitFiles, OrbitReader, list_orbits
from plumewatch.oco2.track import Track, compute_track
from plumewatch.orbits import OCO2, good_soundings, sensors_of
from plumewatch.progress import followed
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT
from plumewatch.table import floats
from plumewatch.tables import COMBINED, PEAKS, SOUNDINGS, SOURCES

PEAK_WINDOW = "peak_window"
AREAS = ("city", "grid_cell")  # kinds that make no plume of their own
CELL = "grid_cell"
MOST_LEFT, LITTLE_KT_H = 0.2, 0.1  # what complete inventories leave: share, or emission that no peak shows
PLUME_KT_H = 1.0  # half of the plumes of that are found (limits of detection: 0.5 to 2 kt/h)
NOTHING_KT_H = 0.05
EVERY = 10  # of the windows with nothing upwind
CELL_DEG = 2.0

Floats = NDArray[np.float64]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What inventories say."""

    points: pa.Table
    """CO2 sources with a place (columns of `sources`)."""
    is_complete: NDArray[np.bool_]
    """Of each cell of 2 degrees."""


@dataclass(frozen=True)
class _Learnt:
    """Windows of all orbits, with what is true of them."""

    values: Floats
    holds_peak: NDArray[np.bool_]
    scan: Floats
    cell: NDArray[np.int64]
    orbits: int
    months: tuple[str, ...]


def train_peak_windows(storage_root: str) -> tuple[str, list[str]]:
    """Learn from all stored soundings which windows hold a peak; return the path of the card, and the figures.

    Raises NothingToLearnFrom where too few windows are known to hold one, or none, or no grid says what the lists lack.
    """
    learnt = _learnt(storage_root, _known(storage_root))
    judged = judge_windows(learnt.values, learnt.holds_peak, learnt.scan, learnt.cell.tolist())
    card = {
        "name": PEAK_WINDOW,
        "what": "probability that the middle 20 km of a window of 96 km of soundings hold a CO2 peak",
        "learnt_from": {
            "orbits": learnt.orbits, "months": list(learnt.months), "windows": judged.n_windows,
            "with_a_peak": judged.n_peaks, "cells_of_2_degrees": len(np.unique(learnt.cell)),
            "complete_where_left_at_most": {"share": MOST_LEFT, "kt_h": LITTLE_KT_H},
            "peak_from_kt_h": PLUME_KT_H, "none_below_kt_h": NOTHING_KT_H, "of_those_without_one_in": EVERY,
        },
        "judged": {"by": "cross-validation in 5 folds of cells of 2 degrees, average precision", **asdict(judged)},
        "is_better_than_scan": judged.learnt > judged.scan,
        "model": windows_to_json(train_windows(learnt.values, learnt.holds_peak)),
    }  # fmt: skip
    return write_card(storage_root, PEAK_WINDOW, card), window_lines(judged)


def read_window_model(storage_root: str) -> WindowModel | None:
    """Return the model of windows in use; None where none is stored, or the scan alone tells more."""
    found = read_card(storage_root, PEAK_WINDOW)
    if found is None:
        return None
    path, card = found
    with reading(path, "a card as source_model_training writes it"):
        model, is_better = windows_from_json(path, card["model"]), bool(card["is_better_than_scan"])
    return model if is_better else None


def window_probabilities(storage_root: str, month: str, peaks: pa.Table) -> dict[str, float]:
    """Return how probably the window around each accepted peak of a month holds one, by peak id as text.

    Only of those whose soundings are stored, with at least half of the window; nothing without a model in use. A model
    that can't be used is told in the log.
    """
    accepted = peaks.filter(pc.equal(peaks["status"], ACCEPTED))
    try:
        model = read_window_model(storage_root)
    except InputError as error:
        log.warning("no probabilities of windows: %s", error)
        return {}
    if model is None or not accepted.num_rows:
        return {}
    accepted = accepted.append_column("of", sensors_of(accepted))
    by_orbit = {key: accepted.take(pa.array(at)) for key, at in _rows_by_orbit(accepted).items()}
    found: dict[str, float] = {}
    orbits = [o for o in list_orbits(storage.join(storage_root, SOUNDINGS.name), [month]) if o.key in by_orbit]
    for orbit, track in _tracks(orbits):
        rows = by_orbit[orbit.key]
        lon, lat = floats(rows["longitude"]), floats(rows["latitude"])
        apart = great_circle_distance_km(lon[:, None], lat[:, None], track.longitude[None], track.latitude[None])
        windows = windows_of(track, track.distance_km[apart.argmin(axis=1)])
        ids = rows["peak_id"].cast(pa.string()).to_pylist()
        found |= {ids[at]: float(p) for at, p in zip(windows.index, model.probability(windows), strict=True)}
    return found


def complete_cells(sources: pa.Table) -> NDArray[np.bool_]:
    """Return of each cell of 2 degrees whether points explain what emits CO2 there (see the module).

    `sources` are rows of `sources`, with what points leave of the grids as grid cells. Shape (90 x 180,).
    """
    cell = _cells(floats(sources["longitude"]), floats(sources["latitude"]))
    kt_h = np.nan_to_num(floats(sources["emission_t_y"])) * CO2.units_per_t_y
    is_area = np.isin(np.array(sources["kind"].to_pylist(), dtype=str), AREAS)
    n = round(360 / CELL_DEG) * round(180 / CELL_DEG)
    left, total = np.bincount(cell, kt_h * is_area, n), np.bincount(cell, kt_h, n)
    return np.asarray(left <= np.maximum(MOST_LEFT * total, LITTLE_KT_H))


def _cells(longitude: Floats, latitude: Floats) -> NDArray[np.int64]:
    columns, rows = round(360 / CELL_DEG), round(180 / CELL_DEG)
    column = np.floor((longitude + 180.0) / CELL_DEG).astype(np.int64) % columns
    row = np.clip(np.floor((latitude + 90.0) / CELL_DEG).astype(np.int64), 0, rows - 1)
    return np.asarray(row * columns + column)


def _known(storage_root: str) -> _Known:
    path = storage.join(storage_root, SOURCES.name)
    columns = ["source_id", "kind", "gas", "longitude", "latitude", "emission_t_y"]
    rows = storage.read_table(SOURCES, path, columns, where={"inventory": COMBINED})
    rows = rows.filter(pc.equal(rows["gas"], CO2.name)).sort_by("source_id")
    kinds = rows["kind"].to_pylist()
    if CELL not in kinds:
        found = f"no grid cells among {rows.num_rows} sources of CO2"
        allowed = "a gridded inventory (EDGAR, ODIAC) too: else nothing says where the lists of points are complete"
        raise NothingToLearnFrom(path, found, allowed)
    is_point = pa.array([kind not in AREAS for kind in kinds])
    return _Known(rows.filter(is_point), complete_cells(rows))


def _learnt(storage_root: str, known: _Known) -> _Learnt:
    orbits = list_orbits(storage.join(storage_root, SOUNDINGS.name))
    peaks = storage.read_table(
        PEAKS, storage.join(storage_root, PEAKS.name),
        ["orbit", "sensor", "longitude", "latitude", "status", "significance"], where={"method": CO2.method},
    )  # fmt: skip
    peaks = peaks.filter(pc.is_in(peaks["status"], value_set=pa.array([ACCEPTED, NOT_SIGNIFICANT])))
    by_orbit = _rows_by_orbit(peaks)
    parts: list[tuple[Any, ...]] = []
    months: set[str] = set()
    n_orbits = 0
    for orbit, track in _tracks(followed(orbits, "windows of orbits", "orbits")):
        windows, holds, at = _with_truth(track, orbit.orbit % EVERY, known)
        if not len(holds):
            continue
        own = peaks.take(pa.array(by_orbit.get(orbit.key, np.zeros(0, np.intp))))
        parts.append((windows.values, holds, _scan(own, track.longitude[at], track.latitude[at]),
                      _cells(track.longitude[at], track.latitude[at])))  # fmt: skip
        months.update(orbit.months)
        n_orbits += 1
    if not parts:
        raise NothingToLearnFrom(
            storage.join(storage_root, SOUNDINGS.name), f"{len(orbits)} orbits, none over complete inventories",
            "soundings where inventories say what is upwind",
        )  # fmt: skip
    values, holds, scan, cell = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Learnt(values, holds, scan, cell, n_orbits, tuple(sorted(months)))


def _with_truth(track: Track, first: int, known: _Known) -> tuple[Windows, NDArray[np.bool_], NDArray[np.intp]]:
    """Windows of which inventories say whether they hold a peak, whether they do, and the soundings in their middle."""
    middles = middles_of(track)
    order = np.argsort(track.distance_km, kind="stable")
    at = order[np.minimum(np.searchsorted(track.distance_km[order], middles), max(len(order) - 1, 0))]
    lon, lat, u, v = (a[at] for a in (track.longitude, track.latitude, track.wind_u_m_s, track.wind_v_m_s))
    origin = np.degrees(np.arctan2(-u, -v))
    upwind = destination(lon, lat, np.nan_to_num(origin), REACH_KM)
    is_known = known.is_complete[_cells(lon, lat)] & known.is_complete[_cells(*upwind)]
    is_known &= np.hypot(u, v) >= LEAST_WIND_M_S
    places = pa.table({"longitude": lon, "latitude": lat, "wind_u_m_s": u, "wind_v_m_s": v})
    kt_h = known_emission_kt_h(upwind_pairs(places, known.points), len(lon))
    is_taken = np.arange(len(middles)) % EVERY == first
    wanted = np.flatnonzero(is_known & ((kt_h >= PLUME_KT_H) | ((kt_h < NOTHING_KT_H) & is_taken)))
    windows = windows_of(track, middles[wanted])
    kept = wanted[windows.index]
    return windows, kt_h[kept] >= PLUME_KT_H, at[kept]


def _scan(peaks: pa.Table, lon: Floats, lat: Floats) -> Floats:
    """The significance of the strongest peak in the middle of each window, 0 where there is none."""
    x, y = floats(peaks["longitude"]), floats(peaks["latitude"])
    apart = great_circle_distance_km(lon[:, None], lat[:, None], x[None], y[None])
    strength = np.maximum(np.nan_to_num(floats(peaks["significance"])), 0.0)
    within = np.where(apart <= 2 * MIDDLE_KM, strength[None], 0.0)  # as of windows.scan_scores
    return np.asarray(within.max(axis=1, initial=0.0))


def _rows_by_orbit(peaks: pa.Table) -> dict[tuple[str, int], NDArray[np.intp]]:
    names = zip(sensors_of(peaks).to_pylist(), peaks["orbit"].to_pylist(), strict=True)
    found: dict[tuple[str, int], list[int]] = {}
    for at, (sensor, orbit) in enumerate(names):
        found.setdefault((sensor or OCO2, orbit), []).append(at)
    return {key: np.array(rows, np.intp) for key, rows in found.items()}


def _tracks(orbits: Any) -> Iterator[tuple[OrbitFiles, Track]]:
    """The tracks of orbits; one that has no soundings to be used is told and left out."""
    reader = OrbitReader()
    for orbit in orbits:
        rows = reader.read(orbit)
        try:
            track = compute_track(good_soundings(rows))
        except InputError as error:
            log.warning("%s: no windows: %s", orbit.name, error)
            continue
        yield orbit, track
