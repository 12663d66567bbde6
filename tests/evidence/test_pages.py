"""The page of a source: what it tells and cites, that names of strangers stay text, and that it needs no network."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import shapely
from evidence_rows import SEEN, match, matches, observation, plume, sources
from plumewatch import storage
from plumewatch.areas import Area
from plumewatch.evidence.page_files import pages_there, source_page_path
from plumewatch.evidence.update import update_evidence
from plumewatch.gases import CH4
from plumewatch.maps.map_file import write_map
from plumewatch.observations import write_detection_observations
from plumewatch.reviews import append_review
from plumewatch.tables import MATCHES, PLUMES, REPORTED_PLUMES, SOURCES
from test_reported import report

NASTY = "</script><script>alert(1)</script>\"'&"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
FIELD = Area("field", shapely.box(54.0, 38.3, 54.4, 38.7))
ODD = "own/1 é"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three days: a plume of one of two sources, two passes that saw nothing; reports at it and at another place."""
    root = str(tmp_path_factory.mktemp("storage"))
    listed = sources(
        {"source_id": ODD, "name": f"Well {NASTY}", "licence": "CC BY 4.0", "provenance": "A list", "owner": "Someone"},
        {"source_id": "b", "name": "Station", "latitude": 38.503, "owner": "Another", "provenance": "B list"},
        {"source_id": "reported", "name": "Pit", "latitude": 38.6}, {"source_id": "never", "latitude": 38.4},
    )  # fmt: skip
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "combined"}, listed)
    reports = [report(observed_at_utc=SEEN + timedelta(3)), report("far in time", observed_at_utc=SEEN.replace(2021)),
               report("pit", latitude=38.6)]  # fmt: skip
    rows = REPORTED_PLUMES.from_pylist([{k: v for k, v in r.items() if k != "provider"} for r in reports])
    storage.write_partition(REPORTED_PLUMES, f"{root}/reported_plumes", {"provider": "imeo_mars"}, rows)
    of_first = matches(match("p", ODD, 0.7), match("p", "b", 0.2, 2), match("p", None, 0.1, 3))
    for n, (found, of_day) in enumerate([(plume("p"), of_first), *[(PLUMES.empty(), MATCHES.empty())] * 2]):
        at = SEEN + timedelta(days=5 * n)
        [seen] = observation(observed_at_utc=at, detected=not n).to_pylist()
        keys = {"method": "multi_pass", "area": "field", "date": f"{at:%Y-%m-%d}"}
        stated = {"observations": [seen | {"observed_at_utc": at.isoformat(), "stage": "detection"}]}
        path = storage.write_partition(PLUMES, f"{root}/plumes", keys, found, extra=stated)
        storage.write_partition(MATCHES, f"{root}/matches", {"gas": "ch4", "period": keys["date"]}, of_day)
        write_detection_observations(root, "ch4", keys["date"], [storage.Partition(path, keys)])
        storage.write_bytes(storage.partition_path(f"{root}/plume_details", keys) + "/p.png", PNG)
    place = {"longitude": 54.2, "latitude": 38.5, "observed_at_utc": SEEN}
    append_review(root, "ch4", "p", **place, verdict="confirm", by="ann", at=SEEN, comment="a flare is there")
    for n in (0, 1, 2):
        updated = update_evidence(root, CH4, f"{SEEN + timedelta(days=5 * n):%Y-%m-%d}", [FIELD])
    assert updated.pages == 4  # of three sources, and of the reports
    return root


