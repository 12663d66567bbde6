"""What a map shows of a detection: its texts, its circle, its wind, and the sources that may be behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import shapely

from plumewatch.gases import CO2, Gas
from plumewatch.maps.geojson import mapping, rounded
from plumewatch.maps.map_style import STYLES
from plumewatch.matching.rule import matching_rule
from plumewatch.matching.sector import upwind_sector
from plumewatch.pages.wording import (
    area_text,
    chance_beside_text,
    chance_text,
    false_alarm_text,
    interval_text,
    mass_text,
    match_text,
    place_text,
    probability_text,
    rate_text,
    status_text,
    time_text,
    wind_text,
    without_rate_text,
)
from plumewatch.statuses import ACCEPTED

Row = Mapping[str, Any]

F32_DIGITS = 6  # decimals of a probability of 32 bits, which has seven digits
MAX_REFUSED = 500  # more circles hide the map and swell the file
MAX_MATCHES_SHOWN = 6  # rows of a popup, beside that it is in no inventory
MAX_FIRST_NAMED = 3  # sources that are as good, in a line of the list
WIND_SIZE_M_S = 10.0  # wind whose arrow has its full length
CALM_SIZE = 0.45  # of the arrow of the weakest wind, a share of the full length
REFUSED, UNMATCHED = "refused", "unmatched"
"""States of a detection that has no status of a match."""
UNMATCHED_TEXT = "not matched yet"
FACTS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("extent", "area_m2", area_text),
    ("methane", "ime_kg", mass_text),
    ("scene", "scene_id", str),
    ("height", "height_ppm", lambda height: f"{height:.2f} ppm"),
    ("width", "sigma_km", lambda sigma: f"sigma {sigma:.1f} km"),
    ("false alarm", "false_alarm_probability", false_alarm_text),
    ("soundings", "n_soundings", str),
)
"""What is told of a detection whose row has the column: name, column, wording."""


def known_rows(table: pa.Table) -> list[Row]:
    """Return rows as dicts, NaN as None: both say that a value isn't known."""
    return [{k: None if v != v else v for k, v in row.items()} for row in table.to_pylist()]


def wanted_rows(gas: Gas, detections: pa.Table) -> list[Row]:
    """Return accepted rows and the strongest refused ones, in the order of time and id."""
    rows, strength = known_rows(detections), STYLES[gas.name].strength
    refused = [r for r in rows if r["status"] != ACCEPTED]
    refused.sort(key=lambda r: (-(r[strength] if r[strength] is not None else -math.inf), str(r[gas.id_column])))
    wanted = [r for r in rows if r["status"] == ACCEPTED] + refused[:MAX_REFUSED]
    return sorted(wanted, key=lambda r: (str(r["observed_at_utc"]), str(r[gas.id_column]), r["status"]))


def matches_by_detection(matches: pa.Table) -> dict[str, list[Row]]:
    """Return the matches of each detection, the most probable first."""
    found: dict[str, list[Row]] = {}
    for row in sorted(known_rows(matches), key=lambda r: (r["detection_id"], r["rank"])):
        found.setdefault(row["detection_id"], []).append(row)
    return found


def first_matches(gas: Gas, candidates: Sequence[Row]) -> list[Row]:
    """Return the first of the matches of a detection, and the sources over which it has no clear lead.

    The lead is that of a confirmed source, twice as probable: of two plants at one place nobody knows which it was.
    """
    if not candidates:
        return []
    first, *others = candidates
    if first["source_id"] is None:
        return [first]
    lead = matching_rule(gas.name).confirmed_lead
    alike = [m for m in others if m["source_id"] is not None and first["probability"] < lead * m["probability"]]
    return [first, *alike]


def detection_shown(
    gas: Gas, row: Row, matches: Mapping[str, Sequence[Row]], sources: Mapping[str, Row]
) -> dict[str, Any]:
    """Return what is shown of one row of the gas's table; `geometry` is its outline, where it has one."""
    style, name, is_accepted = STYLES[gas.name], str(row[gas.id_column]), row["status"] == ACCEPTED
    candidates = matches.get(name, ()) if is_accepted else ()
    first = first_matches(gas, candidates)
    shown = [m for m in candidates if m["rank"] <= MAX_MATCHES_SHOWN or m["source_id"] is None]
    state = REFUSED if not is_accepted else candidates[0]["status"] if candidates else UNMATCHED
    rate, low, high = (row[gas.emission_column + end] for end in ("", "_low", "_high"))
    speed, origin = _wind(row)
    outline = row.get("geometry") if is_accepted else None
    probability, own = detection_probability(gas, row, candidates), row.get("probability")
    false_alarm = row.get("false_alarm_probability")
    place = row["longitude"], row["latitude"]
    facts = [["wind", wind_text(speed, origin)]] if speed is not None and origin is not None else []
    facts += [["probability", chance_beside_text(probability, own)]] if probability is not None else []
    facts += [[label, word(row[column])] for label, column, word in FACTS if row.get(column) is not None]
    facts += [["place", place_text(*place)], ["id", name]]
    return {
        # A refused candidate may share its id with an accepted peak, whose place it is near.
        "id": name if is_accepted else f"{name} {row['status']}",
        "key": row.get(gas.key_column),
        "title": f"{gas.noun.capitalize()} {place_text(*place, style.place_digits)}",
        "seen_in": f"{style.seen_in} {row[style.seen_in]}",
        "where": str(row[style.seen_in]),
        "time": time_text(row["observed_at_utc"]),
        "observed_at_utc": row["observed_at_utc"] and row["observed_at_utc"].isoformat(),
        "lon": rounded(row["longitude"]),
        "lat": rounded(row["latitude"]),
        "state": state,
        "state_text": status_text(row["status"]) if state == REFUSED else state_text(state),
        "rate": rate,
        "rate_low": low,
        "rate_high": high,
        "rate_text": rate_text(gas, rate),
        "interval_text": interval_text(gas, low, high, without_rate_text(row)),
        "radius": style.radius_px(rate),
        "probability": probability,
        "rarity": None if false_alarm is None else 1.0 - false_alarm,
        "certainty_text": _certainty_text(probability, false_alarm),
        "is_less_probable": is_accepted and _is_less_probable(gas, probability),
        "wind_to": None if origin is None else round((origin + 180.0) % 360.0, 1),
        "wind_size": 0 if speed is None else _wind_size(speed),
        "facts": facts,
        "matches": [_match(gas, m, sources) for m in shown],
        "first_sources": [m["source_id"] for m in first if m["source_id"] is not None],
        "source_text": _sources_text(first, sources),
        "geometry": mapping(shapely.from_wkb(outline)) if outline else None,
    }


