"""The pages of sources: read from the storage, written to `evidence/<gas>/<source>.html`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from plumewatch import storage
from plumewatch.evidence.estimates import read_source_passes
from plumewatch.evidence.reported import compare_reports, reports_at
from plumewatch.evidence.rule import evidence_rule
from plumewatch.evidence.source_page import SourceRows, render_reports, render_source
from plumewatch.gases import CH4, Gas
from plumewatch.models import Area
from plumewatch.progress import followed
from plumewatch.reviews import last_words, read_reviews
from plumewatch.statuses import NOT_DETECTED, SEARCHED
from plumewatch.tables import OBSERVATIONS, REPORTED_PLUMES, SOURCE_PASSES

PAGES = "evidence"
MAX_PICTURES, MAX_PICTURE_BYTES = 6, 200_000

Row = Mapping[str, Any]


def source_page_path(gas: Gas, source_id: str) -> str:
    """Return where the page of a source is below the storage root; an id's odd letters are percent-encoded."""
    return f"{PAGES}/{gas.name}/{quote(source_id, safe='')}.html"


def reports_page_path(gas: Gas) -> str:
    """Return where the page of what others saw is below the storage root."""
    return f"{PAGES}/reported_{gas.name}.html"


def pages_there(storage_root: str, gas: Gas) -> set[str]:
    """Return the paths, below the storage root, of the pages of sources that there are."""
    folder = storage.join(storage_root, PAGES, gas.name)
    return {f"{PAGES}/{gas.name}/{path.rsplit('/', 1)[-1]}" for path in storage.list_files(folder, ".html")}


@dataclass(frozen=True)
class Reports:
    """What others saw of a gas."""

    rows: Sequence[Row]
    """All of `reported_plumes`."""
    near: Mapping[str, Sequence[Row]]
    """Those at each listed source, by its id; mostly none."""


def read_reports(storage_root: str, gas: Gas, sources: pa.Table) -> Reports:
    """Return what others saw, and at which of the sources."""
    rows = storage.read_table(REPORTED_PLUMES, storage.join(storage_root, REPORTED_PLUMES.name))
    reports = [row for row in rows.to_pylist() if row["gas"] == gas.name]
    lon, lat = (sources[name].to_numpy() for name in ("longitude", "latitude"))
    return Reports(reports, dict(zip(sources["source_id"].to_pylist(), reports_at(lon, lat, reports), strict=True)))


def write_source_pages(
    storage_root: str,
    gas: Gas,
    passes: pa.Table,
    estimates: pa.Table,
    touched: Collection[str],
    areas: Sequence[Area],
    all_sources: pa.Table,
    reported: Reports,
) -> int:
    """Write the pages of those `touched` sources that were seen or reported at least once, and that of all reports.

    `estimates` are those of all keys, `passes` all with a detection and, where others saw CO2, all over these sources.
    A listed source of which nothing is seen or reported any more, as when a person has rejected its only detection,
    loses its page. Returns the number of pages.
    """
    reports, near = reported.rows, reported.near
    seen = set(estimates.filter(pc.not_equal(estimates["status"], NOT_DETECTED))["source_id"].to_pylist())
    with_page = {name for name, its in near.items() if name in seen or its}
    left = {source_page_path(gas, name) for name in near.keys() - with_page}
    for path in sorted(left & pages_there(storage_root, gas)):
        storage.delete(storage.join(storage_root, path))
    wanted = with_page & set(touched)
    shown = SOURCE_PASSES.empty()
    if wanted:
        shown = read_source_passes(
            storage_root, gas, None, partial(_rows_around, pa.array(sorted(wanted), pa.string()))
        )
    shown = shown.sort_by("source_id")
    by_detection = _by_detection(shown)
    names = wanted | {r["source_id"] for rows in by_detection.values() for r in rows if r["source_id"]}
    sources = _by_id(all_sources, names)
    estimate = _by_id(estimates, wanted)
    reviews = {row["detection_id"]: row for row in last_words(read_reviews(storage_root, gas.name)).to_pylist()}
    n = 0
    for name in followed(sorted(wanted & set(estimate)), "pages of sources", "pages"):
        own = _rows_of(shown, name)  # one page's at a time: years of passes aren't held as Python's objects
        rivals = [r for p in own for r in by_detection.get(p["detection_id"], []) if r["source_id"] != name]
        others = {r["source_id"]: sources[r["source_id"]] for r in rivals if r["source_id"] in sources}
        page = render_source(
            gas,
            SourceRows(
                source=sources[name], estimate=estimate[name], passes=own, rivals=rivals, sources=others,
                reports=near[name], reviews=reviews, pictures=_pictures(storage_root, gas, own),
            ),
        )  # fmt: skip
        storage.write_bytes(storage.join(storage_root, source_page_path(gas, name)), page.encode())
        n += 1
    if reports:
        pages = {r["report_id"]: source_page_path(gas, name) for name in sorted(near) for r in near[name]}
        there = pages_there(storage_root, gas)
        linked = {r: quote(page.removeprefix(f"{PAGES}/")) for r, page in pages.items() if page in there}
        _write_reports(storage_root, gas, reports, passes, areas, near, linked)
        n += 1
    return n


