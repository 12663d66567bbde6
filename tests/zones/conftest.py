"""Scenes of known pixels over known zones, and the job on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from plumewatch import storage
from plumewatch.tables import ZONAL_STATISTICS
from sentinel2_scenes import write_stacked

from tools.checkout import CHECKOUT

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(CHECKOUT / "tests" / "benchmarks"))

from jobs import load_job

N = 40
DAYS = ("2025-08-21", "2025-08-26", "2025-08-31")


@pytest.fixture(scope="session")
def zonal_job() -> ModuleType:
    return load_job("zonal_statistics")


@pytest.fixture
def count(zonal_job: ModuleType, spark: object, tmp_path: Path) -> Callable[..., Any]:
    """Run the job on this test's scenes without a margin around cloud, and return what it says."""
    area = tmp_path / "areas" / "dune.geojson"
    area.parent.mkdir()
    area.write_text(
        '{"type": "Feature", "properties": {"name": "dune", "cloud_dilation_m": 0},'
        ' "geometry": {"type": "Polygon", "coordinates": [[[56.9, 24.3], [57.2, 24.3], [57.2, 24.5], [56.9, 24.3]]]}}'
    )

    def run(*arguments: object, month: str = "2025-08", areas: bool = True) -> Any:
        argv = ["--scenes-path", tmp_path / "scenes", "--statistics-path", tmp_path / "zonal_statistics"]
        argv += ["--month", month, *(["--areas-path", area] if areas else []), *arguments]
        return zonal_job.run(zonal_job.parse_arguments(list(map(str, argv))))

    return run


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], Any]:
    """Return the rows of the table as a pandas frame."""

    def read() -> Any:
        return storage.read_table(ZONAL_STATISTICS, str(tmp_path / "zonal_statistics")).to_pandas()

    return read


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Mapping[str, NDArray[Any]]]:
    """Write a stacked scene of random red and near infrared, and return its numbers (reflectance x 10000)."""
    rng = np.random.default_rng(7)

    def write(day: str = DAYS[0], tile: str = "40RDN", **changed: Any) -> Mapping[str, NDArray[Any]]:
        shape = changed.pop("shape", (N, N))
        red, nir = (rng.integers(300, 6000, shape).astype(np.uint16) for _ in range(2))
        scl = changed.pop("scl", rng.choice(np.array([4, 5, 9], np.uint8), shape))
        for band in (red, nir):
            band[changed.get("hole", np.s_[:0])] = 0
        changed.pop("hole", None)
        write_stacked(
            tmp_path / "scenes", red, nir, scl, date=day, scene_id=f"S2A_{tile}_{day.replace('-', '')}_0_L2A",
            further={"B04": red, "B08": nir}, **changed,
        )  # fmt: skip
        return {"B04": red, "B08": nir, "SCL": scl}

    return write
