"""Which sources of the inventories a map shows, and what it says of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.gases import Gas
from plumewatch.geodesy import Floats
from plumewatch.maps.geojson import rounded
from plumewatch.maps.map_style import STYLES
from plumewatch.pages.wording import digits_text, place_text, rate_text

Row = Mapping[str, Any]

MAX_SOURCES = 1500  # the largest ones; a continent's plants, 0.3 MB


def sources_near(
    gas: Gas, sources: Mapping[str, Row], places: Sequence[tuple[float, float]], first: Collection[str]
) -> list[Row]:
    """Return the sources near any place (longitude, latitude) and those whose ids are `first`, in the order of ids.

    Of too many, the first ones are kept, then the largest.
    """
    listed = [sources[name] for name in sorted(sources)]
    if not listed or not places:
        return []
    radius = 2 * math.sin(STYLES[gas.name].source_radius_km / EARTH_RADIUS_KM / 2)  # as a chord of the unit sphere
    listed_places = [(source["longitude"], source["latitude"]) for source in listed]
    near = cKDTree(_on_unit_sphere(places)).query(_on_unit_sphere(listed_places))[0] <= radius
    chosen = [s for s, is_near in zip(listed, near, strict=True) if is_near or s["source_id"] in first]
    chosen.sort(key=lambda s: (s["source_id"] not in first, -(s["emission_t_y"] or 0.0), s["source_id"]))
    return sorted(chosen[:MAX_SOURCES], key=lambda s: s["source_id"])


def _on_unit_sphere(places: Sequence[tuple[float, float]]) -> Floats:
    """x, y, z of places (longitude, latitude)."""
    lon, lat = np.radians(np.asarray(places, dtype=float)).T
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def source_shown(gas: Gas, source: Row, *, is_first: bool) -> dict[str, Any]:
    """Return what is shown of a row of `sources`; `is_first`: none is more probable for a detection."""
    emission_t_y = source["emission_t_y"] or 0.0
    rate = emission_t_y * gas.units_per_t_y
    facts = [
        ["kind", kind_text(source["kind"])],
        ["fuel", source["fuel"]],
        ["a year", f"{digits_text(emission_t_y)} t in {source['year']}"],
        ["owner", source["owner"]],
        ["from", source["provenance"]],
        ["licence", source["licence"]],
        ["place", place_text(source["longitude"], source["latitude"])],
        ["id", source["source_id"]],
    ]
    return {
        "id": source["source_id"],
        "name": str(source["name"]),
        "kind": str(source["kind"]),
        "lon": rounded(source["longitude"]),
        "lat": rounded(source["latitude"]),
        "rate_text": rate_text(gas, rate) + " on average",
        "size": STYLES[gas.name].source_size(rate),
        "is_first": is_first,
        "facts": [[label, str(text)] for label, text in facts if text],
    }


def kind_text(kind: str | None) -> str:
    """Return a kind of source in words."""
    return str(kind).replace("_", " ")


def licence_texts(sources: Sequence[Row]) -> list[str]:
    """Return whom sources are from."""
    said = {(str(s["provenance"] or "").split(",")[0].split(";")[0], s["licence"]) for s in sources}
    return sorted("Sources: " + name + (f" ({licence})" if licence else "") for name, licence in said if name)
