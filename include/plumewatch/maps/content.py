"""What a map shows, as plain values: from rows of the tables to texts, sizes and GeoJSON.

All words and numbers that a reader sees are made here; the page only places them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.geodesy import great_circle_distance_km, wrap_longitude
from plumewatch.models import Area

Row = Mapping[str, Any]

MAX_REFUSED = 500  # more circles hide the map and swell the file
MAX_SOURCES = 1500  # the largest ones; a continent's plants, 0.3 MB
MAX_MATCHES_SHOWN = 6  # rows of a popup
MAX_NAMES = 60  # name tags beside first-ranked sources
PLACE_DIGITS = 6  # a tenth of a metre
MIN_SPAN_DEG = 0.02  # a single detection is shown with two kilometres around it
WIND_SIZE_M_S = 10.0  # wind whose arrow has its full length


@dataclass(frozen=True)
class GasTexts:
    """How a gas is spoken of."""

    title: str
    """Headline, before the key."""
    detection: str
    """What a detection is called."""
    unit: str
    """Unit of the detections' emission."""
    large_unit: str
    """Unit from 1,000 units on."""
    per_t_y: float
    """Units that one tonne a year is."""
    source_radius_km: float
    """Sources so near to a detection are shown."""
    near_zoom: float
    """Zoom at which one detection is looked at."""
    name_zoom: float
    """Zoom from which on sources have name tags."""
    place_digits: int
    """Decimals of the degrees that tell detections apart."""
    reference_rate: float
    """Emission whose circle has a radius of 16 px."""
    attribution: str
    """Whom the satellite data is from."""


GASES = {
    "ch4": GasTexts(
        "Methane plumes", "Plume", "kg/h", "t/h", 1000.0 / HOURS_PER_YEAR, 20.0, 12.5, 10.0, 3, 10_000.0,
        "Contains modified Copernicus Sentinel data (Sentinel-2)",
    ),
    "co2": GasTexts(
        "CO2 peaks", "Peak", "kt/h", "Mt/h", 1.0 / (1000.0 * HOURS_PER_YEAR), 150.0, 7.5, 6.0, 2, 5.0,
        "OCO-2 Lite data: NASA GES DISC",
    ),
}  # fmt: skip
SPAN_TEXT = {"ch4": "Circles: methane, area by rate", "co2": "Circles: CO2, area by rate"}


@dataclass(frozen=True)
class MapRows:
    """Rows of the tables that a map is made from."""

    detections: pa.Table
    """`plumes` (with `area`) or `peaks` of the key, refused ones too."""
    matches: pa.Table
    """`matches` of the key."""
    sources: pa.Table
    """`sources`, of any gas and place."""
    areas: Sequence[Area] = ()
    """Areas that were searched."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """PNG pictures in base64, by detection id."""
    scene_pages: Mapping[str, str] = field(default_factory=dict)
    """Where the page of a detection's scene is, relative to the map, by detection id."""


def map_content(gas: str, key: str, rows: MapRows) -> dict[str, Any]:
    """Return what the page of a gas and key shows; the same rows give the same content, whatever their order."""
    texts = GASES[gas]
    sources = {s["source_id"]: s for s in _rows(rows.sources) if s["gas"] == gas}
    matches = _by_detection(rows.matches)
    detections = [_detection(texts, gas, row, matches, sources) for row in _wanted(rows.detections, gas)]
    accepted = [d for d in detections if d["state"] != "refused"]
    first = {d["first_source"] for d in accepted} - {None}
    shown = _sources_near(texts, sources, accepted, first)
    refused_in_all = int(np.sum(np.asarray(rows.detections["status"].to_pylist(), dtype=object) != "accepted"))
    return {
        "gas": gas,
        "key": key,
        "title": f"{texts.title} {key}",
        "summary": _summary(texts, accepted),
        "size_text": SPAN_TEXT[gas],
        "refused_text": _refused_text(refused_in_all),
        "near_zoom": texts.near_zoom,
        "name_zoom": texts.name_zoom,
        "max_names": MAX_NAMES,
        "bounds": _bounds(accepted, rows.areas),
        "detections": [{k: v for k, v in d.items() if k != "geometry"} for d in detections],
        "plumes": _collection(
            [_feature(d["geometry"], id=d["id"], state=d["state"]) for d in accepted if d["geometry"]]
        ),
        "areas": _collection(
            [_feature(_mapping(a.geometry), name=a.name) for a in sorted(rows.areas, key=lambda a: a.name)]
        ),
        "area_boxes": [{"name": a.name, "bounds": _corners(a)} for a in sorted(rows.areas, key=lambda a: a.name)],
        "lines": _collection([_line(d, sources[d["first_source"]]) for d in accepted if d["first_source"] in sources]),
        "sources": [_source(texts, s, s["source_id"] in first) for s in shown],
        "pictures": {d["id"]: rows.pictures[d["id"]] for d in accepted if d["id"] in rows.pictures},
        "scene_pages": {d["id"]: rows.scene_pages[d["id"]] for d in accepted if d["id"] in rows.scene_pages},
        "attribution": [texts.attribution, *_licences(shown), "Countries: Natural Earth"],
    }


