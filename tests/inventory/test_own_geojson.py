"""A user's own sources as GeoJSON: the same as in CSV."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from inventory_files import own
from plumewatch.errors import InputError
from plumewatch.inventory.own_sources import read_own_lists, read_own_sources
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.tables import SOURCES

SAID = {"name": "Well 7", "kind": "oil_and_gas", "fuel": "natural gas", "gas": "ch4", "emission_t_y": 40000,
        "emission_t_y_sigma": 20000, "year": 2025}  # fmt: skip
POINT = {"type": "Point", "coordinates": [56.0, 22.0]}


def feature(geometry: Any = POINT, **said: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {**SAID, **said}}


def geojson(folder: Path, *features: Any, name: str = "own_sources.geojson", **more: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return str(folder / name)


def test_it_is_the_source_that_csv_says(tmp_path: Path) -> None:
    line = "Well 7,oil_and_gas,natural gas,ch4,40000,20000,2025,56.0,22.0"
    [from_csv] = read_own_sources(own(tmp_path, line)).to_pylist()
    [row] = read_own_sources(geojson(tmp_path, feature())).to_pylist()
    assert row == {**from_csv, "provenance": "own_sources.geojson"}
    both = read_own_lists([own(tmp_path, line), geojson(tmp_path, feature(year=2026, emission_t_y=1))])
    assert both["emission_t_y"].to_pylist() == [1.0] and "instead of own_sources.csv:2" in both["provenance"][0].as_py()


def test_places_with_heights_units_and_other_letters(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [56.0, 22.0, 12.0]}
    said = {"Emission_T_Y": 40, "Unit": "kt/yr", "emission_t_y_sigma": 20, "owner": "Someone"}
    one = feature(point, **said)
    del one["properties"]["emission_t_y"]
    [row] = read_own_sources(geojson(tmp_path, one)).to_pylist()
    assert (row["emission_t_y"], row["owner"], row["longitude"]) == (40000.0, "Someone", 56.0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (feature(emission_t_y=-1), "emission_t_y is '-1'"),
        (feature(emission_t_y=4e9), "emission_t_y is '4000000000.0'; allowed: less than the world emits"),
        (feature(emission_t_y="40,5"), "emission_t_y is '40,5'"),
        (feature(emission_t_y=None), "emission_t_y is ''"),
        (feature(kind="oil_well"), "kind is 'oil_well'"),
        (feature({"type": "Point", "coordinates": [22.0, 156.0]}), "latitude is '156.0'"),
        (
            feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}),
            "longitude is 'geometry Polygon'",
        ),
        (feature(None), "longitude is 'geometry none'"),
        ({"type": "Feature", "properties": SAID}, "longitude is 'geometry none'"),
        (feature("here"), "longitude is 'geometry here'"),
        (feature({"type": "Point"}), "longitude is 'geometry Point of nothing'"),
        (feature({"type": "Point", "coordinates": []}), "longitude is 'geometry Point of []'"),
        (feature({"type": "Point", "coordinates": [56.0]}), "longitude is 'geometry Point of [56.0]'"),
        (feature({"type": "Point", "coordinates": {"x": 56}}), "geometry Point of {'x': 56}"),
        (feature({"type": "Point", "coordinates": [None, 22.0]}), "longitude is ''"),
        (feature({"type": "Point", "coordinates": [[56.0, 22.0], [1, 1]]}), "longitude is '[56.0, 22.0]'"),
        (
            {"type": "Feature", "properties": None, "geometry": POINT},
            "a feature without properties; allowed: a GeoJSON",
        ),
        ({"type": "Feature", "properties": ["a"], "geometry": POINT}, "a feature without properties"),
        ({"type": "Feature", "geometry": POINT}, "a feature without properties"),
        ({}, "a feature without properties"),
        (None, "a feature without properties"),
        ("x", "a feature without properties"),
        (7, "a feature without properties"),
        (feature(unit="tons"), "unit is 'tons'"),
    ],
)
def test_a_bad_feature_is_named_by_its_number_and_the_good_go_through(tmp_path: Path, bad: Any, says: str) -> None:
    path = geojson(tmp_path, feature(), bad, feature(name="Other"))
    with pytest.raises(InputError, match=r"own_sources\.geojson:2: "):
        read_own_sources(path)
    failures: list[Any] = []
    assert sorted(read_own_sources(path, failures.append)["name"].to_pylist()) == ["Other", "Well 7"]
    assert [f.scene_id for f in failures] == ["own_sources.geojson:2"] and re.search(
        re.escape(says), failures[0].message
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not readable"),
        (b"<html>", "not readable"),
        ('{"type": "FeatureCollection", "features": [{"name": "é"}]}'.encode("latin-1"), "not readable"),
        (b"[]", "not readable"),
        (b'{"type": "FeatureCollection"}', "not readable"),
        (json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": POINT,
                     "properties": {"name": "x"}}]}).encode(), "no feature with kind, fuel"),
        (json.dumps({"type": "FeatureCollection", "features": [feature()],
                     "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::32640"}}}).encode(), "CRS urn"),
    ],
)  # fmt: skip
def test_another_file_is_refused_with_its_name(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "own_sources.geojson").write_bytes(content)
    with pytest.raises(InputError, match=rf"own_sources\.geojson: {says}"):
        read_own_sources(str(tmp_path / "own_sources.geojson"))


def test_it_is_refreshed_beside_csv_and_may_be_empty(tmp_path: Path, storage_root: str) -> None:
    geojson(tmp_path, feature())
    own(tmp_path, "B,landfill,waste,ch4,5,1,2025,10,10")
    assert refresh_sources(str(tmp_path), storage_root).rows == {"own_sources": 2, "combined": 2}
    assert read_own_sources(geojson(tmp_path / "b")).equals(SOURCES.empty())
