"""Cells under all else on the static site: files of their own, written anew only where what they show is newer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from affine import Affine
from cell_rows import CELL, EDGAR_PLACE, MONTH, fill_cells, sounding
from map_rows import DAY, observation
from plumewatch import storage
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.maps import site
from plumewatch.maps.cells_shown import CellLayer
from plumewatch.maps.columns import rows_of
from plumewatch.maps.site import refresh_site, write_site
from plumewatch.rasters.cog import cog_bytes
from plumewatch.tables import OBSERVATIONS, SOUNDINGS

EMPTY_MONTH = "2016-09"
ONE = sounding(1, 20.5, 45.5, 410.0)


@pytest.fixture
def root(plumes_stored: str) -> str:
    """A storage root with a site, of which two months of orbits and an inventory have been drawn."""
    fill_cells(plumes_stored)
    for key in (MONTH, EMPTY_MONTH):
        rows = OBSERVATIONS.from_pylist([observation(None, "searched", orbit=1)])
        storage.write_partition(OBSERVATIONS, f"{plumes_stored}/observations", {"gas": "co2", "key": key}, rows)
    write_site(plumes_stored)
    return plumes_stored


def at(root: str, path: str) -> Any:
    return json.loads(storage.read_bytes(f"{root}/site/data/{path}"))


def test_the_site_has_the_cells_of_each_month_and_of_each_inventory(root: str) -> None:
    assert CELL in rows_of(at(root, f"co2/{MONTH}.xco2.json")["cells"])
    assert at(root, f"co2/{EMPTY_MONTH}.xco2.json")["text"] == f"No good sounding is stored of {EMPTY_MONTH}."
    strongest = rows_of(at(root, "ch4/edgar.json")["cells"])[0]
    assert (strongest["lon"], strongest["lat"], strongest["value"]) == (*EDGAR_PLACE, 12.35)
    assert at(root, "co2/odiac.json")["cells"]["n"] == 0
    files = [file for file in storage.list_files(f"{root}/site/data") if file.endswith(("xco2.json", "edgar.json"))]
    assert len(files) == 4  # and none of methane's days
    assert not any(root.removeprefix("file://") in storage.read_bytes(file).decode() for file in files)


@pytest.fixture
def read(root: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which cells have been read since the site was written."""
    told: list[str] = []
    real = site.read_cells

    def noted(gas: Gas, layer: CellLayer, *more: Any) -> dict[str, Any]:
        told.append(f"{gas.name} {layer.name}")
        return real(gas, layer, *more)

    monkeypatch.setattr(site, "read_cells", noted)
    return told


def test_cells_are_read_again_only_where_what_they_are_made_of_is_newer(root: str, read: list[str]) -> None:
    refresh_site(CO2, [MONTH, EMPTY_MONTH], root)
    refresh_site(CH4, [DAY], root)
    assert read == ["co2 xco2", "co2 odiac"]  # of which nothing is stored that would say when
    read.clear()
    storage.write_partition(SOUNDINGS, f"{root}/soundings", {"month": MONTH}, SOUNDINGS.from_pylist([ONE]))
    refresh_site(CO2, [MONTH], root)
    assert read == ["co2 xco2", "co2 odiac"]
    [row] = rows_of(at(root, f"co2/{MONTH}.xco2.json")["cells"])
    assert (row["value"], row["soundings"]) == (410.0, 1)


def test_another_program_of_the_page_reads_no_month_again(root: str, read: list[str]) -> None:
    storage.write_bytes(f"{root}/site/program.txt", b"another")
    refresh_site(CH4, [DAY], root)
    assert sorted(read) == ["co2 odiac", "co2 xco2"], "that of the month of which nothing is stored"


def test_soundings_that_cannot_be_read_cost_their_cells_alone(root: str, caplog: pytest.LogCaptureFixture) -> None:
    write = storage.write_partition
    folder = write(SOUNDINGS, f"{root}/soundings", {"month": MONTH}, SOUNDINGS.from_pylist([ONE]))
    whole = storage.read_bytes(f"{folder}/data.parquet")
    storage.write_bytes(f"{folder}/data.parquet", whole[:-50])
    storage.write_bytes(f"{root}/site/program.txt", b"another")
    assert refresh_site(CO2, [MONTH], root) and refresh_site(CH4, [DAY], root)
    told = at(root, f"co2/{MONTH}.xco2.json")
    assert told["cells"]["n"] == 0 and told["text"] == "What it is made of can't be read."
    assert "data.parquet" in caplog.text and "not on the site" in caplog.text
    storage.write_bytes(f"{folder}/data.parquet", whole)
    refresh_site(CO2, [MONTH], root)
    assert at(root, f"co2/{MONTH}.xco2.json")["cells"]["n"] == 1


def test_the_methane_around_an_accepted_plume_is_a_file_too_and_what_cant_be_read_is_left_out(
    plumes_stored: str, caplog: pytest.LogCaptureFixture
) -> None:
    raster = f"{plumes_stored}/plume_details/method=multi_pass/area=oman/date={DAY}"
    place = {"crs": "EPSG:32640", "transform": Affine(20.0, 0.0, 396_000.0, 0.0, -20.0, 2_433_600.0)}
    values = np.linspace(0.0, 0.4, 3600, dtype=np.float32).reshape(60, 60)
    for name, content in {
        "a1": cog_bytes({"e": values}, **place, nodata=np.nan, overview_resampling="AVERAGE"),
        "a3": b"no raster",
    }.items():
        storage.write_bytes(f"{raster}/{name}.tif", content)
    write_site(plumes_stored)
    told = at(plumes_stored, f"ch4/{DAY}.details.json")
    assert told["a3"]["layers"] == told["b1"]["layers"] == told["a2 too_small"]["layers"] == []
    [layer] = told["a1"]["layers"]
    assert layer == {"label": "methane above the surroundings", "href": f"data/ch4/{DAY}/a1.enhancement.json"}
    drawn = at(plumes_stored, f"ch4/{DAY}/a1.enhancement.json")
    assert drawn["legend"]["high"] == "0.4 or more" and drawn["picture"].startswith("data:image/png;base64,")
    assert drawn["corners"][0] == pytest.approx([55.99, 22.0], abs=0.02)
    assert "a3.tif" in caplog.text and "not on the site" in caplog.text
