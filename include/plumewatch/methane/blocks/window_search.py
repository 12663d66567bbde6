"""One window of a large pass searched by the numbers of the whole scene: the plumes that are its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from plumewatch.methane.blocks.windows import BLOCK_PX, SearchWindow, around, is_in_rim
from plumewatch.methane.detection import Detection
from plumewatch.methane.mask_window import Window, window_around
from plumewatch.methane.pass_rows import PassFacts
from plumewatch.methane.pass_search import detect
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume, WindOf, describe_plumes
from plumewatch.methane.smoothing import Mask, SceneNumbers
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.statuses import ACCEPTED

BESIDE_PX = 6  # an origin so near to a core may have lain in it: the other window that has it settles that
MOST_MOVES = 4  # of a window after a plume that runs out of it
OWN_MARGIN_PX = 4  # around a mask: what its cut-off is told by
SHOWN_MARGIN_M, SHOWN_MARGIN_SHARE = 900.0, 0.25  # around one that has a picture: half as much again as it shows
MOST_SHOWN = 3  # refused ones of a window that may have a picture: no fewer than of the whole pass

PassesOn = Callable[[SearchWindow], tuple[Pass, Sequence[Pass]]]
"""Reads the target and its references on a window."""


@dataclass(frozen=True, eq=False)
class SceneSearch:
    """How any window of a pass is searched."""

    area: str
    """Area of interest."""
    method: str
    """multi_pass or single_pass."""
    facts: PassFacts
    """Of the pass, on its whole window."""
    numbers: Mapping[str, Any]
    """Of the whole scene (`find_numbers`)."""
    wind_of: WindOf
    """Wind at the time of the pass."""
    towards_deg: float | None
    """Where the wind in the middle of the pass blows to."""
    limits: PlumeThresholds
    """Of the detection."""
    block_px: int = BLOCK_PX
    """Most rows and columns of a core."""
    has_pictures: bool = True
    """Whether any plume will have a picture, so that what is around it is kept."""


@dataclass(frozen=True, eq=False)
class Found:
    """A plume of a window."""

    window: SearchWindow
    """That found it."""
    plume: Plume
    """On the part of the pass around its mask."""
    is_own: bool
    """Whether its origin lies in the window's core."""
    target: Pass
    """On that part."""
    detection: Detection
    """On that part."""

    def on(self, part: Window) -> Found:
        """Return it on a part of the part that it is on."""
        row, col = (side.start for side in part)
        candidate = replace(self.plume.candidate, mask=self.plume.candidate.mask[part].copy())
        plume = replace(
            self.plume,
            candidate=candidate,
            row=self.plume.row - row,
            col=self.plume.col - col,
            corner=(self.plume.corner[0] + row, self.plume.corner[1] + col),
        )
        detection = replace(
            self.detection,
            enhancement_mol_m2=self.detection.enhancement_mol_m2[part].copy(),
            valid=self.detection.valid[part].copy(),
            candidates=(candidate,),
        )
        return replace(self, plume=plume, target=part_of(self.target, part), detection=detection)


@dataclass(frozen=True, eq=False)
class WindowFound:
    """What came of one window."""

    plumes: tuple[Found, ...]
    """Whose origin lies in its core, or just beside it."""
    n_usable: int
    """Usable pixels of the core."""
    n_compared: int
    """Those of them that were searched."""


def search_window(search: SceneSearch, window: SearchWindow, passes_on: PassesOn) -> WindowFound:
    """Search one window; a plume that runs out of it is seen whole on another window around it."""
    target, references = passes_on(window)
    if not target.is_usable.any():
        return WindowFound((), 0, 0)
    detection = _detect(search, target, references)
    found = []
    for plume in _described(search, target, references, detection):
        row, col = window.rows[0] + plume.row, window.cols[0] + plume.col
        if not window.holds(row, col, BESIDE_PX):
            continue
        one = _cut_out(window, plume, window.holds(row, col), target, detection)
        if plume.candidate.status == ACCEPTED and _runs_out(search, one, window):
            one = _seen_whole(search, one, passes_on)
        found.append(one)
    usable, compared = target.is_usable[window.core], (detection.valid & target.is_usable)[window.core]
    most_shown = MOST_SHOWN if search.has_pictures else None
    return WindowFound(tuple(_with_less_around(found, most_shown)), int(usable.sum()), int(compared.sum()))


