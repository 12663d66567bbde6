"""What people say of detections: kept under a lock, the last word counts, known again by place, heeded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.errors import ParameterError
from plumewatch.gases import CH4, CO2
from plumewatch.reviews import append_review, heed_in_matches, heeded, last_words, read_reviews
from plumewatch.tables import MATCHES, PEAKS, PLUMES

SEEN = datetime(2025, 8, 20, 7, 14, tzinfo=UTC)
SAID = datetime(2025, 9, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage root."""
    return str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_root")


def review(root: str, detection_id: str, verdict: str, **other: Any) -> None:
    gas = other.pop("gas", "ch4")
    said = {"longitude": 54.2, "latitude": 38.5, "observed_at_utc": SEEN, "by": "ann", "at": SAID, **other}
    append_review(root, gas, detection_id, verdict=verdict, **said)


def plumes(*rows: dict[str, Any]) -> pa.Table:
    """Rows of `plumes`, that at (54.2, 38.5) by default."""
    usual: dict[str, Any] = dict.fromkeys(PLUMES.schema.names) | {
        "scene_id": "s", "observed_at_utc": SEEN, "longitude": 54.2, "latitude": 38.5, "status": "accepted",
        "probability": 0.7,
    }  # fmt: skip
    return PLUMES.from_pylist([usual | row for row in rows])


def test_the_last_word_counts_and_all_are_kept(root: str) -> None:
    review(root, "a", "reject", comment=" a road ")
    review(root, "a", "confirm", at=SAID + timedelta(days=1), by="bob")
    review(root, "a", "confirm", at=SAID + timedelta(days=1), by="bob")
    rows = read_reviews(root, "ch4").to_pylist()
    assert [(r["verdict"], r["by"], r["comment"]) for r in rows] == [
        ("reject", "ann", "a road"),
        ("confirm", "bob", None),
    ]
    assert last_words(read_reviews(root, "ch4"))["verdict"].to_pylist() == ["confirm"]
    assert read_reviews(root, "co2").num_rows == 0


def test_reviewers_at_one_time_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: review(str(tmp_path), f"plume-{n}", "reject"), range(24)))
    assert read_reviews(str(tmp_path), "ch4").num_rows == 24


def test_what_was_rejected_is_refused_and_what_was_confirmed_is_sure(tmp_path: Path) -> None:
    review(str(tmp_path), "a", "reject")
    review(str(tmp_path), "b", "confirm")
    rows = plumes({"plume_id": "a"}, {"plume_id": "b", "status": "surface_change"}, {"plume_id": "c"})
    found = {r["plume_id"]: r for r in heeded(CH4, rows, read_reviews(str(tmp_path), "ch4")).to_pylist()}
    assert {name: (r["status"], round(r["probability"], 6)) for name, r in found.items()} == {
        "a": ("rejected", 0.0), "b": ("accepted", 1.0), "c": ("accepted", 0.7),
    }  # fmt: skip


def test_a_plume_found_again_under_another_id_is_known_by_its_pass_and_place(tmp_path: Path) -> None:
    review(str(tmp_path), "of the former references", "reject")
    near, far = {"plume_id": "near", "latitude": 38.506}, {"plume_id": "far", "latitude": 38.52}
    later = {"plume_id": "later", "observed_at_utc": SEEN + timedelta(days=5)}
    found = heeded(CH4, plumes(near, far, later), read_reviews(str(tmp_path), "ch4")).to_pylist()
    assert {r["plume_id"] for r in found if r["status"] == "rejected"} == {"near"}


def test_an_accepted_peak_is_meant_and_not_the_refused_candidate_of_its_id(tmp_path: Path) -> None:
    review(str(tmp_path), "2025082007140000", "confirm", gas="co2")
    usual: dict[str, Any] = dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": 2025082007140000, "observed_at_utc": SEEN, "longitude": 54.2, "latitude": 38.5,
    }  # fmt: skip
    rows = PEAKS.from_pylist([usual | {"status": s, "probability": 0.4} for s in ("duplicate", "accepted")])
    found = heeded(CO2, rows, read_reviews(str(tmp_path), "co2")).to_pylist()
    assert {r["status"]: r["probability"] for r in found} == {"accepted": 1.0, "duplicate": pytest.approx(0.4)}


def test_matches_heed_reviews_and_keep_the_rest(tmp_path: Path) -> None:
    rows = plumes({"plume_id": "a"}, {"plume_id": "b", "latitude": 38.6}, {"plume_id": "c", "latitude": 38.7})
    keys = {"method": "multi_pass", "area": "field", "date": "2025-08-20"}
    storage.write_partition(PLUMES, f"{tmp_path}/plumes", keys, rows)
    match = dict.fromkeys(MATCHES.schema.names) | {
        "source_id": "s", "rank": 1, "probability": 1.0, "status": "confirmed", "false_detection_probability": 0.3,
    }  # fmt: skip
    matches = MATCHES.from_pylist([match | {"detection_id": name} for name in "abc"])
    of_day = {"gas": "ch4", "period": "2025-08-20"}
    path = storage.write_partition(MATCHES, f"{tmp_path}/matches", of_day, matches, settings={"calibration": "7"})
    assert heed_in_matches(str(tmp_path), CH4, "2025-08-20") == 0
    review(str(tmp_path), "a", "reject")
    review(str(tmp_path), "b", "confirm", latitude=38.6)
    assert heed_in_matches(str(tmp_path), CH4, "2025-08-20") == 2
    assert heed_in_matches(str(tmp_path), CH4, "2025-08-20") == 0  # all is heeded: nothing is written
    found = storage.read_table(MATCHES, path).to_pylist()
    assert {r["detection_id"]: r["false_detection_probability"] for r in found} == {"b": 0.0, "c": 0.3}
    manifest = storage.read_manifest(path) or {}
    assert manifest["counts"] == {"confirmed": 2} and manifest["versions"]["calibration"] == "7"


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"verdict": "maybe"}, "verdict 'maybe'; allowed: confirm, reject"),
        ({"gas": "n2o"}, "gas 'n2o'; allowed: ch4, co2"),
        ({"by": " "}, "nobody"),
        ({"latitude": float("nan")}, "place 54.2, nan"),
        ({"comment": "x" * 2001}, "2001 characters"),
        ({"at": datetime(2025, 9, 1)}, "without a time zone"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, other: dict[str, Any], found: str) -> None:
    with pytest.raises(ParameterError, match=found):
        review(str(tmp_path), "a", **{"verdict": "reject", **other})
    assert not list(tmp_path.iterdir())
