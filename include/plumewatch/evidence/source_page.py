"""The page of a source as HTML: all that speaks for what it emits, in one file without script or network. Pure."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plumewatch.evidence.reported import OUTCOMES, Compared, is_near_in_time
from plumewatch.evidence.time_series import draw_time_series
from plumewatch.gases import Gas
from plumewatch.pages.outcomes import limit_text, share_text
from plumewatch.pages.page import render_head
from plumewatch.pages.parts import Link, render_list, render_table
from plumewatch.pages.wording import (
    ATTRIBUTIONS,
    MATCH_TEXTS,
    digits_text,
    interval_text,
    match_text,
    place_text,
    probability_text,
    rate_text,
    time_text,
    wind_text,
)

Row = Mapping[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
STYLE = """
:root{--paper:#fff;--ink:#1f2328;--soft:#59636e;--rim:#d0d7de;--seen:#b35900;--listed:#57606a;--other:#0969da}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9198a1;--rim:#3d444d;--seen:#f0983e;
--listed:#9198a1;--other:#58a6ff}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;
padding:0 1rem}h1{margin-bottom:0}h2{margin-top:2rem;font-size:1.1rem}#summary{color:var(--soft);margin-top:.3rem}
table{border-collapse:collapse;font-size:13px;width:100%}th,td{border-bottom:1px solid var(--rim);padding:.3em .6em;
text-align:left;vertical-align:top}.wide{overflow-x:auto}svg{width:100%;height:auto}svg text{font-size:11px;
fill:var(--soft)}.grid{stroke:var(--rim)}.band{fill:var(--seen);opacity:.13}.estimate{stroke:var(--seen)}.listed{
stroke:var(--listed);stroke-dasharray:6 4}.seen{stroke:var(--seen);fill:var(--seen)}.unseen{fill:var(--soft)}.reported{
fill:none;stroke:var(--other);stroke-width:1.6}figure{display:inline-block;margin:0 1rem 1rem 0;max-width:27rem}
figure img{max-width:100%}figcaption,.note{font-size:13px;color:var(--soft)}a{color:var(--other)}
"""
MAX_UNSEEN = 200  # passes without detection in the table, the latest ones; the picture shows all
MAX_OTHERS = 8


@dataclass(frozen=True)
class SourceRows:
    """Rows of tables that the page of one source is made from."""

    source: Row
    """Of `sources`."""
    estimate: Row
    """Of `source_estimates`."""
    passes: Sequence[Row]
    """Of `source_passes`, all of the source."""
    rivals: Sequence[Row] = ()
    """Of `source_passes`: other sources that its detections may come from."""
    sources: Mapping[str, Row] = field(default_factory=dict)
    """Of `sources` by id: those of the rivals."""
    reports: Sequence[Row] = ()
    """Of `reported_plumes` (with `provider`): at most 2 km from it."""
    reviews: Mapping[str, Row] = field(default_factory=dict)
    """The last word on each of its detections, by id."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by detection id."""


def render_source(gas: Gas, rows: SourceRows) -> str:
    """Return the page of a source; the same rows give the same page, whatever their order."""
    source, estimate = rows.source, rows.estimate
    passes = sorted(rows.passes, key=lambda p: (str(p["observed_at_utc"]), str(p["detection_id"])))
    seen = [p for p in passes if p["detection_id"] is not None]
    unseen = [p for p in passes if p["detection_id"] is None]
    head = render_head(str(source["name"]), _summary(gas, rows), STYLE, POLICY)
    reports = sorted(rows.reports, key=lambda r: (str(r["observed_at_utc"]), r["report_id"]))
    parts = [
        head,
        draw_time_series(gas, passes, estimate, reports),
        '<p class="note">Discs: detections with their 68 % interval, the fainter the less probably they are of this '
        "source. Triangles: the detection limit of passes that saw nothing, the fainter the less of it they "
        "saw. Band: what all passes together say (68 %). Dashed: the inventory. Diamonds: what others saw.</p>",
        "<h2>Seen</h2>", _seen(gas, seen, rows, reports),
        *(_picture(p, rows.pictures) for p in reversed(seen) if p["detection_id"] in rows.pictures),
        "<h2>Other sources that may be behind these detections</h2>", _rivals(gas, rows),
        "<h2>Looked at, nothing seen</h2>", _unseen(gas, unseen),
        "<h2>What others saw within 2 km</h2>", _reports(gas, reports, seen),
        "<h2>The source</h2>", _facts(gas, source),
        "<h2>To cite</h2>", render_list(_licences(gas, rows)),
        "</body>\n</html>\n",
    ]  # fmt: skip
    return "\n".join(parts)


