"""Windows that are told the numbers of the scene find what a search of the whole with these numbers finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from plumewatch.methane.blocks.merging import merge_found
from plumewatch.methane.blocks.sample import find_numbers
from plumewatch.methane.blocks.window_search import Found, SceneSearch, part_of, search_window
from plumewatch.methane.blocks.windows import MARGIN_PX, RIM_PX, SearchWindow, cut
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.pass_rows import PassFacts
from plumewatch.methane.pass_search import detect, wind_towards_deg
from plumewatch.methane.passes import Pass
from plumewatch.methane.smoothing import Array, SceneNumbers, robust_sigma
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import ACCEPTED
from plumewatch.wind.at_point import WindAtPoint

HEIGHT, WIDTH, BLOCK_PX = 240, 480, 240  # two windows of 240 x 420 cells, whose cores meet at column 240
WIND = WindAtPoint(3.0, 0.3, 10.0)
SOURCES = {  # row and column: plumes run east
    "on the cut": (30.0, 228.0, 12_000.0),
    "longer than the margin": (110.0, 100.0, 90_000.0),
    "at the area's edge": (200.0, 440.0, 12_000.0),
    "inside": (200.0, 60.0, 12_000.0),
}
LIMITS = plume_thresholds()


class Squares:
    """The whole scene as its own sample."""

    pieces = (np.s_[:, :],)


@pytest.fixture(scope="module")
def passes() -> list[Pass]:
    """The target and its references."""
    plumes = tuple(
        PlantedPlume(rate, row, col, WIND.wind_u_m_s, WIND.wind_v_m_s) for row, col, rate in SOURCES.values()
    )
    area = simulate_area(71, size=WIDTH, n_references=3, plumes=plumes, clouds=False, reference_plume_share=0.0)
    return [part_of(one, np.s_[0:HEIGHT, 0:WIDTH]) for one in area.passes[::-1]]


@pytest.fixture(scope="module")
def scene(passes: list[Pass]) -> SceneSearch:
    target, *references = passes
    towards = wind_towards_deg(WIND)
    numbers, _ = find_numbers("multi_pass", target, references, LIMITS, towards, Squares())
    facts = PassFacts(**{name: getattr(target, name) for name in PassFacts.__dataclass_fields__})
    return SceneSearch("a", "multi_pass", facts, numbers, lambda *_: WIND, towards, LIMITS, BLOCK_PX)


def on_window(passes: Sequence[Pass], window: SearchWindow) -> tuple[Pass, Sequence[Pass]]:
    target, *references = [part_of(one, np.s_[slice(*window.rows), slice(*window.cols)]) for one in passes]
    return target, references


def accepted(found: Sequence[Found]) -> dict[str, Found]:
    return {one.plume.plume_id: one for one in found if one.plume.candidate.status == ACCEPTED}


@pytest.fixture(scope="module")
def whole(scene: SceneSearch, passes: list[Pass]) -> dict[str, Found]:
    [window] = cut(HEIGHT, WIDTH, 10 * WIDTH)
    return accepted(search_window(scene, window, partial(on_window, passes)).plumes)


@pytest.fixture(scope="module")
def cut_up(scene: SceneSearch, passes: list[Pass]) -> list[Found]:
    windows = cut(HEIGHT, WIDTH, BLOCK_PX)
    assert [window.cols for window in windows] == [(0, 420), (60, 480)]
    return merge_found(
        one for window in windows for one in search_window(scene, window, partial(on_window, passes)).plumes
    )


def test_every_plume_is_one_with_the_id_and_the_rate_that_the_whole_gives(
    whole: dict[str, Found], cut_up: list[Found]
) -> None:
    found = accepted(cut_up)
    assert found.keys() == whole.keys()
    for name, one in found.items():
        rate, expected = (which.plume.table_row["emission_kg_h"] for which in (one, whole[name]))
        assert rate == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", SOURCES)
def test_a_plume_is_found_once_wherever_it_lies(cut_up: list[Found], name: str) -> None:
    row, col, _ = SOURCES[name]
    near = []
    for one in accepted(cut_up).values():
        rows, cols = (
            (at.start + first, at.stop + first)
            for at, first in zip(window_around(one.plume.candidate.mask), one.plume.corner, strict=True)
        )
        if rows[0] - 5 <= row <= rows[1] + 5 and cols[0] - 5 <= col <= cols[1] + 5:
            near.append(cols)
    [cols] = near
    if name == "longer than the margin":
        assert cols[1] - cols[0] > MARGIN_PX and cols[0] < 240 < cols[1]
    if name == "on the cut":
        assert cols[0] < 240 < cols[1]


def test_inside_the_rim_of_a_window_the_enhancement_is_that_of_the_whole(
    scene: SceneSearch, passes: list[Pass]
) -> None:
    def enhancement(cols: tuple[int, int]) -> Array:
        target, *references = [part_of(one, np.s_[0:HEIGHT, slice(*cols)]) for one in passes]
        numbers = SceneNumbers(dict(scene.numbers), is_told=True)
        return detect("multi_pass", target, references, LIMITS, scene.towards_deg, numbers).enhancement_mol_m2

    whole = enhancement((0, WIDTH))
    for first, end in ((60, WIDTH), (120, WIDTH), (0, 360), (0, 420)):
        rim = np.s_[:, RIM_PX:-2] if first else np.s_[:, 2:-RIM_PX]
        off = np.abs(enhancement((first, end)) - whole[:, first:end])[rim]
        assert np.nanmax(off) < 0.01 * robust_sigma(whole[np.isfinite(whole)])


def test_counts_of_the_cores_are_those_of_the_pass(scene: SceneSearch, passes: list[Pass]) -> None:
    blind = [replace(one, is_usable=np.zeros(one.shape, bool)) for one in passes]
    [first, _] = cut(HEIGHT, WIDTH, BLOCK_PX)
    nothing = search_window(scene, first, partial(on_window, blind))
    assert (nothing.plumes, nothing.n_usable, nothing.n_compared) == ((), 0, 0)
