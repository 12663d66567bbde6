"""The static site: all that the map shows, for anybody, from files alone, and up to date once it is there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from browser import content_of
from map_rows import DAY, NASTY, observation, plume
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.hand_offs import record_hand_offs
from plumewatch.maps import site_rows
from plumewatch.maps.columns import rows_of
from plumewatch.maps.map_page import ASSETS
from plumewatch.maps.site import main, refresh_site, write_site
from plumewatch.pages.outcomes import FAILED_WHY_TEXT
from plumewatch.reviews import append_review
from plumewatch.tables import OBSERVATIONS, PLUMES


def at(root: str, path: str) -> Any:
    return json.loads(storage.read_bytes(storage.join(root, "site", path)))


def test_a_site_holds_all_keys_their_details_and_pictures(plumes_stored: str) -> None:
    failed = OBSERVATIONS.from_pylist([observation("oman", "failed")])
    keys = {"gas": "ch4", "key": "2025-09-01"}
    storage.write_partition(OBSERVATIONS, storage.join(plumes_stored, "observations"), keys, failed)
    record_hand_offs(plumes_stored, CH4, [DAY], "a_dag")
    index = write_site(plumes_stored)
    assert index == storage.join(plumes_stored, "site", "index.html")
    page = content_of(storage.read_bytes(index).decode())
    assert [gas["keys"] for gas in page["gases"]] == [[DAY, "2025-09-01"], []] and page["feed"] == "site"
    every = at(plumes_stored, "data/ch4/all.json")
    detections = rows_of(every["detections"])
    assert {d["id"] for d in detections} == {"a1", "a2 too_small", "a3", "b1"}
    assert at(plumes_stored, "data/ch4/2025-09-01.json")["detections"]["n"] == 0
    details = at(plumes_stored, f"data/ch4/{DAY}.details.json")
    assert details.keys() == {d["id"] for d in detections}
    assert details["a1"]["matches"][0]["name"] == NASTY and details["a1"]["links"] == []
    assert storage.read_bytes(storage.join(plumes_stored, "site", details["a1"]["picture"])) == b"\x89PNG small"
    files = storage.list_files(storage.join(plumes_stored, "site"))
    assert {name for name in ASSETS if storage.join(plumes_stored, "site", "assets", name) in files} == set(ASSETS)
    public = "".join(storage.read_bytes(file).decode() for file in files if "/data/" in file and ".json" in file)
    assert FAILED_WHY_TEXT not in public and "a_dag" not in public and "DAG" not in public


def test_it_follows_what_is_drawn_and_what_people_reject(plumes_stored: str) -> None:
    assert not refresh_site(CH4, [DAY], plumes_stored)
    assert not storage.exists(storage.join(plumes_stored, "site"))  # none is made where nobody asked for one
    write_site(plumes_stored)
    said = {"verdict": "reject", "by": "ann", "at": datetime(2025, 9, 3, tzinfo=UTC)}
    place = {"longitude": 56.0, "latitude": 22.0, "observed_at_utc": datetime(2025, 8, 31, 7, 12, tzinfo=UTC)}
    append_review(plumes_stored, "ch4", "a1", **place, **said)
    assert refresh_site(CH4, [DAY], plumes_stored)
    for name in ("all", DAY):
        states = {d["id"]: d["state"] for d in rows_of(at(plumes_stored, f"data/ch4/{name}.json")["detections"])}
        assert states["a1 rejected"] == "refused" and "a1" not in states


@pytest.mark.parametrize("program", [None, b"another"])
def test_a_site_of_another_program_is_written_anew(plumes_stored: str, program: bytes | None) -> None:
    write_site(plumes_stored)
    new = {file: storage.read_bytes(file) for file in storage.list_files(storage.join(plumes_stored, "site"))}
    old = [file for file in new if file.endswith(("world.js", f"{DAY}.json", "all.json"))]
    assert len(old) == 3
    for file in old:
        storage.write_bytes(file, b'{"detections": []}')
    refresh_site(CO2, [], plumes_stored)
    assert storage.read_bytes(old[0]) == b'{"detections": []}'  # of this program: left as it is
    version = storage.join(plumes_stored, "site", "program.txt")
    storage.delete(version) if program is None else storage.write_bytes(version, program)
    assert refresh_site(CO2, [], plumes_stored)
    assert {file: storage.read_bytes(file) for file in new} == new


def test_the_command_writes_the_site_of_the_settings(
    plumes_stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", plumes_stored)
    monkeypatch.setenv("PLUMEWATCH_AREAS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["site"])
    assert main() == 0 and storage.exists(storage.join(plumes_stored, "site", "index.html"))


def test_one_more_key_is_read_alone_and_the_site_is_as_if_written_anew(
    plumes_stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(day: str, *plumes: dict) -> None:
        keys = {"method": "multi_pass", "area": "oman", "date": day}
        storage.write_partition(PLUMES, storage.join(plumes_stored, "plumes"), keys, PLUMES.from_pylist(plumes))
        seen = OBSERVATIONS.from_pylist([observation("oman", "searched", detected=bool(plumes))])
        of_key = {"gas": "ch4", "key": day}
        storage.write_partition(OBSERVATIONS, storage.join(plumes_stored, "observations"), of_key, seen)

    def whole() -> dict[str, bytes]:
        return {file: storage.read_bytes(file) for file in storage.list_files(storage.join(plumes_stored, "site"))}

    read: list[list[str]] = []
    real = site_rows.read_map_rows
    monkeypatch.setattr(
        site_rows, "read_map_rows", lambda gas, keys, *more: read.append([*keys]) or real(gas, keys, *more)
    )
    for n in (1, 2, 3):
        store(f"2025-09-0{n}", plume(f"p{n}", 56.0 + n / 100, 22.0))
    write_site(plumes_stored)
    store("2025-09-02", plume("other", 56.5, 22.0))
    store("2025-09-04", plume("new", 56.6, 22.0))
    read.clear()
    refresh_site(CH4, ["2025-09-02", "2025-09-04"], plumes_stored)
    assert read == [["2025-09-02", "2025-09-04"]]
    refreshed = whole()
    ids = {d["id"] for d in rows_of(at(plumes_stored, "data/ch4/all.json")["detections"])}
    assert {"a1", "p1", "p3", "other", "new"} <= ids and "p2" not in ids
    write_site(plumes_stored)
    assert whole() == refreshed

    every, read[:] = [DAY, *(f"2025-09-0{n}" for n in (1, 2, 3, 4))], []
    kept = storage.join(plumes_stored, ".site_rows", "ch4", "matches.parquet")
    for broken in (b"no table", None):
        storage.delete(kept) if broken is None else storage.write_bytes(kept, broken)
        refresh_site(CH4, ["2025-09-04"], plumes_stored)
        assert read.pop() == every and whole() == refreshed
    monkeypatch.setattr("plumewatch.maps.site.MAX_KEYS", 2)
    refresh_site(CH4, ["2025-09-04"], plumes_stored)
    ids = {d["id"] for d in rows_of(at(plumes_stored, "data/ch4/all.json")["detections"])}
    assert ids == {"p3", "new"} and read == [["2025-09-04"]]
