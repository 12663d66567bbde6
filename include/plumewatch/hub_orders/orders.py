"""Orders: what Sentinel Hub is asked to make in its own time, remembered until it is there.

An order is called after all that is asked for. Whoever asks the same again, after a kill too, finds the request that is
under way, or what it has delivered, and pays nothing twice. The batch APIs make a request for nothing and charge what
is started: its id is stored in between. The asynchronous one starts at once: where it isn't known whether a request
has arrived, its delivery is awaited for LOST_S before it is asked for again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from sentinelhub.api.batch.base import BatchRequestStatus
from sentinelhub.api.utils import AccessSpecification, s3_specification

from plumewatch import storage
from plumewatch.catalogues.processing_units import Spending, next_month
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import (
    ConfigurationError,
    InputError,
    PlumewatchError,
    QuotaUsedUp,
    ServiceError,
    reading,
    redact,
)
from plumewatch.hub_orders.asking import RequestState, granted
from plumewatch.settings import Settings

NOTES = ".hub_orders"
"""Folder below the storage root: a note an order."""
DELIVERED = "sentinel_hub"
"""Folder below the storage root that all is delivered to."""
LOST_S = 3600.0  # an image of 10,000 x 10,000 px takes minutes
LONGEST_S = 7 * 86_400.0  # since it was started; the service forgets a request that nothing happens to after 7 days
TOKEN_DIGITS = 16
ATTEMPT = "%Y%m%dT%H%M%S.%f"
"""What the folder of an attempt is called by: when it was asked for."""
NOT_FOUND = 404

log = logging.getLogger(__name__)


@dataclass
class _Note:
    """What is remembered of an order, as JSON."""

    api: str
    area: str
    what: str
    begun_at_utc: str
    """When it was asked for."""
    delivered_to: str
    """Of this attempt alone: what an earlier one has left is none of its."""
    booked_units: float
    """Units of the ledger's row that isn't settled."""
    booked_at_utc: str | None
    """By which the ledger knows that row; None where all are settled."""
    settled_units: float = 0.0
    """Of the rows that are: a request that stops and goes on has one in each month."""
    request_id: str | None = None
    """None as long as no answer has come."""
    started_at_utc: str | None = None
    """When it was started last."""
    gone_at_utc: str | None = None
    """Since when the service doesn't know it, and nothing is delivered."""
    is_stopped: bool = False
    """Whether it waits for units."""
    is_done: bool = False
    spent_units: float | None = None
    """None where the service doesn't say."""

    def store(self, path: str) -> None:
        storage.write_json(path, asdict(self))

    def told(self, state: RequestState) -> RequestState:
        return replace(state, request_id=self.request_id or "", delivered_to=self.delivered_to)


class Order(ABC):
    """What is asked of one of the APIs."""

    title: ClassVar[str]
    """Of the API."""
    kind: ClassVar[str]
    """Folder of what it delivers."""
    starts_at_once: ClassVar[bool] = False
    """Whether a request is charged as soon as it is made."""
    area: str
    """What the ledger calls it by: an area, or a file of zones."""

    @property
    @abstractmethod
    def what(self) -> str:
        """What it is of that."""

    @property
    @abstractmethod
    def units(self) -> float:
        """Processing units that are set aside."""

    @abstractmethod
    def asked(self) -> dict[str, Any]:
        """Return all that is asked for, as what JSON holds, without keys."""

    @abstractmethod
    def create(self, hub: SentinelHub, path: str, access: AccessOf) -> str:
        """Make the request, which delivers to `path`; return its id."""

    def start(self, hub: SentinelHub, request_id: str) -> None:  # noqa: B027 - nothing to do where it starts at once
        """Have a request that was made begin."""

    @abstractmethod
    def state(self, hub: SentinelHub, request_id: str, path: str) -> RequestState:
        """Ask how far a request is."""


@dataclass(frozen=True)
class AccessOf:
    """How Sentinel Hub reads and writes the storage's bucket."""

    role: str | None
    access_key: str | None
    secret_key: str | None

    def to(self, path: str) -> AccessSpecification:
        """Return what a request states of a path."""
        keys = {} if self.role else {"access_key": self.access_key, "secret_access_key": self.secret_key}
        return s3_specification(path, iam_role_arn=self.role, **keys)


