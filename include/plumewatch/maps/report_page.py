"""The report of a month as HTML: what was looked at, found, and failed, by area; one file without program or network.

Pure: `key_summary` says what a report needs of one day or month of a gas, `render_report` puts these together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plumewatch.gases import CH4, CO2, Gas
from plumewatch.maps.content import MapRows
from plumewatch.maps.detections_shown import (
    REFUSED,
    UNMATCHED,
    detection_shown,
    known_rows,
    matches_by_detection,
    state_text,
    wanted_rows,
)
from plumewatch.maps.looked_at import looked_at
from plumewatch.pages.outcomes import NOT_LOOKED_AT_TEXT, OUTCOME_TEXTS, limit_text, range_text
from plumewatch.pages.page import render_head
from plumewatch.pages.parts import Link, render_list, render_table
from plumewatch.pages.wording import ATTRIBUTIONS, MATCH_TEXTS, false_number_text, rate_text
from plumewatch.statuses import FAILED, SEARCHED, SKIPPED_CLOUD, WAITING_FOR_QUOTA

Summary = Mapping[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root{--paper:#fff;--ink:#1f2328;--soft:#59636e;--rim:#d0d7de;--link:#0969da}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;--rim:#3d444d;--link:#58a6ff}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;
padding:0 1rem}h1{margin-bottom:0}h2{margin-top:2rem;font-size:1.1rem}#summary,.note{color:var(--soft);margin-top:.3rem}
table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}th,td{border-bottom:1px solid
var(--rim);padding:.3em .6em;text-align:left;vertical-align:top}th{color:var(--soft);font-weight:500}
td{overflow-wrap:anywhere;min-width:3.2em}td:first-child{min-width:9em}.wide{overflow-x:auto}a{color:var(--link)}
@media print{body{max-width:none;margin:0}a{color:inherit}}
"""
MAX_LISTED = 50  # detections of a gas, the highest rates first; the maps have all
SHOWN = (
    "id", "time", "where", "state", "rate", "rate_text", "interval_text", "source_text", "certainty_text",
    "probability",
)  # fmt: skip
"""What is kept of a detection."""
STATES = (*MATCH_TEXTS, UNMATCHED)
FOR_OUTCOMES = (SEARCHED, SKIPPED_CLOUD, FAILED, WAITING_FOR_QUOTA)
"""Outcomes with a column of their own; the others stand together."""


def key_summary(gas: Gas, key: str, rows: MapRows) -> dict[str, Any]:
    """Return what a report tells of a gas's day or month, as plain values: who looked, what was found, what failed."""
    sources = {s["source_id"]: s for s in known_rows(rows.sources) if s["gas"] == gas.name}
    matches = matches_by_detection(rows.matches)
    shown = [detection_shown(gas, row, matches, sources) for row in wanted_rows(gas, rows.detections)]
    observations = known_rows(rows.observations)
    places = []
    for one in looked_at(gas, observations, [area.name for area in rows.areas]):
        own = [row for row in observations if gas is not CH4 or (row["area"] or "") == one.name]
        searched = [row["detection_limit"] for row in own if row["outcome"] == SEARCHED]
        limits = [value for value in searched if value is not None]
        places.append(
            {
                "name": one.name,
                "outcome": one.outcome,
                "is_searched": one.is_searched,
                "n": one.n,
                "limits": [min(limits), max(limits)] if limits and one.is_searched else [],
            }
        )
    found = [{name: d[name] for name in SHOWN} for d in shown if d["state"] != REFUSED]
    failed = Counter(row["area"] or "" for row in observations if row["outcome"] == FAILED)
    return {"gas": gas.name, "key": key, "places": places, "failed": failed, "detections": found}


def render_report(month: str, summaries: Iterable[Summary]) -> str:
    """Return the report of a month from the summaries of its days and of itself; their order makes no difference."""
    ordered = sorted(summaries, key=lambda one: (one["gas"], one["key"]))
    days = [one for one in ordered if one["gas"] == CH4.name]
    months = [one for one in ordered if one["gas"] == CO2.name]
    told = [_counted(gas, of_gas) for gas, of_gas in ((CH4, days), (CO2, months)) if of_gas]
    summary = " ".join(told) or "No day of it and no orbit is on record."
    parts = [
        render_head(f"Report of {month}", summary, STYLE, POLICY),
        "<h2>Methane, by area</h2>", _areas(days),
        '<p class="note">Days by what came of them, the best of several passes; failed scenes are counted one by one, '
        "those of searched days too. In no inventory: no listed source is more probable.</p>",
        "<h2>Methane plumes</h2>", _detections(CH4, days),
        "<h2>CO2, by what came of the orbits</h2>", _orbits(months),
        "<h2>CO2 peaks</h2>", _detections(CO2, months),
        "<h2>To cite</h2>", render_list(ATTRIBUTIONS.values()),
        "</body>\n</html>\n",
    ]  # fmt: skip
    return "\n".join(parts)


