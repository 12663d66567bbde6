from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
from lite_granules import FILL, NAME, NAME_V10, northward_track, write_lite
from planted import PATHS
from plumewatch.errors import InputError
from plumewatch.oco2.granules.granule import SoundingSelection, check_granule, read_granule
from plumewatch.oco2.granules.sounding_times import compute_tenths
from plumewatch.tables import SOUNDINGS

FURTHER_PATHS = {
    "surface_pressure_apriori_hpa": "psurf_apriori",
    "tcwv_apriori_kg_m2": "Retrieval/tcwv_apriori",
    "tcwv_uncertainty_kg_m2": "Retrieval/tcwv_uncertainty",
}


def test_every_column_comes_back(tmp_path: Path) -> None:
    columns = northward_track(100)
    read = read_granule(str(write_lite(tmp_path / NAME, columns)))
    rows = read.soundings
    assert rows.schema.equals(SOUNDINGS.schema) and read.n_soundings == rows.num_rows == 352 and read.dropped == {}
    assert rows["sounding_id"].to_pylist() == columns["sounding_id"].tolist()
    assert rows["sounding_id"][0].as_py() == 2016083111500001
    for name, path in {**PATHS, **FURTHER_PATHS}.items():
        expected = columns[path].astype("i8" if name == "sounding_id" else "f4")
        np.testing.assert_array_equal(rows[name].to_numpy(), expected, err_msg=name)
    assert set(rows["granule"].to_pylist()) == {NAME}


def test_times_are_right_to_the_tenth(tmp_path: Path) -> None:
    times = read_granule(str(write_lite(tmp_path / NAME, northward_track(10)))).soundings["observed_at_utc"].to_pylist()
    assert sorted(set(times)) == [
        datetime(2016, 8, 31, 11, 50, s, t, UTC) for s, t in ((0, 0), (0, 300_000), (0, 700_000), (1, 0))
    ]


def test_a_leap_second_is_of_its_month_and_a_day_that_is_none_no_time() -> None:
    ids = np.array([2016123123596001, 2016022912000001, 2017022912000001, 2016043112000001])
    tenths = compute_tenths(ids, None, "file")
    assert tenths[0] // 10 == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert tenths[1] > 0 and (tenths[2:] < 0).all()


def test_time_comes_from_the_id_where_the_variable_lacks_it(tmp_path: Path) -> None:
    columns = northward_track(10)
    whole = read_granule(str(write_lite(tmp_path / "a" / NAME, columns))).soundings
    masked = read_granule(
        str(write_lite(tmp_path / "b" / NAME, {**columns, "time": np.full(len(columns["time"]), FILL)}))
    )
    del columns["time"]
    absent = read_granule(str(write_lite(tmp_path / "c" / NAME, columns)))
    assert whole["observed_at_utc"].equals(masked.soundings["observed_at_utc"])
    assert whole["observed_at_utc"].equals(absent.soundings["observed_at_utc"])


def test_v10_keeps_the_prior_pressure_elsewhere(tmp_path: Path) -> None:
    rows = read_granule(str(write_lite(tmp_path / NAME_V10, northward_track(10)))).soundings
    assert set(rows["surface_pressure_apriori_hpa"].to_pylist()) == {981.0}


def test_an_array_of_another_length_is_not_taken(tmp_path: Path) -> None:
    path = write_lite(tmp_path / NAME_V10, northward_track(10))
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.createDimension("other", 3)
        dataset.createVariable("Retrieval/psurf_apriori", "f4", ("other",))[:] = 1.0
    assert set(read_granule(str(path)).soundings["surface_pressure_apriori_hpa"].to_pylist()) == {981.0}


def test_fill_values_are_dropped_or_null_and_counted(tmp_path: Path) -> None:
    columns = northward_track(100)
    columns["xco2"][:5] = FILL
    columns["latitude"][3:9] = FILL  # three of them are new
    columns["sounding_id"][20] = 0
    columns["xco2_quality_flag"][30:40] = 1
    columns["Meteorology/windspeed_u_met"][50:60] = FILL
    columns["Retrieval/tcwv_apriori"][60] = FILL
    columns["xco2"][70] = np.nan
    read = read_granule(str(write_lite(tmp_path / NAME, columns)))
    assert read.dropped == {"no_id": 1, "no_place": 6, "no_xco2": 4, "bad_quality": 10}
    rows = read.soundings
    assert rows.num_rows == 352 - 21
    assert rows["wind_u_m_s"].null_count == 10 and rows["wind_v_m_s"].null_count == 0
    assert rows["tcwv_apriori_kg_m2"].null_count == 1
    for column in rows.columns:
        if column.type in ("float", "double"):
            assert not (column.to_numpy() < -90000).any()


