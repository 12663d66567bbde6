"""The summary of published cases as one HTML page: scores beside those of other teams, then a row a case."""

from __future__ import annotations

import html
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumewatch.gases import CH4
from plumewatch.methane.cases.published import ALL_TEAMS, DETECTED, NOT_DETECTED, NOTHING_RELEASED_KG_H, error_percent
from plumewatch.pages.page import render_head
from plumewatch.pages.wording import chance_text, interval_text, platform_text
from plumewatch.sensors.known import sensor_of_platform
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sensor import Sensor
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.statuses import ACCEPTED

US = "Plumewatch"
JUDGED = (DETECTED, NOT_DETECTED)
TITLE = "Published methane emissions beside what Plumewatch finds"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
STYLE = (
    "body{font:14px/1.4 sans-serif;margin:2em;max-width:110em}table{border-collapse:collapse;margin:1em 0}"
    "th,td{border:1px solid #bbb;padding:.25em .5em;text-align:left;vertical-align:top}th{background:#eee}"
)
SCORE_COLUMNS = ("team", "releases seen", "median |error|", "mean |error|", "false alarms")
CASE_COLUMNS = (
    "case", "site", "satellite", "outcome", "metered", "Plumewatch", "error", "probability", "km from site", "limit",
    "published", "missing or note",
)  # fmt: skip

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """How one team did on metered releases."""

    team: str
    """Who."""
    released: int
    """Passes with a release that the team judged."""
    detected: int
    """Of these: seen."""
    median_error_percent: float | None
    """Median of |estimate / metered - 1| of the detected ones."""
    mean_error_percent: float | None
    """Mean of the same."""
    empty: int
    """Passes without a release that the team judged."""
    false_alarms: int
    """Of these: something was seen."""


def compute_scores(rows: Sequence[Row], sensor: Sensor = SENTINEL2) -> list[Score]:
    """Return the scores of Plumewatch and of each team on the metered passes among rows of the table `validation`.

    A pass counts for those who judged it: a team whose retrieval failed, or an outcome that is neither detected nor not
    detected, leaves it out. Passes of other sensors are left out for all.
    """
    metered = [
        row for row in rows if row["metered_kg_h"] is not None and sensor_of_platform(row["platform"] or "") is sensor
    ]
    ours = [(row["metered_kg_h"], _our_rate(row)) for row in metered if row["outcome"] in JUDGED]
    by_team: dict[str, list[tuple[float, float]]] = {}
    for row in metered:
        for estimate in row["published"] or ():
            if estimate["emission_kg_h"] is not None and estimate["team"] != ALL_TEAMS:
                by_team.setdefault(estimate["team"], []).append((row["metered_kg_h"], estimate["emission_kg_h"]))
    return [_score(US, ours)] + [_score(team, by_team[team]) for team in sorted(by_team)]


def render_cases(rows: Sequence[Row]) -> str:
    """Return the page of rows of the table `validation` (with `case`); the same rows give the same page."""
    rows = sorted(rows, key=lambda row: (row["metered_kg_h"] is None, row["observed_on"], row["case"]))
    judged = [row for row in rows if row["outcome"] in JUDGED]
    sources = dict.fromkeys((row["set"], row["source"], row["licence"]) for row in rows)
    parts: dict[str, str] = {}
    for sensor in (SENTINEL2, LANDSAT):
        if judged:
            name = f"Metered releases, {sensor.title} passes that Plumewatch judged"
            parts[name] = _scores(judged, sensor)
        parts[f"Metered releases, all {sensor.title} passes of the table"] = _scores(rows, sensor)
    parts |= {
        "Cases (rates in kg/h)": _table(CASE_COLUMNS, [_cells(row) for row in rows]),
        "Sources": _table(("set", "source", "licence"), list(sources)),
    }
    head = render_head(TITLE, _sentence(rows), STYLE, POLICY)
    tables = (f"<h2>{title}</h2>\n{table}" for title, table in parts.items())
    return "\n".join([head, *tables, "</body>", "</html>", ""])


