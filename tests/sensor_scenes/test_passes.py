"""Which passes of a sensor are taken: what shows most of the area through its cloud, then what is nearest in time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import shapely
from plumewatch.sensor_scenes.event import Event, choose_passes
from plumewatch.sentinel2.scene import SceneRef

AREA = shapely.box(0.0, 0.0, 1.0, 1.0)
EVENT = Event(date(2025, 8, 20), date(2025, 8, 20), 30, 30)


def ref(day: str, cloud: float | None = 0.0, footprint: Any = AREA, platform: str = "landsat-8") -> SceneRef:
    at = datetime.fromisoformat(f"{day}T10:00:00").replace(tzinfo=UTC)
    name = f"{platform}_{day}_{footprint.bounds[0]:g}"
    return SceneRef(name, name, at, platform, 1, "t", cloud, None, 0, "", footprint)


def days(refs: list[SceneRef], at_most: int = 1) -> dict[str, list[str]]:
    chosen = choose_passes(refs, AREA, EVENT, at_most)
    return {role: [one[0].observed_at_utc.date().isoformat() for one in found] for role, found in chosen.items()}


def test_the_nearest_of_those_that_show_as_much() -> None:
    refs = [ref("2025-08-01"), ref("2025-08-12", 3.0), ref("2025-08-18", 70.0), ref("2025-08-25"), ref("2025-09-01")]
    assert days(refs) == {"before": ["2025-08-12"], "after": ["2025-08-25"]}
    assert days(refs, 2) == {"before": ["2025-08-12", "2025-08-01"], "after": ["2025-08-25", "2025-09-01"]}


def test_the_scenes_of_a_pass_show_it_together() -> None:
    west, east = shapely.box(-1.0, 0.0, 0.5, 1.0), shapely.box(0.4, 0.0, 2.0, 1.0)
    refs = [ref("2025-08-10", footprint=west), ref("2025-08-10", footprint=east), ref("2025-08-19", footprint=west)]
    [one] = choose_passes(refs, AREA, EVENT, 1)["before"]
    assert [scene.footprint for scene in one] == [west, east]


def test_what_shows_nothing_is_no_pass_and_no_stated_cloud_is_clear() -> None:
    assert days([ref("2025-08-20", footprint=shapely.box(2.0, 0.0, 3.0, 1.0)), ref("2025-08-20", 100.0)]) == {}
    assert days([ref("2025-08-10", None), ref("2025-08-19", 20.0)]) == {"before": ["2025-08-10"]}
