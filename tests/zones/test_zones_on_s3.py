"""What the workers of both jobs do, on a real S3 server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from known_zones import rectangle, write_zones
from plumewatch import storage
from plumewatch.models import FailedScene
from plumewatch.statuses import STATISTICS_STAGE
from plumewatch.zones.area_months import read_area_months
from plumewatch.zones.composites import write_composite
from plumewatch.zones.months import count_task
from plumewatch.zones.outlines import lonlat_shapes, shapes_on
from plumewatch.zones.plan import Counting, plan_zone_tasks
from plumewatch.zones.zone_files import list_zone_files, read_zones


def test_scenes_and_zones_of_a_bucket(scene: Callable[..., Any], tmp_path: Path, s3_root: str) -> None:
    numbers = scene(scl=np.full((40, 40), 4, np.uint8))
    (tmp_path / "zones").mkdir()
    write_zones(tmp_path / "zones" / "fields.shp", {"a": rectangle(2, 3, 10, 12)})
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        storage.write_bytes(storage.join(s3_root, str(file.relative_to(tmp_path))), file.read_bytes())
    [listed] = list_zone_files(storage.join(s3_root, "zones"))
    refused: list[object] = []
    zones = read_zones(listed["zones_path"], None, "zone", lambda *why: refused.append(why))
    failures: dict[str, FailedScene] = {}
    months = read_area_months(storage.join(s3_root, "scenes"), "2025-08", None, STATISTICS_STAGE, failures)
    shapes = shapes_on(months["dune"].grid, zones.zones, zones.crs, lonlat_shapes(zones.zones, zones.crs))
    [task] = plan_zone_tasks(months["dune"], [0], {0: shapes[0]}, Counting(("b08",), ("mean",)))
    rows = count_task(task)
    mean = numbers["B08"][2:12, 3:15].mean() / 10_000.0
    assert not (refused or failures) and np.allclose(rows["value"].to_numpy(), mean, rtol=1e-6)
    assert rows.num_rows == 2 and pc.sum(rows["count_total"]).as_py() == 2 * 120  # the scene's and the month's
    for _ in range(2):  # the second replaces the first
        item, left_out = write_composite(months["dune"], "2025-08", storage.join(s3_root, "composites"))
        assert not left_out and item == storage.join(s3_root, "composites/area=dune/month=2025-08/composite.json")
    names = {file.rsplit("/", 1)[-1] for file in storage.list_files(storage.parent(item))}
    assert names == {"composite.json", "median.tif", "mean.tif", "clear_count.tif"}
