"""Readers of zones and of what Sentinel Hub counts in them, with a small good file of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import shapely
from plumewatch.catalogues.stac import read_json
from plumewatch.zones.hub_batch import days_of_zone, read_result
from plumewatch.zones.service_statistics import ZoneDays, pool_days, read_days, rows_of_zone
from plumewatch.zones.zone_files import read_zones
from trials import Reader

DAY = "2025-08-21"


def _zones(ending: str) -> Reader:
    def write(folder: Path) -> Path:
        shapes = [shapely.Point(n, n).buffer(1.0, quad_segs=2) for n in range(5)]
        path = folder / f"zones.{ending}"
        geopandas.GeoDataFrame({"id": range(5)}, geometry=shapes, crs=4326).to_file(path)
        return path

    return Reader(write, lambda path: read_zones(str(path), None, "id", lambda where, error: None))


def _statistics() -> Reader:
    """An answer of the Statistical API with a day of values, one of nothing and one of an error."""
    stats = {"min": 0.1, "max": 0.9, "mean": 0.5, "stDev": 0.1, "sampleCount": 9, "noDataCount": 1}
    bins = [{"lowEdge": n / 4, "highEdge": (n + 1) / 4, "count": 2} for n in range(4)]
    nothing = {**stats, **dict.fromkeys(("min", "max", "mean", "stDev"), "NaN"), "noDataCount": 9}
    outputs = [
        {"ndvi": {"bands": {"B0": {"stats": {**one, "percentiles": {"50.0": 0.5}}, "histogram": {"bins": bins}}}}}
        for one in (stats, nothing)
    ]
    days = [{"interval": {"from": f"{DAY}T00:00:00Z"}, "outputs": one} for one in outputs]
    answer = {"data": [*days, {"interval": {"from": f"{DAY}T00:00:00Z"}, "error": {"type": "TIMEOUT"}}], "status": "OK"}

    def write(folder: Path) -> Path:
        (folder / "answer.json").write_text(json.dumps(answer))
        return folder / "answer.json"

    def read(path: Path) -> None:
        found = read_days(path.name, read_json(str(path)))
        for of_day in found.days.values():
            pool_days(list(of_day.values()), [50.0]).value("median")

    return Reader(write, read)


def _delivered_statistics() -> Reader:
    def write(folder: Path) -> Path:
        path = _statistics().write(folder)
        path.write_text(f'{{"id": 1, "identifier": "7", "response": {path.read_text()}}}')
        return path

    def read(path: Path) -> None:
        clear = days_of_zone("zone 7", {"zone 7": read_result(str(path))[1]})
        seen = {day: {"seen": one} for day, of_day in clear.days.items() for one in of_day.values()}
        rows_of_zone("zone 7", ["ndvi"], ["median"], clear, ZoneDays(seen, {}))

    return Reader(write, read, called=lambda _: "zone 7")


ZONE_READERS = {
    **{f"zones.{ending}": _zones(ending) for ending in ("geojson", "gpkg", "shp")},
    "statistics of zones": _statistics(),
    "delivered statistics": _delivered_statistics(),
}
"""By the name of their kind."""
