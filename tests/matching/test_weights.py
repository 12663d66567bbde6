"""What else tells sources apart: rate, width, kind, hour, other passes; areas beside points; who has which share."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from detections_and_sources import KT_H, at, detection, pairs
from plumewatch.inventory.hourly_rate import Profile, rate_at
from plumewatch.matching.candidates import ListedSources, candidates_of, find_candidates
from plumewatch.matching.hourly import HourlyRates
from plumewatch.matching.match import SEEN_UNITS, match_candidates, match_detections, seen_of_sources

TWO = (("small", *at(20, 267), KT_H), ("large", *at(20, 273), 4 * KT_H))


def first(seen: pa.Table, near: pa.Table, gas: str = "co2") -> dict:
    return match_detections(seen, near, gas).to_pylist()[0]


def kinds(near: pa.Table, *of: str, width_deg: float | None = None) -> pa.Table:
    """Pairs with the kinds of their sources; cells of a width."""
    widths = pa.array([width_deg if kind == "grid_cell" else None for kind in of], pa.float64())
    columns = {"kind": pa.array(of), "cell_width_deg": widths, "cell_height_deg": widths}
    for name, column in columns.items():
        near = near.append_column(name, column)
    return near


@pytest.mark.parametrize(("rate", "wanted"), [(0.9, "small"), (4.0, "large"), (None, "large")])
def test_of_two_that_lie_as_well_the_rate_tells(rate: float | None, wanted: str) -> None:
    row = first(detection(rate=rate), pairs(*TWO))
    assert row["source_id"] == wanted
    assert row["status"] == "confirmed"


def test_a_rate_of_a_wide_interval_tells_less() -> None:
    sure, unsure = (
        first(detection(rate=4.0, low=4.0 / spread, high=4.0 * spread), pairs(*TWO))["probability"]
        for spread in (1.2, 2.7)
    )
    assert sure > unsure + 0.03


def test_a_narrow_peak_comes_from_near_by_and_a_wide_one_may_come_from_afar() -> None:
    near = pairs(("near", *at(8, 270), KT_H), ("far", *at(85, 270), KT_H))
    chance = {
        sigma: {r["source_id"]: r["probability"] for r in match_detections(seen, near, "co2").to_pylist()}
        for sigma in (2.0, 12.0)
        for seen in [detection(u=10.0, sigma_km=sigma, crossing=1.0)]
    }
    assert chance[2.0].get("far", 0.0) < 0.02 < chance[12.0]["far"]
    # along the wind a track says nothing of the width
    aslant = match_detections(detection(u=10.0, sigma_km=2.0, crossing=0.1), near, "co2").to_pylist()
    unknown = match_detections(detection(u=10.0), near, "co2").to_pylist()
    assert [r["probability"] for r in aslant] == pytest.approx([r["probability"] for r in unknown])


def test_several_that_make_a_peak_together_are_known_though_each_is_too_small() -> None:
    cluster = [(f"p{i}", *at(20 + i, 268 + i), KT_H) for i in range(6)]
    row = first(detection(rate=6.0), pairs(*cluster))
    assert row["source_id"] is not None and row["status"] == "ambiguous"
    alone = match_detections(detection(rate=6.0, low=5.5, high=6.5), pairs(cluster[0]), "co2").to_pylist()
    assert {r["status"] for r in alone} <= {"inconsistent_rate", "unknown_source"}


def test_what_no_one_can_tell_apart_is_one_answer_with_two_names() -> None:
    rows = match_detections(
        detection(), pairs(("a", *at(20, 270), KT_H), ("b", *at(20.5, 270), KT_H), ("c", *at(20, 310), KT_H)), "co2"
    ).to_pylist()
    assert [r["source_id"] for r in rows if r["is_answer"]] == ["a", "b"]
    assert {r["status"] for r in rows} == {"ambiguous"}
    one, other = (r["share"] for r in rows if r["is_answer"])
    assert one == pytest.approx(other, abs=0.1) and one + other > 0.8


def test_each_has_the_share_that_its_footprint_and_emission_make() -> None:
    def shares(*sources: tuple, **more) -> dict:
        rows = match_detections(detection(**more), pairs(*sources), "co2").to_pylist()
        return {r["source_id"]: r["share"] for r in rows if r["share"] is not None}

    alone = shares(("a", *at(20, 270), KT_H))
    assert alone == {"a": 1.0}
    unlike = shares(("a", *at(20, 270), 3 * KT_H), ("b", *at(20, 271), KT_H), rate=4.0, sigma_km=4.0, crossing=1.0)
    assert sum(unlike.values()) == pytest.approx(1.0)
    assert unlike["a"] == pytest.approx(0.75, abs=0.06)
    # of one that passes aside the narrow peak has less than it emits; together they can't be turned onto the axis
    aside = shares(("a", *at(30, 270), KT_H), ("b", *at(30, 294), KT_H), rate=1.0, sigma_km=3.0, crossing=1.0, u=9.0)
    assert set(aside) == {"a", "b"} and aside["a"] > 0.6
    assert sum(aside.values()) == pytest.approx(1.0)


def test_cells_do_not_drown_the_plant_and_hide_no_unlisted_one() -> None:
    cells = [(f"cell{i}{j}", *at(10 + 11 * i, 240 + 12 * j), 0.15 * KT_H) for i in range(6) for j in range(6)]
    names = ("grid_cell",) * len(cells)
    plant = ("plant", *at(20, 270), 2 * KT_H)
    row = first(detection(rate=2.0), kinds(pairs(plant, *cells), "power_plant", *names, width_deg=0.1))
    assert (row["source_id"], row["status"]) == ("plant", "confirmed") and row["probability"] > 0.9
    assert first(detection(rate=2.0), kinds(pairs(*cells), *names, width_deg=0.1))["status"] == "unknown_source"
    # a cell that alone emits as much is named, but it is no emitter that is known
    strong = first(detection(rate=2.0), kinds(pairs(("cell", *at(15, 270), 2 * KT_H)), "grid_cell", width_deg=0.1))
    assert (strong["source_id"], strong["status"]) == ("cell", "unknown_source")


def test_a_city_is_an_area_and_a_source() -> None:
    city = ("city", *at(25, 295), 3 * KT_H)
    as_city, as_point = (first(detection(rate=3.0), kinds(pairs(city), kind)) for kind in ("city", "power_plant"))
    assert as_city["source_id"] == "city" and as_city["status"] == "confirmed"
    assert as_city["probability"] > as_point["probability"]  # off the axis: its edge isn't


def test_a_methane_plume_is_of_the_kind_of_source_that_makes_such() -> None:
    def chances(kind: str, *others: str) -> dict:
        near = [(kind, *at(0.6, 90), 8760.0), *((one, *at(0.6, 270), 8760.0) for one in others)]
        rows = match_detections(detection(rate=2000.0), kinds(pairs(*near), kind, *others), "ch4").to_pylist()
        return {r["source_id"]: r["probability"] for r in rows}

    found = chances("oil_and_gas", "landfill", "city")
    assert found["oil_and_gas"] > found["landfill"] > found["city"]
    # a mine's shafts lie kilometres from its place
    far = {kind: kinds(pairs((kind, *at(3.5, 90), 87600.0)), kind) for kind in ("coal_mine", "oil_and_gas")}
    mine, site = (first(detection(rate=2000.0), near, "ch4")["source_id"] for near in far.values())
    assert mine == "coal_mine" and site is None


def test_several_passes_of_one_place_are_one_question() -> None:
    """Two plants alike to a west wind; another pass, with a north wind, is of one of them: then so is the first."""
    a, b = at(20, 270), at(26, 270)
    seen = pa.concat_tables([detection(name="1"), detection(*at(8, 180, *a), 0.0, -5.0, name="2")])
    listed = ListedSources.of(pairs(("a", *a, KT_H), ("b", *b, KT_H)))
    both = find_candidates(seen["longitude"].to_numpy(), seen["latitude"].to_numpy(), listed, 100.0)
    counts = seen_of_sources(seen, both, "co2")
    assert counts.sum() < 2 * SEEN_UNITS and counts[0] > counts[1]

    def chance_of_a(elsewhere: np.ndarray | None) -> float:
        rows = match_candidates(seen, both, "co2", elsewhere=elsewhere).to_pylist()
        return next(r["probability"] for r in rows if (r["detection_id"], r["source_id"]) == ("1", "a"))

    assert chance_of_a(counts) > chance_of_a(None) + 0.02
    # a detection doesn't confirm itself
    alone = seen.slice(0, 1)
    own = find_candidates(alone["longitude"].to_numpy(), alone["latitude"].to_numpy(), listed, 100.0)
    by_itself, again = (
        match_candidates(alone, own, "co2", elsewhere=counted)["probability"].to_pylist()
        for counted in (None, seen_of_sources(alone, own, "co2"))
    )
    assert again == pytest.approx(by_itself, abs=1e-5)


def test_the_expected_rate_is_that_of_the_hour() -> None:
    rng = np.random.default_rng(3)

    def profile() -> Profile:
        return Profile(*(tuple(values / values.mean()) for values in (rng.uniform(0.5, 2, n) for n in (12, 7, 24))))

    profiles = {"a": ((0.25, profile()), (0.75, profile())), "b": ((1.0, profile()),)}
    ids, lon = ["a", "none", "b"], np.array([-179.0, 10.0, 100.5])
    rates = HourlyRates.of(ids, profiles)
    source = rng.integers(0, 3, 300)
    times = np.datetime64("2015-01-01", "s") + rng.integers(0, 4 * 365 * 86400, 300)
    found = rates.factors(source, lon[source], times.astype("datetime64[us]"))
    for one, at_utc, factor in zip(source, times.tolist(), found, strict=True):
        row = {"source_id": ids[one], "longitude": lon[one], "emission_t_y": 8760.0}
        assert factor == pytest.approx(rate_at(row, at_utc.replace(tzinfo=UTC), profiles))
    unknown = np.array(["NaT"], "datetime64[us]")
    assert rates.factors(np.array([0]), lon[:1], unknown).tolist() == [1.0]
    near = pairs(("plant", *at(20, 270), KT_H))
    seen = detection(observed_at_utc=datetime(2016, 8, 31, 12, tzinfo=UTC))
    row = match_candidates(seen, candidates_of(near, np.array(["d"])), "co2", np.array([0.5])).to_pylist()[0]
    assert row["expected_emission"] == pytest.approx(0.5)
