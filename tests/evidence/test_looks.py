"""What orbits saw of candidates: the same whatever was kept of former runs, and little is read for it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from evidence_rows import match, matches, peak
from plumewatch import storage
from plumewatch.evidence import looks
from plumewatch.evidence.looks import looks_of_orbits
from plumewatch.evidence.update import update_evidence
from plumewatch.gases import CO2
from plumewatch.geodesy import degree_cells, destination
from plumewatch.tables import MATCHES, PEAKS, SOUNDINGS, SOURCE_CANDIDATES

MONTHS = [f"2025-{month:02}" for month in range(1, 6)]
TRACKS = (10.5, 40.5)  # longitudes, of the two granules of a month, an orbit each
HERE, THERE = (10.4, 1.0), (40.4, 1.0)  # 11 km upwind of a track
KEPT = "source_estimates/gas=co2/_looks"


def write_soundings(root: str, month: str, wind_u_m_s: float = 5.0) -> None:
    names, folder = [], storage.partition_path(f"{root}/soundings", {"month": month})
    for n, lon in enumerate(TRACKS):
        lat = np.arange(0.0, 2.0, 0.02)
        columns: dict[str, Any] = {field.name: pa.nulls(len(lat), field.type) for field in SOUNDINGS.schema}
        at, orbit = begin(month) + timedelta(days=n), 10 * MONTHS.index(month) + n
        columns |= {
            "sounding_id": np.arange(len(lat)) + int(f"{at:%Y%m%d}00000000"), "observed_at_utc": [at] * len(lat),
            "orbit": np.full(len(lat), orbit, np.int32), "longitude": np.full(len(lat), lon), "latitude": lat,
            "wind_u_m_s": np.full(len(lat), wind_u_m_s), "wind_v_m_s": np.zeros(len(lat)),
        }  # fmt: skip
        rows = SOUNDINGS.from_columns({name: pa.array(values) for name, values in columns.items()})
        names.append(f"granule-{n}.parquet")
        storage.write_part(folder, names[-1], storage.parquet_bytes(SOUNDINGS, rows))
    storage.publish_partition(SOUNDINGS, f"{root}/soundings", {"month": month}, names, 2 * len(lat))


def write_peaks(root: str, month: str) -> None:
    """The first track has a peak in each month; nothing that is listed explains it."""
    orbit, at = 10 * MONTHS.index(month), begin(month)
    searched = {"sensor": "oco2", "outcome": "searched", "detection_limit": 1.0, "stage": "detection"}
    stated = [searched | {"orbit": orbit + n, "observed_at_utc": (at + timedelta(days=n)).isoformat()}
              for n in range(len(TRACKS))]  # fmt: skip
    found = peak(int(f"{at:%Y%m%d}01"), orbit=orbit, observed_at_utc=at, longitude=TRACKS[0], latitude=1.0)
    name = str(found["peak_id"][0].as_py())
    storage.write_partition(
        PEAKS, f"{root}/peaks", {"method": "scan", "month": month}, found, extra={"observations": stated}
    )
    of_peak = matches(match(name, None, 0.9, status="unknown_source"))
    storage.write_partition(MATCHES, f"{root}/matches", {"gas": "co2", "period": month}, of_peak)


def begin(month: str) -> datetime:
    return datetime.fromisoformat(f"{month}-10T12:00").replace(tzinfo=UTC)


def said(root: str, *places: tuple[float, float]) -> list[dict[str, Any]]:
    rows = looks_of_orbits(root, [f"at {lon}" for lon, _ in places], *np.array(places).T).to_pylist()
    return sorted(rows, key=lambda row: (row["source_id"], row["observed_at_utc"]))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files of soundings that were read."""
    files: list[str] = []
    real = looks.iter_parquet

    def counted(table: Any, path: str, *more: Any) -> Any:
        files.append("/".join(path.split("/")[-2:]))
        return real(table, path, *more)

    monkeypatch.setattr(looks, "iter_parquet", counted)
    return files


