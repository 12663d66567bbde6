"""The real CoCO2 and GPPD files to sources, and the real Highveld peak of 2016-08-31 matched with them."""

from __future__ import annotations

import csv
import importlib.util
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from plumewatch import storage
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.coco2_profiles import read_profiles
from plumewatch.inventory.gppd import read_gppd
from plumewatch.inventory.hourly_rate import rate_at
from plumewatch.inventory.refresh import refresh_sources
from plumewatch.tables import MATCHES, PEAKS, SOURCES

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "match_sources.py"
HIGHVELD = {
    f"{name} power station" for name in ("kendal", "kriel", "matla", "duvha", "kusile", "hendrina", "komati", "arnot")
}
PEAK_ID = 2016083111560104  # at 26.22 S 28.95 E


@pytest.fixture(scope="module")
def sources_root(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("storage"))
    started = time.perf_counter()
    done = refresh_sources(str(real_data / "inventory"), root)
    assert time.perf_counter() - started < 20  # 1.2 s on 2 idle cores
    assert done.failures == ()
    return storage.join(root, "sources")


def test_every_unit_of_coco2_that_emits_is_in_a_plant(real_data: Path) -> None:
    sources = read_coco2(str(real_data / "inventory" / "coco2_ps_catalogue_v1.1.csv"))
    with (real_data / "inventory" / "coco2_ps_catalogue_v1.1.csv").open() as file:
        units = list(csv.DictReader(file))
    assert len(units) == 16_461
    assert 10_500 < sources.num_rows < 12_000
    total = sum(float(u["co2_emis_ty"]) for u in units)
    assert np.sum(sources["emission_t_y"].to_numpy()) == pytest.approx(total, rel=1e-9)
    assert len(set(sources["source_id"].to_pylist())) == sources.num_rows


def test_fossil_plants_of_gppd_emit_what_the_world_s_do(real_data: Path) -> None:
    sources = read_gppd(str(real_data / "inventory" / "gppd_v130_rebuilt.csv"))
    assert 8_500 < sources.num_rows <= 8_701
    fuels = sources.group_by("fuel").aggregate([("emission_t_y", "sum")]).to_pylist()
    gt = {row["fuel"]: row["emission_t_y_sum"] / 1e9 for row in fuels}
    # CoCO2 2018: coal 9.77, gas 2.77, oil 0.51 Gt a year
    assert gt["coal"] == pytest.approx(9.77, rel=0.1)
    assert gt["natural gas"] == pytest.approx(2.77, rel=0.1)
    assert gt["oil"] == pytest.approx(0.51, rel=0.3)


def test_combined_has_each_plant_once_and_knows_their_names(sources_root: str) -> None:
    by_inventory = {
        p.keys["inventory"]: storage.read_table(SOURCES, p.path) for p in storage.list_partitions(SOURCES, sources_root)
    }
    combined = by_inventory["combined"]
    points = sum(by_inventory[name].num_rows for name in ("coco2", "gppd", "climate_trace", "eu_ets", "cities"))
    assert by_inventory["coco2"].num_rows + 6_000 < combined.num_rows < points - 7_000
    assert len(set(combined["source_id"].to_pylist())) == combined.num_rows
    (kendal,) = (r for r in combined.to_pylist() if r["name"] == "Kendal power station")
    assert kendal["source_id"].startswith("coco2-")
    assert (kendal["longitude"], kendal["latitude"]) == pytest.approx((28.969, -26.090), abs=0.002)
    assert kendal["emission_t_y"] == pytest.approx(23.3e6, rel=0.01)  # six units of 3.89 Mt


def test_coal_counts_once(sources_root: str) -> None:
    combined = storage.read_table(SOURCES, sources_root, where={"inventory": "combined"})
    coal = combined.filter(pc.equal(combined["fuel"], "coal"))
    assert np.sum(coal["emission_t_y"].to_numpy()) / 1e9 == pytest.approx(9.77, rel=0.04)  # CoCO2 2018; all lists: 19.0
    assert "grid_cell" not in combined["kind"].to_pylist()  # of 5 degrees


