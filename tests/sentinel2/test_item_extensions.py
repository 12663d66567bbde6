"""The item of a stacked scene by pystac: the core by its JSON schema, each extension by the class that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pystac
import pytest
from known_source import AREA, RNG, SHAPE
from plumewatch.areas import grid_of
from plumewatch.sentinel2.scene_item import EXTENSIONS
from plumewatch.sentinel2.stack import fetch_scene
from pystac.errors import STACValidationError
from pystac.extensions.eo import EOExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.grid import GridExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension
from pystac.validation import validate_dict


@pytest.fixture
def written(source: Callable, arrays: dict, tmp_path: Path) -> Path:
    item = source({**arrays, "CLD": RNG.integers(0, 101, SHAPE).astype(np.uint8)})
    return Path(fetch_scene(pystac.Item.from_dict(item, migrate=False), AREA, str(tmp_path)))


def test_the_core_is_valid(written: Path) -> None:
    """By the schemas that come with pystac: those of the extensions are on the net alone."""
    content = {**json.loads(written.read_text()), "stac_extensions": []}
    validate_dict(content)
    for broken in ({"bbox": None}, {"assets": None}, {"properties": {"datetime": "yesterday"}}):
        with pytest.raises(STACValidationError):
            validate_dict({**content, **broken})


def test_each_extension_is_read_by_its_class(written: Path) -> None:
    """In the version that the item names, without migration; asking for one that isn't named raises."""
    item = pystac.Item.from_dict(json.loads(written.read_text()), migrate=False)
    assert sorted(item.stac_extensions) == sorted(EXTENSIONS.values())
    grid = grid_of(AREA)
    projection = ProjectionExtension.ext(item)
    assert (projection.shape, projection.transform) == ([grid.height, grid.width], list(grid.transform)[:6])
    assert (SatExtension.ext(item).relative_orbit, GridExtension.ext(item).code) == (20, "MGRS-40RDN")
    view = ViewExtension.ext(item)
    assert (view.sun_elevation, view.sun_azimuth, view.incidence_angle) == (62.5, 110.0, 4.25)
    assert 0 < EOExtension.ext(item).cloud_cover < 100
    assert [band.name for band in EOExtension.ext(item.assets["data"]).bands] == ["B11", "B12"]
    for name, kind, nodata in (
        ("data", "uint16", 0),
        ("scl", "uint8", 0),
        ("around", "uint8", 0),
        ("cloud", "uint8", 255),
    ):
        [band, *_] = RasterExtension.ext(item.assets[name]).bands
        assert (band.data_type, band.nodata, band.spatial_resolution) == (kind, nodata, 20.0)
        assert FileExtension.ext(item.assets[name]).size == (written.parent / item.assets[name].href).stat().st_size
    data = RasterExtension.ext(item.assets["data"]).bands
    assert [(band.scale, band.offset) for band in data] == [(1e-4, 0.0)] * 2
    assert (
        set(item.properties["processing:software"]) == {"plumewatch", "gdal"}
        and item.properties["processing:level"] == "L2A"
    )
