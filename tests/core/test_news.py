"""Which detections are news: by rate, and as the first of their source or place."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tools.checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests" / "maps"))

from map_rows import DAY, match, peak, plume, source
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.news import find_news
from plumewatch.reviews import append_review
from plumewatch.settings import NEWS_KINDS
from plumewatch.table import Table
from plumewatch.tables import MATCHES, PEAKS, PLUMES, SOURCE_ESTIMATES, SOURCES

SEEN = datetime(2025, 8, 31, 7, 12, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def write(root: str, table: Table, keys: dict[str, str], *rows: dict[str, Any]) -> None:
    storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(list(rows)))


def plumes(root: str, date: str, *rows: dict[str, Any], area: str = "oman", method: str = "multi_pass") -> None:
    write(root, PLUMES, {"method": method, "area": area, "date": date}, *rows)


def on(row: dict[str, Any], days: float) -> dict[str, Any]:
    return row | {"observed_at_utc": row["observed_at_utc"] + timedelta(days=days)}


def found(
    root: str, kinds: Any = NEWS_KINDS, least: float | None = 3000.0, since: datetime = LONG_AGO, key: str = DAY
) -> dict[str, Any]:
    return {news.detection_id: news.kinds for news in find_news(root, CH4, key, kinds, least, since)}


def test_a_plume_is_news_by_its_rate_and_by_being_the_first_at_its_place(storage_root: str) -> None:
    plumes(
        storage_root, "2025-08-26", on(plume("old", 56.0, 22.0), -5), on(plume("refused", 57.0, 22.0, "too_small"), -5)
    )
    plumes(
        storage_root,
        DAY,
        plume("strong", 56.01, 22.0),
        plume("weak", 56.0, 22.01, rate=900.0),
        plume("weak and first", 57.0, 22.0, rate=900.0),
        plume("no rate", 58.0, 22.0, rate=None),
        plume("refused too", 59.0, 22.0, "surface_change"),
        plume("improbable", 60.0, 22.0) | {"probability": 0.4},
    )
    plumes(storage_root, DAY, plume("another method's", 61.0, 22.0), method="single_pass")
    plumes(storage_root, "2025-09-02", on(plume("later", 58.0, 22.0), 2))
    assert found(storage_root) == {"strong": ("rate",), "weak and first": ("new_source",), "no rate": ("new_source",)}
    assert found(storage_root, ["rate"], None) == {"strong": ("rate",), "weak": ("rate",), "weak and first": ("rate",)}
    assert found(storage_root, ["new_source"]) == {"weak and first": ("new_source",), "no rate": ("new_source",)}
    assert found(storage_root, since=SEEN + timedelta(seconds=1)) == {} and len(found(storage_root, since=SEEN)) == 3
    assert found(storage_root, key="2025-09-02") == {"later": ("rate",)}


def test_a_source_is_new_by_all_passes_that_saw_it(storage_root: str) -> None:
    plumes(storage_root, DAY, plume("seen before", 56.0, 22.0), plume("first", 57.0, 22.0))
    write(
        storage_root,
        SOURCES,
        {"inventory": "combined"},
        source("well", 56.0, 22.0, "ch4", "A well"),
        source("mine", 57.0, 22.0, "ch4"),
    )
    matches = [match("seen before", "well", 1, 0.8), match("seen before", None, 2, 0.2), match("first", "mine", 1, 0.9)]
    write(storage_root, MATCHES, {"gas": "ch4", "period": DAY}, *matches)
    estimates = [
        dict.fromkeys(SOURCE_ESTIMATES.schema.names) | {"source_id": name, "first_seen": at}
        for name, at in (("well", SEEN - timedelta(days=99)), ("mine", SEEN))
    ]
    write(storage_root, SOURCE_ESTIMATES, {"gas": "ch4"}, *estimates)
    assert found(storage_root) == {"first": ("new_source", "rate"), "seen before": ("rate",)}
    [_, old] = find_news(storage_root, CH4, DAY, NEWS_KINDS, None, LONG_AGO)
    assert old.line(CH4) == (
        "2025-08-31 07:12 UTC, 56.0000°E 22.0000°N: 5.2 t/h, 3.1 t/h to 7.8 t/h (68 %), probability 0.97; "
        "A well (0.80); strong"
    )
    assert old.picture.endswith(f"plume_details/method=multi_pass/area=oman/date={DAY}/seen before.png")


def test_over_a_source_that_is_not_taken_for_it_the_place_says_what_is_new(storage_root: str) -> None:
    plumes(storage_root, "2025-08-26", on(plume("old", 56.0, 22.0), -5))
    plumes(storage_root, DAY, plume("again", 56.0, 22.0), plume("first", 57.0, 22.0))
    write(storage_root, SOURCES, {"inventory": "combined"}, source("cell", 56.0, 22.0, "ch4", "A cell"))
    matches = [match(name, "cell", 1, 0.5) | {"status": "unknown_source"} for name in ("again", "first")]
    write(storage_root, MATCHES, {"gas": "ch4", "period": DAY}, *matches)
    assert found(storage_root, ["new_source"]) == {"first": ("new_source",)}


@pytest.mark.parametrize(("verdict", "is_news"), [("confirm", True), ("reject", False)])
def test_people_have_the_last_word(storage_root: str, verdict: str, is_news: bool) -> None:
    plumes(storage_root, DAY, plume("a1", 56.0, 22.0, "surface_change" if is_news else "accepted"))
    append_review(
        storage_root,
        "ch4",
        "a1",
        longitude=56.0,
        latitude=22.0,
        observed_at_utc=SEEN,
        verdict=verdict,
        by="ann",
        at=SEEN,
    )
    assert list(found(storage_root)) == (["a1"] if is_news else [])


def test_peaks_of_one_place_are_found_downwind_of_it(storage_root: str) -> None:
    rows = [peak(2016083111565501, 29.1, -26.2), peak(2016083111565502, 35.0, -26.2)]
    write(storage_root, PEAKS, {"method": "scan", "month": "2016-08"}, *rows)
    earlier = on(peak(2016073111565503, 29.4, -26.2), -31)
    write(storage_root, PEAKS, {"method": "scan", "month": "2016-07"}, earlier)
    [news] = find_news(storage_root, CO2, "2016-08", ["new_source"], None, LONG_AGO)
    assert news.detection_id == "2016083111565502" and news.emission == pytest.approx(13.28)
    assert news.line(CO2).endswith("in no inventory; the first here")
