"""Files that users describe zones in: polygons or points with an id, in whatever system the file states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from plumewatch import storage
from plumewatch.area_files import BESIDE_SHAPEFILE, JSON_SUFFIXES, check_kind
from plumewatch.errors import InputError, ParameterError, reading, some_of
from plumewatch.keys import is_file_name
from plumewatch.zones.outlines import is_in_degrees, lonlat_shapes, within_180
from plumewatch.zones.zone import Zone, Zones, sort_key
from plumewatch.zones.zone_ids import OPEN_OPTIONS, Refused, flaw_of_id, id_of, is_missing, read_ids, read_rows

SUFFIXES = (*JSON_SUFFIXES, ".gpkg", ".shp")
ZONE_FILE = "a GeoPackage, Shapefile or GeoJSON of polygons or points"
SHAPES = ("Polygon", "MultiPolygon", "Point", "MultiPoint")
MOST_NAMED = 10
TURN_DEG = 360.0
OPTIONS = ("layer", "zone_id_column")
"""Arguments of the job that say how a file is read."""

_Feature = tuple[int, Any, Any, bool, bool]
"""Its number, what its id is said to be, its shape, whether that is on the earth, and not within half the globe."""


def list_zone_files(folder: str) -> list[dict[str, str]]:
    """Return the zone files of a folder as arguments of the job: `zones_path`; no such folder has none."""
    return [{"zones_path": file} for file in _zone_files(folder)]


def with_options(asked: Sequence[dict[str, Any]], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the arguments of the job for what is `asked`, with the OPTIONS for its files of zones.

    An option holds for all of the files, but one of the form file:value, the file's name without its ending, for that
    file alone.
    """
    found = [dict(one) for one in asked]
    files = {Path(one["zones_path"]).stem: one for one in found if "zones_path" in one}
    for name in OPTIONS:
        if stated := options.get(name):
            stem, separator, value = str(stated).partition(":")
            is_of_one = bool(separator) and stem in files
            for one in [files[stem]] if is_of_one else files.values():
                one[name] = value if is_of_one else stated
    return found


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


def require_own_name(file: str, layer: str | None = None) -> None:
    """Raise InputError where another zone file of its folder has the same name, or that which the zones of a layer
    have: both would be one partition."""
    own = {Path(file).stem, _name(file, layer)} if layer else {Path(file).stem}
    for other in _zone_files(file.rpartition("/")[0]):
        if other != file and Path(other).stem in own:
            raise InputError(file, f"the same name as {other}, so that one's rows would replace the other's",
                             "a name of its own for each file of zones")  # fmt: skip


def _zone_files(folder: str) -> list[str]:
    if not storage.exists(folder):
        return []
    return [file for file in storage.visible_files(folder) if file.lower().endswith(SUFFIXES)]


def read_zones(file: str, layer: str | None, id_column: str | None, refused: Refused) -> Zones:
    """Return the zones of a file. Without `id_column` ids are in the first of the columns zone_id, id and name that
    there is (`zone_ids.read_ids`), and where there is none they are the features' numbers, from 1.

    A polygon that crosses itself is made valid. Empty and missing geometries, lines, what holds nothing where it is on
    the globe, and features without an id or with that of another one are told to `refused`, and the others go on.

    Raises InputError where the file can't be read, has a name that no partition can have, no coordinate system, several
    layers and no `layer`, no such layer or column, or no zone that can be used; ServiceError where a bucket doesn't
    deliver it.
    """
    import geopandas
    import pyogrio

    suffix = Path(file).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(file, "a file of another ending", ", ".join(SUFFIXES))
    told: list[InputError] = []

    def tell(where: str, error: InputError) -> None:
        told.append(error)
        refused(where, error)

    beside = BESIDE_SHAPEFILE if suffix == ".shp" else ()
    with reading(file, ZONE_FILE), storage.local_copy(file, beside=beside) as local:
        check_kind(file, local)
        layers = [str(name) for name, kind in pyogrio.list_layers(local) if kind is not None]
        if not layers:
            raise InputError(file, "no layer with geometries", ZONE_FILE)
        if layer is not None and layer not in layers:
            raise InputError(file, f"no layer {layer}", some_of(layers, MOST_NAMED))
        if layer is None and len(layers) != 1:
            allowed = f"one of them as layer (param of the DAG, of the job --layer): {some_of(layers, MOST_NAMED)}"
            raise InputError(file, f"{len(layers)} layers", allowed)
        name = _name(file, None if len(layers) == 1 else layer)
        layer = layer or layers[0]
        frame = geopandas.read_file(local, layer=layer, **OPEN_OPTIONS.get(suffix, {}))
        if not isinstance(frame, geopandas.GeoDataFrame) or frame.crs is None:
            raise InputError(file, "no coordinate reference system", "a file that states its CRS")
        rows = read_rows(file, local, layer, frame, tell)
        column, ids = read_ids(file, rows, id_column)
        are_on_earth, are_wide = _places(frame.geometry)
    features = zip(rows.numbers, ids, frame.geometry, are_on_earth, are_wide, strict=True)
    zones, mended = _usable(file, features, column, frame.crs, tell)
    if not zones:
        found = f"; the first has {told[0].found}" if told else ""
        raise InputError(file, f"no usable zone among {len(ids)}{found}", "polygons or points")
    order = sort_key([zone.zone_id for zone in zones])
    return Zones(name, frame.crs, tuple(sorted(zones, key=lambda zone: order(zone.zone_id))), tuple(mended))


