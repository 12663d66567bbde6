"""The report of a month: counts by area, kept up to date by the maps that are drawn, escaped, without a program."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from map_rows import DAY, NASTY, match, observation, peak, plume
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.maps.report import main, refresh_reports, report_path, write_parts, write_reports
from plumewatch.tables import MATCHES, OBSERVATIONS, PEAKS, PLUMES

MONTH = "2025-08"
EARLIER = "2025-08-12"


class Tables(HTMLParser):
    """The texts of the cells of a page, by table and row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True
        elif tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data


def read(root: str) -> Tables:
    return Tables(storage.read_bytes(report_path(root, MONTH)).decode())


def write(root: str, table: object, keys: dict, rows: list[dict]) -> None:
    storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(rows))


@pytest.fixture
def month(tmp_path: Path) -> str:
    """A month with two days of two areas, and its orbits."""
    root = f"file://{tmp_path / 'storage'}"
    of = {"method": "multi_pass", "area": "oman"}
    rows = [plume("a1", 56.0, 22.0), plume("a2", 56.04, 22.03, "too_small"), plume("a3", 56.03, 21.96, rate=900.0)]
    write(root, PLUMES, {**of, "date": DAY}, rows)
    matches = [match("a1", "well", 1, 0.9), match("a1", None, 2, 0.1), match("a3", None, 1, 1.0, "unknown_source")]
    write(root, MATCHES, {"gas": "ch4", "period": DAY}, matches)
    of_day = [
        observation("oman", "searched", "s1", detection_limit=1500.0), observation("oman", "failed", "s2"),
        observation(NASTY, "skipped_cloud"),
    ]  # fmt: skip
    write(root, OBSERVATIONS, {"gas": "ch4", "key": DAY}, of_day)
    of_day = [observation("oman", "searched", "s0", detection_limit=2066.0), observation(NASTY, "failed", "s3")]
    write(root, OBSERVATIONS, {"gas": "ch4", "key": EARLIER}, of_day)
    orbits = [observation(None, "searched", orbit=n, detection_limit=1.0) for n in (1, 2)]
    write(root, OBSERVATIONS, {"gas": "co2", "key": MONTH}, [*orbits, observation(None, "failed", "g.nc4", orbit=0)])
    write(root, PEAKS, {"method": "scan", "month": MONTH}, [peak(7, 8.0, 50.0)])
    return root


def test_a_month_is_told_by_area(month: str) -> None:
    [path] = write_reports(month)
    assert path == storage.join(month, "reports", f"{MONTH}.html")
    text = storage.read_bytes(path).decode()
    assert (
        "2 plumes accepted (1 source confirmed, 1 in no inventory). 1 area searched on 2 days. 2 scenes failed." in text
    )
    assert "1 peak accepted (1 not matched yet). 2 orbits searched. 1 granule failed." in text
    areas, plumes, orbits, peaks = read(month).tables
    head = areas[0]
    by_name = {row[0]: {name: cell for name, cell in zip(head, row, strict=True) if cell} for row in areas[1:]}
    assert by_name["oman"] == {
        "area": "oman", "days searched": "2", "failed scenes": "1", "detection limit": "1,500 kg/h to 2,100 kg/h",
        "plumes": "2", "source confirmed": "1", "in no inventory": "1", "largest": "5.2 t/h",
        "false, expected": "0.1",
    }  # fmt: skip
    assert by_name[NASTY] == {"area": NASTY, "too cloudy": "1", "failed": "1", "failed scenes": "1"}
    assert [row[:3] for row in plumes[1:]] == [
        [f"{DAY} 07:12 UTC", "oman", "5.2 t/h"], [f"{DAY} 07:12 UTC", "oman", "900 kg/h"],
    ]  # fmt: skip
    assert [row[0] for row in orbits[1:]] == ["2 orbits", "1 granule"] and len(peaks) == 2


def test_it_needs_no_network_and_runs_nothing(month: str) -> None:
    write_reports(month)
    page = read(month)
    assert not page.tags & {"script", "img", "iframe", "link", "form"}
    assert set(page.links) == {f"../maps/ch4/{DAY}.html", f"../maps/co2/{MONTH}.html"}
    text = storage.read_bytes(report_path(month, MONTH)).decode()
    assert "default-src 'none'; style-src 'unsafe-inline'" in text and not re.search(r"(src|href)=.?https?:", text)


def test_it_follows_each_day_that_is_drawn_and_reads_no_other(month: str) -> None:
    refresh_reports(CH4, [DAY], month)  # the first time: the whole month
    assert len(read(month).tables[0]) == 3 and len(read(month).tables) == 4
    write(month, OBSERVATIONS, {"gas": "ch4", "key": EARLIER}, [observation("oman", "no_input")])
    write(month, OBSERVATIONS, {"gas": "ch4", "key": "2025-08-13"}, [observation("sahara", "searched")])
    refresh_reports(CH4, ["2025-08-13"], month)
    oman, sahara = (next(row for row in read(month).tables[0] if row[0] == name) for name in ("oman", "sahara"))
    assert (oman[1], sahara[1]) == ("2", "1")
    refresh_reports(CH4, [EARLIER], month)
    assert next(row for row in read(month).tables[0] if row[0] == "oman")[1] == "1"


@pytest.mark.parametrize("part", [b'{"gas": ', b'{"gas": "ch4", "key": "2025-08-12"}', b"[]", b"\xff"])
def test_a_part_that_is_broken_or_of_another_version_is_remade(month: str, part: bytes) -> None:
    write_reports(month)
    path = storage.join(month, "reports", "parts", "ch4", f"{EARLIER}.json")
    good, report = storage.read_bytes(path), storage.read_bytes(report_path(month, MONTH))
    storage.write_bytes(path, part)
    refresh_reports(CO2, [MONTH], month)
    assert storage.read_bytes(path) == good and storage.read_bytes(report_path(month, MONTH)) == report


def test_what_is_written_of_a_key_alone_is_in_the_next_report(month: str) -> None:
    write_reports(month)
    before = storage.read_bytes(report_path(month, MONTH))
    write(month, OBSERVATIONS, {"gas": "ch4", "key": EARLIER}, [observation("oman", "no_input")])
    write_parts(CH4, [EARLIER], month)
    assert storage.read_bytes(report_path(month, MONTH)) == before
    refresh_reports(CH4, [DAY], month)
    assert next(row for row in read(month).tables[0] if row[0] == "oman")[1] == "1"


def test_the_command_writes_the_reports_of_the_settings(
    month: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", month)
    monkeypatch.setenv("PLUMEWATCH_AREAS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["report"])
    assert main() == 0 and storage.exists(report_path(month, MONTH))