def rate_text(texts: GasTexts, rate: float | None) -> str:
    """Return an emission with its unit, three significant digits.

    >>> rate_text(GASES["ch4"], 5230.0)
    '5.23 t/h'
    """
    if rate is None:
        return "no rate"
    large = abs(rate) >= 1000.0
    return f"{_digits(rate / 1000.0 if large else rate)} {texts.large_unit if large else texts.unit}"


def _digits(value: float) -> str:
    """Three significant digits without exponent."""
    if value == 0 or not math.isfinite(value):
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{decimals}f}"


def _rows(table: pa.Table) -> list[Row]:
    """Rows as dicts, NaN as None: both say that a value isn't known."""
    return [{k: None if v != v else v for k, v in row.items()} for row in table.to_pylist()]


def _wanted(detections: pa.Table, gas: str) -> list[Row]:
    """Accepted rows and the most significant refused ones, in the order of time and id."""
    rows = _rows(detections)
    strength = "probability" if gas == "ch4" else "significance"
    name = "plume_id" if gas == "ch4" else "peak_id"
    refused = [r for r in rows if r["status"] != "accepted"]
    refused.sort(key=lambda r: (-(r[strength] if r[strength] is not None else -math.inf), str(r[name])))
    wanted = [r for r in rows if r["status"] == "accepted"] + refused[:MAX_REFUSED]
    return sorted(wanted, key=lambda r: (str(r["observed_at_utc"]), str(r[name]), r["status"]))


def _by_detection(matches: pa.Table) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in sorted(_rows(matches), key=lambda r: (r["detection_id"], r["rank"])):
        found.setdefault(row["detection_id"], []).append(row)
    return found


def _detection(
    texts: GasTexts, gas: str, row: Row, matches: Mapping[str, list[Row]], sources: Mapping[str, Row]
) -> dict[str, Any]:
    is_plume = gas == "ch4"
    name = row["plume_id"] if is_plume else str(row["peak_id"])
    is_accepted = row["status"] == "accepted"
    candidates = matches.get(name, []) if is_accepted else []
    first = candidates[0]["source_id"] if candidates else None
    unit = "kg_h" if is_plume else "kt_h"
    rate, low, high = (row[f"emission_{unit}{end}"] for end in ("", "_low", "_high"))
    speed, blows_to = _wind(row, is_plume)
    certainty = row["probability"] if is_plume else _known(row["false_alarm_probability"], lambda p: 1.0 - p)
    return {
        # A refused candidate may share its id with an accepted peak, whose place it is near.
        "id": name if is_accepted else f"{name} {row['status']}",
        "title": f"{texts.detection} {place_text(row['longitude'], row['latitude'], texts.place_digits)}",
        "seen_in": f"area {row['area']}" if is_plume else f"orbit {row['orbit']}",
        "time": _time(row["observed_at_utc"]),
        "lon": round(row["longitude"], PLACE_DIGITS),
        "lat": round(row["latitude"], PLACE_DIGITS),
        "status": row["status"],
        "state": "refused" if not is_accepted else candidates[0]["status"] if candidates else "unmatched",
        "rate": rate,
        "rate_text": rate_text(texts, rate),
        "interval_text": _interval_text(texts, low, high)
        if rate is not None
        else _no_rate_text(row["emission_status"]),
        "radius": _radius(texts, rate),
        "certainty": certainty,
        "certainty_text": _certainty_text(row, is_plume),
        "wind_to": None if blows_to is None else round(blows_to, 1),
        "wind_size": 0 if speed is None else round(min(1.0, 0.45 + 0.55 * speed / WIND_SIZE_M_S), 2),
        "facts": _facts(row, is_plume, name, speed, blows_to),
        "matches": [_match(texts, m, sources) for m in _shown_matches(candidates)],
        "first_source": first,
        "source_text": _source_text(candidates, sources),
        "geometry": _mapping(shapely.from_wkb(row["geometry"]))
        if is_plume and is_accepted and row["geometry"]
        else None,
    }


def _known(value: float | None, change: Any) -> float | None:
    return None if value is None else change(value)


def _time(when: datetime | None) -> str:
    return "time unknown" if when is None else when.strftime("%Y-%m-%d %H:%M UTC")


