"""The bands of a scene by its STAC item: its files read on the grid of an area, and held against what is stated."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pystac
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader

from plumewatch.constants import SAME_PIXEL_SIZE
from plumewatch.errors import InputError, PlumewatchError, reading, redact
from plumewatch.http import download_existing, http_session
from plumewatch.models import Area, Grid
from plumewatch.progress import watched
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.rasters.plain_numbers import NO_PACKING, checked_plain
from plumewatch.rasters.reading import is_http, read_raster
from plumewatch.rasters.regrid import pixel_size_m, read_on_grid
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sensors.sensor import BAND_LISTS, METHANE_BANDS, ReflectanceRule, Sensor, stated_names
from plumewatch.sensors.sentinel2 import SENTINEL2, processing_baseline
from plumewatch.sentinel2.bands import (
    CLOUD_PROBABILITY,
    LAST_CLASS,
    MOST_PERCENT,
    NO_CLOUD_DATA,
    NO_DATA_CLASS,
    QA60,
    QA60_BITS,
    QA60_UNTIL,
    S2CLOUDLESS_BANDS,
    SURROUNDINGS_M,
    find_cloud_asset,
)
from plumewatch.sentinel2.granule_angles import GRANULE, GRANULE_ASSETS, GranuleAngles, lacks_angles, read_angles
from plumewatch.sentinel2.reflectance import NODATA, decide_offset, normalise
from plumewatch.sentinel2.s2cloudless_mask import ON_SURFACE_REFLECTANCE, compute_cloud_probability
from plumewatch.sentinel2.scene import is_level_1c

COARSEST_BAND_M = 60.0  # of Sentinel-2 products: B01 and B09
STORE = re.compile(r"(?i)\bzarr\b|\bnetcdf\b|\bhdf5?\b|\.(nc|h5)$")  # of many arrays: no raster in one file
S2CLOUDLESS = "s2cloudless"
UNSIGNED = ("uint8", "uint16")
PAYS = "storage:requester_pays"  # of the storage extension of STAC
PAID_BUCKETS = ("s3://sentinel-s2-l2a/", "s3://sentinel-s2-l1c/")  # registry.opendata.aws/sentinel-2: requester pays
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class StackedBands:
    """What a service shows of a scene, on the grid of an area."""

    bands: dict[str, NDArray[np.uint16]]
    """Reflectance x 10000 by band, 0 is no data."""
    scl: NDArray[np.uint8]
    """Scene classification."""
    around: NDArray[np.uint8]
    """The same with the surroundings of the grid."""
    cloud: NDArray[np.uint8] | None
    """Cloud probability in percent, 255 is no data."""
    rule: ReflectanceRule
    """How digital numbers became reflectance."""
    n_clipped: int
    """Valid pixels of all bands with a reflectance below 0.0001, which can't be told from no data."""
    source_pixel_m: dict[str, float]
    """Size of the source's pixels by band."""
    cloud_from: str | None = None
    """Where the cloud probability comes from, None where there is none."""
    angles: GranuleAngles | None = None
    """Of the granule, where the item doesn't state its own."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What else the stacked item is to say: how the pixels were made, angles that the source item doesn't state."""


class BandReader(Protocol):
    """Who reads the bands of an area's scenes, where they aren't files that the item lists."""

    @property
    def recipe(self) -> Sequence[str]:
        """What the pixels depend on beside area and item."""
        ...

    def read(self, item: pystac.Item, grid: Grid) -> StackedBands:
        """Return what `read_bands` does, and raise what it does."""
        ...


