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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from sentinelhub.api.base import SentinelHubService
from sentinelhub.api.batch.base import BatchRequestStatus, StoppedStatusReason
from sentinelhub.api.utils import AccessSpecification, s3_specification

from plumewatch import storage
from plumewatch.catalogues.hub_client import asking
from plumewatch.catalogues.processing_units import Spending, next_month
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import ConfigurationError, InputError, PlumewatchError, QuotaUsedUp, ServiceError, redact
from plumewatch.settings import Settings

NOTES = ".hub_orders"
"""Folder below the storage root: a note an order."""
DELIVERED = "sentinel_hub"
"""Folder below the storage root that all is delivered to."""
LOST_S = 3600.0  # an image of 10,000 x 10,000 px takes minutes
LONGEST_S = 7 * 86_400.0  # the service forgets a request that nothing happens to after 7 days
TOKEN_DIGITS = 16
FORBIDDEN, NOT_FOUND = 403, 404

Service = TypeVar("Service", bound=SentinelHubService)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestState:
    """How far a request is."""

    status: BatchRequestStatus
    """As the batch APIs call it."""
    percent: float = 0.0
    """Share that is done."""
    spent_units: float | None = None
    """Processing units; None where the service doesn't say."""
    told: str = ""
    """What the service says of it."""
    is_out_of_units: bool = False
    """Whether it was stopped as the account has none left."""
    request_id: str = ""
    """Id that the service gave it."""

    @property
    def is_done(self) -> bool:
        """Whether all is delivered."""
        return self.status is BatchRequestStatus.DONE


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

    def path_of(self, order: Order) -> str:
        """Return the folder that an order is delivered to."""
        return storage.join(self.root, DELIVERED, order.kind, self._token(order))

    def go_on(self, order: Order) -> RequestState:
        """Ask for what wasn't asked for, start what wasn't started, and return how far it is.

        Raises QuotaUsedUp where the month's units don't suffice or the service has stopped for want of them (the next
        call goes on), ConfigurationError where the account's plan lacks the API, ServiceError where the request has
        failed (the next call asks anew) or gets no answer.
        """
        path, note_path = self.path_of(order), self._note_path(order)
        with storage.lock(storage.parent(note_path)):
            note: dict[str, Any] | None = storage.read_json(note_path) if storage.exists(note_path) else None
            if note and note["is_done"]:
                if storage.list_files(path):
                    return RequestState(
                        BatchRequestStatus.DONE, 100.0, note["spent_units"], request_id=note["request_id"]
                    )
                log.warning("%s: delivered, and removed since: it is asked for anew", path)
                note = None
            if note and note["request_id"] is None and self._is_lost(order, note, path):
                note = None
            if note is None:
                note = self._ask(order, path, note_path)
            if note["request_id"] is None:
                return RequestState(BatchRequestStatus.PROCESSING, told="asked for; no answer so far")
            try:
                state = self._state(order, note, path)
            except ServiceError as error:
                if error.http_status == NOT_FOUND:  # the service forgets what nothing happens to for a month
                    self._settle(order, note, None)
                    storage.delete(note_path)
                raise
            self._note_state(order, note, state, note_path)
            return replace(state, request_id=note["request_id"])

    def forget(self, order: Order) -> None:
        """Have whoever asks the same again be asking anew: what was delivered has been used."""
        note_path = self._note_path(order)
        with storage.lock(storage.parent(note_path)):
            storage.delete(note_path)

    def _note_path(self, order: Order) -> str:
        return storage.join(self.root, NOTES, self._token(order), "order.json")

    def _token(self, order: Order) -> str:
        asked = [self.hub.ledger.account, order.kind, order.area, order.asked()]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:TOKEN_DIGITS]

    def _ask(self, order: Order, path: str, note_path: str) -> dict[str, Any]:
        """Set the units aside, make the request, and return the note of it, which is stored before and after."""
        begun = self.hub.ledger.set_aside(order.area, order.what, order.units)
        note = {
            "request_id": None, "begun_at_utc": begun.isoformat(), "units": order.units, "spent_units": None,
            "is_done": False, "is_stopped": False, "api": order.title, "area": order.area, "what": order.what,
            "delivered_to": path,
        }  # fmt: skip
        storage.write_json(note_path, note)
        try:
            with granted(self.hub, order.title):
                note["request_id"] = order.create(self.hub, path, self._access)
        except PlumewatchError as error:
            status = error.http_status  # behind a 5xx of a gateway the request may have arrived
            is_refused = isinstance(error, QuotaUsedUp | ConfigurationError) or (status is not None and status < 500)
            if is_refused or not order.starts_at_once:
                self._settle(order, note, 0.0, isinstance(error, QuotaUsedUp))
                storage.delete(note_path)
            raise
        storage.write_json(note_path, note)
        log.info("%s: %s of %s is request %s", order.title, order.what, order.area, note["request_id"])
        return note

    def _is_lost(self, order: Order, note: dict[str, Any], path: str) -> bool:
        """Whether a request that got no answer is given up. One that has delivered is known by the folder it made."""
        for file in storage.list_files(path):
            note["request_id"] = file.removeprefix(path).strip("/").split("/")[0]
            return False
        if (datetime.now(UTC) - datetime.fromisoformat(note["begun_at_utc"])).total_seconds() < LOST_S:
            return False
        self._settle(order, note, 0.0)
        return True

    def _state(self, order: Order, note: dict[str, Any], path: str) -> RequestState:
        """How far the request is, started where it isn't."""
        with granted(self.hub, order.title):
            state = order.state(self.hub, note["request_id"], path)
            can_go_on = state.is_out_of_units and note["is_stopped"]
            if can_go_on or state.status in (BatchRequestStatus.CREATED, BatchRequestStatus.ANALYSIS_DONE):
                order.start(self.hub, note["request_id"])
                note["is_stopped"] = False
                return replace(state, status=BatchRequestStatus.PROCESSING, is_out_of_units=False)
        return state

    def _note_state(self, order: Order, note: dict[str, Any], state: RequestState, note_path: str) -> None:
        """Note where a request is; raise where it has ended without what was asked for."""
        told = f"{redact(self.hub.url)}: {order.title}: {order.what} of {order.area}, request {note['request_id']}"
        waited_s = (datetime.now(UTC) - datetime.fromisoformat(note["begun_at_utc"])).total_seconds()
        if state.is_out_of_units:
            storage.write_json(note_path, {**note, "is_stopped": True})
            until = next_month(datetime.now(UTC))
            raise QuotaUsedUp(f"{told}, stopped at {state.percent:.0f} %: the account has no units left", until)
        if state.is_done:
            self._settle(order, note, state.spent_units)
            storage.write_json(note_path, {**note, "is_done": True, "spent_units": state.spent_units})
        elif state.status in (BatchRequestStatus.FAILED, BatchRequestStatus.STOPPED):
            self._settle(order, note, state.spent_units)
            storage.delete(note_path)
            raise ServiceError(f"{told}, {state.status.value}: {redact(state.told) or 'the service says no more'}")
        elif waited_s > LONGEST_S:
            storage.delete(note_path)
            raise ServiceError(f"{told}, {state.status.value} after {waited_s / 86_400.0:.0f} days: given up")
        else:
            storage.write_json(note_path, note)

    def _settle(self, order: Order, note: dict[str, Any], units: float | None, is_refused: bool = False) -> None:
        spent = Spending(note["units"] if units is None else units, 1)
        begun = datetime.fromisoformat(note["begun_at_utc"])
        self.hub.ledger.settle(begun, order.area, order.what, note["units"], spent, is_refused)


