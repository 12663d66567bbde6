"""Rows of a GeoJSON file of points as text, by the number of their feature, as `csv_rows` gives them by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.inventory.rows.csv_rows import NO_PROPERTIES, PLACE

ALLOWED = "a GeoJSON FeatureCollection of points, longitude and latitude in degrees (RFC 7946)"
NO_PLACE = "geometry {}"
"""What stands for a place that is no point, which no rule on places passes."""


def read_geojson_rows(path: str, required: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read properties of the features of a file, with their points as columns longitude and latitude.

    The columns are stripped text; the index is the number of the feature, from 1. A property may be written in other
    letters, small or large; absent ones are empty. What isn't a feature, or one without a point, is a row that no rule
    passes. Raises InputError where the file isn't such a file, has another CRS than WGS 84, or no feature has a
    required property.
    """
    try:
        content = storage.read_bytes(path)
    except FileNotFoundError as error:
        raise InputError(path, "no such file", ALLOWED) from error
    with reading(path, ALLOWED):
        document = json.loads(content.decode("utf-8-sig"))
        features = document["features"] if document["type"] == "FeatureCollection" else [document]
        _check_crs(document.get("crs"), path)
        rows = [_row(feature, required[0]) for feature in features]
    names = [*required, *optional]
    table = pd.DataFrame(rows, range(1, len(rows) + 1), dtype=object)
    missing = [name for name in required if name not in PLACE and name not in table] if rows else []
    if missing:
        raise InputError(path, f"no feature with {', '.join(missing)}", "properties " + ", ".join(required))
    return table.reindex(columns=names, fill_value="").fillna("")


def _check_crs(crs: Any, path: str) -> None:
    """Refuse another CRS than WGS 84, as files from before RFC 7946 may state."""
    name = "" if crs is None else str(crs["properties"]["name"])
    if name and not name.casefold().endswith(("crs84", "4326", "wgs84")):
        raise InputError(path, f"CRS {name}", ALLOWED)


def _row(feature: Any, first: str) -> dict[str, str]:
    """What a feature says; where it has no properties, that in the column `first`."""
    feature = feature if isinstance(feature, dict) else {}
    properties, geometry = feature.get("properties"), feature.get("geometry")
    if isinstance(properties, dict):
        said = {"_".join(str(name).casefold().split()): _text(value) for name, value in properties.items()}
    else:
        said = {first: NO_PROPERTIES}
    return {**said, **dict(zip(PLACE, _place(geometry), strict=True))}


def _place(geometry: Any) -> tuple[str, str]:
    """Longitude and latitude of a point; what another geometry is."""
    kind = geometry.get("type") if isinstance(geometry, dict) else "none" if geometry is None else geometry
    if kind != "Point":
        return (NO_PLACE.format(_text(kind)),) * 2
    place = geometry.get("coordinates")
    if not isinstance(place, list) or len(place) < len(PLACE):
        return (NO_PLACE.format(f"Point of {_text(place) or 'nothing'}"),) * 2
    return _text(place[0]), _text(place[1])


def _text(value: Any) -> str:
    """A value as a CSV file would have it; half of a character, which JSON may hold, is written as its number."""
    text = "" if value is None else " ".join(str(value).split())
    return text.encode(errors="backslashreplace").decode()
