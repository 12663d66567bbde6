"""What a person sees of one plume: a picture of the enhancement over the scene, and the enhancement as a raster."""

from __future__ import annotations

import io

import numpy as np
import rasterio
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pyproj import Transformer
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from plumewatch.methane.detection import Detection
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume

MARGIN_M = 600.0  # of scene around the plume
SIZE_INCHES, DPI = (7.2, 6.0), 100
SCALE_LENGTHS_M = (100, 200, 500, 1000, 2000, 5000, 10000, 20000)
SCALE_SHARE = 0.3  # the scale bar takes at most so much of the picture's width
GREY_PERCENTILES = (2.0, 98.0)
COLOUR_PERCENTILE = 99.0
ARROW_AT, ARROW_LENGTH = (0.88, 0.86), 0.16  # place and length in shares of the picture
BLOCK_PX = 256
FLOAT_PREDICTOR = 3  # TIFF Technical Note 3: byte planes of floating point

Window = tuple[slice, slice]


def window_of(plume: Plume, target: Pass) -> Window:
    """Return rows and columns of the plume with a margin, within the pass's window."""
    margin = round(MARGIN_M / target.pixel_size_m)
    window = []
    for axis, size in ((1, target.shape[0]), (0, target.shape[1])):
        inside = np.flatnonzero(plume.candidate.mask.any(axis=axis))
        window.append(slice(max(0, int(inside[0]) - margin), min(size, int(inside[-1]) + margin + 1)))
    return window[0], window[1]


def draw_plume(plume: Plume, target: Pass, detection: Detection) -> bytes:
    """Return a PNG: enhancement over grey band 12, outline, origin, wind, scale, rate with interval."""
    window = window_of(plume, target)
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    scene = target.b12[window]
    low, high = np.nanpercentile(scene, GREY_PERCENTILES)
    axes.imshow(scene, cmap="gray", vmin=float(low), vmax=float(high), interpolation="nearest")
    mask, enhancement = plume.candidate.mask[window], detection.enhancement_mol_m2[window]
    shown = np.ma.masked_where(~mask | ~np.isfinite(enhancement), enhancement)
    top = max(float(np.percentile(shown.compressed(), COLOUR_PERCENTILE)), float(np.finfo(np.float32).tiny))
    colours = axes.imshow(shown, cmap="inferno", vmin=0.0, vmax=top, interpolation="nearest", alpha=0.85)
    figure.colorbar(colours, ax=axes, shrink=0.75, label="CH₄ enhancement (mol m⁻²)")
    axes.contour(mask.astype(float), levels=[0.5], colors="white", linewidths=0.8)
    axes.plot(plume.col - window[1].start, plume.row - window[0].start, "+", color="cyan", ms=12, mew=1.6)
    _draw_wind(axes, plume)
    _draw_scale(axes, scene.shape, target.pixel_size_m)
    axes.set_axis_off()
    axes.set_title(_title(plume, target), fontsize=9, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_wind(axes: Axes, plume: Plume) -> None:
    if plume.wind is None or not plume.wind.speed_m_s:
        return
    u, v = (ARROW_LENGTH * part / plume.wind.speed_m_s for part in (plume.wind.wind_u_m_s, plume.wind.wind_v_m_s))
    tail, head = (ARROW_AT[0] - u / 2, ARROW_AT[1] - v / 2), (ARROW_AT[0] + u / 2, ARROW_AT[1] + v / 2)
    arrow = {"arrowstyle": "-|>", "color": "cyan", "lw": 2}
    axes.annotate("", xy=head, xytext=tail, xycoords="axes fraction", arrowprops=arrow)


def _draw_scale(axes: Axes, shape: tuple[int, ...], pixel_size_m: float) -> None:
    fitting = [length for length in SCALE_LENGTHS_M if length <= SCALE_SHARE * shape[1] * pixel_size_m]
    length_m = fitting[-1] if fitting else SCALE_LENGTHS_M[0]
    start, row = 0.04 * shape[1], 0.96 * shape[0]
    axes.plot([start, start + length_m / pixel_size_m], [row, row], color="white", lw=3, solid_capstyle="butt")
    label = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m} m"
    axes.text(start, row - 0.02 * shape[0], label, color="white", fontsize=8, va="bottom")


def _title(plume: Plume, target: Pass) -> str:
    time = f", {target.observed_at_utc:%Y-%m-%d %H:%M} UTC" if target.observed_at_utc else ""
    place = (
        f"{abs(plume.latitude):.4f}° {'N' if plume.latitude >= 0 else 'S'} "
        f"{abs(plume.longitude):.4f}° {'E' if plume.longitude >= 0 else 'W'}"
    )
    rate = "no wind, no rate"
    if plume.emission and plume.wind:
        e = plume.emission
        rate = (
            f"{e.emission_kg_h / 1000:.1f} t/h CH₄ ({e.low_kg_h / 1000:.1f} to {e.high_kg_h / 1000:.1f}, 68 %), "
            f"wind {plume.wind.speed_m_s:.1f} m/s from {plume.wind.from_deg:.0f}°"
        )
    return f"{target.platform}{time}, {place}\n{rate}, IME {plume.mass.ime_kg:.0f} kg"


def enhancement_cog(plume: Plume, target: Pass, detection: Detection) -> bytes:
    """Return the enhancement (mol/m2, NaN where unknown) around a plume as a Cloud-Optimized GeoTIFF."""
    window = window_of(plume, target)
    values = detection.enhancement_mol_m2[window]
    crs, transform = _georeference(target, window[0].start, window[1].start)
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "height": values.shape[0], "width": values.shape[1],
        "crs": crs, "transform": transform, "nodata": float("nan"),
    }  # fmt: skip
    with rasterio.Env(), MemoryFile() as plain, MemoryFile() as cog:
        with plain.open(**profile) as raster:
            raster.write(values.astype(np.float32), 1)
            raster.set_band_description(1, "enhancement_mol_m2")
        with plain.open() as source:
            copy(source, cog.name, driver="COG", COMPRESS="DEFLATE", PREDICTOR=FLOAT_PREDICTOR, BLOCKSIZE=BLOCK_PX)
        return bytes(cog.read())


def _georeference(target: Pass, row: int, col: int) -> tuple[str, Affine]:
    """Return CRS and transform of a raster whose first cell is (row, col); in degrees where the table names no CRS."""
    longitude, latitude = target.place.longitude_latitude([row, row, row + 1], [col, col + 1, col])
    if target.epsg is not None:
        to_grid = Transformer.from_crs("EPSG:4326", f"EPSG:{target.epsg}", always_xy=True)
        x, y = to_grid.transform(longitude[0], latitude[0])
        size = target.pixel_size_m
        return f"EPSG:{target.epsg}", Affine(size, 0.0, x - size / 2, 0.0, -size, y + size / 2)
    x_col, x_row = longitude[1] - longitude[0], longitude[2] - longitude[0]
    y_col, y_row = latitude[1] - latitude[0], latitude[2] - latitude[0]
    centre = Affine(x_col, x_row, longitude[0], y_col, y_row, latitude[0])
    return "EPSG:4326", centre * Affine.translation(-0.5, -0.5)
