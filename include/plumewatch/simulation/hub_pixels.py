"""How the simulated Sentinel Hub makes pixels: the world's GeoTIFFs where, how large and in what projection is asked.

It goes by the evalscript: what `setup()` names, made of what `evaluatePixel()` returns as far as that is a band, a
number times a band, or either rounded. All else is refused as the service refuses a script that fails.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from starlette.responses import JSONResponse, Response

from plumewatch.simulation.stac_catalogue import COLLECTION

MOST_PX, MOST_M_PER_PX = 2500, 1500.0
DN_PER_REFLECTANCE = 10000.0
ASSETS = {"B11": "swir16", "B12": "swir22", "SCL": "scl", "CLD": "cloud"}
REFLECTANCE = ("B11", "B12")
ANGLES = {
    "sunZenithAngles": lambda stated: 90.0 - stated["view:sun_elevation"],
    "sunAzimuthAngles": lambda stated: stated["view:sun_azimuth"],
    "viewZenithMean": lambda stated: stated["view:incidence_angle"],
    "viewAzimuthMean": lambda stated: stated["view:azimuth"],
}
TYPES = {"UINT8": "uint8", "UINT16": "uint16", "FLOAT32": "float32", "AUTO": "uint8"}
RESAMPLING = {"NEAREST": Resampling.nearest, "BILINEAR": Resampling.bilinear, "BICUBIC": Resampling.cubic}
SETUP = re.compile(
    r"//VERSION=3.*?\bfunction setup\(\)(?P<setup>.*?)\bfunction evaluatePixel\(\w*\)(?P<pixel>.*)", re.DOTALL
)
INPUTS = re.compile(r"bands\s*:\s*\[([^\]]*)\]")
OUTPUTS = re.compile(
    r"""\{\s*id\s*:\s*["'](\w+)["']\s*,\s*bands\s*:\s*(\d+)(?:\s*,\s*sampleType\s*:\s*["'](\w+)["'])?"""
)
RETURNED = re.compile(r"(\w+)\s*:\s*\[([^\]]*)\]")
TERM = re.compile(r"(?P<round>Math\.round\()?\s*(?:(?P<factor>\d+(?:\.\d+)?)\s*\*\s*)?\w+\.(?P<band>\w+)\s*\)?")
QUOTA = ("ACCESS_INSUFFICIENT_PROCESSING_UNITS", "Insufficient processing units or requests available in your account.")
REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}

Scenes = Mapping[str, tuple[dict[str, Any], Path]]
"""Items of the world's catalogue and their folders, in order of time."""
Change = Callable[[NDArray[Any]], NDArray[Any]]


