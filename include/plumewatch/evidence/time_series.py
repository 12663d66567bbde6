"""The time series of a source as SVG: detections with intervals, and what passes that saw nothing could see. Pure.

Time runs to the right, emission upwards on a logarithmic axis. A detection is a disc on its interval, the fainter the
less probably it is the source's; a pass that saw nothing is a triangle that points down from its detection limit, the
fainter the less it saw. The band is what all passes together say, the dashed line what the inventory states.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plumewatch.gases import Gas
from plumewatch.pages.wording import rate_text, time_text

Row = Mapping[str, Any]

WIDTH, HEIGHT = 900, 320
LEFT, RIGHT, TOP, BOTTOM = 80, 16, 12, 34
DECADES = 2.0  # are shown at least
TICKS = 6


def draw_time_series(gas: Gas, passes: Sequence[Row], estimate: Row, reports: Sequence[Row] = ()) -> str:
    """Return the SVG of rows of `source_passes` of one source and its row of `source_estimates`.

    Diamonds are the rates of `reports`, what others saw of it.
    """
    timed = [p for p in passes if p["observed_at_utc"] is not None]
    told = [r for r in reports if r["emission_kg_h"]]
    times = [p["observed_at_utc"].timestamp() for p in timed] + [r["observed_at_utc"].timestamp() for r in told]
    values = [v for p in timed for v in _values(p)] + [_of_report(gas, r) for r in told]
    values += [v for v in (estimate["emission_low"], estimate["emission_high"], estimate["inventory_emission"]) if v]
    axes = _Axes(times, values)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Emission by pass, {gas.unit}, over time">',
        _band(axes, estimate), *_grid(gas, axes), *(_mark(gas, axes, p) for p in timed),
        *(_diamond(gas, axes, r) for r in told), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts)


class _Axes:
    """From times and emissions to places in the picture."""

    def __init__(self, times: Sequence[float], values: Sequence[float]) -> None:
        first, last = min(times, default=0.0), max(times, default=1.0)
        margin = max(0.03 * (last - first), 86_400.0)
        self.first, self.last = first - margin, last + margin
        logs = [math.log10(v) for v in values if v > 0]
        low, high = min(logs, default=0.0) - 0.15, max(logs, default=1.0) + 0.15
        more = max(0.0, DECADES - (high - low)) / 2
        self.low, self.high = low - more, high + more

    def x(self, time: float) -> float:
        share = (time - self.first) / (self.last - self.first)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - TOP - BOTTOM), 1)


def _values(row: Row) -> list[float]:
    names = ("emission", "emission_low", "emission_high") if row["detection_id"] else ("detection_limit",)
    return [row[name] for name in names if row[name]]


def _of_report(gas: Gas, report: Row) -> float:
    return float(report["emission_kg_h"]) * gas.units_per_kg_h


def _grid(gas: Gas, axes: _Axes) -> list[str]:
    parts = []
    for power in range(math.ceil(axes.low), math.floor(axes.high) + 1):
        y = axes.y(10.0**power)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{rate_text(gas, 10.0**power)}</text>')
    span_days = (axes.last - axes.first) / 86_400
    form = "%Y" if span_days > 6 * 400 else "%Y-%m" if span_days > 150 else "%m-%d"
    for n in range(TICKS):
        at = axes.first + (n + 0.5) / TICKS * (axes.last - axes.first)
        text = datetime.fromtimestamp(at, UTC).strftime(form)
        parts.append(f'<text x="{axes.x(at)}" y="{HEIGHT - 10}" text-anchor="middle">{text}</text>')
    return parts


def _band(axes: _Axes, estimate: Row) -> str:
    parts = []
    if estimate["emission"]:
        top, bottom = axes.y(estimate["emission_high"]), axes.y(estimate["emission_low"])
        middle, width = axes.y(estimate["emission"]), WIDTH - LEFT - RIGHT
        parts.append(f'<rect class="band" x="{LEFT}" y="{top}" width="{width}" height="{round(bottom - top, 1)}"/>')
        parts.append(f'<line class="estimate" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle}" y2="{middle}"/>')
    if estimate["inventory_emission"]:
        y = axes.y(estimate["inventory_emission"])
        parts.append(f'<line class="listed" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
    return "\n".join(parts)


def _mark(gas: Gas, axes: _Axes, row: Row) -> str:
    x, when = axes.x(row["observed_at_utc"].timestamp()), time_text(row["observed_at_utc"])
    if row["detection_id"] is None:
        if not row["detection_limit"]:
            return ""
        y, faint = axes.y(row["detection_limit"]), _opacity(row["visible_fraction"])
        title = html.escape(f"{when}: nothing seen, limit {rate_text(gas, row['detection_limit'])}")
        path = f"M{x - 4} {y - 3}h8l-4 7z"
        return f'<path class="unseen" d="{path}" opacity="{faint}"><title>{title}</title></path>'
    faint, title = _opacity(row["probability"]), html.escape(f"{when}: {rate_text(gas, row['emission'])}")
    y = axes.y(row["emission"]) if row["emission"] else HEIGHT - BOTTOM
    bar = ""
    if row["emission_low"] and row["emission_high"]:
        bar = f'<line x1="{x}" x2="{x}" y1="{axes.y(row["emission_low"])}" y2="{axes.y(row["emission_high"])}"/>'
    return f'<g class="seen" opacity="{faint}">{bar}<circle cx="{x}" cy="{y}" r="4.5"/><title>{title}</title></g>'


def _diamond(gas: Gas, axes: _Axes, report: Row) -> str:
    x, y = axes.x(report["observed_at_utc"].timestamp()), axes.y(_of_report(gas, report))
    text = f"{time_text(report['observed_at_utc'])}: {report['provider']}, {rate_text(gas, _of_report(gas, report))}"
    path = f"M{x} {y - 5}l5 5l-5 5l-5 -5z"
    return f'<path class="reported" d="{path}"><title>{html.escape(text)}</title></path>'


def _opacity(share: float | None) -> float:
    return round(0.25 + 0.75 * min(1.0, max(0.0, 1.0 if share is None else share)), 2)
