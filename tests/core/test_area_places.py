"""Where an area lies on the earth: cells whose lengths are true and which the detection knows, on one side of 180."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import shapely
from plumewatch import areas
from plumewatch.areas import grid_of, read_areas
from plumewatch.errors import InputError
from plumewatch.models import Area, FailedScene
from pyproj import Geod, Transformer


def write(folder: Path, geometry: dict[str, Any] | None = None, **properties: Any) -> str:
    feature = {"type": "Feature", "properties": {"name": "a", **properties}, "geometry": geometry}
    (folder / "x.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return str(folder)


def read(folder: Path, geometry: dict[str, Any] | None = None, **properties: Any) -> Area:
    [area] = read_areas(write(folder, geometry, **properties))
    return area


@pytest.mark.parametrize(
    "bbox, width, height",
    [
        ([54.0, 38.4, 54.1, 38.5], 512, 512), ([6.2, 70.4, 6.5, 70.5], 512, 512), ([54.0, 38.4, 54.5, 38.5], 2000, 200),
        ([-70.0, -52.0, -69.0, -51.5], 1001, 1003), ([5.0, 0.0, 5.1, 0.1], 7, 9),
        ([24.0, 35.0, 24.2, 35.4], "640", 777.0), ([3.0, 10.0, 3.01, 10.01], 512, 512),
    ],
)  # fmt: skip
def test_so_many_pixels_are_the_most(tmp_path: Path, bbox: list[float], width: Any, height: Any) -> None:
    grid = grid_of(read(tmp_path, bbox=bbox, width_px=width, height_px=height, bands="red"))
    assert grid.width <= int(width) and grid.height <= int(height)
    assert grid.width >= 0.85 * int(width) or grid.height >= 0.85 * int(height)


def test_pixels_of_methane_are_not_made_finer_than_its_bands(tmp_path: Path) -> None:
    area = read(tmp_path, bbox=[54.0, 38.4, 54.05, 38.45], width_px=9000, height_px=9000)
    assert area.resolution_m == 20.0 and grid_of(area).width < 300


@pytest.mark.parametrize("size", [{"width_px": 512}, {"height_px": 5}, {"width_px": 0, "height_px": 5},
                                  {"width_px": 5.5, "height_px": 5}, {"width_px": "many", "height_px": 5}])  # fmt: skip
def test_a_size_in_pixels_that_says_nothing_is_refused(tmp_path: Path, size: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"width_px|height_px"):
        read(tmp_path, bbox=[54.0, 38.4, 54.1, 38.5], **size)


@pytest.mark.parametrize(
    "crs, west, south",
    [
        ("EPSG:3857", 5.0, 60.0), ("EPSG:3857", 54.0, 38.4), ("EPSG:3395", 54.0, 38.4), ("EPSG:6933", 54.0, 60.0),
        ("EPSG:3035", -5.0, 40.0), ("EPSG:3413", 54.0, 75.0), ("EPSG:2154", 25.0, 38.0), ("EPSG:32632", 54.0, 38.4),
        ("EPSG:2053", 29.0, -25.0), ("EPSG:8857", 100.0, 60.0), ("EPSG:2225", -122.0, 40.0), ("EPSG:4326", 54.0, 38.4),
    ],
)  # fmt: skip
def test_a_crs_whose_lengths_or_directions_are_not_true_is_refused(
    tmp_path: Path, crs: str, west: float, south: float
) -> None:
    with pytest.raises(InputError, match=r"x\.geojson: area 'a'.*(true to 2%|a projected CRS|a CRS made)"):
        read(tmp_path, crs=crs, bbox=[west, south, west + 0.1, south + 0.05])


@pytest.mark.parametrize(
    "crs, west, south",
    [
        ("EPSG:3857", 9.0, 2.0), ("EPSG:2154", 2.0, 48.0), ("epsg:27700", -1.0, 52.0), ("EPSG:2193", 175.0, -40.0),
        ("EPSG:32639", 54.0, 38.4), ("28992", 5.0, 52.0), (None, 20.8, 80.0), (None, 179.8, -17.0),
        (None, -180.0, 65.0),
    ],
)  # fmt: skip
def test_a_crs_whose_lengths_are_true_is_served(tmp_path: Path, crs: str | None, west: float, south: float) -> None:
    area = read(tmp_path, crs=crs, bbox=[west, south, west + 0.1, south + 0.05])
    project = Transformer.from_crs(4326, grid_of(area).epsg, always_xy=True).transform
    true_m2 = abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.segmentize(area.geometry, 0.001))[0])
    outline = shapely.transform(shapely.segmentize(area.geometry, 0.001), project, interleaved=False)
    assert outline.area == pytest.approx(true_m2, rel=0.04)


def ring(west: float, east: float, *height: float) -> list[list[float]]:
    corners = [[west, -17.0], [east, -17.0], [east, -16.9], [west, -16.9], [west, -17.0]]
    return [[*corner, *height] for corner in corners]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "MultiPolygon", "coordinates": [[ring(179.9, 180.0)], [ring(-180.0, -179.9)]]},
        {"type": "MultiPolygon", "coordinates": [[ring(178.0, 179.0)], [ring(-179.0, -178.0)]]},
        {"type": "Polygon", "coordinates": [ring(179.9, -179.9)]},
        {"type": "Polygon", "coordinates": [ring(179.9, 180.1)]},
        {"type": "Polygon", "coordinates": [ring(-180.1, -179.9)]},
        [179.9, -17, -179.9, -16.9],
        [179.9, -17, 180.1, -16.9],
        [179.5, -17, -179.5, -16],
        "179.5, -17, -179.5, -16",
        [-180.5, -17, -179.5, -16],
        [54.1, 38.4, 54.0, 38.5],
        [179.999, -17, -179.999, -16.999],
        [0, -17, 360, -16],
        {"type": "Polygon", "coordinates": [ring(-179.9, 179.9)]},
        {"type": "Polygon", "coordinates": [ring(179.9, -179.9)[::-1]]},
        {"type": "MultiPolygon", "coordinates": [[ring(179.9, 180.0)], [ring(180.0, 180.1)]]},
        {"type": "MultiPolygon", "coordinates": [[ring(-180.0, 179.9)], [ring(-180.0, -179.9)]]},
    ],
)
def test_areas_over_180_degrees_are_refused_by_that_name(tmp_path: Path, geometry: Any) -> None:
    with pytest.raises(InputError, match=r"x\.geojson: feature 1: .*over 180 degrees.*make two"):
        read(tmp_path, geometry) if isinstance(geometry, dict) else read(tmp_path, bbox=geometry)


@pytest.mark.parametrize("west, east", [(179.9, 180), (-180, -179.9), (180, 180.1), (250, 250.1), (-190.1, -190)])
def test_one_side_of_180_degrees_is_served_however_it_is_counted(tmp_path: Path, west: float, east: float) -> None:
    area = read(tmp_path, {"type": "Polygon", "coordinates": [ring(west, east, 12.0)]})
    bounds = area.geometry.bounds
    assert not area.geometry.has_z and -180 <= bounds[0] < bounds[2] <= 180
    assert (bounds[0] - west) % 360.0 == pytest.approx(0.0, abs=1e-9) and 500 < grid_of(area).width < 600


@pytest.mark.parametrize(
    ("geometry", "west"),
    [
        ([179.9, -17, -180, -16.9], 179.9), ([180, -17, -179.9, -16.9], -180.0), ("180, -17, -179.9, -16.9", -180.0),
        ([180.0, -17, 180.1, -16.9], -180.0), ([-180.1, -17, -180, -16.9], 179.9),
        ({"type": "Polygon", "coordinates": [ring(179.9, -180.0)]}, 179.9),
        ({"type": "Polygon", "coordinates": [ring(-180.0, 179.9)]}, 179.9),
        ({"type": "Polygon", "coordinates": [ring(180.0, -179.9)]}, -180.0),
        ({"type": "MultiPolygon", "coordinates": [[ring(179.9, 179.95)], [ring(179.95, -180.0)]]}, 179.9),
    ],
)  # fmt: skip
def test_an_area_that_ends_at_180_degrees_is_served_whichever_sign_they_have(
    tmp_path: Path, geometry: Any, west: float
) -> None:
    area = read(tmp_path, bbox=geometry) if not isinstance(geometry, dict) else read(tmp_path, geometry)
    assert area.geometry.bounds == pytest.approx((west, -17.0, west + 0.1, -16.9)) and area.geometry.is_valid
    assert 500 < grid_of(area).width < 600


@pytest.mark.parametrize("size", [10, 5, 15, 19.5, 80, 250])
def test_cells_that_the_detection_is_not_tuned_for_are_refused_where_methane_is_looked_for(
    tmp_path: Path, size: float
) -> None:
    bbox = [54.0, 38.4, 54.1, 38.5]
    with pytest.raises(InputError, match=rf"cells of {size} m .*allowed: 19\.9 to 60 m"):
        read(tmp_path, bbox=bbox, resolution_m=size)
    assert read(tmp_path, bbox=bbox, resolution_m=size, bands="red,nir").resolution_m == size


WEST, NORTH = 500_040.0, 2_700_000.0  # a corner of cells of 20 m and of 60 m, in zone 40


def square(metres_east: tuple[float, float], metres_south: tuple[float, float]) -> list[float]:
    to_degrees = Transformer.from_crs(32640, 4326, always_xy=True).transform
    lon, lat = to_degrees([WEST + m for m in metres_east], [NORTH - m for m in reversed(metres_south)])
    return [lon[0], lat[0], lon[1], lat[1]]


@pytest.mark.parametrize(
    "east, south, resolution",
    [
        ((1, 9), (1, 9), 20), ((1, 3), (1, 3), 20), ((12, 29), (1, 200), 20), ((1, 29), (1, 29), 60),
        ((11, 19), (11, 400), 20),
    ],
)  # fmt: skip
def test_an_area_without_the_centre_of_a_cell_is_refused(
    tmp_path: Path, east: tuple[float, float], south: tuple[float, float], resolution: float
) -> None:
    with pytest.raises(InputError, match="smaller than a pixel: no cell of"):
        read(tmp_path, bbox=square(east, south), resolution_m=resolution)
    wide = (east[0], east[1] + resolution), (south[0], south[1] + resolution)
    assert read(tmp_path, bbox=square(*wide), resolution_m=resolution)


@pytest.mark.parametrize(
    "geometry, found",
    [
        ({"type": "Polygon", "coordinates": [[[-180, -6], [180, -6], [180, 75], [-180, 75], [-180, -6]]]}, "over 180"),
        ({"type": "Polygon", "coordinates": [[[-180, 60], [180, 60], [180, 90], [-180, 90], [-180, 60]]]}, "over 180"),
        ({"type": "Polygon", "coordinates": [[[0, 38], [-179, 84], [180, 38], [-179, 84], [0, 38]]]}, "over 180"),
        ([-180, -90, 180, 90], "over 180"), ([1e308, 1e308, 1e308, 1e308], r"bounds \(1e\+308"),
        ([-1e308, -1e308, 1e308, 1e308], r"bounds \(-1e\+308"),
        ({"type": "Polygon", "coordinates": [[[1, 1], [1, 1], [1, 1], [1, 1]]]}, "not valid"),
    ],
)  # fmt: skip
def test_an_area_of_the_world_or_of_nothing_is_named_and_the_others_go_on(
    tmp_path: Path, geometry: Any, found: str
) -> None:
    write(tmp_path, geometry) if isinstance(geometry, dict) else write(tmp_path, bbox=geometry)
    (tmp_path / "good.geojson").write_text(json.dumps(shapely.geometry.mapping(shapely.box(54.1, 38.4, 54.2, 38.5))))
    failures: list[FailedScene] = []
    assert [area.name for area in read_areas(str(tmp_path), on_failure=failures.append)] == ["good"]
    [failure] = failures
    assert failure.area == "a" and re.search(rf"x\.geojson: feature 1: .*{found}", failure.message)


def test_what_a_library_makes_of_one_shape_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise shapely.errors.GEOSException("TopologyException: of a shape that nobody thought of")

    write(tmp_path, bbox=[54.1, 38.4, 54.2, 38.5])
    monkeypatch.setattr(areas, "read_geometry", odd)
    failures: list[FailedScene] = []
    assert read_areas(str(tmp_path), on_failure=failures.append) == []
    assert "x.geojson, feature 1: not readable (GEOSException: TopologyException" in failures[0].message
