"""The job: which partitions it writes, what is in them, and that a repetition changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from plumewatch import storage
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.tables import ANOMALIES, PIXELS, PLUMES
from written_plumes import SIZE, Run, manifest, rows_in, sure_plumes


def test_all_dates_are_searched_and_the_plume_is_found(run: Run, world: dict, tmp_path: Path) -> None:
    result = run("--details-path", f"{tmp_path}/out/plume_details")
    (plume,) = sure_plumes(tmp_path)
    day = world["days"]["field"][-1]
    assert (plume["area"], plume["date"]) == ("field", day)
    assert great_circle_distance_km(*world["source"], plume["longitude"], plume["latitude"]) < 0.2
    assert plume["emission_kg_h_low"] < 12_000 < plume["emission_kg_h_high"]
    assert len(plume["reference_scene_ids"]) == 4
    written = storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")
    assert {(p.keys["area"], p.keys["date"]) for p in written} == {
        (a, d) for a, ds in world["days"].items() for d in ds
    }
    assert (result.rows_written, result.failed) == (len(rows_in(tmp_path)), 0)

    first, last = manifest(tmp_path, "field", world["days"]["field"][0]), manifest(tmp_path, "field", day)
    assert [o["outcome"] for o in first["observations"]] == ["no_reference"] and first["rows"] == 0
    (seen,) = last["observations"]
    assert (seen["outcome"], seen["detected"], seen["stage"]) == ("searched", True, "detection")
    assert seen["wind_speed_m_s"] == pytest.approx(10**0.5, abs=0.01) and seen["detection_limit"] > 100
    assert last["counts"]["accepted"] == 1 and len(last["inputs"]) == 5
    (nearest_first,) = last["references"].values()
    assert [scene[-8:] for scene in nearest_first] == [d.replace("-", "") for d in world["days"]["field"][-2::-1]]
    assert last["versions"]["calibration"] == "methane-detection-3"

    details = tmp_path / "out" / "plume_details" / "method=multi_pass" / "area=field" / f"date={day}"
    about = json.loads((details / f"{plume['plume_id']}.json").read_text())
    assert about["emission_kg_h"] == plume["emission_kg_h"] and about["significance"] > 10
    assert about["emission_by_wind_kg_h"]["2 m/s"] < about["emission_by_wind_kg_h"]["8 m/s"]
    assert (details / f"{plume['plume_id']}.png").read_bytes().startswith(b"\x89PNG")
    with rasterio.open(details / f"{plume['plume_id']}.tif") as cog:
        assert cog.crs.to_epsg() == 32640 and cog.descriptions == ("enhancement_mol_m2",)
        assert np.nanmax(cog.read(1)) == pytest.approx(plume["enhancement_max_mol_m2"], rel=1e-5)


def test_the_file_is_geoparquet_of_polygons(run: Run, world: dict, tmp_path: Path) -> None:
    run("--date", world["days"]["field"][-1])
    folder = tmp_path / "out" / "plumes" / "method=multi_pass" / "area=field" / f"date={world['days']['field'][-1]}"
    file = pq.ParquetFile(folder / "data.parquet")
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    assert geo["version"].startswith("1.1") and geo["primary_column"] == "geometry"
    outlines = [shapely.from_wkb(value) for value in file.read()["geometry"].to_pylist()]
    assert outlines and {outline.geom_type for outline in outlines} == {"Polygon"}


def test_a_repetition_gives_the_same_bytes(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["field"][-1]
    files = []
    for _ in range(2):
        run("--date", day, "--details-path", f"{tmp_path}/out/plume_details")
        files.append(
            {p.relative_to(tmp_path): p.read_bytes() for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()}
        )
    assert files[0] == files[1] and len(files[0]) > 4


def test_one_partition_folder_is_enough_and_its_references_are_found_beside_it(
    run: Run, world: dict, tmp_path: Path
) -> None:
    day = world["days"]["field"][-1]
    run(pixels=f"{world['root']}/pixels/area=field/date={day}")
    assert [p.keys["date"] for p in storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")] == [day]
    assert [o["outcome"] for o in manifest(tmp_path, "field", day)["observations"]] == ["searched"]


def test_a_range_of_dates(run: Run, world: dict, tmp_path: Path) -> None:
    days = world["days"]["desert"]
    run("--start-date", days[1], "--end-date", days[2], pixels=f"{world['root']}/pixels/area=desert")
    assert [p.keys["date"] for p in storage.list_partitions(PLUMES, f"{tmp_path}/out/plumes")] == days[1:3]
    result = run("--date", "2001-01-01")
    assert (result.rows_read, result.rows_written, result.failed) == (0, 0, 0)


@pytest.mark.parametrize("path", [None, "nowhere"])
def test_without_wind_there_are_masses_and_no_rates(run: Run, world: dict, tmp_path: Path, path: str | None) -> None:
    more = ["--wind-path", f"{tmp_path}/{path}"] if path else []
    run("--date", world["days"]["field"][-1], *more, wind=False)
    plumes = sure_plumes(tmp_path)  # maybe in pieces: without wind nothing tells that one is the far part of another
    assert plumes and {(p["emission_status"], p["emission_kg_h"]) for p in plumes} == {("no_wind", None)}
    assert max(p["ime_kg"] for p in plumes) > 100


def test_tables_without_the_nullable_columns(run: Run, world: dict, tmp_path: Path) -> None:
    bare = f"{tmp_path}/bare"
    for partition in storage.list_partitions(PIXELS, f"{world['root']}/pixels/area=field"):
        rows = storage.read_table(PIXELS, partition.path, PIXELS.schema.names)
        rows = rows.drop_columns(
            ["observed_at_utc", "relative_orbit", "epsg", "pixel_size_m", "cloud_probability_percent"]
        )
        folder = Path(bare) / "area=field" / f"date={partition.keys['date']}"
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part-0.parquet")
    day = world["days"]["field"][-1]
    run("--date", day, "--details-path", f"{tmp_path}/out/plume_details", pixels=bare)
    (plume,) = sure_plumes(tmp_path)
    assert plume["observed_at_utc"] is None and plume["emission_status"] == "ok"
    assert manifest(tmp_path, "field", day)["observations"][0]["observed_at_utc"] is None
    (cog,) = (tmp_path / "out" / "plume_details").rglob("*.tif")
    with rasterio.open(cog) as raster:
        assert raster.crs.to_epsg() == 4326
        assert shapely.box(*raster.bounds).contains(shapely.from_wkb(plume["geometry"]).centroid)


def test_isolation_forest_writes_unrated_clusters_and_all_anomalies(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["desert"][-1]
    run(
        "--method", "isolation_forest", "--date", day, "--anomalies-path", f"{tmp_path}/out/anomalies",
        "--contamination", "0.02", "--min-samples", "4", "--batch-size", "8000",
        pixels=f"{world['root']}/pixels/area=desert",
    )  # fmt: skip
    anomalies = storage.read_table(ANOMALIES, f"{tmp_path}/out/anomalies")
    clusters = np.unique(anomalies["cluster"].to_numpy())
    assert anomalies.num_rows == pytest.approx(0.02 * SIZE**2, rel=0.05) and clusters[0] == -1
    plumes = rows_in(tmp_path, "isolation_forest")
    assert len(plumes) == clusters.max() + 1
    assert {(p["status"], p["probability"], p["reference_scene_ids"] == []) for p in plumes} == {
        ("unrated", None, True)
    }
    settings = manifest(tmp_path, "desert", day, "isolation_forest")["settings"]
    assert settings["contamination"] == 0.02 and settings["batch_size"] == 8000


def test_single_pass_needs_no_reference(run: Run, world: dict, tmp_path: Path) -> None:
    run("--method", "single_pass", "--date", world["days"]["field"][0])
    assert [
        o["outcome"] for o in manifest(tmp_path, "field", world["days"]["field"][0], "single_pass")["observations"]
    ] == ["searched"]


def test_details_of_a_former_run_are_removed(run: Run, world: dict, tmp_path: Path) -> None:
    day = world["days"]["field"][-1]
    folder = tmp_path / "out" / "plume_details" / "method=multi_pass" / "area=field" / f"date={day}"
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.png").write_bytes(b"old")
    run("--date", day, "--details-path", f"{tmp_path}/out/plume_details")
    assert not (folder / "0123456789abcdef.png").exists() and list(folder.glob("*.png"))
