"""Files of EDGAR with twelve steps: which they are, and what a year of them is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from grid_files import EMI, LAT, LON, edgar, told, world
from plumewatch.errors import InputError
from plumewatch.inventory.edgar import read_edgar


def test_twelve_months_are_a_year(tmp_path: Path) -> None:
    months = np.stack([world(e10n20=value) for value in range(100_000, 1_300_000, 100_000)])
    [row] = read_edgar([edgar(tmp_path / EMI, months, LON, LAT)]).to_pylist()
    assert row["emission_t_y"] == pytest.approx(7_800_000)
    alike = np.stack([world(e10n20=1e-8)] * 12)
    fluxes = edgar(tmp_path / EMI.replace("emi", "flx"), alike, LON, LAT, "fluxes", "kg m-2 s-1")
    one = edgar(tmp_path / "a" / EMI, alike[0], LON, LAT, "fluxes", "kg m-2 s-1")
    assert read_edgar([fluxes])["emission_t_y"][0].as_py() == pytest.approx(
        read_edgar([one])["emission_t_y"][0].as_py()
    )


MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@pytest.mark.parametrize(
    ("units", "expected"),
    [("Tonnes", 12e6), ("t/cell", 12e6), ("t/yr", 1e6), ("t CO2 per year", 1e6), ("kg h-1", 1e6 * 8.76)],
)
def test_months_of_a_mass_are_added_up_and_those_of_a_rate_averaged(
    tmp_path: Path, units: str, expected: float
) -> None:
    months = np.stack([world(e10n20=1e6)] * 12)
    rows = read_edgar([edgar(tmp_path / EMI, months, LON, LAT, units=units)]).to_pylist()
    assert [r["emission_t_y"] for r in rows] == pytest.approx([expected])


def test_the_mean_of_a_rate_is_weighted_by_the_days_of_months(tmp_path: Path) -> None:
    months = np.stack([world(e10n20=1e6 * (month == 1)) for month in range(12)])
    months[:, 110, 190] += 1e6
    [row] = read_edgar([edgar(tmp_path / EMI, months, LON, LAT, units="t/yr")]).to_pylist()
    assert row["emission_t_y"] == pytest.approx(1e6 * (1 + 28 / 365), rel=1e-6)


@pytest.mark.parametrize("units", ["Tonnes", "t/yr", "kg m-2 s-1"])
def test_a_month_without_a_value_takes_no_year_along_and_is_said(tmp_path: Path, units: str) -> None:
    value = 1e-7 if units.startswith("kg") else 1e7
    whole, gaps = (np.stack([world(e10n20=value)] * 12) for _ in range(2))
    whole[2:10, 110, 190], gaps[2:10, 110, 190] = 0.0, np.nan
    gaps[:, 0, 0] = np.nan  # the sea: no value at all
    variable = "fluxes" if units.startswith("kg") else "emissions"
    [expected] = read_edgar([edgar(tmp_path / "a" / EMI, whole, LON, LAT, variable, units)]).to_pylist()
    rows, failures, aside = told(read_edgar, [edgar(tmp_path / EMI, gaps, LON, LAT, variable, units)])
    assert [r["emission_t_y"] for r in rows] == [expected["emission_t_y"]] and failures == []
    assert len(aside) == 1 and "1 cells have no value in some months, and emit nothing in them" in aside[0]


def test_a_negative_month_isnt_hidden_in_its_year(tmp_path: Path) -> None:
    months = np.stack([world(e10n20=1e6, e11n20=1e6)] * 12)
    months[3, 110, 190] = -9999
    rows, failures, _ = told(read_edgar, [edgar(tmp_path / EMI, months, LON, LAT)])
    assert [r["longitude"] for r in rows] == [11.5] and "1 cells negative or infinite" in failures[0]


STARTS = np.cumsum([0, *MONTH_DAYS[:-1]])


@pytest.mark.parametrize(
    ("steps", "is_year"),
    [
        ((range(12), "months since 2023-01-01"), True),
        ((range(12), "Months since 2023-01-15 00:00:00"), True),
        ((range(1, 13), "months since 2022-12-01"), True),
        ((STARTS, "days since 2023-01-01"), True),
        ((STARTS + 14.5, "days since 2023-01-01 00:00:00"), True),
        (((STARTS + 19358) * 24, "hours since 1970-01-01"), True),
        ((range(12), "months since 2022-01-01"), False),
        ((range(12), "months since 2023-04-01"), False),
        ((range(12), "years since 2012-01-01"), False),
        ((range(12), "days since 2023-01-01"), False),
        ((range(2012, 2024), ""), False),
        ((range(12), "month"), False),
        (([np.nan] * 12, "days since 2023-01-01"), False),
        (None, False),
    ],
)
def test_twelve_steps_are_the_months_of_the_year_by_their_axis(
    tmp_path: Path, steps: tuple[Any, str] | None, is_year: bool
) -> None:
    path = edgar(tmp_path / EMI, np.stack([world(e10n20=1e6)] * 12), LON, LAT, steps=steps)
    if is_year:
        assert read_edgar([path])["emission_t_y"].to_pylist() == [12e6]
        return
    with pytest.raises(InputError, match=rf"{EMI}: 12 steps of emissions.* time.*; allowed: 12 months of 2023"):
        read_edgar([path])


def test_numbers_of_months_need_no_unit_where_their_axis_is_called_so(tmp_path: Path) -> None:
    path = edgar(tmp_path / EMI, np.stack([world(e10n20=1e6)] * 12), LON, LAT)
    with netCDF4.Dataset(path, "a") as file:
        file.renameDimension("time", "month")
        file.renameVariable("time", "month")
        file["month"].delncattr("units")
        file["month"][:] = range(1, 13)
    assert read_edgar([path])["emission_t_y"].to_pylist() == [12e6]


def test_a_title_of_the_whole_release_is_none_of_its_gas(tmp_path: Path) -> None:
    title = "EDGAR GHG emissions (CO2, CH4, N2O; GWP-100)"
    assert read_edgar([edgar(tmp_path / EMI, world(e10n20=5e6), LON, LAT, title=title)]).num_rows == 1


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("EDGAR_AR5_GHG_2023_TOTALS_emi.nc", {"long_name": "GHG emissions in CO2 equivalents", "year": "2023"}),
        ("EDGAR_AR5_GHG_2023_TOTALS_emi.nc", {"substance": "CO2e", "long_name": "CO2", "year": "2023"}),
        (EMI, {"long_name": "CO2-eq of all gases"}),
        ("EDGAR_2024_GHG_GWP_100_AR5_CO2_2023_TOTALS_emi.nc", {}),
        (EMI.replace("CO2", "CH4"), {"long_name": "CH4 as carbon dioxide equivalent"}),
    ],
)
def test_equivalents_of_co2_are_no_gas(tmp_path: Path, name: str, attributes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{name}: emissions of CO2 equivalents"):
        read_edgar([edgar(tmp_path / name, world(e10n20=5e6), LON, LAT, **attributes)])