class PlanLacks(ConfigurationError):
    """The account may not use an API: its plan, or a right in it, is missing."""

    http_status = FORBIDDEN


@contextmanager
def granted(hub: SentinelHub, title: str) -> Iterator[None]:
    """Ask an API in the block, with the project's errors; PlanLacks where the account may not (403)."""
    try:
        with asking(hub.url, f"a {title}"):
            yield
    except ServiceError as refused:
        if refused.http_status != FORBIDDEN:
            raise
        allowed = "an account whose plan has it (docs/sentinel_hub.md)"
        raise PlanLacks(f"the account's plan has no {title}: {refused}; allowed: {allowed}") from refused


def service_of(kind: type[Service], hub: SentinelHub) -> Service:
    """Return sentinelhub-py's class of an API, asked by the client of the project."""
    service = kind(config=hub.config)
    service.client = hub.client
    return service


def state_of_batch(request: Any) -> RequestState:
    """Return how far one of the batch APIs says that a request is (sentinelhub-py's dataclass of it)."""
    reason = getattr(request, "stopped_status_reason", None) or request.other_data.get("stoppedStatusReason")
    spent = getattr(request, "cost_PU", getattr(request, "cost_pu", None))
    is_stopped = request.status is BatchRequestStatus.STOPPED
    out_of_units = is_stopped and str(getattr(reason, "value", reason)) == StoppedStatusReason.OUT_OF_PU.value
    told = "; ".join(str(one) for one in (request.error, getattr(reason, "value", reason)) if one)
    return RequestState(request.status, request.completion_percentage or 0.0, spent, told, out_of_units)


def require_delivered(path: str, files: list[str], wanted: str) -> None:
    """Raise InputError where a request that is done hasn't delivered anything of what was asked for."""
    if not files:
        raise InputError(path, "nothing delivered by a request that is done", wanted)