def _interval_text(texts: GasTexts, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{rate_text(texts, low)} to {rate_text(texts, high)} (68 %)"


def _no_rate_text(emission_status: str | None) -> str:
    return "" if emission_status in (None, "ok") else "(" + emission_status.replace("_", " ") + ")"


def _radius(texts: GasTexts, rate: float | None) -> float:
    """Circle radius in pixels: its area grows with the rate, within what can be seen and clicked."""
    return (
        6.0 if rate is None else round(min(30.0, max(6.0, 16.0 * math.sqrt(max(rate, 0.0) / texts.reference_rate))), 1)
    )


def _wind(row: Row, is_plume: bool) -> tuple[float | None, float | None]:
    """Speed in m/s and the direction that the wind blows to, degrees from north."""
    if is_plume:
        speed, origin = row["wind_speed_10m_m_s"], row["wind_from_deg"]
        return (None, None) if speed is None or origin is None else (speed, (origin + 180.0) % 360.0)
    u, v = row["wind_u_m_s"], row["wind_v_m_s"]
    return (None, None) if u is None or v is None else (math.hypot(u, v), math.degrees(math.atan2(u, v)) % 360.0)


def _certainty_text(row: Row, is_plume: bool) -> str:
    if is_plume:
        return "" if row["probability"] is None else f"probability {row['probability']:.2f}"
    chance = row["false_alarm_probability"]
    return "" if chance is None else f"false alarm {chance:.2%}" if chance >= 0.0001 else "false alarm < 0.01%"


def _facts(row: Row, is_plume: bool, name: str, speed: float | None, blows_to: float | None) -> list[list[str]]:
    facts = []
    if speed is not None and blows_to is not None:
        facts.append(["wind", f"{speed:.1f} m/s from {(blows_to + 180.0) % 360.0:.0f}°"])
    if is_plume:
        facts += [["probability", f"{row['probability']:.2f}"]] if row["probability"] is not None else []
        facts += [["extent", f"{row['area_m2'] / 1e4:.1f} ha"]] if row["area_m2"] is not None else []
        facts += [["methane", f"{_digits(row['ime_kg'])} kg"]] if row["ime_kg"] is not None else []
        facts += [["scene", row["scene_id"]]]
    else:
        facts += [["height", f"{row['height_ppm']:.2f} ppm"]] if row["height_ppm"] is not None else []
        facts += [["width", f"sigma {row['sigma_km']:.1f} km"]] if row["sigma_km"] is not None else []
        facts += [["false alarm", _certainty_text(row, False).removeprefix("false alarm ")]]
        facts += [["soundings", str(row["n_soundings"])]] if row["n_soundings"] is not None else []
    facts += [["place", place_text(row["longitude"], row["latitude"])], ["id", name]]
    return [[label, text] for label, text in facts if text]


def place_text(longitude: float, latitude: float, digits: int = 4) -> str:
    """Return a place as longitude and latitude with so many decimals.

    >>> place_text(28.95391, -26.2167)
    '28.9539°E 26.2167°S'
    """
    east, north = "E" if longitude >= 0 else "W", "N" if latitude >= 0 else "S"
    return f"{abs(longitude):.{digits}f}°{east} {abs(latitude):.{digits}f}°{north}"


def _name(match: Row, sources: Mapping[str, Row]) -> str:
    """A source's name; its id where the inventory at hand doesn't have it."""
    if match["source_id"] is None:
        return "in no inventory"
    return str(sources[match["source_id"]]["name"] if match["source_id"] in sources else match["source_id"])


def _shown_matches(candidates: Sequence[Row]) -> list[Row]:
    """The most probable ones, and always that it is in no inventory."""
    return [m for m in candidates if m["rank"] <= MAX_MATCHES_SHOWN or m["source_id"] is None]


def _match(texts: GasTexts, match: Row, sources: Mapping[str, Row]) -> dict[str, str]:
    is_listed = match["source_id"] is not None
    return {
        "name": _name(match, sources),
        "probability": f"{match['probability']:.1%}" if match["probability"] >= 0.0005 else "< 0.1%",
        "distance": f"{match['distance_km']:.{0 if match['distance_km'] >= 10 else 1}f} km" if is_listed else "",
        "expected": rate_text(texts, match["expected_emission"]) if is_listed else "",
    }


def _source_text(candidates: Sequence[Row], sources: Mapping[str, Row]) -> str:
    return _name(candidates[0], sources) if candidates else ""


def _sources_near(texts: GasTexts, sources: Mapping[str, Row], accepted: Sequence[Row], first: set[str]) -> list[Row]:
    """Sources near accepted detections: the first-ranked, then the largest; in the order of their ids."""
    listed = [sources[name] for name in sorted(sources)]
    if not listed or not accepted:
        return []
    near = _is_near(_column(listed, "longitude"), _column(listed, "latitude"), accepted, texts.source_radius_km)
    chosen = [s for s, is_near in zip(listed, near, strict=True) if is_near or s["source_id"] in first]
    chosen.sort(key=lambda s: (s["source_id"] not in first, -(s["emission_t_y"] or 0.0), s["source_id"]))
    return sorted(chosen[:MAX_SOURCES], key=lambda s: s["source_id"])


def _column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], dtype=float)


