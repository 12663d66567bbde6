"""A month of an area as one picture: mean and median of what is clear, and how often it was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pystac
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping

from plumewatch import __version__, storage
from plumewatch.errors import InputError
from plumewatch.models import FailedScene
from plumewatch.rasters.cog import cog_bytes
from plumewatch.rasters.regrid import lonlat_bounds
from plumewatch.rasters.scene_store import checksum
from plumewatch.sensors.known import sensor_of_platform
from plumewatch.sensors.sentinel2 import QUANTIFICATION
from plumewatch.sentinel2.pixels import CellWindow, best_scene
from plumewatch.sentinel2.reflectance import NODATA
from plumewatch.sentinel2.scene_item import EXTENSIONS, grid_properties
from plumewatch.sentinel2.stored_scene import StoredScene
from plumewatch.statuses import COMPOSITE_STAGE
from plumewatch.zones.area_months import AreaMonth, read_scene_strip, strips_of

MOST_VALUES = 1 << 26  # of all dates and bands at once: a quarter of a gigabyte, some of it twice
MOST_DAYS = 31  # of a month, so a byte holds their number

WRITTEN = pa.schema([(name, pa.string()) for name in ("area", "item", "failures")])
"""What a worker says of an area: the item it wrote (null where no scene could be used), and a JSON list of failures."""
WRITTEN_DDL = ", ".join(f"{name} string" for name in WRITTEN.names)

Floats = NDArray[np.float32]


def compose(values: Floats) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Return mean, median (both NaN where nothing is seen) and number of what is seen, over the dates.

    `values` (dates x ...) are NaN where a date doesn't see the ground. The median of an even number is the mean of the
    middle two.

    >>> mean, median, count = compose(np.float32([[1, np.nan], [2, np.nan], [6, np.nan]]))
    >>> mean.tolist(), median.tolist(), count.tolist()
    ([3.0, nan], [2.0, nan], [3, 0])
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    n = np.count_nonzero(np.isfinite(values), axis=0)
    last = np.maximum(n - 1, 0)
    low, high = (np.take_along_axis(ordered, place[None], 0)[0] for place in (last // 2, (last + 1) // 2))
    with np.errstate(invalid="ignore"):
        mean = np.nansum(values, axis=0, dtype=np.float64) / np.where(n, n, np.nan)
    return mean.astype(np.float32), (low + high) / np.float32(2.0), n.astype(np.uint8)


def write_composites(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Write those of the tasks in the first column of each batch (month, key and root as JSON): for a mapInArrow."""
    for batch in batches:
        for text in batch.column(0).to_pylist():
            task = json.loads(text)
            month = AreaMonth.from_dict(task["month"])
            item, failures = write_composite(month, task["key"], task["root"])
            failed = json.dumps([asdict(failure) for failure in failures])
            yield pa.RecordBatch.from_pylist([{"area": month.area, "item": item, "failures": failed}], schema=WRITTEN)


def write_composite(month: AreaMonth, key: str, root: str) -> tuple[str | None, list[FailedScene]]:
    """Write the composite of an area and month (YYYY-MM) below `root`; return its item's path, and scenes left out.

    Written are `median.tif` and `mean.tif` (all bands that the scenes share, reflectance x 10000, 0 is no data),
    `clear_count.tif` (dates on which a cell was clear) and last the STAC item `composite.json`. A scene that can't be
    read is left out of the whole composite; where none is left there is no item.
    """
    failures: dict[str, FailedScene] = {}
    while True:
        scenes = [scene for scene in month.scenes if scene.paths.item not in failures]
        bands = sorted(_shared_bands(scenes, failures))
        if not bands:
            return None, list(failures.values())
        if rasters := _rasters(month, bands, failures):
            break
    folder = storage.partition_path(root, {"area": month.area, "month": key})
    names = {kind: storage.join(folder, f"{kind}.tif") for kind in rasters}
    item = storage.join(folder, "composite.json")
    storage.delete(item)  # an older item must not vouch for half of the new files
    for kind, content in rasters.items():
        storage.write_bytes(names[kind], content)
    inputs = [scene.paths.item for scene in month.scenes if scene.paths.item not in failures]
    storage.write_json(item, _item(month, key, bands, rasters, inputs))
    return item, list(failures.values())


def _shared_bands(scenes: Sequence[StoredScene], failures: dict[str, FailedScene]) -> set[str]:
    """Return the bands that all scenes share; one that has none of those that most scenes have is put into failures."""
    of_scenes = [frozenset(band for band in scene.bands if band) for scene in scenes]
    shared = set(Counter(of_scenes).most_common(1)[0][0]) if scenes else set()
    for scene, bands in zip(scenes, of_scenes, strict=True):
        if shared & bands:
            shared &= bands
            continue
        found, allowed = (
            f"bands {', '.join(sorted(bands))}",
            f"some of {', '.join(sorted(shared))}, as other scenes have",
        )
        error = InputError(scene.paths.raster("data"), found, allowed)
        failures[scene.paths.item] = scene.paths.failure(error, COMPOSITE_STAGE)
    return shared


