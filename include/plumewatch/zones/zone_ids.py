"""Ids of zones as a file states them: the column that they are in, and each to its last digit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumewatch.area_files import GEOMETRIES, JSON_SUFFIXES
from plumewatch.errors import InputError, some_of

ID_COLUMNS = ("zone_id", "id", "name")
OPEN_OPTIONS: Mapping[str, Mapping[str, str]] = {".shp": {"ADJUST_TYPE": "YES"}}
"""Of GDAL, by a file's ending: whole numbers of a wide dBase column (N of 19 digits and more) are no floats."""
INEXACT = 2.0**53  # from here on a float of 64 bits stands for several whole numbers
MOST_NAMED = 10

Refused = Callable[[str, InputError], None]
"""Is told the name of a zone that can't be used, and why."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Rows:
    """What a file says of its features beside their shapes, one after the other."""

    columns: Sequence[str]
    """In the order of the file."""
    numbers: Sequence[int]
    """Of the features among those of the file, from 1."""
    values: Callable[[str], list[Any]]
    """Returns what a column holds."""


def read_rows(file: str, local: Path, layer: str, frame: Any, refused: Refused) -> Rows:
    """Return the rows that belong to the shapes of `frame` (geopandas), a layer of the file (`local` is its content).

    What stands in a GeoJSON at the place of a feature and is none is told to `refused`. A feature's own `id` (RFC 7946,
    3.2) is a column of that name. Raises InputError where its features aren't those of the frame.
    """
    features = _geojson_features(local) if file.lower().endswith(JSON_SUFFIXES) else None
    if features is None:
        columns = [str(name) for name in frame.columns if name != frame.geometry.name]
        return Rows(columns, range(1, len(frame) + 1), lambda column: _values(local, layer, frame, column))
    rows = []
    for number, feature in enumerate(features, 1):
        if isinstance(feature, dict) and feature.get("type") == "Feature":
            stated = feature.get("properties")
            stated = stated if isinstance(stated, dict) else {}
            own = {} if feature.get("id") is None or stated.get("id") is not None else {"id": feature["id"]}
            rows.append((number, {**stated, **own}))
        else:
            where = f"feature {number}"
            found = "null" if feature is None else f"a {type(feature).__name__} that is no Feature"
            refused(where, InputError(f"{file}, {where}", found, "a Feature"))
    if len(rows) != len(frame):
        raise InputError(file, f"{len(rows)} features, of which {len(frame)} are read", "a GeoJSON by RFC 7946")
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    return Rows(columns, [number for number, _ in rows], lambda column: [row.get(column) for _, row in rows])


def read_ids(file: str, rows: Rows, column: str | None) -> tuple[str | None, list[Any]]:
    """Return the column that the ids of a file are in, and its values.

    Without `column` it is the first of ID_COLUMNS that the file has, in capitals too, and that isn't empty or the same
    throughout; without any the ids are the features' numbers, and the column None. Which it is, is logged.

    Raises InputError where there is no such column.
    """
    if column is not None:
        if (found := _written(rows.columns, column)) is None:
            allowed = some_of(rows.columns, MOST_NAMED) if rows.columns else "no id column"
            raise InputError(file, f"no column {column}", allowed)
        return found, rows.values(found)
    for wanted in ID_COLUMNS:
        if (found := _written(rows.columns, wanted)) is not None:
            values = rows.values(found)
            if len(values) > 1 and len({str(value) for value in values}) == 1 and not is_missing(values[0]):
                log.warning("%s: its column %s says %s of all zones, and is left out", file, found, values[0])
            elif any(not is_missing(value) for value in values):
                log.info("%s: the ids of zones are those of its column %s", file, found)
                return found, values
            else:
                log.warning("%s: its column %s is empty throughout, and left out", file, found)
    log.warning("%s: without a column %s: zones are called by their number", file, " or ".join(ID_COLUMNS))
    return None, list(rows.numbers)


def is_missing(value: Any) -> bool:
    """Whether a value is none, or no number, or a text without a character."""
    return value is None or value != value or not str(value).strip()


def id_of(value: Any) -> str:
    """Return an id as text: 7.0, which a column of numbers with a gap holds, is 7."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def flaw_of_id(value: Any, column: str | None) -> tuple[str, str] | None:
    """Return what was found and what is allowed where a value can't be an id, None where it can."""
    if is_missing(value):
        return "no id", f"an id in the column {column} of each feature, or another column as zone_id_column"
    if isinstance(value, list | dict):
        return f"an id that is a {type(value).__name__}", "a text or a whole number"
    if isinstance(value, float) and abs(value) >= INEXACT:
        return f"id {value:.17g}, a number whose last digits aren't known", "text, or whole numbers up to 18 digits"
    return None


def _written(columns: Sequence[str], wanted: str) -> str | None:
    """A column as the file writes it: so, else in other letters."""
    if wanted in columns:
        return wanted
    return next((name for name in columns if name.casefold() == wanted.casefold()), None)


def _values(local: Path, layer: str, frame: Any, column: str) -> list[Any]:
    import pyogrio

    if frame[column].dtype.kind != "f":
        values: list[Any] = frame[column].tolist()
        return values
    # It may hold whole numbers with a gap, which the frame has as floats.
    options = OPEN_OPTIONS.get(local.suffix.lower(), {})
    _, rows = pyogrio.read_arrow(local, layer=layer, columns=[column], read_geometry=False, **options)
    exact: list[Any] = rows[column].to_pylist()
    return exact


def _geojson_features(local: Path) -> list[Any] | None:
    """The features of a GeoJSON, without their coordinates; None of another JSON that GDAL reads, as of ArcGIS."""
    try:
        content = json.loads(local.read_bytes(), object_hook=_without_coordinates)
    except ValueError:
        return None
    if not isinstance(content, dict) or content.get("type") not in ("Feature", "FeatureCollection"):
        return None
    features = content.get("features") if content["type"] == "FeatureCollection" else [content]
    return features if isinstance(features, list) else None


def _without_coordinates(content: dict[str, Any]) -> dict[str, Any]:
    is_geometry = content.get("type") in GEOMETRIES and isinstance(content.get("coordinates"), list)
    return {} if is_geometry else content
