"""OCO-3 beside OCO-2: the same numbers of orbits and the same ids of soundings, and neither takes the other's."""

from __future__ import annotations

import importlib.util
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from area_maps import SIDE_KM, SITE, area_map
from lite_granules import write_lite
from planted import Planted, planted_columns, soundings_of
from plumewatch import jobs, storage
from plumewatch.gases import CO2
from plumewatch.geodesy import great_circle_distance_km, local_offset_km
from plumewatch.maps.looked_at import looked_at
from plumewatch.observations import write_detection_observations
from plumewatch.oco2.detection import detect_peaks
from plumewatch.oco2.flux import compute_cross_sectional_flux_kt_h
from plumewatch.oco2.granules.soundings import OrbitReader, list_orbits
from plumewatch.oco2.overpasses import compute_overpasses
from plumewatch.tables import FAILED_SCENES, OBSERVATIONS, PEAKS, SOUNDINGS

from tools.checkout import CHECKOUT

DAY, MONTH, ORBIT, N = datetime(2019, 10, 13, 10, tzinfo=UTC), "2019-10", 11522, 3552
OCO2, OCO3 = "oco2_LtCO2_191013_B11210Ar_240910224028s.nc4", "oco3_LtCO2_191013_B11072Ar_240915205334s.nc4"
OCO3_OLD = "oco3_LtCO2_191013_B10400Br_220317235330s.nc4"
OF_OCO3 = 3 * 10**16


