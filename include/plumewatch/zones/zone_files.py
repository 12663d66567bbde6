"""Files that users describe zones in: polygons or points with an id, in whatever system the file states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from plumewatch import storage
from plumewatch.area_files import BESIDE_SHAPEFILE, JSON_SUFFIXES, check_kind
from plumewatch.errors import InputError, ParameterError, reading, some_of
from plumewatch.zones.zone import Zone, Zones, sort_key

SUFFIXES = (*JSON_SUFFIXES, ".gpkg", ".shp")
ZONE_FILE = "a GeoPackage, Shapefile or GeoJSON of polygons or points"
ID_COLUMNS = ("zone_id", "id", "name")
SHAPES = ("Polygon", "MultiPolygon", "Point", "MultiPoint")
MOST_NAMED = 10

Refused = Callable[[str, InputError], None]
"""Is told the name of a zone that can't be used, and why."""


def list_zone_files(folder: str) -> list[dict[str, str]]:
    """Return the zone files of a folder as arguments of the job: `zones_path`; no such folder has none."""
    return [{"zones_path": file} for file in _zone_files(folder)]


def those_from(asked: Sequence[dict[str, Any]], start_from: str | None) -> list[dict[str, Any]]:
    """Return the arguments of the job for what is `asked` (`zones_path` or `h3_resolution`) from a zone on.

    `start_from` is file:zone_id, the file's name without its ending; what stands before that file is left out, what
    stands after it is counted whole. Of one file the id alone will do. ParameterError for another form.
    """
    if not start_from:
        return list(asked)
    names = [Path(one["zones_path"]).stem if "zones_path" in one else f"h3_{one['h3_resolution']}" for one in asked]
    for place, name in enumerate(names):
        if start_from.startswith(f"{name}:"):
            return [{**asked[place], "start_from": start_from.removeprefix(f"{name}:")}, *asked[place + 1 :]]
    if len(asked) != 1:
        allowed = f"file:zone_id, the file one of {some_of(names, MOST_NAMED)}"
        raise ParameterError(f"start_from {start_from}: of none of {len(asked)} files of zones; allowed: {allowed}")
    return [{**asked[0], "start_from": start_from}]


def require_own_name(file: str) -> None:
    """Raise InputError where another zone file of its folder has the same name: both would be one partition."""
    for other in _zone_files(file.rpartition("/")[0]):
        if other != file and Path(other).stem == Path(file).stem:
            raise InputError(file, f"the same name as {other}, so that one's rows would replace the other's",
                             "a name of its own for each file of zones")  # fmt: skip


def _zone_files(folder: str) -> list[str]:
    if not storage.exists(folder):
        return []
    return [file for file in storage.visible_files(folder) if file.lower().endswith(SUFFIXES)]


