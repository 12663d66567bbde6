"""One list of plumes out of those of overlapping windows: each plume once."""

from __future__ import annotations

from collections.abc import Iterable

from plumewatch.methane.blocks.window_search import BESIDE_PX, Found, shared_pixels

SAME_SHARE = 0.5  # of the smaller one's pixels
SAME_ORIGIN_PX = 2 * BESIDE_PX  # windows that differ by rounding alone see it in the same pixel


def merge_found(found: Iterable[Found]) -> list[Found]:
    """Return each plume once, strongest first: of two that are one, that whose origin lies in its window's core.

    Else the more significant one. The order in which the windows come decides nothing.
    """
    order = sorted(
        found, key=lambda one: (not one.is_own, -(one.plume.candidate.significance or 0.0), one.plume.plume_id)
    )
    kept: list[Found] = []
    nearby: dict[object, list[Found]] = {}  # by the square of an origin, and by id: a tile has thousands
    for one in order:
        row, col = (at // SAME_ORIGIN_PX for at in _origin(one))
        squares = [(row + down, col + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        if not any(is_same(one, other) for key in (one.plume.plume_id, *squares) for other in nearby.get(key, ())):
            kept.append(one)
            for key in (one.plume.plume_id, (row, col)):
                nearby.setdefault(key, []).append(one)
    return sorted(kept, key=lambda one: (-(one.plume.candidate.significance or 0.0), one.plume.plume_id))


def is_same(one: Found, other: Found) -> bool:
    """Whether two plumes of different windows are one: they begin at one place, and most pixels are of both."""
    if one.window == other.window:
        return False
    if one.plume.plume_id == other.plume.plume_id:
        return True
    if max(abs(a - b) for a, b in zip(_origin(one), _origin(other), strict=True)) > SAME_ORIGIN_PX:
        return False
    smaller = min(a.plume.table_row["n_pixels"] for a in (one, other))
    return shared_pixels(one.plume, other.plume) > SAME_SHARE * smaller


def _origin(one: Found) -> tuple[int, int]:
    return one.plume.corner[0] + one.plume.row, one.plume.corner[1] + one.plume.col
