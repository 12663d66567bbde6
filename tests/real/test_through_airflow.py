"""The main job on real data, through Airflow: a Sahara scene to pixels, orbit 11522 and inventories to matches."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from plumewatch import storage
from plumewatch.geodesy import great_circle_distance_km, initial_bearing_deg
from plumewatch.tables import MATCHES, PEAKS, PIXELS, SOURCES
from pyproj import Transformer
from shapely.geometry import mapping

sys.path.insert(0, str(Path(__file__).parent))

from airflow_fixtures import free_port, server_process
from highveld_granule import write_highveld_granule

pytestmark = pytest.mark.airflow
SCENE_ID, SCENE_DAY, SOURCE_SIZE_M = "S2A_29RKH_20200219_0_L2A", "2020-02-19", 200.0
OUTLINE = shapely.box(-11.49, 24.71, -11.40, 24.80)
HIGHVELD = (28.95, -26.2)
MONTH = "2016-08"


@pytest.fixture
def settings(tmp_path: Path, spark_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that makes settings hold for the DAGs; it returns the storage root."""

    def hold(**values: str) -> str:
        root = f"file://{tmp_path / 'storage'}"
        for name, value in {"STORAGE_ROOT": root, "SPARK": spark_server, **values}.items():
            monkeypatch.setenv(f"PLUMEWATCH_{name}", value)
        return root

    return hold


@pytest.fixture
def sahara_catalogue(real_data: Path, tmp_path: Path) -> Iterator[str]:
    """A STAC API on loopback that serves the real scene by its real item."""
    scene = real_data / "sentinel2" / SCENE_ID
    folder = tmp_path / "world" / "catalogue" / "sentinel-2-l2a"
    shutil.copytree(scene, folder / SCENE_ID)
    item_file = folder / SCENE_ID / f"{SCENE_ID}.json"
    item = json.loads(item_file.read_text())
    item["collection"] = "sentinel-2-l2a"
    item["assets"] = {k: a | {"href": a["href"].rsplit("/", 1)[-1]} for k, a in item["assets"].items()}
    item_file.write_text(json.dumps(item))
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    collection = {"type": "Collection", "stac_version": "1.0.0", "id": "sentinel-2-l2a", "description": "one scene"}
    (folder / "collection.json").write_text(
        json.dumps({**collection, "license": "other", "extent": extent, "links": []})
    )
    port = free_port()
    serve = [sys.executable, "-m", "plumewatch.simulation.serve", str(tmp_path / "world"), "--port", str(port)]
    with server_process(serve, port, 60):
        yield f"http://127.0.0.1:{port}"


def test_the_sahara_scene_becomes_pixels_with_the_values_of_its_source(
    real_data: Path, sahara_catalogue: str, settings: Callable[..., str], run_dag: Callable[..., Any]
) -> None:
    root = settings(STAC_API=sahara_catalogue)
    feature = {"type": "Feature", "geometry": mapping(OUTLINE), "properties": {"name": "sahara"}}
    storage.write_json(f"{root}/areas/sahara.geojson", feature)
    assert run_dag("sentinel2_daily_ingest", SCENE_DAY, areas=["sahara"]).state == "success"
    pixels = storage.read_table(PIXELS, f"{root}/pixels")
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32629", always_xy=True)
    x, y = to_utm.transform(pixels["longitude"].to_numpy(), pixels["latitude"].to_numpy())
    for column, name, scale in (("b11", "B11", 1e-4), ("b12", "B12", 1e-4), ("scl", "SCL", 1)):
        with rasterio.open(real_data / "sentinel2" / SCENE_ID / f"{name}.tif") as source:
            place = [((2_800_020 - y) / SOURCE_SIZE_M).astype(int), ((x - 199_980) / SOURCE_SIZE_M).astype(int)]
            numbers = source.read(1)[tuple(place)]
        kind = pixels[column].to_numpy().dtype
        np.testing.assert_array_equal(pixels[column].to_numpy(), (numbers * scale).astype(kind))
    centres = (x - 199_980) / 20.0  # centres of the area's 20 m cells: whole numbers and a half
    assert pixels.num_rows > 200_000 and np.abs(centres - np.floor(centres) - 0.5).max() < 0.1


def test_the_highveld_orbit_is_one_peak_whose_first_sources_are_plants_upwind(
    real_data: Path,
    tmp_path: Path,
    settings: Callable[..., str],
    run_dag: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "granules").mkdir()
    write_highveld_granule(real_data, tmp_path / "granules")
    root = settings(GRANULES=str(tmp_path / "granules"), INVENTORIES=str(real_data / "inventory"))
    assert run_dag("inventory_refresh").state == "success"
    assert run_dag("oco2_monthly_extraction", MONTH).state == "success"
    assert run_dag("co2_detection_and_matching", MONTH).state == "success"
    peaks = storage.read_table(PEAKS, f"{root}/peaks").to_pylist()
    accepted = [p for p in peaks if p["status"] == "accepted"]
    near = [p for p in accepted if great_circle_distance_km(*HIGHVELD, p["longitude"], p["latitude"]) < 40]
    assert len(near) == 1
    [peak] = near
    sources = {s["source_id"]: s for s in storage.read_table(SOURCES, f"{root}/sources/inventory=combined").to_pylist()}
    ranked = [
        m
        for m in storage.read_table(MATCHES, f"{root}/matches").to_pylist()
        if m["detection_id"] == str(peak["peak_id"])
    ]
    first = [sources[m["source_id"]] for m in sorted(ranked, key=lambda m: m["rank"])[:2]]
    wind_from = np.degrees(np.arctan2(-peak["wind_u_m_s"], -peak["wind_v_m_s"])) % 360
    for source in first:
        assert great_circle_distance_km(*HIGHVELD, source["longitude"], source["latitude"]) < 100
        bearing = float(
            initial_bearing_deg(peak["longitude"], peak["latitude"], source["longitude"], source["latitude"])
        )
        assert abs((bearing - wind_from + 180) % 360 - 180) < 60, source["name"]
    low, rate, high = (peak[f"emission_kt_h{part}"] for part in ("_low", "", "_high"))
    with capsys.disabled():
        print(
            f"\norbit 11522: {rate:.2f} kt/h ({low:.2f} to {high:.2f}); the seed 13.28, the seed's fit converged 17.9, "
            f"the inventory's upwind sum 11.84; first sources: {', '.join(s['name'] for s in first)}"
        )
    assert low <= 11.84 <= high
