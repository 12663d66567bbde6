"""Keys of several slices, hostile tables, rates of the hour, and soundings, through the job and its workers."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from detections_and_sources import peak, source
from plumewatch import storage
from plumewatch.geodesy import destination
from plumewatch.matching.candidates import ListedSources
from plumewatch.matching.detections import DETECTIONS
from plumewatch.matching.periods.emissions import EmissionReader, orbit_files
from plumewatch.models import FailedScene
from plumewatch.oco2.gaussian_plume import PlumeSource, compute_plume_ppm
from plumewatch.oco2.granules.soundings import list_orbits
from plumewatch.tables import FAILED_SCENES, MATCHES, PEAKS, SOUNDINGS, SOURCES

FIRST = 2025083112000011
MONTH = {"method": "scan", "month": "2025-08"}


@pytest.fixture
def small_slices(job):
    """The job with slices of 7 detections."""
    whole, job.SLICE = job.SLICE, 7
    yield job
    job.SLICE = whole


def many(n: int) -> tuple[list[dict], list[dict]]:
    rng = np.random.default_rng(4)
    lon, lat = rng.uniform(8, 12, 40), rng.uniform(48, 52, 40)
    plants = [source(f"p{i:02}", lon[i], lat[i], float(rng.uniform(1e6, 3e7))) for i in range(40)]
    of = rng.integers(0, 40, n)
    at = destination(lon[of], lat[of], rng.uniform(60, 120, n), rng.uniform(10, 60, n))
    peaks = [peak(FIRST + 100 * i, float(at[0][i]), float(at[1][i]), 5.0, 0.0) for i in range(n)]
    return peaks, plants


def test_a_key_of_several_slices_is_matched_as_one(small_slices, world, spark) -> None:
    peaks, plants = many(45)
    world.write(PEAKS, MONTH, peaks)
    world.write(SOURCES, {"inventory": "combined"}, plants)
    found = []
    for rows in (7, 10, 1000):
        small_slices.SLICE = rows
        result = world.run(small_slices, "co2", "peaks")
        found.append(world.matches("co2", "2025-08"))
        assert result.rows_written == len(found[-1]) and result.failed == 0
        manifest = storage.read_manifest(world.path("matches", "gas=co2", "period=2025-08"))
        assert manifest["rows"] == len(found[-1]) and sum(manifest["counts"].values()) == 45
        folder = Path(storage.inner_path(world.path("matches", "gas=co2", "period=2025-08")))
        assert {file.name for file in folder.rglob("*") if file.is_file()} == {"data.parquet", "_manifest.json"}
        assert storage.manifest_within(str(folder / "data.parquet")) == (folder / "_manifest.json").read_bytes()
    assert found[0] == found[1] == found[2] and len({row["detection_id"] for row in found[0]}) == 45


def test_hostile_tables_go_through_and_what_is_odd_is_named(job, world, spark) -> None:
    good = peak(FIRST, 10.0, 50.0, 5.0, 0.0)
    odd = [
        peak(FIRST + 10, 30.0, 50.0, 5.0, 0.0) | {"emission_kt_h": float("nan")},
        peak(FIRST + 20, 50.0, 50.0, float("inf"), 0.0),
        peak(FIRST + 30, 70.0, 50.0, 5.0, 0.0) | {"emission_kt_h": -3.0, "emission_kt_h_low": -9.0},
        peak(FIRST + 40, 90.0, 50.0, 5.0, 0.0) | {"sigma_km": 0.0, "wind_across_track_m_s": float("nan")},
        peak(FIRST + 50, 110.0, 50.0, 5.0, 0.0)
        | {"sigma_km": -4.0, "emission_kt_h_low": 9.0, "emission_kt_h_high": 1.0},
        peak(FIRST + 60, -179.95, 0.0, 5.0, 0.0),
        peak(FIRST + 70, 0.0, 90.0, 5.0, 0.0),
        peak(FIRST + 80, 10.0, 91.0, 5.0, 0.0),
    ]
    world.write(PEAKS, MONTH, [good, good, *odd])
    plants = [source(f"p{lon}", lon - 0.3, 50.0, 2e7) for lon in (10.0, 30.0, 50.0, 70.0, 90.0, 110.0)]
    bad = [
        source("null", 9.8, 50.0, 1.0) | {"emission_t_y": None, "emission_t_y_sigma": None},
        source("negative", 9.8, 50.0, -5e6),
        source("nothing", 9.8, 50.0, 0.0),
        source("endless", 9.8, 50.0, float("inf")),
        source("sigma", 9.4, 50.0, 1e6) | {"emission_t_y_sigma": -1.0, "kind": None},
        source("over180", 179.8, 0.0, 2e7),
        source("pole", -90.0, 89.9, 2e7),
        source("nowhere", 9.8, 95.0, 2e7),
        source("p10.0", 9.7, 50.0, 2e7),
    ]
    world.write(SOURCES, {"inventory": "own_sources"}, [*plants, *bad])
    result = world.run(job, "co2", "peaks")
    rows = world.matches("co2", "2025-08")
    assert result.failed == 2  # one row of either table has no place
    messages = [r["message"] for r in storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()]
    assert sorted(m.count("1 row without id or place") for m in messages) == [1, 1]
    by_id: dict[str, list[dict]] = {}
    for row in rows:
        by_id.setdefault(row["detection_id"], []).append(row)
    assert len(by_id) == 8
    for some in by_id.values():
        assert sum(r["probability"] for r in some) == pytest.approx(1.0) and some[0]["rank"] == 1
        assert all(0.0 <= r["probability"] <= 1.0 for r in some)
    first = {id_: some[0]["source_id"] for id_, some in by_id.items()}
    assert [first[str(FIRST + 10 * i)] for i in range(8)] == [
        "p10.0", "p30.0", "p50.0", "p70.0", "p90.0", "p110.0", "over180", "pole",
    ]  # fmt: skip
    assert not {r["source_id"] for r in rows} & {"null", "negative", "nothing", "endless", "nowhere"}


def test_rates_of_the_hour_where_the_profiles_of_coco2_are(job, world, spark, tmp_path: Path) -> None:
    world.write(PEAKS, MONTH, [peak(FIRST, 10.0, 50.0, 5.0, 0.0)])
    name = "coco2-1"
    world.write(SOURCES, {"inventory": "combined"}, [source(name, 9.7, 50.0, 2e7)])
    lists = {
        "coco2_ps_catalogue_v1.csv": "ID,ISO3,fuel,longitude,latitude,co2_emis_ty"
        ",ID_MonthFact,ID_WeekFact,ID_HourFact\nCoCO2_1,DEU,coal,9.7,50.0,20000000,M,W,H\n",
        "coco2_ps_monthly_profiles_v1.csv": "ID_MonthFact,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec\nM"
        + ",1" * 7 + ",0.5" + ",1.125" * 4 + "\n",
        "coco2_ps_weekly_profiles_v1.csv": "ID_WeekFact,Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday\nW"
        + ",1" * 7 + "\n",
        "coco2_ps_hourly_profiles_v1.csv": "ID_HourFact," + ",".join(f"H{i}" for i in range(24))
        + "\nH" + ",1" * 24 + "\n",
    }  # fmt: skip
    for file, text in lists.items():
        (tmp_path / file).write_text(text)
    mean = 2e7 / 8760 / 1000
    from plumewatch.inventory.coco2 import read_coco2

    [own] = read_coco2(str(tmp_path / "coco2_ps_catalogue_v1.csv"))["source_id"].to_pylist()
    world.write(SOURCES, {"inventory": "combined"}, [source(own, 9.7, 50.0, 2e7)])
    world.run(job, "co2", "peaks", "--profiles-path", str(tmp_path))
    assert world.matches("co2", "2025-08")[0]["expected_emission"] == pytest.approx(mean / 2)
    (tmp_path / "coco2_ps_weekly_profiles_v1.csv").write_text("<html>")
    result = world.run(job, "co2", "peaks", "--profiles-path", str(tmp_path))
    assert result.failed == 1  # the broken file is named, and the mean of the year counts
    assert world.matches("co2", "2025-08")[0]["expected_emission"] == pytest.approx(mean)


def soundings(lon: np.ndarray, lat: np.ndarray, plume: np.ndarray, u: float) -> pa.Table:
    """An orbit that sees a plume on 410 ppm, with noise of 0.3 ppm and the wind u towards east."""
    rng = np.random.default_rng(1)
    start = datetime(2025, 8, 31, 12, tzinfo=UTC)
    rows = [
        dict.fromkeys(SOUNDINGS.schema.names)
        | {
            "sounding_id": FIRST + i, "observed_at_utc": start + timedelta(milliseconds=80 * i), "orbit": 1,
            "longitude": float(x), "latitude": float(y), "xco2_ppm": 410.0 + float(p), "xco2_uncertainty_ppm": 0.4,
            "xco2_quality_flag": 0, "operation_mode": 0, "footprint": 1 + i % 8, "wind_u_m_s": u, "wind_v_m_s": 0.0,
            "surface_pressure_hpa": 980.0, "tcwv_kg_m2": 20.0, "altitude_m": 0.0, "land_water_indicator": 0,
            "land_fraction_percent": 100.0, "granule": "g",
        }
        for i, (x, y, p) in enumerate(zip(lon, lat, plume + rng.normal(0, 0.3, len(lat)), strict=True))
    ]  # fmt: skip
    return SOUNDINGS.from_pylist(rows)


def test_the_plume_of_the_first_source_is_inverted_where_its_soundings_are(job, world, spark) -> None:
    plant = source("plant", 10.0, 40.0, 3e7)
    rate, u = 3e7 / 8760 / 1000, 6.0
    lat = np.repeat(np.linspace(39.0, 41.0, 400), 4)
    lon = 10.25 + np.tile([-0.03, -0.01, 0.01, 0.03], 400)
    plume = compute_plume_ppm(lon, lat, PlumeSource(10.0, 40.0, 1.3 * rate), u, 0.0, 980.0, 20.0, "B")
    folder = storage.write_partition(
        SOUNDINGS, world.path("soundings"), {"month": "2025-08"}, soundings(lon, lat, plume, u)
    )
    others = peak(FIRST + 5000, 100.0, 50.0, 5.0, 0.0)
    world.write(PEAKS, MONTH, [peak(FIRST + 800, 10.25, 40.0, u, 0.0, kt_h=1.3 * rate), others])
    world.write(SOURCES, {"inventory": "combined"}, [plant])
    world.run(job, "co2", "peaks")
    assert world.matches("co2", "2025-08")[0]["plume_model_emission"] is None
    assert world.run(job, "co2", "peaks", "--soundings-path", world.path("soundings")).failed == 0
    first, *rest = world.matches("co2", "2025-08")
    assert first["source_id"] == "plant"
    assert first["plume_model_emission"] == pytest.approx(1.3 * rate, rel=0.15)
    assert first["plume_model_emission_low"] < first["plume_model_emission"] < first["plume_model_emission_high"]
    assert [r["plume_model_emission"] for r in rest] == [None] * len(rest)
    assert world.run(job, "co2", "peaks", "--soundings-path", world.path("nowhere")).failed == 0
    shutil.copy(__file__, Path(storage.inner_path(folder)) / "data.parquet")  # no Parquet
    assert world.run(job, "co2", "peaks", "--soundings-path", world.path("soundings")).failed == 1
    assert world.matches("co2", "2025-08")[0]["source_id"] == "plant"


def test_neighbours_of_an_inverted_plume_are_held_at_their_rate_of_the_hour_and_cells_are_none(tmp_path: Path) -> None:
    rate, u, hour = 5.0, 6.0, 3.0
    lat = np.repeat(np.linspace(39.0, 41.0, 400), 4)
    lon = 10.25 + np.tile([-0.03, -0.01, 0.01, 0.03], 400)
    beside = PlumeSource(10.0, 40.05, hour)
    plume = compute_plume_ppm(lon, lat, PlumeSource(10.0, 40.0, rate), u, 0.0, 980.0, 20.0, "B")
    plume = plume + compute_plume_ppm(lon, lat, beside, u, 0.0, 980.0, 20.0, "B")
    storage.write_partition(SOUNDINGS, f"{tmp_path}", {"month": "2025-08"}, soundings(lon, lat, plume, u))
    # the neighbour is listed with a third of what it emits at that hour
    places = {"longitude": [10.0, 10.0, 10.0], "latitude": [40.0, 40.05, 40.0]}
    listed = ListedSources.of(pa.table(places | {
        "source_id": ["plant", "neighbour", "cell"], "inventory": ["own"] * 3,
        "kind": ["power_plant"] * 2 + ["grid_cell"],
        "emission_t_y": [rate * 8.76e6, hour / 3 * 8.76e6, rate * 8.76e6],
    }))  # fmt: skip
    seen = pa.Table.from_pylist(
        [dict.fromkeys(DETECTIONS.names) | {"detection_id": "d", "orbit": 1, "wind_u_m_s": u, "wind_v_m_s": 0.0}],
        schema=DETECTIONS,
    )
    usual = dict.fromkeys(MATCHES.schema.names) | {"detection_id": "d", "status": "confirmed"}
    expected = {"plant": rate, "neighbour": hour, "cell": rate}
    rows = [
        usual | {"source_id": name, "rank": n + 1, "probability": p, "expected_emission": expected[name]}
        for n, (name, p) in enumerate([("plant", 0.6), ("neighbour", 0.2), ("cell", 0.2)])
    ]
    failures: list[FailedScene] = []
    reader = EmissionReader(orbit_files(list_orbits(f"{tmp_path}")))
    found = reader.added(MATCHES.from_pylist(rows), seen, listed, failures.append)
    assert failures == [] and found["plume_model_emission"][0].as_py() == pytest.approx(rate, rel=0.15)
