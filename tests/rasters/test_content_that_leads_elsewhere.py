"""A file from elsewhere names no other one: whatever its content says, only itself is read, and nothing written.

One test a kind of archive or format that can name others: rasters (VRT), vectors (VRT), HDF5 (links, external storage,
virtual datasets), TAR, STAC items. Names in manifests, ids and partitions: tests of storage, catalogues and matching.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from netCDF4 import Dataset
from plumewatch.area_names import read_area_names
from plumewatch.areas import read_areas
from plumewatch.catalogues import stac
from plumewatch.catalogues.stac import item_of, read_item, without_local_files
from plumewatch.errors import InputError
from plumewatch.inventory.edgar import read_edgar
from plumewatch.oco2.granules.granule import check_granule, read_granule
from plumewatch.rasters.reading import open_raster, read_raster
from plumewatch.sentinel2.process_api import _unpacked
from plumewatch.storage import write_bytes
from plumewatch.zones.zone_files import read_zones
from rasterio.shutil import copy
from rasterio.transform import from_origin

sys.path.insert(0, str(Path(__file__).parents[1] / "oco2"))
from lite_granules import NAME, northward_track, write_lite

SECRET = 77


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A raster that a stranger's file names."""
    path = tmp_path / "secret.tif"
    profile = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", **profile, transform=from_origin(1, 1, 1, 1)) as file:
        file.write(np.full((1, 4, 4), SECRET, "u1"))
    return path


def vrt(of: Path) -> str:
    source = f'<SourceFilename relativeToVRT="0">{of}</SourceFilename><SourceBand>1</SourceBand>'
    band = f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{source}</SimpleSource></VRTRasterBand>'
    return f'<VRTDataset rasterXSize="4" rasterYSize="4">{band}</VRTDataset>'


