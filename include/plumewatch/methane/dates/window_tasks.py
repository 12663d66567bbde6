"""The windows of large dates shared out, searched, and what they found published, a date at a time."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from plumewatch.methane.blocks.merging import merge_found
from plumewatch.methane.blocks.window_search import WindowFound, search_window
from plumewatch.methane.blocks.windows import SearchWindow, cut
from plumewatch.methane.dates.large_dates import LargeDate, LargePass
from plumewatch.methane.dates.noting import noted
from plumewatch.methane.dates.outputs import publish_results
from plumewatch.methane.pass_search import PassResult, observation_of
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import refuse_downwind_pieces
from plumewatch.models import FailedScene
from plumewatch.statuses import ACCEPTED, FAILED

TASK = pa.schema([("position", pa.int32()), ("date", pa.binary()), ("windows", pa.list_(pa.int32()))])
"""Some windows of one date: what it is (LargeDate, pickled), and which of `windows_of`."""
FOUND = pa.schema([("date", pa.string()), ("content", pa.binary())])
"""What windows of one date found (pickled), by its name."""


@dataclass(frozen=True, eq=False)
class FoundOnWindow:
    """What came of one window of a date."""

    number: int
    """In `windows_of`."""
    date: LargeDate | None
    """What it is a window of; only the first says it."""
    found: WindowFound | None
    """None where it failed."""
    failures: tuple[FailedScene, ...]
    """Why."""


def windows_of(date: LargeDate) -> list[tuple[int, SearchWindow]]:
    """Return all windows of a date, each with the number of its pass."""
    windows = []
    for number, one in enumerate(date.passes):
        if isinstance(one, LargePass):
            place = one.stored.facts.place
            windows += [(number, window) for window in cut(place.height, place.width, one.search.block_px)]
    return windows


def plan_tasks(dates: Sequence[bytes], counts: Sequence[int], max_tasks: int) -> pa.Table:
    """Return rows of TASK: at most about `max_tasks` of all the windows (so many a date), neighbours together."""
    each = max(1, -(-sum(counts) // max_tasks))
    rows: list[dict[str, Any]] = []
    for date, count in zip(dates, counts, strict=True):
        for start in range(0, count, each):
            some = list(range(start, min(start + each, count)))
            rows.append({"position": len(rows), "date": date, "windows": some})
    return pa.Table.from_pylist(rows, schema=TASK)


def search_windows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks (rows of TASK) of each batch: the function of a mapInArrow to FOUND."""
    for batch in batches:
        for row in batch.to_pylist():
            date = pickle.loads(row["date"])
            for number in row["windows"]:
                content = pickle.dumps(_search(date, number))
                yield pa.RecordBatch.from_pylist([{"date": _name(date), "content": content}], schema=FOUND)


def _name(date: LargeDate) -> str:
    return f"{date.task.area}/{date.day}"


def _search(date: LargeDate, number: int) -> FoundOnWindow:
    pass_number, window = windows_of(date)[number]
    one = date.passes[pass_number]
    found, failures = None, list[FailedScene]()
    with noted(failures, date.task.area, date.day, one.name if isinstance(one, LargePass) else ""):
        assert isinstance(one, LargePass)
        found = search_window(one.search, window, _Reader(one).read)
    return FoundOnWindow(number, date if not number else None, found, tuple(failures))


@dataclass(frozen=True, eq=False)
class _Reader:
    one: LargePass

    def read(self, window: SearchWindow) -> tuple[Pass, Sequence[Pass]]:
        """Return the target and its references on a window."""
        (top, bottom), (left, right) = window.rows, window.cols
        place = self.one.stored.facts.place.part(top, left, bottom - top, right - left)
        whole = self.one.result.target
        target = replace(self.one.stored.on(place), n_pixels=whole.n_pixels, whole=whole.whole)
        if not target.is_usable.any():
            return target, ()
        return target, [reference.on(place) for reference in self.one.references]


def publish_found(rows: Iterable[bytes]) -> dict[str, Any]:
    """Write the partitions of a date from what all its windows found, and return what is said of it, as in REPORT."""
    contents: list[FoundOnWindow] = [pickle.loads(content) for content in rows]
    [date] = [one.date for one in contents if one.date is not None]
    by_pass: dict[int, list[FoundOnWindow]] = {}
    for content in sorted(contents, key=lambda content: content.number):
        by_pass.setdefault(windows_of(date)[content.number][0], []).append(content)
    results, lost, failures = list[PassResult](), list(date.lost), list(date.failures)
    for number, one in enumerate(date.passes):
        told = dict.fromkeys(failure for window in by_pass.get(number, ()) for failure in window.failures)
        failures += told
        if isinstance(one, PassResult):
            results.append(one)
        elif told:
            lost.append(observation_of(date.task.area, one.result.target, FAILED))
        else:
            results.append(_result_of(one, [window.found for window in by_pass[number] if window.found]))
    said = publish_results(date.task, date.day, results, lost, date.inputs, failures)
    failed = json.dumps([asdict(failure) for failure in failures])
    return {**said, "area": date.task.area, "date": date.day, "failures": failed}


def _result_of(one: LargePass, windows: Sequence[WindowFound]) -> PassResult:
    """Return the result of a pass with the plumes of all its windows."""
    known, search = one.result, one.search
    found = merge_found(each for window in windows for each in window.plumes)
    around = {each.plume.plume_id: each for each in found}
    plumes = refuse_downwind_pieces([each.plume for each in found], search.facts.pixel_size_m, search.limits)
    is_detected = any(plume.candidate.status == ACCEPTED for plume in plumes)
    whole = replace(known, observation=known.observation | {"detected": is_detected}, plumes=tuple(plumes))
    n_usable, n_compared = (sum(getattr(w, name) for w in windows) for name in ("n_usable", "n_compared"))
    near = {
        plume.plume_id: replace(
            whole, target=around[plume.plume_id].target, detection=around[plume.plume_id].detection, plumes=(plume,)
        )
        for plume in plumes
    }
    return replace(whole, around=near, compared_fraction=n_compared / max(1, n_usable))
