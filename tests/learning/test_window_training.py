"""The model of windows, from what is stored: where inventories are complete, kept with its card, and used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.evidence.keys import write_source_passes
from plumewatch.evidence.looks import looks_of_orbits
from plumewatch.gases import CO2
from plumewatch.geodesy import destination
from plumewatch.learning.emission_model import NothingToLearnFrom
from plumewatch.learning.window_training import (
    complete_cells,
    read_window_model,
    train_peak_windows,
    window_probabilities,
)
from plumewatch.oco2.evaluation.noise import SimulatedNoise
from plumewatch.oco2.evaluation.planted import PlantedPeak
from plumewatch.tables import MATCHES, PEAKS, SOUNDINGS, SOURCE_PASSES, SOURCES

N_ORBITS, PLANTS_KM, KT_H = 20, (150.0, 300.0, 450.0), 8.76e6  # tonnes a year that are 1 kt/h
MONTH, BEGIN = "2025-08", datetime(2025, 8, 1, 12, tzinfo=UTC)


def longitude(orbit: int) -> float:
    return 10.5 + 3.0 * orbit


def source(name: str, lon: float, lat: float, kind: str, kt_h: float) -> dict[str, Any]:
    return dict.fromkeys(SOURCES.schema.names) | {
        "source_id": name, "name": name, "kind": kind, "fuel": "coal", "gas": "co2", "emission_t_y": kt_h * KT_H,
        "year": 2018, "longitude": lon, "latitude": lat,
    }  # fmt: skip


def soundings_of(orbit: int) -> pa.Table:
    """A track northward in a wind to the east, with peaks downwind of its plants."""
    track = SimulatedNoise().draw(np.random.default_rng([4, orbit]))
    for km in PLANTS_KM:
        track = PlantedPeak(km, 3.0, 5.0).added_to(track)
    n, at = len(track), BEGIN + timedelta(days=orbit)
    columns: dict[str, Any] = {field.name: pa.nulls(n, field.type) for field in SOUNDINGS.schema}
    columns |= {
        "sounding_id": np.arange(n) * 10 + int(f"{at:%Y%m%d%H%M%S}00") + 1,
        "observed_at_utc": pa.array([at + timedelta(seconds=float(d) / 6.75) for d in track.distance_km]),
        "orbit": np.full(n, orbit, np.int32), "longitude": np.full(n, longitude(orbit)), "latitude": track.latitude,
        "xco2_ppm": 400.0 + track.xco2_ppm, "xco2_uncertainty_ppm": track.uncertainty_ppm,
        "xco2_quality_flag": np.zeros(n, np.int8), "operation_mode": np.zeros(n, np.int8),
        "land_water_indicator": np.zeros(n, np.int8), "wind_u_m_s": np.full(n, 5.0), "wind_v_m_s": np.zeros(n),
        "surface_pressure_hpa": np.full(n, 1000.0), "tcwv_kg_m2": np.full(n, 20.0),
    }  # fmt: skip
    return SOUNDINGS.from_columns(columns)


def peak(orbit: int, km: float, status: str, significance: float) -> dict[str, Any]:
    at = BEGIN + timedelta(days=orbit)
    return dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": int(f"{at:%Y%m%d%H%M%S}00") + int(km), "orbit": orbit, "observed_at_utc": at, "status": status,
        "longitude": longitude(orbit), "latitude": km / 111.195, "significance": significance, "height_ppm": 3.0,
        "sigma_km": 5.0, "wind_u_m_s": 5.0, "wind_v_m_s": 0.0, "probability": 0.9,
    }  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The scan has found one plume in three, and something else on each third orbit."""
    root = str(tmp_path_factory.mktemp("storage"))
    soundings = pa.concat_tables([soundings_of(orbit) for orbit in range(N_ORBITS)])
    path = storage.partition_path(f"{root}/soundings", {"month": MONTH})
    storage.write_part(path, "granule.parquet", storage.parquet_bytes(SOUNDINGS, soundings))
    storage.publish_partition(SOUNDINGS, f"{root}/soundings", {"month": MONTH}, ["granule.parquet"], len(soundings))
    plants = [source(f"p{orbit}-{km:.0f}", *map(float, destination(longitude(orbit), km / 111.195, 270.0, 10.0)),
                     "power_plant", 3.0) for orbit in range(N_ORBITS) for km in PLANTS_KM]  # fmt: skip
    cells = [source(f"c{n}", longitude(0), 1.0 + 2 * n, "grid_cell", 6.0) for n in range(3)]  # the first orbit's
    rows = SOURCES.from_pylist([*plants, *cells])
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "combined"}, rows)
    found = [peak(orbit, 300.0, "accepted", 4.0) for orbit in range(N_ORBITS)]
    found += [peak(orbit, 220.0, "accepted", 5.0) for orbit in range(0, N_ORBITS, 3)]
    searched = {"sensor": "oco2", "outcome": "searched", "detection_limit": 1.0, "stage": "detection"}
    stated = [searched | {"orbit": orbit, "observed_at_utc": (BEGIN + timedelta(days=orbit)).isoformat()}
              for orbit in range(N_ORBITS)]  # fmt: skip
    keys = {"method": "scan", "month": MONTH}
    storage.write_partition(PEAKS, f"{root}/peaks", keys, PEAKS.from_pylist(found), extra={"observations": stated})
    return root


