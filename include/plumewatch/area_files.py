"""Files that users describe areas in: their features as GeoJSON objects, whatever the format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError, reading

JSON_SUFFIXES = (".geojson", ".json")
SUFFIXES = (*JSON_SUFFIXES, ".gpkg", ".shp")
BEGINNINGS = {".geojson": b"{", ".json": b"{", ".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a"}
"""How files begin (RFC 7946; SQLite's file format 1.3; ESRI Shapefile Technical Description 1998, file code 9994)."""
HEAD_BYTES = 256
DBASE_HEAD_BYTES = 32  # before the columns
SHAPEFILE_NAME_LENGTH = 10  # characters of a property's name, dBase III
BESIDE_SHAPEFILE = (".dbf", ".shx", ".prj", ".cpg")  # without which it has no properties, no order and no CRS
BESIDE_AREAS = (
    ".dbf", ".shx", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".shp.xml", ".qmd", ".qpj", ".fix", ".gpkg-wal",
    ".gpkg-shm", ".gpkg-journal", ".md", ".txt", ".js",
)  # fmt: skip
"""Endings of files that belong to others, or are for people: they need no word."""
PROPERTIES = (
    "name", "catalogue", "stac_api", "collection", "max_cloud_cover", "max_items", "bands", "crs", "resolution_m",
    "bbox", "width_px", "height_px", "clear_classes", "cloud_dilation_m", "cloud_mask", "max_cloud_probability",
    "evalscript", "note",
)  # fmt: skip
"""What a feature may say of its area; the note is for people, as JSON has no comments."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""What an area may be called: it becomes a folder."""
AREA_FILE = "a GeoJSON (FeatureCollection, Feature, Polygon or MultiPolygon), GeoPackage or Shapefile"
GEOMETRIES = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection",
)  # fmt: skip
WGS84 = re.compile(r"(?:.*[:/#])?(?:CRS84H?|4326|4979)")  # names of longitude and latitude, as older GeoJSON has them


def read_features(file: str) -> list[tuple[str, Any]]:
    """Return where each feature of a file stands (`feature 2`, `layer wells, feature 1`), and the feature.

    A feature is what a GeoJSON holds at that place, whatever it is; those of other formats are of GeoJSON's form, in
    WGS 84. Names of properties that a Shapefile cut off or wrote in capitals are completed.

    Raises InputError where the file cannot be read or has no features, ServiceError where a bucket doesn't deliver it.
    """
    with reading(file, AREA_FILE):
        if file.lower().endswith(JSON_SUFFIXES):
            features = geojson_features(file, json.loads(storage.read_bytes(file)))
        else:
            features = _vector_features(file)
    if not features:
        raise InputError(file, "no features", "one feature an area")
    return features


def check_kind(file: str, local: Path) -> None:
    """Raise InputError where a vector file (`local` is its content) isn't of the kind that its name says, or a
    Shapefile's table isn't that of its shapes.

    GDAL goes by the content, and some of its kinds (VRT, WFS ...) name other files and addresses, which it would read.
    """
    suffix = Path(file).suffix.lower()
    with local.open("rb") as content:
        beginning = content.read(HEAD_BYTES)
    if suffix in JSON_SUFFIXES:
        beginning = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not beginning.startswith(BEGINNINGS[suffix]):
        raise InputError(file, f"not readable as {suffix}, as it begins with {beginning[:16]!r}", AREA_FILE)
    if suffix == ".shp":
        _check_table(file, local)


def _check_table(file: str, local: Path) -> None:
    """Refuse a Shapefile whose table has other rows than there are shapes: GDAL reads as many as both have.

    Numbers of both are in the heads (ESRI Shapefile Technical Description 1998: of .shx the length in words of 2 bytes,
    100 bytes of head, 8 bytes a shape; dBase III: bytes 4 to 7). A Shapefile without a table has no properties.
    """
    stem, names = local.name[: -len(local.suffix)], {one.name for one in local.parent.glob("*")}
    table, index = (
        next((local.with_name(stem + end) for end in ends if stem + end in names), None)
        for ends in ((".dbf", ".DBF"), (".shx", ".SHX"))
    )
    if table is None or index is None:  # without .shx nothing is read, and GDAL says so
        return
    of_index, of_table = (_head(file) for file in (index, table))
    n_shapes = (2 * int.from_bytes(of_index[24:28], "big") - 100) // 8
    if len(of_table) < DBASE_HEAD_BYTES:
        raise InputError(file, f"{table.name} of {len(of_table)} bytes", "a whole table beside the .shp, or none")
    if (n_rows := int.from_bytes(of_table[4:8], "little")) != n_shapes:
        raise InputError(file, f"{n_shapes} shapes, and {table.name} with {n_rows} rows", "a table with a row a shape")


