"""Areas of interest: what a user may write, and the grid that follows."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest
from plumewatch.areas import grid_of, read_areas, select_areas
from plumewatch.errors import ConfigurationError, InputError
from shapely.geometry import box


def write(folder: Path, properties: dict, geometry: dict | None = None, name: str = "x.geojson") -> str:
    if geometry is None and "bbox" not in properties:
        geometry = json.loads(json.dumps(box(54.0, 38.4, 54.1, 38.5).__geo_interface__))
    feature = {"type": "Feature", "properties": properties, "geometry": geometry}
    (folder / name).write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return str(folder)


def test_defaults_and_aliases(tmp_path: Path) -> None:
    [area] = read_areas(write(tmp_path, {"name": "korpezhe", "bands": ["swir16", "swir22", "red"]}))
    assert (area.name, area.bands, area.catalogue, area.resolution_m) == (
        "korpezhe",
        ("B11", "B12", "B04"),
        "stac",
        20.0,
    )


def test_the_grid_is_on_the_lattice_of_the_tiles_and_covers_the_area(tmp_path: Path) -> None:
    [area] = read_areas(write(tmp_path, {"name": "a"}))
    grid = grid_of(area)
    assert grid.epsg == 32640 and grid.west % 20 == 0 and grid.north % 20 == 0
    corners = geopandas.GeoSeries([area.geometry], crs=4326).to_crs(grid.epsg).total_bounds
    west, south, east, north = grid.bounds
    assert west <= corners[0] and south <= corners[1] and east >= corners[2] and north >= corners[3]
    assert east - corners[2] < 21 and corners[0] - west < 21


def test_a_bbox_with_a_size_in_pixels(tmp_path: Path) -> None:
    [area] = read_areas(
        write(tmp_path, {"name": "a", "bbox": [54.0, 38.4, 54.1, 38.5], "width_px": 500, "height_px": 500})
    )
    assert (
        20 < area.resolution_m < 24 and abs(grid_of(area).height - 500) <= 20
    )  # the zone's north is turned by half a degree here


@pytest.mark.parametrize("driver, name", [("GPKG", "areas.gpkg"), ("ESRI Shapefile", "areas.shp")])
def test_other_formats_and_crs(tmp_path: Path, driver: str, name: str) -> None:
    frame = geopandas.GeoDataFrame(
        {"name": ["a", "b"]}, geometry=[box(54, 38, 54.1, 38.1), box(5, 31, 5.1, 31.1)], crs=4326
    )
    frame.to_crs(3857).to_file(tmp_path / name, driver=driver)
    assert [round(a.geometry.centroid.x, 3) for a in read_areas(str(tmp_path))] == [54.05, 5.05]


@pytest.mark.parametrize(
    "properties, message",
    [
        ({"name": "../etc"}, "it becomes a folder"),
        ({"name": "a", "catalogue": "ftp"}, "stac or sentinel_hub"),
        ({"name": "a", "resolution_m": -1}, "metres between"),
        ({"name": "a", "max_cloud_cover": 130}, "percent from 0 to 100"),
        (
            {"name": "a", "max_cloud_cover": 0.4},
            "max_cloud_cover 0.4, less than one percent; allowed: percent",
        ),
        ({"name": "a", "max_cloud_probability": "0.4"}, "max_cloud_probability '0.4', less than one percent"),
        ({"name": "a", "stac_api": "ftp://host/v1"}, "stac_api 'ftp://host/v1': no http:// or https:// with a host"),
        ({"name": "a", "stac_api": "https://"}, "no http:// or https:// with a host"),
        ({"name": "a", "stac_api": "https://a host/v1"}, "a blank or a control character in it"),
        ({"name": "a", "stac_api": "https://host:99999/v1"}, "stac_api .*[Pp]ort"),
        ({"name": "a", "stac_api": "http://[::1/v1"}, "stac_api .*IPv6"),
        ({"name": "a", "bands": ["B99"]}, "B99"),
        ({"name": "a", "clear_classes": "4,12"}, "classes of the scene classification, 1 to 11"),
        ({"name": "a", "clear_classes": []}, "classes of the scene classification, 1 to 11"),
        ({"name": "a", "cloud_dilation_m": -20}, "metres from 0"),
        ({"name": "a", "max_cloud_probability": 101}, "max_cloud_probability 101; allowed: percent from 0 to 100"),
        ({"name": "a", "cloud_mask": "clp"}, "scl, s2cloudless, qa60"),
        ({"name": "a", "crs": "EPSG:4326"}, None),
        ({"name": "a", "max_items": 0}, "at least 1"),
        ({"name": "a", "bbox": [1, 2, 3]}, "west, south, east, north"),
    ],
)
def test_what_cannot_work_names_file_feature_and_what_is_allowed(
    tmp_path: Path, properties: dict, message: str | None
) -> None:
    folder = write(tmp_path, properties)
    with pytest.raises(InputError, match=message or "projected CRS in metres") as caught:
        grid_of(read_areas(folder)[0])
    assert "x.geojson" in str(caught.value)


def test_blanks_around_a_text_are_no_part_of_it(tmp_path: Path) -> None:
    [area] = read_areas(write(tmp_path, {"name": " a ", "stac_api": "\thttps://host/v1 \n", "collection": " c "}))
    assert (area.name, area.stac_api, area.collection) == ("a", "https://host/v1", "c")
    [area] = read_areas(write(tmp_path, {"name": "a", "stac_api": " ", "max_cloud_cover": 0}))
    assert area.stac_api is None and area.max_cloud_cover == 0


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[500000, 0], [500001, 1], [500001, 0], [500000, 0]]]},
        {"type": "Polygon", "coordinates": "nonsense"},
    ],
)
def test_geometries_that_cannot_work_are_refused(tmp_path: Path, geometry: dict) -> None:
    with pytest.raises(InputError, match=r"x\.geojson: feature 1"):
        read_areas(write(tmp_path, {"name": "a"}, geometry))


def test_a_broken_file_and_an_unknown_crs_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.gpkg").write_text("no GeoPackage")
    with pytest.raises(InputError, match=r"broken\.gpkg: not readable"):
        read_areas(str(tmp_path / "broken.gpkg"))
    with pytest.raises(InputError, match="an EPSG code that exists"):
        read_areas(write(tmp_path, {"name": "a", "crs": "EPSG:99999"}) + "/x.geojson")


def test_two_areas_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"name": "a"}, name="1.geojson")
    with pytest.raises(InputError, match="is also in"):
        read_areas(write(tmp_path, {"name": "a"}, name="2.geojson"))


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown area mars; known: a"):
        select_areas(read_areas(write(tmp_path, {"name": "a"})), ["mars"])


def test_a_real_multipolygon(real_data: Path) -> None:
    content = json.loads((real_data / "aoi" / "cies_islands.json").read_text())
    assert content
    [area] = read_areas(str(real_data / "aoi" / "cies_islands.json"))
    assert area.geometry.geom_type == "MultiPolygon" and grid_of(area).epsg == 32629
