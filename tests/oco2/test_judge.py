from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from plumewatch.oco2.evaluation.hard_pictures import draw_hard_strips
from plumewatch.oco2.evaluation.ideal_scan import IdealScan
from plumewatch.oco2.evaluation.judge import (
    NO_CANDIDATE,
    ROW_OF_NEIGHBOUR,
    Finder,
    FoundRow,
    Sizes,
    Verdict,
    judge_finder,
    verdicts,
)
from plumewatch.oco2.evaluation.judge_figures import judge_checks, judge_lines, strong
from plumewatch.oco2.evaluation.judged_strips import JUDGING, JudgedStrip, World
from plumewatch.oco2.evaluation.shape_filter import StripFilter, threshold_of
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise
from plumewatch.oco2.track import Track
from plumewatch.statuses import ACCEPTED, TOO_NARROW

SMALL = Sizes(6, 15, 30, 6, 8)


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(JUDGING, SMALL.fields, [SimulatedStripNoise()])


@pytest.fixture(scope="module")
def of_scan(world: World) -> Verdict:
    return judge_finder(world, SMALL)


def knowing(world: World, factor: float = 1.0, half_width: float = 0.1) -> Finder:
    """A finder that knows the truth of all strips."""
    strips = [*world.planted_strips(SMALL.planted), *world.pairs(SMALL.pairs)]
    truth = {strip.track.xco2_ppm.tobytes(): strip.plumes for strip in strips}

    def find(track: Track) -> Sequence[FoundRow]:
        found = []
        for plume in truth.get(track.xco2_ppm.tobytes(), ()):
            a = factor * plume.amplitude_ppm_km
            found.append(FoundRow(plume.centre_km, a, a * (1 - half_width), a * (1 + half_width), ACCEPTED))
        return found

    return find


def test_who_knows_the_truth_passes(world: World) -> None:
    verdict = judge_finder(world, SMALL, knowing(world))
    by_name = {check.name: check for check in judge_checks(verdict)}
    intervals = {name for name in by_name if name.startswith("68 %")}
    assert all(check.is_ok for name, check in by_name.items() if name not in intervals)
    assert len(intervals) == 3 and all(by_name[name].value == 1.0 for name in intervals)  # too wide ones are missed too
    assert {plume.reason for plume in verdict.plumes} == {ACCEPTED} and not any(verdict.unrelated)


def test_who_finds_nothing_or_everything_does_not_pass(world: World) -> None:
    few = Sizes(SMALL.fields, 15, 15, 3, 8)

    def is_ok(find: Finder) -> dict[str, bool]:
        return {check.name: check.is_ok for check in judge_checks(judge_finder(world, few, find))}

    nothing = is_ok(lambda track: [])
    assert nothing["false alarms a 600 km, with gaps"] and not nothing["recall over the filter's"]
    assert not nothing["strong plumes lost"] and not nothing["two plants 30 km apart as two"]
    everywhere = is_ok(lambda track: [FoundRow(float(x), 10.0, 5.0, 15.0, ACCEPTED) for x in range(0, 600, 5)])
    assert not everywhere["false alarms a 600 km, full coverage"] and not everywhere["found plumes with one row"]
    biased = is_ok(knowing(world, factor=0.9))
    assert not biased["bias of the amplitude, lowest third"] and not biased["bias of the mean amplitude"]


def test_a_lost_plume_has_a_reason(world: World) -> None:
    judged = next(strip for strip in world.planted_strips(30) if len(strip.plumes) == 2)
    first, second = judged.plumes
    ideal = IdealScan(world, 1)

    def row(at_km: float, status: str) -> FoundRow:
        return FoundRow(at_km, 10.0, 5.0, 15.0, status)

    assert [v.reason for v in verdicts(judged, [], ideal)] == [NO_CANDIDATE] * 2
    rows = [row(first.centre_km, TOO_NARROW), row(first.centre_km + 14.0, "elsewhere"), row(second.centre_km, ACCEPTED)]
    lost, found = verdicts(judged, rows, ideal)
    assert (lost.reason, lost.n_rows, lost.is_found) == (TOO_NARROW, 0, False) and np.isnan(lost.ratio)
    assert (found.reason, found.n_rows) == (ACCEPTED, 1)
    assert found.ratio == pytest.approx(10.0 / second.amplitude_ppm_km)
    middle = row((first.centre_km + second.centre_km) / 2 + 0.1, ACCEPTED)
    of_neighbour, _ = verdicts(judged, [middle], ideal)
    assert of_neighbour.reason in (ROW_OF_NEIGHBOUR, NO_CANDIDATE)