class Text(HTMLParser):
    """The texts of a page, and the tags that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(root: str, path: str) -> tuple[str, Text]:
    html = storage.read_bytes(f"{root}/{path}").decode()
    return html, Text(html)


def test_the_page_tells_all_that_speaks_for_a_source(root: str) -> None:
    html, read = page(root, source_page_path(CH4, ODD))
    text = " ".join(read.texts)
    assert "Seen in 1 of 3 passes that looked at it, first 2025-08-20" in text
    assert "others reported 2 plumes within 2 km" in text and "1.0 t/h of the inventory" in text
    for told in ("confirm (ann) a flare is there", "Station", "Another", "Someone", "scene (field)", "2025-08-30 07:14",
                 "detection limit", "80 %", "imeo_mars", "4.0 m/s"):  # fmt: skip
        assert told in text, told
    cited = text[text.index("To cite") :]
    for licence in ("Copernicus Sentinel data", "A list (CC BY 4.0)", "B list", "imeo_mars (its terms)"):
        assert licence in cited, licence
    assert html.count('class="seen"') == 1 and html.count('class="unseen"') == 2 and html.count('class="reported"') == 2
    assert "data:image/png;base64," in html


def test_reports_within_30_days_of_a_detection_are_counted_apart(root: str) -> None:
    html, _ = page(root, source_page_path(CH4, ODD))
    reported = html[html.index("What others saw within 2 km") :]
    assert reported.count("1 within 30 days") == 1 and reported.count("none within 30 days") == 1


def test_names_of_strangers_stay_text_and_nothing_is_loaded(root: str) -> None:
    for name in (ODD, "b"):  # on the page of b it is the name of another that may be behind the plume
        html, read = page(root, source_page_path(CH4, name))
        assert "script" not in read.tags and NASTY in " ".join(read.texts)
        assert not re.search(r'(src|href)="(?!data:)', html) and "default-src 'none'" in html


def test_seen_or_reported_sources_have_a_page_and_others_none(root: str) -> None:
    names = {ODD, "b", "reported"}
    assert pages_there(root, CH4) == {source_page_path(CH4, n) for n in names}
    _, read = page(root, source_page_path(CH4, "reported"))
    assert "Seen in 0 of 3 passes" in " ".join(read.texts) and "No pass has seen it." in " ".join(read.texts)


def test_where_others_saw_plumes_and_we_watch_is_a_table(root: str) -> None:
    html, read = page(root, "evidence/reported_ch4.html")
    told = "1 seen, 1 not seen, 0 not seen, limit higher, 1 not looked"
    assert f"3 reported plumes at places that are watched: {told}" in " ".join(read.texts)
    assert html.count("its page") == 3 and "own%252F1" in html


def test_the_map_links_the_page_and_shows_what_others_saw(root: str) -> None:
    html = storage.read_bytes(write_map(CH4, "2025-08-20", root, [FIELD])).decode()
    assert "../../evidence/ch4/own%252F1%2520%25C3%25A9.html" in html
    assert '"id":"pit"' in html and "far in time" not in html and "Reported plumes: imeo_mars (its terms)" in html


def test_pages_are_the_same_whatever_the_order_of_rows(root: str, tmp_path: Path) -> None:
    before = page(root, source_page_path(CH4, ODD))[0]
    update_evidence(root, CH4, "2025-08-20", [FIELD])
    assert page(root, source_page_path(CH4, ODD))[0] == before


def test_a_source_whose_passes_have_no_time_has_a_page() -> None:
    from plumewatch.evidence.source_page import SourceRows, render_source
    from plumewatch.tables import SOURCE_ESTIMATES, SOURCE_PASSES

    empty: dict[str, Any] = dict.fromkeys(SOURCE_PASSES.schema.names)
    estimate = dict.fromkeys(SOURCE_ESTIMATES.schema.names) | {"times_observed": 1, "times_seen": 0}
    [source] = sources({"source_id": "a", "emission_t_y": None}).to_pylist()
    seen = empty | {"detection_id": "p", "probability": 0.5, "area": "field", "status": "ambiguous"}
    assert "time unknown" in render_source(CH4, SourceRows(source, estimate, [seen, empty | {"area": "field"}]))


def test_a_source_whose_only_detection_is_rejected_loses_its_page(root: str, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "storage")
    shutil.rmtree(copy / "reported_plumes")
    place = {"longitude": 54.2, "latitude": 38.5, "observed_at_utc": SEEN}
    append_review(str(copy), "ch4", "p", **place, verdict="reject", by="ann", at=SEEN + timedelta(1))
    update_evidence(str(copy), CH4, f"{SEEN:%Y-%m-%d}", [FIELD])
    assert pages_there(str(copy), CH4) == set()


def test_an_emission_that_no_list_states_is_not_nothing(root: str, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "storage")
    listed = sources({"source_id": ODD, "emission_t_y": None, "name": "Well"})
    storage.write_partition(SOURCES, f"{copy}/sources", {"inventory": "combined"}, listed)
    update_evidence(str(copy), CH4, f"{SEEN:%Y-%m-%d}", [FIELD])
    _, read = page(str(copy), source_page_path(CH4, ODD))
    assert "no emission" in read.texts and "0 t a year" not in " ".join(read.texts)
