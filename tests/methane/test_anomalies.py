"""The method without physics: what stands out of a pass, whatever the batches, and what it does with odd input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from plumewatch.methane.anomalies import NOISE, Anomalies, ForestSettings, detect_isolation_forest, find_anomalies
from plumewatch.methane.evaluation.scenes import simulate_area
from plumewatch.methane.grid_place import FittedPlace
from plumewatch.methane.passes import Pass
from plumewatch.methane.thresholds import thresholds
from plumewatch.statuses import UNRATED

SIZE = 120


@pytest.fixture(scope="module")
def target() -> Pass:
    return simulate_area(61, size=SIZE, n_references=0, clouds=False).passes[-1]


def pass_of(template: Pass, b11: np.ndarray, b12: np.ndarray) -> Pass:
    """A pass of these reflectances, cells of 20 m."""
    height, width = b11.shape
    place = FittedPlace(0, 0, height, width, template.place.longitude0, template.place.coefficients)
    return replace(
        template,
        b11=b11.astype(np.float32),
        b12=b12.astype(np.float32),
        is_usable=(b11 > 0) & (b12 > 0),
        scene_index=np.zeros(b11.shape, np.int16),
        n_pixels=b11.size,
        place=place,
    )


def assert_same(one: Anomalies, other: Anomalies) -> None:
    for name in ("row", "col", "score", "cluster"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def strange_block(target: Pass) -> Pass:
    """The pass with ten by twelve pixels of another kind."""
    b11, b12 = target.b11.copy(), target.b12.copy()
    b11[30:40, 30:42], b12[30:40, 30:42] = 0.9, 0.2
    return replace(target, b11=b11, b12=b12)


@pytest.mark.parametrize("batch_size", [1_000, 7_777, 10**9])
def test_batches_do_not_change_what_is_anomalous(target: Pass, batch_size: int) -> None:
    strange = strange_block(target)
    assert_same(
        find_anomalies(strange, ForestSettings(batch_size=batch_size)), find_anomalies(strange, ForestSettings())
    )


def test_a_strip_with_more_strange_pixels_than_its_share_has_them_all(target: Pass) -> None:
    """Each batch of ten rows holds 1,200 pixels, 12 of which are its share; one of them has 120 strange ones."""
    found = find_anomalies(strange_block(target), ForestSettings(batch_size=10 * SIZE))
    inside = (found.row >= 30) & (found.row < 40) & (found.col >= 30) & (found.col < 42)
    assert inside.sum() == 120 and len(set(found.cluster[inside])) == 1 and found.cluster[inside][0] != NOISE


def test_noise_is_kept_and_clusters_are_numbered_without_gaps(target: Pass) -> None:
    found = find_anomalies(strange_block(target), ForestSettings(contamination=0.03, min_samples=5))
    assert len(found.row) == pytest.approx(0.03 * SIZE**2, rel=0.02)
    clusters = np.unique(found.cluster)
    assert clusters[0] == NOISE and list(clusters[1:]) == list(range(len(clusters) - 1))
    detection = detect_isolation_forest(target, found, thresholds())
    assert [c.status for c in detection.candidates] == [UNRATED] * (len(clusters) - 1)
    assert sum(c.mask.sum() for c in detection.candidates) == (found.cluster != NOISE).sum()


def test_infinite_reflectance_is_no_anomaly(target: Pass) -> None:
    b11 = target.b11.copy()
    b11[5, 7] = np.inf
    broken = replace(target, b11=b11)
    found = find_anomalies(broken, ForestSettings())
    assert not ((found.row == 5) & (found.col == 7)).any() and len(found.row) == pytest.approx(144, abs=3)


def test_equal_pixels_have_no_anomaly_and_no_pixel_neither(target: Pass) -> None:
    same = pass_of(target, np.full((30, 30), 0.4), np.full((30, 30), 0.3))
    cloudy = replace(same, is_usable=np.zeros(same.shape, bool))
    single = pass_of(target, np.full((1, 1), 0.4), np.full((1, 1), 0.3))
    for one in (same, cloudy, single):
        found = find_anomalies(one, ForestSettings())
        assert len(found.row) == len(found.score) == len(found.cluster) == len(found.longitude) == 0
        if one.is_usable.any():
            assert detect_isolation_forest(one, found, thresholds()).candidates == ()


def test_neighbours_are_as_near_in_the_east_as_in_the_north(target: Pass) -> None:
    """At 70 degrees a degree of longitude is a third as long; two lines of pixels are clusters in either direction."""
    far_north = replace(target.place, coefficients=target.place.coefficients * [1.0, 1.0])
    far_north.coefficients[0, 1] = 70.0
    far_north.coefficients[2, 0] *= np.cos(np.radians(38.5)) / np.cos(np.radians(70.0))
    b11 = np.full((SIZE, SIZE), 0.4) + 0.001 * np.random.default_rng(3).standard_normal((SIZE, SIZE))
    b11[20, 20:90], b11[50:110, 30] = 0.9, 0.9
    lines = replace(pass_of(target, b11, 0.9 * b11), place=far_north)
    found = find_anomalies(lines, ForestSettings(contamination=0.009, min_samples=4))
    for line in (found.row == 20, (found.col == 30) & (found.row >= 50)):
        assert line.sum() >= 55 and len(set(found.cluster[line & (found.score > 0.6)])) == 1
        assert (found.cluster[line & (found.score > 0.6)] != NOISE).all()


@settings(max_examples=25, deadline=None)
@example(np.full((2, 2), np.inf, np.float32), 0.5, 1)
@example(np.array([[np.nan]], np.float32), 0.01, 1)
@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    ),
    st.floats(0.001, 0.5),
    st.integers(1, 200),
)
def test_any_reflectance_gives_finite_scores_of_usable_pixels(bands: np.ndarray, share: float, batch_size: int) -> None:
    template = simulate_area(1, size=12, n_references=0, clouds=False).passes[-1]
    with np.errstate(invalid="ignore"):
        one = pass_of(template, bands, bands[::-1])
    found = find_anomalies(one, ForestSettings(batch_size=batch_size, contamination=share, min_samples=2))
    usable = one.is_usable & np.isfinite(one.b11) & np.isfinite(one.b12)
    assert len(found.row) <= share * usable.sum() + 1
    assert np.isfinite(found.score).all() and usable[found.row, found.col].all()
    assert np.isfinite(found.longitude).all() and (found.cluster >= NOISE).all()
