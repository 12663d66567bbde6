"""Five real dates of tile 33TWM (August 2023, 0.2 to 70 % cloud): NDVI shows a wrong offset and a mask that leaks.

`pytest -s tests/real/test_vegetation.py` prints the three rows, and draws the month with the mask, without it, and the
difference (build/evaluation/zones/ndvi_33TWM.png).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import geopandas
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from plumewatch import storage
from plumewatch.catalogues.stac import read_item
from plumewatch.models import Area
from plumewatch.sentinel2.clouds import compute_clear_mask
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zones.composites import compose

from tools.checkout import CHECKOUT

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from jobs import load_job

DATES = ("S2B_33TWM_20230810", "S2B_33TWM_20230813", "S2A_33TWM_20230815", "S2A_33TWM_20230818", "S2B_33TWM_20230820")
VEGETATION = 4
OFFSET = -0.1  # of the items, which the pixels have had already
PIXEL_M, CELL_M = 120.0, 60.0  # the scenes were thinned out; cells that divide their pixels have their values
WEST, NORTH, SIDE_PX = 499_980.0, 5_200_020.0, 915


@pytest.fixture(scope="module")
def stacked(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The items of the five scenes, stacked over the whole tile."""
    folder = tmp_path_factory.mktemp("vegetation")
    inset_m, side_m = PIXEL_M / 2, (SIDE_PX - 0.5) * PIXEL_M
    corners = shapely.box(WEST + inset_m, NORTH - side_m, WEST + side_m, NORTH - inset_m)
    to_lonlat = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
    outline = shapely.transform(shapely.segmentize(corners, 5000), to_lonlat.transform, interleaved=False)
    area = Area("tile", outline, bands=("B04", "B08"), crs="EPSG:32633", resolution_m=CELL_M)
    scenes = [_item(real_data / "sentinel2" / f"{name}_0_L2A", folder) for name in DATES]
    return [Path(fetch_scene(item, area, str(folder / "scenes"))) for item in scenes]


def _item(scene: Path, folder: Path) -> pystac.Item:
    item = read_item(str(scene / f"{scene.name}.json"))
    for asset in item.assets.values():
        asset.href = f"file://{scene}/{asset.href.rsplit('/', 1)[-1]}"
    # The files were compressed with loss: three pixels have a class 12, which there is none of.
    with rasterio.open(scene / "SCL.tif") as source:
        profile, scl = {**source.profile, "driver": "GTiff"}, np.minimum(source.read(), 11)
    with rasterio.open(folder / f"{scene.name}.tif", "w", **profile) as target:
        target.write(scl)
    item.assets["scl"].href = str(folder / f"{scene.name}.tif")
    return item