def _counted(gas: Gas, summaries: Sequence[Summary]) -> str:
    """A gas's month in a sentence."""
    found = [d for one in summaries for d in one["detections"]]
    states = Counter(d["state"] for d in found)
    kinds = ", ".join(f"{states[state]} {state_text(state)}" for state in STATES if states[state])
    noun = f"{gas.noun}{'' if len(found) == 1 else 's'}"
    text = f"{len(found) or 'No'} {noun} accepted" + (f" ({kinds})." if kinds else ".")
    if gas is CH4:
        searched = {(one["key"], place["name"]) for one in summaries for place in one["places"] if place["is_searched"]}
        n_areas, n_days = len({area for _, area in searched}), len({day for day, _ in searched})
        text += f" {_count(n_areas, 'area')} searched on {_count(n_days, 'day')}."
    else:
        text += (
            f" {_count(sum(p['n'] for one in summaries for p in one['places'] if p['is_searched']), 'orbit')} searched."
        )
    failed = sum(sum(one["failed"].values()) for one in summaries)
    what = "scene" if gas is CH4 else "granule"
    return text + (f" {_count(failed, what)} failed." if failed else "")


def _areas(days: Sequence[Summary]) -> str:
    by_area: dict[str, list[Mapping[str, Any]]] = {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in days:
        for place in one["places"]:
            by_area.setdefault(place["name"], []).append(place)
        for d in one["detections"]:
            found.setdefault(d["where"], []).append(d)
    table = []
    for area in sorted(by_area.keys() | found.keys()):
        outcomes = Counter(_kind(place) for place in by_area.get(area, ()))
        own = found.get(area, [])
        states = Counter(d["state"] for d in own)
        limits = [value for place in by_area.get(area, ()) for value in place["limits"]]
        others = ", ".join(f"{outcome} {n}" for outcome, n in sorted(outcomes.items()) if outcome not in _OWN_COLUMN)
        rates, known = ([d[name] for d in own if d[name] is not None] for name in ("rate", "probability"))
        table.append(
            [
                area,
                *(outcomes[OUTCOME_TEXTS[outcome]] or None for outcome in FOR_OUTCOMES),
                others,
                sum(one["failed"].get(area, 0) for one in days) or None,
                range_text(limits, lambda limit: limit_text(CH4, limit)),
                len(own) or None,
                *(states[state] or None for state in STATES),
                rate_text(CH4, max(rates)) if rates else "",
                false_number_text(known) if known else "",
            ]
        )
    columns = (
        "area", "days searched", "too cloudy", "failed", "waiting for quota", "other days", "failed scenes",
        "detection limit", "plumes", *(state_text(state) for state in STATES), "largest", "false, expected",
    )  # fmt: skip
    return render_table(columns, table, "No area was looked at.")


_OWN_COLUMN = {OUTCOME_TEXTS[outcome] for outcome in FOR_OUTCOMES} | {NOT_LOOKED_AT_TEXT}


def _kind(place: Mapping[str, Any]) -> str:
    return OUTCOME_TEXTS[SEARCHED] if place["is_searched"] else str(place["outcome"])


def _orbits(months: Sequence[Summary]) -> str:
    table = [
        [place["name"], place["outcome"], range_text(place["limits"], lambda limit: limit_text(CO2, limit))]
        for one in months
        for place in one["places"]
    ]
    return render_table(("how many", "what came of them", "detection limit"), table, "No orbit was looked at.")


def _detections(gas: Gas, summaries: Sequence[Summary]) -> str:
    found = [(one["key"], d) for one in summaries for d in one["detections"]]
    found.sort(key=lambda of: (-(of[1]["rate"] or 0.0), of[0], of[1]["id"]))
    table = [
        [
            d["time"], d["where"], d["rate_text"], d["interval_text"], d["certainty_text"], state_text(d["state"]),
            d["source_text"], Link(f"../maps/{gas.name}/{key}.html", "map"),
        ]
        for key, d in found[:MAX_LISTED]
    ]  # fmt: skip
    columns = ("time", "area" if gas is CH4 else "orbit", "rate", "", "certainty", "inventories", "source", "")
    left = f'<p class="note">And {len(found) - MAX_LISTED} weaker ones.</p>' if len(found) > MAX_LISTED else ""
    return render_table(columns, table, "None was accepted.") + left


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
