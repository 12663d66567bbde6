"""The bands of a scene by Sentinel Hub's Process API: made by the service on the grid of an area.

A scene takes three requests a piece of at most 2500 x 2500 px: reflectance on the grid, classes and cloud on the grid
with its surroundings (always by the nearest pixel), and once the angles on large cells. The service is asked for the
seconds of the scene's acquisition. Where a neighbouring tile of the same datatake falls into them it fills in beyond
the scene's own tile, and what lies there is taken away again: scenes stay one a tile and acquisition.
"""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise, product
from typing import Any

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from sentinelhub import CRS as HubCrs
from sentinelhub import BBox, MimeType, ResamplingType, SentinelHubRequest

from plumewatch import storage
from plumewatch.catalogues.hub_client import asking
from plumewatch.catalogues.own_tile import in_own_tile, own_tile
from plumewatch.catalogues.processing_units import Spending, predict_units
from plumewatch.catalogues.sentinel_hub import SentinelHub, time_range
from plumewatch.errors import InputError, ServiceError, reading, redact
from plumewatch.models import Area, Grid
from plumewatch.progress import followed
from plumewatch.rasters.plain_numbers import checked_plain
from plumewatch.rasters.regrid import ALIGNED_PX, cells_in_pixel
from plumewatch.sensors.sensor import ReflectanceRule
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.sentinel2.bands import (
    CLOUD_PROBABILITY,
    LAST_CLASS,
    MOST_PERCENT,
    NO_CLOUD_DATA,
    NO_DATA_CLASS,
)
from plumewatch.sentinel2.evalscript import (
    ANGLES,
    BANDS,
    CLASSES,
    CLOUD,
    DATA_MASK,
    Evalscript,
    read_own_script,
    write_angles_script,
    write_bands_script,
    write_classes_script,
)
from plumewatch.sentinel2.item_bands import StackedBands, surroundings_px, warn_of_copies, with_surroundings
from plumewatch.sentinel2.reflectance import NODATA, SCALE, check_numbers
from plumewatch.sentinel2.scene import observed_at_utc

MOST_PX = 2500  # a side, docs.sentinel-hub.com/api/latest/reference
TIME_MARGIN_S = 1.0  # the Catalog states whole seconds
ANGLES_CELL_M = 1000.0  # the products give angles by cells of 5 km; the service makes no cells above 1500 m
TYPES = {"UINT8": "uint8", "UINT16": "uint16", "FLOAT32": "float32", "AUTO": "uint8"}
RULE = ReflectanceRule(SCALE, 0.0, "reflectance as Sentinel Hub's Process API gives it: offset taken off, harmonised")
LINEAGE = "Made on the area's grid by Sentinel Hub's Process API from the product of the source item"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One request of the Process API."""

    script: Evalscript
    """What is to be made."""
    grid: Grid
    """Where."""
    resampling: ResamplingType
    """How, where cells don't lie in pixels of the product."""

    @property
    def units(self) -> float:
        """Processing units that it will cost."""
        bands = self.script.n_charged_bands
        return predict_units(self.grid.width, self.grid.height, bands, is_32_bit=self.script.is_32_bit)


