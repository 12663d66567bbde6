"""Our composites as a collection of Sentinel Hub: registered once, read in anew where they changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hub_order_service import BYOC, OrderService
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.hub_orders.asking import PlanLacks
from plumewatch.hub_orders.byoc import Registered, read_composites, register
from plumewatch.hub_orders.orders import Orders
from plumewatch.models import Grid
from plumewatch.sentinel2.clouds import pixel_settings
from plumewatch.zones import composites
from plumewatch.zones.area_months import AreaMonth

GRID = Grid(32640, 500_000.0, 2_700_000.0, 20.0, 30, 20)


class Scene:
    """What an item of a composite needs of a scene."""

    platform = "sentinel-2a"


def write_composite(root: str, month: str, bands: list[str], value: int = 7) -> None:
    """Write a composite as the job does, of one value."""
    folder = storage.join(root, "composites", "area=field", f"month={month}")
    values = {band: np.full((GRID.height, GRID.width), value, np.uint16) for band in bands}
    cog = composites.cog_bytes(values, GRID.crs, GRID.transform, nodata=0, overview_resampling="AVERAGE")
    rasters = {"median": cog, "mean": cog, "clear_count": cog}
    of_area = AreaMonth("field", GRID, (Scene(),), 0, pixel_settings())  # type: ignore[arg-type]
    for kind, content in rasters.items():
        storage.write_bytes(storage.join(folder, f"{kind}.tif"), content)
    item = composites._item(of_area, month, bands, rasters, ["a"])
    storage.write_json(storage.join(folder, "composite.json"), item)


@pytest.fixture
def orders(order_service: OrderService, s3_root: str) -> Orders:
    for month in ("2025-07", "2025-08"):
        write_composite(s3_root, month, ["B04", "B08"])
    return Orders(order_service.settings(s3_root), "field")


def until_read_in(orders: Orders) -> tuple[Registered, int]:
    for look in range(1, 10):
        found = register(orders, "months", read_composites(orders.root, "field", [], []))
        if not found.waiting:
            return found, look
    raise AssertionError("never read in")


def test_composites_are_tiles_of_one_collection_and_registered_once(
    order_service: OrderService, orders: Orders
) -> None:
    found, looks = until_read_in(orders)
    assert looks >= 2 and [one.month for one in found.done] == ["2025-07", "2025-08"] and found.failed == []
    [collection] = order_service.collections.values()
    assert found.collection_id == collection["id"] and (collection["name"], collection["s3Bucket"]) == (
        "months",
        "tests",
    )
    bands = collection["additionalData"]["bands"]
    assert {name: (one["source"], one["bandIndex"], one["bitDepth"]) for name, one in bands.items()} == {
        "B04": ("median", 1, 16), "B08": ("median", 2, 16)
    }  # fmt: skip
    prefix = orders.root.removeprefix("s3://tests/")
    tile = next(iter(order_service.tiles.values()))
    assert tile["path"] == f"{prefix}/composites/area=field/month=2025-07/(BAND).tif"
    assert storage.exists(f"s3://tests/{tile['path'].replace('(BAND)', 'median')}")
    assert tile["sensingTime"].startswith("2025-07-01T00:00:00") and tile["coverGeometry"]["type"] == "Polygon"
    assert until_read_in(orders)[1] == 1 and len(order_service.tiles) == 2 and len(order_service.collections) == 1


def test_a_composite_that_was_made_anew_is_read_in_anew(order_service: OrderService, orders: Orders) -> None:
    until_read_in(orders)
    write_composite(orders.root, "2025-08", ["B04", "B08"], 9)
    found = register(orders, "months", read_composites(orders.root, "field", [], []))
    assert [one.month for one in found.waiting] == ["2025-08"] and len(order_service.tiles) == 2
    assert len(until_read_in(orders)[0].done) == 2


def test_what_cannot_be_read_in_is_named_and_tried_again_by_the_next_run(
    order_service: OrderService, orders: Orders
) -> None:
    write_composite(orders.root, "2025-09", ["B11"])
    order_service.tile_outcome = {"status": "FAILED", "additionalData": {"failedIngestionCause": "no such file"}}
    found, _ = until_read_in(orders)
    told = {one.scene_id: one.message for one in found.failed}
    assert set(told) == {"composite 2025-07", "composite 2025-08", "composite 2025-09"} and found.done == []
    assert "no such file" in told["composite 2025-07"] and "bands B11; allowed: B04, B08" in told["composite 2025-09"]
    order_service.tile_outcome = {"status": "INGESTED", "additionalData": {}}
    assert [one.month for one in until_read_in(orders)[0].done] == ["2025-07", "2025-08"]


def test_one_that_fails_while_another_waits_is_not_tried_again_before_all_have_ended(
    order_service: OrderService, orders: Orders
) -> None:
    """Two that fail in turn would else be waited for without end."""
    failed = {"status": "FAILED", "additionalData": {"failedIngestionCause": "no such file"}}
    read = read_composites(orders.root, "field", [], [])
    register(orders, "months", read)
    first, second = order_service.tiles.values()
    order_service.looks = 99
    first |= failed
    for _ in range(3):
        found = register(orders, "months", read)
        assert [one.month for one in found.waiting] == ["2025-08"] and len(found.failed) == 1
    second |= failed
    found = register(orders, "months", read)
    assert len(found.failed) == 2 and not found.waiting
    assert len(register(orders, "months", read).waiting) == 2  # the next run asks for both anew


def test_where_all_composites_are_damaged_nothing_is_asked(order_service: OrderService, orders: Orders) -> None:
    found = register(orders, "months", [])
    assert (found.collection_id, found.done, found.failed, order_service.collections) == ("", [], [], {})


def test_a_collection_is_of_the_bucket_as_the_service_calls_it(order_service: OrderService, orders: Orders) -> None:
    for _ in range(2):
        register(orders, "months", read_composites(orders.root, "field", [], []), "project:tests")
    assert [one["s3Bucket"] for one in order_service.collections.values()] == ["project:tests"]


def test_no_composites_no_plan_and_an_item_that_is_none_are_told(order_service: OrderService, orders: Orders) -> None:
    with pytest.raises(InputError, match=r"area=other: no composites; allowed: a month"):
        read_composites(orders.root, "other", [], [])
    failed: list[Any] = []
    storage.write_json(storage.join(orders.root, "composites/area=field/month=2025-07/composite.json"), {"a": 1})
    assert [one.month for one in read_composites(orders.root, "field", [], failed)] == ["2025-08"]
    assert [one.scene_id for one in failed] == ["composite 2025-07"]
    order_service.refused = {BYOC: (403, "Not allowed")}
    with pytest.raises(PlanLacks, match="no BYOC API"):
        register(orders, "months", read_composites(orders.root, "field", ["2025-08"], []))
