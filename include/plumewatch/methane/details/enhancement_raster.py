"""The enhancement around one plume as a raster that any GIS opens."""

from __future__ import annotations

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.details.picture_window import MARGIN_M
from plumewatch.methane.detection import Detection
from plumewatch.methane.grid_place import KnownPlace
from plumewatch.methane.mask_window import Window, window_around
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume
from plumewatch.rasters.cog import cog_bytes

FITTED = 16  # rows and columns of cells that a transform is fitted to
DEGREES, UTM_NORTH, UTM_SOUTH = 4326, 32600, 32700  # EPSG codes; those of UTM before the zone's number
UTM_ZONE_DEG = 6.0
METRES_PER_DEGREE = float(np.radians(EARTH_RADIUS_KM * 1000.0))
EXACT_PX = 0.01  # what the rounding of coordinates in the pixel table explains
LEAST_DETERMINANT = 0.1  # of cells in units of their size: below, all of them lie in one line

Floats = NDArray[np.float64]


def enhancement_cog(plume: Plume, target: Pass, detection: Detection) -> bytes:
    """Return the enhancement (mol/m2, NaN where unknown) around a plume as a Cloud-Optimized GeoTIFF."""
    window = window_around(plume.candidate.mask, round(MARGIN_M / target.pixel_size_m))
    values = detection.enhancement_mol_m2[window]
    crs, transform = georeference(target, window)
    bands = {"enhancement_mol_m2": values.astype(np.float32)}
    return cog_bytes(bands, crs, transform, nodata=float("nan"), overview_resampling="AVERAGE")


def georeference(target: Pass, window: Window) -> tuple[str, Affine]:
    """Return the CRS and the transform of a window: of the grid where it is known, else fitted to its cells' places.

    Where the table names no CRS: degrees or the UTM zone, whichever the cells form a straighter grid in.
    """
    place = target.place
    if isinstance(place, KnownPlace):
        shift = Affine.translation(place.col0 + window[1].start, place.row0 + window[0].start)
        return place.grid.crs, place.grid.transform @ shift
    cells = np.stack(np.meshgrid(*(np.linspace(w.start, max(w.stop - 1, w.start + 1), FITTED) for w in window)))
    row, col = cells.reshape(2, -1)
    longitude, latitude = target.place.longitude_latitude(row, col)
    longitude = longitude[0] + wrap_longitude(longitude - longitude[0])
    zone = int((wrap_longitude(longitude[0]) + 180.0) // UTM_ZONE_DEG) + 1
    utm = (UTM_NORTH if latitude[0] >= 0 else UTM_SOUTH) + zone
    fits = {}
    for epsg in (DEGREES, utm) if target.epsg is None else (target.epsg,):
        to_grid = Transformer.from_crs(f"EPSG:{DEGREES}", f"EPSG:{epsg}", always_xy=True)
        x, y = (longitude, latitude) if epsg == DEGREES else to_grid.transform(longitude, latitude)
        size_y = target.pixel_size_m / (METRES_PER_DEGREE if epsg == DEGREES else 1.0)
        size_x = size_y / np.cos(np.radians(latitude.mean())) if epsg == DEGREES else size_y
        places = np.column_stack([x, y]) / (size_x, size_y)
        fits[epsg] = _fit(np.column_stack([col - window[1].start, row - window[0].start]) + 0.5, places)
        fits[epsg] = Affine.scale(size_x, size_y) @ fits[epsg][0], fits[epsg][1]
    best = min(fits, key=lambda epsg: fits[epsg][1])
    return f"EPSG:{best}", fits[best][0]


def _fit(cells: Floats, places: Floats) -> tuple[Affine, float]:
    """Return the transform from cells (column, row) to places, both n x 2 in cells, and how far the worst is off.

    A grid with north up and cells of the stated size is taken as just that; so is one that is too narrow to tell.
    """
    shift = (places - cells * (1.0, -1.0)).mean(axis=0)
    plain = np.array([[1.0, 0.0, shift[0]], [0.0, -1.0, shift[1]]])
    terms = np.column_stack([cells, np.ones(len(cells))])
    fitted = np.linalg.lstsq(terms, places, rcond=None)[0].T
    off = [float(np.hypot(*(terms @ matrix.T - places).T).max()) for matrix in (plain, fitted)]
    is_plain = off[0] <= EXACT_PX or abs(np.linalg.det(fitted[:, :2])) < LEAST_DETERMINANT
    matrix = plain if is_plain else fitted
    return Affine(*(float(value) for value in matrix.ravel())), off[0] if is_plain else off[1]