def test_selection_by_quality_mode_and_surface(tmp_path: Path) -> None:
    columns = northward_track(100)
    columns["xco2_quality_flag"][:10] = 1
    columns["Sounding/operation_mode"][10:30] = 2
    columns["Sounding/land_water_indicator"][30:60] = 1
    columns["Sounding/land_water_indicator"][60:70] = 3
    path = str(write_lite(tmp_path / NAME, columns))
    assert read_granule(path, SoundingSelection(keep_bad_quality=True)).soundings.num_rows == 352
    chosen = read_granule(path, SoundingSelection(modes=frozenset({0, 1}), surfaces=frozenset({"land"})))
    assert chosen.dropped == {"bad_quality": 10, "other_mode": 20, "other_surface": 30}
    assert read_granule(path, SoundingSelection(modes=frozenset({2}))).soundings.num_rows == 20
    water = read_granule(path, SoundingSelection(surfaces=frozenset({"water"})))
    assert water.soundings.num_rows == 30


def test_all_bad_and_a_single_sounding(tmp_path: Path) -> None:
    columns = northward_track(100)
    one = {name: values[:1] for name, values in columns.items()}
    assert read_granule(str(write_lite(tmp_path / "one" / NAME, one))).soundings.num_rows == 1
    columns["xco2_quality_flag"][:] = 1
    read = read_granule(str(write_lite(tmp_path / "bad" / NAME, columns)))
    assert read.soundings.num_rows == 0 and read.dropped == {"bad_quality": 352}


def test_ids_come_in_order_and_once(tmp_path: Path) -> None:
    columns = northward_track(50)
    shuffled = np.random.default_rng(1).permutation(len(columns["sounding_id"]))
    columns = {name: np.concatenate([values[shuffled], values[:3]]) for name, values in columns.items()}
    read = read_granule(str(write_lite(tmp_path / NAME, columns)))
    ids = read.soundings["sounding_id"].to_numpy()
    assert (np.diff(ids) > 0).all() and read.dropped == {"repeated_id": 3}


def test_longitudes_are_below_180(tmp_path: Path) -> None:
    columns = northward_track(10)
    columns["longitude"][:3] = (180.0, -180.0, 190.0)
    assert read_granule(str(write_lite(tmp_path / NAME, columns))).soundings["longitude"].to_pylist()[:3] == [
        -180,
        -180,
        -170,
    ]


BAD_FILES = {
    "an empty file": b"",
    r"an HTML page \(Earthdata Login\)": b"<!DOCTYPE html>\n<html><head><title>Earthdata\n Login</title></head></html>",
    "a file that begins with b'\\\\x1f": b"\x1f\x8b\x08 gzip",
}


@pytest.mark.parametrize("found", BAD_FILES)
def test_what_is_no_granule_is_named(tmp_path: Path, found: str) -> None:
    (tmp_path / NAME).write_bytes(BAD_FILES[found])
    for use in (check_granule, read_granule):
        with pytest.raises(InputError, match=found):
            use(str(tmp_path / NAME))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        check_granule(str(tmp_path / NAME))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write_lite(tmp_path / NAME, northward_track(500))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for use in (check_granule, read_granule):
        with pytest.raises(InputError, match="damaged or truncated"):
            use(str(path))


def test_damage_inside_the_file_is_refused(tmp_path: Path) -> None:
    columns = northward_track(5000)
    columns["xco2"] = np.random.default_rng(1).normal(400, 1, len(columns["xco2"]))
    path = write_lite(tmp_path / NAME, columns)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2  # most of the file is xco2, which hardly compresses
    content[middle : middle + 500] = bytes(500)
    path.write_bytes(content)
    check_granule(str(path))  # looks at no values
    with pytest.raises(InputError, match="damaged"):
        read_granule(str(path))


def test_a_missing_variable_is_named_beside_what_there_is(tmp_path: Path) -> None:
    columns = northward_track(10)
    del columns["Retrieval/psurf"]
    path = str(write_lite(tmp_path / NAME, columns))
    for use in (check_granule, read_granule):
        with pytest.raises(
            InputError, match=r"no variable Retrieval/psurf .* it has .*sounding_id\[32\], .*Retrieval/tcwv\[32\]"
        ):
            use(path)


def test_another_netcdf_file_is_refused(tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / NAME, "w") as dataset:
        dataset.createDimension("x", 2)
        dataset.createVariable("temperature", "f4", ("x",))
    with pytest.raises(InputError, match=r"no variable sounding_id .* it has temperature\[2\]"):
        check_granule(str(tmp_path / NAME))


def test_a_whole_granule_passes(tmp_path: Path) -> None:
    check_granule(str(write_lite(tmp_path / NAME, northward_track(10))))


def alter(path: Path, name: str, values: Any, **attributes: Any) -> str:
    """Replace a variable, as another writer would have left it."""
    with h5py.File(path, "a") as file:
        old = dict(file[name].attrs)
        del file[name]
        variable = file.create_dataset(name, data=values)
        for key, value in {**old, **attributes}.items():
            variable.attrs[key] = value
    return str(path)


def plain(tmp_path: Path) -> Path:
    return write_lite(tmp_path / NAME, northward_track(10))


