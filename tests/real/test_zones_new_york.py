"""Real zones (71 districts) and 19 real dates of Landsat 8 over New York, held against rasterstats and numpy."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterstats
from plumewatch.zones.cells import find_zone_cells
from plumewatch.zones.statistics import compute_statistics
from rasterio.features import geometry_mask

NAMES = ("mean", "median", "min", "max", "std", "count")


def test_districts_agree_with_rasterstats_and_numpy(real_data: Path) -> None:
    zones = list(geopandas.read_file(real_data / "zonal" / "nycd.gpkg").geometry)
    folders = sorted((real_data / "landsat" / "new_york_2018").iterdir())
    n_compared = 0
    for folder in folders:
        red, nir = (next(folder.glob(f"*_B{band}.TIF")) for band in (4, 5))
        with rasterio.open(red) as one, rasterio.open(nir) as other:
            numbers, transform = np.stack([one.read(1), other.read(1)]).astype(np.float64), one.transform
        valid = (numbers > 0).all(axis=0)  # 0 is no data, undeclared
        with np.errstate(invalid="ignore"):
            ndvi = ((numbers[1] - numbers[0]) / numbers.sum(axis=0)).astype(np.float32)
        ndvi[~valid] = -9.0
        cells = find_zone_cells(zones, transform, ndvi.shape)
        seen = valid.ravel()[cells.cell]
        found = compute_statistics([(ndvi.ravel()[cells.cell][seen], cells.count(seen))], NAMES)
        expected = rasterstats.zonal_stats(zones, ndvi, affine=transform, nodata=-9.0, stats=list(NAMES))
        for number, (zone, by_rasterstats) in enumerate(zip(zones, expected, strict=True)):
            own = ndvi[geometry_mask([zone], ndvi.shape, transform, invert=True) & valid].astype(np.float64)
            assert found["count"][number] == by_rasterstats["count"] == own.size
            if own.size:
                n_compared += 1
                by_numpy = (own.mean(), np.median(own), own.min(), own.max(), own.std())
                for name, value in zip(NAMES, by_numpy, strict=False):
                    assert found[name][number] == pytest.approx(value, rel=1e-6, abs=1e-9)
                    assert found[name][number] == pytest.approx(by_rasterstats[name], rel=1e-6, abs=1e-9)
    print(f"{len(zones)} zones, {len(folders)} dates: {n_compared} pairs with data compared")
    assert len(zones) == 71 and len(folders) == 19 and n_compared > 300
