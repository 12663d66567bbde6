"""Readers of rasters of other kinds than scenes' own, and of what stands beside them, with a good file of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from plumewatch.rasters.reading import read_raster
from plumewatch.sentinel2.granule_angles import read_angles
from trials import Reader

ANGLES = """<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int"><n1:Geometric_Info><Tile_Angles>
<Mean_Sun_Angle><ZENITH_ANGLE unit="deg">27.5</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">110</AZIMUTH_ANGLE>
</Mean_Sun_Angle>
<Mean_Viewing_Incidence_Angle_List><Mean_Viewing_Incidence_Angle bandId="11"><ZENITH_ANGLE unit="deg">4.2</ZENITH_ANGLE>
<AZIMUTH_ANGLE unit="deg">100.5</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle></Mean_Viewing_Incidence_Angle_List>
</Tile_Angles></n1:Geometric_Info></n1:Level-2A_Tile_ID>"""


def _jpeg_2000() -> Reader:
    """Of several blocks, as a band of Sentinel-2 is."""
    numbers = np.add.outer(np.arange(96), np.arange(96)).astype(np.uint16)

    def write(folder: Path) -> Path:
        options = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 32, "BLOCKYSIZE": 32}
        with rasterio.open(
            folder / "B11.jp2", "w", driver="JP2OpenJPEG", width=96, height=96, count=1, dtype="uint16",
            crs="EPSG:32640", transform=rasterio.Affine(20, 0, 5e5, 0, -20, 27e5), **options,
        ) as target:  # fmt: skip
            target.write(numbers, 1)
        return folder / "B11.jp2"

    return Reader(write, lambda path: read_raster(str(path), lambda source: source.read()))


def _angles() -> Reader:
    def write(folder: Path) -> Path:
        (folder / "MTD_TL.xml").write_text(ANGLES)
        return folder / "MTD_TL.xml"

    return Reader(write, lambda path: read_angles(path.name, path.read_bytes(), ["B11"]))


RASTER_READERS = {"JPEG 2000": _jpeg_2000(), "angles of a granule": _angles()}
"""By the name of their kind."""