def render_reports(gas: Gas, compared: Sequence[Compared], pages: Mapping[str, str]) -> str:
    """Return the page of what others saw at places that are watched; `pages`: of a source's by the id of a report."""
    counts = {outcome: sum(one.outcome == outcome for one in compared) for outcome in OUTCOMES}
    told = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
    title = "What others saw where we watch"
    summary = f"{len(compared)} reported plumes at places that are watched: {told}."
    table = [
        [
            time_text(one.report["observed_at_utc"]), one.report["provider"], one.report["platform"],
            place_text(one.report["longitude"], one.report["latitude"], 3),
            rate_text(gas, _rate(gas, one.report)), one.outcome, str(one.n_passes),
            limit_text(gas, one.lowest_limit) if one.lowest_limit else "",
            f"{rate_text(gas, one.nearest['emission'])} on {one.nearest['observed_at_utc']:%Y-%m-%d}"
            if one.nearest else "",
            Link(pages.get(one.report["report_id"])),
        ]
        for one in compared
    ]  # fmt: skip
    columns = (
        "seen", "by", "with", "place", "rate", "ours", "passes in 30 days", "lowest limit", "our detection", "source",
    )  # fmt: skip
    licences = sorted({f"{one.report['provider']}: {one.report['licence'] or 'no licence stated'}" for one in compared})
    parts = [
        render_head(title, summary, STYLE, POLICY), render_table(columns, table),
        render_list(f"{outcome}: {meaning}" for outcome, meaning in OUTCOMES.items()), "<h2>To cite</h2>",
        render_list([*licences, ATTRIBUTIONS[gas.name]]), "</body>\n</html>\n",
    ]  # fmt: skip
    return "\n".join(parts)


def _summary(gas: Gas, rows: SourceRows) -> str:
    source, estimate = rows.source, rows.estimate
    kind = str(source["kind"]).replace("_", " ")
    seen, observed = estimate["times_seen"], estimate["times_observed"]
    text = f"{kind.capitalize()} at {place_text(source['longitude'], source['latitude'])}. "
    text += f"Seen in {seen} of {observed} passes that looked at it"
    if estimate["first_seen"] is not None:
        text += f", first {estimate['first_seen']:%Y-%m-%d}, last {estimate['last_seen']:%Y-%m-%d}"
    text += "."
    if estimate["emission"] is not None and observed:
        rate = rate_text(gas, estimate["emission"])
        interval = interval_text(gas, estimate["emission_low"], estimate["emission_high"])
        text += f" All passes together: {rate}, {interval}"
        if estimate["ratio"] is not None:
            listed = rate_text(gas, estimate["inventory_emission"])
            text += f", {digits_text(estimate['ratio'])} times the {listed} of the inventory"
        text += "."
    if estimate["status"] in MATCH_TEXTS:
        text += f" {match_text(estimate['status']).capitalize()}."
    n = len(rows.reports)
    return text + (f" Apart from that, others reported {n} plume{'s' * (n > 1)} within 2 km." if n else "")


def _seen(gas: Gas, seen: Sequence[Row], rows: SourceRows, reports: Sequence[Row]) -> str:
    table = []
    for p in reversed(seen):
        near = sum(is_near_in_time(r, p["observed_at_utc"]) for r in reports)
        review = rows.reviews.get(p["detection_id"])
        word = f"{review['verdict']} ({review['by']}) {review['comment'] or ''}".strip() if review else ""
        rate = " ".join([rate_text(gas, p["emission"]), interval_text(gas, p["emission_low"], p["emission_high"])])
        table.append([
            time_text(p["observed_at_utc"]), rate, probability_text(p["probability"]), match_text(p["status"] or ""),
            f"{p['distance_km']:.1f} km" if p["distance_km"] is not None else "", _wind(p), _of_what(p),
            rate_text(gas, p["learnt_emission"]) if p["learnt_emission"] else "",
            share_text(p["window_probability"]) if p["window_probability"] is not None else "", str(near or ""), word,
            p["detection_id"],
        ])  # fmt: skip
    columns = (
        "time", "rate", "of this source", "outcome", "distance", "wind", "scene or orbit", "learnt rate",
        "a peak, as learnt", "reports in 30 days", "a person's word", "detection",
    )  # fmt: skip
    return render_table(columns, table, "No pass has seen it.")


