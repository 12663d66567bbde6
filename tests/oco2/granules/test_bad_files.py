"""A month with every kind of bad and odd granule: each has its reason, and nothing else is lost, down to the peaks."""

from __future__ import annotations

import importlib.util
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import netCDF4
import numpy as np
import pytest
from lite_granules import FILL, FRAME_KM, KM_PER_DEGREE, along_km, write_lite
from planted import Planted, planted_columns
from plumewatch import storage
from plumewatch.geodesy import destination, wrap_longitude
from plumewatch.tables import FAILED_SCENES, PEAKS, SOUNDINGS

from tools.checkout import CHECKOUT

SPARK_JOBS = CHECKOUT / "spark_jobs"
MONTH = "2016-08"
LENGTH_KM, CENTRE_KM = 600, 300
N_SOUNDINGS = int(LENGTH_KM / FRAME_KM) * 8
PLUME = Planted(CENTRE_KM, 4.0, 8.0)
WINDS = ("Meteorology/windspeed_u_met", "Meteorology/windspeed_v_met")

pytestmark = pytest.mark.usefixtures("spark")

Columns = dict[str, Any]


def name(day: int, build: str = "B11210Ar_240910224028s") -> str:
    return f"oco2_LtCO2_1608{day:02d}_{build}.nc4"


def track(day: int, **where: Any) -> Columns:
    """An orbit of its own number with a plume in its middle."""
    start = datetime(2016, 8, 1, 10, tzinfo=UTC) + timedelta(days=day - 1)
    return planted_columns(np.random.default_rng(day), LENGTH_KM, [PLUME], orbit=11500 + day, start=start, **where)


def over_the_pole(columns: Columns) -> Columns:
    """The same soundings along the meridians 20 E and 160 W, with the plume at the pole."""
    frame, across = along_km(columns), (columns["Sounding/footprint"] - 4.5) * 1.29
    longitude, latitude = destination(20.0, 90.0 - CENTRE_KM / KM_PER_DEGREE, 0.0, frame)
    right = np.where(frame > CENTRE_KM, -90.0, 90.0)  # southbound there: the right hand is in the west
    longitude, latitude = destination(longitude, latitude, right, across)
    return {**columns, "longitude": longitude, "latitude": latitude}


def shuffled(columns: Columns) -> Columns:
    order = np.random.default_rng(1).permutation(N_SOUNDINGS)
    return {key: values[order] for key, values in columns.items()}


def at_the_antimeridian(day: int) -> Columns:
    columns = track(day, longitude=180.0)
    return {**columns, "longitude": wrap_longitude(columns["longitude"])}


def without_winds(columns: Columns) -> Columns:
    return {**columns, **{wind: np.full(N_SOUNDINGS, FILL) for wind in WINDS}}


def write_without_wind_variables(path: Path, columns: Columns) -> None:
    write_lite(path, {key: values for key, values in columns.items() if key not in WINDS})


