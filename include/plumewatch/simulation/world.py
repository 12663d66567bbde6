"""The simulated world as a whole: everything on disk from one seed, and the truth about it."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.models import SENTINEL_HUB, STAC
from plumewatch.simulation.inventories import write_inventories
from plumewatch.simulation.oco2_granules import granule_name, write_granules
from plumewatch.simulation.oco2_plan import GRANULES, HTML_DATE, MONTH, PlannedArc, plan_arcs, read_power_plants
from plumewatch.simulation.oco2_soundings import simulate_arc
from plumewatch.simulation.sentinel2_plan import (
    AREAS,
    MethaneSource,
    PlannedArea,
    PlannedPlume,
    plan_plumes,
    plan_sources,
)
from plumewatch.simulation.sentinel2_scenes import write_scenes
from plumewatch.simulation.stac_catalogue import COLLECTION, product_name, write_catalogue
from plumewatch.simulation.wind_fields import (
    FILE_HEIGHTS_M,
    PRODUCT,
    WantedWind,
    WindField,
    hour_of_day,
    make_wind_field,
    write_wind_field,
)

TRUTH_FILE = "truth.json"
PARTS = ("areas", "catalogue", "granules", "wind", "inventories")
MAX_CLOUD_COVER_PERCENT = 60.0
MUST_FIND_KG_H, MUST_FIND_PPM = 5000.0, 2.5
ALL_CLOUD_PERCENT = 99.0


def build_world(
    folder: str | Path, seed: int, hub_areas: Collection[str] = (), areas: Sequence[PlannedArea] = AREAS
) -> dict[str, Any]:
    """Build the world below a local folder and return its truth, which is also written to truth.json.

    The same seed gives the same files, byte for byte. A world that the folder already holds is replaced. The files of
    `hub_areas` say that they are searched in Sentinel Hub; of them the truth names scenes by their products, as that
    Catalog does.
    """
    folder = Path(folder)
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
    sources = {area.name: plan_sources(seed, area) for area in areas}
    plumes = {area.name: plan_plumes(seed, area, sources[area.name]) for area in areas}
    arcs = plan_arcs(seed)
    winds = _write_winds(folder / "wind", seed, areas, plumes, arcs)
    scenes: list[dict[str, Any]] = []
    planted_plumes: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for area in areas:
        written = write_scenes(folder / "catalogue" / COLLECTION, seed, area, plumes[area.name], winds)
        scenes += written[0]
        planted_plumes += written[1]
        items += written[2]
        catalogue = SENTINEL_HUB if area.name in hub_areas else STAC
        storage.write_json(str(folder / "areas" / f"{area.name}.geojson"), _area_file(area, catalogue))
    write_catalogue(str(folder / "catalogue"), items)
    peaks = write_granules(folder / "granules", seed, [simulate_arc(seed, arc, winds) for arc in arcs])
    listed = [source for area in areas for source in sources[area.name]]
    write_inventories(str(folder / "inventories"), read_power_plants(), listed)
    products = {item["id"]: product_name(item) for item in items}
    for row in (*scenes, *planted_plumes):
        row["scene_id"] = products[row["scene_id"]] if row["area"] in hub_areas else row["scene_id"]
    truth = _truth(seed, areas, scenes, planted_plumes, peaks, listed)
    storage.write_json(str(folder / TRUTH_FILE), truth)
    return truth


def _write_winds(
    folder: Path,
    seed: int,
    areas: Sequence[PlannedArea],
    plumes: dict[str, list[PlannedPlume]],
    arcs: list[PlannedArc],
) -> dict[str, WindField]:
    """Write the wind of every day of the world, and return the fields by date."""
    wanted: dict[str, list[WantedWind]] = defaultdict(list)
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for area in areas:
        for acquisition in area.acquisitions:
            places[acquisition.date].append((area.longitude, area.latitude))
        for plume in plumes[area.name]:
            where, hour = (plume.source.longitude, plume.source.latitude), hour_of_day(area.time_of(plume.acquisition))
            wanted[plume.acquisition.date].append(WantedWind(*where, hour, plume.wind_u_m_s, plume.wind_v_m_s))
    for arc in arcs:
        date, where = f"{arc.observed_at_utc:%Y-%m-%d}", (arc.longitude, arc.latitude)
        places[date].append(where)
        if arc.peak:
            wanted[date].append(WantedWind(*where, hour_of_day(arc.observed_at_utc), *arc.peak.surface_wind_m_s))
    fields = {date: make_wind_field(seed, date, wanted[date]) for date in sorted(places)}
    for date, field in fields.items():
        write_wind_field(str(folder), field, places[date])
    return fields


def _area_file(area: PlannedArea, catalogue: str) -> dict[str, Any]:
    west, south, east, north = area.bounds_deg()
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties = {
        "name": area.name,
        "note": area.title,
        "catalogue": catalogue,
        "collection": COLLECTION,
        "max_cloud_cover": MAX_CLOUD_COVER_PERCENT,
    }
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    return {"type": "FeatureCollection", "features": [feature]}


def _truth(
    seed: int,
    areas: Sequence[PlannedArea],
    scenes: list[dict[str, Any]],
    plumes: list[dict[str, Any]],
    peaks: list[dict[str, Any]],
    sources: list[MethaneSource],
) -> dict[str, Any]:
    """Return all that was planted; the pipeline never reads it."""
    truncated = [scene for scene in scenes if scene["truncated_asset"]]
    html = granule_name(HTML_DATE)
    return {
        "seed": seed,
        "areas": [{"name": area.name, "bounds_deg": area.bounds_deg(), "epsg": area.epsg} for area in areas],
        "dates": sorted({scene["date"] for scene in scenes}),
        "months": [MONTH],
        "wind_product": PRODUCT,
        "wind_heights_m": list(FILE_HEIGHTS_M),
        "scenes": scenes,
        "granules": [granule_name(date) for date, *_ in GRANULES],
        "plumes": [p | {"must_be_found": p["emission_kg_h"] >= MUST_FIND_KG_H} for p in plumes],
        "peaks": [p | {"must_be_found": p["height_ppm"] >= MUST_FIND_PPM} for p in peaks],
        "methane_sources": [
            {name: getattr(s, name) for name in ("name", "area", "longitude", "latitude", "emission_kg_h")}
            for s in sources
        ],
        "bad_files": {
            "truncated_scenes": truncated,
            "html_granules": [{"granule": html, "date": HTML_DATE, "month": HTML_DATE[:7]}],
        },
        "all_cloud_scenes": [s for s in scenes if s["cloud_cover_percent"] > ALL_CLOUD_PERCENT],
        "red_keys": {
            "sentinel2_daily_ingest": sorted({scene["date"] for scene in truncated}),
            "oco2_monthly_extraction": [HTML_DATE[:7]],
        },
    }
