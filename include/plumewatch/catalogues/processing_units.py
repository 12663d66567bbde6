"""Processing units of Sentinel Hub: what a request will cost, and a ledger of the month that all workers share.

A scene's units are set aside before its first request, under a lock, so that workers side by side can't promise the
same units twice; what it did cost is noted afterwards. A process that dies in between leaves what was set aside, which
is the most that it can have spent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import cycle
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import ConfigurationError, LockTimeout, QuotaUsedUp
from plumewatch.keys import MONTH
from plumewatch.tables import PROCESSING_UNITS

UNIT_PIXELS = 512 * 512  # docs.sentinel-hub.com/api/latest/api/overview/processing-unit, as all numbers here
UNIT_BANDS = 3
LEAST_SIZE = 0.01
LEAST_UNITS = 0.005  # of a request of the Process API
FACTOR_32_BIT = 2
ACCOUNT_DIGITS = 12
REQUESTS_AT_ONCE = 4
"""Requests of the Process API that all workers together have under way: the limits are by the minute, and who comes too
early waits longer than for a turn."""
TURNS = ".turns"
"""Folder below the storage root whose locks are the turns."""
TURN_TIMEOUT_S, TURN_POLL_S = 600.0, 0.05


def predict_units(width: int, height: int, n_bands: int, *, is_32_bit: bool = False, n_samples: int = 1) -> float:
    """Return the processing units of one request of the Process API.

    (width x height / 512^2, at least 0.01) x bands / 3 x 2 for 32-bit output x samples, at least 0.005; the bands are
    those of the input, without dataMask. 25 x 25 km at 30 m with four bands in 16 bits:

    >>> round(predict_units(833, 833, 4), 2), round(predict_units(2500, 2500, 4, is_32_bit=True), 1)
    (3.53, 63.6)
    """
    size = max(width * height / UNIT_PIXELS, LEAST_SIZE)
    units = size * n_bands / UNIT_BANDS * (FACTOR_32_BIT if is_32_bit else 1) * n_samples
    return max(units, LEAST_UNITS)


def next_month(moment: datetime) -> date:
    """Return the day on which the units of all accounts begin anew: the first of the next month (UTC).

    >>> next_month(datetime(2025, 12, 31, 23, 59, tzinfo=UTC))
    datetime.date(2026, 1, 1)
    """
    return date(moment.year + moment.month // 12, moment.month % 12 + 1, 1)


@dataclass
class Spending:
    """What one scene, or one search, costs while it is asked for."""

    spent_units: float = 0.0
    """Units so far, as the service says, or as predicted where it doesn't."""
    n_requests: int = 0
    """Requests so far."""


@dataclass(frozen=True)
class MonthState:
    """Where an account stands in a month."""

    used_units: float
    """Spent, and set aside by what runs now or has died."""
    n_requests: int
    """Requests that were answered."""
    was_refused: bool
    """Whether the service itself has said that the month is used up."""