def _detect(search: SceneSearch, target: Pass, references: Sequence[Pass]) -> Detection:
    numbers = SceneNumbers(dict(search.numbers), is_told=True)
    return detect(search.method, target, references, search.limits, search.towards_deg, numbers)


def _described(search: SceneSearch, target: Pass, references: Sequence[Pass], detection: Detection) -> list[Plume]:
    numbers = SceneNumbers(dict(search.numbers), is_told=True)
    return describe_plumes(search.area, target, references, detection, search.wind_of, search.limits, numbers)


def _runs_out(search: SceneSearch, found: Found, window: SearchWindow) -> bool:
    return is_in_rim(*_extent(search, found), window, search.facts.place.height, search.facts.place.width)


def _extent(search: SceneSearch, found: Found) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows and columns of a plume on the pass's window."""
    inside = window_around(found.plume.candidate.mask)
    place = search.facts.place
    first = found.plume.corner[0] - place.row0, found.plume.corner[1] - place.col0
    rows, cols = ((at + side.start, at + side.stop) for at, side in zip(first, inside, strict=True))
    return rows, cols


def _seen_whole(search: SceneSearch, found: Found, passes_on: PassesOn) -> Found:
    """Return a plume as a window around it shows it, moved on while it runs out of that too and more of it is seen."""
    seen = None
    for _ in range(MOST_MOVES):
        place = search.facts.place
        window = around(*_extent(search, found), place.height, place.width, search.block_px)
        if window == seen:
            break
        seen = window
        target, references = passes_on(window)
        detection = _detect(search, target, references)
        known, corner = (found.plume.corner, found.plume.candidate.mask), (target.place.row0, target.place.col0)
        shared = [_shared(known, (corner, candidate.mask)) for candidate in detection.candidates]
        if not any(shared):
            break
        detection = replace(detection, candidates=(detection.candidates[int(np.argmax(shared))],))
        [plume] = _described(search, target, references, detection)
        found = _cut_out(found.window, plume, found.is_own, target, detection)
        if not _runs_out(search, found, window):
            break
    return found


def shared_pixels(one: Plume, other: Plume) -> int:
    """Return how many pixels two plumes, each on a window of its own, share."""
    return _shared((one.corner, one.candidate.mask), (other.corner, other.candidate.mask))


def _shared(*both: tuple[tuple[int, int], Mask]) -> int:
    """Return how many pixels two masks share, each with its corner on the area's grid."""
    first = [max(corner[axis] for corner, _ in both) for axis in (0, 1)]
    ends = [min(corner[axis] + mask.shape[axis] for corner, mask in both) for axis in (0, 1)]
    if ends[0] <= first[0] or ends[1] <= first[1]:
        return 0
    one, other = (
        mask[first[0] - corner[0] : ends[0] - corner[0], first[1] - corner[1] : ends[1] - corner[1]]
        for corner, mask in both
    )
    return int((one & other).sum())


def _cut_out(window: SearchWindow, plume: Plume, is_own: bool, target: Pass, detection: Detection) -> Found:
    """Return a plume on the part of the pass that a picture of it may show."""
    mask = plume.candidate.mask
    longest = max(side.stop - side.start for side in window_around(mask))
    margin = round(SHOWN_MARGIN_M / target.pixel_size_m + SHOWN_MARGIN_SHARE * longest)
    return Found(window, plume, is_own, target, detection).on(window_around(mask, margin))


def _with_less_around(found: Sequence[Found], most_shown: int | None) -> list[Found]:
    """Return them with no more around those that will have no picture than their facts need.

    Accepted ones have one, and so many refused ones; none at all where None.
    """
    refused = sorted(
        (one.plume for one in found if one.plume.candidate.status != ACCEPTED),
        key=lambda plume: (-(plume.candidate.significance or 0.0), plume.plume_id),
    )
    shown = {id(plume) for plume in refused[: most_shown or 0]}
    if most_shown is not None:
        shown |= {id(one.plume) for one in found if one.plume.candidate.status == ACCEPTED}
    return [
        one if id(one.plume) in shown else one.on(window_around(one.plume.candidate.mask, OWN_MARGIN_PX))
        for one in found
    ]


def part_of(one: Pass, part: Window) -> Pass:
    """Return a part of a pass (both slices with a start), with the counts of the whole."""
    arrays: dict[str, Any] = {}
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value[part].copy()
    others = {name: band[part].copy() for name, band in one.other_bands.items()}
    height, width = arrays["b11"].shape
    place = one.place.part(part[0].start, part[1].start, height, width)
    return replace(one, place=place, other_bands=others, **arrays)