class Refused(Exception):
    """A request that the service answers with an error."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    def answer(self) -> Response:
        """Return the error as the service words it."""
        reason = REASONS.get(self.status, "Internal Server Error")
        error = {"status": self.status, "reason": reason, "message": str(self), "code": self.code}
        return JSONResponse({"error": error}, self.status, headers=self.headers)


def moment(text: str) -> datetime:
    """Return a time in ISO 8601."""
    return datetime.fromisoformat(text)


def render(
    scenes: Scenes, body: dict[str, Any], accept: str, units_left: float, change: Change | None = None
) -> tuple[bytes, float]:
    """Return the TAR of rasters that a request of the Process API asks for, and the units that it costs.

    `change` is done to each raster. Raises Refused.
    """
    script = SETUP.match(body["evalscript"])
    if script is None:
        raise Refused(400, "RENDERER_EXCEPTION", "Failed to evaluate script!")
    inputs = re.findall(r"\w+", ",".join(INPUTS.findall(script["setup"])))
    outputs = {name: (int(n), kind or "AUTO") for name, n, kind in OUTPUTS.findall(script["setup"])}
    width, height = int(body["output"]["width"]), int(body["output"]["height"])
    bounds, epsg = body["input"]["bounds"]["bbox"], int(body["input"]["bounds"]["properties"]["crs"].rsplit("/", 1)[1])
    metres = max((bounds[2] - bounds[0]) / width, (bounds[3] - bounds[1]) / height)
    if max(width, height) > MOST_PX or metres > MOST_M_PER_PX:
        told = f"{width} x {height} px of {metres:g} m; at most {MOST_PX} px a side, {MOST_M_PER_PX:g} m per pixel"
        raise Refused(400, "COMMON_BAD_PAYLOAD", told)
    wanted = [response["identifier"] for response in body["output"]["responses"]]
    if len(wanted) > 1 and "tar" not in accept:
        raise Refused(400, "COMMON_BAD_PAYLOAD", "several responses need Accept: application/tar")
    units = max(width * height / 512**2, 0.01) * len(set(inputs) - {"dataMask"}) / 3
    units = max(units * (2 if any(kind == "FLOAT32" for _, kind in outputs.values()) else 1), 0.005)
    if units > units_left:
        raise Refused(403, *QUOTA)
    place = {"crs": f"EPSG:{epsg}", "transform": from_bounds(*bounds, width, height), "width": width, "height": height}
    samples = _samples(scenes, body["input"]["data"][0], inputs, place)
    terms = dict(RETURNED.findall(script["pixel"]))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in wanted:
            if name not in outputs or name not in terms:
                raise Refused(400, "RENDERER_EXCEPTION", f"Output {name} requested but missing from function setup()")
            raster = np.stack([_evaluated(term, samples) for term in terms[name].split(",")])
            n_bands, kind = outputs[name]
            if len(raster) != n_bands:
                raise Refused(400, "RENDERER_EXCEPTION", f"Output {name} requires {n_bands} components")
            raster = raster.astype(TYPES[kind])
            content = _geotiff(raster if change is None else change(raster), place)
            member = tarfile.TarInfo(f"{name}.tif")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue(), units


def _samples(scenes: Scenes, data: dict[str, Any], inputs: list[str], place: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Return each input band where the request wants it: of the newest scene of its time that shows anything there."""
    first, last = (moment(data["dataFilter"]["timeRange"][name]) for name in ("from", "to"))
    processing = data.get("processing", {})
    shape_px = place["height"], place["width"]
    samples = {band: np.zeros(shape_px) for band in inputs}
    for item, folder in scenes.values():
        if data["type"] != COLLECTION or not first <= moment(item["properties"]["datetime"]) <= last:
            continue
        is_seen = _warped(item, folder, "SCL", place, {}) != 0
        for band in inputs:
            if band == "dataMask":
                values: NDArray[Any] = is_seen.astype(float)
            elif band in ANGLES:
                values = np.full(shape_px, ANGLES[band](item["properties"]))
            elif band in ASSETS:
                values = _warped(item, folder, band, place, processing)
                values = values / DN_PER_REFLECTANCE if band in REFLECTANCE else values
            else:
                raise Refused(400, "RENDERER_EXCEPTION", f"the simulated world has no band {band}")
            samples[band] = np.where(is_seen, values, samples[band])
    return samples


def _warped(
    item: dict[str, Any], folder: Path, band: str, place: dict[str, Any], processing: dict[str, Any]
) -> NDArray[Any]:
    """A band's file where the request wants it; refused as a fault of the service where it can't be read."""
    file = folder / item["assets"][ASSETS[band]]["href"].removeprefix("./")
    try:
        with rasterio.open(file) as source:
            is_finer = place["transform"].a < source.res[0]
            how = RESAMPLING[processing.get("upsampling" if is_finer else "downsampling", "NEAREST")]
            with WarpedVRT(source, resampling=how, nodata=0, **place) as warped:
                return np.asarray(warped.read(1))
    except rasterio.errors.RasterioError as error:
        raise Refused(500, "RENDERER_EXCEPTION", "Internal Server Error") from error


def _evaluated(term: str, samples: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """What one component of an output says, such as Math.round(10000 * sample.B11)."""
    match = TERM.fullmatch(term.strip())
    if match is None or match["band"] not in samples:
        raise Refused(400, "RENDERER_EXCEPTION", f"Failed to evaluate script! {term.strip()!r}")
    values = samples[match["band"]] * float(match["factor"] or 1.0)
    return np.floor(values + 0.5) if match["round"] else values


def _geotiff(raster: NDArray[Any], place: dict[str, Any]) -> bytes:
    count, height, width = raster.shape
    profile = {**place, "count": count, "height": height, "width": width, "dtype": raster.dtype.name}
    with MemoryFile() as file:
        with file.open(driver="GTiff", compress="deflate", **profile) as target:
            target.write(raster)
        return bytes(file.read())
