"""Whatever bytes a file has, its reader's errors are ours and name it: 200 files for each reader, of them 20 made.

Readers run in processes of their own (`trials.py`), with 2 GiB of memory beside what libraries take and 30 s a file.
`make fuzz` has five times as many.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import trials
from trials import HANG, KILLED, Plan, Reader, try_reader

from tools import fuzz

N_FILES, N_MADE = 200, 20
READERS = (
    "pixels.parquet", "soundings.parquet", "peaks.parquet", "wind.parquet", "plumes.parquet", "anomalies.parquet",
    "observations.parquet", "sources.parquet", "matches.parquet", "failed_scenes.parquet", "validation.parquet",
    "scene_gaps.parquet", "processing_units.parquet", "zonal_statistics.parquet",
    "reviews.parquet", "source_passes.parquet", "source_estimates.parquet", "source_candidates.parquet",
    "manifest", "item", "source tif", "stored item", "stored tif", "stored scl", "granule",
    "CoCO2", "CoCO2 profiles", "GPPD", "own sources", "own GeoJSON", "Climate TRACE", "EU-ETS",
    "EU-ETS places", "cities", "places of cities", "EDGAR", "ODIAC", "IMEO MARS", "Carbon Mapper", "own plumes",
    "reported_plumes.parquet", "area json", "area gpkg", "area shp", "settings",
    "GEOS-FP attributes", "GEOS-FP values", "ERA5 attributes",
    "ERA5 array", "ERA5 chunk", "zones.geojson", "zones.gpkg", "zones.shp",
    "statistics of zones", "delivered statistics", "static catalogue", "JPEG 2000", "angles of a granule",
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials")
    done = fuzz.run_trials(folder, N_FILES, N_MADE, seed=20)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_a_changed_file_is_read_or_refused_by_name(results: Path, reader: str) -> None:
    result: dict[str, Any] = json.loads((results / f"{reader}.json").read_text())
    outcomes = result["outcomes"]
    assert set(outcomes) <= {"read", "refused"}, result["examples"]
    assert sum(outcomes.values()) == N_FILES and outcomes["refused"] > N_FILES / 10


def test_every_reader_is_tried(results: Path) -> None:
    assert {path.stem for path in results.glob("*.json")} == set(READERS)


def test_the_table_of_all_readers_says_that_nothing_is_wrong(results: Path) -> None:
    table, n_bad = fuzz.table(results)
    assert n_bad == 0 and len(table) == len(READERS) + 3, "head, line, and the sum of all"
    assert table[-1].split("|")[2].strip() == f"{len(READERS) * N_FILES:,}"


def _write_text(folder: Path) -> Path:
    (folder / "file.txt").write_text("some words of text, to be changed")
    return folder / "file.txt"


def _misbehave(path: Path) -> None:
    content = path.read_bytes()
    if content.startswith(b"some"):
        return
    if len(content) % 7 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if len(content) % 7 == 1:
        time.sleep(30)
    if len(content) % 7 == 2:
        bytearray(3 << 30)
    raise ValueError("a secret of a library")


def test_a_reader_that_hangs_dies_or_takes_all_memory_is_told_and_the_others_cases_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "TIME_S", 1)
    try_reader("odd", Reader(_write_text, _misbehave), Plan(40, 20, 1), tmp_path)
    outcomes = json.loads((tmp_path / "odd.json").read_text())["outcomes"]
    assert sum(outcomes.values()) == 40
    assert outcomes[HANG] and outcomes[KILLED] and outcomes["raw MemoryError"] and outcomes["raw ValueError"]
    n_kept = sum(path.name.isdigit() for path in (tmp_path / "odd").iterdir())
    assert n_kept == 40 - outcomes["read"], "each file that did it is kept"
    assert fuzz.table(tmp_path)[1] == n_kept