def test_a_raster_that_is_a_list_of_other_files_is_none(secret: Path, root: str) -> None:
    with rasterio.open(secret) as source:
        assert source.read(1).max() == SECRET
    for name in ("B11.tif", "B11.jp2"):
        path = f"{root}/{name}"
        write_bytes(path, vrt(secret).encode())
        with pytest.raises(InputError, match=rf"{name}: .*allowed: a complete GeoTIFF"), open_raster(path):
            pass
    with rasterio.open(secret) as source:
        copy(source, secret.with_suffix(".jp2"), driver="JP2OpenJPEG", REVERSIBLE="YES", QUALITY="100")
    for name, content in (("good.tif", secret), ("a.jp2", secret), ("b.jp2", secret.with_suffix(".jp2")),
                          ("b.tif", secret.with_suffix(".jp2"))):  # fmt: skip
        write_bytes(path := f"{root}/{name}", content.read_bytes())
        assert read_raster(path, lambda source: int(source.read(1).max())) == SECRET, name


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson"])
def test_a_vector_file_that_is_a_list_of_other_files_is_none(tmp_path: Path, ending: str) -> None:
    ring = [[54, 38], [54.1, 38], [54.1, 38.1], [54, 38]]
    feature = {
        "type": "Feature",
        "properties": {"name": "told"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    (tmp_path / "secret.json").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    layer = f'<SrcDataSource relativeToVRT="0">{tmp_path / "secret.json"}</SrcDataSource>'
    folder = tmp_path / "areas"
    folder.mkdir()
    path = folder / f"areas.{ending}"
    path.write_text(f'<OGRVRTDataSource><OGRVRTLayer name="secret">{layer}</OGRVRTLayer></OGRVRTDataSource>')
    named = rf"areas\.{ending}: not readable"
    refused: list[str] = []
    assert read_areas(str(folder), on_failure=lambda failure: refused.append(failure.message)) == []
    with pytest.raises(InputError, match=named):
        read_zones(str(path), None, None, lambda where, error: None)
    assert refused and "secret" not in refused[0] and f"areas.{ending}" in refused[0]
    assert read_area_names(str(folder)).broken == (str(path),)


def _link(file: h5py.File, name: str, other: Path) -> None:
    del file[name]
    file[name] = h5py.ExternalLink(str(other), "/values")


def _store(file: h5py.File, name: str, other: Path) -> None:
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, kind, external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def _make_virtual(file: h5py.File, name: str, other: Path) -> None:
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, kind)
    layout[:] = h5py.VirtualSource(str(other), "values", shape)
    file.create_virtual_dataset(name, layout)


WAYS = (_link, _store, _make_virtual)


@pytest.mark.parametrize("way", WAYS)
def test_a_granule_whose_values_lie_in_another_file_is_refused(tmp_path: Path, way: Callable[..., None]) -> None:
    path, other = write_lite(tmp_path / NAME, northward_track(30)), tmp_path / "other.h5"
    with h5py.File(path) as file:
        n = len(file["xco2"])
    with h5py.File(other, "w") as file:
        file["values"] = np.full(n, 400.0, "f4")
    with h5py.File(path, "r+") as file:
        way(file, "xco2", other)
    for read in (check_granule, read_granule):
        with pytest.raises(InputError, match=rf"{path.name}: damaged .*values that lie in another file"):
            read(str(path))


@pytest.mark.parametrize("way", WAYS)
def test_a_grid_of_emissions_whose_values_lie_in_another_file_is_refused(
    tmp_path: Path, way: Callable[..., None]
) -> None:
    path, other = tmp_path / "EDGAR_2024_GHG_CO2_2023_TOTALS_emi.nc", tmp_path / "other.h5"
    with Dataset(path, "w") as made:
        for name, centres in (("lat", np.arange(-85.0, 90, 10)), ("lon", np.arange(-175.0, 180, 10))):
            made.createDimension(name, len(centres))
            made.createVariable(name, "f4", (name,))[:] = centres
        made.createVariable("emissions", "f4", ("lat", "lon"))[:] = 1e6
    with h5py.File(other, "w") as file:
        file["values"] = np.full((18, 36), 1e6, "f4")
    with h5py.File(path, "r+") as file:
        way(file, "emissions", other)
    with pytest.raises(InputError, match=rf"{path.name}: damaged .*values that lie in another file"):
        read_edgar([str(path)])


def test_a_tar_is_read_and_never_unpacked_onto_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind in (("../out.tif", tarfile.REGTYPE), ("/tmp/out.tif", tarfile.REGTYPE), ("l", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"data"))
    files = _unpacked("hub", packed.getvalue())
    assert set(files) == {"../out.tif", "/tmp/out.tif"} and set(files.values()) == {b"data"}
    assert not list(tmp_path.iterdir()) and not (tmp_path.parent / "out.tif").exists()


@pytest.mark.parametrize("href", ["/etc/passwd", "file:///etc/passwd", "/vsis3/bucket/key", "../../../etc/passwd"])
def test_an_item_from_elsewhere_names_no_file_of_this_machine(href: str, monkeypatch: pytest.MonkeyPatch) -> None:
    item: dict[str, Any] = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "bbox": [0, 0, 1, 1], "links": [],
        "properties": {"datetime": "2025-08-21T00:00:00Z"},
        "assets": {"B11": {"href": href}, "B12": {"href": "https://host/B12.tif"}},
    }  # fmt: skip
    for address in ("https://host/items/a.json", "s3://bucket/items/a.json"):
        found = without_local_files(item_of(item, address), address)
        assert all("://" in asset.href and not asset.href.startswith("file") for asset in found.assets.values())
        assert found.assets["B12"].href == "https://host/B12.tif"
    monkeypatch.setattr(stac, "read_json", lambda address: item)
    assert set(read_item(address).assets) == set(found.assets), "the ingest reads its items so"
    item["id"] = "../../x"
    with pytest.raises(InputError, match="an id that files can be named by"):
        item_of(item, "https://host/items/a.json")
