"""Grids of EDGAR and ODIAC in their forms, written here: cells that emit much become sources, by the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from grid_files import EMI, LAT, LON, edgar, odiac, told, world
from inventory_files import own
from plumewatch.errors import InputError
from plumewatch.inventory.combine import combine_inventories
from plumewatch.inventory.edgar import read_edgar
from plumewatch.inventory.odiac import read_odiac
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.tables import SOURCES
from rasterio.transform import from_origin
from rasterio.windows import Window

from tools.checkout import CHECKOUT

SECONDS_PER_YEAR = 365 * 86400


def test_cells_over_the_rate_are_sources(tmp_path: Path) -> None:
    path = edgar(tmp_path / EMI, world(e10n20=5e6, e11n20=3.9e5), LON, LAT)
    [row] = read_edgar([path]).to_pylist()
    assert (row["source_id"], row["name"], row["kind"]) == (
        "edgar-co2-20.5N-10.5E",
        "EDGAR CO2 cell 20.5N 10.5E",
        "grid_cell",
    )
    assert (row["emission_t_y"], row["emission_t_y_sigma"], row["year"]) == (5e6, pytest.approx(3e6), 2023)
    assert (row["longitude"], row["latitude"], row["cell_width_deg"], row["cell_height_deg"]) == (10.5, 20.5, 1.0, 1.0)
    assert row["provenance"] == f"EDGAR TOTALS, {EMI}" and row["licence"].startswith("CC BY 4.0")


@pytest.mark.parametrize("turned", [False, True], ids=["-180 to 180", "0 to 360"])
@pytest.mark.parametrize("falling", [False, True], ids=["rising", "falling"])
@pytest.mark.parametrize("form", ["emissions", "fluxes", "emi_co2"])
def test_any_form_gives_the_same_cells(tmp_path: Path, turned: bool, falling: bool, form: str) -> None:
    values, lon, lat = world(**{"e-70n-34": 2e6, "e10n60": 4e6}), LON, LAT
    name = "v6.0_CO2_excl_short-cycle_org_C_2015_TOTALS.1.0x1.0.nc"
    if form != "emissions":
        band = np.sin(np.radians(lat + 0.5)) - np.sin(np.radians(lat - 0.5))
        values = values * 1000 / SECONDS_PER_YEAR / (6371008.8**2 * np.radians(1.0) * band)[:, None]
    if turned:
        values, lon = np.roll(values, -180, axis=1), np.arange(0.5, 360)
    if falling:
        values, lat = values[::-1], lat[::-1]
    unit = "Tonnes" if form == "emissions" else "kg m-2 s-1"
    rows = read_edgar([edgar(tmp_path / name, values, lon, lat, form, unit)]).to_pylist()
    assert [(r["longitude"], r["latitude"], r["year"]) for r in rows] == [(-69.5, -33.5, 2015), (10.5, 60.5, 2015)]
    assert [r["emission_t_y"] for r in rows] == pytest.approx([2e6, 4e6], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "variable", "attributes", "expected"),
    [
        ("v8.0_FT2022_GHG_CH4_2022_PRO_GAS_emi.nc", "emissions", {}, ("ch4", 2022, "PRO_GAS")),
        ("EDGAR_2025_GHG_CO2_2024_ENE_flx.nc", "fluxes", {}, ("co2", 2024, "ENE")),
        ("v50_CH4_2015.0.1x0.1.nc", "emi_ch4", {}, ("ch4", 2015, "TOTALS")),
        ("edgar_renamed.nc", "emissions", {"substance": "CH4", "year": "2023"}, ("ch4", 2023, "TOTALS")),
        ("edgar_renamed.nc", "emissions", {"substance": "CO2", "year": np.int32(2023)}, ("co2", 2023, "TOTALS")),
    ],
)
def test_gas_year_and_sector_come_from_name_or_attributes(
    tmp_path: Path, name: str, variable: str, attributes: dict[str, Any], expected: tuple[str, int, str]
) -> None:
    unit = "Tonnes" if variable == "emissions" else "kg m-2 s-1"
    value = 5e6 if variable == "emissions" else 1e-8
    path = edgar(tmp_path / name, world(e10n20=value), LON, LAT, variable, unit, **attributes)
    [row] = read_edgar([path]).to_pylist()
    assert (row["gas"], row["year"], row["provenance"].split(",")[0].removeprefix("EDGAR ")) == expected


@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_places_on_edges_are_in_the_cell_east_and_north_of_them_all_around_the_globe(tmp_path: Path, kind: str) -> None:
    values = np.zeros((1800, 3600))
    values[900:902] = 1e6
    lon, lat = (np.arange(3600) / 10 + 0.05).astype(kind), (89.95 - np.arange(1800) / 10).astype(kind)
    cells = read_edgar([edgar(tmp_path / EMI, values, lon, lat)])
    assert cells["cell_width_deg"].unique().to_pylist() == [0.1]
    n = 3600
    points = SOURCES.from_columns(
        {
            **{name: [text] * n for name, text in (("kind", "landfill"), ("fuel", ""), ("gas", "co2"), ("name", "x"))},
            "source_id": [f"own-{number}" for number in range(n)], "year": [2020] * n,
            "emission_t_y": [1e5] * n, "emission_t_y_sigma": [0.0] * n,
            "longitude": (np.arange(n) - 1800) / 10, "latitude": [-0.1] * n,
        }
    )  # fmt: skip
    left = combine_inventories({"edgar": cells, "own_sources": points}).to_pylist()
    by_row = {lat: {r["emission_t_y"] for r in left if round(r["latitude"], 2) == lat} for lat in (-0.05, -0.15)}
    assert by_row == {-0.05: {9e5}, -0.15: {1e6}}


def test_sectors_are_added_up_and_the_total_counts_alone(tmp_path: Path) -> None:
    ene = edgar(tmp_path / "EDGAR_2024_GHG_CO2_2023_ENE_emi.nc", world(e10n20=3e5, e0n0=1e6), LON, LAT)
    ind = edgar(tmp_path / "EDGAR_2024_GHG_CO2_2023_IND_emi.nc", world(e10n20=2e5), LON, LAT)
    old = edgar(tmp_path / "EDGAR_2024_GHG_CO2_2022_TOTALS_emi.nc", world(e10n20=9e9), LON, LAT)
    rows, failures, aside = told(read_edgar, [ene, ind, old])
    assert [r["emission_t_y"] for r in rows] == [1e6, 5e5] and failures == []
    assert rows[0]["provenance"] == "EDGAR ENE, IND, 2 sectors" and len(aside) == 1 and "2022" in aside[0]
    total = edgar(tmp_path / EMI, world(e10n20=7e5), LON, LAT)
    flux = edgar(tmp_path / EMI.replace("emi", "flx"), world(e10n20=1e-9), LON, LAT, "fluxes", "kg m-2 s-1")
    rows, _, aside = told(read_edgar, [ene, ind, total, flux])
    assert [r["emission_t_y"] for r in rows] == [7e5] and len(aside) == 3


def test_variables_of_one_file_are_sectors(tmp_path: Path) -> None:
    path = tmp_path / "EDGAR_2024_GHG_2023_sectors_CO2_2023.nc"
    edgar(path, world(e10n20=3e5, e0n0=1e6), LON, LAT, "emi_co2_ENE")
    edgar(path, world(e10n20=2e5), LON, LAT, "emi_co2_IND", mode="a")
    edgar(path, world(e10n20=9e9), LON, LAT, "emi_co2_uncertainty", mode="a")
    edgar(path, world(e10n20=1e8), LON, LAT, "cell_area", "m2", mode="a")
    rows = read_edgar([str(path)]).to_pylist()
    assert [r["emission_t_y"] for r in rows] == [1e6, 5e5] and rows[0]["provenance"] == "EDGAR ENE, IND, 2 sectors"
    edgar(path, world(e10n20=7e5), LON, LAT, "emi_co2_TOTALS", mode="a")
    assert read_edgar([str(path)])["emission_t_y"].to_pylist() == [7e5]
    edgar(path, world(e10n20=7e3), LON, LAT, "emi_ch4", mode="a")
    assert sorted(read_edgar([str(path)])["gas"].to_pylist()) == ["ch4", "co2"]


def test_negative_cells_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    path = edgar(tmp_path / EMI, world(e10n20=5e6, e11n20=-1, e12n20=np.inf), LON, LAT)
    rows, failures, _ = told(read_edgar, [path])
    assert len(rows) == 1 and len(failures) == 1 and "2 cells negative or infinite" in failures[0]
    with pytest.raises(InputError, match="2 cells negative"):
        read_edgar([path])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"units": "kg"}, None),
        ({"units": "ppm"}, "emissions in 'ppm'"),
        ({"values": world(e10n20=1e12)}, "another unit"),
        ({"lon": np.arange(-179.5, 180) ** 3 / 1e5}, "evenly spaced"),
        ({"lon": np.sort(np.concatenate([np.arange(-179.5, 179), [100.2]]))}, "isn't evenly spaced"),
        ({"lat": np.linspace(-95, 95, 180)}, "degrees from -90 to 90"),
        ({"lon": np.linspace(-360, 360, 360)}, "the globe once"),
        ({"name": "EDGAR_2024_GHG_CO2bio_2023_TOTALS_emi.nc"}, "short carbon cycle"),
        ({"name": "v6.0_CO2_org_short-cycle_C_2015_TOTALS.nc"}, "short carbon cycle"),
        ({"name": "EDGAR_2024_GHG_CO2_2023_7_TOTALS_emi.nc"}, "a file of month 7"),
        ({"name": "EDGAR_N2O_x.nc"}, "no gas in the name"),
        ({"name": "EDGAR_2024_GHG_CO2_TOTALS_emi.nc"}, "no year in the file's name"),
        ({"year": "2019"}, "years 2019 and 2023"),
        ({"values": np.zeros((5, 180, 360))}, "one year or 12 months"),
    ],
)
def test_what_no_edgar_file_is_is_refused_by_name(tmp_path: Path, change: dict[str, Any], says: str | None) -> None:
    named = {"values": world(e10n20=5e8), "lon": LON, "lat": LAT, "units": "Tonnes", "name": EMI, **change}
    path = tmp_path / named["name"]
    more = {"year": named["year"]} if "year" in named else {}
    edgar(path, named["values"], named["lon"], named["lat"], "emissions", named["units"], **more)
    if says is None:
        assert read_edgar([str(path)])["emission_t_y"].to_pylist() == [5e5]
        return
    with pytest.raises(InputError, match=rf"{path.name}: .*{says}"):
        read_edgar([str(path)])
    ch4 = edgar(tmp_path / EMI.replace("CO2", "CH4"), world(e10n20=1e6), LON, LAT)
    rows, failures, _ = told(read_edgar, [str(path), ch4])
    assert [r["gas"] for r in rows] == ["ch4"] and len(failures) == 1


def test_a_grid_that_cannot_be_used_leaves_its_gas_as_it_was(tmp_path: Path, storage_root: str) -> None:
    co2 = Path(edgar(tmp_path / EMI, world(e10n20=5e6), LON, LAT))
    edgar(tmp_path / EMI.replace("CO2", "CH4"), world(e10n20=1e6), LON, LAT)
    assert refresh_sources(str(tmp_path), storage_root).rows["edgar"] == 2
    co2.write_bytes(co2.read_bytes()[:3000])
    edgar(tmp_path / EMI.replace("CO2", "CH4"), world(e10n20=1e6, e11n20=1e6), LON, LAT)
    done = refresh_sources(str(tmp_path), storage_root)
    assert done.rows["edgar"] == 3 and [f.scene_id for f in done.failures] == [EMI]


def test_a_sector_that_cannot_be_used_leaves_no_sum(tmp_path: Path) -> None:
    ene = edgar(tmp_path / "EDGAR_2024_GHG_CO2_2023_ENE_emi.nc", world(e10n20=3e6), LON, LAT)
    (tmp_path / "EDGAR_2024_GHG_CO2_2023_IND_emi.nc").write_bytes(b"CDF")
    rows, failures, _ = told(read_edgar, [ene, str(tmp_path / "EDGAR_2024_GHG_CO2_2023_IND_emi.nc")])
    assert rows == [] and len(failures) == 2 and "may be a sector" in failures[1]


@pytest.mark.parametrize("name", [EMI.replace(".nc", "_nc.zip"), "odiac2023_1km_excl_intl_2212.tif.gz"])
def test_a_packed_grid_is_named_with_what_is_read(tmp_path: Path, storage_root: str, name: str) -> None:
    own(tmp_path, "B,landfill,waste,ch4,5,1,2025,10,10")
    (tmp_path / name).write_bytes(b"PK")
    done = refresh_sources(str(tmp_path), storage_root)
    assert done.rows == {"own_sources": 1, "combined": 1}
    assert [f.scene_id for f in done.failures] == [name] and "an ending that isn't read" in done.failures[0].message


ONE_PASS = """
import json, resource, sys, time
import pyarrow as pa
from plumewatch import storage
from plumewatch.inventory.refresh import refresh_sources
started = time.perf_counter()
done = refresh_sources(sys.argv[1], sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"rows": done.rows, "seconds": time.perf_counter() - started, "peak_gib": peak}))
"""


def in_a_process(folder: Path, root: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "include")}
    command = [sys.executable, "-c", ONE_PASS, str(folder), root]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    print(result)
    return result


def test_a_grid_of_the_globe_is_one_pass_in_bounded_memory(tmp_path: Path, storage_root: str) -> None:
    rng = np.random.default_rng(7)
    values = rng.lognormal(np.log(3e3), 2.0, (1800, 3600))
    lon, lat = np.arange(3600) / 10 - 179.95, np.arange(1800) / 10 - 89.95
    edgar(tmp_path / EMI, values, lon, lat)
    found = in_a_process(tmp_path, storage_root)
    n = int((values.astype("f4") >= inventory_factors().least_of_cell_t_y["co2"]).sum())
    assert found["rows"] == {"edgar": n, "combined": n} and n > 40_000
    assert found["peak_gib"] < 2.0  # 0.6


def test_pixels_of_carbon_become_cells_of_co2(tmp_path: Path) -> None:
    for month in range(1, 13):
        values = np.zeros((240, 360))
        values[0:12, 0:12] = 1000.0  # a cell of 0.1 degree: 144 pixels
        values[12, 12] = month  # below the rate
        values[100, 200], values[239, 359] = 2e5, -9999
        odiac(tmp_path / f"odiac2023_1km_excl_intl_22{month:02d}.tif", values, 10.0, 50.0, 1 / 120, nodata=-9999)
    odiac(tmp_path / "odiac2023_1km_excl_intl_2301.tif", np.full((240, 360), 9e3), 10.0, 50.0, 1 / 120)
    rows, failures, aside = told(read_odiac, sorted(map(str, tmp_path.glob("*.tif"))))
    assert [(r["source_id"], r["longitude"], r["latitude"]) for r in rows] == [
        ("odiac-co2-49.15N-11.65E", 11.65, 49.15), ("odiac-co2-49.95N-10.05E", 10.05, 49.95),
    ]  # fmt: skip
    assert [r["emission_t_y"] for r in rows] == pytest.approx(
        [12 * 2e5 * 44.0095 / 12.011, 12 * 144e3 * 44.0095 / 12.011]
    )
    assert rows[0]["provenance"] == "ODIAC2023, sum of 12 months of 2022, tonnes of carbon x 44/12"
    assert failures == [] and len(aside) == 1 and "2301.tif: isn't needed beside 2022" in aside[0]


def test_without_a_whole_year_the_latest_month_is_taken_times_twelve(tmp_path: Path) -> None:
    for month, value in ((3, 1.0), (11, 2e5)):
        odiac(tmp_path / f"odiac2024_1km_excl_intl_23{month:02d}.tif", np.full((1, 1), value), 10.0, 50.0, 1 / 120)
    [row] = read_odiac(list(map(str, tmp_path.glob("*.tif")))).to_pylist()
    assert row["emission_t_y"] == pytest.approx(12 * 2e5 * 44.0095 / 12.011) and "2023-11 times 12" in row["provenance"]


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"), [("int32", 0.1, 0.0), ("uint16", 2.0, -40.0), ("float32", 1000.0, 0.0)]
)
def test_packed_pixels_are_unpacked_by_their_tags(tmp_path: Path, dtype: str, scale: float, offset: float) -> None:
    values = np.zeros((240, 360))
    values[0:12, 0:12] = 1000.0  # 144 pixels of a cell
    packed = np.round((values - offset) / scale)
    packed[200, 300] = nodata = 7
    path = odiac(tmp_path / "odiac2023_1km_excl_intl_2201.tif", packed, 10.0, 50.0, 1 / 120, dtype=dtype, nodata=nodata)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (scale,), (offset,)
    rows, failures, _ = told(read_odiac, [path])
    assert [r["emission_t_y"] for r in rows] == pytest.approx([12 * 144e3 * 44.0095 / 12.011]) and failures == []


def test_no_data_that_is_no_number_is_no_failure(tmp_path: Path) -> None:
    values = np.full((24, 24), np.nan)
    values[3, 3] = 2e5
    path = odiac(tmp_path / "odiac2023_1km_excl_intl_2201.tif", values, 10.0, 50.0, 1 / 120, nodata=np.nan)
    rows, failures, _ = told(read_odiac, [path])
    assert [r["emission_t_y"] for r in rows] == pytest.approx([12 * 2e5 * 44.0095 / 12.011]) and failures == []


@pytest.mark.parametrize(("size", "is_read"), [(0.1, True), (0.1000001, True), (0.11, False), (1.0, False)])
def test_pixels_wider_than_a_cell_are_refused(tmp_path: Path, size: float, is_read: bool) -> None:
    path = odiac(tmp_path / "odiac2023_1km_excl_intl_2201.tif", np.full((2, 2), 2e5), 10.0, 50.0, size)
    if is_read:
        assert read_odiac([path]).num_rows == 4
        return
    with pytest.raises(InputError, match=rf"2201\.tif: pixels of {size:g} x {size:g} degrees; allowed: at most 0.1"):
        read_odiac([path])


@pytest.mark.parametrize(
    ("profile", "name", "says"),
    [
        ({"crs": "EPSG:32632"}, "odiac2023_1km_excl_intl_2201.tif", "CRS EPSG:32632"),
        ({"crs": None}, "odiac2023_1km_excl_intl_2201.tif", "CRS None"),
        ({}, "odiac2023_1km_excl_intl.tif", "a name such as"),
    ],
)
def test_what_no_odiac_file_is_is_refused_by_name(
    tmp_path: Path, profile: dict[str, Any], name: str, says: str
) -> None:
    path = odiac(tmp_path / name, np.full((2, 2), 1e6), 10.0, 50.0, 1 / 120, **profile)
    with pytest.raises(InputError, match=rf"{name}: .*{says}"):
        read_odiac([path])


def test_negative_pixels_are_counted_and_the_others_go_on(tmp_path: Path) -> None:
    values = np.array([[2e6, -5.0], [np.nan, 0.0]])
    path = odiac(tmp_path / "odiac2023_1km_excl_intl_2201.tif", values, 10.0, 50.0, 1 / 120)
    rows, failures, _ = told(read_odiac, [path])
    assert rows[0]["emission_t_y"] == pytest.approx(12 * 2e6 * 44.0095 / 12.011)
    assert len(failures) == 1 and "2 pixels negative or not finite" in failures[0]


def test_a_raster_of_the_globe_is_read_by_windows(tmp_path: Path, storage_root: str) -> None:
    profile = {"driver": "GTiff", "width": 43200, "height": 21600, "count": 1, "dtype": "float32", "crs": "EPSG:4326",
               "transform": from_origin(-180, 90, 1 / 120, 1 / 120), "sparse_ok": True, "compress": "deflate",
               "tiled": True, "blockxsize": 512, "blockysize": 512}  # fmt: skip
    with rasterio.open(tmp_path / "odiac2023_1km_excl_intl_2212.tif", "w", **profile) as file:
        for col, row in ((0, 0), (43199, 21599), (23000, 4800)):
            file.write(np.full((1, 1), 2e5, "f4"), 1, window=Window(col, row, 1, 1))
    found = in_a_process(tmp_path, storage_root)
    assert found["rows"]["odiac"] == 3 and found["peak_gib"] < 1.5  # 0.5; the raster has 3.5 GiB