def test_inventories_are_complete_where_points_leave_little_to_the_grid() -> None:
    places = ((1.0, 1.0), (3.0, 1.0), (5.0, 1.0))
    rows = [source(f"p{n}", *at, "power_plant", 5.0) for n, at in enumerate(places)]
    rows += [source("a fifth", 1.5, 1.0, "grid_cell", 1.2), source("more", 3.5, 1.0, "city", 2.0)]
    is_complete = complete_cells(SOURCES.from_pylist(rows)).reshape(90, 180)
    assert is_complete[45, 90:93].tolist() == [True, False, True] and is_complete.sum() == 90 * 180 - 1


def test_what_is_stored_is_learnt_once_and_said_of_peaks(root: str) -> None:
    peaks = storage.read_table(PEAKS, f"{root}/peaks")
    assert read_window_model(root) is None and window_probabilities(root, MONTH, peaks) == {}
    path, lines = train_peak_windows(root)
    assert train_peak_windows(root)[0] == path and "average precision: learnt" in lines[1]
    card: dict[str, Any] = storage.read_json(path)
    told, judged = card["learnt_from"], card["judged"]
    assert told["orbits"] == N_ORBITS - 1 and told["months"] == [MONTH] and told["with_a_peak"] >= 50
    assert judged["learnt"] > 0.8 > judged["scan"] > judged["by_chance"] and card["is_better_than_scan"]
    found = window_probabilities(root, MONTH, peaks)
    by_place = {km: np.median([p for name, p in found.items() if int(name) % 100_000 % 1000 == km])
                for km in (220, 300)}  # fmt: skip
    assert len(found) == peaks.num_rows and by_place[300] > 0.7 > 0.3 > by_place[220]


def test_passes_tell_it_of_their_detections(root: str) -> None:
    train_peak_windows(root)
    peaks = storage.read_table(PEAKS, f"{root}/peaks").to_pylist()
    of_peak = dict.fromkeys(MATCHES.schema.names) | {"rank": 1, "probability": 1.0, "status": "unknown_source"}
    rows = MATCHES.from_pylist([of_peak | {"detection_id": str(p["peak_id"])} for p in peaks])
    storage.write_partition(MATCHES, f"{root}/matches", {"gas": "co2", "period": MONTH}, rows)
    passes = write_source_passes(root, CO2, MONTH)
    told = [p["window_probability"] for p in passes.to_pylist() if p["detection_id"] is not None]
    assert len(told) == len(peaks) and None not in told
    assert passes.schema.names == SOURCE_PASSES.schema.names


def test_orbits_that_looked_at_a_place_nobody_lists_are_known(root: str) -> None:
    lon, lat = (np.array([float(a)]) for a in destination(longitude(2), 2.0, 270.0, 12.0))
    [row] = looks_of_orbits(root, ["here"], lon, lat).to_pylist()
    assert (row["source_id"], row["orbit"], row["detection_limit"]) == ("here", 2, 1.0)
    assert row["distance_km"] == pytest.approx(12.0, abs=1.0) and row["visible_fraction"] > 0.5
    assert looks_of_orbits(root, ["east of it"], np.array([longitude(2) + 0.2]), lat).num_rows == 0


def test_without_a_grid_or_soundings_nothing_is_learnt(tmp_path: Path, root: str) -> None:
    rows = SOURCES.from_pylist([source("p", 10.0, 1.0, "power_plant", 3.0)])
    storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": "combined"}, rows)
    with pytest.raises(NothingToLearnFrom, match="no grid cells among 1 sources"):
        train_peak_windows(str(tmp_path))
    rows = SOURCES.from_pylist([source("c", 10.0, 1.0, "grid_cell", 3.0)])
    storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": "combined"}, rows)
    with pytest.raises(NothingToLearnFrom, match="0 orbits, none over complete inventories"):
        train_peak_windows(str(tmp_path))


def test_a_card_that_cannot_be_used_is_told_and_nothing_is_said(root: str, caplog: pytest.LogCaptureFixture) -> None:
    path, _ = train_peak_windows(root)
    peaks, card = storage.read_table(PEAKS, f"{root}/peaks"), storage.read_json(path)
    storage.write_json(path, card | {"model": {}})
    assert window_probabilities(root, MONTH, peaks) == {} and "card.json" in caplog.text
    storage.write_json(path, card | {"is_better_than_scan": False})
    assert window_probabilities(root, MONTH, peaks) == {}
    storage.write_json(path, card)