def test_tables_add_up(of_scan: Verdict) -> None:
    assert len(of_scan.empty) == 15 and len(of_scan.unrelated) == 30 and 30 <= len(of_scan.plumes) <= 90
    lines = judge_lines(of_scan, list(judge_checks(of_scan)))
    assert sum(line.startswith(("ok", "MISSED")) for line in lines) == 16
    alarms = next(k for k, line in enumerate(lines) if line.startswith("gaps "))
    assert [int(line.split()[-1]) for line in lines[alarms + 1 : alarms + 7]] == [3] * 5 + [15]
    rows = [line for line in lines if line.startswith(("distance", "angle", "gaps ", "core")) and "km" not in line[:9]]
    assert len(rows) >= 10
    lost = [plume for plume in strong(of_scan.plumes) if not plume.is_found]
    assert any(line.startswith(f"{len(lost)} of {len(strong(of_scan.plumes))} plumes") for line in lines)
    assert all(plume.plume.largest_ppm > 3.0 and plume.plume.n_soundings >= 12 for plume in strong(of_scan.plumes))


def _directly(judged: JudgedStrip, shape: np.ndarray) -> float:
    """z by the covariance of all soundings."""
    seen, covariance = judged.is_seen, judged.covariance
    row, _ = np.nonzero(seen)
    c = np.diag(covariance.single_ppm[seen] ** 2) + covariance.of_rows(judged.strip.row_km)[np.ix_(row, row)]
    basis = [np.ones(len(row)), np.linspace(-1.0, 1.0, len(seen))[row]]
    if 0 < covariance.is_water[seen].mean() < 1:
        basis.append(covariance.is_water[seen].astype(float))
    b, inverse = np.stack(basis, axis=1), np.linalg.inv(c)
    p = inverse - inverse @ b @ np.linalg.solve(b.T @ inverse @ b, b.T @ inverse)
    y = judged.track.xco2_ppm - np.median(judged.track.xco2_ppm)
    return float(shape[seen] @ p @ y / np.sqrt(shape[seen] @ p @ shape[seen]))


def test_filter_is_generalised_least_squares(world: World) -> None:
    strips = [strip for strip in world.planted_strips(30) if len(strip.plumes) == 1]
    few = sorted(strips, key=lambda strip: len(strip.track))  # the covariance of many takes long to invert
    assert {strip.background for strip in few[:8]} >= {"calm", "coast"}
    for judged in few[:8]:
        [plume] = judged.plumes
        if plume.n_soundings:
            assert StripFilter(judged).at(plume, []) == pytest.approx(
                _directly(judged, plume.enhancement_ppm), abs=1e-6
            )


def test_filter_is_standard_normal_without_a_plume_and_finds_strong_ones(world: World) -> None:
    planted = [(strip, plume) for strip in world.planted_strips(60) for plume in strip.plumes]
    empty = list(world.empty_strips(60))
    z = [StripFilter(judged).at(plume, []) for judged, (_, plume) in zip(empty, planted, strict=False)]
    assert 0.75 < np.std(z) < 1.2 and abs(np.mean(z)) < 0.4
    shapes = [plume.enhancement_ppm for _, plume in planted]
    threshold = threshold_of(empty, shapes, 0.02)
    assert 3.5 < threshold < 6.0
    for judged, plume in planted:
        if plume.largest_ppm > 5.0 and plume.n_soundings >= 12:
            others = [other for other in judged.plumes if other is not plume]
            assert StripFilter(judged).at(plume, others) > threshold
    # the largest over all places is at least that at the place of the shape itself
    judged, plume = planted[0]
    assert StripFilter(judged).strongest(plume.enhancement_ppm) >= StripFilter(judged).at(plume, []) - 0.05


def test_hard_strips_are_drawn(world: World) -> None:
    pictures = dict(draw_hard_strips(world, lambda track: [FoundRow(300.0, 10.0, 5.0, 15.0, TOO_NARROW)]))
    assert set(pictures) == {"gap", "oblique", "coast", "near_the_source", "double"}
    assert all(png.startswith(b"\x89PNG") for png in pictures.values())
