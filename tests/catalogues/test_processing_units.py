"""The ledger of processing units: set aside under a lock, noted as spent, begun anew each month."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from plumewatch import storage
from plumewatch.catalogues.processing_units import (
    REQUESTS_AT_ONCE,
    UnitsLedger,
    account_name,
    next_month,
    predict_units,
)
from plumewatch.errors import ConfigurationError, QuotaUsedUp, ServiceError
from plumewatch.tables import PROCESSING_UNITS


def ledger_of(root: str, monthly: float = 100.0) -> UnitsLedger:
    return UnitsLedger(root, account_name("https://hub", "me"), monthly)


def test_the_least_that_a_request_costs() -> None:
    assert predict_units(1, 1, 1) == 0.005
    assert predict_units(10, 10, 3) == pytest.approx(0.01)
    assert predict_units(512, 512, 3, n_samples=4) == pytest.approx(4.0)


def test_what_is_spent_replaces_what_was_set_aside(storage_root: str) -> None:
    ledger = ledger_of(storage_root)
    with ledger.spending("dune", "S2A", 10.0) as spending:
        assert ledger.state().used_units == 10.0
        spending.spent_units, spending.n_requests = 7.5, 3
    assert (ledger.state().used_units, ledger.state().n_requests) == (7.5, 3)
    with pytest.raises(ServiceError), ledger.spending("dune", "S2B", 10.0) as spending:
        spending.spent_units = 2.0
        raise ServiceError("busy", 500)
    assert ledger.state().used_units == 9.5 and not ledger.state().was_refused
    [first, _] = storage.read_table(PROCESSING_UNITS, f"{storage_root}/processing_units").to_pylist()
    assert (first["area"], first["scene_id"], first["predicted_units"]) == ("dune", "S2A", 10.0)


def test_workers_side_by_side_never_promise_more_than_the_month_has(storage_root: str) -> None:
    def fetch(number: int) -> bool:
        try:
            with ledger_of(storage_root).spending("dune", f"scene {number}", 30.0) as spending:
                spending.spent_units = 30.0
            return True
        except QuotaUsedUp:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(fetch, range(8))) == 3
    assert ledger_of(storage_root).state().used_units == 90.0


def test_a_process_that_dies_leaves_what_it_had_set_aside(storage_root: str) -> None:
    program = f"""
import os
from plumewatch.catalogues.processing_units import UnitsLedger
with UnitsLedger({storage_root!r}, "account", 100.0).spending("dune", "S2A", 10.0):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    ledger = UnitsLedger(storage_root, "account", 100.0)
    assert ledger.state().used_units == 10.0
    with ledger.spending("dune", "S2A", 5.0) as spending:  # the same scene again
        spending.spent_units = 5.0
    assert ledger.state().used_units == 15.0


def test_no_more_requests_than_turns_are_under_way(storage_root: str) -> None:
    under_way, most = [], []

    def ask(number: int) -> None:
        with ledger_of(storage_root).turn():
            under_way.append(number)
            most.append(len(under_way))
            time.sleep(0.1)
            under_way.remove(number)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(10)))
    assert len(most) == 10 and 2 <= max(most) <= REQUESTS_AT_ONCE


def test_a_used_up_month_says_until_when_and_asks_nothing(storage_root: str) -> None:
    ledger = ledger_of(storage_root, monthly=5.0)
    ledger.note("dune", "search", 0.5, 1)
    too_many = pytest.raises(QuotaUsedUp, match=r"dune S2A: 4.90 processing units, and 4.50 of 5 are left")
    with too_many as raised, ledger.spending("dune", "S2A", 4.9):
        pytest.fail("nothing may be asked")
    assert raised.value.until == next_month(datetime.now(UTC)) and not raised.value.is_retryable
    assert str(raised.value.until) in str(raised.value)
    assert ledger.state().used_units == 0.5


def test_a_scene_dearer_than_a_month_is_a_mistake_and_waits_for_nothing(storage_root: str) -> None:
    ledger = ledger_of(storage_root, monthly=5.0)
    told = r"dune S2A: 5.10 processing units predicted; allowed: at most 5, .*PLUMEWATCH_SH_MONTHLY_UNITS"
    with pytest.raises(ConfigurationError, match=told), ledger.spending("dune", "S2A", 5.1):
        pytest.fail("nothing may be asked")
    assert ledger.state().used_units == 0.0


def test_a_refusal_by_the_service_is_remembered(storage_root: str) -> None:
    ledger = ledger_of(storage_root)
    with pytest.raises(QuotaUsedUp), ledger.spending("dune", "S2A", 1.0):
        raise QuotaUsedUp("403", date(2026, 1, 1))
    assert ledger.state().was_refused and ledger.state().used_units == 0.0


def test_months_and_accounts_have_ledgers_of_their_own(storage_root: str) -> None:
    ledger = ledger_of(storage_root)
    ledger.note("dune", "search", 0.5, 1)
    assert ledger.state().used_units == 0.5
    assert ledger.state(datetime.now(UTC) + timedelta(days=40)).used_units == 0.0
    assert UnitsLedger(storage_root, account_name("https://hub", "you"), 100.0).state().used_units == 0.0
    assert "me" not in account_name("https://hub", "me")