class ProcessApi:
    """Reads the bands of scenes of one area from Sentinel Hub."""

    def __init__(self, hub: SentinelHub, area: Area) -> None:
        """Raises InputError where the area's own evalscript can't be used."""
        self.hub = hub
        self.area = area
        own = area.evalscript
        self.bands_script = (
            read_own_script(own, _text_of(own), area.bands) if own is not None else write_bands_script(area.bands)
        )
        self.scripts = self.bands_script, write_classes_script(), write_angles_script()

    @property
    def recipe(self) -> tuple[str, ...]:
        """What the pixels depend on beside area and item."""
        return self.hub.url, *(script.checksum for script in self.scripts)

    def predicted_units(self, grid: Grid) -> float:
        """Return what a scene on a grid costs, in processing units."""
        return sum(request.units for _, request in self._requests(grid, ResamplingType.NEAREST))

    def read(self, item: pystac.Item, grid: Grid) -> StackedBands:
        """Return bands, classes, cloud and angles of a scene, whose units are set aside before they are asked for.

        Raises QuotaUsedUp where the month hasn't so many left, ServiceError where the service doesn't deliver,
        InputError where its rasters aren't what was asked for.
        """
        with self.hub.ledger.spending(self.area.name, item.id, self.predicted_units(grid)) as spending:
            return self._read(item, grid, spending)

    def _requests(self, grid: Grid, resampling: ResamplingType) -> Iterator[tuple[tuple[int, int], Request]]:
        """Yield the requests of a scene, each with the row and column of its upper left cell in its own raster."""
        bands, classes, angles = self.scripts
        for place, piece in pieces_of(grid):
            yield place, Request(bands, piece, resampling)
        for place, piece in pieces_of(with_surroundings(grid)):
            yield place, Request(classes, piece, ResamplingType.NEAREST)
        yield (0, 0), Request(angles, _coarse(grid), ResamplingType.NEAREST)

    def _read(self, item: pystac.Item, grid: Grid, spending: Spending) -> StackedBands:
        around_grid = with_surroundings(grid)
        resampling = ResamplingType.NEAREST if _lies_in_pixels(item, self.area.bands, grid) else ResamplingType.BILINEAR
        made: dict[str, dict[str, NDArray[Any]]] = {}
        for script, of_grid in zip(self.scripts, (grid, around_grid, _coarse(grid)), strict=True):
            made[script.checksum] = {o.name: _empty(o.n_bands, o.sample_type, of_grid) for o in script.outputs}
        when = observed_at_utc(item.id, item.properties)
        requests = list(self._requests(grid, resampling))
        for number, ((row, col), request) in enumerate(followed(requests, item.id, "requests"), 1):
            rows, cols = slice(row, row + request.grid.height), slice(col, col + request.grid.width)
            for name, pixels in self._ask(item.id, when, request, spending).items():
                made[request.script.checksum][name][:, rows, cols] = pixels
            log.info(
                "%s: %d of %d requests, %.2f processing units", item.id, number, len(requests), spending.spent_units
            )
        bands, classes, angles = (made[script.checksum] for script in self.scripts)
        return self._stacked(item, grid, bands, classes, _mean_angles(angles), resampling)

    def _stacked(
        self,
        item: pystac.Item,
        grid: Grid,
        bands: Mapping[str, NDArray[Any]],
        classes: Mapping[str, NDArray[Any]],
        angles: Mapping[str, Any],
        resampling: ResamplingType,
    ) -> StackedBands:
        is_valid = (bands[DATA_MASK][0] != 0) & in_own_tile(item, grid)
        around_grid = with_surroundings(grid)
        is_seen = (classes[DATA_MASK][0] != 0) & in_own_tile(item, around_grid)
        name, margin = f"{item.id} of {redact(self.hub.url)}", surroundings_px(grid)
        plain = checked_plain(name, classes[CLASSES][0], LAST_CLASS, fill=NO_DATA_CLASS)
        around = np.where(is_seen, plain, NO_DATA_CLASS).astype(np.uint8)
        scl = around[margin:-margin, margin:-margin]
        cloud = classes[CLOUD][0][margin:-margin, margin:-margin]
        cloud = np.where(scl == NO_DATA_CLASS, np.uint8(NO_CLOUD_DATA), cloud)
        checked_plain(name, cloud, MOST_PERCENT, fill=NO_CLOUD_DATA)
        numbers = {band: bands[BANDS][i] for i, band in enumerate(self.area.bands)}
        check_numbers(name, [values[is_valid] for values in numbers.values()])
        sizes_m = {band: SENTINEL2.product_pixel_m(band) for band in self.area.bands}
        warn_of_copies(name, sizes_m, grid)
        return StackedBands(
            bands={band: np.where(is_valid, np.maximum(values, 1), NODATA) for band, values in numbers.items()},
            scl=scl,
            around=around,
            cloud=cloud,
            rule=RULE,
            n_clipped=sum(int(np.count_nonzero(is_valid & (values < 1))) for values in numbers.values()),
            source_pixel_m=sizes_m,
            cloud_from=f"{CLOUD_PROBABILITY} of the source",
            properties={
                **angles,
                "processing:lineage": LINEAGE,
                "plumewatch:process_api": {
                    "url": redact(self.hub.url),
                    "evalscript_sha256": self.bands_script.checksum,
                    "evalscript": "the area's own" if self.area.evalscript else "written for the area's bands",
                    "resampling": resampling.value.lower(),
                },
            },
        )

    def _ask(self, name: str, when: datetime, request: Request, spending: Spending) -> dict[str, NDArray[Any]]:
        """Return the rasters (bands x height x width) that a request gives, by output."""
        hub, grid, outputs = self.hub, request.grid, request.script.outputs
        asked = SentinelHubRequest(
            evalscript=request.script.text,
            input_data=[
                SentinelHubRequest.input_data(
                    hub.data_collection,
                    time_interval=time_range(when, TIME_MARGIN_S),
                    upsampling=request.resampling,
                    downsampling=request.resampling,
                    other_args={"processing": {"harmonizeValues": True}},
                )
            ],
            responses=[SentinelHubRequest.output_response(output.name, MimeType.TIFF) for output in outputs],
            bbox=BBox(grid.bounds, HubCrs(str(grid.epsg))),
            size=(grid.width, grid.height),
            config=hub.config,
        )
        counted = hub.client.counting(spending, request.units)
        with asking(hub.url, "a Process API"), hub.ledger.turn(), counted:
            [answer] = hub.client.download(asked.download_list, max_threads=1, decode_data=False)
        where = f"{redact(hub.url)}: {name}"
        files = _unpacked(where, answer.content)
        return {
            o.name: _raster(f"{where}: {o.name}.tif", files, o.name, o.n_bands, o.sample_type, grid) for o in outputs
        }


