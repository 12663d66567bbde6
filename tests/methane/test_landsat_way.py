"""Landsat's whole way: items of a catalogue on loopback, stacked, pixels, and a planted plume with its rate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from jobs import load_job
from landsat_scenes import CLEAR, CLOUD, SIZE_M, landsat_item, landsat_numbers, scene_id
from plumewatch import storage
from plumewatch.areas import grid_of, read_areas
from plumewatch.gases import MULTI_PASS
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.worker import detect_area_dates
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.models import Area, Grid
from plumewatch.sentinel2.day_search import search_day
from plumewatch.sentinel2.ingest import fetch_area_scene
from plumewatch.settings import Settings
from plumewatch.tables import PIXELS, PLUMES
from pyproj import Transformer
from scene_catalogue import SceneCatalogue, scene_catalogue
from sentinel2_scenes import write_raster
from shapely.geometry import mapping

SIZE, EPSG = 120, 32640
WEST, NORTH = 254_985.0 + 30.0, 4_264_995.0 + 30.0 * 3  # edges lie at 15 m beside multiples of 30 m
PLUME = PlantedPlume(12_000.0, 70.0, 35.0, 3.0, 1.5)
TO_LONLAT = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)
CLOUD_AT = np.s_[3:6, 100:104]


@dataclass(frozen=True)
class Served:
    """What the catalogue has, and where it went."""

    settings: Settings
    area: Area
    grid: Grid
    simulated: SimulatedArea
    days: list[str]
    folder: Path


def _outline() -> Any:
    """All cells' centres, and not quite their edges."""
    x, y = (WEST + 5.0, WEST + SIZE * SIZE_M - 5.0), (NORTH - SIZE * SIZE_M + 5.0, NORTH - 5.0)
    return shapely.Polygon([TO_LONLAT.transform(*c) for c in ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))])