def read_bands(item: pystac.Item, area: Area, grid: Grid, access: Access = AS_IS) -> StackedBands:
    """Return the area's bands, the classification and a cloud probability: the item's, where it has one.

    Or that of the area's `cloud_mask`. The files are read side by side, as many as `access` says.

    Raises ServiceError where a service doesn't deliver a file, InputError where an asset is missing, cut off or
    contradicts what the item says.
    """
    name, sensor = name_of_item(item), sensor_of_collection(area.collection)
    sensor.platform(item.id, item.properties)  # another satellite's bands have the same names
    for_cloud = _bands_for_cloud(item, area)
    assets = {band: _asset(item, band, sensor) for band in (*area.bands, *for_cloud, sensor.mask)}
    stated = {band: _stated(item, asset, band, sensor) for band, asset in assets.items()}
    mask = _href(assets.pop(sensor.mask))
    reads: list[Callable[[], Any]] = [
        partial(_read, _href(asset), grid, access, Resampling.bilinear) for asset in assets.values()
    ]
    reads.append(partial(_read_classes, mask, with_surroundings(grid), access, sensor))
    reads.append(partial(_qa60 if area.cloud_mask == "qa60" else _cloud, item, grid, access, sensor))
    reads.append(partial(_fetch_angles, item, area.bands, access) if lacks_angles(item.properties) else lambda: None)
    at_once = min(access.connections(href) for href in (*map(_href, assets.values()), mask))
    with ThreadPoolExecutor(at_once) as pool:
        done = [pool.submit(read) for read in reads]
        with watched(name, len(done), "files", lambda: sum(one.done() for one in done)):
            # The first that fails, in this order, is what went wrong.
            *bands, around, cloud, angles = (one.result() for one in done)
    numbers, sizes_m, rules = {}, {}, set()
    for (band, asset), (values, tags, sizes_m[band]) in zip(assets.items(), bands, strict=True):
        if values.dtype != np.uint16:
            raise InputError(redact(_href(asset)), f"reflectance of type {values.dtype}", "uint16")
        said = {"href": asset.href, "raster:bands": [stated[band]]}
        rules.add(sensor.rule(name, item.collection_id, item.properties, said, tags))
        numbers[band] = values
    if len({(rule.scale, rule.offset, rule.is_certain) for rule in rules}) > 1:
        found = "; ".join(sorted(f"scale {r.scale}, offset {r.offset}: {r.reason}" for r in rules))
        raise InputError(name, f"bands of different scale or offset ({found})", "one for all bands")
    first = min(rules, key=lambda r: r.reason)
    rule = decide_offset(name, first, [numbers[band] for band in area.bands])
    normalised = {band: normalise(values, rule) for band, values in numbers.items()}
    reflectance = {band: values for band, (values, _) in normalised.items()}
    cloud_from = None if cloud is None else f"{area.cloud_mask.upper()} of the source".replace("SCL", CLOUD_PROBABILITY)
    if area.cloud_mask == S2CLOUDLESS:
        cloud, cloud_from = compute_cloud_probability(reflectance), S2CLOUDLESS
        if not is_level_1c(item.collection_id):
            cloud_from = f"{S2CLOUDLESS}, {ON_SURFACE_REFLECTANCE}"
            log.warning("%s: %s: its percentages are not calibrated there", name, cloud_from)
    margin = surroundings_px(grid)
    scl = around[margin:-margin, margin:-margin]
    warn_of_copies(name, sizes_m, grid)
    return StackedBands(
        bands={band: reflectance[band] for band in area.bands},
        scl=scl,
        around=around,
        cloud=None if cloud is None else np.where(scl == NO_DATA_CLASS, np.uint8(NO_CLOUD_DATA), cloud),
        rule=rule,
        n_clipped=sum(normalised[band][1] for band in area.bands),
        source_pixel_m={band: sizes_m[band] for band in area.bands},
        cloud_from=cloud_from,
        angles=angles,
        properties={} if sensor.mask_told is None else {"plumewatch:classification": sensor.mask_told},
    )


def _bands_for_cloud(item: pystac.Item, area: Area) -> list[str]:
    """Return the bands that the area's cloud mask needs beside the area's own; InputError where the item lacks one."""
    if area.cloud_mask != S2CLOUDLESS:
        return []
    missing = [band for band in S2CLOUDLESS_BANDS if SENTINEL2.find_asset(item.assets, band) is None]
    if missing:
        found = f"no asset for {', '.join(missing)}, which s2cloudless needs (Level-2A products have no B10)"
        allowed = f"items with {', '.join(S2CLOUDLESS_BANDS)}, or another cloud_mask of area {area.name}"
        raise InputError(name_of_item(item), found, allowed)
    return [band for band in S2CLOUDLESS_BANDS if band not in area.bands]


