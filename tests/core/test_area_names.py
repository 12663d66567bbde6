"""Names of areas at a glance are those of the areas that a run reads; whatever a folder holds, nothing is raised."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pyogrio
import pytest
from plumewatch.area_names import MAX_BYTES, AreaNames, read_area_names
from plumewatch.areas import read_areas
from shapely.geometry import box, mapping

N_MUTATIONS = 200


def feature(**properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": mapping(box(54, 38, 54.1, 38.1))}


def collection(*features: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def frame(*names: Any, column: str = "name") -> geopandas.GeoDataFrame:
    places = [box(54 + n, 38, 54.1 + n, 38.1) for n in range(len(names))]
    return geopandas.GeoDataFrame({"size": 1.5, column: list(names), "max_items": 3}, geometry=places, crs=4326)


def layers(folder: Path) -> None:
    frame("one", "two").to_file(folder / "x.gpkg", layer="wells")
    frame("three").to_file(folder / "x.gpkg", layer="fl\"are's")
    pyogrio.write_dataframe(frame("none").drop(columns="geometry"), folder / "x.gpkg", layer="table")


def shapefile_of_capitals(folder: Path) -> None:
    frame("one", "two", column="NAME").to_file(folder / "x.shp")
    shutil.move(folder / "x.dbf", folder / "x.DBF")


def shapefile_without_a_row(folder: Path) -> None:
    frame("one", "gone", "two").to_file(folder / "x.shp")
    content = bytearray((folder / "x.dbf").read_bytes())
    at = content.index(b"gone")
    row_begins = max(n for n in range(at) if (n - int.from_bytes(content[8:10], "little")) % content[10] == 0)
    content[row_begins : row_begins + 1] = b"*"
    (folder / "x.dbf").write_bytes(content)


def two_files(folder: Path) -> None:
    (folder / "a.geojson").write_text(collection(feature(name="one"), feature(name="two")))
    (folder / "b.json").write_text(collection(feature(name="two"), feature(name="three")))


def text(content: str, name: str = "x.geojson") -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(content)


KNOWN: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "a collection": (text(collection(feature(name="two"), feature(name="one"))), ["one", "two"]),
    "a feature": (text(json.dumps(feature(name="one"))), ["one"]),
    "a geometry": (text(json.dumps(feature()["geometry"]), "my_field.json"), ["my_field"]),
    "no name": (text(collection(feature(name=None))), ["x"]),
    "a number": (text(collection(feature(name=7))), ["7"]),
    "a name that is no folder": (text(collection(feature(name="one"), feature(name="a/b"))), ["one"]),
    "things that are none": (text(collection(None, 3, feature(name="one"), {"properties": [1]})), ["one"]),
    "a name twice": (two_files, ["one", "three"]),
    "below folders": (lambda f: ((f / "a" / "b").mkdir(parents=True), two_files(f / "a" / "b")), ["one", "three"]),
    "layers of a GeoPackage": (layers, ["one", "three", "two"]),
    "a GeoPackage without names": (lambda f: frame("one", column="title").to_file(f / "my.gpkg"), ["my"]),
    "a GeoPackage of numbers": (lambda f: frame(5, 6).to_file(f / "x.gpkg"), ["5", "6"]),
    "a Shapefile": (lambda f: frame("one", "two").to_file(f / "x.shp"), ["one", "two"]),
    "a Shapefile in capitals": (shapefile_of_capitals, ["one", "two"]),
    "a Shapefile without names": (lambda f: frame("one", column="title").to_file(f / "my[1].shp"), []),
    "a Shapefile of which a row is deleted": (shapefile_without_a_row, ["one", "two"]),
    "nothing": (lambda f: None, []),
}


@pytest.mark.parametrize(("fill", "names"), KNOWN.values(), ids=KNOWN)
def test_the_names_are_those_of_the_areas_that_a_run_reads(
    fill: Callable[[Path], Any], names: list[str], tmp_path: Path
) -> None:
    fill(tmp_path)
    assert list(read_area_names(str(tmp_path)).names) == names
    assert [area.name for area in read_areas(str(tmp_path), on_failure=lambda _: None)] == names


@pytest.mark.parametrize(
    "content",
    ["", "<html>", "[1]", "12", '{"type": "FeatureCollection", "features": 3}', "[" * 100_000, collection()[:-4],
     collection(feature(name="a/b")), '{"features": [], "crs": {"properties": {"name": "EPSG:3857"}}}', "\ud800"],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
@pytest.mark.parametrize("ending", ["geojson", "gpkg", "shp"])
def test_a_file_that_cannot_be_read_is_named_and_the_others_are_known(
    content: str, ending: str, tmp_path: Path
) -> None:
    bad = tmp_path / f"bad.{ending}"
    bad.write_text(content, errors="surrogatepass")
    bad.with_suffix(".dbf").write_text(content[:50], errors="surrogatepass")
    text(collection(feature(name="good")))(tmp_path)
    assert read_area_names(str(tmp_path)) == AreaNames(("good",), (str(bad),), ())


@pytest.mark.parametrize("ending", ["geojson", "gpkg", "shp"])
def test_whatever_bytes_a_file_has_it_is_read_or_named(ending: str, tmp_path: Path) -> None:
    frame("one", "two").to_file(tmp_path / f"x.{ending}")
    target = tmp_path / ("x.dbf" if ending == "shp" else f"x.{ending}")
    whole, chance = target.read_bytes(), random.Random(1)
    for _ in range(N_MUTATIONS):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(min(len(content), 2000))] = chance.randrange(256)
        target.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
        read_area_names(str(tmp_path))
    assert sorted(file.suffix for file in tmp_path.iterdir() if file.stem != "x") == []


def test_what_would_take_long_is_told_and_left(tmp_path: Path) -> None:
    (tmp_path / "large.geojson").write_bytes(b" " * (MAX_BYTES + 1))
    text(collection(feature(name="one")))(tmp_path)
    found = read_area_names(str(tmp_path), "s3://bucket/areas")  # sockets are refused here
    assert found == AreaNames(("one",), (), (f"{tmp_path}/large.geojson", "s3://bucket/areas"))


def test_a_folder_that_is_none_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_area_names(str(tmp_path / "none"), f"{tmp_path}/file").names == ()
    assert read_area_names("gs://bucket/areas", "s3a://x").unlisted == ("gs://bucket/areas", "s3a://x")


def test_names_of_geojson_are_read_without_the_readers_of_geometry(tmp_path: Path) -> None:
    text(collection(feature(name="one")))(tmp_path)
    script = (
        "import sys; from plumewatch.area_names import read_area_names; assert read_area_names(sys.argv[1]).names; "
        "print([m for m in ('geopandas', 'pandas', 'pyogrio', 'shapely', 's3fs', 'botocore') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