def job(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "spark_jobs" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def orbit(longitude: float) -> dict[str, Any]:
    """An orbit with a plume; whatever its longitude it has the same number, the same ids and the same plume."""
    rng = np.random.default_rng(1)
    return planted_columns(rng, 1000, [Planted(500, 3.0, 8.0)], orbit=ORBIT, start=DAY, longitude=longitude)


@pytest.fixture
def granules(tmp_path: Path) -> Path:
    folder = tmp_path / "granules"
    write_lite(folder / OCO2, orbit(20.0))
    write_lite(folder / OCO3, orbit(-100.0))
    write_lite(folder / OCO3_OLD, orbit(-100.0))
    return folder


def extract(granules: Path, root: str, *more: str) -> jobs.JobResult:
    module = job("granules_to_soundings")
    paths = ["--granules-path", str(granules), "--soundings-path", f"{root}/soundings"]
    return module.run(module.parse_arguments([*paths, *more]))


def detect(root: str) -> jobs.JobResult:
    module = job("detect_co2_peaks")
    names = ("soundings", "peaks")
    paths = [text for name in names for text in (f"--{name}-path", f"{root}/{name}")]
    return module.run(module.parse_arguments([*paths, "--details-path", f"{root}/peak_details"]))


def accepted(root: str) -> dict[str, dict[str, Any]]:
    """The accepted peaks of a root by sensor, of which each has one."""
    rows = storage.read_table(PEAKS, f"{root}/peaks").to_pylist()
    found = [row for row in rows if row["status"] == "accepted"]
    assert len({row["sensor"] for row in found}) == len(found)
    return {row["sensor"]: row for row in found}


@pytest.mark.usefixtures("spark")
def test_soundings_of_both_are_kept_though_their_ids_are_the_same(granules: Path, storage_root: str) -> None:
    for _ in range(2):
        assert extract(granules, storage_root, "--csv-path", f"{storage_root}/csv") == jobs.JobResult(2 * N, 2 * N, 0)
        rows = storage.read_table(SOUNDINGS, f"{storage_root}/soundings")
        pairs = zip(rows["sensor"].to_pylist(), rows["granule"].to_pylist(), strict=True)
        assert Counter(pairs) == {("oco2", OCO2): N, ("oco3", OCO3): N}
        assert len(set(rows["sounding_id"].to_pylist())) == N
    manifest = storage.read_manifest(f"{storage_root}/soundings/month={MONTH}")
    assert manifest is not None and manifest["superseded"] == [OCO3_OLD]
    assert manifest["counts"] == {"read": 2 * N, "kept": 2 * N}
    csv = [path.rsplit("/", 1)[-1] for path in storage.list_files(f"{storage_root}/csv")]
    assert sorted(csv) == ["oco2_1910.csv.bz2", "oco3_1910.csv.bz2"]


@pytest.mark.usefixtures("spark")
def test_a_bad_file_of_one_leaves_the_day_of_the_other_and_its_own_older(granules: Path, storage_root: str) -> None:
    extract(granules, storage_root)
    (granules / OCO3).write_bytes(b"")
    assert extract(granules, storage_root).failed == 1
    rows = storage.read_table(SOUNDINGS, f"{storage_root}/soundings")
    assert Counter(rows["granule"].to_pylist()) == {OCO2: N, OCO3_OLD: N}
    (granules / OCO3_OLD).unlink()  # and now what is stored of its day stays
    assert extract(granules, storage_root).failed == 1
    rows = storage.read_table(SOUNDINGS, f"{storage_root}/soundings")
    assert Counter(rows["granule"].to_pylist()) == {OCO2: N, OCO3_OLD: N}


@pytest.mark.usefixtures("spark")
def test_a_folder_of_one_sensor_leaves_what_is_stored_of_the_other(granules: Path, storage_root: str) -> None:
    extract(granules, storage_root)
    (granules / OCO2).unlink()
    assert extract(granules, storage_root).failed == 0
    rows = storage.read_table(SOUNDINGS, f"{storage_root}/soundings")
    assert Counter(rows["granule"].to_pylist()) == {OCO2: N, OCO3: N}


@pytest.mark.usefixtures("spark")
def test_soundings_over_the_month_s_end_are_sought_among_those_of_their_sensor(
    tmp_path: Path, storage_root: str
) -> None:
    at = datetime(2019, 10, 31, 23, 59, 55, tzinfo=UTC)
    columns = planted_columns(None, 100, start=at)
    write_lite(tmp_path / "oco2_LtCO2_191101_B11210Ar_240910224028s.nc4", columns)
    write_lite(tmp_path / "oco3_LtCO2_191031_B11072Ar_240915205334s.nc4", columns)
    assert extract(tmp_path, storage_root).failed == 2
    write_lite(tmp_path / "oco2_LtCO2_191031_B11210Ar_240910224028s.nc4", columns)
    write_lite(tmp_path / "oco3_LtCO2_191101_B11072Ar_240915205334s.nc4", columns)
    assert extract(tmp_path, storage_root).failed == 0


@pytest.mark.usefixtures("spark")
def test_an_orbit_is_one_of_its_sensor(granules: Path, storage_root: str) -> None:
    write_lite(granules / OCO3, orbit(20.0))  # so that even the peak's sounding has the same id
    extract(granules, storage_root)
    orbits = list_orbits(f"{storage_root}/soundings")
    assert [(o.sensor, o.orbit, len(o.files)) for o in orbits] == [("oco2", ORBIT, 1), ("oco3", ORBIT, 1)]
    assert detect(storage_root) == jobs.JobResult(2 * N, 2, 0)
    peaks = accepted(storage_root)
    assert peaks["oco2"]["orbit"] == ORBIT and peaks["oco2"]["peak_id"] < OF_OCO3
    assert peaks["oco3"] == peaks["oco2"] | {"sensor": "oco3", "peak_id": peaks["oco2"]["peak_id"] + OF_OCO3}
    details = {path.rsplit("/", 1)[-1] for path in storage.list_files(f"{storage_root}/peak_details")}
    assert details == {f"{row['peak_id']}.{kind}" for row in peaks.values() for kind in ("json", "png")}


@pytest.mark.usefixtures("spark")
def test_observations_of_an_orbit_are_its_sensor_s(granules: Path, storage_root: str) -> None:
    extract(granules, storage_root)
    detect(storage_root)
    for _ in range(2):
        partitions = storage.list_partitions(PEAKS, f"{storage_root}/peaks")
        assert write_detection_observations(storage_root, "co2", MONTH, partitions) == 2
        rows = storage.read_table(OBSERVATIONS, f"{storage_root}/observations").to_pylist()
        assert [(row["orbit"], row["sensor"], row["detected"]) for row in rows] == [
            (ORBIT, "oco2", True),
            (ORBIT, "oco3", True),
        ]
    [told] = looked_at(CO2, rows)
    assert (told.name, told.n) == ("2 orbits", 2)


@pytest.mark.usefixtures("spark")
def test_an_orbit_that_fails_has_its_sensor_s_name(storage_root: str) -> None:
    def store(**sensors: pa.Table) -> None:
        for sensor, rows in sensors.items():
            column = pa.array([sensor] * len(rows))
            rows = rows.set_column(rows.schema.get_field_index("sensor"), "sensor", column)
            storage.write_parquet(SOUNDINGS, f"{root}/month={MONTH}/{sensor}.parquet", rows)
        storage.publish_partition(SOUNDINGS, root, {"month": MONTH}, [f"{s}.parquet" for s in sensors], 2 * N)

    def failed() -> dict[str, bool]:
        rows = storage.read_table(FAILED_SCENES, f"{storage_root}/failed_scenes").to_pylist()
        return {row["scene_id"]: row["healed_at_utc"] is None for row in rows}

    root = f"{storage_root}/soundings"
    good, bad = soundings_of(orbit(20.0)), soundings_of({**orbit(20.0), "xco2": np.full(N, 1e5)})
    store(oco2=good, oco3=bad)
    assert detect(storage_root).failed == 1 and list(accepted(storage_root)) == ["oco2"]
    assert failed() == {f"oco3 orbit {ORBIT}": True}
    store(oco2=bad, oco3=good)
    assert detect(storage_root).failed == 1 and list(accepted(storage_root)) == ["oco3"]
    assert failed() == {f"oco3 orbit {ORBIT}": False, f"orbit {ORBIT}": True}
    store(oco2=good, oco4=good)
    assert detect(storage_root).failed == 1 and list(accepted(storage_root)) == ["oco2"]
    assert failed()["oco4.parquet"] and not failed()[f"orbit {ORBIT}"]
    rows = storage.read_table(FAILED_SCENES, f"{storage_root}/failed_scenes").to_pylist()
    [message] = [row["message"] for row in rows if row["scene_id"] == "oco4.parquet"]
    assert message.endswith("soundings of the sensor 'oco4'; allowed: oco2, oco3, or none for oco2")


def test_a_table_without_the_column_is_of_oco2(tmp_path: Path) -> None:
    rows = soundings_of(orbit(20.0)).drop_columns(["sensor"])
    (tmp_path / "soundings" / f"month={MONTH}").mkdir(parents=True)
    pq.write_table(rows, tmp_path / "soundings" / f"month={MONTH}" / "old.parquet")
    [found] = list_orbits(str(tmp_path / "soundings"))
    assert found.key == ("oco2", ORBIT) and found.name == f"orbit {ORBIT}"
    [peak] = detect_peaks(rows).peaks
    assert peak.row["sensor"] == "oco2" and peak.row["peak_id"] < OF_OCO3


def test_a_file_may_hold_both(tmp_path: Path) -> None:
    rows = soundings_of(orbit(20.0))
    column = pa.array(["oco3" if i % 3 else None for i in range(N)])
    mixed = rows.set_column(rows.schema.get_field_index("sensor"), "sensor", column)
    storage.write_parquet(SOUNDINGS, f"{tmp_path}/soundings/month={MONTH}/both.parquet", mixed)
    reader = OrbitReader()
    read = {found.name: reader.read(found).num_rows for found in list_orbits(f"{tmp_path}/soundings")}
    assert read == {f"orbit {ORBIT}": N // 3, f"oco3 orbit {ORBIT}": N - N // 3}


def seen(seed: int = 1, **how: Any) -> list[dict[str, Any]]:
    return [peak.row for peak in detect_peaks(soundings_of(area_map(rng=np.random.default_rng(seed), **how))).peaks]


@pytest.mark.parametrize("bearing_deg", [50.0, 130.0, 0.0])
@pytest.mark.parametrize("is_back_and_forth", [True, False])
def test_a_plume_in_an_area_map_is_one_row(bearing_deg: float, is_back_and_forth: bool) -> None:
    """A map of 80 x 80 km, with a plume across its sweeps, of 30 ppm km."""
    [row] = seen(bearing_deg=bearing_deg, is_back_and_forth=is_back_and_forth)
    assert row["status"] == "accepted" and row["amplitude_ppm_km"] == pytest.approx(30.0, rel=0.1)
    assert great_circle_distance_km(row["longitude"], row["latitude"], *SITE) < 41
    across = 5 * 25**0.08
    assert abs(row["wind_across_track_m_s"]) == pytest.approx(across, rel=0.02) and row["emission_status"] == "ok"


@pytest.mark.parametrize("seed", range(4))
def test_an_area_map_without_a_plume_has_none(seed: int) -> None:
    assert [row for row in seen(seed, amplitude_ppm_km=0.0) if row["status"] == "accepted"] == []


@pytest.mark.parametrize("source_km", [-SIDE_KM, -20.0, 15.0])
@pytest.mark.parametrize("angle_deg", [0.0, 35.0, 90.0, 140.0])
def test_the_rate_of_a_map_s_plume_is_recovered_from_any_wind_and_source(angle_deg: float, source_km: float) -> None:
    """`angle_deg` is between wind and sweeps; upwind of a source in the map nothing is seen."""
    [row] = seen(angle_deg=angle_deg, source_km=source_km)
    assert row["status"] == "accepted" and row["amplitude_ppm_km"] == pytest.approx(30.0, rel=0.15)
    air = row["surface_pressure_hpa"], row["tcwv_kg_m2"], 5.0 * 25**0.08
    rate = float(compute_cross_sectional_flux_kt_h(30.0, *air))
    assert row["emission_status"] == "ok" and row["emission_kt_h"] == pytest.approx(rate, rel=0.2)
    assert row["emission_kt_h_low"] < rate < row["emission_kt_h_high"]
    # it lies at the upwind end of what is seen of the plume
    downwind = np.radians(50.0 + angle_deg)
    x, y = local_offset_km(*SITE, row["longitude"], row["latitude"])
    along = x * np.sin(downwind) + y * np.cos(downwind)
    assert abs(along - source_km) < 8 if source_km > -SIDE_KM else along < -30


def test_a_map_s_wind_may_be_off_by_ten_degrees() -> None:
    columns = area_map(rng=np.random.default_rng(4), angle_deg=45.0, source_km=-10.0)
    u, v = (columns[f"Meteorology/windspeed_{name}_met"] for name in "uv")
    turned = (u + 1j * v) * np.exp(1j * np.radians(10.0))
    columns |= {"Meteorology/windspeed_u_met": turned.real, "Meteorology/windspeed_v_met": turned.imag}
    [peak] = detect_peaks(soundings_of(columns)).peaks
    assert peak.row["amplitude_ppm_km"] == pytest.approx(30.0, rel=0.2)
    assert peak.details and peak.details["cross_section_along"].startswith("an axis across the wind")


@pytest.mark.parametrize("wind_m_s", [0.5, np.nan])
def test_without_a_wind_a_map_is_laid_on_its_sweeps(wind_m_s: float) -> None:
    [track] = compute_overpasses(soundings_of(area_map(wind_m_s=wind_m_s)))
    assert not track.is_across_wind and track.bearing_deg(0.0) == pytest.approx(50.0, abs=1.0)
    [row] = seen(wind_m_s=wind_m_s)
    assert row["amplitude_ppm_km"] == pytest.approx(30.0, rel=0.1) and row["emission_kt_h"] is None


def test_a_map_is_apart_from_the_line_around_it() -> None:
    line = orbit(29.0)
    table = pa.concat_tables([soundings_of(area_map()), soundings_of(line)])
    assert [len(track) for track in compute_overpasses(table)] == [N, 2016]


@pytest.mark.usefixtures("spark")
def test_an_area_map_s_mode_can_be_chosen(tmp_path: Path, storage_root: str) -> None:
    write_lite(tmp_path / OCO3, area_map(rng=np.random.default_rng(1), orbit=2500))
    assert extract(tmp_path, storage_root, "--modes", "0,1").rows_written == 0
    assert extract(tmp_path, storage_root, "--modes", "4").rows_written == 2016
    detect(storage_root)
    assert accepted(storage_root)["oco3"]["orbit"] == 2500