def pieces_of(grid: Grid, most_px: int = MOST_PX) -> Iterator[tuple[tuple[int, int], Grid]]:
    """Yield the pieces of at most so many cells a side that make up a grid, each with the row and column it begins at.

    >>> [(place, piece.width, piece.height) for place, piece in pieces_of(Grid(32631, 0.0, 0.0, 20.0, 30, 10), 20)]
    [((0, 0), 15, 10), ((0, 15), 15, 10)]
    """
    rows, cols = (_edges(size, most_px) for size in (grid.height, grid.width))
    for (top, bottom), (left, right) in product(pairwise(rows), pairwise(cols)):
        west, north = grid.west + left * grid.resolution_m, grid.north - top * grid.resolution_m
        yield (top, left), replace(grid, west=west, north=north, width=right - left, height=bottom - top)


def _edges(size: int, most: int) -> list[int]:
    n = -(-size // most)
    return [size * i // n for i in range(n + 1)]


def _coarse(grid: Grid) -> Grid:
    """Large cells over a grid, which stand beyond it on the right and below where they don't divide it."""
    cells = max(1, int(ANGLES_CELL_M // grid.resolution_m))
    width, height = (-(-size // cells) for size in (grid.width, grid.height))
    return replace(grid, resolution_m=grid.resolution_m * cells, width=width, height=height)


def _empty(n_bands: int, sample_type: str, grid: Grid) -> NDArray[Any]:
    return np.zeros((n_bands, grid.height, grid.width), dtype=TYPES[sample_type])


def _text_of(file: str) -> str:
    with reading(file, "an evalscript: JavaScript in UTF-8"):
        return storage.read_bytes(file).decode()


def _lies_in_pixels(item: pystac.Item, bands: Sequence[str], grid: Grid) -> bool:
    """Whether each cell of the grid lies wholly in one pixel of each band's product, which keeps its value then."""
    if (tile := own_tile(item)) is None or tile[1] != grid.epsg:
        return False
    west, _, _, north = tile[0].bounds
    return all(cells_in_pixel(grid, SENTINEL2.product_pixel_m(band), west, north) for band in bands)


def _mean_angles(rasters: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Properties of the item by the angles over the area; none where nothing was seen."""
    is_valid = (rasters[DATA_MASK][0] != 0) & np.isfinite(rasters[ANGLES]).all(axis=0)
    if not is_valid.any():
        return {}
    sun_zenith, sun_azimuth, view_zenith, view_azimuth = (band[is_valid].astype(float) for band in rasters[ANGLES])
    stated = "as Sentinel Hub states it for the area"
    return {
        "view:sun_elevation": round(90.0 - float(sun_zenith.mean()), 4),
        "view:sun_azimuth": round(_mean_azimuth(sun_azimuth), 4),
        "view:incidence_angle": round(float(view_zenith.mean()), 4),
        "view:azimuth": round(_mean_azimuth(view_azimuth), 4),
        "plumewatch:sun": stated,
        "plumewatch:view_zenith": stated,
    }


def _mean_azimuth(degrees: NDArray[np.float64]) -> float:
    turned = np.exp(1j * np.radians(degrees)).mean()
    return float(np.degrees(np.angle(turned)) % 360.0)


def _unpacked(where: str, content: bytes) -> dict[str, bytes]:
    """Return the files of a TAR. ServiceError where it is none, or cut off: a page with status 200, half an answer."""
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                if member.isfile() and (file := tar.extractfile(member)) is not None:
                    files[member.name] = file.read()
                    if len(files[member.name]) != member.size:
                        raise ServiceError(f"{where}: a TAR that is cut off in {member.name}")
    except tarfile.TarError as error:
        begins = redact(content[:200].decode(errors="replace"))
        raise ServiceError(f"{where}: an answer that isn't a whole TAR ({error}); it begins {begins!r}") from error
    return files


def _raster(
    name: str, files: Mapping[str, bytes], output: str, n_bands: int, sample_type: str, grid: Grid
) -> NDArray[Any]:
    """Return the raster of an output, which must be what was asked for."""
    if f"{output}.tif" not in files:
        raise InputError(name, f"a TAR with {', '.join(sorted(files)) or 'nothing'}", f"{output}.tif in it")
    try:
        with MemoryFile(files[f"{output}.tif"]) as file, file.open(driver="GTiff") as source:
            found = f"{source.count} x {source.width} x {source.height} of {source.dtypes[0]}"
            wanted = f"{n_bands} x {grid.width} x {grid.height} of {TYPES[sample_type]}"
            if found != wanted:
                raise InputError(name, found, wanted)
            shift_m = max(abs(a - b) for a, b in zip(source.bounds, grid.bounds, strict=True))
            if source.crs is None or source.crs.to_epsg() != grid.epsg or shift_m > ALIGNED_PX * grid.resolution_m:
                raise InputError(name, f"bounds {tuple(source.bounds)} in {source.crs}", f"{grid.bounds} in {grid.crs}")
            return source.read()
    except RasterioError as error:
        raise ServiceError(f"{name}: not a whole GeoTIFF ({rasterio.__gdal_version__}: {error})") from error