def write_other(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("sounding_id", 3)
        dataset.createVariable("sounding_id", "u8", ("sounding_id",))[:] = (1, 2, 3)
        dataset.createVariable("temperature", "f4", ("sounding_id",))[:] = 280.0


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("granules")
    write_lite(folder / name(1), track(1))
    truncate(write_lite(folder / name(2), track(2)))
    (folder / name(3)).write_bytes(b"<html><head><title>Earthdata Login</title></head></html>")
    (folder / name(4)).touch()
    write_other(folder / name(5))
    write_lite(folder / name(6), {key: values[:1] for key, values in track(6).items()})
    write_lite(folder / name(7), {**track(7), "xco2_quality_flag": np.ones(N_SOUNDINGS)})
    write_lite(folder / name(8), track(8))
    write_lite(folder / name(8, "B10206Ar_200730235637s"), track(9))
    write_lite(folder / name(10), without_winds(track(10)))
    write_without_wind_variables(folder / name(11), track(11))
    write_lite(folder / name(12), shuffled(track(12)))
    write_lite(folder / name(13), at_the_antimeridian(13))
    write_lite(folder / name(14), over_the_pole(track(14)))
    return folder


def run_job(job: str, *arguments: str) -> Any:
    spec = importlib.util.spec_from_file_location(job, SPARK_JOBS / f"{job}.py")
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run(module.parse_arguments(list(arguments)))


@pytest.fixture(scope="module")
def root(month: Path, tmp_path_factory: pytest.TempPathFactory, spark: object) -> str:
    """The storage after extraction and detection."""
    root = f"file://{tmp_path_factory.mktemp('storage')}"
    soundings = storage.join(root, "soundings")
    extracted = run_job("granules_to_soundings", "--granules-path", str(month), "--soundings-path", soundings)
    assert extracted.failed == 4
    detected = run_job("detect_co2_peaks", "--soundings-path", soundings, "--peaks-path", storage.join(root, "peaks"))
    assert detected.failed == 0
    return root


def rows(root: str, table: Any) -> list[dict[str, Any]]:
    return storage.read_table(table, storage.join(root, table.name)).to_pylist()


def test_each_bad_file_is_named_with_its_reason(root: str) -> None:
    reasons = {row["scene_id"]: row["message"] for row in rows(root, FAILED_SCENES)}
    expected = {
        name(2): "damaged or truncated",
        name(3): "an HTML page (Earthdata Login)",
        name(4): "an empty file",
        name(5): "no variable longitude of one value a sounding; it has sounding_id[3], temperature[3]",
    }
    assert set(reasons) == set(expected)
    assert all(part in reasons[file] and file in reasons[file] for file, part in expected.items())


def test_all_that_is_good_is_there(root: str) -> None:
    counted = Counter(row["granule"] for row in rows(root, SOUNDINGS))
    assert counted == {name(6): 1} | {name(day): N_SOUNDINGS for day in (1, 8, 10, 11, 12, 13, 14)}
    manifest = storage.read_manifest(storage.join(root, "soundings", f"month={MONTH}"))
    assert manifest is not None and manifest["superseded"] == [name(8, "B10206Ar_200730235637s")]
    n_good = 7 * N_SOUNDINGS + 1
    assert manifest["counts"] == {"read": n_good + N_SOUNDINGS, "kept": n_good, "dropped_bad_quality": N_SOUNDINGS}


def test_no_fill_value_is_in_a_table(root: str) -> None:
    table = storage.read_table(SOUNDINGS, storage.join(root, "soundings"))
    windless = [granule in (name(10), name(11)) for granule in table["granule"].to_pylist()]
    for wind in ("wind_u_m_s", "wind_v_m_s"):
        assert [value is None for value in table[wind].to_pylist()] == windless
    for column in table.columns:
        if column.type in ("float", "double"):
            assert float(np.nanmin(column.to_numpy())) > -1000


@pytest.mark.parametrize("day", [1, 8, 12, 13, 14])
def test_each_plume_is_one_accepted_peak_where_it_was_planted(root: str, day: int) -> None:
    accepted = [row for row in rows(root, PEAKS) if row["orbit"] == 11500 + day and row["status"] == "accepted"]
    assert len(accepted) == 1 and accepted[0]["height_ppm"] == pytest.approx(4.0, rel=0.25)
    assert accepted[0]["emission_status"] == "ok" and -180 <= accepted[0]["longitude"] < 180
    if day == 13:
        assert abs(accepted[0]["longitude"]) > 179.9
    if day == 14:
        assert accepted[0]["latitude"] > 89.9


@pytest.mark.parametrize("day", [10, 11])
def test_without_wind_a_peak_is_a_peak_without_emission(root: str, day: int) -> None:
    [row] = [row for row in rows(root, PEAKS) if row["orbit"] == 11500 + day and row["status"] == "accepted"]
    assert (row["emission_status"], row["emission_kt_h"]) == ("no_wind", None)
