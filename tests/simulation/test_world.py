"""The world holds what the demonstration needs, and nothing but the seed decides what it holds."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyarrow.compute as pc
import pytest
from plumewatch import storage
from plumewatch.areas import grid_of, read_areas
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.simulation import build_world
from plumewatch.simulation.oco2_orbits import make_arc
from plumewatch.simulation.oco2_plan import plan_arcs, read_power_plants
from plumewatch.tables import WIND
from plumewatch.wind.at_point import wind_at
from shapely.geometry import Point, Polygon

World = tuple[Path, dict[str, Any]]


def digests(folder: Path) -> dict[str, str]:
    """Of all files but those that a server at work keeps aside."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.relative_to(folder).parts[0].startswith("."))
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_seed_same_bytes_and_a_former_world_is_replaced(world: World, tmp_path: Path) -> None:
    folder, truth = world
    left_over = tmp_path / "granules" / "oco2_LtCO2_250801_B11210Ar_250917032518s.nc4"
    left_over.parent.mkdir()
    left_over.write_text("of another world")
    assert build_world(tmp_path, truth["seed"]) == truth
    assert digests(tmp_path) == digests(folder)
    assert len(digests(folder)) > 100


def test_another_seed_is_another_world(world: World, tmp_path: Path) -> None:
    folder, truth = world
    other = build_world(tmp_path, truth["seed"] + 1, hub_areas=["qarn_alam"])
    assert {p["emission_kg_h"] for p in other["plumes"]}.isdisjoint(p["emission_kg_h"] for p in truth["plumes"])
    mine, theirs = digests(folder), digests(tmp_path)
    same = {name for name in mine.keys() & theirs.keys() if mine[name] == theirs[name]}
    allowed = ("areas/", "inventories/coco2", "inventories/gppd", "catalogue/catalog.json")
    html = truth["bad_files"]["html_granules"][0]["granule"]
    unexpected = {n for n in same if not n.startswith(allowed) and "SCL" not in n and not n.endswith(".json")}
    unexpected -= {n for n in unexpected if n.endswith("CLD_20m.tif")}  # clear sky is the same in every world
    assert unexpected == {f"granules/{html}"}
    of_hub = {area: [s for s in other["scenes"] if s["area"] == area] for area in ("qarn_alam", "hassi_messaoud")}
    assert all(s["scene_id"].startswith(("S2A_MSIL2A_", "S2B_MSIL2A_", "S2C_MSIL2A_")) for s in of_hub["qarn_alam"])
    assert all(s["scene_id"].endswith("_0_L2A") for s in of_hub["hassi_messaoud"])
    [area] = json.loads((tmp_path / "areas" / "qarn_alam.geojson").read_text())["features"]
    assert area["properties"]["catalogue"] == "sentinel_hub"


def test_truth_on_disk_is_the_truth(world: World) -> None:
    folder, truth = world
    assert json.loads((folder / "truth.json").read_text()) == json.loads(json.dumps(truth))


def test_enough_is_planted(world: World) -> None:
    _, truth = world
    rates = np.array([p["emission_kg_h"] for p in truth["plumes"]])
    assert (rates >= 5000).sum() >= 4 and (rates <= 500).sum() >= 2 and not ((rates > 500) & (rates < 5000)).any()
    heights = np.array([p["height_ppm"] for p in truth["peaks"]])
    assert (heights >= 2.5).sum() >= 4 and (heights <= 0.4).sum() >= 2 and not ((heights > 0.4) & (heights < 2.5)).any()
    assert len(truth["dates"]) == 8 and truth["dates"][0][:7] < truth["dates"][-1][:7]
    assert truth["red_keys"] == {"sentinel2_daily_ingest": ["2025-08-27"], "oco2_monthly_extraction": ["2025-08"]}


def test_strong_plumes_have_two_earlier_clear_dates(world: World) -> None:
    _, truth = world
    for plume in truth["plumes"]:
        if plume["must_be_found"]:
            scenes = [s for s in truth["scenes"] if s["area"] == plume["area"] and not s["truncated_asset"]]
            assert next(s for s in scenes if s["date"] == plume["date"])["cloud_cover_percent"] == 0
            earlier = {s["date"] for s in scenes if s["date"] < plume["date"] and s["cloud_cover_percent"] == 0}
            assert len(earlier) >= 2


def test_plumes_come_from_listed_sources_and_lie_downwind(world: World) -> None:
    folder, truth = world
    with (folder / "inventories" / "own_sources.csv").open(encoding="utf-8") as file:
        listed = {row["name"]: row for row in csv.DictReader(file)}
    assert len(listed) == 10 and {row["gas"] for row in listed.values()} == {"ch4"}
    for plume in truth["plumes"]:
        row = listed[plume["source_name"]]
        place = (float(row["longitude"]), float(row["latitude"]))
        assert great_circle_distance_km(plume["longitude"], plume["latitude"], *place) < 0.001
        assert 0.5 < float(row["emission_t_y"]) / 8.76 / plume["emission_kg_h"] < 2
        assert Polygon(plume["footprint"]).buffer(1e-3).contains(Point(*place))
        middle = Polygon(plume["footprint"]).centroid
        east = (middle.x - plume["longitude"]) * np.cos(np.radians(plume["latitude"]))
        north = middle.y - plume["latitude"]
        along = east * plume["wind_u_m_s"] + north * plume["wind_v_m_s"]
        assert along > 0.8 * np.hypot(east, north) * np.hypot(plume["wind_u_m_s"], plume["wind_v_m_s"])


