"""Images that Sentinel Hub delivers: of an area in one piece (asynchronous), and in tiles of a grid (batch).

Reflectance x 10000 of the area's bands and a mask of where there are any, of the days from first to last; of several
scenes of a cell that of least cloud over its tile comes first. https://docs.sentinel-hub.com/api/latest/api/async-process
and .../batchv2; prices: .../overview/processing-unit.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import requests
from sentinelhub import CRS as HubCrs
from sentinelhub import AsyncProcessRequest, BBox, Geometry, MimeType, MosaickingOrder, SentinelHubRequest
from sentinelhub.api.batch import BatchProcessClient
from sentinelhub.api.batch.base import BatchRequestStatus
from sentinelhub.exceptions import DownloadFailedException

from plumewatch import storage
from plumewatch.areas import grid_of
from plumewatch.catalogues.hub_client import HubClient
from plumewatch.catalogues.processing_units import predict_units
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import InputError, ParameterError
from plumewatch.http import MAX_MESSAGE
from plumewatch.hub_orders.asking import RequestState, service_of, state_of_batch
from plumewatch.hub_orders.orders import AccessOf, Order, require_delivered
from plumewatch.models import Area, Grid
from plumewatch.rasters.reading import read_raster
from plumewatch.sentinel2.evalscript import BANDS, DATA_MASK, Evalscript, write_bands_script

ASYNC_MOST_PX = 10_000  # a side
ASYNC_LEAST_UNITS, BATCH_LEAST_UNITS = 10.0, 100.0
BATCH_FACTOR = 1.0 / 3.0  # of what the Process API would cost
TILING_GRIDS_KM = {0: 20.04, 1: 10.0, 2: 100.08}
"""Tiles of the service's UTM grids by their ids; each is made whole."""
ERROR_FILE = "error.json"
KM = 1000.0


@dataclass(frozen=True)
class _Image(Order):
    area: str
    first: str
    """First day, YYYY-MM-DD."""
    last: str
    """Last day, included."""
    bands: tuple[str, ...]
    grid: Grid
    """Of the area."""

    def asked(self) -> dict[str, Any]:
        """As what JSON holds."""
        found: dict[str, Any] = json.loads(json.dumps({**asdict(self), "script": self.script.checksum}))
        return found

    @property
    def script(self) -> Evalscript:
        """What makes it."""
        return write_bands_script(self.bands)


@dataclass(frozen=True)
class AsyncImage(_Image):
    """An area on its grid, as one GeoTIFF an output."""

    title = "Asynchronous Processing API"
    kind = "async"
    starts_at_once = True

    @property
    def what(self) -> str:
        """The days."""
        return f"{self.first} to {self.last}"

    @property
    def units(self) -> float:
        """Those of the Process API, at least 10; of large images the service may take two thirds."""
        return max(predict_units(self.grid.width, self.grid.height, len(self.bands)), ASYNC_LEAST_UNITS)

    def create(self, hub: SentinelHub, path: str, access: AccessOf) -> str:
        """Make the request, which begins at once."""
        asked = AsyncProcessRequest(
            evalscript=self.script.text,
            input_data=input_of(hub, self.first, self.last),
            responses=_responses(self.script),
            delivery=access.to(path),
            bbox=BBox(self.grid.bounds, HubCrs(str(self.grid.epsg))),
            size=(self.grid.width, self.grid.height),
            config=hub.config,
        )
        once = HubClient(hub.config, retries=0)  # sent again it would be another one, and be paid too
        [answer] = once.download(asked.download_list, max_threads=1)
        return str(answer["id"])

    def state(self, hub: SentinelHub, request_id: str, path: str) -> RequestState:
        """Running while the service knows it; what it delivered then says whether it went well."""
        try:
            hub.client.get_json_dict(f"{hub.url}/api/v1/async/process/{request_id}", use_session=True)
        except DownloadFailedException as error:
            answer = getattr(error.request_exception, "response", None)
            if answer is None or answer.status_code != requests.codes.not_found:
                raise
        else:
            return RequestState(BatchRequestStatus.PROCESSING)
        files = storage.list_files(storage.join(path, request_id))
        for file in files:
            if file.endswith(f"/{ERROR_FILE}"):
                told = " ".join(storage.read_bytes(file).decode(errors="replace").split())
                return RequestState(BatchRequestStatus.FAILED, told=told[:MAX_MESSAGE])
        if not any(file.endswith(f"/{BANDS}.tif") for file in files):
            told = f"forgotten, and nothing delivered to {path}"
            return RequestState(BatchRequestStatus.PROCESSING, told=told, is_gone=True)
        return RequestState(BatchRequestStatus.DONE, 100.0)


