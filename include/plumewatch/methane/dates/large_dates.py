"""A date too large for one worker: what its passes are, what they are compared with, the numbers of their scenes.

One worker looks all its rows over, piece by piece, and searches a sample; many then search the windows
(window_tasks.py), each of which reads no more than its own pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch import storage
from plumewatch.failures import pass_name
from plumewatch.gases import MULTI_PASS
from plumewatch.methane.blocks.sample import SQUARE_PX, Sample, choose_squares, find_numbers
from plumewatch.methane.blocks.window_search import SceneSearch
from plumewatch.methane.dates.pixel_pieces import (
    READ_COLUMNS,
    PassExtent,
    Scene,
    StoredPass,
    look_over,
    read_pieces,
    read_scenes,
)
from plumewatch.methane.dates.stored_passes import (
    check_place,
    check_size,
    check_sources,
    stated_grid,
    stated_sources,
)
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.work import Work, part_name, read_wind
from plumewatch.methane.detection import Detection
from plumewatch.methane.pass_rows import PassFacts, lay_out, read_facts, rows_of_scenes
from plumewatch.methane.pass_search import (
    PassResult,
    choose_references,
    detection_limit,
    is_comparable,
    not_searched,
    nothing_to_search,
    observation_of,
    reason_not_to_search,
    wind_in_the_middle,
    wind_towards_deg,
)
from plumewatch.methane.passes import Pass, PassCounts, without_arrays
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.models import FailedScene
from plumewatch.statuses import FAILED, NO_REFERENCE, SEARCHED
from plumewatch.tables import PIXELS


@dataclass(frozen=True, eq=False)
class LargePass:
    """A pass that is to be searched by windows."""

    stored: StoredPass
    """Where its pixels are."""
    references: tuple[StoredPass, ...]
    """Where those of its references are, nearest in time first."""
    search: SceneSearch
    """How each window is searched."""
    result: PassResult
    """What is known of the whole pass before: without arrays and plumes."""
    name: str
    """Of the pass in its partition, for failures."""


@dataclass(frozen=True, eq=False)
class LargeDate:
    """A date whose passes are to be searched by windows, as far as they can be."""

    task: AreaDates
    """That it is a part of."""
    day: str
    """YYYY-MM-DD."""
    passes: tuple[LargePass | PassResult, ...]
    """In the order of platform and relative orbit; what came of those that aren't searched."""
    lost: tuple[dict[str, Any], ...]
    """Observations of passes that couldn't be read."""
    inputs: frozenset[str]
    """Partitions of pixels that were looked at."""
    failures: list[FailedScene]
    """So far."""


def plan_large_date(work: Work) -> LargeDate:
    """Return how a date is searched by windows; what fails is noted, and the other passes stand."""
    source = work.passes.partition(work.day)
    extents = look_over(source, SQUARE_PX)
    work.passes.note_read(work.day, sum(extent.n_pixels for extent in extents))
    work.inputs.add(source)
    passes: list[LargePass | PassResult] = []
    for extent in extents:
        facts = None
        with work.noting(work.day, "" if len(extents) == 1 else _name(extent)):
            sample = choose_squares(extent.usable_in)
            rows = _sample_rows(source, sample, extent.scenes)
            facts = _facts(rows, source, extent)
        if facts is None:
            unread = {"scene_id": min(scene["scene_id"] for scene in extent.scenes), "outcome": FAILED}
            work.lost.append(nothing_to_search(work.task.area) | unread)
            continue
        planned = None
        name = part_name(facts, len(extents), work.task.method)
        with work.noting(work.day, name):
            stored = StoredPass(source, extent.scenes if len(extents) > 1 else (), facts)
            planned = _plan_pass(work, stored, extent, sample, rows, name)
        if planned is None:
            work.lost.append(observation_of(work.task.area, _whole(facts, extent), FAILED))
        else:
            passes.append(planned)
    return LargeDate(work.task, work.day, tuple(passes), tuple(work.lost), frozenset(work.inputs), work.failures)


def _name(extent: PassExtent) -> str:
    return pass_name(extent.scenes[0]["platform"], extent.scenes[0]["relative_orbit"])


def _sample_rows(source: str, sample: Sample, scenes: Sequence[Scene]) -> pa.Table:
    """Return the rows of the sample; some rows where no square has a usable pixel."""
    if sample.squares:
        return read_pieces(source, READ_COLUMNS, sample.ranges, scenes)
    pieces = storage.iter_partition(PIXELS, storage.Partition(source, {}), READ_COLUMNS)
    return next(its for rows in pieces if (its := rows_of_scenes(rows, scenes)).num_rows)