def _rasters(month: AreaMonth, bands: Collection[str], failures: dict[str, FailedScene]) -> dict[str, bytes]:
    """Return the files by kind; none where a scene turns out to be bad, which is put into failures."""
    grid, n_failed = month.grid, len(failures)
    whole = {
        kind: {band: np.zeros((grid.height, grid.width), np.uint16) for band in bands} for kind in ("median", "mean")
    }
    clear_count = np.zeros((grid.height, grid.width), np.uint8)
    whole_window = CellWindow(0, 0, grid.height, grid.width)
    for strip in strips_of(whole_window, MOST_VALUES // (len(bands) * min(MOST_DAYS, len(month.scenes)))):
        rows = np.s_[strip.row : strip.row + strip.height]
        values = _read_strip(month, strip, bands, failures)
        if len(failures) > n_failed or not len(values):
            continue  # the scenes are read on, to name all that are bad
        mean, median, count = compose(values)
        clear_count[rows] = count[0]
        for i, band in enumerate(bands):
            whole["mean"][band][rows], whole["median"][band][rows] = _packed(mean[i]), _packed(median[i])
    if len(failures) > n_failed:
        return {}
    of_grid = (grid.crs, grid.transform)
    packed = {
        kind: cog_bytes(arrays, *of_grid, nodata=NODATA, overview_resampling="AVERAGE", scale=1.0 / QUANTIFICATION)
        for kind, arrays in whole.items()
    }
    count_cog = cog_bytes({"clear_count": clear_count}, *of_grid, nodata=255, overview_resampling="NEAREST")
    return {**packed, "clear_count": count_cog}


def _read_strip(
    month: AreaMonth, strip: CellWindow, bands: Collection[str], failures: dict[str, FailedScene]
) -> Floats:
    """Return what is clear (dates x bands x rows x columns), NaN elsewhere; each cell once a date."""
    dates = []
    for _, of_date in groupby(month.scenes, key=lambda scene: scene.paths.date):
        scenes = [scene for scene in of_date if scene.paths.item not in failures]
        shown = [read_scene_strip(month, scene, strip, bands, COMPOSITE_STAGE, failures) for scene in scenes]
        if there := [cells for cells in shown if cells is not None]:
            best = best_scene(there)[None, None]
            values = np.stack([np.stack([s.reflectance[band] for band in bands]) for s in there])
            values[~np.stack([s.is_clear for s in there])[:, None].repeat(len(bands), 1)] = np.nan
            dates.append(np.take_along_axis(values, best, 0)[0])
    return np.stack(dates) if dates else np.empty((0, len(bands), strip.height, strip.width), np.float32)


def _packed(reflectance: Floats) -> NDArray[np.uint16]:
    """Reflectance x 10000, at least 1 where there is any, 0 where there is none."""
    numbers = np.clip(np.rint(np.float64(reflectance) * QUANTIFICATION), 1, np.iinfo(np.uint16).max)
    return np.where(np.isfinite(reflectance), numbers, NODATA).astype(np.uint16)


def _item(
    month: AreaMonth, key: str, bands: Collection[str], rasters: Mapping[str, bytes], inputs: Collection[str]
) -> dict[str, Any]:
    grid = month.grid
    west, south, east, north = lonlat_bounds(grid)
    first = datetime.strptime(key, "%Y-%m").replace(tzinfo=UTC)
    last = (first + timedelta(days=MOST_DAYS + 1)).replace(day=1) - timedelta(microseconds=1)
    item = pystac.Item(
        id=f"{month.area}_{key}",
        geometry=mapping(shapely.box(west, south, east, north)),
        bbox=[west, south, east, north],
        datetime=None,
        start_datetime=first,
        end_datetime=last,
        properties={
            **grid_properties(grid),
            "processing:software": {"plumewatch": __version__},
            "plumewatch:area": month.area,
            "plumewatch:inputs": sorted(inputs),
            "plumewatch:clear_classes": list(month.settings.clear_classes),
            "plumewatch:cloud_dilation_m": month.settings.cloud_dilation_m,
        },
        stac_extensions=[EXTENSIONS[name] for name in ("eo", "file", "processing", "proj", "raster")],
    )
    sensor = sensor_of_platform(month.scenes[0].platform)
    of_bands: dict[str, Any] = {
        "eo:bands": [sensor.eo_band(band) for band in bands],
        "raster:bands": [{"data_type": "uint16", "nodata": NODATA, "scale": 1.0 / QUANTIFICATION, "offset": 0.0}]
        * len(bands),
    }
    of_count: dict[str, Any] = {"raster:bands": [{"data_type": "uint8", "nodata": 255}]}
    titles = {
        "median": f"Median reflectance x 10000 of clear dates: {', '.join(bands)}",
        "mean": f"Mean reflectance x 10000 of clear dates: {', '.join(bands)}",
        "clear_count": "Dates on which a cell was clear",
    }
    for kind, content in rasters.items():
        fields = of_count if kind == "clear_count" else of_bands
        fields = {**fields, "file:size": len(content), "file:checksum": checksum(content)}
        asset = pystac.Asset(
            f"./{kind}.tif", title=titles[kind], media_type=pystac.MediaType.COG, roles=["data"], extra_fields=fields
        )
        item.add_asset(kind, asset)
    return item.to_dict(include_self_link=False, transform_hrefs=False)