@dataclass(frozen=True)
class BatchTiles(_Image):
    """An area in the tiles of a grid of the service that it meets, as Cloud-Optimized GeoTIFFs."""

    title = "Batch Processing API"
    kind = "batch"
    outline: str
    """Of the area, GeoJSON in degrees; by its grid the price is estimated."""
    tiling_grid: int
    """Id of the service's grid."""
    resolution_m: float

    @property
    def what(self) -> str:
        """Days and grid."""
        return f"{self.first} to {self.last}, tiling grid {self.tiling_grid}"

    @property
    def units(self) -> float:
        """A third of those of the Process API for all tiles that the area may meet, at least 100."""
        tile_m = TILING_GRIDS_KM[self.tiling_grid] * KM
        sides_m = (self.grid.width * self.grid.resolution_m, self.grid.height * self.grid.resolution_m)
        across, down = (math.ceil(side / tile_m) + 1 for side in sides_m)
        px = math.ceil(tile_m / self.resolution_m)
        units = across * down * predict_units(px, px, len(self.bands)) * BATCH_FACTOR
        return max(units, BATCH_LEAST_UNITS)

    def create(self, hub: SentinelHub, path: str, access: AccessOf) -> str:
        """Make the request; nothing is charged yet."""
        client, script = service_of(BatchProcessClient, hub), self.script
        request = SentinelHubRequest(
            evalscript=script.text,
            input_data=input_of(hub, self.first, self.last),
            responses=_responses(script),
            geometry=Geometry.from_geojson(json.loads(self.outline)),
            config=hub.config,
        )
        return client.create(
            request,
            client.tiling_grid_input(self.tiling_grid, self.resolution_m),
            client.raster_output(access.to(path), cog_output=True, overwrite=True),
            description=f"plumewatch {self.area} {self.what}",
        ).request_id

    def start(self, hub: SentinelHub, request_id: str) -> None:
        """Have it begin."""
        service_of(BatchProcessClient, hub).start_job(request_id)

    def state(self, hub: SentinelHub, request_id: str, path: str) -> RequestState:
        """As the service says."""
        return state_of_batch(service_of(BatchProcessClient, hub).get_request(request_id))


def image_of(area: Area, first: str, last: str) -> AsyncImage:
    """Return the order of an area's image; ParameterError for days that can't be, InputError where it is too large."""
    grid = grid_of(area)
    if max(grid.width, grid.height) > ASYNC_MOST_PX:
        found = f"area {area.name!r} has {grid.width} x {grid.height} cells"
        raise InputError(area.file, found, f"at most {ASYNC_MOST_PX} a side for an image in one piece; else in tiles")
    return AsyncImage(area.name, *_days(first, last), area.bands, grid)


def tiles_of(area: Area, first: str, last: str, tiling_grid: int, resolution_m: float | None = None) -> BatchTiles:
    """Return the order of an area's tiles, their cells of the area's size where None is given; errors as `image_of`."""
    if tiling_grid not in TILING_GRIDS_KM:
        raise ParameterError(f"tiling_grid {tiling_grid}; allowed: {', '.join(map(str, TILING_GRIDS_KM))}")
    outline = Geometry(area.geometry, HubCrs.WGS84).get_geojson(with_crs=False)
    size_m = area.resolution_m if resolution_m is None else resolution_m
    return BatchTiles(
        area.name, *_days(first, last), area.bands, grid_of(area), json.dumps(outline), tiling_grid, size_m
    )


def delivered_rasters(path: str, order: AsyncImage | BatchTiles) -> list[str]:
    """Return the rasters of reflectance that were delivered to a folder, each looked at.

    Raises InputError where there are none, or one isn't what was asked for, ServiceError where the bucket doesn't give
    one.
    """
    files = [file for file in storage.list_files(path) if file.endswith(f"/{BANDS}.tif")]
    require_delivered(path, files, f"{BANDS}.tif of each tile")
    for file in files:
        n_bands, shape = read_raster(file, lambda source: (source.count, source.shape))
        grid = order.grid if isinstance(order, AsyncImage) else None
        if n_bands != len(order.bands) or (grid is not None and shape != (grid.height, grid.width)):
            size = "" if grid is None else f" of {grid.height} x {grid.width} cells"
            found = f"{n_bands} bands of {shape[0]} x {shape[1]} cells"
            raise InputError(file, found, f"{', '.join(order.bands)}{size}, as was asked for")
    return files


def input_of(hub: SentinelHub, first: str, last: str) -> list[Any]:
    """Return what an image is made of: surface reflectance of the days, harmonised, that of least cloud first."""
    return [
        SentinelHubRequest.input_data(
            hub.data_collection,
            time_interval=(f"{first}T00:00:00Z", f"{last}T23:59:59Z"),
            mosaicking_order=MosaickingOrder.LEAST_CC,
            other_args={"processing": {"harmonizeValues": True}},
        )
    ]


def _responses(script: Evalscript) -> list[Any]:
    assert {output.name for output in script.outputs} == {BANDS, DATA_MASK}
    return [SentinelHubRequest.output_response(output.name, MimeType.TIFF) for output in script.outputs]


def _days(first: str, last: str) -> tuple[str, str]:
    if date.fromisoformat(first) > date.fromisoformat(last):
        raise ParameterError(f"from {first} to {last}; allowed: the first day first")
    return first, last
