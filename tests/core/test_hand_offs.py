"""What waits for a detection: noted, begun with, done; on a disk and in a bucket."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.hand_offs import begin_hand_offs, finish_hand_offs, record_hand_offs, waiting_hand_offs

INGEST, REDETECT = "sentinel2_daily_ingest", "redetect"


@pytest.fixture(params=["folder", "odd folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage root."""
    local = {"folder": f"file://{tmp_path}/store", "odd folder": f"file://{tmp_path}/./x//a.b=c d"}
    return local.get(request.param) or request.getfixturevalue("s3_root")


def waiting(root: str, gas: Gas) -> list[str]:
    return [hand_off.key for hand_off in waiting_hand_offs(root, gas)]


def test_a_key_waits_until_a_run_begins_with_it(root: str) -> None:
    assert waiting(root, CH4) == []
    record_hand_offs(root, CH4, ["2025-08-23", "2025-08-20"], INGEST)
    record_hand_offs(root, CO2, ["2025-08"], "oco2_monthly_extraction")
    assert waiting(root, CH4) == ["2025-08-20", "2025-08-23"] and waiting(root, CO2) == ["2025-08"]
    assert begin_hand_offs(root, CH4, "2025-08-20") == ["multi_pass"]
    assert waiting(root, CH4) == ["2025-08-23"] and waiting(root, CO2) == ["2025-08"]
    finish_hand_offs(root, CH4, "2025-08-20")
    assert waiting(root, CH4) == ["2025-08-23"] and waiting(root, CO2) == ["2025-08"]


def test_handed_on_again_is_one_file_that_waits_from_now(root: str) -> None:
    record_hand_offs(root, CH4, ["2025-08-20"], INGEST)
    [first] = waiting_hand_offs(root, CH4)
    if storage.is_local(root):
        then = first.at - timedelta(hours=1)
        os.utime(storage.filesystem(first.path)[1], times=(then.timestamp(),) * 2)
        assert waiting_hand_offs(root, CH4)[0].at == pytest.approx(then, abs=timedelta(milliseconds=1))
    record_hand_offs(root, CH4, ["2025-08-20"], INGEST)
    [again] = waiting_hand_offs(root, CH4)
    assert again.at >= first.at and abs(datetime.now(UTC) - again.at) < timedelta(minutes=5)


def test_what_is_handed_on_during_a_run_outlives_it(root: str) -> None:
    record_hand_offs(root, CO2, ["2025-08"], "oco2_monthly_extraction")
    begin_hand_offs(root, CO2, "2025-08")
    record_hand_offs(root, CO2, ["2025-08"], REDETECT, ["curve_fit_seed"])
    finish_hand_offs(root, CO2, "2025-08")
    assert waiting(root, CO2) == ["2025-08"] and begin_hand_offs(root, CO2, "2025-08") == ["scan", "curve_fit_seed"]


def test_the_methods_of_all_who_ask_are_run_after_the_default_one(root: str) -> None:
    record_hand_offs(root, CH4, ["2025-08-20"], INGEST)
    record_hand_offs(root, CH4, ["2025-08-20"], REDETECT, ["single_pass", "multi_pass"])
    record_hand_offs(root, CH4, ["2025-08-20", "2025-08-21"], REDETECT, ["isolation_forest"])
    asked = begin_hand_offs(root, CH4, "2025-08-20")
    assert asked[0] == "multi_pass" and sorted(asked[1:]) == ["isolation_forest", "single_pass"]
    assert begin_hand_offs(root, CH4, "2025-08-21") == ["multi_pass", "isolation_forest"]
    assert begin_hand_offs(root, CH4, "2025-08-22") == ["multi_pass"]


def test_what_a_run_was_asked_for_and_failed_at_is_done_by_the_next_one_but_waits_not(root: str) -> None:
    record_hand_offs(root, CH4, ["2025-08-20"], REDETECT, ["single_pass"])
    assert begin_hand_offs(root, CH4, "2025-08-20") == ["multi_pass", "single_pass"]
    assert waiting(root, CH4) == []
    assert begin_hand_offs(root, CH4, "2025-08-20") == ["multi_pass", "single_pass"]  # a retry, or the key triggered
    finish_hand_offs(root, CH4, "2025-08-20")
    assert begin_hand_offs(root, CH4, "2025-08-20") == ["multi_pass"]


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "2025-08-20.json", "2025-8-1.a..json", "2025-08.a..json", "__HIVE__.a..json"],
)
def test_a_foreign_file_is_named_and_stops_nothing(root: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    record_hand_offs(root, CH4, ["2025-08-20"], INGEST)
    storage.write_json(f"{root}/.hand_offs/ch4/waiting/{name}", {})
    with caplog.at_level(logging.WARNING):
        assert waiting(root, CH4) == ["2025-08-20"]
    assert any(name in message for message in caplog.messages)


def test_times_of_writing_are_listed_alike_on_a_disk_and_in_a_bucket(root: str) -> None:
    storage.write_bytes(f"{root}/a/b.json", b"{}")
    [(path, at)] = storage.modified_times(root).items()
    assert path.endswith("/a/b.json") and storage.read_bytes(path) == b"{}"
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert storage.modified_times(f"{root}/none") == {}
