"""How long the search of a day takes where many areas have one catalogue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
import shapely
from figures import Figure
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import REQUESTS_PER_S, StacApi
from plumewatch.http import THREADS
from plumewatch.sentinel2.day_search import named_areas, search_day
from plumewatch.sentinel2.search import search_scenes
from plumewatch.settings import Settings
from shapely.geometry import mapping
from slow_catalogue import slow_catalogue

AREAS, ANSWER_S, DAY = 200, 0.05, "2025-08-21"


def search_of_areas() -> Iterator[Figure]:
    """The search of the daily ingest against one area after the other by one session; the server counts."""
    with TemporaryDirectory() as folder, slow_catalogue(ANSWER_S) as url:
        settings = Settings(f"{folder}/storage", areas=f"{folder}/areas", stac_api=url)
        write_areas(Path(folder) / "areas")
        areas, apis, day = named_areas(settings, []), dict[str, StacApi](), date.fromisoformat(DAY)
        began = time.perf_counter()
        one_by_one = [search_scenes(area, day, day, catalogue_of(area, settings, apis)) for area in areas]
        sequential_s = time.perf_counter() - began
        requests.get(f"{url}/asked", timeout=10)
        began = time.perf_counter()
        found = search_day(settings, DAY, [])
        took_s = time.perf_counter() - began
        asked = requests.get(f"{url}/asked", timeout=10).json()
    assert not found.failed and len(found.scenes) == sum(len(of_area.scenes) for of_area in one_by_one) == AREAS
    assert asked["searches"] == AREAS and asked["landing pages"] == 1 and asked["connections"] <= THREADS
    assert asked["most_in_a_second"] <= REQUESTS_PER_S + THREADS
    yield Figure(
        name="sentinel2.search",
        value=took_s,
        unit="s",
        baseline=sequential_s,
        baseline_is="one area after the other, by one session",
        ratio=took_s / sequential_s,
        limit="<= 0.2",
        note=f"{AREAS} areas of one catalogue, {ANSWER_S * 1000:.0f} ms an answer: {asked['searches']} searches, "
        f"{asked['landing pages']} landing page, {asked['connections']} connections, at most "
        f"{asked['most_in_a_second']} requests in a second ({REQUESTS_PER_S:.0f} allowed)",
    )


def write_areas(folder: Path) -> None:
    """Write AREAS areas of 5 km a side, beside each other."""
    folder.mkdir(parents=True)
    features = []
    for n in range(AREAS):
        west, south = 54.0 + 0.06 * (n % 20), 22.0 + 0.06 * (n // 20)
        square = mapping(shapely.box(west, south, west + 0.05, south + 0.05))
        features.append({"type": "Feature", "properties": {"name": f"field{n:03d}"}, "geometry": square})
    (folder / "fields.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