def _name(file: str, layer: str | None) -> str:
    """What the partition of a file's zones is called, of one of several layers with the layer's name."""
    stem = Path(file).stem
    name = stem if layer is None or layer == stem else f"{stem}_{layer}"
    if is_file_name(name) and storage.is_partition_value("zones", name):
        return name
    what = "a file" if layer is None else f"a file and a layer ({layer})"
    allowed = f"{what} whose name has no / or \\ and isn't that of something hidden or put aside (.x, x~, x.bak, x (1))"
    raise InputError(file, f"zones that would be called {name!r}", allowed)


def _usable(
    file: str, features: Iterable[_Feature], column: str | None, crs: CRS, refused: Refused
) -> tuple[list[Zone], list[str]]:
    """The zones of features, and the ids of those that were made valid."""
    zones: list[Zone] = []
    seen: dict[str, int] = {}
    mended = []
    for number, value, shape, is_on_earth, is_wide in features:
        zone_id = id_of(value)
        where = f"feature {number}" if is_missing(value) else f"zone {zone_id}"
        fault = flaw_of_id(value, column) or _fault(shape, is_on_earth)
        if zone_id in seen:
            allowed = f"an id of its own for each feature in the column {column}, or another column as zone_id_column"
            fault = f"feature {number} has the id of feature {seen[zone_id]}", allowed
        if fault:
            refused(where, InputError(f"{file}, {where}", *fault))
            continue
        seen[zone_id] = number
        shape = shapely.force_2d(shape)
        is_valid = shape.is_valid or (is_wide and is_in_degrees(crs))  # as corners in a plane it may cross itself
        shape = shape if is_valid else shapely.make_valid(shape, method="structure", keep_collapsed=False)
        if is_wide and not shape.is_empty:
            shape = _on_globe(shape, crs)
        if shape.is_empty:
            refused(where, InputError(f"{file}, {where}", "a polygon without area", "a polygon or a point"))
            continue
        zones.append(Zone(zone_id, shape))
        mended += [] if is_valid else [zone_id]
    return zones, mended


def _places(shapes: Any) -> tuple[list[bool], list[bool]]:
    """Whether all corners of each shape have a longitude and a latitude, and whether it isn't within half the globe."""
    west, south, east, north = shapes.to_crs(4326).bounds.to_numpy().T
    is_there = (west >= -TURN_DEG) & (east <= TURN_DEG) & (south >= -90.0) & (north <= 90.0)
    is_wide = is_there & ((west < -TURN_DEG / 2) | (east > TURN_DEG / 2) | (east - west > TURN_DEG / 2))
    return is_there.tolist(), is_wide.tolist()


def _on_globe(shape: Any, crs: CRS) -> Any:
    """A wide shape as it lies on the globe, in its system; empty where it holds nothing, read so.

    What goes to and fro over 180 degrees holds nothing. What crosses itself only as corners in a plane is valid.
    """
    try:
        if is_in_degrees(crs):
            return within_180(shape)
        lonlat_shapes([Zone("", shape)], crs)
    except ValueError:
        return shapely.Polygon()
    return shape


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