def _add(catalogue: SceneCatalogue, folder: Path, simulated: SimulatedArea) -> list[str]:
    """Add a scene for each pass, one of Landsat 7, and one of the neighbouring path; return the days."""
    days = []
    for one in simulated.passes:
        day, unit = f"{one.observed_at_utc:%Y-%m-%d}", int(one.platform[-1])
        mask = np.where(one.is_usable, CLEAR, CLOUD).astype(np.uint16)
        mask[CLOUD_AT] = CLOUD
        arrays = {"B11": landsat_numbers(one.b11), "B12": landsat_numbers(one.b12), "QA_PIXEL": mask}
        name = scene_id(day, unit)
        for band, array in arrays.items():
            nodata = 1 if band == "QA_PIXEL" else 0
            path = write_raster(
                folder / name / f"{band}.tif", array, west=WEST, north=NORTH, size_m=SIZE_M, epsg=EPSG, nodata=nodata
            )
            catalogue.rasters[f"{name}/{band}"] = Path(path).read_bytes()
        hrefs = {band: f"assets/{name}/{band}.tif" for band in arrays}
        catalogue.scenes[name] = landsat_item(hrefs, day, unit, **{"view:sun_elevation": elevation_deg(one)})
        days.append(day)
    older = landsat_item({}, days[-1], **{"platform": "landsat-7"})
    catalogue.scenes["LE07"] = {**older, "id": "LE07_L2SP_163033_20250901_02_T1"}
    return days


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All scenes of the catalogue, fetched as the daily ingest does."""
    folder = tmp_path_factory.mktemp("landsat")
    simulated = simulate_area(
        77, size=SIZE, n_references=3, platform="landsat-9", plumes=(PLUME,), clouds=False, reference_plume_share=0.0
    )
    with scene_catalogue() as catalogue:
        days = _add(catalogue, folder / "catalogue", simulated)
        properties = {"name": "field", "collection": "landsat-c2-l2", "stac_api": catalogue.url, "crs": f"EPSG:{EPSG}"}
        feature = {"type": "Feature", "properties": properties, "geometry": mapping(_outline())}
        file = folder / "areas" / "field.geojson"
        file.parent.mkdir()
        file.write_text(json.dumps(feature))
        settings = Settings(storage_root=str(folder / "storage"), areas=str(file.parent))
        for day in days:
            found = search_day(settings, day, [])
            assert not found.failed and [scene.scene_id for scene in found.scenes] == [scene_id(day, unit_of(found))]
            for scene in found.scenes:
                assert fetch_area_scene(settings, "field", scene.item_href).written == 1
        [area] = read_areas(str(file.parent))
        yield Served(settings, area, grid_of(area), simulated, days, folder)


def elevation_deg(one: Pass) -> float:
    """How high the sun stands for a pass that looks straight down."""
    return round(90.0 - float(np.degrees(np.arccos(1.0 / (one.air_mass_factor - 1.0)))), 6)


def unit_of(found: Any) -> int:
    return int(found.scenes[0].scene_id[3])


def test_pixels_are_stacked_unresampled_on_a_grid_of_30_m(served: Served) -> None:
    grid = served.grid
    assert (grid.resolution_m, grid.west % 30, grid.north % 30) == (30.0, 15.0, 15.0)
    row, col = round((grid.north - NORTH) / SIZE_M), round((WEST - grid.west) / SIZE_M)
    assert row >= 0 and col >= 0  # the grid has the bounds of the area in degrees
    shown = np.s_[row : row + SIZE, col : col + SIZE]
    day, one = served.days[-1], served.simulated.passes[-1]
    folder = served.folder / "storage/scenes/area=field" / f"date={day}"
    with rasterio.open(folder / f"{scene_id(day, 9)}.tif") as stored:
        assert (stored.descriptions, stored.scales, stored.nodata) == (("B11", "B12"), (1e-4, 1e-4), 0)
        for band, number in (("b11", 1), ("b12", 2)):
            expected = np.rint(landsat_numbers(getattr(one, band)) * 0.275 - 2000)  # x 10000
            np.testing.assert_array_equal(stored.read(number)[shown], expected)
    with rasterio.open(folder / f"{scene_id(day, 9)}_scl.tif") as stored:
        classes = np.full((SIZE, SIZE), 7)
        classes[CLOUD_AT] = 9
        found = stored.read(1)
        np.testing.assert_array_equal(found[shown], classes)
        assert np.count_nonzero(found) == SIZE * SIZE  # beyond the scene there is no data


def test_the_item_says_what_it_was_made_of(served: Served) -> None:
    day = served.days[-1]
    path = served.folder / "storage/scenes/area=field" / f"date={day}" / f"{scene_id(day, 9)}.json"
    item = pystac.Item.from_file(str(path))
    said = item.properties
    assert (said["platform"], said["constellation"], said["instruments"]) == ("landsat-9", "landsat", ["oli", "tirs"])
    assert (said["sat:relative_orbit"], said["landsat:wrs_row"], said["gsd"]) == (163, "033", 30.0)
    assert said["plumewatch:classification"].startswith("QA_PIXEL translated: fill 0, cloud 9")
    assert said["plumewatch:reflectance"]["kind"].startswith("L2 surface reflectance")
    assert (said["view:sun_elevation"], said["plumewatch:source_pixel_m"]) == (
        elevation_deg(served.simulated.passes[-1]), {"B11": 30.0, "B12": 30.0},
    )  # fmt: skip
    bands = item.assets["data"].extra_fields["eo:bands"]
    assert [(b["name"], b["common_name"], b["plumewatch:source_band"]) for b in bands] == [
        ("B11", "swir16", "6"), ("B12", "swir22", "7"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def pixels(served: Served, spark: object) -> str:
    job = load_job("rasters_to_pixels")
    root = str(served.folder / "storage" / "pixels")
    argv = ["--scenes-path", served.settings.table_root("scenes"), "--pixels-path", root]
    result = job.run(job.parse_arguments([*argv, "--areas-path", served.settings.areas or ""]))
    assert (result.rows_written, result.failed) == (4 * SIZE * SIZE, 0)
    return root


def test_a_planted_plume_is_found_with_its_rate(
    served: Served, pixels: str, store_wind: Callable, tmp_path: Path
) -> None:
    day = served.days[-1]
    rows = storage.read_table(PIXELS, f"{pixels}/area=field/date={day}")
    first = rows.slice(0, 1).to_pylist()[0]
    assert (first["platform"], first["relative_orbit"], first["pixel_size_m"]) == ("landsat-9", 163, 30.0)
    assert (first["view_zenith_deg"], first["epsg"]) == (0.0, EPSG)
    assert first["solar_zenith_deg"] == pytest.approx(90.0 - elevation_deg(served.simulated.passes[-1]), abs=1e-4)
    near_cloud = sum(not clear for clear in rows["is_clear"].to_pylist())
    assert near_cloud == 44  # 3 x 4 pixels, and what is within 60 m of them
    wind = store_wind(str(tmp_path), day, PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    task = AreaDates(
        "field", (day,), pixels, f"{tmp_path}/plumes", MULTI_PASS, wind, None, None, ForestSettings()
    )  # fmt: skip
    [report] = detect_area_dates(task)
    assert json.loads(report["failures"]) == []
    found = storage.read_table(PLUMES, f"{tmp_path}/plumes").to_pylist()
    [plume] = [row for row in found if row["status"] == "accepted"]
    source = TO_LONLAT.transform(WEST + (PLUME.col + 0.5) * SIZE_M, NORTH - (PLUME.row + 0.5) * SIZE_M)
    assert abs(plume["longitude"] - source[0]) < 0.005 and abs(plume["latitude"] - source[1]) < 0.005
    assert plume["emission_kg_h_low"] < PLUME.emission_kg_h < plume["emission_kg_h_high"]
    references = [scene_id(d, int(p.platform[-1])) for d, p in zip(served.days, served.simulated.passes, strict=True)]
    assert sorted(plume["reference_scene_ids"]) == sorted(references[:-1])