def test_the_wind_files_hold_the_wind_of_every_plume_and_peak(world: World) -> None:
    folder, truth = world
    for planted in (*truth["plumes"], *truth["peaks"]):
        time = datetime.fromisoformat(planted["observed_at_utc"])
        rows = storage.read_table(WIND, str(folder / "wind"), where={"date": f"{time:%Y-%m-%d}"})
        height = planted.get("wind_height_m", 10.0)  # methane: at 10 m
        wind = wind_at(rows, planted["longitude"], planted["latitude"], time, height)
        assert wind is not None and wind.from_heights_m == (height,)
        assert wind.wind_u_m_s == pytest.approx(planted["wind_u_m_s"], abs=0.05)
        assert wind.wind_v_m_s == pytest.approx(planted["wind_v_m_s"], abs=0.05)


def test_the_wind_grows_with_height_by_the_power_law(world: World) -> None:
    folder, truth = world
    rows = storage.read_table(WIND, str(folder / "wind"), where={"date": truth["dates"][0]})
    by_height = {h: rows.filter(pc.equal(rows["height_m"], h)) for h in truth["wind_heights_m"]}
    low = by_height[10.0]
    assert sum(part.num_rows for part in by_height.values()) == rows.num_rows and len(by_height) == 4
    for height, part in by_height.items():
        for name in ("wind_u_m_s", "wind_v_m_s"):
            assert part[name].to_numpy() == pytest.approx(low[name].to_numpy() * (height / 10) ** 0.08, rel=1e-9)


def test_the_granules_hold_the_wind_at_10_m(world: World) -> None:
    folder, truth = world
    for peak in truth["peaks"]:
        with netCDF4.Dataset(folder / "granules" / peak["granule"]) as dataset:
            at = np.flatnonzero(dataset["sounding_id"][:].astype(np.int64) == int(peak["sounding_id"]))[0]
            u, v = (float(dataset[f"Meteorology/windspeed_{c}_met"][at]) for c in "uv")
        assert (u * 25**0.08, v * 25**0.08) == pytest.approx((peak["wind_u_m_s"], peak["wind_v_m_s"]), abs=1e-4)


def test_areas_are_read_and_have_about_250_cells_a_side(world: World, caplog: pytest.LogCaptureFixture) -> None:
    folder, _ = world
    areas = read_areas(str(folder / "areas"))
    assert [a.name for a in areas] == ["hassi_messaoud", "qarn_alam"] and caplog.messages == []
    grids = [grid_of(area) for area in areas]
    assert [g.epsg for g in grids] == [32631, 32640]
    assert all(240 <= n <= 270 for g in grids for n in (g.width, g.height))


def test_peaks_have_the_emission_of_their_plants_and_lie_downwind_of_them(world: World) -> None:
    _, truth = world
    for peak in truth["peaks"]:
        assert 0.7 < peak["emission_kt_h"] / peak["inventory_emission_kt_h"] < 1.3
        assert peak["wind_across_track_m_s"] >= 2.5 and 4 <= peak["sigma_km"] <= 12
        plant = peak["plants"][0]
        assert plant["name"] == peak["source_name"]
        east = (peak["longitude"] - plant["longitude"]) * np.cos(np.radians(peak["latitude"]))
        north = peak["latitude"] - plant["latitude"]
        along = (east * peak["wind_u_m_s"] + north * peak["wind_v_m_s"]) * 111.2
        along /= np.hypot(peak["wind_u_m_s"], peak["wind_v_m_s"])
        assert 8 < along < 30


def test_every_seed_has_a_plan_and_no_two_tracks_share_an_orbit() -> None:
    for seed in range(100):
        arcs = [make_arc(a.longitude, a.latitude, a.observed_at_utc, a.half_length_km) for a in plan_arcs(seed)]
        assert len({arc.orbit for arc in arcs}) == len(arcs)
        assert all(a.thirds[-1] < b.thirds[0] for a, b in itertools.pairwise(arcs))


def test_power_plants_are_listed_as_the_real_inventories_have_them(real_data: Path, world: World) -> None:
    """Each plant's emission is the sum of its units in CoCO2; the world's file has as many rows as the real one."""
    with (real_data / "inventory" / "coco2_ps_catalogue_v1.1.csv").open(encoding="utf-8") as file:
        real = list(csv.DictReader(file))
    place = np.array([[float(r["longitude"]), float(r["latitude"])] for r in real])
    emission = np.array([float(r["co2_emis_ty"]) for r in real])
    plants = [p for p in read_power_plants() if p.coco2_units]
    assert len(read_power_plants()) >= 20 and len(plants) >= 20
    for plant in plants:
        near = great_circle_distance_km(plant.longitude, plant.latitude, place[:, 0], place[:, 1]) < 2.0
        assert emission[near].sum() >= 0.99 * plant.co2_t_y and near.sum() >= plant.coco2_units
    with (world[0] / "inventories" / "coco2_ps_catalogue_v1.1.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(real[0])
    assert len(rows) == sum(p.coco2_units for p in plants)
    assert sum(float(r["co2_emis_ty"]) for r in rows) == pytest.approx(sum(p.co2_t_y for p in plants))
    with (world[0] / "inventories" / "gppd_v130.csv").open(encoding="utf-8") as file:
        header = file.readline().rstrip("\n")
    real_gppd = real_data / "inventory" / "gppd_v130_rebuilt.csv"
    assert header == real_gppd.read_text(encoding="utf-8").splitlines()[0]