def warn_of_copies(name: str, sizes_m: Mapping[str, float], grid: Grid) -> None:
    """Name bands that are coarser than any product's, and those of methane whose cells are copies of coarser pixels."""
    finest_m = {band: grid.resolution_m if band in METHANE_BANDS else COARSEST_BAND_M for band in sizes_m}
    coarse = [f"{b} of {size:g} m" for b, size in sizes_m.items() if size > SAME_PIXEL_SIZE * finest_m[b]]
    if coarse:
        cells = f"cells of {grid.resolution_m:g} m are copies of coarser pixels: {', '.join(coarse)}"
        log.warning("%s: %s; no methane is looked for in copies of B11 and B12", name, cells)


def _cloud(item: pystac.Item, grid: Grid, access: Access, sensor: Sensor) -> NDArray[np.uint8] | None:
    if CLOUD_PROBABILITY not in sensor.assets:
        return None
    key = find_cloud_asset({key: asset.href for key, asset in item.assets.items() if not STORE.search(_kind(asset))})
    if key is None:
        return None
    asset, name = item.assets[key], name_of_item(item)
    if item.properties.get(PAYS, asset.extra_fields.get(PAYS)) or _href(asset).startswith(PAID_BUCKETS):
        log.info("%s: asset %s left, as the reader pays for it: no cloud probability", name, key)
        return None
    return _read_plain(_href(asset), grid, access, MOST_PERCENT, NO_CLOUD_DATA)


def _qa60(item: pystac.Item, grid: Grid, access: Access, sensor: Sensor) -> NDArray[np.uint8]:
    """Return 100 percent where QA60 says cloud or cirrus, else 0; InputError where it can't be relied on."""
    baseline = processing_baseline(item.properties)
    if baseline is None or baseline >= QA60_UNTIL:
        stated = "unknown" if baseline is None else f"{baseline[0]:02d}.{baseline[1]:02d}"
        allowed = (
            f"one before {QA60_UNTIL[0]:02d}.{QA60_UNTIL[1]:02d}: products since have another mask; or cloud_mask scl"
        )
        raise InputError(name_of_item(item), f"QA60 of processing baseline {stated}", allowed)
    href = _href(_asset(item, QA60, sensor))
    numbers, _, _ = _read(href, grid, access, Resampling.nearest)
    if (others := numbers & ~np.uint16(QA60_BITS)).any():
        raise InputError(
            redact(href), f"bits {others.max():b} of QA60", "0, 1024 (opaque cloud), 2048 (cirrus) or both"
        )
    return np.where(numbers > 0, np.uint8(MOST_PERCENT), np.uint8(0))


def _fetch_angles(item: pystac.Item, bands: Sequence[str], access: Access) -> GranuleAngles | None:
    """Return the mean angles of the item's granule, None where it has no such asset.

    Or where that isn't to be had, which the log says: an angle isn't worth a scene.
    """
    asset = next((item.assets[key] for key in GRANULE_ASSETS if key in item.assets), None)
    if asset is None:
        return None
    href = _href(asset)
    try:
        return read_angles(redact(href), _fetch_bytes(href, access), bands)
    except PlumewatchError as error:
        log.warning("no angles of the granule: %s", error)
        return None


def _fetch_bytes(href: str, access: Access) -> bytes:
    if is_http(href):
        with http_session(guard=access.guard) as session:
            return download_existing(session, access.signed(href))
    with reading(redact(href), GRANULE):
        fs, inner = access.filesystem(href)
        content: bytes = fs.cat_file(inner)
        return content


def _read(
    href: str, grid: Grid, access: Access, resampling: Resampling, fill: int = NODATA
) -> tuple[NDArray[Any], tuple[float, float], float]:
    """Return a raster on the grid, the scale and offset that its tags state, and the size of its pixels in metres."""

    def read(source: DatasetReader) -> tuple[NDArray[Any], tuple[float, float], float]:
        if source.dtypes[0] not in UNSIGNED:
            raise InputError(redact(href), f"pixels of type {source.dtypes[0]}", ", ".join(UNSIGNED))
        if fill == NODATA and source.nodata not in (None, NODATA):
            raise InputError(redact(href), f"no-data value {source.nodata}", str(NODATA))
        if sum(kind != ColorInterp.alpha for kind in source.colorinterp) > 1:
            raise InputError(redact(href), f"{source.count} bands", "a file of one band")
        numbers = read_on_grid(source, grid, resampling, fill, redact(href))
        return numbers, (source.scales[0], source.offsets[0]), round(pixel_size_m(source, grid), 1)

    return read_raster(href, read, access)


