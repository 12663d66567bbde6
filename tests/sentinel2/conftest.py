"""What several tests of this folder use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from sentinel2_scenes import SCENE_ID, source_item, write_raster


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