def _facts(rows: pa.Table, source: str, extent: PassExtent) -> PassFacts:
    facts = read_facts(rows, source, stated_grid(source), extent.n_pixels)
    check_sources(facts, stated_sources(source), source)
    height, width = (last - first for first, last in (extent.rows, extent.cols))
    place = facts.place.part(extent.rows[0] - facts.place.row0, extent.cols[0] - facts.place.col0, height, width)
    return replace(facts, place=place, scene_ids=_scene_ids(extent.scenes))


def _scene_ids(scenes: Sequence[Scene]) -> tuple[str, ...]:
    return tuple(sorted({scene["scene_id"] for scene in scenes}))


def _whole(facts: PassFacts, extent: PassExtent) -> Pass:
    """Return the pass without pixels."""
    nothing = np.zeros((0, 0), np.float32)
    return Pass(
        **vars(facts),
        scene_index=nothing.astype(np.int16),
        b11=nothing,
        b12=nothing,
        is_usable=nothing.astype(bool),
        n_pixels=extent.n_pixels,
        whole=PassCounts(extent.n_seen, extent.n_usable),
    )


def _plan_pass(
    work: Work, stored: StoredPass, extent: PassExtent, sample: Sample, rows: pa.Table, name: str
) -> LargePass | PassResult:
    task, facts, limits = work.task, stored.facts, plume_thresholds()
    whole = _whole(facts, extent)
    wind_of = read_wind(facts, work)
    wind = wind_in_the_middle(facts.place, wind_of)
    if (reason := reason_not_to_search(whole, limits)) is not None:
        return not_searched(task.area, whole, reason, wind)
    target = _on_sample(rows, facts, sample, stored.partition)
    kept: list[tuple[Pass, StoredPass]] = []
    if task.method == MULTI_PASS:
        earlier = dict(_earlier(work, stored, sample))
        kept = [(one, earlier[one]) for one in choose_references(target, earlier, limits)]
        if not kept:
            return not_searched(task.area, whole, NO_REFERENCE, wind)
    references = [one for one, _ in kept]
    towards_deg = wind_towards_deg(wind)
    numbers, detection = find_numbers(task.method, target, references, limits, towards_deg, sample)
    observation = observation_of(task.area, whole, SEARCHED, wind)
    observation["detection_limit"] = detection_limit(detection, facts.platform, wind, limits)
    return LargePass(
        stored=stored,
        references=tuple(its for _, its in kept),
        search=SceneSearch(
            task.area,
            task.method,
            facts,
            numbers,
            wind_of,
            towards_deg,
            limits,
            task.blocks.block_px,
            has_pictures=task.details_path is not None,
        ),
        result=_result(whole, references, detection, observation),
        name=name,
    )


def _result(whole: Pass, references: Sequence[Pass], detection: Detection, observation: dict[str, Any]) -> PassResult:
    return PassResult(whole, tuple(map(without_arrays, references)), detection, (), None, observation)


def _on_sample(rows: pa.Table, facts: PassFacts, sample: Sample, source: str) -> Pass:
    """Return the rows of a pass laid out on the sample."""
    row, col = (rows[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    return lay_out(rows, sample.cells(row, col), replace(facts, place=facts.place.part(0, 0, *sample.shape)), source)


def _earlier(work: Work, target: StoredPass, sample: Sample) -> Iterator[tuple[Pass, StoredPass]]:
    """Yield passes of earlier dates on the sample, nearest first, and where all of each is; unusable ones are noted."""
    for day in work.passes.earlier(work.day):
        source = work.passes.partition(day)
        found: list[tuple[PassFacts, pa.Table, tuple[Scene, ...]]] = []
        n_passes = 0
        with work.noting_reference(day):
            passes, rows = read_scenes(source), read_pieces(source, READ_COLUMNS, sample.ranges)
            work.passes.note_read(day, rows.num_rows)
            work.inputs.add(source)
            grid, sizes_m, n_passes = stated_grid(source), stated_sources(source), len(passes)
            for scenes in passes:
                its = rows_of_scenes(rows, scenes) if n_passes > 1 else rows
                if its.num_rows:
                    facts = read_facts(its, source, grid)
                    check_sources(facts, sizes_m, source)
                    found.append((replace(facts, scene_ids=_scene_ids(scenes)), its, scenes if n_passes > 1 else ()))
        for facts, its, scenes in found:
            if not is_comparable(target.facts, facts):
                continue
            with work.noting_reference(day, part_name(facts, n_passes, work.task.method)):
                check_size(facts, target.facts.pixel_size_m, source)
                row, col = (its[name].to_numpy().astype(np.int64) for name in ("row", "col"))
                check_place(facts.place, target.facts.place, row, col, source)
                yield _on_sample(its, facts, sample, source), StoredPass(source, scenes, facts)
