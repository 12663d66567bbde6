"""# Orders at Sentinel Hub

Images that Sentinel Hub makes in its own time and delivers to the storage's bucket, and our composites as a collection.

* **Schedule**: by hand, with `orders` and `area`; `image` and `tiles` with days, `collection` with `months`.
* **Reads**: areas, `composites`; Sentinel Hub's asynchronous, batch and BYOC services: an account whose plan has them,
  a storage in a bucket, and a way into it (`PLUMEWATCH_SH_BUCKET_ROLE`, or a key of its own).
* **Writes**: the folder `sentinel_hub/` of the storage, `failed_scenes`.

Each order is one task, which no worker waits for. What was ordered is found again by a retry or a later run, after a
kill too: it is never ordered, and paid, twice; to have it anew remove what was delivered. Units are set aside in the
ledger before. A plan without the service is a failure that says so; a month without enough units a skip.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context
from plumewatch.errors import ParameterError
from plumewatch.keys import DAY
from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import failure_book, report_failures
from plumewatch_airflow.hub_orders import ordering, wait_for_service
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc, hub_order_params, typed
from plumewatch_airflow.summary import Summary


def _days(params: Any) -> tuple[str, str]:
    if not params["first_day"]:
        raise ParameterError("no first day; allowed: first_day, and last_day where there are several")
    return params["first_day"], params["last_day"] or params["first_day"]


def _deliver(summary: Summary, area: str, order: Any) -> None:
    """Wait for an order, look at what was delivered, and say where it is."""
    from plumewatch.hub_orders.images import delivered_rasters
    from plumewatch.hub_orders.orders import Orders

    orders = Orders(load_settings(), area)
    state = orders.go_on(order)
    if not state.is_done:
        wait_for_service(f"{order.title}, {order.what} of {area}, {state.status.value} {state.percent:.0f} %")
    rasters = delivered_rasters(state.delivered_to, order)
    summary.path, summary.read, summary.written = state.delivered_to, 1, len(rasters)


@spark_task
def order_image() -> None:
    """Have an area made in one piece, by the asynchronous service."""
    from plumewatch.hub_orders.images import image_of
    from plumewatch.sensor_scenes.search import area_named

    context = get_current_context()
    params = context["params"]
    with ordering(partition_key(context, DAY), "image") as summary:
        area = area_named(load_settings(), params["area"])
        _deliver(summary, area.name, image_of(area, *_days(params)))


@spark_task
def order_tiles() -> None:
    """Have an area made in tiles of a grid, by the batch service."""
    from plumewatch.hub_orders.images import tiles_of
    from plumewatch.sensor_scenes.search import area_named

    context = get_current_context()
    params = context["params"]
    with ordering(partition_key(context, DAY), "tiles") as summary:
        area = area_named(load_settings(), params["area"])
        _deliver(summary, area.name, tiles_of(area, *_days(params), params["tiling_grid"], params["resolution_m"]))


@spark_task
def register_composites() -> None:
    """Register the composites of an area as tiles of a collection."""
    from plumewatch.failures import went_through
    from plumewatch.hub_orders.byoc import read_composites, register
    from plumewatch.hub_orders.orders import Orders
    from plumewatch.statuses import REGISTRATION_STAGE

    context = get_current_context()
    params, key, failed = context["params"], partition_key(context, DAY), list[Any]()
    with ordering(key, "collection") as summary:
        orders, name = Orders(load_settings(), params["area"]), params["collection"]
        composites = read_composites(orders.root, params["area"], typed(params["months"]), failed)
        found = register(orders, name, composites, params["bucket"])
        if found.waiting:
            wait_for_service(f"{len(found.waiting)} of {len(composites)} composites are read in")
        failed += found.failed
        done = went_through(REGISTRATION_STAGE, [(one.area, one.name) for one in found.done])
        failure_book().settle(key, failed, done)
        summary.read, summary.written, summary.failed = len(composites), len(found.done), len(failed)
        if found.collection_id:
            summary.path = f"byoc-{found.collection_id}"


@dag(params=hub_order_params(), default_args=DEFAULT_ARGS, tags=TAGS, max_active_runs=1, **doc(__doc__))
def sentinel_hub_orders() -> None:
    """Order each; report."""
    [order_image(), order_tiles(), register_composites()] >> report_failures(DAY, is_of_range=True)


sentinel_hub_orders()
