"""The wind of a month's peaks: asked around accepted peaks only, and what fails is a row, not an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.oco2.orbits.peak_wind import candidates_folder, fetch_peak_wind, requests_of_peaks
from plumewatch.settings import Settings
from plumewatch.tables import PEAKS, WIND
from plumewatch.wind.at_point import wind_at

DAG, RUN, MONTH = "oco2_monthly_extraction", "run-1", "2025-08"
NOON = datetime(2025, 8, 12, 12, tzinfo=UTC)


def peak(longitude: float, latitude: float, at: datetime, status: str = "accepted") -> dict[str, Any]:
    return {
        "peak_id": int(f"{at:%Y%m%d%H%M%S}01"), "orbit": 1, "observed_at_utc": at, "longitude": longitude,
        "latitude": latitude, "status": status,
    }  # fmt: skip


@pytest.fixture
def root(storage_root: str) -> str:
    """Two accepted peaks, a rejected one, and one of another method."""
    peaks = [peak(29.1, -26.3, NOON), peak(103.0, 37.0, NOON + timedelta(days=5)), peak(0.0, 0.0, NOON, "too_wide")]
    for method, rows in (("scan", peaks), ("curve_fit_seed", [peak(50.0, 50.0, NOON)])):
        keys = {"method": method, "month": MONTH}
        storage.write_partition(PEAKS, storage.join(storage_root, "peaks"), keys, PEAKS.from_pylist(rows))
    return storage_root


def wind_of_the_world(folder: Path, day: datetime) -> None:
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(-180.0, 180), np.arange(-60.0, 60)))
    rows = {
        "observed_at_utc": [day + timedelta(hours=12)] * len(lon), "longitude": lon, "latitude": lat,
        "wind_u_m_s": np.full(len(lon), 7.0), "wind_v_m_s": np.zeros(len(lon)), "height_m": np.full(len(lon), 250.0),
    }  # fmt: skip
    keys = {"product": "p", "date": f"{day:%Y-%m-%d}"}
    storage.write_partition(WIND, str(folder), keys, WIND.from_columns(rows))


def fetch(settings: Settings) -> tuple[int, int]:
    return fetch_peak_wind(
        settings, settings.table_root("peaks"), [MONTH], FailureBook(settings.storage_root, DAG, RUN), MONTH
    )


def failed(root: str) -> list[tuple[str, str, bool]]:
    rows = FailureBook(root, DAG, "any run").rows(MONTH)
    return sorted((row["scene_id"], row["stage"], row["is_retryable"]) for row in rows)


def test_only_accepted_peaks_of_the_scan_are_asked_for(root: str) -> None:
    requests = requests_of_peaks(Settings(root).table_root("peaks"), [MONTH])
    assert [(r.bounds, r.start, r.end) for r in requests] == [
        ((29.1, -26.3, 29.1, -26.3), NOON, NOON),
        ((103.0, 37.0, 103.0, 37.0), NOON + timedelta(days=5), NOON + timedelta(days=5)),
    ]
    assert requests_of_peaks(Settings(root).table_root("peaks"), ["2025-07"]) == []


def test_wind_files_are_copied_around_the_peaks(root: str, tmp_path: Path) -> None:
    for day in (0, 1, 5):
        wind_of_the_world(tmp_path / "world", NOON.replace(hour=0) + timedelta(days=day))
    assert fetch(Settings(root, wind=str(tmp_path / "world"))) == (2, 0) and failed(root) == []
    rows = storage.read_table(WIND, storage.join(root, "wind"))
    assert set(rows["date"].to_pylist()) == {"2025-08-12", "2025-08-17"} and rows.num_rows <= 2 * 9
    for lon, lat, at in ((29.1, -26.3, NOON), (103.0, 37.0, NOON + timedelta(days=5))):
        found = wind_at(rows, lon, lat, at, 250.0)
        assert found is not None and found.wind_u_m_s == 7.0


def test_what_fails_is_a_row_of_failed_scenes(root: str, tmp_path: Path) -> None:
    wind_of_the_world(tmp_path / "world", NOON.replace(hour=0))
    (tmp_path / "world" / "broken.parquet").write_bytes(b"PAR1")
    assert fetch(Settings(root, wind=str(tmp_path / "world"))) == (1, 2)
    assert failed(root) == [
        ("broken.parquet", "wind", False),
        ("world", "wind", True),
    ]
    (tmp_path / "world" / "broken.parquet").unlink()
    wind_of_the_world(tmp_path / "world", NOON.replace(hour=0) + timedelta(days=5))
    assert fetch(Settings(root, wind=str(tmp_path / "world")))[1] == 0
    assert FailureBook(root, DAG, "another").open_rows(MONTH) == []


def test_a_source_that_is_not_there_is_a_row_and_no_error(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)
    assert fetch(Settings(root, wind="geos-fp")) == (0, 1)
    closed = "http://127.0.0.1:9/nothing"
    assert fetch(Settings(root, wind="era5,geos_fp", geos_fp_url=closed, era5_url=closed)) == (0, 2)
    rows = failed(root)
    assert rows == [("era5 2025-08-12", "wind", True), ("geos-fp", "wind", False), ("geos_fp 2025-08-12", "wind", True)]


def test_without_a_source_nothing_happens(root: str) -> None:
    assert fetch(Settings(root)) == (0, 0) and failed(root) == []


def test_candidates_are_no_peaks_and_go_afterwards(storage_root: str) -> None:
    with candidates_folder(Settings(storage_root), MONTH) as path:
        storage.write_partition(PEAKS, path, {"method": "scan", "month": MONTH}, PEAKS.from_pylist([peak(1, 2, NOON)]))
        assert len(requests_of_peaks(path, [MONTH])) == 1
        assert not storage.exists(storage.join(storage_root, "peaks"))
    assert not storage.list_files(storage_root)
