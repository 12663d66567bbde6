"""The areas of interest: where each is, how large, and what of the files isn't used."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from plumewatch import storage
from plumewatch.area_files import SUFFIXES, unread_files
from plumewatch.areas import grid_of, read_areas
from plumewatch.models import Area, FailedScene
from plumewatch.settings import Settings

from tools.checks.finding import Finding, missing, ok, problem


def check_areas(settings: Settings) -> tuple[list[Finding], list[Area]]:
    """Every file of areas, and the areas that can be used."""
    findings, areas = [], []
    try:
        files = [f for folder in settings.area_folders for f in storage.visible_files(folder)]
    except Exception as error:  # noqa: BLE001 - a storage that cannot be listed has its own line, with the reason
        files = storage.visible_files(settings.area_folders[0])
        findings.append(problem("areas", f"{settings.area_folders[1]} cannot be listed: {error}"))
    for file in files:
        if file.lower().endswith(SUFFIXES):
            failures: list[FailedScene] = []
            with _warnings() as warned:
                areas += read_areas(file, on_failure=failures.append)
            findings += [problem("areas", failure.message) for failure in failures]
            findings += [missing("areas", text) for text in warned]
    unread = dict(found for folder in {*map(storage.parent, files)} for found in unread_files(folder))
    findings += [missing("areas", f"not read: {file}: {reason}") for file, reason in sorted(unread.items())]
    names = [area.name for area in areas]
    for name in sorted({name for name in names if names.count(name) > 1}):
        where = ", ".join(area.file for area in areas if area.name == name)
        findings.append(problem("areas", f"{name} is in several files: {where}; give each a name of its own"))
    if names:
        findings.append(ok("areas", f"{len(names)}: {', '.join(sorted(map(_place_and_size, areas)))}"))
    elif not findings:
        findings.append(missing("areas", f"none: put a GeoJSON, GPKG or Shapefile into {settings.area_folders[0]}"))
    return findings, areas


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Yield the list of what the library warns of in the block, such as properties that it doesn't know."""
    log, said = logging.getLogger("plumewatch"), list[str]()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)


def _place_and_size(area: Area) -> str:
    """Name, centre and size: longitude and latitude in the wrong order show here."""
    grid, centre = grid_of(area), area.geometry.centroid
    place = f"{abs(centre.y):.2f} {'NS'[centre.y < 0]} {abs(centre.x):.2f} {'EW'[centre.x < 0]}"
    width_km, height_km = (n * grid.resolution_m / 1000 for n in (grid.width, grid.height))
    return f"{area.name} ({place}, {width_km:.1f} x {height_km:.1f} km)"
