"""What a Lite file says of its variables, units, epochs and packing, is read, compared, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from lite_granules import NAME, northward_track, write_lite
from plumewatch.errors import InputError
from plumewatch.oco2.granules.granule import read_granule

DAY_S = datetime(2016, 8, 31, tzinfo=UTC).timestamp()
EPOCH_1993_S = 725_846_400
LEAP_SECONDS_SINCE_1993 = 9  # till 2016-08-31
XARRAY = {"calendar": "proleptic_gregorian"}


def altered(tmp_path: Path, name: str, values: Any, file: str = NAME, **attributes: Any) -> str:
    """A Lite file with one variable as another writer would have left it; None takes an attribute away."""
    path = write_lite(tmp_path / file, northward_track(10))
    with h5py.File(path, "a") as content:
        old = dict(content[name].attrs)
        values = values(content[name][()]) if callable(values) else values
        del content[name]
        variable = content.create_dataset(name, data=values)
        for key, value in {**old, **attributes}.items():
            if value is not None:
                variable.attrs[key] = value
    return str(path)


def plain(tmp_path: Path) -> pa.Table:
    return read_granule(str(write_lite(tmp_path / "plain" / NAME, northward_track(10)))).soundings


@pytest.mark.parametrize(
    ("units", "values", "attributes"),
    [
        ("microseconds since 2016-08-31 00:00:00", lambda t: np.rint((t - DAY_S) * 1e6).astype("i8"), XARRAY),
        ("nanoseconds since 1970-01-01", lambda t: np.rint(t * 1e9).astype("i8"), XARRAY),
        ("milliseconds since 2016-8-31T00:00:00Z", lambda t: np.rint((t - DAY_S) * 1e3).astype("i8"), {}),
        ("seconds since 1993-01-01 00:00:00", lambda t: t - EPOCH_1993_S, {}),
        ("seconds since 1993-01-01 00:00:00 UTC", lambda t: t - EPOCH_1993_S + LEAP_SECONDS_SINCE_1993, {}),
        ("hours since 2016-08-31 02:00:00 +02:00", lambda t: (t - DAY_S) / 3600, {"calendar": "standard"}),
        ("days since 1970-01-01 00:00:00.0", lambda t: t / 86400, {"calendar": "gregorian"}),
        ("days since 1970-01-01", lambda t: (t / 86400).astype("i4"), {}),  # as coarse as that: the id knows better
        ("seconds since 1970-01-01 00:00:00", lambda t: t.astype("f4"), {}),
        ("seconds since 1970-01-01 00:00:00", lambda t: t.astype("i8"), {}),
        ("seconds since 2016-08-31", lambda t: np.rint((t - DAY_S) * 10).astype(">i4"), {"scale_factor": 0.1}),
        ("seconds since 1970-01-01", lambda t: t, {"calendar": "none"}),
        ("seconds since launch", lambda t: t - 1e9, {}),  # no date: the id is there
        ("seconds since 1970-01-01", lambda t: t, {"calendar": "360_day"}),
        (None, lambda t: t, {}),
    ],
)  # fmt: skip
def test_times_are_the_same_in_whatever_units(tmp_path: Path, units: str, values: Any, attributes: Any) -> None:
    missing = {"missing_value": None, "units": units}
    read = read_granule(altered(tmp_path, "time", values, **missing, **attributes))
    assert read.dropped == {} and read.soundings.equals(plain(tmp_path))


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (lambda t: t, {"units": "seconds since 1993-01-01 00:00:00"}),
        (lambda t: t + 86400, {}),
        (lambda t: t - 3600, {}),
        (lambda t: t + 7200, {"units": "seconds since 1970-01-01 00:00:00 +01:00"}),
        (lambda t: t + EPOCH_1993_S, {}),
        (lambda t: np.where(np.arange(len(t)) == 7, t + 300, t), {}),
    ],
)
def test_a_time_that_contradicts_the_id_is_refused(tmp_path: Path, values: Any, attributes: Any) -> None:
    with pytest.raises(InputError, match=rf"{NAME}: \d+ of 32 soundings at another time.*its id says"):
        read_granule(altered(tmp_path, "time", values, **attributes))


@pytest.mark.parametrize("day", ["160829", "160902", "150831", "250826", "160731"])
def test_soundings_of_another_day_than_the_name_says_are_refused(tmp_path: Path, day: str) -> None:
    path = write_lite(tmp_path / NAME.replace("160831", day), northward_track(10))
    with pytest.raises(InputError, match=rf"{day}.*32 of 32 soundings at another time.*the day of its name, 20"):
        read_granule(str(path))


@pytest.mark.parametrize("day", ["160830", "160901"])
def test_orbits_that_cross_midnight_are_kept(tmp_path: Path, day: str) -> None:
    path = write_lite(tmp_path / NAME.replace("160831", day), northward_track(10))
    assert read_granule(str(path)).soundings.num_rows == 32


@pytest.mark.parametrize(
    ("name", "units", "values"),
    [
        ("xco2", "1", lambda v: v * np.float64(1e-6)),
        ("xco2", "mol mol-1", lambda v: v * np.float64(1e-6)),
        ("xco2", "umol.mol^-1", lambda v: v),
        ("xco2", "PPB", lambda v: v * 1e3),
        ("xco2_uncertainty", "ppb", lambda v: v * 1e3),
        ("latitude", "radians", lambda v: np.radians(v.astype(float))),
        ("longitude", "degrees", lambda v: v),
        ("Retrieval/psurf", "Pa", lambda v: v * 100),
        ("Retrieval/psurf", "mbar", lambda v: v),
        ("Retrieval/psurf_apriori", "kPa", lambda v: v / 10),
        ("Retrieval/tcwv", "g cm**-2", lambda v: v / 10),
        ("Retrieval/tcwv", "mol m-2", lambda v: v / np.float64(0.018015)),
        ("Sounding/altitude", "km", lambda v: v / 1000),
        ("Sounding/land_fraction", "1", lambda v: v / 100),
        ("Meteorology/windspeed_u_met", "km/h", lambda v: v * np.float64(3.6)),
        ("Meteorology/windspeed_v_met", "knots", lambda v: v / np.float64(0.514444)),
        ("Meteorology/windspeed_v_met", "m.s-1", lambda v: v),
    ],
)  # fmt: skip
def test_units_are_brought_to_those_of_the_table(tmp_path: Path, name: str, units: str, values: Any) -> None:
    assert_same(read_granule(altered(tmp_path, name, values, units=units)).soundings, plain(tmp_path))


def assert_same(found: pa.Table, wanted: pa.Table) -> None:
    for column in wanted.column_names:
        if pa.types.is_floating(wanted.schema.field(column).type):
            np.testing.assert_allclose(found[column].to_numpy(), wanted[column].to_numpy(), rtol=2e-6, err_msg=column)
        else:
            assert found[column].equals(wanted[column]), column


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("xco2", "K"),
        ("xco2", "mg m-3"),
        ("latitude", "degrees_east"),
        ("longitude", "degrees_north"),
        ("longitude", "m"),
        ("Retrieval/psurf", "K"),
        ("Retrieval/tcwv", "kg kg-1"),
        ("Sounding/altitude", "hPa"),
    ],
)
def test_an_unknown_unit_is_named(tmp_path: Path, name: str, units: str) -> None:
    with pytest.raises(InputError, match=f"variable {name} in '{units.casefold()}'; known are"):
        read_granule(altered(tmp_path, name, lambda v: v, units=units))


def test_an_optional_variable_of_an_unknown_unit_counts_as_missing(tmp_path: Path) -> None:
    rows = read_granule(altered(tmp_path, "Meteorology/windspeed_u_met", lambda v: v, units="degrees")).soundings
    assert rows["wind_u_m_s"].null_count == 32 and rows["wind_v_m_s"].null_count == 0


@pytest.mark.parametrize(
    ("name", "values", "attributes"),
    [
        ("xco2", lambda v: np.rint(v * 100).astype("i4"), {"scale_factor": 0.01}),
        ("xco2", lambda v: np.rint((v - 400) * 1000).astype(">i2"), {"scale_factor": 1e-3, "add_offset": 400.0}),
        ("Retrieval/psurf", lambda v: (v - 900).astype("i2"), {"add_offset": np.array([900.0])}),
        ("Retrieval/psurf", lambda v: (v - 900).astype("i2"), {"add_offset": 9e4, "scale_factor": 100, "units": "Pa"}),
        ("latitude", lambda v: np.rint(v.astype(float) * 1e7).astype("i8"), {"scale_factor": 1e-7}),
        ("Meteorology/windspeed_u_met", lambda v: (v * 2).astype("u1"), {"scale_factor": np.float32(0.5)}),
        ("xco2", lambda v: v, {"scale_factor": 1.0, "add_offset": 0.0}),
        ("Sounding/orbit", lambda v: v, {"scale_factor": 1, "add_offset": 0}),
    ],
)  # fmt: skip
def test_packed_values_are_unpacked(tmp_path: Path, name: str, values: Any, attributes: Any) -> None:
    path = altered(tmp_path, name, values, missing_value=None, **attributes)
    assert_same(read_granule(path).soundings, plain(tmp_path))


def test_a_packed_missing_value_is_one_before_unpacking(tmp_path: Path) -> None:
    values = np.r_[[-32767, -1], np.full(30, 4000)].astype("i2")
    path = altered(tmp_path, "xco2", values, scale_factor=0.1, _FillValue=np.int16(-32767), missing_value=np.int16(-1))
    assert read_granule(path).dropped == {"no_xco2": 2}


@pytest.mark.parametrize(
    ("name", "attributes", "says"),
    [
        ("xco2", {"scale_factor": 0.0}, "scale_factor 0"),
        ("xco2", {"scale_factor": np.nan}, "scale_factor .*nan"),
        ("xco2", {"add_offset": "much"}, "add_offset 'much'"),
        ("xco2", {"scale_factor": np.array([1.0, 2.0])}, "scale_factor array"),
        ("xco2", {"missing_value": "none"}, "missing_value 'none'"),
        ("Sounding/orbit", {"scale_factor": 0.5}, "though it is a count or a flag"),
        ("sounding_id", {"add_offset": 1}, "though it is a count or a flag"),
        ("xco2_quality_flag", {"_Unsigned": "true"}, "_Unsigned integers"),
    ],
)
def test_packing_that_cannot_be_is_named(tmp_path: Path, name: str, attributes: Any, says: str) -> None:
    with pytest.raises(InputError, match=f"{NAME}: variable {name}.*{says}"):
        read_granule(altered(tmp_path, name, lambda v: v, **attributes))


def test_ids_that_their_type_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="variable sounding_id of type float32, which can't hold 16 digits"):
        read_granule(altered(tmp_path, "sounding_id", lambda v: v.astype("f4")))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("xco2", lambda v: v * 1e-6),
        ("xco2", lambda v: v * 1e3),
        ("Retrieval/psurf", lambda v: v * 100),
        ("Retrieval/psurf", lambda v: v / 10),
        ("xco2_uncertainty", lambda v: v * 1e-6),
        ("Retrieval/tcwv", lambda v: v * 1000),
    ],
)
def test_values_that_are_none_throughout_are_no_rows_lost_but_a_file_refused(
    tmp_path: Path, name: str, values: Any
) -> None:
    with pytest.raises(InputError, match=rf"{NAME}: \w+ from .* to .*; allowed: "):
        read_granule(altered(tmp_path, name, values, units="none"))


@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_max": np.float32(500)},
        {"valid_min": np.float32(100), "valid_max": np.float32(500)},
        {"valid_range": np.array([100, 500], "f4")},
        {"valid_range": [100, 500]},
        {"valid_range": np.array([100, 500], "f4"), "valid_max": 900.0},
    ],
)
def test_what_is_beyond_the_valid_range_of_its_variable_is_missing(tmp_path: Path, attributes: Any) -> None:
    path = altered(tmp_path, "xco2", lambda x: np.where(np.arange(len(x)) < 8, np.float32(999), x), **attributes)
    read = read_granule(path)
    assert read.dropped == {"no_xco2": 8} and set(read.soundings["xco2_ppm"].to_pylist()) == {400.0}


@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_range": np.array([-600, 600], "i2")},  # in the packed unit
        {"valid_range": np.array([-60, 60], "f4")},  # wider than what is packed: in the unpacked one
        {"valid_max": np.int16(600)},
        {"valid_max": 60.0},
    ],
)
def test_the_valid_range_of_a_packed_wind(tmp_path: Path, attributes: Any) -> None:
    stored = np.where(np.arange(32) < 8, 990, 50).astype("i2")
    packing = {"missing_value": None, "scale_factor": np.float32(0.1)}
    read = read_granule(altered(tmp_path, "Meteorology/windspeed_u_met", stored, **packing, **attributes))
    assert read.soundings["wind_u_m_s"].to_pylist() == [None] * 8 + [5.0] * 24


@pytest.mark.parametrize("said", ["wide", np.array([1, 2, 3], "f4"), np.nan])
def test_a_valid_range_that_is_none_says_nothing_and_is_named(
    tmp_path: Path, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_granule(altered(tmp_path, "xco2", lambda x: x, valid_range=said)).soundings.num_rows == 32
    assert "variable xco2: valid_range" in caplog.text


@pytest.mark.parametrize(
    ("name", "values", "meanings"),
    [
        ("xco2_quality_flag", [0, 1], "bad good"),
        ("xco2_quality_flag", [1, 0], "GOOD bad"),
        ("xco2_quality_flag", [0, 1], "not_good good"),
        ("Sounding/operation_mode", [0, 1, 2, 3], "glint nadir target transition"),
        ("Sounding/land_water_indicator", [0, 1], "water land"),
    ],
)
def test_a_flag_whose_values_mean_something_else_is_refused(
    tmp_path: Path, name: str, values: list[int], meanings: str
) -> None:
    flags = {"flag_values": np.array(values, "i1"), "flag_meanings": meanings}
    with pytest.raises(InputError, match=rf"variable {name} calls \d \w+ \(flag_meanings '{meanings}'\), which is \d"):
        read_granule(altered(tmp_path, name, lambda x: x, **flags))


@pytest.mark.parametrize(
    ("name", "values", "meanings"),
    [
        ("xco2_quality_flag", [0, 1], "good bad"),
        ("xco2_quality_flag", [0, 1], "good not_good"),
        ("xco2_quality_flag", [0, 1], "use_it leave_it"),
        ("Sounding/operation_mode", [0, 1, 2, 3], "Nadir Glint Target Transition"),
        ("Sounding/land_water_indicator", [0, 1, 2, 3], "land water inland_water mixed_land_water"),
    ],
)
def test_a_flag_that_says_what_is_known_is_read(tmp_path: Path, name: str, values: list[int], meanings: str) -> None:
    flags = {"flag_values": np.array(values, "i1"), "flag_meanings": meanings}
    assert read_granule(altered(tmp_path, name, lambda x: x, **flags)).soundings.num_rows == 32
