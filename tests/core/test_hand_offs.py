"""What waits for a detection: noted, taken away by a run of its key, and found in the tables where nobody noted it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.hand_offs import (
    record_hand_offs,
    requested_methods,
    take_hand_offs,
    undetected_keys,
    waiting_hand_offs,
)
from plumewatch.maps.map_file import map_path

NOW = timedelta(0)


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage root."""
    return f"file://{tmp_path}/store" if request.param == "folder" else request.getfixturevalue("s3_root")


def waiting(root: str, gas: Gas) -> list[str]:
    return [hand_off.key for hand_off in waiting_hand_offs(root, gas)]


def test_what_is_handed_on_waits_until_a_run_that_began_later_takes_it(root: str) -> None:
    assert waiting(root, CH4) == []
    before = datetime.now(UTC)
    record_hand_offs(root, CH4, ["2025-08-20", "2025-08-23"], "sentinel2_daily_ingest")
    record_hand_offs(root, CO2, ["2025-08"], "oco2_monthly_extraction")
    assert waiting(root, CH4) == ["2025-08-20", "2025-08-23"] and waiting(root, CO2) == ["2025-08"]
    take_hand_offs(root, CH4, "2025-08-20", before)  # that run began before: it may not have seen what came
    assert waiting(root, CH4) == ["2025-08-20", "2025-08-23"]
    take_hand_offs(root, CH4, "2025-08-20", datetime.now(UTC))
    assert waiting(root, CH4) == ["2025-08-23"] and waiting(root, CO2) == ["2025-08"]


def test_a_hand_off_during_a_run_outlives_it(root: str) -> None:
    record_hand_offs(root, CO2, ["2025-08"], "oco2_monthly_extraction")
    began = datetime.now(UTC)
    record_hand_offs(root, CO2, ["2025-08"], "redetect", ["curve_fit_seed"])
    take_hand_offs(root, CO2, "2025-08", began)
    assert waiting(root, CO2) == ["2025-08"] and requested_methods(root, CO2, "2025-08") == ["scan", "curve_fit_seed"]


def test_the_methods_of_all_who_ask_are_run_after_the_default_one(root: str) -> None:
    record_hand_offs(root, CH4, ["2025-08-20"], "sentinel2_daily_ingest")
    record_hand_offs(root, CH4, ["2025-08-20"], "redetect", ["single_pass", "multi_pass"])
    record_hand_offs(root, CH4, ["2025-08-20", "2025-08-21"], "redetect", ["isolation_forest"])
    asked = requested_methods(root, CH4, "2025-08-20")
    assert asked[0] == "multi_pass" and sorted(asked[1:]) == ["isolation_forest", "single_pass"]
    assert requested_methods(root, CH4, "2025-08-21") == ["multi_pass", "isolation_forest"]
    assert requested_methods(root, CH4, "2025-08-22") == ["multi_pass"]


@pytest.mark.parametrize(
    "name", ["notes.json", "2025-08-20.json", "2025-08-20_yesterday_me.json", "_.json", "a_b_c.json"]
)
def test_a_foreign_file_among_hand_offs_is_named(root: str, name: str) -> None:
    storage.write_json(f"{root}/.hand_offs/ch4/{name}", {})
    with pytest.raises(InputError, match=name):
        waiting_hand_offs(root, CH4)


@pytest.fixture
def write(root: str) -> Callable[[str], None]:
    """A function that writes a file below the root, a moment after the one before."""
    newest = [datetime.now(UTC) - timedelta(hours=3)]

    def write(below_root: str) -> None:
        path = f"{root}/{below_root}"
        storage.write_bytes(path, b"{}")
        if storage.is_local(path):  # a server says itself when it was written, at least a second apart is slow
            newest[0] += timedelta(minutes=1)
            os.utime(path.removeprefix("file://"), times=(newest[0].timestamp(),) * 2)

    return write


def pixels(area: str, day: str) -> str:
    return f"pixels/area={area}/date={day}/_manifest.json"


def plumes(area: str, day: str) -> str:
    return f"plumes/method=multi_pass/area={area}/date={day}/_manifest.json"


@pytest.mark.parametrize("root", ["folder"], indirect=True)
def test_pixels_newer_than_map_and_plumes_are_undetected(root: str, write: Callable[[str], None]) -> None:
    assert undetected_keys(root, CH4, NOW) == []
    for day in ("2025-08-20", "2025-08-21", "2025-08-22", "2025-08-23"):
        write(pixels("hassi", day))
    write(pixels("case_stanford_1", "2025-08-24"))
    write(plumes("case_stanford_1", "2025-08-24"))  # of a published case: without a map
    write(plumes("hassi", "2025-08-20"))
    write("maps/ch4/2025-08-20.html")
    write("maps/ch4/2025-08-21.html")
    write(pixels("hassi", "2025-08-21"))  # again, with another content
    write(plumes("hassi", "2025-08-22"))
    write("maps/ch4/2025-08-22.html")
    write(pixels("qarn", "2025-08-22"))  # another area of a day that is done
    write("plumes/method=single_pass/area=hassi/date=2025-08-23/_manifest.json")  # for comparison only
    assert undetected_keys(root, CH4, NOW) == ["2025-08-21", "2025-08-22", "2025-08-23"]
    assert undetected_keys(root, CH4, timedelta(days=1)) == []  # whoever writes them may still hand them on


@pytest.mark.parametrize("root", ["folder"], indirect=True)
def test_peaks_newer_than_their_map_are_undetected(root: str, write: Callable[[str], None]) -> None:
    for month in ("2025-07", "2025-08"):
        write(f"peaks/method=scan/month={month}/_manifest.json")
        write(f"maps/co2/{month}.html")
    write("peaks/method=scan/month=2025-08/_manifest.json")
    write("peaks/method=curve_fit_seed/month=2025-07/_manifest.json")
    write("peaks/method=scan/month=2025-09/_manifest.json")
    write("maps/ch4/2025-09.html")
    assert undetected_keys(root, CO2, NOW) == ["2025-08", "2025-09"]
    assert undetected_keys(root.removeprefix("file://"), CO2, NOW) == ["2025-08", "2025-09"]


def test_times_of_writing_are_listed_alike_on_a_disk_and_in_a_bucket(root: str) -> None:
    storage.write_bytes(f"{root}/a/b.json", b"{}")
    [(path, at)] = storage.modified_times(root).items()
    assert path == f"{root}/a/b.json" and abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert storage.modified_times(f"{root}/none") == {}


def test_maps_are_where_the_check_looks(root: str) -> None:
    assert map_path(root, CH4, "2025-08-20") == f"{root}/maps/ch4/2025-08-20.html"