def sector_shown(gas: Gas, row: Row) -> dict[str, Any] | None:
    """Return the sector upwind of an accepted peak by the wind at the peak; None of others, and without wind.

    Its source was looked for along the way of the air, which may turn out of it where the field of wind is known. A
    plume begins at its source.
    """
    u, v = row.get("wind_u_m_s"), row.get("wind_v_m_s")
    if gas is not CO2 or row["status"] != ACCEPTED or u is None or v is None:
        return None
    sector = upwind_sector(row["longitude"], row["latitude"], u, v)
    return None if sector is None else mapping(sector)


def state_text(state: str) -> str:
    """Return in words what the inventories say of a detection, if they were asked."""
    return UNMATCHED_TEXT if state == UNMATCHED else match_text(state)


def _wind(row: Row) -> tuple[float | None, float | None]:
    """Speed in m/s and where the wind is from in degrees from north: stated as such, or as a vector."""
    if "wind_from_deg" in row:
        stated = row["wind_speed_10m_m_s"], row["wind_from_deg"]
        return (None, None) if None in stated else stated
    u, v = row["wind_u_m_s"], row["wind_v_m_s"]
    return (None, None) if u is None or v is None else (math.hypot(u, v), math.degrees(math.atan2(-u, -v)) % 360.0)


def _wind_size(speed_m_s: float) -> float:
    return round(min(1.0, CALM_SIZE + (1.0 - CALM_SIZE) * speed_m_s / WIND_SIZE_M_S), 2)


def detection_probability(gas: Gas, row: Row, candidates: Sequence[Row]) -> float | None:
    """Return how probable it is that a source's plume is there: by its matches where they say so, else by its row."""
    weighs_sources = STYLES[gas.name].shown_from is not None
    is_false = candidates[0].get("false_detection_probability") if candidates and weighs_sources else None
    probability = row.get("probability") if is_false is None else 1.0 - is_false
    return None if probability is None else round(probability, F32_DIGITS)


def _is_less_probable(gas: Gas, probability: float | None) -> bool:
    """Whether it is shown only if asked for; what isn't known to be less probable is shown."""
    least = STYLES[gas.name].shown_from
    return least is not None and probability is not None and probability < least


def _certainty_text(probability: float | None, false_alarm: float | None) -> str:
    """The probability, else how rarely noise does the same."""
    if probability is not None:
        return probability_text(probability)
    return "" if false_alarm is None else f"false alarm {false_alarm_text(false_alarm)}"


def _match(gas: Gas, match: Row, sources: Mapping[str, Row]) -> dict[str, str]:
    is_listed = match["source_id"] is not None
    return {
        "name": _source_name(match, sources),
        "probability": chance_text(match["probability"]),
        "distance": f"{match['distance_km']:.{0 if match['distance_km'] >= 10 else 1}f} km" if is_listed else "",
        "expected": rate_text(gas, match["expected_emission"]) if is_listed else "",
    }


def _sources_text(matches: Sequence[Row], sources: Mapping[str, Row]) -> str:
    """The names of sources of which any may be the one; those of one name with their ids."""
    names = [_source_name(m, sources) for m in matches]
    told = [f"{n} ({m['source_id']})" if names.count(n) > 1 else n for n, m in zip(names, matches, strict=True)]
    more = [f"{len(told) - MAX_FIRST_NAMED} more"] if len(told) > MAX_FIRST_NAMED else []
    *some, last = [*told[:MAX_FIRST_NAMED], *more] or [""]
    return f"{', '.join(some)} or {last}" if some else last


def _source_name(match: Row, sources: Mapping[str, Row]) -> str:
    """A source's name; its id where the inventory at hand doesn't have it."""
    if match["source_id"] is None:
        return "in no inventory"
    return str(sources[match["source_id"]]["name"] if match["source_id"] in sources else match["source_id"])