@pytest.mark.parametrize(
    ("name", "kind"), [("xco2_uncertainty", "f2"), ("xco2", "S3"), ("xco2", object), ("sounding_id", "S16")]
)
def test_a_variable_of_another_type_is_named(tmp_path: Path, name: str, kind: Any) -> None:
    values = np.full(32, "abc", dtype=object) if kind is object else np.ones(32).astype(kind)
    path = alter(plain(tmp_path), name, values)
    for use in (check_granule, read_granule):
        with pytest.raises(InputError, match=f"{NAME}: variable {name} of type .*neither an integer nor a float"):
            use(path)


def test_an_optional_variable_of_another_type_counts_as_missing(tmp_path: Path) -> None:
    path = alter(plain(tmp_path), "Meteorology/windspeed_u_met", np.ones(32, "f2"))
    rows = read_granule(path).soundings
    assert rows["wind_u_m_s"].null_count == 32 and rows["wind_v_m_s"].null_count == 0


@pytest.mark.parametrize(
    "stated", [np.array([], "f4"), h5py.Empty("f4"), "-9.5", np.array([-1.0, -9.5]), np.float64(1e300)]
)
def test_a_missing_value_of_an_odd_form_hinders_nothing(tmp_path: Path, stated: Any) -> None:
    values = np.full(32, 5.0, "f4")
    values[:3] = -9.5 if np.size(stated) == 2 or isinstance(stated, str) else np.nan
    read = read_granule(alter(plain(tmp_path), "Meteorology/windspeed_u_met", values, missing_value=stated))
    assert read.soundings["wind_u_m_s"].null_count == 3


def test_a_missing_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    path = alter(plain(tmp_path), "xco2", np.full(32, 400.0, "f4"), missing_value="none")
    with pytest.raises(InputError, match="variable xco2: missing_value 'none', where a number is allowed"):
        read_granule(path)


def test_a_fill_value_that_the_type_cannot_hold_is_none(tmp_path: Path) -> None:
    quality = np.zeros(32, "u1")
    path = alter(
        plain(tmp_path), "Sounding/operation_mode", quality + 241, missing_value=np.int16(-9999)
    )  # 241 mod 256
    modes = alter(Path(path), "xco2_quality_flag", quality, missing_value=np.int16(-256))
    assert read_granule(modes).soundings.num_rows == 32


def test_the_usual_fill_value_is_one_also_where_it_is_not_stated(tmp_path: Path) -> None:
    path = plain(tmp_path)
    with h5py.File(path, "a") as file:
        for name in ("Meteorology/windspeed_u_met", "xco2", "latitude"):
            del file[name].attrs["missing_value"]
        file["Meteorology/windspeed_u_met"][:4] = FILL
        file["xco2"][4:6] = FILL
    read = read_granule(str(path))
    assert read.dropped == {"no_xco2": 2} and read.soundings["wind_u_m_s"].null_count == 4


def test_absurd_values_are_counted_or_null(tmp_path: Path) -> None:
    columns = northward_track(10)
    columns["xco2"][:3] = (1e30, -5.0, 0.0)
    columns["xco2_uncertainty"][3:5] = (0.0, -1.0)
    columns["Meteorology/windspeed_v_met"][5] = 1e15
    columns["Retrieval/psurf"][6:8] = (0.0, -980.0)
    read = read_granule(str(write_lite(tmp_path / NAME, columns)))
    assert read.dropped == {"implausible": 3}
    nulls = {name: read.soundings[name].null_count for name in read.soundings.column_names}
    expected = {"xco2_uncertainty_ppm": 2, "wind_v_m_s": 1, "surface_pressure_hpa": 2}
    assert {name: n for name, n in nulls.items() if n} == expected


def test_nothing_infinite_comes_of_values_too_large_for_the_table(tmp_path: Path) -> None:
    path = alter(plain(tmp_path), "xco2", np.r_[1e300, np.full(31, 400.0)], missing_value=np.float64(FILL))
    path = alter(Path(path), "Sounding/altitude", np.r_[300.0, 1e300, np.full(30, 300.0)])
    read = read_granule(path)
    assert read.dropped == {"implausible": 1} and read.soundings["altitude_m"].null_count == 1
    assert np.isfinite(read.soundings["xco2_ppm"].to_numpy()).all()


def test_integers_too_large_for_the_table_do_not_wrap(tmp_path: Path) -> None:
    orbits, modes = np.full(32, 11522, "i8"), np.zeros(32, "u1")
    orbits[:2], modes[2:5] = 2**33 + 11522, 255
    path = alter(plain(tmp_path), "Sounding/orbit", orbits)
    with h5py.File(path, "a") as file:
        del file["Sounding/operation_mode"]
        file["Sounding/operation_mode"] = modes
    read = read_granule(path)
    assert read.dropped == {"no_orbit": 2} and set(read.soundings["orbit"].to_pylist()) == {11522}
    assert read.soundings["operation_mode"].null_count == 3


@pytest.mark.parametrize("kind", ["i8", "u8", "f8"])
def test_ids_below_0_are_none(tmp_path: Path, kind: str) -> None:
    ids = northward_track(10)["sounding_id"].astype("i8")
    ids[:2] = -ids[:2]
    assert read_granule(alter(plain(tmp_path), "sounding_id", ids.astype(kind))).dropped == {"no_id": 2}