def _stated(item: pystac.Item, asset: pystac.Asset, band: str, sensor: Sensor) -> dict[str, Any]:
    """Return what the item states of a band; InputError where that is another number of no data than the products'."""
    wanted = sensor.mask_fill if band == sensor.mask else NODATA
    with reading(redact(_href(asset)), "bands of an asset or an item as a list of objects"):
        stated = sensor.stated_band(asset.extra_fields, item.properties, band)
        nodata = stated.get("nodata", item.properties.get("nodata"))
        if nodata is not None and float(nodata) != wanted:
            raise InputError(redact(_href(asset)), f"no-data value {nodata} in the item", str(wanted))
    return stated


def _read_classes(href: str, grid: Grid, access: Access, sensor: Sensor) -> NDArray[np.uint8]:
    """Return the scene classification on the grid, translated where the sensor's mask is something else."""
    if sensor.translation is None:
        return _read_plain(href, grid, access, LAST_CLASS)
    numbers, tags, _ = _read(href, grid, access, Resampling.nearest, sensor.mask_fill)
    if tuple(tags) != NO_PACKING or numbers.dtype != np.uint16:
        found = f"{numbers.dtype} with scale {tags[0]:g} and offset {tags[1]:g}"
        raise InputError(redact(href), found, f"plain numbers of uint16: {sensor.mask}")
    return sensor.translation[numbers]


def _read_plain(href: str, grid: Grid, access: Access, last: int, fill: int = NODATA) -> NDArray[np.uint8]:
    """Return classes or percentages on the grid; InputError where they are above `last` or the tags pack them."""
    numbers, tags, _ = _read(href, grid, access, Resampling.nearest, fill)
    return checked_plain(redact(href), numbers, last, fill=fill, tags=tags)


def _asset(item: pystac.Item, band: str, sensor: Sensor) -> pystac.Asset:
    rasters = {key: asset for key, asset in item.assets.items() if not STORE.search(_kind(asset))}
    key = sensor.find_asset(rasters, band)
    if key is None:
        if (key := sensor.find_asset(item.assets, band)) is not None:
            asset = item.assets[key]
            found = f"asset {key} as {asset.media_type or 'a store'}: {redact(_href(asset))}"
            raise InputError(name_of_item(item), found, "a GeoTIFF or another raster in one file")
        has = ", ".join(sorted(item.assets)) or "nothing"
        raise InputError(
            name_of_item(item), f"no asset for {band} (it has {has})", " or ".join(sensor.asset_keys(band))
        )
    asset = item.assets[key]
    if (href := _href(asset)).startswith(sensor.paid_buckets):
        raise InputError(name_of_item(item), f"asset {key} in a bucket whose readers pay: {href}", "another catalogue")
    with reading(name_of_item(item), "bands of an asset as a list of objects"):
        stated = [one for lists in BAND_LISTS for one in asset.extra_fields.get(lists) or ()]
        names = list(dict.fromkeys(name for one in stated for name in stated_names(one)))
        if {sensor.band_of(name) for name in names} - {None, band}:
            raise InputError(name_of_item(item), f"asset {key} with bands {', '.join(names)}", f"{band} alone")
    return asset


def _kind(asset: pystac.Asset) -> str:
    """Media type and path of an asset, which tell what it is."""
    return f"{asset.media_type or ''} {asset.href.split('?')[0]}"


def _href(asset: pystac.Asset) -> str:
    return asset.get_absolute_href() or asset.href


def surroundings_px(grid: Grid) -> int:
    """Return the width of the surroundings in cells."""
    return math.ceil(SURROUNDINGS_M / grid.resolution_m)


def with_surroundings(grid: Grid) -> Grid:
    """Return the grid with what lies around it, as far as cloud there has its margin inside."""
    margin = surroundings_px(grid)
    shift_m = margin * grid.resolution_m
    return replace(
        grid,
        west=grid.west - shift_m,
        north=grid.north + shift_m,
        width=grid.width + 2 * margin,
        height=grid.height + 2 * margin,
    )


def name_of_item(item: pystac.Item) -> str:
    """Return how messages name an item: where it is, else its id."""
    return redact(item.get_self_href() or item.id)
