"""Files of zones: each odd one has its outcome, by name."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import geopandas
import h3
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from known_zones import write_zones
from plumewatch.errors import InputError, ParameterError
from plumewatch.zones.hexagons import hexagons_over
from plumewatch.zones.zone import sort_key
from plumewatch.zones.zone_files import list_zone_files, read_zones, require_own_name, those_from, with_options

BOW_TIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def refuse(where: str, error: InputError) -> None:
    raise AssertionError(f"{where}: {error}")


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "shp"])
def test_each_format_gives_its_zones_in_the_order_of_their_numbers(tmp_path: Path, ending: str) -> None:
    crs = 4326 if ending == "geojson" else 32640
    shapes = {n: shapely.box(n, 0, n + 1, 1) for n in (10, 9, 2)}
    zones = read_zones(str(write_zones(tmp_path / f"fields.{ending}", shapes, crs=crs)), None, "zone", refuse)
    assert [zone.zone_id for zone in zones.zones] == ["2", "9", "10"]
    assert zones.name == "fields" and zones.crs.to_epsg() == crs
    numbered = read_zones(str(tmp_path / f"fields.{ending}"), None, None, refuse)
    assert [zone.zone_id for zone in numbered.zones] == ["1", "2", "3"]


def test_odd_zones_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    circle = shapely.Point(0, 0).buffer(9).segmentize(0.0005)
    shapes = {
        "bow": BOW_TIE, "empty": shapely.Polygon(), "line": shapely.LineString([(0, 0), (1, 1)]), "round": circle,
        "many": shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 3, 4, 4)]), "point": shapely.Point(1, 1),
        "hole": shapely.box(0, 0, 9, 9).difference(shapely.box(3, 3, 4, 4)), None: shapely.box(0, 0, 1, 1),
        "flat": shapely.Polygon([(0, 0), (5, 5), (9, 9)]),
    }  # fmt: skip
    path = tmp_path / "odd.gpkg"
    frame = geopandas.GeoDataFrame(
        {"zone": [*shapes, "many"]}, geometry=[*shapes.values(), shapely.box(5, 5, 6, 6)], crs=32640
    )
    frame.to_file(path)
    refused: dict[str, str] = {}
    zones = read_zones(str(path), None, "zone", lambda where, error: refused.update({where: str(error)}))
    assert [zone.zone_id for zone in zones.zones] == ["bow", "hole", "many", "point", "round"]
    assert zones.mended == ("bow",) and zones.zones[0].shape.area == pytest.approx(2.0)
    assert len(shapely.get_coordinates(zones.zones[-1].shape)) > 100_000
    assert set(refused) == {"zone empty", "zone line", "zone many", "zone flat", "feature 8"}
    words = {"zone empty": "empty", "zone line": "LineString", "zone flat": "without area", "feature 8": "no id"}
    for where, word in words.items():
        assert str(path) in refused[where] and word in refused[where]
    assert "feature 10 has the id of feature 5; allowed: an id of its own for each feature in" in refused["zone many"]


def test_a_polygon_without_area_is_refused_and_a_part_without_any_holds_no_cell(tmp_path: Path) -> None:
    flat = shapely.Polygon([(0, 0), (4, 4), (8, 8), (0, 0)])
    shapes = {"flat": flat, "part": shapely.MultiPolygon([shapely.box(20, 20, 22, 22), flat])}
    refused: dict[str, str] = {}
    path = write_zones(tmp_path / "flat.gpkg", shapes)
    zones = read_zones(str(path), None, "zone", lambda where, error: refused.update({where: str(error)}))
    assert list(refused) == ["zone flat"] and "without area" in refused["zone flat"]
    [part] = zones.zones
    assert part.shape.geom_type == "Polygon" and part.shape.area == 4.0


def test_numbers_as_ids_keep_their_digits_and_their_order(tmp_path: Path) -> None:
    long = 2**53 + 1  # the first whole number that no 64-bit float is
    ids = pd.array([long, long - 1, None, 5], dtype="Int64")
    boxes = [shapely.box(i, 0, i + 1, 1) for i in range(4)]
    path = tmp_path / "long.gpkg"
    geopandas.GeoDataFrame({"zone": ids, "number": [1e15, 1e22, 2.5, 7.0]}, geometry=boxes, crs=32640).to_file(path)
    refused: list[str] = []
    zones = read_zones(str(path), None, "zone", lambda where, error: refused.append(where))
    assert [zone.zone_id for zone in zones.zones] == ["5", str(long - 1), str(long)] and refused == ["feature 3"]
    told: dict[str, str] = {}
    floats = read_zones(str(path), None, "number", lambda where, error: told.update({where: str(error)}))
    assert {zone.zone_id for zone in floats.zones} == {"2.5", "7", "1" + 15 * "0"}
    assert (
        list(told) == ["zone 1" + 22 * "0"] and "last digits aren't known; allowed: text" in told["zone 1" + 22 * "0"]
    )
    assert sorted(["8" * 5000, "010", "9"], key=sort_key(["8" * 5000, "010", "9"])) == ["9", "010", "8" * 5000]


def write_geojson(path: Path, *features: Any) -> str:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def feature(west: float, properties: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    box = shapely.geometry.mapping(shapely.box(west, 0, west + 1, 1))
    return {"type": "Feature", "properties": properties, "geometry": box, **more}


def read_geojson(path: Path, *features: Any) -> tuple[dict[str, float], dict[str, str]]:
    """Ids and western edges of a file's zones, and what is refused."""
    refused: dict[str, str] = {}
    file = write_geojson(path, *features)
    zones = read_zones(file, None, None, lambda where, error: refused.update({where: str(error)}))
    return {zone.zone_id: zone.shape.bounds[0] for zone in zones.zones}, refused