@dataclass(frozen=True)
class UnitsLedger:
    """The table `processing_units` of one account."""

    storage_root: str
    """Where the table is."""
    account: str
    """Value of the partition `account=`: tells accounts apart, and not whose they are."""
    monthly_units: float
    """What the account has in a month."""

    @contextmanager
    def spending(self, area: str, scene_id: str, predicted_units: float) -> Iterator[Spending]:
        """Set units aside for the requests of the block, and note afterwards what they did cost.

        The block counts by the `Spending` that it is given. Raises QuotaUsedUp, before anything is asked, where the
        month hasn't so many left, and ConfigurationError where it never has so many.
        """
        begun, spending, is_refused = self.set_aside(area, scene_id, predicted_units), Spending(), False
        try:
            yield spending
        except QuotaUsedUp:
            is_refused = True
            raise
        finally:
            self.settle(begun, area, scene_id, predicted_units, spending, is_refused)

    def set_aside(self, area: str, scene_id: str, predicted_units: float) -> datetime:
        """Set units aside, as `spending` does, for what another process may settle; return when, by which it does."""
        begun = datetime.now(UTC)
        self._set_aside({"begun_at_utc": begun, "area": area, "scene_id": scene_id, "predicted_units": predicted_units})
        return begun

    def settle(
        self, begun: datetime, area: str, scene_id: str, predicted_units: float, spent: Spending,
        is_refused: bool = False,
    ) -> None:  # fmt: skip
        """Note what that was set aside at `begun` did cost."""
        row = {"begun_at_utc": begun, "area": area, "scene_id": scene_id, "predicted_units": predicted_units}
        told = {"spent_units": spent.spent_units, "n_requests": spent.n_requests, "is_refused": is_refused}
        self._change(begun, lambda rows: _replaced(rows, {**row, **told}))

    def note(self, area: str, what: str, spent_units: float, n_requests: int) -> None:
        """Note what was spent without being set aside before: a search, whose price nobody states beforehand."""
        begun = datetime.now(UTC)
        row = {
            "begun_at_utc": begun,
            "area": area,
            "scene_id": what,
            "predicted_units": spent_units,
            "is_refused": False,
        }
        new = PROCESSING_UNITS.from_pylist([{**row, "spent_units": spent_units, "n_requests": n_requests}])
        self._change(begun, lambda rows: pa.concat_tables([rows, new]))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one of REQUESTS_AT_ONCE turns that all workers of the account share, and hold it for the block.

        Raises LockTimeout, which is retryable, where none comes up in TURN_TIMEOUT_S.
        """
        folder = storage.join(self.storage_root, TURNS, self.account)
        deadline = time.monotonic() + TURN_TIMEOUT_S
        with ExitStack() as held:
            for number in cycle(range(REQUESTS_AT_ONCE)):
                with suppress(LockTimeout):
                    held.enter_context(storage.lock(storage.join(folder, str(number)), timeout_s=0.0))
                    break
                if time.monotonic() > deadline:
                    raise LockTimeout(f"{folder}: {REQUESTS_AT_ONCE} requests at once took {TURN_TIMEOUT_S:.0f} s")
                time.sleep(TURN_POLL_S)
            yield

    def state(self, moment: datetime | None = None) -> MonthState:
        """Return where the account stands in the month of a moment, now where None."""
        month = (moment or datetime.now(UTC)).strftime(MONTH)
        where = {"account": self.account, "month": month}
        rows = storage.read_table(PROCESSING_UNITS, storage.join(self.storage_root, PROCESSING_UNITS.name), where=where)
        return MonthState(
            used_units(rows), pc.sum(rows["n_requests"]).as_py() or 0, pc.any(rows["is_refused"]).as_py() or False
        )

    def _set_aside(self, row: dict[str, Any]) -> None:
        begun, wanted = row["begun_at_utc"], row["predicted_units"]
        if wanted > self.monthly_units:
            raise ConfigurationError(
                f"{row['area']} {row['scene_id']}: {wanted:.2f} processing units predicted; allowed: at most "
                f"{self.monthly_units:g}, what a month has (PLUMEWATCH_SH_MONTHLY_UNITS): make the area smaller, or "
                "its pixels larger"
            )

        def add(rows: pa.Table) -> pa.Table:
            left = self.monthly_units - used_units(rows)
            if wanted > left:
                until = next_month(begun)
                raise QuotaUsedUp(
                    f"{row['area']} {row['scene_id']}: {wanted:.2f} processing units, and {max(left, 0):.2f} of "
                    f"{self.monthly_units:g} are left of this month; it is fetched from {until} on",
                    until,
                )
            return pa.concat_tables(
                [rows, PROCESSING_UNITS.from_pylist([{**row, "n_requests": 0, "is_refused": False}])]
            )

        self._change(begun, add)

    def _change(self, begun: datetime, change: Any) -> None:
        keys = {"account": self.account, "month": begun.strftime(MONTH)}
        storage.change_rows(PROCESSING_UNITS, storage.join(self.storage_root, PROCESSING_UNITS.name), keys, change)


def account_name(base_url: str, client_id: str) -> str:
    """Return what an account is called in the ledger: the same for all workers, and no secret."""
    return hashlib.sha256(f"{base_url} {client_id}".encode()).hexdigest()[:ACCOUNT_DIGITS]


def used_units(rows: pa.Table) -> float:
    """Return the units of rows of `processing_units`: those spent, else those set aside."""
    return float(pc.sum(pc.coalesce(rows["spent_units"], rows["predicted_units"])).as_py() or 0.0)


def _replaced(rows: pa.Table, row: dict[str, Any]) -> pa.Table:
    new = PROCESSING_UNITS.from_pylist([row])
    same = pc.and_(pc.equal(rows["begun_at_utc"], new["begun_at_utc"][0]), pc.equal(rows["scene_id"], row["scene_id"]))
    same = pc.and_(same, pc.equal(rows["area"], row["area"]))
    return pa.concat_tables([rows.filter(pc.invert(same)), new])
