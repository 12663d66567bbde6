"""What users keep in area files: every layer and property is used or named, and a bad file stops only itself."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pandas
import pyogrio
import pytest
from mutated_files import mutated
from plumewatch import storage
from plumewatch.area_files import unread_files
from plumewatch.areas import read_areas
from plumewatch.errors import InputError
from plumewatch.models import FailedScene
from plumewatch.settings import Settings
from plumewatch.zones.zone_files import read_zones
from shapely.geometry import GeometryCollection, Point, box, mapping

SQUARE = box(54, 38, 54.1, 38.1)
N_MUTATIONS = 200


def feature(name: str | None = "bad", geometry: Any = SQUARE, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"name": name, **properties}, "geometry": mapping(geometry)}


def collection(*features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


def frame(*names: str, **columns: Any) -> geopandas.GeoDataFrame:
    places = [box(54 + n, 38, 54.1 + n, 38.1) for n in range(len(names))]
    return geopandas.GeoDataFrame({"name": list(names), **columns}, geometry=places, crs=4326)


def in_windows_1252(folder: Path) -> None:
    frame("bad", operator=["Süd"]).to_file(folder / "x.shp", encoding="cp1252")
    (folder / "x.cpg").write_text("UTF-8")


def as_json(content: Any) -> Callable[[Path], Any]:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda folder: (folder / "x.geojson").write_text(text)


BAD = {
    "a null feature": as_json(collection(None)),
    "a feature that is a text": as_json(collection("bad")),
    "features that are an object": as_json({"type": "FeatureCollection", "features": {"0": feature()}}),
    "properties that are a list": as_json(collection({**feature(), "properties": [1]})),
    "a list": as_json([feature()]),
    "a number": as_json("12"),
    "nothing": as_json(""),
    "deeper than any geometry": as_json("[" * 100_000),
    "half a file": as_json(json.dumps(collection(feature()))[:-40]),
    "max_items of a part": as_json(collection(feature(max_items=2.5))),
    "max_items that is no number": as_json(collection(feature(max_items="two"))),
    "a cloud cover of NaN": as_json(collection(feature(max_cloud_cover="nan"))),
    "a place of NaN": as_json('{"type": "Polygon", "coordinates": [[[NaN, 1], [1, 1], [1, 2], [NaN, 1]]]}'),
    "a place of text": as_json('{"type": "Polygon", "coordinates": [[["a", 1], [1, 1], [1, 2], ["a", 1]]]}'),
    "another CRS": as_json(collection(feature(), crs={"properties": {"name": "urn:ogc:def:crs:EPSG::3857"}})),
    "a GeometryCollection": as_json(collection(feature(geometry=GeometryCollection([SQUARE, Point(1, 2)])))),
    "a bare GeometryCollection": as_json(dict(mapping(GeometryCollection([SQUARE])))),
    "a stac_api that is a number": as_json(collection(feature(stac_api=5))),
    "a Shapefile whose cpg is wrong": in_windows_1252,
    "a GeoPackage that is text": lambda folder: (folder / "x.gpkg").write_text("no GeoPackage"),
    "a Shapefile alone": lambda folder: (folder / "x.shp").write_bytes(b"\0\0\x27\x0a" + b"\0" * 96),
    "no CRS": lambda folder: frame("bad").set_crs(None, allow_override=True).to_file(folder / "x.shp"),
    "a link to what isn't there": lambda folder: (folder / "x.geojson").symlink_to(folder / "gone.geojson"),
}  # fmt: skip


def read(folder: Path) -> tuple[list[str], list[FailedScene]]:
    failures: list[FailedScene] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [area.name for area in read_areas(str(folder), on_failure=failures.append)], failures


@pytest.mark.parametrize("write", BAD.values(), ids=BAD)
def test_a_bad_file_is_named_and_the_others_go_on(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    (tmp_path / "good.geojson").write_text(json.dumps(collection(feature("good"))))
    write(tmp_path)
    names, failures = read(tmp_path)
    assert names == ["good"]
    (failure,) = failures
    assert failure.stage == "search" and "allowed: " in failure.message and not failure.is_retryable
    assert str(tmp_path / "x.") in failure.message
    with pytest.raises(InputError, match=r"x\.\w+: "):
        read_areas(str(tmp_path))


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT, errno.ENODEV])
def test_a_file_that_the_disk_does_not_give_may_be_given_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for name in ("good", "x"):
        (tmp_path / f"{name}.geojson").write_text(json.dumps(collection(feature(name))))
    read_bytes = storage.read_bytes

    def of_a_bad_disk(path: str) -> bytes:
        if path.endswith("x.geojson"):
            raise OSError(number, os.strerror(number), path)
        return read_bytes(path)

    monkeypatch.setattr(storage, "read_bytes", of_a_bad_disk)
    names, [failure] = read(tmp_path)
    assert names == ["good"] and failure.is_retryable and "x.geojson" in failure.message


GOOD = {
    "a date column": lambda folder: frame("a", edited=pandas.to_datetime(["2025-01-02"])).to_file(folder / "x.gpkg"),
    "a missing date": lambda folder: frame("a", edited=pandas.to_datetime([None])).to_file(folder / "x.gpkg"),
    "a missing number": lambda folder: frame("a", max_items=[float("nan")]).to_file(folder / "x.gpkg"),
    "a number as text": as_json(collection(feature("a", max_items="2.0"))),
    "a byte order mark": as_json("\ufeff" + json.dumps(collection(feature("a")))),
    "WGS 84 by name": as_json(collection(feature("a"), crs={"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}})),
    "a bare polygon": lambda folder: (folder / "a.json").write_text(json.dumps(mapping(SQUARE))),
    "truth and whole numbers": lambda folder: frame("a", seen=[True], n=[3]).to_file(folder / "x.gpkg"),
}


@pytest.mark.parametrize("write", GOOD.values(), ids=GOOD)
def test_what_people_have_is_read(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    write(tmp_path)
    assert read(tmp_path) == (["a"], [])


CRS_NAMES = {
    "urn:ogc:def:crs:OGC:1.3:CRS84": True, "urn:ogc:def:crs:OGC::CRS84h": True, "EPSG:4326": True,
    "urn:ogc:def:crs:EPSG::4979": True, "http://www.opengis.net/def/crs/EPSG/0/4326": True, "EPSG:14326": False,
    "urn:ogc:def:crs:EPSG::84326": False, "EPSG:4258": False, "EPSG:32640": False, "CRS27": False,
}  # fmt: skip


@pytest.mark.parametrize("name, is_read", CRS_NAMES.items())
def test_a_crs_that_an_older_file_names_is_wgs_84_or_refused(tmp_path: Path, name: str, is_read: bool) -> None:
    as_json(collection(feature("a"), crs={"type": "name", "properties": {"name": name}}))(tmp_path)
    names, failures = read(tmp_path)
    assert names == ["a"] * is_read and len(failures) == 1 - is_read
    assert is_read or f"crs {name!r}" in failures[0].message


def test_the_good_features_of_a_file_go_on(tmp_path: Path) -> None:
    features = feature("one"), feature("two", crs="EPSG:3857"), None, feature("four")
    as_json(collection(*features))(tmp_path)
    names, failures = read(tmp_path)
    assert names == ["four", "one"]
    assert [(f.area, f.scene_id) for f in failures] == [("two", "search"), (None, "x.geojson feature 3")]


def test_two_areas_of_one_name_are_both_left_out(tmp_path: Path) -> None:
    as_json(collection(feature("a"), feature("b"), feature("b")))(tmp_path)
    names, (failure,) = read(tmp_path)
    assert (names, failure.area) == (["a"], "b") and "area 'b' is also in" in failure.message


@pytest.mark.parametrize("layers", [("north", "south"), ("south", "north"), ("a", "b", "c"), ("x y", "z-1"), ("one",)])
def test_all_layers_of_a_geopackage_are_read(tmp_path: Path, layers: tuple[str, ...]) -> None:
    for number, layer in enumerate(layers):
        frame(f"area{number}").to_file(tmp_path / "x.gpkg", layer=layer)
    names, failures = read(tmp_path)
    assert names == [f"area{number}" for number in range(len(layers))] and not failures


def test_a_bad_layer_is_named_and_a_table_without_places_is_none(tmp_path: Path) -> None:
    frame("good").to_file(tmp_path / "x.gpkg", layer="first")
    frame("b ad").to_file(tmp_path / "x.gpkg", layer="second")
    pyogrio.write_dataframe(pandas.DataFrame({"name": ["c"]}), tmp_path / "x.gpkg", layer="table")
    names, (failure,) = read(tmp_path)
    assert names == ["good"] and "layer second, feature 1: name 'b ad'" in failure.message


def test_properties_that_a_shapefile_cut_are_understood(tmp_path: Path) -> None:
    cut = frame("a", max_cloud_=[40], resolution=[40.0], MAX_ITEMS=[2], Collection=["c"], owner=["me"])
    cut.rename(columns={"name": "NAME"}).to_file(tmp_path / "x.shp")
    [area] = read_areas(str(tmp_path))
    assert (area.name, area.max_cloud_cover, area.resolution_m) == ("a", 40.0, 40.0)
    assert (area.max_items, area.collection) == (2, "c")


@pytest.mark.parametrize("name", ["resolution", "Name2", "cloud_cover", "max_clouds", "resolutionM", "start"])
def test_unknown_properties_are_named(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    as_json(collection(feature("a", **{name: 10})))(tmp_path)
    assert read(tmp_path)[0] == ["a"]
    assert f"x.geojson: feature 1: not used: {name}; known: name, catalogue" in caplog.text


def test_the_areas_of_the_bundle_need_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert [area.name for area in read_areas(Settings("storage").area_folders[0])] == ["korpezhe"]
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["x.kml", "x.kmz", "x.gml", "x.fgb", "x.zip", "x.geojson.bak", "x.topojson", "X.KML"])
def test_files_that_are_not_read_are_named(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    for other in ("README.md", ".gitkeep", "x.dbf", "x.cpg", "mine.js"):
        (tmp_path / other).touch()
    (tmp_path / name).write_text("<kml/>")
    assert read(tmp_path) == ([], [])
    assert [Path(file).name for file, _ in unread_files(str(tmp_path))] == [name]
    assert f"{name}: a file of another ending; read are .geojson" in caplog.text


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    for name in ("linked", "behind"):
        (tmp_path / name).mkdir()
        as_json(collection(feature(name)))(tmp_path / name)
    areas = tmp_path / "areas"
    areas.mkdir()
    (areas / "folder").symlink_to(tmp_path / "behind")
    (areas / "file.geojson").symlink_to(tmp_path / "linked" / "x.geojson")
    names, failures = read(areas)
    assert sorted(names) == ["behind", "linked"] and not failures and not list(unread_files(str(areas)))


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
def test_whatever_bytes_a_file_has_its_errors_are_ours(tmp_path: Path, suffix: str) -> None:
    """Bytes changed, cut out and put in, of which some files are still good: 200 of each format."""
    (tmp_path / "source").mkdir()
    frame("a", "b", max_items=[1, 2], bands=["B11", "B12"]).to_file(tmp_path / "source" / f"x{suffix}")
    rng = random.Random(20)
    n_failed = 0
    for number in range(N_MUTATIONS):
        folder = tmp_path / "mutated"
        shutil.copytree(tmp_path / "source", folder)
        path = rng.choice(sorted(folder.iterdir()))
        path.write_bytes(mutated(path.read_bytes(), rng))
        names, failures = read(folder)
        assert names or failures, f"mutation {number} of {path.name} says nothing"
        assert all(str(folder) in failure.message and "allowed: " in failure.message for failure in failures)
        n_failed += bool(failures)
        shutil.rmtree(folder)
    assert n_failed > N_MUTATIONS / 10


@pytest.mark.parametrize("ending", [".shp", ".gpkg", ".geojson", ".SHP"])
def test_area_files_in_a_bucket_are_read_with_what_belongs_to_them(tmp_path: Path, s3_root: str, ending: str) -> None:
    frame("a", max_items=[2]).to_crs(32640).to_file(tmp_path / "x.shp")
    (frame("a", max_items=[2]) if "geo" in ending else frame("a", max_items=[2]).to_crs(32640)).to_file(
        tmp_path / f"y{ending.lower()}"
    )
    for path in tmp_path.glob("y.*"):
        name = path.name.upper() if ending.isupper() else path.name
        storage.write_bytes(f"{s3_root}/{name}", path.read_bytes())
    [area] = read_areas(s3_root)
    assert (area.name, area.max_items) == ("a", 2)
    assert area.geometry.bounds == pytest.approx(SQUARE.bounds, abs=0.01)


def cut_table(folder: Path, names: int) -> Path:
    """A Shapefile of three areas whose table has other rows."""
    frame("a", "b", "c").to_file(folder / "wells.shp")
    frame(*"abcde"[:names]).to_file(folder / "other.shp")
    (folder / "other.dbf").replace(folder / "wells.dbf")
    for left in folder.glob("other.*"):
        left.unlink()
    return folder / "wells.shp"


@pytest.mark.parametrize("n_rows", [1, 5])
def test_a_shapefile_whose_table_has_other_rows_is_refused_by_name(tmp_path: Path, n_rows: int) -> None:
    path = cut_table(tmp_path, n_rows)
    names, failures = read(tmp_path)
    assert names == [] and f"wells.shp: 3 shapes, and wells.dbf with {n_rows} rows" in failures[0].message
    with pytest.raises(InputError, match=f"3 shapes, and wells.dbf with {n_rows} rows"):
        read_zones(str(path), None, None, lambda where, error: None)
    path.with_suffix(".dbf").write_bytes(b"cut")
    assert "wells.dbf of 3 bytes" in read(tmp_path)[1][0].message


def test_a_shapefile_without_a_table_is_read_without_properties(tmp_path: Path) -> None:
    frame("a").to_file(tmp_path / "wells.shp")
    (tmp_path / "wells.dbf").unlink()
    assert read(tmp_path) == (["wells"], [])
