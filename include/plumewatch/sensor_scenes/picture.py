"""The side-by-side picture of a run: a row for each sensor, a column for each time; scenes of a pass are one image."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.methane.details.figure_png import palette_png
from plumewatch.models import FailedScene, Grid
from plumewatch.rasters.reading import read_raster
from plumewatch.rasters.scene_store import ScenePaths, read_item, scene_paths
from plumewatch.sensor_scenes.event import ROLES
from plumewatch.sensors.known import SENSORS
from plumewatch.sensors.sensor import Sensor
from plumewatch.sentinel2.scene_item import grid_properties

MOST_PX = 500  # of a side of an image
SIDE_INCHES, DPI = 3.2, 100
STRETCH_PERCENT = (2.0, 98.0)  # of what all images of a sensor show: black and white
DIGITS = 8
STAGE = "draw_picture"

Image = NDArray[np.float64]
log = logging.getLogger(__name__)


class Drawn(NamedTuple):
    """What came of a picture."""

    path: str | None
    """Where it is; None where no scene is stored."""
    shown: list[str]
    """Ids of the scenes in it."""
    failures: list[FailedScene]
    """Scenes that cannot be read."""


def draw_picture(root: str, area: str, grid: Grid, scenes: Sequence[Mapping[str, Any]]) -> Drawn:
    """Write the picture of scenes (`WantedScene` as dicts) that are stored below `root` on `grid`.

    It is `area=A/side_by_side_<number>.png`, by what it shows: the same scenes on the same grid give the same file. A
    scene on other cells, of an earlier run, is left out; one that cannot be read too, and is a failure.
    """
    cells = grid_properties(grid)
    ids: list[str] = []
    stored: dict[tuple[str, str, str], list[ScenePaths]] = {}
    failures: list[FailedScene] = []
    for scene in scenes:
        for paths in _stored(root, area, scene):
            stored.setdefault((scene["sensor"], scene["role"], scene["date"]), []).append(paths)
    images: dict[tuple[str, str, str], tuple[Image, str]] = {}
    sensors = {sensor.name: sensor for sensor in SENSORS}
    for key, of_pass in stored.items():
        shown = []
        for paths in of_pass:
            try:
                properties = read_item(paths)["properties"]
                if any(properties.get(name) != value for name, value in cells.items()):
                    log.warning("%s: on other cells than those of the run: left out of the picture", paths.item)
                    continue
                shown.append((_read(paths, sensors[key[0]]), properties))
                ids.append(paths.scene_id)
            except PlumewatchError as error:
                failures.append(paths.failure(error, STAGE))
        if shown:
            images[key] = _joined([image for image, _ in shown]), _told(key, [told for _, told in shown])
    if not images:
        return Drawn(None, [], failures)
    number = hashlib.sha256(repr((sorted(images), sorted(ids), cells)).encode()).hexdigest()[:DIGITS]
    path = storage.join(root, f"area={area}", f"side_by_side_{number}.png")
    storage.write_bytes(path, palette_png(_figure(area, images, sensors)))
    return Drawn(path, ids, failures)


def _stored(root: str, area: str, scene: Mapping[str, Any]) -> list[ScenePaths]:
    """The scene, or what stands in for it, where it is stored."""
    sensor = next(sensor for sensor in SENSORS if sensor.name == scene["sensor"])
    other = sensor.stand_in(scene["scene_id"])
    for name in (scene["scene_id"], *(() if other is None else (other[1],))):
        paths = scene_paths(root, area, scene["date"], name, scene["sensor"])
        if storage.exists(paths.item):
            return [paths]
    return []


def _read(paths: ScenePaths, sensor: Sensor) -> Image:
    """What a picture shows of a scene (1 or 3 x height x width), coarser where it is large; NaN where nothing is.

    It is grey, by the first of the bands that it has, where it lacks one of the three.
    """

    def read(source: Any) -> Image:
        shape = [math.ceil(side / max(1.0, max(source.shape) / MOST_PX)) for side in source.shape]
        numbers = [source.descriptions.index(band) + 1 for band in sensor.shown if band in source.descriptions]
        numbers = numbers if len(numbers) == 3 else numbers[:1] or [1]
        masked = source.read(numbers, out_shape=(len(numbers), *shape), masked=True)
        return masked.astype(np.float64).filled(np.nan)

    image = read_raster(paths.raster("data"), read)
    numbers = sensor.numbers(paths.scene_id, None)
    if numbers is None or not numbers.is_power:
        return image
    with np.errstate(divide="ignore", invalid="ignore"):
        decibel = 10.0 * np.log10(image)
    return np.where(np.isfinite(decibel), decibel, np.nan)


def _joined(images: Sequence[Image]) -> Image:
    """The first of several images of a pass that shows a cell."""
    joined = images[0].copy()
    for image in images[1:]:
        joined = np.where(np.isfinite(joined), joined, image)
    return joined


def _told(key: tuple[str, str, str], properties: Sequence[Mapping[str, Any]]) -> str:
    """What stands above an image: when, which satellite, its cloud, and what it stands in for."""
    platforms = ", ".join(sorted({str(one["platform"]) for one in properties}))
    clouds = [one["eo:cloud_cover"] for one in properties if one.get("eo:cloud_cover") is not None]
    cloud = f", cloud {max(clouds):.0f} %" if clouds else ""
    stands_in = "\nGRD: not terrain corrected" if any("plumewatch:stands_in_for" in one for one in properties) else ""
    return f"{key[2]}\n{platforms}{cloud}{stands_in}"


def _figure(area: str, images: Mapping[tuple[str, str, str], tuple[Image, str]], sensors: Mapping[str, Sensor]) -> Any:
    columns = sorted({(ROLES.index(role), i) for (_, role, _), i in _numbered(images).items()})
    rows = [name for name in sensors if any(key[0] == name for key in images)]
    figure = Figure(figsize=(SIDE_INCHES * len(columns), (SIDE_INCHES + 0.6) * len(rows) + 0.4), dpi=DPI)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    numbered = _numbered(images)
    for row, name in enumerate(rows):
        of_sensor = {key: one for key, one in images.items() if key[0] == name}
        low, high = _stretch([image for image, _ in of_sensor.values()])
        for key, (image, told) in of_sensor.items():
            axis = axes[row, columns.index((ROLES.index(key[1]), numbered[key]))]
            scaled = np.clip((image - low) / (high - low), 0.0, 1.0)
            seen = np.isfinite(scaled).all(axis=0)
            rgb = np.where(seen, scaled if len(scaled) == 3 else scaled[:1].repeat(3, 0), 1.0)
            axis.imshow(np.moveaxis(rgb, 0, -1), interpolation="nearest")
            axis.set_title(f"{sensors[name].title}, {key[1]}\n{told}", fontsize=7)
    figure.suptitle(area, fontsize=9)
    figure.tight_layout()
    return figure


def _numbered(images: Mapping[tuple[str, str, str], Any]) -> dict[tuple[str, str, str], int]:
    """The place of each image among those of its sensor and role, by date."""
    found: dict[tuple[str, str, str], int] = {}
    for key in sorted(images):
        found[key] = sum(other[:2] == key[:2] for other in found)
    return found


def _stretch(images: Sequence[Image]) -> tuple[Image, Image]:
    """What is black and what white of each colour, the same for all images of a sensor, so that they compare."""
    bands = min(len(image) for image in images)
    together = np.concatenate([image[:bands].reshape(bands, -1) for image in images], axis=1)
    if not np.isfinite(together).any():
        return np.zeros((bands, 1, 1)), np.ones((bands, 1, 1))
    low, high = np.nanpercentile(together, STRETCH_PERCENT, axis=1)
    return low[:, None, None], np.maximum(high, low + np.finfo(float).eps * np.abs(low) + 1e-9)[:, None, None]