def _write_reports(
    storage_root: str,
    gas: Gas,
    reports: Sequence[Row],
    passes: pa.Table,
    areas: Sequence[Area],
    near: Mapping[str, Sequence[Row]],
    linked: Mapping[str, str],
) -> None:
    """The page of what others saw where we watch: in areas; of CO2 at sources that orbits looked at."""
    found = passes.filter(pc.and_(passes["detection_id"].is_valid(), passes["longitude"].is_valid())).to_pylist()
    looked = _observations_at(storage_root, reports, areas) if gas is CH4 else _looks_at(passes, near)
    compared = compare_reports(reports, looked, found, gas.units_per_kg_h)
    page = render_reports(gas, compared, linked)
    storage.write_bytes(storage.join(storage_root, reports_page_path(gas)), page.encode())


def _observations_at(storage_root: str, reports: Sequence[Row], areas: Sequence[Area]) -> dict[str, list[Row]]:
    """What was looked at of the area of each report that lies in one, within 30 days of it."""
    lon, lat = [r["longitude"] for r in reports], [r["latitude"] for r in reports]
    area_of: dict[str, set[str]] = {}
    for area in areas:
        for report, is_in in zip(reports, shapely.contains_xy(area.geometry, lon, lat), strict=True):
            if is_in:
                area_of.setdefault(report["report_id"], set()).add(area.name)
    days = evidence_rule().reports.within_days
    times = [r["observed_at_utc"] for r in reports if r["report_id"] in area_of]
    root = storage.join(storage_root, OBSERVATIONS.name)
    partitions = storage.list_partitions(OBSERVATIONS, root, {"gas": CH4.name}) if times else []
    stamps = [f"{t:%Y-%m-%d}" for t in times]
    rows: list[Row] = []
    for partition in partitions:
        if any(abs(_days(partition.keys["key"]) - _days(stamp)) <= days + 1 for stamp in stamps):
            columns = ["area", "observed_at_utc", "outcome", "detection_limit"]
            rows += storage.read_table(OBSERVATIONS, partition.path, columns).to_pylist()
    by_area: dict[str, list[Row]] = {}
    for row in rows:
        by_area.setdefault(row["area"], []).append(row)
    return {name: [row for area in sorted(its) for row in by_area.get(area, [])] for name, its in area_of.items()}


def _days(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _looks_at(passes: pa.Table, near: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Passes over the sources at most 2 km from each report; a report without source isn't watched."""
    wanted = {name for name, reports in near.items() if reports}
    of_wanted = passes.filter(pc.is_in(passes["source_id"], value_set=pa.array(sorted(wanted), pa.string())))
    of_wanted = of_wanted.sort_by("source_id")
    looked: dict[str, list[Row]] = {}
    for name in sorted(wanted):
        for report in near[name]:
            rows = _rows_of(of_wanted, name)
            looked.setdefault(report["report_id"], []).extend({**row, "outcome": SEARCHED} for row in rows)
    return looked


def _rows_around(wanted: pa.Array, passes: pa.Table) -> pa.Table:
    """Rows of some sources, and those of others for the same detections."""
    is_own = pc.is_in(passes["source_id"], value_set=wanted)
    ids = pc.drop_null(passes.filter(is_own)["detection_id"])
    return passes.filter(pc.or_(is_own, pc.is_in(passes["detection_id"], value_set=ids.combine_chunks())))


def _rows_of(passes: pa.Table, name: str) -> list[Row]:
    """The rows of a source, of passes by source."""
    first = pc.index(passes["source_id"], name).as_py()
    if first < 0:
        return []
    ids = passes["source_id"]
    n = pc.sum(pc.equal(ids.slice(first), name)).as_py()
    return passes.slice(first, n).to_pylist()


def _by_detection(passes: pa.Table) -> dict[str, list[Row]]:
    """Rows of each detection: of the sources that it may come from, or none."""
    found: dict[str, list[Row]] = {}
    for row in passes.filter(passes["detection_id"].is_valid()).to_pylist():
        found.setdefault(row["detection_id"], []).append(row)
    return found


def _by_id(table: pa.Table, names: Collection[str]) -> dict[str, Row]:
    rows = table.filter(pc.is_in(table["source_id"], value_set=pa.array(sorted(names), pa.string())))
    return {row["source_id"]: row for row in rows.to_pylist()}


def _pictures(storage_root: str, gas: Gas, passes: Sequence[Row]) -> dict[str, bytes]:
    """Pictures of the latest detections that have a small one."""
    pictures: dict[str, bytes] = {}
    for row in sorted(passes, key=lambda p: str(p["observed_at_utc"]), reverse=True):
        if row["detection_id"] is None or row["observed_at_utc"] is None or len(pictures) == MAX_PICTURES:
            continue
        key = row["observed_at_utc"].strftime(gas.key_format)
        of_pass = {"method": gas.method, "area": row["area"], gas.key_column: key, gas.id_column: row["detection_id"]}
        file = storage.join(storage_root, gas.picture_of(of_pass))
        picture = storage.read_bytes(file) if storage.exists(file) else b""
        if 0 < len(picture) <= MAX_PICTURE_BYTES:
            pictures[row["detection_id"]] = picture
    return pictures
