"""Orders at Sentinel Hub over real HTTP, delivered to a real bucket: made once, found again, paid once."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_order_service import ASYNC, BATCH, COST, KEY, OrderService, write_area
from plumewatch import storage
from plumewatch.areas import read_areas
from plumewatch.errors import ConfigurationError, InputError, ParameterError, QuotaUsedUp, ServiceError
from plumewatch.hub_orders import images
from plumewatch.hub_orders.asking import PlanLacks
from plumewatch.hub_orders.images import delivered_rasters, image_of, tiles_of
from plumewatch.hub_orders.orders import LONGEST_S, LOST_S, NOTES, Orders
from plumewatch.tables import PROCESSING_UNITS

DAYS = ("2025-08-01", "2025-08-10")
ORDERS = {"image": image_of, "tiles": lambda area, *days: tiles_of(area, *days, 1)}


@pytest.fixture
def area(tmp_path: Path) -> Any:
    write_area(tmp_path / "areas")
    [found] = read_areas(str(tmp_path / "areas"))
    return found


@pytest.fixture
def orders(order_service: OrderService, s3_root: str) -> Orders:
    return Orders(order_service.settings(s3_root), "field")


def ledger(orders: Orders) -> list[dict[str, Any]]:
    return storage.read_table(PROCESSING_UNITS, storage.join(orders.root, "processing_units")).to_pylist()


def until_done(orders: Orders, order: Any) -> tuple[int, str]:
    """Look at an order until it is done; how often that was, and the folder it was delivered to."""
    for look in range(1, 10):
        if (state := orders.go_on(order)).is_done:
            return look, state.delivered_to
    raise AssertionError("never done")


def change_notes(orders: Orders, **changed: Any) -> None:
    """Change what is remembered of the one order."""
    [note] = [file for file in storage.list_files(storage.join(orders.root, NOTES)) if file.endswith("order.json")]
    storage.write_json(note, {**storage.read_json(note), **changed})


def forget_for_long(order_service: OrderService, orders: Orders, order: Any) -> None:
    """Have the service know nothing of a request for longer than that is waited out."""
    order_service.requests.clear()
    orders.go_on(order)
    change_notes(orders, gone_at_utc=ago(LOST_S + 1))


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_is_made_once_however_often_it_is_asked_for(
    order_service: OrderService, orders: Orders, area: Any, kind: str
) -> None:
    order = ORDERS[kind](area, *DAYS)
    looks, folder = until_done(orders, order)
    assert looks >= 2
    again = Orders(order_service.settings(orders.root), "field")  # after a kill, in another process
    assert again.go_on(order).is_done and len(order_service.requests) == 1
    [request] = order_service.requests.values()
    delivery = str(request["payload"])
    assert KEY in delivery and folder in delivery and "harmonizeValues" in delivery
    rasters = delivered_rasters(folder, order)
    assert len(rasters) == (1 if kind == "image" else 2) and all(name.startswith(folder) for name in rasters)
    [row] = ledger(again)
    assert row["spent_units"] == (order.units if kind == "image" else COST) and row["predicted_units"] == order.units
    assert row["area"] == "field" and DAYS[0] in row["scene_id"]
    for file in storage.list_files(folder):  # who removes what was delivered has it made anew
        storage.delete(file)
    assert not again.go_on(order).is_done and len(order_service.requests) == 2


def test_a_batch_that_dies_before_it_was_started_is_started_and_not_made_again(
    order_service: OrderService, orders: Orders, area: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    with monkeypatch.context() as patch:
        patch.setattr(type(order), "start", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            orders.go_on(order)
    assert [one["status"] for one in order_service.requests.values()] == ["CREATED"]
    until_done(orders, order)
    assert len(order_service.requests) == len(ledger(orders)) == 1


def test_an_image_whose_answer_got_lost_is_waited_for_and_found_where_it_was_delivered(
    order_service: OrderService, orders: Orders, area: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ORDERS["image"](area, *DAYS)
    order_service.drop_answers = 10
    with pytest.raises(ServiceError):
        orders.go_on(order)
    [name] = order_service.requests
    assert not orders.go_on(order).is_done and len(order_service.requests) == 1  # not asked for twice
    order_service.looks = 1
    order_service.look(name)
    assert orders.go_on(order).is_done and len(order_service.requests) == len(ledger(orders)) == 1


def test_an_image_whose_answer_got_lost_is_asked_for_anew_after_an_hour(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["image"](area, *DAYS)
    order_service.drop_answers = 10
    with pytest.raises(ServiceError):
        orders.go_on(order)
    order_service.drop_answers = 0
    change_notes(orders, begun_at_utc=ago(LOST_S + 1))
    assert not orders.go_on(order).is_done and len(order_service.requests) == 2


@pytest.mark.parametrize("kind", ORDERS)
def test_a_plan_without_the_service_is_a_clear_refusal_that_costs_nothing(
    order_service: OrderService, orders: Orders, area: Any, kind: str
) -> None:
    order_service.refused = {ASYNC: (403, "You do not have access to Async API."), BATCH: (403, "Insufficient rights")}
    with pytest.raises(
        PlanLacks, match=r"the account's plan has no (Async|Batch).*HTTP 403: (You do|Insuff).*allowed:"
    ) as told:
        orders.go_on(ORDERS[kind](area, *DAYS))
    assert told.value.http_status == 403 and not told.value.is_retryable
    [row] = ledger(orders)
    assert row["spent_units"] == 0
    order_service.refused.clear()
    until_done(orders, ORDERS[kind](area, *DAYS))


@pytest.mark.parametrize("kind", ORDERS)
def test_what_fails_is_told_and_asked_for_anew(
    order_service: OrderService, orders: Orders, area: Any, kind: str
) -> None:
    order = ORDERS[kind](area, *DAYS)
    order_service.outcome = {"status": "FAILED", "error": "bad evalscript", "costPU": 3.0}
    with pytest.raises(ServiceError, match=r"Processing API: .* of field, request .*FAILED: .*bad evalscript"):
        until_done(orders, order)
    order_service.outcome = {"status": "DONE"}
    until_done(orders, order)
    assert len(order_service.requests) == 2
    if kind == "tiles":
        assert sorted(row["spent_units"] for row in ledger(orders)) == [3.0, COST]


def test_one_that_stops_for_want_of_units_goes_on_by_a_later_run_each_month_paying_its_part(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    order_service.outcome = {"status": "STOPPED", "stoppedStatusReason": "OUT_OF_PU", "costPU": 4.0}
    with pytest.raises(QuotaUsedUp, match="no units left"):
        until_done(orders, order)
    [first] = ledger(orders)
    assert first["spent_units"] == 4.0 and first["is_refused"]
    change_notes(orders, begun_at_utc=ago(2 * LONGEST_S), started_at_utc=ago(2 * LONGEST_S))
    order_service.outcome = {"status": "DONE"}
    assert not orders.go_on(order).is_done  # started anew, and not given up at once
    until_done(orders, order)
    assert len(order_service.requests) == 1
    second = max(ledger(orders), key=lambda row: row["begun_at_utc"])
    assert second["spent_units"] == COST - 4.0 and second["predicted_units"] == order.units - 4.0
    assert second["begun_at_utc"] > first["begun_at_utc"] and not second["is_refused"]


def stop(order_service: OrderService, orders: Orders, order: Any) -> None:
    order_service.outcome = {"status": "STOPPED", "stoppedStatusReason": "OUT_OF_PU", "costPU": 4.0}
    with pytest.raises(QuotaUsedUp):
        until_done(orders, order)
    order_service.outcome = {"status": "DONE"}


def test_one_that_goes_on_though_no_answer_came_is_not_ordered_again(
    order_service: OrderService, orders: Orders, area: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    stop(order_service, orders, order)
    change_notes(orders, started_at_utc=ago(2 * LONGEST_S))
    start = type(order).start

    def start_and_die(*given: Any) -> None:
        start(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(order), "start", start_and_die)
        with pytest.raises(KeyboardInterrupt):
            orders.go_on(order)
    until_done(orders, order)
    assert len(order_service.requests) == 1


def test_what_is_spent_while_nothing_is_booked_is_in_the_ledger(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    stop(order_service, orders, order)
    [name] = order_service.requests
    order_service.requests[name] |= {"status": "PROCESSING", "ended": {}}  # somebody has started it in the dashboard
    until_done(orders, order)
    assert sorted(row["spent_units"] for row in ledger(orders)) == [4.0, COST - 4.0]


def test_trouble_of_the_bucket_is_no_answer_of_the_service(
    order_service: OrderService, orders: Orders, area: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ORDERS["image"](area, *DAYS)
    until_done(orders, order)
    change_notes(orders, is_done=False)

    def busy(*_: Any) -> None:
        raise OSError(errno.EBUSY, "reduce your request rate")

    monkeypatch.setattr(images.storage, "list_files", busy)
    with pytest.raises(OSError, match="reduce"):
        orders.go_on(order)


def test_a_note_of_before_is_understood_and_another_form_named(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    orders.go_on(order)
    [path] = [file for file in storage.list_files(storage.join(orders.root, NOTES)) if file.endswith("order.json")]
    note = storage.read_json(path)
    kept = ("request_id", "begun_at_utc", "spent_units", "is_done", "is_stopped", "api", "area", "what", "delivered_to")
    storage.write_json(path, {**{name: note[name] for name in kept}, "units": order.units})
    until_done(orders, order)
    assert len(order_service.requests) == len(ledger(orders)) == 1
    storage.write_json(path, ["another"])
    with pytest.raises(InputError, match=r"order\.json: not readable .*allowed: the note of an order"):
        orders.go_on(order)


def test_one_that_never_ends_is_given_up(order_service: OrderService, orders: Orders, area: Any) -> None:
    order, order_service.looks = ORDERS["tiles"](area, *DAYS), 99
    assert not orders.go_on(order).is_done
    change_notes(orders, started_at_utc=ago(LONGEST_S + 1))
    with pytest.raises(ServiceError, match=r"PROCESSING after 7 days: given up"):
        orders.go_on(order)


@pytest.mark.parametrize("kind", ORDERS)
def test_what_an_earlier_attempt_has_left_is_not_taken_for_the_delivery(
    order_service: OrderService, orders: Orders, area: Any, kind: str
) -> None:
    order = ORDERS[kind](area, *DAYS)
    order_service.outcome = {"status": "FAILED", "error": "half of it", "costPU": 3.0}
    with pytest.raises(ServiceError):
        until_done(orders, order)
    [request] = order_service.requests.values()
    output = request["payload"]["output"]["delivery"]["s3"]["url"]
    storage.write_bytes(f"{output}/tile_of_the_first/bands.tif", b"half")
    order_service.outcome, order_service.drop_answers = {"status": "DONE"}, 10 if kind == "image" else 0
    if kind == "image":
        with pytest.raises(ServiceError):
            orders.go_on(order)
        order_service.drop_answers = 0
        assert not orders.go_on(order).is_done  # it waits for its own, and not for what lies beside
        change_notes(orders, begun_at_utc=ago(LOST_S + 1))
    rasters = delivered_rasters(until_done(orders, order)[1], order)
    assert rasters and not any("tile_of_the_first" in name for name in rasters)


def test_an_image_that_the_service_does_not_know_is_waited_for(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["image"](area, *DAYS)
    orders.go_on(order)
    known = dict(order_service.requests)
    order_service.requests.clear()
    assert not orders.go_on(order).is_done
    order_service.requests.update(known)  # it was a proxy's answer
    until_done(orders, order)


def test_an_image_that_is_never_delivered_is_lost(order_service: OrderService, orders: Orders, area: Any) -> None:
    order = ORDERS["image"](area, *DAYS)
    orders.go_on(order)
    forget_for_long(order_service, orders, order)
    with pytest.raises(ServiceError, match=r"LOST: forgotten, and nothing delivered to s3:"):
        orders.go_on(order)
    until_done(orders, order)


def test_a_request_that_the_service_has_forgotten_is_made_anew(
    order_service: OrderService, orders: Orders, area: Any
) -> None:
    order = ORDERS["tiles"](area, *DAYS)
    orders.go_on(order)
    known = dict(order_service.requests)
    order_service.requests.clear()
    assert not orders.go_on(order).is_done  # which may be a proxy's answer
    order_service.requests.update(known)
    assert not orders.go_on(order).is_done and len(order_service.requests) == 1
    forget_for_long(order_service, orders, order)
    with pytest.raises(ServiceError, match=r"LOST: .*HTTP 404"):
        orders.go_on(order)
    until_done(orders, order)
    assert len(order_service.requests) == 1


def test_units_that_the_month_has_not_are_not_ordered(order_service: OrderService, s3_root: str, area: Any) -> None:
    poor = Orders(order_service.settings(s3_root, sh_monthly_units=5.0), "field")
    with pytest.raises(ConfigurationError, match=r"10\.00 processing units predicted; allowed: at most 5"):
        poor.go_on(ORDERS["image"](area, *DAYS))
    assert order_service.requests == {}


def test_what_cannot_be_ordered_is_refused_before(order_service: OrderService, tmp_path: Path, area: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is a folder.*allowed: s3://"):
        Orders(order_service.settings(str(tmp_path)), "field")
    with pytest.raises(ConfigurationError, match="no way into s3://b/p; allowed: PLUMEWATCH_SH_BUCKET_ROLE"):
        Orders(order_service.settings("s3://b/p", sh_bucket_access_key=None), "field")
    with pytest.raises(ParameterError, match="the first day first"):
        image_of(area, "2025-08-02", "2025-08-01")
    with pytest.raises(ParameterError, match="tiling_grid 9; allowed: 0, 1, 2"):
        tiles_of(area, *DAYS, 9)


def test_a_delivery_that_is_not_what_was_asked_for_is_named(
    order_service: OrderService, orders: Orders, area: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ORDERS["image"](area, *DAYS)
    _, folder = until_done(orders, order)
    [raster] = delivered_rasters(folder, order)
    tiles = ORDERS["tiles"](area, *DAYS)
    [tile, _] = delivered_rasters(until_done(orders, tiles)[1], tiles)
    storage.write_bytes(raster, storage.read_bytes(tile))
    with pytest.raises(InputError, match=r"bands.tif: 2 bands of 10 x 10 cells; allowed: B04, B08 of \d+ x \d+ cells"):
        delivered_rasters(folder, order)