class Orders:
    """The orders of one account."""

    def __init__(self, settings: Settings, name: str) -> None:
        """`name`: of an area or a file of zones. Raises ConfigurationError where there is no account, no bucket, or no
        way for Sentinel Hub into it."""
        root = settings.storage_root
        if storage.is_local(root):
            found = f"PLUMEWATCH_STORAGE_ROOT {root} is a folder, and Sentinel Hub delivers to buckets"
            raise ConfigurationError(f"{found}; allowed: s3://bucket/prefix")
        self._access = AccessOf(settings.sh_bucket_role, settings.sh_bucket_access_key, settings.sh_bucket_secret_key)
        if not self._access.role and not (self._access.access_key and self._access.secret_key):
            allowed = "PLUMEWATCH_SH_BUCKET_ROLE, or PLUMEWATCH_SH_BUCKET_ACCESS_KEY and _SECRET_KEY"
            raise ConfigurationError(f"Sentinel Hub has no way into {root}; allowed: {allowed}")
        self.root, self.hub = root, SentinelHub(settings, name)

    def go_on(self, order: Order) -> RequestState:
        """Ask for what wasn't asked for, start what wasn't started, and return how far it is.

        Raises QuotaUsedUp where the month's units don't suffice or the service has stopped for want of them (the next
        call goes on), ConfigurationError where the account's plan lacks the API, ServiceError where the request has
        failed (the next call asks anew) or gets no answer.
        """
        note_path = self._note_path(order)
        with storage.lock(storage.parent(note_path)):
            note = _read_note(note_path) if storage.exists(note_path) else None
            if note and note.is_done:
                if storage.list_files(note.delivered_to):
                    return note.told(RequestState(BatchRequestStatus.DONE, 100.0, note.spent_units))
                log.warning("%s: delivered, and removed since: it is asked for anew", note.delivered_to)
                note = None
            if note and note.request_id is None and self._is_lost(order, note):
                note = None
            if note is None:
                note = self._ask(order, note_path)
            if note.request_id is None:
                return note.told(RequestState(BatchRequestStatus.PROCESSING, told="asked for; no answer so far"))
            state = self._state(order, note, note.request_id, note_path)
            self._note_state(order, note, state, note_path)
            return note.told(state)

    def forget(self, *orders: Order) -> None:
        """Have whoever asks the same again be asking anew: what was delivered has been used."""
        for order in orders:
            note_path = self._note_path(order)
            with storage.lock(storage.parent(note_path)):
                storage.delete(note_path)

    def _note_path(self, order: Order) -> str:
        return storage.join(self.root, NOTES, self._token(order), "order.json")

    def _token(self, order: Order) -> str:
        asked = [self.hub.ledger.account, order.kind, order.area, order.asked()]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:TOKEN_DIGITS]

    def _ask(self, order: Order, note_path: str) -> _Note:
        """Set the units aside, make the request, and return the note of it, which is stored before and after."""
        begun = self.hub.ledger.set_aside(order.area, order.what, order.units)
        folder = storage.join(self.root, DELIVERED, order.kind, self._token(order), f"{begun:{ATTEMPT}}")
        note = _Note(
            order.title, order.area, order.what, begun.isoformat(), folder, order.units, begun.isoformat()
        )  # fmt: skip
        note.store(note_path)
        try:
            with granted(self.hub, order.title):
                note.request_id = order.create(self.hub, folder, self._access)
        except PlumewatchError as error:
            status = error.http_status  # behind a 5xx of a gateway the request may have arrived
            is_refused = isinstance(error, QuotaUsedUp | ConfigurationError) or (status is not None and status < 500)
            if is_refused or not order.starts_at_once:
                self._settle(order, note, 0.0, isinstance(error, QuotaUsedUp))
                storage.delete(note_path)
            raise
        note.started_at_utc = note.begun_at_utc if order.starts_at_once else None
        note.store(note_path)
        log.info("%s: %s of %s is request %s", order.title, order.what, order.area, note.request_id)
        return note

    def _is_lost(self, order: Order, note: _Note) -> bool:
        """Whether a request that got no answer is given up. One that has delivered is known by the folder it made."""
        for file in storage.list_files(note.delivered_to):
            note.request_id = file.removeprefix(note.delivered_to).strip("/").split("/")[0]
            return False
        if _seconds_since(note.begun_at_utc) < LOST_S:
            return False
        self._settle(order, note, 0.0)
        return True

    def _state(self, order: Order, note: _Note, request_id: str, note_path: str) -> RequestState:
        """How far the request is, started where it isn't."""
        try:
            with granted(self.hub, order.title):
                state = order.state(self.hub, request_id, note.delivered_to)
        except ServiceError as error:
            if error.http_status != NOT_FOUND:
                raise
            return RequestState(BatchRequestStatus.PROCESSING, told=str(error), is_gone=True)
        goes_on = state.is_out_of_units and note.is_stopped
        if not goes_on and state.status not in (BatchRequestStatus.CREATED, BatchRequestStatus.ANALYSIS_DONE):
            return state
        if goes_on and note.booked_at_utc is None:
            note.booked_units = max(order.units - note.settled_units, 0.0)
            note.booked_at_utc = self.hub.ledger.set_aside(order.area, order.what, note.booked_units).isoformat()
        if goes_on or note.started_at_utc is None:
            note.started_at_utc = datetime.now(UTC).isoformat()
            note.store(note_path)  # before: it may be started though no answer comes
        with granted(self.hub, order.title):
            order.start(self.hub, request_id)
        note.is_stopped = False
        return replace(state, status=BatchRequestStatus.PROCESSING, is_out_of_units=False)

    def _note_state(self, order: Order, note: _Note, state: RequestState, note_path: str) -> None:
        """Note where a request is; raise where it has ended without what was asked for."""
        told = f"{redact(self.hub.url)}: {order.title}: {order.what} of {order.area}, request {note.request_id}"
        note.gone_at_utc = (note.gone_at_utc or datetime.now(UTC).isoformat()) if state.is_gone else None
        is_lost = note.gone_at_utc is not None and _seconds_since(note.gone_at_utc) >= LOST_S
        waited_s = _seconds_since(note.started_at_utc or note.begun_at_utc)
        if state.is_out_of_units:
            if not note.is_stopped:
                self._settle(order, note, state.spent_units, is_refused=True)
            note.is_stopped = True
            note.store(note_path)
            until = next_month(datetime.now(UTC))
            raise QuotaUsedUp(f"{told}, stopped at {state.percent:.0f} %: the account has no units left", until)
        if state.is_done:
            self._settle(order, note, state.spent_units)
            note.is_done, note.spent_units = True, state.spent_units
            note.store(note_path)
        elif is_lost or state.status in (BatchRequestStatus.FAILED, BatchRequestStatus.STOPPED):
            self._settle(order, note, state.spent_units)
            storage.delete(note_path)
            ended = "LOST" if is_lost else state.status.value
            raise ServiceError(f"{told}, {ended}: {redact(state.told) or 'the service says no more'}")
        elif waited_s > LONGEST_S:
            storage.delete(note_path)
            raise ServiceError(f"{told}, {state.status.value} after {waited_s / 86_400.0:.0f} days: given up")
        else:
            note.store(note_path)

    def _settle(self, order: Order, note: _Note, total_units: float | None, is_refused: bool = False) -> None:
        """Note in the ledger what the request did cost, less what is noted of it already."""
        known = note.booked_units if note.booked_at_utc else 0.0
        units = known if total_units is None else max(total_units - note.settled_units, 0.0)
        if note.booked_at_utc:
            booked = datetime.fromisoformat(note.booked_at_utc)
            self.hub.ledger.settle(booked, order.area, order.what, note.booked_units, Spending(units, 1), is_refused)
        elif units:  # it went on without us
            self.hub.ledger.note(order.area, order.what, units, 1)
        note.settled_units, note.booked_at_utc = note.settled_units + units, None


def _read_note(path: str) -> _Note:
    """What is remembered at a path; InputError where it is something else."""
    with reading(path, "the note of an order at Sentinel Hub (without it the order is made, and paid, anew)"):
        stated = dict(storage.read_json(path))
        if "units" in stated:  # of before 2026-12, when an order had one row of the ledger
            at = None if stated["is_done"] else stated["begun_at_utc"]
            stated |= {"booked_units": stated["units"], "booked_at_utc": at, "started_at_utc": stated["begun_at_utc"]}
        return _Note(**{field.name: stated[field.name] for field in fields(_Note) if field.name in stated})


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def require_delivered(path: str, files: list[str], wanted: str) -> None:
    """Raise InputError where a request that is done hasn't delivered anything of what was asked for."""
    if not files:
        raise InputError(path, "nothing delivered by a request that is done", wanted)
