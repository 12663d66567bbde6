"""Odd ground and masks: flat, narrow, speckled, covered by candidates, not seen, or the same picture twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.detection import detect_multi_pass
from plumewatch.methane.enhancement_bias import unbiased_enhancement
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.pass_rows import grid_pass
from plumewatch.methane.pass_search import PassResult, choose_references, search_pass
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import describe_plumes
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.methane.verdicts import Candidate
from plumewatch.statuses import ACCEPTED, NO_REFERENCE, SEARCHED, SURFACE_CHANGE
from plumewatch.wind.at_point import WindAtPoint

LIMITS = plume_thresholds()
FOREST = ForestSettings(min_samples=4)
METHODS = ("multi_pass", "single_pass", "isolation_forest")
SIZE = 110
PLUME = PlantedPlume(20_000.0, 55.0, 30.0, 3.0, 1.0)
WIND = WindAtPoint(3.0, 1.0, 10.0)


@pytest.fixture(scope="module")
def area() -> SimulatedArea:
    """A strong plume and four clear references."""
    return simulate_area(51, size=SIZE, n_references=4, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)


def search(target: Pass, earlier: list[Pass], method: str = "multi_pass") -> PassResult:
    result = search_pass("here", target, earlier, lambda *_: WIND, method, FOREST, LIMITS)
    for plume in result.plumes:
        row = plume.table_row
        assert np.isfinite([row["ime_kg"], row["emission_kg_h"], row["enhancement_max_mol_m2"], row["area_m2"]]).all()
        assert row["probability"] is None or 0.0 <= row["probability"] <= 1.0
    limit = result.observation["detection_limit"]
    assert limit is None or (np.isfinite(limit) and limit > 0.0)
    return result


def accepted(result: PassResult) -> list:
    return [plume for plume in result.plumes if plume.candidate.status == ACCEPTED]


def at_the_source(result: PassResult) -> bool:
    return any(np.hypot(one.row - PLUME.row, one.col - PLUME.col) < 6 for one in accepted(result))


def earlier_of(area: SimulatedArea) -> list[Pass]:
    return list(area.passes[-2::-1])


def blind(one: Pass) -> Pass:
    return replace(one, is_usable=np.zeros_like(one.is_usable))


def test_references_that_see_nothing_or_are_the_target_change_nothing(area: SimulatedArea) -> None:
    target, earlier = area.passes[-1], earlier_of(area)
    dark = replace(blind(earlier[0]), b11=np.full_like(target.b11, np.nan), b12=np.full_like(target.b12, np.nan))
    assert choose_references(target, [blind(earlier[0]), dark, replace(target)], LIMITS) == []
    plain, mixed = search(target, earlier), search(target, [replace(target), dark, *earlier, blind(earlier[0])])
    assert mixed.references == plain.references and at_the_source(plain)
    assert [p.table_row for p in mixed.plumes] == [p.table_row for p in plain.plumes]
    assert search(target, [replace(target), dark]).observation["outcome"] == NO_REFERENCE


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_reference_that_sees_nothing_gives_no_pixel_a_value(area: SimulatedArea) -> None:
    target, earlier = area.passes[-1], earlier_of(area)
    alone = detect_multi_pass(target, [blind(earlier[0])], LIMITS)
    assert not alone.valid.any() and alone.candidates == () and np.isnan(alone.enhancement_mol_m2).all()
    beside = detect_multi_pass(target, [*earlier, blind(earlier[0])], LIMITS)
    assert beside.valid.mean() > 0.9 and beside.reference_weights[-1] == 0.0
    assert sum(beside.reference_weights) == pytest.approx(1.0, abs=1e-3)


def flat(one: Pass, b11: float = 0.3, b12: float = 0.25) -> Pass:
    return replace(one, b11=np.full_like(one.b11, b11), b12=np.full_like(one.b12, b12))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_found_on_perfectly_flat_ground(area: SimulatedArea, method: str) -> None:
    target = flat(area.passes[-1])
    earlier = [flat(one, 0.3 + 0.01 * n, 0.25 + 0.02 * n) for n, one in enumerate(earlier_of(area))]
    assert accepted(search(target, earlier, method)) == []
    detection = detect_multi_pass(target, earlier, LIMITS)
    assert np.nanmax(np.abs(detection.enhancement_mol_m2)) < 1e-2


def cut(one: Pass, rows: int, cols: int) -> Pass:
    """The first rows and columns of a pass, as the pixel table of a small area would give them."""
    window = slice(0, rows), slice(0, cols)
    place = replace(one.place, height=rows, width=cols)
    return replace(
        one, b11=one.b11[window], b12=one.b12[window], is_usable=one.is_usable[window],
        scene_index=one.scene_index[window], n_pixels=rows * cols, place=place,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, SIZE), (SIZE, 1), (1, 1), (2, 60), (4, 4)])
def test_a_window_of_a_row_or_a_column_is_searched_or_said_to_have_no_reference(
    area: SimulatedArea, shape: tuple[int, int], method: str
) -> None:
    target, *earlier = (cut(one, *shape) for one in (area.passes[-1], *earlier_of(area)))
    result = search(target, earlier, method)
    assert result.observation["outcome"] == (NO_REFERENCE if method == "multi_pass" else SEARCHED)
    assert len(result.plumes) == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", METHODS)
def test_a_table_of_one_row_goes_through(area: SimulatedArea, pixel_rows: Callable, method: str) -> None:
    first = grid_pass(pixel_rows(area.passes[-1]).slice(0, SIZE))
    assert first.shape == (1, SIZE)
    assert search(first, [], method).observation["scene_id"] == area.passes[-1].scene_ids[0]


def speckled(one: Pass, share: float, seed: int) -> Pass:
    """Single pixels masked at random, as by a cloud screen that takes bright ground for cloud."""
    return replace(one, is_usable=one.is_usable & (np.random.default_rng(seed).random(one.shape) >= share))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_a_plume_stands_out_under_a_speckled_mask(area: SimulatedArea, share: float) -> None:
    target, *earlier = (speckled(one, share, n) for n, one in enumerate((area.passes[-1], *earlier_of(area))))
    whole, result = search(area.passes[-1], earlier_of(area)), search(target, earlier)
    at_source = [one for one in result.plumes if np.hypot(one.row - PLUME.row, one.col - PLUME.col) < 6]
    assert at_source[0].candidate.significance == pytest.approx(whole.plumes[0].candidate.significance, rel=0.25)
    assert at_source[0].candidate.status == ACCEPTED
    assert not any((one.candidate.mask & ~target.is_usable).any() for one in result.plumes)
    assert not (result.detection.valid & ~target.is_usable).any()


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_speckled_mask_makes_no_plume(share: float) -> None:
    calm = simulate_area(52, size=SIZE, n_references=4, clouds=False)
    target, *earlier = (speckled(one, share, n) for n, one in enumerate((calm.passes[-1], *earlier_of(calm))))
    assert accepted(search(target, earlier)) == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("pieces", [1, 2])
def test_where_candidates_cover_all_ground_masses_have_no_narrow_interval(area: SimulatedArea, pieces: int) -> None:
    """No plume-free ground tells the noise: the mass is as uncertain as it is large."""
    target, earlier = area.passes[-1], earlier_of(area)
    detection = detect_multi_pass(target, earlier, LIMITS)
    part = np.arange(SIZE) * pieces // SIZE
    masks = [np.broadcast_to(part == n, target.shape) for n in range(pieces)]
    candidates = tuple(Candidate(mask, 9.0 - n, None, 0.9, ACCEPTED) for n, mask in enumerate(masks))
    covered = replace(detection, candidates=candidates)
    covered = replace(covered, enhancement_mol_m2=unbiased_enhancement(covered, target, LIMITS))
    assert np.isfinite(covered.enhancement_mol_m2[detection.valid]).all()
    plumes = describe_plumes("here", target, earlier, covered, lambda *_: WIND, LIMITS)
    assert len(plumes) == pieces
    for plume, mask in zip(plumes, masks, strict=True):
        assert plume.mass.ime_sigma_kg == pytest.approx(abs(plume.mass.ime_kg)) and mask[plume.row, plume.col]
        row = plume.table_row
        assert row["emission_kg_h_low"] <= row["emission_kg_h"] <= row["emission_kg_h_high"]


def test_a_change_of_all_ground_is_no_plume(area: SimulatedArea) -> None:
    """Rain on the whole scene: both bands darken, in patches."""
    calm = simulate_area(53, size=SIZE, n_references=4, clouds=False)
    patches = 1.0 - 0.3 * (np.indices((SIZE, SIZE)).sum(axis=0) // 20 % 2)
    target = calm.passes[-1]
    wet = replace(
        target, b11=(target.b11 * patches).astype(np.float32), b12=(target.b12 * patches**1.2).astype(np.float32)
    )
    result = search(wet, earlier_of(calm))
    assert accepted(result) == []
    assert SURFACE_CHANGE in {plume.candidate.status for plume in result.plumes}


@pytest.mark.parametrize("pixel_size_m", [10.0, 60.0, 100.0, 250.0])
def test_pixels_of_other_sizes_are_searched_too(area: SimulatedArea, pixel_size_m: float) -> None:
    target, *earlier = (replace(one, pixel_size_m=pixel_size_m) for one in (area.passes[-1], *earlier_of(area)))
    result = search(target, earlier)
    assert result.detection.valid.mean() > 0.7
