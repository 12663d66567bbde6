"""Real ground for the evaluation: S2A_29RKH of 2020-02-19, 549 x 549 pixels of 200 m taken as pixels of 20 m.

Stored without the offset of later baselines (processing baseline 02.14; `earthsearch:boa_offset_applied` is false, and
there is none to apply before 04.00), so reflectance is number / 10000.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.evaluation.ground import Texture
from plumewatch.methane.evaluation.planted import PIXEL_M
from plumewatch.methane.evaluation.scenes import grid_place
from plumewatch.methane.passes import Pass
from plumewatch.methane.retrieval import compute_air_mass_factor

FOLDER = "sentinel2/S2A_29RKH_20200219_0_L2A"
REFLECTANCE_PER_NUMBER = 1e-4  # ESA, Sentinel-2 products specification: quantification value 10000
OTHER_FILES = {"b02": "B02", "b03": "B03", "b04": "B04", "b08": "B08", "b8a": "B8A"}
UNUSABLE_CLASSES = (0, 1, 3, 6, 8, 9, 10, 11)  # of Sen2Cor: nothing, defective, shadow, water, clouds, cirrus, snow
OBSERVED_AT_UTC = datetime(2020, 2, 19, 11, 34, 25, tzinfo=UTC)  # this and the next two from the item
RELATIVE_ORBIT, EPSG = 37, 32629
SOLAR_ZENITH_DEG = 90 - 48.293248430895
VIEW_ZENITH_DEG = 5.0  # the item doesn't say; the swath goes to 12


def texture_of_sahara(test_data_folder: str | Path) -> Texture | None:
    """Return the scene's reflectance, None where it isn't in the folder; gaps are filled with their nearest pixel."""
    folder = Path(test_data_folder) / FOLDER
    if not (folder / "B12.tif").is_file():
        return None
    return Texture(_read(folder, "B11"), _read(folder, "B12"), {n: _read(folder, f) for n, f in OTHER_FILES.items()})


def pass_of_sahara(test_data_folder: str | Path) -> Pass:
    """Return the whole scene as it is, as one pass of pixels of 20 m, usable where its own classification says so."""
    folder = Path(test_data_folder) / FOLDER
    b11, b12 = (_numbers(folder, name) * np.float32(REFLECTANCE_PER_NUMBER) for name in ("B11", "B12"))
    classes = _numbers(folder, "SCL")
    return Pass(
        platform="sentinel-2a",
        relative_orbit=RELATIVE_ORBIT,
        observed_at_utc=OBSERVED_AT_UTC,
        scene_ids=(folder.name,),
        scene_index=np.zeros(b11.shape, np.int16),
        b11=b11.astype(np.float32),
        b12=b12.astype(np.float32),
        is_usable=~np.isin(classes, UNUSABLE_CLASSES) & (b11 > 0) & (b12 > 0),
        air_mass_factor=float(compute_air_mass_factor(SOLAR_ZENITH_DEG, VIEW_ZENITH_DEG)),
        view_zenith_deg=VIEW_ZENITH_DEG,
        n_pixels=b11.size,
        epsg=EPSG,
        pixel_size_m=PIXEL_M,
        place=grid_place(*b11.shape),
    )


def _read(folder: Path, name: str) -> NDArray[np.float64]:
    numbers = _numbers(folder, name)
    nearest = ndimage.distance_transform_edt(numbers == 0, return_distances=False, return_indices=True)
    return numbers[tuple(nearest)] * REFLECTANCE_PER_NUMBER


def _numbers(folder: Path, name: str) -> NDArray[np.int64]:
    import rasterio  # only where the data is

    with rasterio.open(folder / f"{name}.tif") as source:
        return source.read(1).astype(np.int64)
