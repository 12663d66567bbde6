"""One region a plume: what stands out near the template's footprint, however many pieces it is in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.methane.candidates import Region, find_regions
from plumewatch.methane.matched_filter import Matches, Template, match_templates, plume_templates, round_template, wedge
from plumewatch.methane.smoothing import robust_sigma, smooth
from plumewatch.methane.thresholds import PlumeThresholds, plume_thresholds

PIXEL_M = 20.0
SHAPE = (120, 160)
EAST = wedge(90.0, 500.0, PIXEL_M, 18.0, 0.17)


def _limits() -> PlumeThresholds:
    """The shipped ones, with the levels that these tests count on."""
    shipped = plume_thresholds()
    levels = {"seed_significance": 4.0, "mask_significance": 1.5, "bridge_m": 300, "same_plume_share": 0.2}
    return replace(shipped, candidates=replace(shipped.candidates, **levels))


LIMITS = _limits()


def matches_of(places: dict[tuple[int, int], float], *templates: Template) -> Matches:
    """Responses at single places; the template at a place counts on with the places."""
    templates = templates or (EAST,)
    z = np.full(SHAPE, -1.0, np.float32)
    best = np.zeros(SHAPE, np.int16)
    for number, (place, value) in enumerate(places.items()):
        z[place], best[place] = value, min(number, len(templates) - 1)
    return Matches(z, best, -3.0, templates, 0.0)


def regions_of(matches: Matches, averaged: np.ndarray, valid: np.ndarray | None = None) -> list[Region]:
    return find_regions(matches, averaged, np.ones(SHAPE, bool) if valid is None else valid, PIXEL_M, LIMITS)


def nothing() -> np.ndarray:
    return np.zeros(SHAPE, np.float32)


def footprint_at(template: Template, row: int, col: int) -> np.ndarray:
    half = template.values.shape[0] // 2
    wide = np.zeros((SHAPE[0] + 2 * half, SHAPE[1] + 2 * half), bool)
    wide[row : row + 2 * half + 1, col : col + 2 * half + 1] = template.footprint
    return wide[half:-half, half:-half]


def test_a_region_is_the_pieces_that_touch_the_footprint() -> None:
    averaged = nothing()
    averaged[57:64, 40:70] = 3.0  # the plume, further than the template
    averaged[30:35, 45:55] = 3.0  # beside it
    averaged[64:70, 70] = 2.0  # joined by a corner
    (region,) = regions_of(matches_of({(60, 40): 8.0}), averaged)
    expected = averaged > 0
    expected[30:35, 45:55] = False
    np.testing.assert_array_equal(region.mask, expected)
    assert (region.row, region.col, region.significance, region.template) == (60, 40, 8.0, EAST)


def test_two_pieces_on_one_footprint_are_one_region() -> None:
    averaged = nothing()
    averaged[58:63, 41:46] = averaged[58:63, 50:56] = 3.0
    (region,) = regions_of(matches_of({(60, 40): 8.0}), averaged)
    assert region.mask.sum() == 25 + 30


def test_where_nothing_stands_out_the_region_is_the_footprint() -> None:
    valid = np.ones(SHAPE, bool)
    valid[:, 50] = False
    (region,) = regions_of(matches_of({(60, 40): 8.0}), nothing() + 1.4, valid)
    np.testing.assert_array_equal(region.mask, footprint_at(EAST, 60, 40) & valid)


def test_what_is_not_valid_is_never_in_a_region() -> None:
    averaged, valid = nothing() + 3.0, np.ones(SHAPE, bool)
    valid[:, 60:] = False
    (region,) = regions_of(matches_of({(60, 40): 8.0}), averaged, valid)
    np.testing.assert_array_equal(region.mask, valid)


def test_places_below_the_seed_level_are_none() -> None:
    assert regions_of(matches_of({(60, 40): 3.99}), nothing()) == []
    assert len(regions_of(matches_of({(60, 40): 4.0}), nothing())) == 1
    unseen = Matches(np.full(SHAPE, -np.inf, np.float32), np.zeros(SHAPE, np.int16), 0.0, (EAST,), 0.0)
    assert regions_of(unseen, nothing()) == []


def test_strongest_first() -> None:
    places = {(20, 20): 5.0, (100, 20): 9.0, (20, 120): 7.0, (100, 120): 4.5}
    regions = regions_of(matches_of(places), nothing())
    assert [(r.row, r.col) for r in regions] == [(100, 20), (20, 120), (20, 20), (100, 120)]
    assert [r.significance for r in regions] == [9.0, 7.0, 5.0, 4.5]


def test_a_weaker_place_within_the_bridge_is_the_same_plume() -> None:
    averaged = nothing()
    averaged[57:64, 40:70] = 3.0
    near, far = (60, 76), (60, 110)  # its template begins 6 and 40 pixels behind the plume's end; the bridge is 15
    assert len(regions_of(matches_of({(60, 40): 8.0, near: 6.0}), averaged)) == 1
    assert [(r.row, r.col) for r in regions_of(matches_of({(60, 40): 8.0, far: 6.0}), averaged)] == [(60, 40), far]


def test_of_two_templates_the_place_has_its_own() -> None:
    ball = round_template(60.0, PIXEL_M)
    regions = regions_of(matches_of({(30, 30): 5.0, (90, 120): 6.0}, EAST, ball), nothing())
    assert [r.template for r in regions] == [ball, EAST]
    np.testing.assert_array_equal(regions[0].mask, footprint_at(ball, 90, 120))


@pytest.mark.parametrize("place", [(0, 0), (0, 159), (119, 0), (119, 159), (60, 159), (119, 80)])
def test_at_the_borders_of_the_image(place: tuple[int, int]) -> None:
    (region,) = regions_of(matches_of({place: 8.0}, wedge(45.0, 500.0, PIXEL_M, 18.0, 0.17)), nothing())
    template = region.template
    np.testing.assert_array_equal(region.mask, footprint_at(template, *place))
    assert (region.row, region.col) == place


def scene_of(*sources: tuple[int, int, float], seed: int = 1, gap: slice | None = None) -> list[Region]:
    """Regions of steady plumes towards east in white noise; `gap` takes the gas out of some columns."""
    rng = np.random.default_rng(seed)
    plumes = np.zeros((SHAPE[0] + 200, SHAPE[1] + 200))
    long = wedge(90.0, 1200.0, PIXEL_M, 18.0, 0.17)
    half = long.values.shape[0] // 2
    for row, col, amplitude in sources:
        plumes[100 + row - half : 101 + row + half, 100 + col - half : 101 + col + half] += amplitude * long.values
    plumes = plumes[100:-100, 100:-100]
    if gap is not None:
        plumes[:, gap] = 0.0
    field = (plumes + rng.standard_normal(SHAPE)).astype(np.float32)
    valid = np.ones(SHAPE, bool)
    matches = match_templates(field, valid, plume_templates(PIXEL_M, 90.0, LIMITS), LIMITS)
    averaged = smooth(field, valid, 1.5)
    return [r for r in regions_of(matches, averaged / robust_sigma(averaged)) if r.significance > 7]


def test_sources_a_kilometre_apart_are_two_plumes() -> None:
    regions = scene_of((35, 40, 25.0), (85, 40, 25.0))
    assert sorted((round(r.row, -1), round(r.col, -1)) for r in regions) in ([(30, 40), (80, 40)], [(40, 40), (80, 40)])
    assert not (regions[0].mask & regions[1].mask).any()


def test_puffs_of_one_plume_are_one() -> None:
    (region,) = scene_of((60, 40, 40.0), gap=slice(58, 66))  # 160 m without gas
    assert np.hypot(region.row - 60, region.col - 40) < 5
    assert region.mask[57:64, 45:55].any()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 1.0), n=st.integers(1, 12))
def test_regions_of_any_responses(seed: int, share: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random(SHAPE) < share
    cells = np.flatnonzero(valid)
    places = {(int(i) // SHAPE[1], int(i) % SHAPE[1]): float(rng.uniform(3, 9)) for i in rng.choice(cells, n)}
    regions = regions_of(matches_of(places), rng.standard_normal(SHAPE).astype(np.float32), valid)
    assert [r.significance for r in regions] == sorted((r.significance for r in regions), reverse=True)
    assert len(regions) <= sum(value >= 4 for value in places.values())
    assert (max(places.values()) >= 4) == bool(regions)
    for region in regions:
        assert places[region.row, region.col] == pytest.approx(region.significance)
        assert not (region.mask & ~valid).any() and region.mask.any()
