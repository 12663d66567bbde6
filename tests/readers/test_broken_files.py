"""Whatever bytes a file has, its reader's errors are ours and name it: 200 changed files for each reader.

Readers run in processes of their own (`trials.py`), with 2 GiB of memory beside what libraries take and 30 s a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trials import N_FILES

from tools.checkout import CHECKOUT

HERE = Path(__file__).parent
READERS = (
    "pixels.parquet", "soundings.parquet", "peaks.parquet", "wind.parquet", "plumes.parquet", "anomalies.parquet",
    "observations.parquet", "sources.parquet", "matches.parquet", "failed_scenes.parquet", "validation.parquet",
    "scene_gaps.parquet", "processing_units.parquet", "zonal_statistics.parquet",
    "reviews.parquet", "source_passes.parquet", "source_estimates.parquet", "source_candidates.parquet",
    "manifest", "item", "source tif", "stored item", "stored tif", "stored scl", "granule",
    "CoCO2", "CoCO2 profiles", "GPPD", "own sources", "own GeoJSON", "Climate TRACE", "EU-ETS",
    "EU-ETS places", "cities", "places of cities", "EDGAR", "ODIAC", "IMEO MARS", "Carbon Mapper", "own plumes",
    "reported_plumes.parquet", "area", "settings", "GEOS-FP attributes", "GEOS-FP values", "ERA5 attributes",
    "ERA5 array", "ERA5 chunk", "zones.geojson", "zones.gpkg", "zones.shp",
    "statistics of zones", "delivered statistics", "static catalogue",
)  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trials")
    places = [CHECKOUT / "include", *(CHECKOUT / "tests" / name for name in (".", "readers", "oco2", "wind"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    program = [sys.executable, str(HERE / "trials.py"), str(folder)]
    done = subprocess.run(program, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_a_changed_file_is_read_or_refused_by_name(results: Path, reader: str) -> None:
    result: dict[str, Any] = json.loads((results / f"{reader}.json").read_text())
    assert "died" not in result, result
    outcomes = result["outcomes"]
    assert set(outcomes) <= {"read", "refused"}, result["examples"]
    assert sum(outcomes.values()) == N_FILES and outcomes["refused"] > N_FILES / 10


def test_every_reader_is_tried(results: Path) -> None:
    assert {path.stem for path in results.glob("*.json")} == set(READERS)
