"""What a map shows, as plain values: from rows of the tables to texts, sizes and GeoJSON.

All words and numbers that a reader sees of a detection are made here or in `pages.wording`; the page only places them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from plumewatch.gases import DETECTION, Gas
from plumewatch.maps.columns import in_columns
from plumewatch.maps.detections_shown import (
    MAX_REFUSED,
    REFUSED,
    UNMATCHED,
    detection_shown,
    known_rows,
    matches_by_detection,
    sector_shown,
    state_text,
    wanted_rows,
)
from plumewatch.maps.geojson import bounds, collection, corners, feature, line, mapping
from plumewatch.maps.looked_at import LookedAt, looked_at, looked_over, not_searched_text, searched_text
from plumewatch.maps.map_style import STYLES
from plumewatch.maps.reports_shown import report_licences, reports_shown
from plumewatch.maps.sources_shown import kind_text, licence_texts, source_shown, sources_near
from plumewatch.maps.tracks_shown import tracks_shown
from plumewatch.models import Area
from plumewatch.pages.outcomes import waiting_text
from plumewatch.pages.wording import MATCH_TEXTS, expected_false_text, hidden_text, rate_text
from plumewatch.statuses import ACCEPTED
from plumewatch.tables import OBSERVATIONS

Row = Mapping[str, Any]

MAX_OUTLINES = 1000  # of plumes on a map of many: seen from so far away they are smaller than their circles
TOLD = ("facts", "matches")
"""What of a detection only its panel tells."""
MAX_NAMES = 60  # name tags beside the first sources of detections


@dataclass(frozen=True)
class MapRows:
    """Rows of the tables that a map is made from."""

    detections: pa.Table
    """`plumes` (with `area`) or `peaks` of the key, refused ones too."""
    matches: pa.Table
    """`matches` of the key."""
    sources: pa.Table
    """`sources`, of any gas and place."""
    observations: pa.Table = field(default_factory=OBSERVATIONS.empty)
    """`observations` of the key: what was looked at."""
    areas: Sequence[Area] = ()
    """Areas that there are, searched or not."""
    waits_since_utc: datetime | None = None
    """When the key was handed on to its detection, where that hasn't begun with it."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """PNG pictures in base64, by detection id."""
    scene_pages: Mapping[str, str] = field(default_factory=dict)
    """Where the page of a detection's scene is, relative to the map, by detection id."""
    source_pages: Mapping[str, str] = field(default_factory=dict)
    """Where the page of a source is, relative to the map, by source id."""
    reports: Sequence[Row] = ()
    """`reported_plumes` (with `provider`): what others saw."""


def map_content(gas: Gas, key: str, rows: MapRows) -> dict[str, Any]:
    """Return what the page of a gas and key shows; the same rows give the same content, whatever their order."""
    told = looked_at(gas, rows.observations.to_pylist(), [area.name for area in rows.areas])
    sectors = {str(row[gas.id_column]): sector_shown(gas, row) for row in wanted_rows(gas, rows.detections)}
    shown = {name: sector for name, sector in sectors.items() if sector}
    return {**_content(gas, [key], rows, told), "sectors": shown}


def period_content(gas: Gas, keys: Sequence[str], rows: MapRows) -> dict[str, Any]:
    """Return what is shown of several keys in their order: as `map_content`, without what only one detection's panel
    tells (`detection_told`), and without outlines where there are too many to be seen. `detections` are columns.
    """
    told = looked_at(gas, rows.observations.to_pylist(), [area.name for area in rows.areas])
    if len(keys) > 1:
        told = looked_over(gas, rows.observations.to_pylist(), keys, [area.name for area in rows.areas])
    content = _content(gas, keys, rows, told)
    if len(content["plumes"]["features"]) > MAX_OUTLINES:
        content["plumes"] = collection([])
    listed = [{k: v for k, v in d.items() if k not in TOLD} for d in content["detections"]]
    content["detections"] = in_columns(listed)
    return content


def detection_told(gas: Gas, row: Row, matches: pa.Table, sources: pa.Table) -> dict[str, Any]:
    """Return what the panel of one detection tells beside what the list does: facts, sources, outline, sector."""
    of_gas = {s["source_id"]: s for s in known_rows(sources) if s["gas"] == gas.name}
    shown = detection_shown(gas, row, matches_by_detection(matches), of_gas)
    return {name: shown[name] for name in (*TOLD, "geometry")} | {"sector": sector_shown(gas, row)}


