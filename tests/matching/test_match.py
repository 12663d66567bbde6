"""The matching rule: what lies upwind and emits is preferred; probabilities are such everywhere on Earth."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from detections_and_sources import KT_H, at, detection, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.matching.candidates import PAIRS, candidates_of
from plumewatch.matching.detections import DETECTIONS, detections_of_peaks, detections_of_plumes, with_wind
from plumewatch.matching.match import match_detections
from plumewatch.matching.rule import matching_rule
from plumewatch.matching.weights import compute_weights
from plumewatch.tables import MATCHES, PEAKS, PLUMES

NUMBERS = ["probability", "distance_km", "along_wind_km", "across_wind_km", "expected_emission", "ratio"]


def matches(seen: pa.Table, near: pa.Table, gas="co2") -> list[dict]:
    return match_detections(seen, near, gas).to_pylist()


def test_the_worked_number_of_the_docstring() -> None:
    first, none = matches(detection(), pairs(("plant", *at(20, 270), KT_H)))
    assert first["probability"] == pytest.approx(0.98, abs=0.005)
    assert none["source_id"] is None
    assert first["along_wind_km"] == pytest.approx(20.0, abs=0.01)


def test_a_plant_upwind_makes_a_plume_more_probable_and_empty_land_less() -> None:
    plant = pairs(("plant", *at(20, 270), KT_H))
    gains = []
    for probability in (0.02, 0.5, 0.9):
        seen = detection(probability=probability)
        beside, alone = (matches(seen, near) for near in (plant, pairs()))
        assert len({row["false_detection_probability"] for row in beside}) == 1
        with_plant, without = (rows[0]["false_detection_probability"] for rows in (beside, alone))
        assert with_plant < 1 - probability < without
        gains.append(without / (1 - without) / (with_plant / (1 - with_plant)))
        # what is conditional on a plume doesn't change
        assert [r["probability"] for r in beside] == [r["probability"] for r in matches(detection(), plant)]
    # the odds change by the weights: 0.028 + 0.0005 against 0.0004 (docstring of match_detections)
    assert gains == pytest.approx([66.0] * 3, rel=0.05)
    sure, none = matches(detection(probability=1.0), plant)[0], matches(detection(probability=0.0), plant)[0]
    assert sure["false_detection_probability"] == 0.0 and none["false_detection_probability"] == 1.0


@pytest.mark.parametrize("gas", ["co2", "ch4"])
def test_a_detection_without_probability_has_none_of_being_false(gas: str) -> None:
    rows = matches(detection(), pairs(("plant", *at(1, 270), KT_H)), gas)
    assert [row["false_detection_probability"] for row in rows] == [None] * len(rows)


@pytest.mark.parametrize(
    ("bearing", "along", "across"),
    [(270, 20, 0), (90, -20, 0), (0, 0, 20), (180, 0, -20)],
    ids=["west", "east", "north", "south"],
)
def test_in_a_west_wind_west_is_upwind_and_north_is_left(bearing: float, along: float, across: float) -> None:
    near = candidates_of(pairs(("s", *at(20, bearing, lat=0.0), KT_H)), np.array(["d"]))
    found = compute_weights(detection(lat=0.0), near, "co2").at
    assert (found.along_km[0], found.across_km[0]) == pytest.approx((along, across), abs=0.05)


def test_the_source_upwind_beats_the_same_one_aside_and_downwind() -> None:
    near = pairs(("up", *at(20, 270), KT_H), ("aside", *at(20, 0), KT_H), ("down", *at(20, 90), KT_H))
    rows = matches(detection(), near)
    assert rows[0]["source_id"] == "up"
    assert rows[0]["status"] == "confirmed"
    assert "down" not in {r["source_id"] for r in rows}


def test_of_two_alike_the_larger_the_nearer_and_the_one_on_the_axis_win() -> None:
    larger = matches(detection(rate=None), pairs(("a", *at(20, 265), KT_H), ("b", *at(20, 275), 2 * KT_H)))
    nearer = matches(detection(), pairs(("a", *at(40, 270), KT_H), ("b", *at(15, 270), KT_H)))
    axis = matches(detection(), pairs(("a", *at(30, 290), KT_H), ("b", *at(30, 270), KT_H)))
    assert [rows[0]["source_id"] for rows in (larger, nearer, axis)] == ["b"] * 3


def test_air_does_not_travel_longer_than_the_stated_hours() -> None:
    weak = detection(u=2.5)  # 54 km in 6 hours
    assert matches(weak, pairs(("s", *at(50, 270), KT_H)))[0]["source_id"] == "s"
    near, far = (matches(weak, pairs(("s", *at(km, 270), KT_H)))[0]["probability"] for km in (50, 60))
    assert near > far > 0.5  # the speed is known to a fifth only
    assert matches(weak, pairs(("s", *at(85, 270), KT_H)))[0]["source_id"] is None


def test_a_weak_wind_has_a_less_sure_direction() -> None:
    aside = pairs(("s", *at(20, 320), 0.2 * KT_H))
    strong, weak = (matches(detection(u=u, rate=None), aside)[0]["probability"] for u in (10.0, 1.5))
    assert matches(detection(u=1.5, rate=None), aside)[0]["source_id"] == "s"
    assert matches(detection(u=10.0, rate=None), aside)[0]["source_id"] is None
    assert strong > 0.5 < weak


def test_a_calm_counts_as_no_wind() -> None:
    for u, v in ((None, None), (0.0, 0.0), (5.0, None)):
        rows = matches(detection(u=u, v=v), pairs(("east", *at(20, 90), KT_H), ("west", *at(20, 270), KT_H)))
        by_id = {r["source_id"]: r for r in rows}
        assert by_id["east"]["probability"] == pytest.approx(by_id["west"]["probability"])
        assert by_id["east"]["along_wind_km"] is None


def test_nothing_near_is_an_unknown_source() -> None:
    (row,) = matches(detection(), pairs())
    assert (row["source_id"], row["rank"], row["probability"], row["status"]) == (None, 1, 1.0, "unknown_source")
    assert row["detected_emission"] == 1.0


def test_the_statuses() -> None:
    plant = ("plant", *at(20, 270), KT_H)

    def status(seen, *sources):
        return matches(seen, pairs(*sources))[0]["status"]

    assert status(detection(rate=1.5), plant) == "confirmed"
    assert status(detection(rate=5.0), plant) == "inconsistent_rate"
    assert status(detection(rate=0.2), plant) == "inconsistent_rate"
    assert status(detection(rate=5.0, low=2.5, high=9.0), plant) == "confirmed"  # its interval reaches 3 x 1 kt/h
    assert status(detection(rate=None), plant) == "confirmed"
    assert status(detection(), ("a", *at(20, 265), KT_H), ("b", *at(20, 275), KT_H)) == "ambiguous"
    assert status(detection(), ("tiny", *at(30, 300), KT_H / 1000)) == "unknown_source"


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ((51, 49), "ambiguous"),
        ((60, 40), "ambiguous"),
        ((65, 35), "ambiguous"),
        ((68, 32), "confirmed"),
        ((90, 10), "confirmed"),
        ((50, 50), "ambiguous"),
        ((51, 49, 1), "ambiguous"),
        ((60, 20, 20), "confirmed"),
        ((40, 20, 20), "ambiguous"),
    ],
)
def test_of_plants_side_by_side_one_is_confirmed_only_with_a_clear_lead(weights: tuple, wanted: str) -> None:
    plants = [(f"p{n}", *at(20, 270), KT_H * weight / 100) for n, weight in enumerate(weights)]
    assert matches(detection(rate=None), pairs(*plants))[0]["status"] == wanted
    assert matching_rule("co2").confirmed_lead == matching_rule("ch4").confirmed_lead == 2


@pytest.mark.parametrize(
    ("emission_kt_h", "chance", "wanted"),
    [
        (1.0, None, "confirmed"), (1.0, 0.9, "confirmed"), (1.0, 0.01, "ambiguous"), (0.035, None, "ambiguous"),
        (0.035, 0.99, "ambiguous"), (0.15, 0.99, "confirmed"),
    ],
)  # fmt: skip
def test_none_is_confirmed_that_may_as_well_be_unlisted_or_no_plume(
    emission_kt_h: float, chance: float | None, wanted: str
) -> None:
    seen = detection(rate=None) if chance is None else detection(rate=None, probability=chance)
    first, none = matches(seen, pairs(("plant", *at(20, 270), KT_H * emission_kt_h)))
    assert first["source_id"] == "plant" and first["probability"] > none["probability"]
    no_plume = first["false_detection_probability"] or 0.0
    is_clear = first["probability"] * (1 - no_plume) > 0.5 and first["probability"] >= 2 * none["probability"]
    assert (first["status"], none["status"]) == (wanted, wanted) and is_clear == (wanted == "confirmed")


def test_plants_that_lie_as_well_explain_one_peak_together() -> None:
    cluster = [(f"p{i}", *at(20 + i, 268 + i), KT_H) for i in range(5)]
    rows = matches(detection(rate=5.0), pairs(*cluster))
    assert rows[0]["ratio"] == pytest.approx(5.0)
    assert rows[0]["status"] == "ambiguous"  # each alone would be off by a factor of 5
    assert matches(detection(rate=5.0), pairs(cluster[0]))[0]["status"] == "inconsistent_rate"


def test_methane_is_matched_by_distance_and_in_kilograms() -> None:
    near = pairs(("well", *at(0.3, 90), 8760.0), ("other", *at(2.5, 270), 8760.0))
    rows = matches(detection(rate=2000.0), near, "ch4")
    assert rows[0]["source_id"] == "well"
    assert rows[0]["expected_emission"] == pytest.approx(1000.0)
    assert rows[0]["ratio"] == pytest.approx(2.0)
    assert rows[0]["status"] == "confirmed"
    assert rows[0]["along_wind_km"] == pytest.approx(-0.3, abs=1e-3)


@settings(max_examples=150, deadline=None)
@given(
    gas=st.sampled_from(["co2", "ch4"]),
    lon=st.one_of(st.floats(-180, 179.9999), st.sampled_from([-180.0, 179.9999, 0.0])),
    lat=st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 89.9999])),
    wind=st.one_of(st.none(), st.tuples(st.floats(-40, 40), st.floats(-40, 40))),
    rate=st.one_of(st.none(), st.floats(0.001, 1e6)),
    sources=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 360), st.floats(0, 1e9)), max_size=8),
)
def test_probabilities_sum_to_one_and_ranks_follow_them(gas, lon, lat, wind, rate, sources) -> None:
    reach = matching_rule(gas).position.max_distance_km
    near = pairs(*[(f"s{i}", *at(d * reach, b, lon, lat), e) for i, (d, b, e) in enumerate(sources)])
    u, v = wind or (None, None)
    rows = matches(detection(lon, lat, u, v, rate), near, gas)
    p = [r["probability"] for r in rows]
    assert sum(p) == pytest.approx(1.0, abs=1e-9)
    assert p == sorted(p, reverse=True)
    assert [r["rank"] for r in rows] == list(range(1, len(rows) + 1))
    assert sum(r["source_id"] is None for r in rows) == 1
    assert len({r["status"] for r in rows}) == 1
    assert all(r["distance_km"] <= reach * 1.0001 + 1e-6 for r in rows if r["source_id"])


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 360), st.floats(0.5, 20), st.floats(-85, 85), st.floats(1, 40), st.floats(-60, 60))
def test_turning_wind_and_place_together_changes_nothing(turn, speed, lat, distance, off) -> None:
    """The rule knows only distances and angles to the wind: the same on every meridian, in every direction."""
    results = []
    for lon, by in ((0.0, 0.0), (179.9, turn)):
        blows_to = np.radians(90.0 + by)
        seen = detection(lon, lat, speed * np.sin(blows_to), speed * np.cos(blows_to))
        near = pairs(("s", *at(distance, 270.0 + off + by, lon, lat), KT_H))
        results.append([r["probability"] for r in matches(seen, near)])
    assert results[0] == pytest.approx(results[1], rel=1e-4, abs=1e-6)


def test_many_detections_are_matched_as_each_alone_whatever_their_order() -> None:
    seen = [detection(10 + i / 10, 50, 5, i - 3.0, name=f"d{i}") for i in range(6)]
    near = [
        pairs(*[(f"s{j}", *at(7.0 * j + i, 250 + 10 * j), j * KT_H / 5) for j in range(6)], name=f"d{i}")
        for i in range(6)
    ]
    alone = pa.concat_tables([match_detections(d, n, "co2") for d, n in zip(seen, near, strict=True)])
    together = match_detections(pa.concat_tables(seen[::-1]), pa.concat_tables(near[::-1]), "co2")
    assert together.drop_columns(NUMBERS).equals(alone.drop_columns(NUMBERS))
    for name in NUMBERS:
        assert together[name].to_pylist() == pytest.approx(alone[name].to_pylist())
    assert together.schema == MATCHES.schema


def test_no_detections_is_an_empty_table() -> None:
    assert match_detections(DETECTIONS.empty_table(), PAIRS.empty_table(), "co2").equals(MATCHES.empty())


def test_only_accepted_detections_are_taken_and_a_direction_becomes_a_vector() -> None:
    rows = [
        dict.fromkeys(PLUMES.schema.names)
        | {
            "plume_id": f"p{i}",
            "scene_id": "s",
            "longitude": 1.0,
            "latitude": 2.0,
            "status": status,
            "wind_speed_10m_m_s": 5.0,
        }
        | {"wind_from_deg": 270.0, "emission_kg_h": 9.0, "reference_scene_ids": [], "emission_status": "ok"}
        for i, status in enumerate(["accepted", "too_small"])
    ]
    (plume,) = detections_of_plumes(PLUMES.from_pylist(rows)).to_pylist()
    assert plume["detection_id"] == "p0"
    assert (plume["wind_u_m_s"], plume["wind_v_m_s"]) == pytest.approx((5.0, 0.0), abs=1e-12)
    peak = dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": 2016083111560007,
        "longitude": 1.0,
        "latitude": 2.0,
        "status": "accepted",
        "emission_status": "no_wind",
    }
    (row,) = detections_of_peaks(PEAKS.from_pylist([peak, peak | {"peak_id": 2, "status": "too_wide"}])).to_pylist()
    assert row["detection_id"] == "2016083111560007"
    assert row["wind_u_m_s"] is None


def test_another_wind_is_taken_only_where_it_is_known() -> None:
    seen = pa.concat_tables([detection(name="a"), detection(name="b")])
    changed = with_wind(seen, np.array([np.nan, 1.0]), np.array([2.0, 2.0]))
    assert changed["wind_u_m_s"].to_pylist() == [5.0, 1.0]
    assert changed["wind_v_m_s"].to_pylist() == [0.0, 2.0]
