"""Wind files in memory: the same rows as read anew, each file read once, and no more kept than is allowed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.tables import WIND
from plumewatch.wind import kept_files
from plumewatch.wind.files import READ_AROUND, read_wind_files
from plumewatch.wind.kept_files import KeptFiles

DAYS = ("2025-08-19", "2025-08-20", "2025-08-21")
PLACES = [(-179.6, 10.2), (179.7, 10.1), (54.2, 38.5), (0.1, -0.1), (54.9, 39.4)]
ROWS_A_DAY = 24 * 4000


@pytest.fixture(scope="module")
def wind(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three days of hourly wind at random places all over, some rows without a wind."""
    path = f"{tmp_path_factory.mktemp('wind')}/wind"
    rng = np.random.default_rng(3)
    for day in DAYS:
        at = np.datetime64(day, "us") + np.repeat(np.arange(24), 4000).astype("timedelta64[h]")
        near = np.array(PLACES)[rng.integers(0, len(PLACES), ROWS_A_DAY)] + rng.uniform(-3, 3, (ROWS_A_DAY, 2))
        speed = rng.normal(3.0, 1.0, ROWS_A_DAY)
        rows = WIND.from_columns(
            {
                "observed_at_utc": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
                "longitude": (near[:, 0] + 180.0) % 360.0 - 180.0,
                "latitude": near[:, 1],
                "wind_u_m_s": np.where(rng.random(ROWS_A_DAY) < 0.05, np.nan, speed),
                "wind_v_m_s": rng.normal(3.0, 1.0, ROWS_A_DAY),
                "height_m": np.full(ROWS_A_DAY, 10.0),
            }
        )
        storage.write_partition(WIND, path, {"product": "p", "date": day}, rows)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were read, in their order; with a mark where not all of their rows were."""
    found: list[str] = []
    read = kept_files.usable_rows

    def counted(file: str, *condition: object) -> pa.Table:
        found.append(file + (" in part" if condition else ""))
        return read(file, *condition)

    monkeypatch.setattr(kept_files, "usable_rows", counted)
    return found


def asked(read: Callable[..., pa.Table], place: tuple[float, float], hour: float) -> pa.Table:
    at = datetime(2025, 8, 20, tzinfo=UTC) + timedelta(hours=hour)
    points = (np.array([place[0], place[0] + 0.2]), np.array([place[1], place[1] + 0.2]))
    return read(at - READ_AROUND, at + READ_AROUND, points=points)


@pytest.mark.parametrize("max_rows", [10 * ROWS_A_DAY, ROWS_A_DAY, ROWS_A_DAY - 1])
def test_rows_are_those_of_the_files_however_many_are_kept(wind: str, max_rows: int) -> None:
    kept = KeptFiles(wind, max_rows)
    for place in PLACES:
        for hour in (1.0, 12.5, 22.0):
            anew = asked(lambda *a, **k: read_wind_files(wind, *a, **k), place, hour)
            assert anew.num_rows > 1000 and asked(kept.read, place, hour).equals(anew)


def test_no_place_has_no_wind(wind: str) -> None:
    nowhere, noon = (np.empty(0), np.empty(0)), datetime(2025, 8, 20, 12, tzinfo=UTC)
    for read in (KeptFiles(wind).read, lambda *a, **k: read_wind_files(wind, *a, **k)):
        assert read(noon - READ_AROUND, noon + READ_AROUND, points=nowhere).num_rows == 0


def test_a_file_is_read_once_for_all_places(wind: str, reads: list[str]) -> None:
    kept = KeptFiles(wind)
    for place in PLACES:
        asked(kept.read, place, 12.5)
    assert len(reads) == 1 and "date=2025-08-20" in reads[0]
    asked(kept.read, PLACES[0], 22.0)
    assert [file.split("date=")[1][:10] for file in reads] == ["2025-08-20", "2025-08-21"]


def test_the_file_asked_for_longest_ago_goes_first(wind: str, reads: list[str]) -> None:
    kept = KeptFiles(wind, 2 * ROWS_A_DAY)
    for hour in (12.5, 1.0, 22.0):  # needs the 20th; the 19th and the 20th; the 20th and the 21st
        asked(kept.read, PLACES[0], hour)
    assert [file.split("date=")[1][:10] for file in kept.kept] == ["2025-08-20", "2025-08-21"] and len(reads) == 3


def test_a_file_of_too_many_rows_is_read_in_part_each_time(wind: str, reads: list[str]) -> None:
    kept = KeptFiles(wind, ROWS_A_DAY - 1)
    for place in PLACES[:2]:
        asked(kept.read, place, 12.5)
    assert len(reads) == 2 and all(file.endswith(" in part") for file in reads) and kept.kept == []


def test_a_bad_file_is_told_each_time_and_read_when_it_has_healed(wind: str, tmp_path: Path) -> None:
    file = tmp_path / "wind" / "product=p" / f"date={DAYS[1]}" / "data.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no parquet")
    kept, failures = KeptFiles(f"{tmp_path}/wind"), []
    for _ in range(2):
        rows = asked(lambda *a, **k: kept.read(*a, **k, on_failure=failures.append), PLACES[2], 12.5)
        assert rows.num_rows == 0 and rows.schema.names[-1] == "product"
    assert [failure.scene_id for failure in failures] == ["data.parquet"] * 2
    file.write_bytes(Path(wind, "product=p", f"date={DAYS[1]}", "data.parquet").read_bytes())
    assert asked(kept.read, PLACES[2], 12.5).num_rows > 1000