def _content(gas: Gas, keys: Sequence[str], rows: MapRows, told: Sequence[LookedAt]) -> dict[str, Any]:
    key = keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}"
    style, areas = STYLES[gas.name], sorted(rows.areas, key=lambda area: area.name)
    sources = {s["source_id"]: s for s in known_rows(rows.sources) if s["gas"] == gas.name}
    matches = matches_by_detection(rows.matches)
    detections = [detection_shown(gas, row, matches, sources) for row in wanted_rows(gas, rows.detections)]
    accepted = [d for d in detections if d["state"] != REFUSED]
    places = [(d["lon"], d["lat"]) for d in accepted]
    first = {name for d in accepted for name in d["first_sources"]}
    shown = sources_near(gas, sources, places, first)
    of_area = {one.name: one for one in told}
    reports = reports_shown(gas, keys, rows.reports, places, areas)
    n_less = sum(d["is_less_probable"] for d in accepted)
    shown_texts = _shown_texts(gas, accepted)
    return {
        "gas": gas.name,
        "key": key,
        "unit": gas.unit,
        "noun": gas.noun,
        "title": f"{gas.title} {key}",
        "summary": waiting_text(DETECTION[gas.name], rows.waits_since_utc) + _summary(gas, accepted, told),
        "size_text": f"{gas.title}: circle area by rate",
        "refused_text": _refused_text(sum(status != ACCEPTED for status in rows.detections["status"].to_pylist())),
        "sort": "probability" if any(d["probability"] is not None for d in accepted) else "rate",
        "less_probable_text": f"also show {n_less} less probable, below {style.shown_from}" if n_less else "",
        "shown_texts": shown_texts,
        "states": [[state, state_text(state)] for state in (*MATCH_TEXTS, UNMATCHED)],
        "kinds": {kind: kind_text(kind) for kind in sorted({str(s["kind"]) for s in shown})},
        "near_zoom": style.near_zoom,
        "name_zoom": style.name_zoom,
        "max_names": MAX_NAMES,
        "bounds": bounds(places, rows.areas),
        "detections": [{k: v for k, v in d.items() if k != "geometry"} for d in detections],
        "plumes": collection([feature(d["geometry"], id=d["id"], state=d["state"]) for d in accepted if d["geometry"]]),
        "looked_at": [
            {"name": one.name, "is_searched": one.is_searched, "outcome": one.outcome, "lines": list(one.lines)}
            for one in told
        ],
        "areas": collection(
            [feature(mapping(a.geometry), name=a.name, is_searched=of_area[a.name].is_searched) for a in areas]
        ),
        "area_boxes": [_box(area, of_area[area.name]) for area in areas],
        **tracks_shown(gas, rows.observations.to_pylist()),
        "lines": collection(
            [_line(d, sources[name]) for d in accepted for name in d["first_sources"] if name in sources]
        ),
        "sources": [source_shown(gas, s, is_first=s["source_id"] in first) for s in shown],
        "pictures": {d["id"]: rows.pictures[d["id"]] for d in accepted if d["id"] in rows.pictures},
        "scene_pages": {d["id"]: rows.scene_pages[d["id"]] for d in accepted if d["id"] in rows.scene_pages},
        "source_pages": {s["source_id"]: p for s in shown if (p := rows.source_pages.get(s["source_id"]))},
        "reports": reports,
        "attribution": [
            style.attribution,
            *licence_texts(shown),
            *report_licences(reports),
            "Countries: Natural Earth",
        ],
    }


def _line(detection: Row, source: Row) -> dict[str, Any]:
    """From a detection to its first source, or to one that is as good."""
    place = detection["lon"], detection["lat"]
    return feature(line(place, (source["longitude"], source["latitude"])), id=detection["id"])


def _box(area: Area, told: LookedAt) -> dict[str, Any]:
    label = f"{area.name}: {told.outcome}" + (f", limit {told.limit}" if told.limit else "")
    return {"name": area.name, "label": label, "is_searched": told.is_searched, "bounds": corners(area)}


def _summary(gas: Gas, accepted: Sequence[Row], told: Sequence[LookedAt]) -> str:
    """What was found where somebody looked, and where nobody did."""
    missed = not_searched_text(told)
    is_searched = any(one.is_searched for one in told)
    if not accepted and not is_searched:
        return f"Nothing was searched: {missed}."
    rates = [d["rate"] for d in accepted if d["rate"] is not None]
    found = f"{len(accepted) or 'No'} {gas.noun}{'' if len(accepted) == 1 else 's'} accepted"
    where = f" in {searched_text(gas, told)}" if is_searched else ""
    largest = f", the largest {rate_text(gas, max(rates))}" if rates else ""
    return f"{found}{where}{largest}." + (f" Not searched: {missed}." if missed else "")


def _shown_texts(gas: Gas, accepted: Sequence[Row]) -> list[str]:
    """What is said of the accepted ones that are shown: without the less probable ones, and with all of them."""
    every = [d["probability"] for d in accepted]
    if STYLES[gas.name].shown_from is None or all(p is None for p in every):
        return ["", ""]
    first = [d["probability"] for d in accepted if not d["is_less_probable"]]
    hidden = hidden_text(len(every) - len(first))
    return [f"{expected_false_text(gas.noun, first)} {hidden}".strip(), expected_false_text(gas.noun, every)]


def _refused_text(refused: int) -> str:
    if not refused:
        return ""
    if refused <= MAX_REFUSED:
        return f"also show {refused} not accepted"
    return f"also show the {MAX_REFUSED} strongest of {refused} not accepted"
