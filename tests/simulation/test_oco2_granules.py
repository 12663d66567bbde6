"""The granules are OCO-2 Lite files in names, types and fill values, and hold the peaks of the truth."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from plumewatch.geodesy import great_circle_distance_km, initial_bearing_deg
from plumewatch.simulation.oco2_orbits import heading_at, make_arc, passing_time
from plumewatch.simulation.oco2_plan import emission_kt_h

World = tuple[Path, dict[str, Any]]
NAME = re.compile(r"oco2_LtCO2_\d{6}_B11210Ar_\d{12}s\.nc4")


def granules(world: World) -> Iterator[tuple[str, netCDF4.Dataset]]:
    for name in world[1]["granules"]:
        with netCDF4.Dataset(world[0] / "granules" / name) as dataset:
            yield name, dataset


def test_form_of_the_files(world: World) -> None:
    expected = {
        "sounding_id": (np.uint64, "missing_value", 0),
        "xco2": (np.float32, "missing_value", -999999),
        "xco2_quality_flag": (np.int8, "missing_value", 127),
        "time": (np.float64, "missing_value", -999999),
        "date": (np.int16, "missing_value", -9999),
        "Sounding/orbit": (np.int32, "missing_value", -9999),
        "Sounding/footprint": (np.int8, "missing_value", 127),
        "Sounding/operation_mode": (np.int8, "missing_value", 127),
        "Retrieval/psurf": (np.float32, "missing_value", -999999),
        "Retrieval/psurf_apriori": (np.float32, "missing_value", -999999),
        "Meteorology/windspeed_u_met": (np.float32, "missing_value", -999999),
    }
    for name, dataset in granules(world):
        assert NAME.fullmatch(name) and dataset.BuildId.startswith("B11")
        assert not dataset.dimensions["sounding_id"].isunlimited()
        assert {"Sounding", "Retrieval", "Meteorology", "Preprocessors"} <= dataset.groups.keys()
        for path, (dtype, attribute, missing) in expected.items():
            variable = dataset[path]
            assert variable.dtype == dtype and variable.getncattr(attribute) == missing, path
            assert "_FillValue" not in variable.ncattrs()
        assert dataset["pressure_levels"].dimensions == ("sounding_id", "levels")
        assert dataset["L1b/frame_time"].shape[0] != dataset.dimensions["sounding_id"].size
        assert dataset["source_files"].dtype is str


def test_ids_times_and_footprints_agree(world: World) -> None:
    for name, dataset in granules(world):
        ids = dataset["sounding_id"][:].astype(np.int64)
        assert (np.diff(ids) > 0).all() and len(str(ids[0])) == 16
        assert np.array_equal(ids % 10, dataset["Sounding/footprint"][:])
        assert set(np.unique(ids // 10 % 10)) == {0, 3, 7}
        assert {str(i)[2:8] for i in ids[[0, -1]]} == {name[11:17]}
        first = datetime.strptime(str(ids[0])[:15], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC).timestamp()
        assert dataset["time"][0] == pytest.approx(first, abs=0.05)
        date = dataset["date"][0]
        assert "".join(f"{int(v):02d}" for v in date[:6]) + f"{int(date[6]) // 100}" == str(ids[0])[:15]


def test_granules_are_long_with_bad_missing_and_absent_soundings(world: World) -> None:
    for _, dataset in granules(world):
        flag = dataset["xco2_quality_flag"][:]
        assert (flag == 0).sum() >= 10_000 and 0.05 < (flag == 1).mean() < 0.4
        assert np.ma.count_masked(dataset["xco2"][:]) > 0
        wind = dataset["Meteorology/windspeed_u_met"][:]
        assert (
            np.ma.count_masked(wind) > 0 and not np.ma.getmaskarray(wind)[np.ma.getmaskarray(dataset["xco2"][:])].any()
        )
        assert np.diff(dataset["time"][:]).max() > 1.0
        assert np.abs(dataset["latitude"][:]).max() < 90 and 400 < np.ma.median(dataset["xco2"][:]) < 440


def test_two_granules_share_an_orbit_over_midnight(world: World) -> None:
    orbits = [set(np.unique(dataset["Sounding/orbit"][:])) for _, dataset in granules(world)]
    shared = [a & b for a, b in itertools.pairwise(orbits)]
    assert [len(s) for s in shared] == [0, 0, 0, 1]


def test_one_granule_is_a_web_page(world: World) -> None:
    (bad,) = world[1]["bad_files"]["html_granules"]
    content = (world[0] / "granules" / bad["granule"]).read_bytes()
    assert NAME.fullmatch(bad["granule"]) and content.startswith(b"<!DOCTYPE html>")


def test_peaks_are_where_the_truth_has_them(world: World) -> None:
    """Mean of the soundings within half a sigma of the centre, above those 4 to 8 sigma away."""
    for peak in world[1]["peaks"]:
        with netCDF4.Dataset(world[0] / "granules" / peak["granule"]) as dataset:
            good = (dataset["xco2_quality_flag"][:] == 0) & (dataset["Sounding/orbit"][:] == peak["orbit"])
            good &= ~np.ma.getmaskarray(dataset["xco2"][:])
            lon, lat, xco2 = (dataset[n][:][good].astype(float) for n in ("longitude", "latitude", "xco2"))
            ids = dataset["sounding_id"][:].astype(np.int64)
            nearest = int(np.flatnonzero(ids == int(peak["sounding_id"]))[0])
            assert good[nearest]
            amplitude = peak["height_ppm"] * peak["sigma_km"] * np.sqrt(2 * np.pi)
            assert amplitude == pytest.approx(peak["amplitude_ppm_km"])
            section = [float(dataset[f"Retrieval/{n}"][nearest]) for n in ("psurf", "tcwv")]
            rate = emission_kt_h(amplitude, *section, peak["wind_across_track_m_s"])
            assert rate == pytest.approx(peak["emission_kt_h"], rel=1e-4)
        distance = great_circle_distance_km(peak["longitude"], peak["latitude"], lon, lat)
        sigma = peak["sigma_km"]
        at, around = distance < max(6.0, sigma / 2), (distance > 4 * sigma) & (distance < 8 * sigma)
        assert at.sum() > 20 and around.sum() > 100
        if peak["must_be_found"]:
            assert xco2[at].mean() - xco2[around].mean() == pytest.approx(peak["height_ppm"], abs=0.9)
        else:
            assert abs(xco2[at].mean() - xco2[around].mean()) < 1.5


def test_ground_track_is_that_of_a_sun_synchronous_orbit() -> None:
    time = passing_time(20.0, 50.0, "2025-08-05")
    assert time.date().isoformat() == "2025-08-05"
    local = (time.hour + time.minute / 60 + 20.0 / 15) % 24
    assert 12.5 < local < 14.0
    arc = make_arc(20.0, 50.0, time, 300.0)
    middle = len(arc.thirds) // 2
    assert great_circle_distance_km(arc.longitude[middle], arc.latitude[middle], 20.0, 50.0) < 1.5
    bearing = initial_bearing_deg(
        arc.longitude[middle], arc.latitude[middle], arc.longitude[middle + 1], arc.latitude[middle + 1]
    )
    assert bearing == pytest.approx(heading_at(50.0), abs=0.1) and 340 < bearing < 350
    assert np.diff(arc.along_km) == pytest.approx(2.26, abs=0.05)


def test_emission_formula_gives_the_published_example() -> None:
    """A = 137.96 ppm km, 848.3 hPa, 6.14 kg/m2, 2.035 m/s: 13.28 kt/h."""
    assert emission_kt_h(137.96, 848.3, 6.14, 2.035) == pytest.approx(13.28, rel=1e-3)