def test_zones_keep_their_ids_where_one_is_missing_or_doubled(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "fields.geojson"
    found = read_geojson(path, *(feature(west, {"zone_id": name}) for west, name in enumerate((3, 2, 2, None))))
    assert found[0] == {"3": 0.0, "2": 1.0} and list(found[1]) == ["zone 2", "feature 4"]
    assert (
        "feature 3 has the id of feature 2" in found[1]["zone 2"]
        and "in the column zone_id of" in found[1]["feature 4"]
    )
    found = read_geojson(path, feature(0, {"zone_id": "good"}), feature(1, None), None, "x", feature(4, {"zone_id": 7}))
    assert found[0] == {"good": 0.0, "7": 4.0}
    assert {where: error.split(": ")[-1] for where, error in found[1].items()} == {
        "feature 2": "an id in the column zone_id of each feature, or another column as zone_id_column",
        "feature 3": "a Feature", "feature 4": "a Feature",
    }  # fmt: skip
    caplog.clear()
    assert read_geojson(path, feature(0, {"ZONE_ID": 2, "id": 8}), feature(1, {"ZONE_ID": 1, "id": 9}))[0] == {
        "2": 0.0,
        "1": 1.0,
    }
    assert "fields.geojson: the ids of zones are those of its column ZONE_ID" in caplog.text


@pytest.mark.parametrize("ending", ["gpkg", "shp"])
def test_a_column_in_capitals_is_taken_and_an_empty_one_left_out(tmp_path: Path, ending: str, caplog: Any) -> None:
    path, boxes = tmp_path / f"fields.{ending}", [shapely.box(i, 0, i + 1, 1) for i in range(2)]
    rows = {"ID": pd.array([None, None], dtype="Int64"), "NAME": ["b", "a"]}
    geopandas.GeoDataFrame(rows, geometry=boxes, crs=32640).to_file(path)
    caplog.set_level("INFO")
    assert [zone.zone_id for zone in read_zones(str(path), None, None, refuse).zones] == ["a", "b"]
    assert "its column ID is empty throughout" in caplog.text and "those of its column NAME" in caplog.text
    assert [zone.zone_id for zone in read_zones(str(path), None, "name", refuse).zones] == ["a", "b"]
    geopandas.GeoDataFrame({"crop": ["b", "a"]}, geometry=boxes, crs=32640).to_file(path)
    assert [zone.zone_id for zone in read_zones(str(path), None, None, refuse).zones] == ["1", "2"]
    assert "without a column zone_id or id or name: zones are called by their number" in caplog.text


def test_ids_of_a_geojson_are_those_that_stand_there(tmp_path: Path) -> None:
    path, long = tmp_path / "fields.geojson", 12345678901234567890
    found, _ = read_geojson(
        path, feature(0, {"id": long}), feature(1, {"id": long + 1}), feature(2, {"id": "2020-01-01"})
    )
    assert found == {str(long): 0.0, str(long + 1): 1.0, "2020-01-01": 2.0}
    assert read_geojson(path, feature(0, {}, id=80), feature(1, {}, id=70))[0] == {"80": 0.0, "70": 1.0}
    found, refused = read_geojson(path, feature(0, {"id": 12345678901234567.0}), feature(1, {"id": 1}))
    assert found == {"1": 1.0} and "last digits aren't known" in refused["zone 12345678901234568"]
    found, refused = read_geojson(path, feature(0, {"id": [1]}), feature(1, {"id": 1}))
    assert found == {"1": 1.0} and "an id that is a list" in refused["zone [1]"]
    odd = {"type": "Point", "coordinates": "5,6"}  # of the properties: no geometry
    assert read_geojson(path, feature(0, {"zone_id": "b", **odd}), feature(1, {"zone_id": "a", **odd}))[0] == {
        "b": 0.0,
        "a": 1.0,
    }
    assert read_geojson(path, feature(0, {"id": None, "name": "n"}, id="u1"), feature(1, {"name": "m"}, id="u2"))[
        0
    ] == {"u1": 0.0, "u2": 1.0}


def test_a_column_that_says_the_same_of_all_zones_is_no_id(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "fields.geojson"
    same = [feature(west, {"Id": 0, "NAME": name}) for west, name in enumerate(("b", "a"))]
    assert read_geojson(path, *same)[0] == {"b": 0.0, "a": 1.0}
    assert "its column Id says 0 of all zones, and is left out" in caplog.text
    assert read_geojson(path, feature(3, {"Id": 0}))[0] == {"0": 3.0}
    esri = {
        "geometryType": "esriGeometryPoint", "spatialReference": {"wkid": 4326},
        "fields": [{"name": "ID", "type": "esriFieldTypeInteger"}],
        "features": [{"attributes": {"ID": 5}, "geometry": {"x": 1, "y": 2}}],
    }  # fmt: skip
    (tmp_path / "esri.json").write_text(json.dumps(esri))
    assert [zone.zone_id for zone in read_zones(str(tmp_path / "esri.json"), None, None, refuse).zones] == ["5"]


def test_long_ids_of_a_wide_column_of_a_shapefile_keep_their_digits_or_are_refused(tmp_path: Path) -> None:
    path, width = tmp_path / "fields.shp", 20
    boxes = [shapely.box(i, 0, i + 1, 1) for i in range(3)]
    geopandas.GeoDataFrame({"x": range(3)}, geometry=boxes, crs=32640).to_file(path)
    head = struct.pack("<BBBBIHH20x", 3, 124, 1, 1, 3, 65, 1 + width)  # dBase III: 3 rows, a column N(20, 0)
    column = b"zone_id".ljust(11, b"\0") + b"N" + b"\0" * 4 + bytes([width, 0]) + b"\0" * 14
    for ids, n_refused in ((range(12345678901234561, 12345678901234564), 0), ((10**19 + 1, 10**19 + 2, 5), 2)):
        rows = b"".join(b" " + str(one).encode().rjust(width) for one in ids)
        path.with_suffix(".dbf").write_bytes(head + column + b"\r" + rows + b"\x1a")
        refused: list[str] = []
        zones = read_zones(str(path), None, None, lambda where, error: refused.append(str(error)))  # noqa: B023
        assert [zone.zone_id for zone in zones.zones] == [str(one) for one in ids if one < 10**18]
        assert len(refused) == n_refused and all("last digits aren't known" in one for one in refused)


@pytest.mark.parametrize("name", ["fields (1)", "fields - Copy", "fields.bak", "copy of fields", "fields~", ".fields"])
def test_a_name_that_no_partition_can_have_is_refused_with_the_file(tmp_path: Path, name: str) -> None:
    path = write_zones(tmp_path / f"{name}.gpkg", {"a": shapely.box(0, 0, 1, 1)}, layer="l")
    with pytest.raises(
        InputError, match=re.escape(f"{name}.gpkg: zones that would be called '{name}'; allowed: a file")
    ):
        read_zones(str(path), None, None, refuse)
    two = write_zones(tmp_path / "two.gpkg", {"a": shapely.box(0, 0, 1, 1)}, layer="x (1)")
    write_zones(two, {"a": shapely.box(0, 0, 1, 1)}, layer="y")
    with pytest.raises(InputError, match=r"called 'two_x \(1\)'; allowed: a file and a layer"):
        read_zones(str(two), "x (1)", None, refuse)


def test_files_of_one_name_are_told_as_their_rows_would_replace_each_other(tmp_path: Path) -> None:
    for name in ("fields.gpkg", "fields.geojson", "parcels.gpkg"):
        write_zones(tmp_path / name, {"a": shapely.box(0, 0, 1, 1)}, crs=4326)
    told = {}
    for file in (one["zones_path"] for one in list_zone_files(str(tmp_path))):
        try:
            require_own_name(file)
        except InputError as error:
            told[Path(file).name] = str(error)
    assert set(told) == {"fields.gpkg", "fields.geojson"}
    write_zones(tmp_path / "parcels_north.gpkg", {"a": shapely.box(0, 0, 1, 1)}, crs=4326)
    with pytest.raises(InputError, match=r"parcels\.gpkg: the same name as .*parcels_north\.gpkg"):
        require_own_name(str(tmp_path / "parcels.gpkg"), "north")
    assert str(tmp_path / "fields.geojson") in told["fields.gpkg"] and "a name of its own" in told["fields.gpkg"]


def test_files_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    box = {"a": shapely.box(0, 0, 1, 1)}
    no_crs = tmp_path / "no_crs.shp"
    geopandas.GeoDataFrame({"zone": ["a"]}, geometry=[box["a"]]).to_file(no_crs)
    two = write_zones(tmp_path / "two.gpkg", box, layer="one")
    write_zones(two, box, layer="other")
    (tmp_path / "broken.gpkg").write_bytes(b"SQLite format 3\0 no more")
    table = tmp_path / "rows.gpkg"
    pyogrio.write_dataframe(pd.DataFrame({"zone": [1]}), table, layer="rows")
    cases = {
        (no_crs, None, None): "no coordinate reference system",
        (two, None, None): "2 layers.*one of them as layer .param of the DAG, of the job --layer.: one, other",
        (two, "third", None): "no layer third.*one, other",
        (two, "one", "name"): "no column name.*zone",
        (tmp_path / "broken.gpkg", None, None): "GeoPackage",
        (tmp_path / "absent.gpkg", None, None): "not readable",
        (table, None, None): "no layer with geometries",
        (tmp_path / "table.csv", None, None): "another ending",
    }
    for (file, layer, column), said in cases.items():
        with pytest.raises(InputError, match=said) as caught:
            read_zones(str(file), layer, column, refuse)
        assert file.name in str(caught.value)
    assert read_zones(str(two), "other", None, refuse).name == "two_other"


def test_hexagons_cover_an_outline_and_none_is_beside_it() -> None:
    outline = shapely.box(57.0, 24.0, 57.1, 24.1)
    zones = hexagons_over([outline], 8, 20.0)
    shapes = [zone.shape for zone in zones.zones]
    assert zones.name == "h3_8" and shapely.union_all(shapes).buffer(1e-9).contains(outline)
    assert all(shape.intersects(outline) for shape in shapes)
    for longitude, latitude in np.random.default_rng(1).uniform((57.0, 24.0), (57.1, 24.1), (50, 2)):
        [own] = [zone.zone_id for zone in zones.zones if zone.shape.contains(shapely.Point(longitude, latitude))]
        assert own == h3.latlng_to_cell(latitude, longitude, 8)


def test_hexagons_over_180_degrees_are_in_one_piece_and_too_small_or_many_are_refused() -> None:
    sides = [shapely.box(179.9, -17.0, 180.0, -16.9), shapely.box(-180.0, -17.0, -179.9, -16.9)]
    zones = hexagons_over(sides, 7, 20.0)
    assert all(zone.shape.bounds[2] - zone.shape.bounds[0] < 1.0 for zone in zones.zones)
    assert any(zone.shape.bounds[2] > 180.0 for zone in zones.zones)
    with pytest.raises(InputError, match=r"hexagons of.*larger than a cell"):
        hexagons_over(sides, 13, 20.0)
    with pytest.raises(InputError, match="at most 1000000"):
        hexagons_over([shapely.box(0, 0, 40, 40)], 9, 20.0)


def test_options_are_of_all_files_or_of_one(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = [{"zones_path": "z/a.gpkg"}, {"zones_path": "z/b.shp"}, {"h3_resolution": 8}]
    assert with_options(asked, {"layer": None, "zone_id_column": ""}) == asked
    found = with_options(asked, {"layer": "a:x:y", "zone_id_column": "c:d", "engine": "spark"})
    assert found == [
        asked[0] | {"layer": "x:y", "zone_id_column": "c:d"},
        asked[1] | {"zone_id_column": "c:d"},
        asked[2],
    ]


@pytest.mark.parametrize(
    "start_from, starts",
    [(None, {"a": None, "b": None, "h3": None}), ("b:7", {"b": "7", "h3": None}), ("h3_8:x", {"h3": "x"})],
)
def test_a_start_is_of_one_file_and_those_before_it_are_left(start_from: str | None, starts: dict[str, Any]) -> None:
    asked: list[dict[str, Any]] = [{"zones_path": "z/a.gpkg"}, {"zones_path": "z/b.shp"}, {"h3_resolution": 8}]
    found = those_from(asked, start_from)
    told = {Path(one.get("zones_path", "h3")).stem: one.get("start_from") for one in found}
    assert told == starts and those_from(asked[:1], "7") == [{"zones_path": "z/a.gpkg", "start_from": "7"}]
    for odd in ("7", "c:7"):
        with pytest.raises(ParameterError, match=rf"start_from {odd}: .* allowed: file:zone_id, .* a, b, h3_8"):
            those_from(asked, odd)