@pytest.fixture
def root(tmp_path: Path) -> str:
    for month in MONTHS:
        write_soundings(str(tmp_path), month)
        write_peaks(str(tmp_path), month)
    return str(tmp_path)


def test_a_backfill_reads_each_month_once(tmp_path: Path, read: list[str]) -> None:
    root, counts = str(tmp_path / "storage"), []
    for month in MONTHS:
        write_soundings(root, month)
        write_peaks(root, month)
        update_evidence(root, CO2, month)
        counts.append(len(read))
        read.clear()
        table = storage.read_table(SOURCE_CANDIDATES, f"{root}/source_candidates").to_pylist()
        alone = str(shutil.copytree(root, tmp_path / month))
        Path(alone, KEPT).unlink(missing_ok=True)
        update_evidence(alone, CO2, month)
        assert storage.read_table(SOURCE_CANDIDATES, f"{alone}/source_candidates").to_pylist() == table
        read.clear()
    assert counts == [0, 4, 2, 2, 2]  # files, two a month; a candidate is there from the second month on


def test_months_that_changed_and_places_that_are_new_are_read(root: str, read: list[str]) -> None:
    assert len(said(root, HERE)) == len(MONTHS) and len(read) == 2 * len(MONTHS)
    read.clear()
    assert len(said(root, HERE)) == len(MONTHS) and not read
    both = said(root, HERE, THERE)
    assert read == [f"month={month}/granule-1.parquet" for month in MONTHS]  # those that came near the new place
    Path(root, KEPT).unlink()
    assert said(root, HERE, THERE) == both and len(both) == 2 * len(MONTHS)
    read.clear()
    write_soundings(root, MONTHS[2], wind_u_m_s=-5.0)  # the plume goes the other way
    changed = said(root, THERE, HERE)
    assert read == [f"month={MONTHS[2]}/granule-{n}.parquet" for n in (0, 1)]
    assert len(changed) == len(both) - 2
    read.clear()
    shutil.rmtree(f"{root}/peaks/method=scan/month={MONTHS[0]}")  # nobody says what was searched
    assert len(said(root, THERE, HERE)) == len(changed) - 2 and not read
    shutil.rmtree(f"{root}/soundings/month={MONTHS[1]}")
    assert len(said(root, HERE)) == len(MONTHS) - 3 and not read
    assert said(root, (200.0, -80.0)) == [] and not read


@pytest.mark.parametrize("content", [b"", b"not Parquet", b"PAR1cut offPAR1", "of another rule", "cut"])
def test_what_cannot_be_used_is_made_anew(
    root: str, read: list[str], content: Any, monkeypatch: Any, caplog: Any
) -> None:
    before = said(root, HERE)
    path = Path(root, KEPT)
    if content == "of another rule":
        monkeypatch.setattr(looks, "_version", lambda: "another")
    else:
        path.write_bytes(path.read_bytes()[:-20] if content == "cut" else content)
    read.clear()
    assert said(root, HERE) == before and len(read) == 2 * len(MONTHS)
    assert ("can't be read" in caplog.text) == (content != "of another rule")
    read.clear()
    assert said(root, HERE) == before and not read


def test_cells_reach_every_place_that_a_sounding_does() -> None:
    rng = np.random.default_rng(3)
    lat = np.append(np.degrees(np.arcsin(rng.uniform(-1, 1, 16))), [90.0, -90.0, 0.0, 0.0])
    lon = np.append(rng.uniform(-180, 180, 16), [0.0, 10.0, 180.0, -180.0])
    for x, y in zip(lon, lat, strict=True):
        bearing = rng.uniform(0, 360, 200)
        around = destination(np.full(200, x), np.full(200, y), bearing, np.full(200, 50.0))
        is_near = looks._cells_near([(float(x), float(y))])
        assert is_near[degree_cells(*around)].all() and is_near.sum() < 0.01 * is_near.size + 1800 * (abs(y) > 80)
