"""A plume begins at its source, has an id of its own, and its far pieces are not plumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.methane import plumes
from plumewatch.methane.anomalies import ForestSettings, detect_isolation_forest, find_anomalies
from plumewatch.methane.detection import Detection
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, plume_column, simulate_area
from plumewatch.methane.pass_search import choose_references, search_pass, time_of
from plumewatch.methane.plumes import describe_plumes, find_origin, refuse_downwind_pieces
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import ACCEPTED, DOWNWIND_PIECE, NO_REFERENCE, SEARCHED, SKIPPED_CLOUD, UNRATED
from plumewatch.tables import PLUMES
from plumewatch.wind.at_point import WindAtPoint

LIMITS = plume_thresholds()
SIZE = 180
WIND = WindAtPoint(2.6, 1.5, 10.0)
FOREST = ForestSettings()


def the_wind(longitude: float, latitude: float) -> WindAtPoint:
    return WIND


def no_wind(longitude: float, latitude: float) -> None:
    return None


@pytest.fixture(scope="module")
def area() -> SimulatedArea:
    plume = PlantedPlume(9000.0, 100.0, 50.0, WIND.wind_u_m_s, WIND.wind_v_m_s)
    return simulate_area(41, size=SIZE, n_references=4, plumes=(plume,), clouds=False, reference_plume_share=0.0)


@pytest.mark.parametrize("to", [(3.0, 0.0), (-3.0, 0.0), (0.0, 3.0), (2.0, -2.0)])
def test_origin_is_the_upwind_end(to: tuple[float, float], area: SimulatedArea) -> None:
    column = plume_column(np.random.default_rng(8), SIZE, PlantedPlume(5000.0, 90.0, 90.0, *to)).astype(np.float32)
    noisy = column + 0.05 * np.random.default_rng(9).standard_normal(column.shape).astype(np.float32)
    row, col = find_origin(noisy, column > 0.03, area.passes[0].place, WindAtPoint(*to, 10.0))
    assert np.hypot(row - 90, col - 90) < 10
    row, col = find_origin(noisy, column > 0.03, area.passes[0].place, None)
    assert np.hypot(row - 90, col - 90) < 20


def test_row_of_a_plume(area: SimulatedArea) -> None:
    result = search_pass("here", area.passes[-1], area.passes[-2::-1], the_wind, "multi_pass", FOREST, LIMITS)
    rows = PLUMES.from_pylist([plume.table_row for plume in result.plumes]).to_pylist()
    (row,) = [row for row in rows if row["status"] == ACCEPTED]
    source = area.passes[-1].place.longitude_latitude(100, 50)
    assert great_circle_distance_km(*source, row["longitude"], row["latitude"]) < 0.15
    assert row["emission_kg_h_low"] < row["emission_kg_h"] < row["emission_kg_h_high"]
    assert row["emission_status"] == "ok" and row["wind_from_deg"] == pytest.approx(240.0, abs=0.1)
    assert row["reference_scene_ids"] == sorted(s for p in area.passes[:-1] for s in p.scene_ids)
    assert row["n_pixels"] * 400.0 == row["area_m2"]
    outline = shapely.from_wkb(row["geometry"])
    assert outline.geom_type == "Polygon" and outline.distance(shapely.Point(row["longitude"], row["latitude"])) == 0
    assert result.observation["outcome"] == SEARCHED and result.observation["detected"] is True
    assert 500 < result.observation["detection_limit"] < 9000


def test_without_wind_there_is_a_mass_but_no_rate(area: SimulatedArea) -> None:
    result = search_pass("here", area.passes[-1], area.passes[-2::-1], no_wind, "multi_pass", FOREST, LIMITS)
    row = next(plume.table_row for plume in result.plumes if plume.candidate.status == ACCEPTED)
    nothing = ("emission_kg_h", "emission_kg_h_low", "emission_kg_h_high", "wind_speed_10m_m_s", "wind_from_deg")
    assert row["ime_kg"] > 0 and row["emission_status"] == "no_wind" and not any(row[name] for name in nothing)
    assert result.observation["detection_limit"] is None and result.observation["wind_speed_m_s"] is None


def test_ids_are_of_the_place_and_scene(area: SimulatedArea) -> None:
    def ids(name: str, method: str = "multi_pass") -> set[str]:
        result = search_pass(name, area.passes[-1], area.passes[-2::-1], the_wind, method, FOREST, LIMITS)
        return {plume.plume_id for plume in result.plumes}

    assert ids("here") == ids("here") and not ids("here") & ids("there")


def test_the_far_piece_of_a_plume_is_refused_and_a_plume_beside_it_is_not(area: SimulatedArea) -> None:
    target = area.passes[-1]
    enhancement = 0.001 * np.random.default_rng(0).standard_normal(target.shape).astype(np.float32)
    masks = {}
    blocks = {"plume": (150, 20, 12, 0.5), "far": (112, 84, 10, 0.2), "beside": (165, 90, 10, 0.2)}
    blocks["stronger"] = (75, 150, 25, 0.6)
    for name, (row, col, size, value) in blocks.items():
        masks[name] = np.zeros(target.shape, bool)
        masks[name][row - size : row + size, col - size : col + size] = True
        enhancement[masks[name]] += value
    candidates = tuple(Candidate(m, 20.0 - n, 30.0, 0.99, ACCEPTED) for n, m in enumerate(masks.values()))
    detection = Detection("multi_pass", enhancement, np.ones(target.shape, bool), candidates, {30.0: 0.01})
    plumes = describe_plumes("here", target, area.passes[:1], detection, the_wind, LIMITS)
    plumes = refuse_downwind_pieces(plumes, target.pixel_size_m, LIMITS)
    assert [p.candidate.status for p in plumes] == [ACCEPTED, DOWNWIND_PIECE, ACCEPTED, ACCEPTED]
    assert plumes[1].table_row["status"] == DOWNWIND_PIECE


def test_a_plume_that_runs_into_the_edge_or_a_gap_is_cut(area: SimulatedArea) -> None:
    target = area.passes[-1]
    enhancement = 0.01 * np.random.default_rng(0).standard_normal(target.shape).astype(np.float32)
    valid = np.ones(target.shape, bool)
    valid[100:120, 60:80] = False
    masks = {name: np.zeros(target.shape, bool) for name in ("free", "at the edge", "at a gap", "near a gap")}
    for mask, (row, col) in zip(masks.values(), ((30, 30), (0, 100), (104, 80), (104, 48)), strict=True):
        mask[row : row + 10, col : col + 11] = True
        enhancement[mask] += 0.3
    candidates = tuple(Candidate(mask, 20.0, None, 0.99, ACCEPTED) for mask in masks.values())
    detection = Detection("multi_pass", enhancement, valid, candidates)
    plumes = describe_plumes("here", target, area.passes[:1], detection, no_wind, LIMITS)
    table = PLUMES.from_pylist([plume.table_row for plume in plumes])
    cut = {plume.plume_id: name for plume, name in zip(plumes, masks, strict=True)}
    assert {cut[row["plume_id"]]: row["is_cut"] for row in table.to_pylist()} == {
        "free": False, "at the edge": True, "at a gap": True, "near a gap": False,
    }  # fmt: skip
    assert PLUMES.conform(table.drop_columns(["is_cut"]))["is_cut"].null_count == 4


def test_origin_is_found_in_a_part_of_the_image_as_in_the_whole(
    area: SimulatedArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((120, 120), bool)
    mask[50:56, 40:60] = True
    fields = np.random.default_rng(1).standard_normal((60, 120, 120)).astype(np.float32)
    in_part = [find_origin(field, mask, area.passes[0].place, WIND) for field in fields]
    monkeypatch.setattr(plumes, "ORIGIN_MARGIN_PX", 120)
    assert in_part == [find_origin(field, mask, area.passes[0].place, WIND) for field in fields]


def test_a_clouded_date_and_one_without_references_are_stated(area: SimulatedArea) -> None:
    target = area.passes[-1]
    clouded = replace(target, is_usable=np.zeros(target.shape, bool))
    first = search_pass("here", clouded, area.passes[-2::-1], the_wind, "multi_pass", FOREST, LIMITS)
    assert first.observation["outcome"] == SKIPPED_CLOUD and first.observation["clear_fraction"] == 0.0
    alone = search_pass("here", target, [clouded], the_wind, "multi_pass", FOREST, LIMITS)
    assert alone.observation["outcome"] == NO_REFERENCE and alone.observation["detected"] is False
    assert not first.plumes and not alone.plumes and alone.observation["detection_limit"] is None


def test_references_are_the_nearest_that_see_the_ground(area: SimulatedArea) -> None:
    target, near = area.passes[-1], area.passes[-2]
    elsewhere = near.is_usable.copy()
    elsewhere[:, 60:] = False
    seen = replace(target, is_usable=~elsewhere)
    assert choose_references(seen, [replace(near, is_usable=elsewhere), near], LIMITS) == [near]
    assert len(choose_references(target, iter([near] * 30), LIMITS)) == 12


def test_time_of_a_pass_without_one_is_mid_morning_where_it_is(area: SimulatedArea) -> None:
    unknown = replace(area.passes[-1], observed_at_utc=None)
    assert time_of(unknown, "2025-08-17").isoformat()[:16] == "2025-08-17T06:53"
    assert time_of(area.passes[-1], "2025-08-17") == area.passes[-1].observed_at_utc


def test_isolation_forest_clusters_are_never_rated(area: SimulatedArea) -> None:
    target = area.passes[-1]
    b11, b12 = target.b11.copy(), target.b12.copy()
    b11[30:40, 30:42], b12[30:40, 30:42] = 0.9, 0.2
    strange = replace(target, b11=b11, b12=b12)
    anomalies = find_anomalies(strange, ForestSettings(batch_size=20_000, contamination=0.01))
    assert len(anomalies.row) == pytest.approx(0.01 * SIZE * SIZE, rel=0.05)
    inside = (anomalies.row >= 30) & (anomalies.row < 40) & (anomalies.col >= 30) & (anomalies.col < 42)
    assert inside.sum() == 120 and len(set(anomalies.cluster[inside])) == 1 and anomalies.cluster[inside][0] >= 0
    assert (anomalies.cluster == -1).any() and 0 < anomalies.score.min() < anomalies.score.max() <= 1
    detection = detect_isolation_forest(strange, anomalies, LIMITS)
    assert detection.candidates and {(c.status, c.probability) for c in detection.candidates} == {(UNRATED, None)}
    assert len(detection.candidates) == anomalies.cluster.max() + 1
    again = find_anomalies(strange, ForestSettings(batch_size=20_000, contamination=0.01))
    np.testing.assert_array_equal(anomalies.score, again.score)