def _our_rate(row: Row) -> float:
    """Our rate, 0 where nothing was detected, NaN where a detection has no rate for want of a wind."""
    if row["outcome"] != DETECTED:
        return 0.0
    return float("nan") if row["emission_kg_h"] is None else float(row["emission_kg_h"])


def _score(team: str, pairs: Sequence[tuple[float, float]]) -> Score:
    released = [(metered, rate) for metered, rate in pairs if metered > NOTHING_RELEASED_KG_H]
    empty = [rate for metered, rate in pairs if metered <= NOTHING_RELEASED_KG_H]
    seen = [(metered, rate) for metered, rate in released if rate != 0.0]
    errors = [error_percent(rate, metered) for metered, rate in seen]
    sizes = [abs(error) for error in errors if error is not None and error == error]
    return Score(
        team,
        len(released),
        len(seen),
        statistics.median(sizes) if sizes else None,
        statistics.mean(sizes) if sizes else None,
        len(empty),
        sum(rate != 0.0 for rate in empty),
    )


def _sentence(rows: Sequence[Row]) -> str:
    ours = compute_scores(rows)[0]
    counts = Counter(row["outcome"] for row in rows)
    told = ", ".join(f"{outcome} {n}" for outcome, n in sorted(counts.items())) or "none"
    error = "" if ours.median_error_percent is None else f", median |error| {ours.median_error_percent:.0f} %"
    return (
        f"{len(rows)} cases ({told}). Metered releases seen: {ours.detected} of {ours.released}{error}. "
        f"False alarms: {ours.false_alarms} of {ours.empty} passes without a release "
        f"(metered at most {NOTHING_RELEASED_KG_H:g} kg/h)."
    )


def _scores(rows: Sequence[Row], sensor: Sensor) -> str:
    cells = []
    for score in compute_scores(rows, sensor):
        errors = map(_percent, (score.median_error_percent, score.mean_error_percent))
        seen, alarms = f"{score.detected} of {score.released}", f"{score.false_alarms} of {score.empty}"
        cells.append((score.team, seen, *errors, alarms))
    return _table(SCORE_COLUMNS, cells)


def _cells(row: Row) -> tuple[str, ...]:
    rate = _kg_h(row["emission_kg_h"], row["emission_kg_h_low"], row["emission_kg_h_high"])
    status = "" if row["status"] in (None, ACCEPTED) else f" ({row['status']})"
    return (
        row["case"],
        row["site"],
        platform_text(row["platform"] or "sentinel-2"),
        row["outcome"] + status,
        _kg_h(row["metered_kg_h"]),
        rate or interval_text(CH4, None, None, row["emission_status"]),
        _percent(row["error_percent"], "+"),
        "" if row["probability"] is None else chance_text(row["probability"]),
        "" if row["distance_km"] is None else f"{row['distance_km']:.2f}",
        _kg_h(row["detection_limit_kg_h"]),
        "; ".join(_estimate(estimate) for estimate in row["published"] or ()),
        "; ".join(text for text in (row["missing"], row["note"]) if text),
    )


def _estimate(estimate: Row) -> str:
    rate, low, high = (estimate[name] for name in ("emission_kg_h", "emission_kg_h_low", "emission_kg_h_high"))
    told = "failed" if rate is None else _kg_h(rate, low, high)
    probability = "" if estimate["probability"] is None else f", p {estimate['probability']:.2f}"
    return f"{estimate['team']} {told}{probability}"


def _kg_h(rate: float | None, low: float | None = None, high: float | None = None) -> str:
    if rate is None:
        return ""
    return f"{rate:,.0f}" if low is None or high is None else f"{rate:,.0f} ({low:,.0f} to {high:,.0f})"


def _percent(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.0f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>\n" + "\n".join([line("th", head), *(line("td", row) for row in rows)]) + "\n</table>"