def test_the_lignite_of_belchatow_is_one_plant_and_one_mine(sources_root: str) -> None:
    rows = storage.read_table(SOURCES, sources_root, where={"inventory": "combined"}).to_pylist()
    near = [r for r in rows if abs(r["longitude"] - 19.32) < 0.06 and abs(r["latitude"] - 51.26) < 0.03]
    large = {(r["kind"], r["gas"]): r["emission_t_y"] / 1e6 for r in near if r["emission_t_y"] > 2e4}
    assert large.keys() == {("power_plant", "co2"), ("coal_mine", "ch4"), ("coal_mine", "co2")}, near
    assert large["power_plant", "co2"] == pytest.approx(38.4, rel=0.01)


def test_the_highveld_peak_comes_from_highveld_plants_upwind(
    real_data: Path, sources_root: str, storage_root: str, spark
) -> None:
    with (real_data / "oco2" / "orbit11522" / "peer_published_peaks.csv").open() as file:
        (published,) = (row for row in csv.DictReader(file, delimiter=";") if int(row["sounding_id"]) == PEAK_ID)
    number = {
        name: float(published[name]) for name in ("longitude", "latitude", "windspeed_u", "windspeed_v", "ktCO2_per_h")
    }
    assert (number["longitude"], number["latitude"]) == pytest.approx((28.95, -26.2), abs=0.03)
    peak = dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": PEAK_ID,
        "orbit": 11522,
        "observed_at_utc": datetime(2016, 8, 31, 11, 56, 1, tzinfo=UTC),
        "status": "accepted",
        "longitude": number["longitude"],
        "latitude": number["latitude"],
        "wind_u_m_s": number["windspeed_u"],
        "wind_v_m_s": number["windspeed_v"],
        "emission_kt_h": number["ktCO2_per_h"],
        "emission_kt_h_low": number["ktCO2_per_h"] * 0.6,
        "emission_kt_h_high": number["ktCO2_per_h"] * 1.4,
        "emission_status": "ok",
    }
    storage.write_partition(
        PEAKS, storage.join(storage_root, "peaks"), {"method": "scan", "month": "2016-08"}, PEAKS.from_pylist([peak])
    )
    spec = importlib.util.spec_from_file_location("match_sources", JOB)
    job = importlib.util.module_from_spec(spec)
    sys.modules["match_sources"] = job
    spec.loader.exec_module(job)
    arguments = ["--detections-path", storage.join(storage_root, "peaks"), "--gas", "co2"]
    arguments += [
        "--sources-path",
        storage.join(sources_root, "inventory=combined"),
        "--matches-path",
        storage.join(storage_root, "matches"),
    ]
    job.run(job.parse_arguments(arguments))

    name = {
        r["source_id"]: r["name"]
        for r in storage.read_table(SOURCES, sources_root, where={"inventory": "combined"}).to_pylist()
    }
    rows = storage.read_table(MATCHES, storage.join(storage_root, "matches")).to_pylist()
    first, second = (name[r["source_id"]].lower() for r in rows[:2])
    assert first in HIGHVELD
    assert second in HIGHVELD
    assert rows[0]["along_wind_km"] > 5
    assert rows[0]["probability"] > 0.4
    (none,) = (r for r in rows if r["source_id"] is None)
    assert none["probability"] < 0.05


def test_kendal_at_the_overpass_is_near_its_mean(real_data: Path, sources_root: str) -> None:
    folder = real_data / "inventory"
    files = [str(folder / f"coco2_ps_{of}_v1.1.csv") for of in
             ("catalogue", "monthly_profiles", "weekly_profiles", "hourly_profiles")]  # fmt: skip
    profiles = read_profiles(*files)
    rows = storage.read_table(SOURCES, sources_root, where={"inventory": "coco2"}).to_pylist()
    assert profiles.keys() == {row["source_id"] for row in rows}
    (kendal,) = (r for r in rows if abs(r["longitude"] - 28.969) < 0.002 and abs(r["latitude"] + 26.09) < 0.002)
    rate = rate_at(kendal, datetime(2016, 8, 31, 11, 56, tzinfo=UTC), profiles)
    print(f"Kendal: {rate:.0f} t/h at the overpass, {kendal['emission_t_y'] / 8760:.0f} on average")
    assert 0.7 < rate / (kendal["emission_t_y"] / 8760) < 1.3