def _head(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(HEAD_BYTES)


def name_of(file: str, properties: Mapping[str, Any]) -> str:
    """Return what the area of a feature is called: its own name, or else the file's; whether NAME allows it or not.

    >>> name_of("areas/wells.geojson", {"name": 7}), name_of("areas/wells.geojson", {"name": None})
    ('7', 'wells')
    """
    return str(properties.get("name") or Path(file).stem)


def unread_files(path: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder that are no area files, though they may be meant to be, and why they aren't read."""
    for file in storage.visible_files(path):
        name = file.lower().rsplit("/", 1)[-1]
        if not name.endswith((*SUFFIXES, *BESIDE_AREAS)):
            yield file, f"a file of another ending; read are {', '.join(SUFFIXES)}"


def geojson_features(file: str, content: Any) -> list[tuple[str, Any]]:
    """Return the features of a FeatureCollection, a Feature, or a bare geometry, as `read_features` does.

    Raises InputError where the content is none of them, or in another CRS than WGS 84.
    """
    if not isinstance(content, dict):
        raise InputError(file, f"JSON that is a {type(content).__name__}", AREA_FILE)
    _check_crs(file, content)
    if content.get("type") in GEOMETRIES or "coordinates" in content:
        content = {"geometry": content}
    features = content.get("features", [content])
    if not isinstance(features, list):
        raise InputError(file, f"features that are a {type(features).__name__}", "a list of features")
    return [(f"feature {number}", feature) for number, feature in enumerate(features, 1)]


def _check_crs(file: str, content: dict[str, Any]) -> None:
    """Refuse what an older GeoJSON says of another CRS: RFC 7946 knows longitude and latitude only."""
    if content.get("crs") is None:
        return
    crs = content["crs"]
    name = str(crs.get("properties", {}).get("name")) if isinstance(crs, dict) else str(crs)
    if not WGS84.fullmatch(name.upper()):
        raise InputError(file, f"crs {name!r}", "longitude and latitude in WGS 84 (RFC 7946), without a crs")


def _vector_features(file: str) -> list[tuple[str, Any]]:
    import pyogrio

    with storage.local_copy(file, beside=BESIDE_SHAPEFILE if file.lower().endswith(".shp") else ()) as local:
        check_kind(file, local)
        layers = pyogrio.list_layers(local)
        spatial = [str(name) for name, kind in layers if kind is not None]
        found = []
        for layer in spatial:
            where = f"layer {layer}, " if len(spatial) > 1 else ""
            features = _layer_features(file, local, layer)
            found += [(f"{where}feature {number}", feature) for number, feature in enumerate(features, 1)]
    return found


def _layer_features(file: str, local: Path, layer: str) -> list[dict[str, Any]]:
    import geopandas
    from shapely.geometry import mapping

    frame = geopandas.read_file(local, layer=layer)
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.crs is None:
        raise InputError(file, f"layer {layer}: no coordinate reference system", "a file that states its CRS")
    shapes = frame.geometry.to_crs(4326)
    rows = frame.drop(columns=frame.geometry.name).to_dict("records") or [{} for _ in shapes]  # without columns: none
    return [
        {
            "geometry": None if shape is None else mapping(shape),
            "properties": {full_name(file, str(name)): _plain(value) for name, value in row.items()},
        }
        for shape, row in zip(shapes, rows, strict=True)
    ]


def full_name(file: str, name: str) -> str:
    """Return the property that a column stands for: a Shapefile's has ten characters at most, often capitals.

    >>> full_name("wells.shp", "MAX_CLOUD_"), full_name("wells.gpkg", "NAME")
    ('max_cloud_cover', 'NAME')
    """
    if not file.lower().endswith(".shp"):
        return name
    cut = {
        known[:SHAPEFILE_NAME_LENGTH]: known for known in reversed(PROPERTIES)
    }  # of two that are cut alike the first
    return cut.get(name.lower(), name)


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it: None for what is missing, numpy's numbers as Python's, else as text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list | tuple | dict | str | bool | int):
        return value
    if isinstance(value, float):
        return None if value != value else value
    return None if value is None or str(value) in ("NaT", "<NA>") else str(value)