def medians(item: Path, shift: float = 0.0) -> tuple[float, float]:
    """Median NDVI of clear vegetation, and of all that has data, with `shift` added to the reflectance."""
    with (
        rasterio.open(item.with_suffix(".tif")) as bands,
        rasterio.open(item.with_name(f"{item.stem}_scl.tif")) as classes,
    ):
        red, nir = bands.read().astype(float) * bands.scales[0] + shift
        scl, valid = classes.read(1), (bands.read() != bands.nodata).all(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # where both bands have no data
        ndvi = (nir - red) / (nir + red)
    clear = compute_clear_mask(scl, valid, (VEGETATION,), 0.0)
    return float(np.median(ndvi[clear])), float(np.median(ndvi[valid]))


def test_vegetation_is_vegetation_on_each_date(stacked: list[Path]) -> None:
    masked, naive = zip(*map(medians, stacked), strict=True)
    twice = [medians(item, OFFSET)[0] for item in stacked]
    for name, row in (("masked", masked), ("without mask", naive), ("offset twice", twice)):
        print(f"{name:>12}: " + ", ".join(f"{value:.2f}" for value in row))
    assert all(0.75 <= round(value, 2) <= 0.85 for value in masked)
    assert [round(value, 2) for value in naive] == [0.24, 0.85, 0.83, 0.58, 0.82]
    assert all(1.35 <= round(value, 2) <= 1.76 for value in twice)


def test_what_was_seen_of_the_tile_is_known(stacked: list[Path]) -> None:
    """The item of 10 August says 70.6 % cloud, and 11.2 % of the tile out of the swath: its classes say the same."""
    for item in stacked:
        found, source = storage.read_json(str(item))["properties"], _source_properties(item)
        assert found["eo:cloud_cover"] == pytest.approx(source["eo:cloud_cover"], abs=2.0)  # thinned, with loss
        no_data = 1 - source["s2:nodata_pixel_percentage"] / 100
        assert found["plumewatch:covered_fraction"] == pytest.approx(no_data, abs=0.01)


def test_the_month_of_a_field_is_that_of_vegetation(stacked: list[Path], spark: object, tmp_path: Path) -> None:
    """Median NDVI of August in a zone, with the mask of classes and without: cloud takes a tenth of it away."""
    box = shapely.box(WEST + 20_000, NORTH - 60_000, WEST + 40_000, NORTH - 40_000)
    geopandas.GeoDataFrame({"id": ["field"]}, geometry=[box], crs=32633).to_file(tmp_path / "zones.gpkg")
    job = load_job("zonal_statistics")
    arguments = [
        "--scenes-path", str(stacked[0].parents[2]), "--zones-path", str(tmp_path / "zones.gpkg"), "--month", "2023-08",
        "--statistics-path", str(tmp_path / "zonal_statistics"), "--index", "ndvi", "--statistics", "median,count",
    ]  # fmt: skip
    assert job.run(job.parse_arguments(arguments)).failed == 0
    rows = storage.read_table(ZONAL_STATISTICS, str(tmp_path / "zonal_statistics")).to_pylist()
    [month] = [row for row in rows if row["scene_id"] is None and row["statistic"] == "median"]
    naive, seen = _pooled(stacked, box, is_masked=False), _pooled(stacked, box, is_masked=True)
    print(f"median NDVI of the month: {month['value']:.4f}, without mask {np.median(naive):.4f}")
    assert month["value"] == pytest.approx(np.median(seen), rel=1e-6) and month["count_clear"] == len(seen)
    assert month["count_total"] >= len(naive)
    assert month["value"] - np.median(naive) > 0.02


def test_the_month_with_the_mask_and_without_it_is_pictured(stacked: list[Path]) -> None:
    """Where cloud was seen on two dates of five the median without the mask is cloud's; with it, it is the ground's."""
    step = 6  # of 60 m: a picture of 305 pixels a side
    masked, naive = [], []
    for item in stacked:
        with (
            rasterio.open(item.with_suffix(".tif")) as bands,
            rasterio.open(item.with_name(f"{item.stem}_scl.tif")) as classes,
        ):
            numbers, scl = bands.read()[:, ::step, ::step], classes.read(1)[::step, ::step]
            red, nir = numbers.astype(np.float32) * bands.scales[0]
            valid = (numbers != bands.nodata).all(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ndvi = np.where(valid, (nir - red) / (nir + red), np.nan).astype(np.float32)
        naive.append(ndvi)
        masked.append(np.where(compute_clear_mask(scl, valid, (4, 5, 6, 7), 0.0), ndvi, np.nan))
    with_mask, without = (compose(np.stack(dates))[1] for dates in (masked, naive))
    difference = with_mask - without
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    pictures = {"with the mask": with_mask, "without it": without, "difference": difference}
    for axis, (title, values) in zip(axes, pictures.items(), strict=True):
        of_colours = {"cmap": "RdBu", "vmin": -0.5, "vmax": 0.5} if title == "difference" else {"vmin": 0, "vmax": 1}
        figure.colorbar(axis.imshow(values, **of_colours), ax=axis, shrink=0.7)
        axis.set_title(f"median NDVI {title}" if title != "difference" else title)
        axis.set_axis_off()
    picture = CHECKOUT / "build" / "evaluation" / "zones" / "ndvi_33TWM.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=90)
    plt.close(figure)
    seen = np.isfinite(difference)
    hidden = (difference[seen] > 0.1).mean()
    print(f"{picture}: {100 * hidden:.1f} % of the tile are 0.1 of NDVI or more too low without the mask")
    assert seen.mean() > 0.9 and hidden > 0.01 and (difference[seen] < -0.1).mean() < hidden / 3
    assert picture.stat().st_size > 50_000


def _pooled(items: list[Path], box: shapely.Polygon, *, is_masked: bool) -> np.ndarray:
    """NDVI of all dates in the cells whose centre is in a box."""
    found = []
    for item in items:
        with (
            rasterio.open(item.with_suffix(".tif")) as bands,
            rasterio.open(item.with_name(f"{item.stem}_scl.tif")) as classes,
        ):
            red, nir = bands.read().astype(float) * bands.scales[0]
            valid = (bands.read() != bands.nodata).all(axis=0)
            row, col = np.indices(bands.shape)
            west_edge, north_edge, size = bands.bounds.left, bands.bounds.top, bands.res[0]
            east, north = west_edge + (col + 0.5) * size, north_edge - (row + 0.5) * size
            scl = classes.read(1)
        west, south, right, top = box.bounds
        inside = valid & (east > west) & (east < right) & (north > south) & (north < top)
        if is_masked:
            inside &= compute_clear_mask(scl, valid, (4, 5, 6, 7), 60.0 / CELL_M)
        found.append((nir[inside] - red[inside]) / (nir[inside] + red[inside]))
    return np.concatenate(found)


def _source_properties(item: Path) -> dict:
    [link] = [link for link in json.loads(item.read_text())["links"] if link["rel"] == "derived_from"]
    return json.loads(Path(link["href"].removeprefix("file://")).read_text())["properties"]
