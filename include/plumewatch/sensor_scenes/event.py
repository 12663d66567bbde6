"""An event, and which passes of a sensor show an area best before, during and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from plumewatch.errors import ParameterError
from plumewatch.sentinel2.scene import SceneRef

BEFORE, DURING, AFTER, GIVEN = "before", "during", "after", "given"
ROLES = (BEFORE, DURING, AFTER, GIVEN)
"""When a scene was seen: before, within or after the days of the event; `given`: by its address, without an event."""
HIDDEN_STEP = 0.1  # of the area: passes that show it alike, to this share, are chosen by their time
PERCENT = 100.0

Pass = tuple[SceneRef, ...]
"""The scenes of one satellite on one day."""


@dataclass(frozen=True)
class Event:
    """The days of an event, and how far around them scenes are looked for."""

    first: date
    """UTC date."""
    last: date
    """Included; the same for an event of a day."""
    days_before: int
    """That are looked back from the first day."""
    days_after: int
    """That are looked ahead from the last."""

    @property
    def start(self) -> date:
        """First day on which scenes are looked for."""
        return self.first - timedelta(days=self.days_before)

    @property
    def end(self) -> date:
        """Last day on which scenes are looked for."""
        return self.last + timedelta(days=self.days_after)

    def role(self, day: date) -> str:
        """Return when a day is: before, during or after the event."""
        return BEFORE if day < self.first else AFTER if day > self.last else DURING

    def days_off(self, day: date) -> int:
        """Return how many days lie between a day and the event."""
        return max((self.first - day).days, (day - self.last).days, 0)


def event_of(first: str | None, last: str | None, days_before: int, days_after: int) -> Event | None:
    """Return the event of the days (YYYY-MM-DD) of a form, None where there is none; ParameterError where it can't be.

    >>> event_of("2025-08-20", None, 30, 10).end.isoformat()
    '2025-08-30'
    """
    if first is None:
        if last is not None:
            raise ParameterError(f"an event that ends on {last}; allowed: one with its first day, or no event")
        return None
    found = Event(date.fromisoformat(first), date.fromisoformat(last or first), days_before, days_after)
    if found.first > found.last:
        raise ParameterError(f"an event from {first} to {last}; allowed: the first day first")
    return found


def choose_passes(refs: Sequence[SceneRef], geometry: Any, event: Event, at_most: int) -> dict[str, list[Pass]]:
    """Return, by role, the passes that show most of an area (shapely, WGS 84) through its cloud, at most so many each.

    Of those that show as much, to a tenth of the area, the nearest to the event in time; what shows nothing of it is no
    pass. An item that states no cloud counts as clear.
    """
    passes: dict[Any, list[SceneRef]] = {}
    for ref in refs:
        passes.setdefault((ref.platform, ref.observed_at_utc.date()), []).append(ref)
    by_role: dict[str, list[tuple[Any, Pass]]] = {}
    for (_, day), scenes in passes.items():
        ordered = tuple(sorted(scenes, key=lambda ref: (ref.observed_at_utc, ref.scene_id)))
        if (shown := _shown(ordered, geometry)) > 0:
            order = round((1.0 - shown) / HIDDEN_STEP), event.days_off(day), ordered[0].scene_id
            by_role.setdefault(event.role(day), []).append((order, ordered))
    best = {role: sorted(found, key=lambda one: one[0])[:at_most] for role, found in by_role.items()}
    return {role: [one for _, one in found] for role, found in sorted(best.items(), key=lambda r: ROLES.index(r[0]))}


def _shown(scenes: Pass, geometry: Any) -> float:
    """Share of the area that a pass shows, where cloud is spread evenly over each of its scenes."""
    left, shown = geometry, 0.0
    for ref in sorted(scenes, key=lambda ref: ref.cloud_cover or 0.0):
        shown += left.intersection(ref.footprint).area * (1.0 - (ref.cloud_cover or 0.0) / PERCENT)
        left = left.difference(ref.footprint)
    return float(shown / geometry.area)
