"""Lets the tests import `known_pixels`, and gives them what several use."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pystac
import pytest
from numpy.typing import NDArray
from sentinel2_scenes import SCENE_ID, source_item, write_raster

sys.path.insert(0, str(Path(__file__).parent))

from known_pixels import JOB
from known_source import RNG, SHAPE


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Write the rasters of a source scene (arrays by band) and return its item."""

    def write(
        arrays: Mapping[str, NDArray[Any]], place: Mapping[str, float] | None = None, **item: Any
    ) -> dict[str, Any]:
        folder = tmp_path / "catalogue" / item.get("scene_id", SCENE_ID)
        hrefs = {band: write_raster(folder / f"{band}.tif", array, **(place or {})) for band, array in arrays.items()}
        return source_item(hrefs, **item)

    return write


@pytest.fixture(scope="session")
def job() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rasters_to_pixels", JOB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(job: ModuleType, spark: object, tmp_path: Path) -> Callable[..., Any]:
    """Run the job on the scenes of this test, and return what it says."""

    def call(*arguments: object, scenes: Path | None = None, own_dilation: bool = False) -> Any:
        argv = ["--scenes-path", str(scenes or tmp_path / "scenes"), "--pixels-path", str(tmp_path / "pixels")]
        argv += [] if own_dilation else ["--cloud-dilation-m", "0"]
        return job.run(job.parse_arguments([*argv, *map(str, arguments)]))

    return call


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    (tmp_path / "scenes").mkdir()
    return tmp_path / "scenes"


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    scl = RNG.choice(np.array([4, 5, 9], np.uint8), SHAPE)
    return {**{b: RNG.integers(1, 9000, SHAPE).astype(np.uint16) for b in ("B11", "B12")}, "SCL": scl}


@pytest.fixture
def item(source: Callable[..., dict[str, Any]], arrays: Mapping[str, np.ndarray]) -> pystac.Item:
    return pystac.Item.from_dict(source(arrays), migrate=False)
