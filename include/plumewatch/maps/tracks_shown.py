"""What a map shows of orbits: where each has soundings, what came of it, and from which emission on it would have seen
one, so that nothing seen is a statement too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from plumewatch.gases import CH4, Gas
from plumewatch.maps.geojson import collection, feature
from plumewatch.orbits import OCO2, SENSOR_NAMES
from plumewatch.pages.outcomes import limit_text, outcome_text, share_text
from plumewatch.pages.wording import time_text
from plumewatch.statuses import SEARCHED

Row = Mapping[str, Any]

MAX_TRACKS = 1000  # two months of one sensor: more of them hide each other, and the map
DIGITS = 2  # of degrees: 1 km, a tenth of the swath
SEEN, NOTHING_SEEN, NOT_SEARCHED = "seen", "nothing_seen", "not_searched"
STATE_TEXTS = {
    SEEN: "orbits with an accepted peak",
    NOTHING_SEEN: "orbits searched, nothing seen",
    NOT_SEARCHED: "orbits not searched",
}
"""What came of an orbit, in words."""


def tracks_shown(gas: Gas, observations: Sequence[Row]) -> dict[str, Any]:
    """Return `tracks` (lines with `n` and `state`), `orbits` (by n: what the panel tells), `tracks_text` (what isn't
    drawn): of more than MAX_TRACKS those with an accepted peak come first, then the newest."""
    found = [] if gas is CH4 else [row for row in observations if row.get("track")]
    found.sort(key=_order)
    drawn = sorted(sorted(found, key=lambda row: bool(row["detected"]))[-MAX_TRACKS:], key=_order)
    n_left = len(found) - len(drawn)
    text = f"{n_left:,} of {len(found):,} orbits aren't drawn: those with a peak, then the newest are" if n_left else ""
    lines = shapely.from_wkb([row["track"] for row in drawn])
    lines = shapely.transform(lines, lambda places: np.round(places, DIGITS))
    return {
        "tracks": collection(
            [
                feature(shapely.geometry.mapping(line), n=n, state=_state(row))
                for n, (row, line) in enumerate(zip(drawn, lines, strict=True))
            ]
        ),
        "orbits": [_told(gas, row) for row in drawn],
        "track_states": [[state, text] for state, text in STATE_TEXTS.items()],
        "tracks_text": text,
    }


def _order(row: Row) -> tuple[str, str, int, str]:
    return str(row["observed_at_utc"]), row.get("sensor") or OCO2, row["orbit"], row["stage"]


def _state(row: Row) -> str:
    if row["outcome"] != SEARCHED:
        return NOT_SEARCHED
    return SEEN if row["detected"] else NOTHING_SEEN


def _told(gas: Gas, row: Row) -> dict[str, Any]:
    state, sensor = _state(row), row.get("sensor") or OCO2
    facts = [["sensor", SENSOR_NAMES.get(sensor, sensor)]]
    if state != NOT_SEARCHED:
        share, limit = _known(row["clear_fraction"]), _known(row["detection_limit"])
        facts += [["searched", f"{share_text(share)} of its track"]] if share is not None else []
        facts.append(["detection limit", "none (no wind)" if limit is None else limit_text(gas, limit)])
        facts.append([f"{gas.noun}s accepted", "yes" if row["detected"] else "none"])
    return {
        "title": f"Orbit {row['orbit']}",
        "time": time_text(row["observed_at_utc"]),
        "state": state,
        "outcome": outcome_text(gas, row),
        "facts": facts,
    }


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value