def _is_near(
    lon: NDArray[np.float64], lat: NDArray[np.float64], accepted: Sequence[Row], radius_km: float
) -> NDArray[np.bool_]:
    near = np.zeros(len(lon), bool)
    for d in accepted:
        near |= great_circle_distance_km(d["lon"], d["lat"], lon, lat) <= radius_km
    return near


def _source(texts: GasTexts, source: Row, is_first: bool) -> dict[str, Any]:
    rate = (source["emission_t_y"] or 0.0) * texts.per_t_y
    kind = str(source["kind"])
    facts = [
        ["kind", kind.replace("_", " ")],
        ["fuel", source["fuel"]],
        ["a year", f"{_digits(source['emission_t_y'] or 0.0)} t in {source['year']}"],
        ["owner", source["owner"]],
        ["from", source["provenance"]],
        ["licence", source["licence"]],
        ["place", place_text(source["longitude"], source["latitude"])],
        ["id", source["source_id"]],
    ]
    return {
        "id": source["source_id"],
        "name": str(source["name"]),
        "kind": kind,
        "lon": round(source["longitude"], PLACE_DIGITS),
        "lat": round(source["latitude"], PLACE_DIGITS),
        "rate_text": rate_text(texts, rate) + " on average",
        "size": round(min(1.3, max(0.4, math.sqrt(rate / texts.reference_rate) * 1.6)), 2),
        "is_first": is_first,
        "facts": [[label, str(text)] for label, text in facts if text],
    }


def _line(detection: Row, source: Row) -> dict[str, Any]:
    """From a detection to its first source, the short way round."""
    to = detection["lon"] + float(wrap_longitude(source["longitude"] - detection["lon"]))
    ends = [[detection["lon"], detection["lat"]], [round(to, PLACE_DIGITS), round(source["latitude"], PLACE_DIGITS)]]
    return _feature({"type": "LineString", "coordinates": ends}, id=detection["id"])


def _bounds(accepted: Sequence[Row], areas: Sequence[Area]) -> list[list[float]] | None:
    """South-west and north-east corner around all detections (else all areas), over the antimeridian where shorter."""
    lon, lat = [d["lon"] for d in accepted], [d["lat"] for d in accepted]
    if not lon:
        corners = [a.geometry.bounds for a in areas]
        lon, lat = [b[i] for b in corners for i in (0, 2)], [b[i] for b in corners for i in (1, 3)]
    if not lon:
        return None
    east = np.sort(np.asarray(lon))
    gaps = np.diff(np.append(east, east[0] + 360.0))
    widest = int(np.argmax(gaps))
    west = float(east[(widest + 1) % len(east)])
    span = 360.0 - float(gaps[widest])
    margin, high = max(0.0, MIN_SPAN_DEG - span) / 2, max(0.0, MIN_SPAN_DEG - (max(lat) - min(lat))) / 2
    corners = [[west - margin, min(lat) - high], [west + span + margin, max(lat) + high]]
    return [[round(x, PLACE_DIGITS), round(float(np.clip(y, -85.0, 85.0)), PLACE_DIGITS)] for x, y in corners]


def _corners(area: Area) -> list[list[float]]:
    west, south, east, north = (round(c, PLACE_DIGITS) for c in area.geometry.bounds)
    return [[west, south], [east, north]]


def _mapping(geometry: Any) -> dict[str, Any]:
    """GeoJSON geometry with coordinates to a tenth of a metre."""
    moved = shapely.transform(geometry, lambda places: np.round(places, PLACE_DIGITS))
    return shapely.geometry.mapping(moved)


def _feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": features}


def _summary(texts: GasTexts, accepted: Sequence[Row]) -> str:
    rates = [d["rate"] for d in accepted if d["rate"] is not None]
    noun = texts.detection.lower() + ("" if len(accepted) == 1 else "s")
    if not accepted:
        return f"No {noun} accepted."
    largest = f", the largest {rate_text(texts, max(rates))}" if rates else ""
    return f"{len(accepted)} {noun} accepted{largest}."


def _refused_text(refused: int) -> str:
    if not refused:
        return ""
    return (
        f"also show {refused} not accepted"
        if refused <= MAX_REFUSED
        else f"also show the {MAX_REFUSED} strongest of {refused} not accepted"
    )


def _licences(sources: Sequence[Row]) -> list[str]:
    """Whom the sources that are shown are from."""
    said = {(str(s["provenance"] or "").split(",")[0].split(";")[0], s["licence"]) for s in sources}
    return sorted("Sources: " + name + (f" ({licence})" if licence else "") for name, licence in said if name)