def read_zones(file: str, layer: str | None, id_column: str | None, refused: Refused) -> Zones:
    """Return the zones of a file. Without `id_column` ids are in the first of the columns zone_id, id and name that
    tells all features apart, else they are the features' numbers, from 1.

    A polygon that crosses itself is made valid. Empty and missing geometries, lines, and features without an id or with
    that of another one are told to `refused`, and the others go on.

    Raises InputError where the file can't be read, has no coordinate system, several layers and no `layer`, no such
    layer or column, or no zone that can be used; ServiceError where a bucket doesn't deliver it.
    """
    import geopandas
    import pyogrio

    if not file.lower().endswith(SUFFIXES):
        raise InputError(file, "a file of another ending", ", ".join(SUFFIXES))
    beside = BESIDE_SHAPEFILE if file.lower().endswith(".shp") else ()
    with reading(file, ZONE_FILE), storage.local_copy(file, beside=beside) as local:
        check_kind(file, local)
        layers = [str(name) for name, kind in pyogrio.list_layers(local) if kind is not None]
        if not layers:
            raise InputError(file, "no layer with geometries", ZONE_FILE)
        if layer is not None and layer not in layers:
            raise InputError(file, f"no layer {layer}", some_of(layers, MOST_NAMED))
        if layer is None and len(layers) != 1:
            raise InputError(file, f"{len(layers)} layers", f"--layer, one of {some_of(layers, MOST_NAMED)}")
        frame = geopandas.read_file(local, layer=layer or layers[0])
        if not isinstance(frame, geopandas.GeoDataFrame) or frame.crs is None:
            raise InputError(file, "no coordinate reference system", "a file that states its CRS")
        column = _id_column(file, frame, id_column)
        values = range(1, len(frame) + 1) if column is None else frame[column].tolist()
        if column is not None and frame[column].dtype.kind == "f":  # whole numbers with a gap, rounded to 53 bits
            _, rows = pyogrio.read_arrow(local, layer=layer or layers[0], columns=[column], read_geometry=False)
            values = rows[column].to_pylist()
        ids = [_id(value) for value in values]
        is_on_earth = _is_on_earth(frame.geometry)
    stem = Path(file).stem
    told: list[InputError] = []

    def tell(where: str, error: InputError) -> None:
        told.append(error)
        refused(where, error)

    zones, mended = _usable(file, ids, list(frame.geometry), is_on_earth, tell)
    if not zones:
        found = f"; the first has {told[0].found}" if told else ""
        raise InputError(file, f"no usable zone among {len(ids)}{found}", "polygons or points")
    order = sort_key([zone.zone_id for zone in zones])
    name = stem if len(layers) == 1 or layer is None or layer == stem else f"{stem}_{layer}"
    return Zones(name, frame.crs, tuple(sorted(zones, key=lambda zone: order(zone.zone_id))), tuple(mended))


def _id_column(file: str, frame: Any, column: str | None) -> str | None:
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if column is None:
        return next((name for name in ID_COLUMNS if name in columns and _tells_apart(frame[name])), None)
    if column not in columns:
        raise InputError(file, f"no column {column}", some_of(columns, MOST_NAMED) if columns else "no id column")
    return column


def _tells_apart(values: Any) -> bool:
    return bool(values.notna().all() and values.is_unique)


def _id(value: Any) -> str | None:
    """An id as text: 7.0, which a column of numbers with a gap holds, is 7."""
    if value is None or value != value or not str(value).strip():
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _usable(
    file: str, ids: Sequence[str | None], shapes: Sequence[Any], is_on_earth: Sequence[bool], refused: Refused
) -> tuple[list[Zone], list[str]]:
    zones: list[Zone] = []
    seen: dict[str, int] = {}
    mended = []
    for number, (zone_id, shape, is_there) in enumerate(zip(ids, shapes, is_on_earth, strict=True), 1):
        where = f"feature {number}" if zone_id is None else f"zone {zone_id}"
        fault = _fault(shape, is_there) if zone_id is not None else ("no id", "an id in each feature")
        if zone_id in seen:
            fault = (f"feature {number} has the id of feature {seen[zone_id]}", "an id of its own for each feature")
        if fault or zone_id is None:
            assert fault is not None
            refused(where, InputError(f"{file}, {where}", *fault))
            continue
        seen[zone_id] = number
        shape = shapely.force_2d(shape)
        if not shape.is_valid:
            shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)
            if shape.is_empty:
                refused(where, InputError(f"{file}, {where}", "a polygon without area", "a polygon or a point"))
                continue
            mended.append(zone_id)
        zones.append(Zone(zone_id, shape))
    return zones, mended


def _is_on_earth(shapes: Any) -> list[bool]:
    """Whether all corners of each shape have a longitude and a latitude."""
    west, south, east, north = shapes.to_crs(4326).bounds.to_numpy().T
    is_there: list[bool] = ((west >= -360.0) & (east <= 360.0) & (south >= -90.0) & (north <= 90.0)).tolist()
    return is_there


def _fault(shape: Any, is_on_earth: bool) -> tuple[str, str] | None:
    if shape is None or shape.is_empty:
        return "an empty geometry", "a polygon or a point"
    if shape.geom_type not in SHAPES:
        return f"a {shape.geom_type}", "a polygon or a point"
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        return "a coordinate that is no number", "numbers"
    if not is_on_earth:
        west, south, east, north = shape.bounds
        return f"corners from {west:g}, {south:g} to {east:g}, {north:g}", "places on the earth in the file's own CRS"
    return None
