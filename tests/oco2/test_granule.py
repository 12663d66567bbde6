from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from lite_granules import FILL, NAME, NAME_V10, northward_track, write_lite
from planted import PATHS
from plumewatch.errors import InputError
from plumewatch.oco2.granule import SoundingSelection, check_granule, read_granule
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
    assert check_granule(str(path)).n_soundings == len(columns["xco2"])
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


def test_check_says_how_many_soundings(tmp_path: Path) -> None:
    checked = check_granule(str(write_lite(tmp_path / NAME, northward_track(10))))
    assert checked.n_soundings == 32 and checked.build_id == "B11.2.05"
