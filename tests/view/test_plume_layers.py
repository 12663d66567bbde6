"""Rasters that are laid under a plume: in their place on the map, with a legend, and only what is stored."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from map_rows import DAY
from PIL import Image
from plumewatch import storage
from view_rows import EARLIER, REFERENCE, SCENE, SPOT

DETECTION = f"/data/ch4/{DAY}/detection"
CELL_DEG = 0.0003  # a cell of 20 m, and half of one more by the turn of its grid


@pytest.fixture
def layers(client: Callable[..., Any], view_storage: str) -> Callable[[], dict[str, Any]]:
    """What the panel of a1 offers, each as it is answered, by its label."""
    viewer = client("viewer")

    def read() -> dict[str, Any]:
        offered = viewer.get(DETECTION, params={"id": "a1"}).json()["layers"]
        return {one["label"]: viewer.get(f"/{one['href']}").json() for one in offered}

    return read


def pixels(layer: dict[str, Any]) -> np.ndarray:
    head, _, data = layer["picture"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")).astype(int)


def place_of(layer: dict[str, Any], row: float, column: float) -> tuple[float, float]:
    """Longitude and latitude of a pixel's middle; so near the equator of the map degrees are even."""
    (west, north), _, (east, south), _ = layer["corners"]
    height, width = pixels(layer).shape[:2]
    return west + (east - west) * (column + 0.5) / width, north + (south - north) * (row + 0.5) / height


def test_the_enhancement_is_where_it_was_measured(layers: Callable[[], dict[str, Any]]) -> None:
    layer = layers()["methane above the surroundings"]
    image = pixels(layer)
    yellow = np.argwhere((image[..., 0] > 230) & (image[..., 1] > 240) & (image[..., 2] < 60))
    assert place_of(layer, *yellow.mean(axis=0)) == pytest.approx(SPOT, abs=CELL_DEG)
    assert (image[:25, 80:120, 3] == 0).all()  # nothing is known there
    assert image[-10, 100, 3] < 10  # and here that there is hardly any
    legend = layer["legend"]
    assert (
        legend["title"].endswith("mol/m2")
        and legend["low"] == "0"
        and 0.05 < float(legend["high"].removesuffix(" or more")) < 0.4
    )
    assert legend["colours"][0] == "#0d0887" and legend["colours"][-1] == "#f0f921"


def test_scene_and_reference_lie_in_the_same_place_in_grey(layers: Callable[[], dict[str, Any]]) -> None:
    enhancement, scene, before = layers().values()
    assert list(layers())[1:] == [f"the scene, {DAY}, B12", f"before, {EARLIER}, B12"]
    assert enhancement["corners"] == scene["corners"] == before["corners"]
    image = pixels(scene)
    dark = np.argwhere((image[..., 0] < 20) & (image[..., 3] == 255))
    assert place_of(scene, *dark.mean(axis=0)) == pytest.approx(SPOT, abs=CELL_DEG)
    assert scene["legend"]["title"] == "reflectance, B12" and float(scene["legend"]["high"]) == pytest.approx(0.3, 0.02)
    assert float(before["legend"]["low"]) == pytest.approx(0.3, abs=0.01)


def test_only_what_is_stored_is_offered_and_given(
    client: Callable[..., Any], view_storage: str, layers: Callable[[], dict[str, Any]]
) -> None:
    viewer, path = client("viewer"), f"/data/ch4/{DAY}/layer"
    for params in (
        {"id": "a3", "name": "enhancement"},
        {"id": "a1", "name": "../secret"},
        {"id": "a1", "name": "data"},
    ):
        assert viewer.get(path, params=params).status_code == 404
    assert viewer.get(DETECTION, params={"id": "a3"}).json()["layers"] == []
    storage.delete(storage.join(view_storage, "scenes", "area=oman", f"date={EARLIER}", f"{REFERENCE}.tif"))
    assert len(layers()) == 2
    storage.write_bytes(storage.join(view_storage, "scenes", "area=oman", f"date={DAY}", f"{SCENE}.tif"), b"no raster")
    answer = viewer.get(path, params={"id": "a1", "name": "scene"})
    assert answer.status_code == 503 and SCENE in answer.json()["detail"]
