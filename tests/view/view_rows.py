"""A storage with two days of an area, as the view shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from map_rows import DAY, NASTY, match, observation, plume, source
from plumewatch import storage
from plumewatch.rasters.cog import cog_bytes
from plumewatch.tables import MATCHES, OBSERVATIONS, PLUMES, SOURCE_ESTIMATES, SOURCE_PASSES, SOURCES
from pyproj import Transformer

AREA = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"name": "oman"}, "geometry": '
    '{"type": "Polygon", "coordinates": [[[55.9, 21.9], [56.1, 21.9], [56.1, 22.1], [55.9, 22.1], [55.9, 21.9]]]}}]}'
)
EARLIER, SCENE, REFERENCE = "2025-08-16", "S2A_40RKH_20250831_0_L2A", "S2B_40RKH_20250816_0_L2A"
SPOT = (56.006, 22.008)  # where the enhancement of a1 is strongest
LATER = "2025-09-02"  # a day on which the area was looked at, and nothing seen


def fill_storage(root: str) -> None:
    """Write two days of an area: one with plumes, a source with a nasty name and a picture, one with nothing."""

    def write(table: Any, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(rows))

    of_area = {"method": "multi_pass", "area": "oman"}
    first = plume("a1", 56.0, 22.0) | {"reference_scene_ids": ["S2A_40RKH_20250901_0_L2A", REFERENCE]}
    rows = [first, plume("a2", 56.04, 22.03, "too_small"), plume("a3", 56.03, 21.96, rate=900.0)]
    write(PLUMES, {**of_area, "date": DAY}, rows)
    write(PLUMES, {**of_area, "date": LATER}, [])
    matches = [match("a1", "well", 1, 0.9), match("a1", None, 2, 0.1), match("a3", None, 1, 1.0, "unknown_source")]
    write(MATCHES, {"gas": "ch4", "period": DAY}, matches)
    sources = [
        source("well", 56.003, 22.0, "ch4", NASTY), source("plant", 56.1, 22.0, "co2"), source("new", 56, 21, "ch4"),
    ]  # fmt: skip
    write(SOURCES, {"inventory": "combined"}, sources)
    write(OBSERVATIONS, {"gas": "ch4", "key": DAY}, [observation("oman", "searched", detected=True)])
    nothing = observation("oman", "searched", detection_limit=2066.0, clear_fraction=0.8)
    write(OBSERVATIONS, {"gas": "ch4", "key": LATER}, [nothing])
    fill_passes(root)
    storage.write_bytes(storage.join(root, "areas", "oman.geojson"), AREA.encode())
    details = storage.join(root, "plume_details", "method=multi_pass", "area=oman", f"date={DAY}")
    picture = Path(__file__).parents[2] / "docs" / "plume.png"
    storage.write_bytes(storage.join(details, "a1.png"), picture.read_bytes())
    for name, content in rasters().items():
        storage.write_bytes(storage.join(root, name), content)
    storage.write_bytes(storage.join(root, "evidence", "ch4", "well.html"), b"<html><title>well</title></html>")
    storage.write_bytes(storage.join(root, "secret.json"), b'{"secret": true}')


@lru_cache
def rasters() -> dict[str, bytes]:
    """By their paths: the enhancement of a1, with unknown cells in its north, its scene and an earlier one, whose bands
    are 0.3 and 0.25, and a dark spot where the plume is strongest.
    """
    to_grid = Transformer.from_crs(4326, 32640, always_xy=True)
    (west, north), spot = to_grid.transform(55.98, 22.03), to_grid.transform(*SPOT)
    x, y = west + 20.0 * (np.arange(200) + 0.5), north - 20.0 * (np.arange(260) + 0.5)
    plume = np.exp(-np.hypot(x - spot[0], (y - spot[1])[:, None]) / 150.0).astype(np.float32)
    enhancement = np.where((y > north - 600.0)[:, None], np.nan, plume).astype(np.float32)
    place = {"crs": "EPSG:32640", "transform": Affine(20.0, 0.0, west, 0.0, -20.0, north)}
    of_scene = {**place, "nodata": 0, "overview_resampling": "AVERAGE", "scale": 1e-4}
    details = f"plume_details/method=multi_pass/area=oman/date={DAY}/a1.tif"
    made = {details: cog_bytes({"e": 0.4 * enhancement}, **place, nodata=np.nan, overview_resampling="AVERAGE")}
    for day, scene_id, dark in ((DAY, SCENE, 0.1), (EARLIER, REFERENCE, 0.0)):
        bands = {"B11": np.full(plume.shape, 2500), "B12": 3000 - 1e4 * dark * plume + (x % 3.0)}
        whole = {name: band.astype(np.uint16) for name, band in bands.items()}
        made[f"scenes/area=oman/date={day}/{scene_id}.tif"] = cog_bytes(whole, **of_scene)
    return made


def passed(day: str, **more: Any) -> dict[str, Any]:
    """A row of `source_passes` of the source `well`."""
    at = datetime.fromisoformat(f"{day}T07:12:00+00:00")
    row = {"source_id": "well", "observed_at_utc": at, "visible_fraction": 0.8}
    return dict.fromkeys(SOURCE_PASSES.schema.names) | row | more


def fill_passes(root: str) -> None:
    """Write what the passes of both days saw of the source `well`, and of a plant that two orbits of a month passed."""

    def write(table: Any, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(rows))

    seen = {"detection_id": "a1", "rank": 1, "probability": 0.9, "status": "confirmed", "emission": 5200.0}
    seen |= {"emission_low": 3100.0, "emission_high": 7800.0}
    write(SOURCE_PASSES, {"gas": "ch4", "key": DAY}, [passed(DAY, visible_fraction=None, **seen)])
    write(SOURCE_PASSES, {"gas": "ch4", "key": LATER}, [passed(LATER, detection_limit=2066.0)])
    estimate = {"source_id": "well", "emission": 2600.0, "emission_low": 1400.0, "emission_high": 4700.0}
    estimate |= {"inventory_emission": 4566.2, "ratio": 0.57, "status": "confirmed"}
    estimate |= {"times_observed": 2, "times_seen": 1, "first_seen": datetime(2025, 8, 31, tzinfo=UTC)}
    write(SOURCE_ESTIMATES, {"gas": "ch4"}, [dict.fromkeys(SOURCE_ESTIMATES.schema.names) | estimate])
    orbits = [passed(f"2025-08-{day}", source_id="plant", orbit=day, detection_limit=day / 4) for day in (12, 28)]
    write(SOURCE_PASSES, {"gas": "co2", "key": "2025-08"}, orbits)