def _unseen(gas: Gas, unseen: Sequence[Row]) -> str:
    table = [
        [
            time_text(p["observed_at_utc"]), limit_text(gas, p["detection_limit"]) if p["detection_limit"] else "",
            share_text(p["visible_fraction"]) if p["visible_fraction"] is not None else "", _wind(p), _of_what(p),
        ]
        for p in list(reversed(unseen))[:MAX_UNSEEN]
    ]  # fmt: skip
    left = f"<p>And {len(unseen) - MAX_UNSEEN} earlier passes.</p>" if len(unseen) > MAX_UNSEEN else ""
    return render_table(("time", "detection limit", "chance to see its place", "wind", "scene or orbit"), table) + left


def _rivals(gas: Gas, rows: SourceRows) -> str:
    by_source: dict[str, list[float]] = {}
    for p in rows.rivals:
        by_source.setdefault(p["source_id"] or "", []).append(p["probability"] or 0.0)
    order = sorted(by_source, key=lambda name: (-sum(by_source[name]), name))[:MAX_OTHERS]
    table = []
    for name in order:
        known = rows.sources.get(name)
        stated = known["emission_t_y"] if known else None
        table.append([
            str(known["name"]) if known else name or "in no inventory", (known or {}).get("owner") or "",
            "" if stated is None else rate_text(gas, stated * gas.units_per_t_y), str(len(by_source[name])),
            probability_text(sum(by_source[name]) / len(by_source[name])),
        ])  # fmt: skip
    return render_table(("name", "owner", "listed", "detections", "mean probability"), table, "None.")


def _reports(gas: Gas, reports: Sequence[Row], seen: Sequence[Row]) -> str:
    table = []
    for r in reversed(reports):
        ours = [p for p in seen if is_near_in_time(r, p["observed_at_utc"])]
        table.append([
            time_text(r["observed_at_utc"]), r["provider"], r["platform"], rate_text(gas, _rate(gas, r)), r["sector"],
            f"{len(ours)} within 30 days" if ours else "none within 30 days", r["report_id"],
        ])  # fmt: skip
    return render_table(
        ("time", "by", "with", "rate", "sector", "our detections", "report"), table, "Nothing is reported."
    )


def _facts(gas: Gas, source: Row) -> str:
    stated = source["emission_t_y"]
    listed = "no emission" if stated is None else f"{digits_text(stated)} t a year ({source['year']})"
    facts = [
        ("owner", source["owner"]), ("kind", str(source["kind"]).replace("_", " ")), ("fuel", source["fuel"]),
        ("listed", listed), ("from", source["provenance"]), ("other lists say", source["alternatives"]),
        ("id", source["source_id"]),
    ]  # fmt: skip
    return render_table(("", ""), [[name, str(value)] for name, value in facts if value])


def _licences(gas: Gas, rows: SourceRows) -> list[str]:
    told = {
        f"Source: {s['provenance'] or s['source_id']}" + (f" ({s['licence']})" if s["licence"] else "")
        for s in (rows.source, *rows.sources.values())
    }
    told |= {f"Reported plumes: {r['provider']} ({r['licence'] or 'no licence stated'})" for r in rows.reports}
    return [ATTRIBUTIONS[gas.name], *sorted(told)]


def _picture(row: Row, pictures: Mapping[str, bytes]) -> str:
    data = base64.b64encode(pictures[row["detection_id"]]).decode()
    text = html.escape(f"{time_text(row['observed_at_utc'])}, {_of_what(row)}")
    return f'<figure><img src="data:image/png;base64,{data}" alt=""><figcaption>{text}</figcaption></figure>'


def _rate(gas: Gas, report: Row) -> float | None:
    return None if report["emission_kg_h"] is None else report["emission_kg_h"] * gas.units_per_kg_h


def _wind(row: Row) -> str:
    speed, origin = row["wind_speed_m_s"], row["wind_from_deg"]
    return wind_text(speed, origin) if speed is not None and origin is not None else ""


def _of_what(row: Row) -> str:
    if row["orbit"] is None:
        return f"{row['scene_id'] or ''} ({row['area']})"
    return f"{(row['sensor'] or 'oco2').upper().replace('OCO', 'OCO-')} orbit {row['orbit']}"
