"""How Sentinel Hub's APIs are asked, and what each says of a request, in one form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sentinelhub.api.base import SentinelHubService
from sentinelhub.api.batch.base import BatchRequestStatus, StoppedStatusReason

from plumewatch.catalogues.hub_client import asking
from plumewatch.catalogues.sentinel_hub import SentinelHub
from plumewatch.errors import ConfigurationError, ServiceError

FORBIDDEN = 403

Service = TypeVar("Service", bound=SentinelHubService)


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
    is_gone: bool = False
    """Whether the service doesn't know it any more, and nothing is delivered so far."""
    request_id: str = ""
    """Id that the service gave it."""
    delivered_to: str = ""
    """Folder that it delivers to."""

    @property
    def is_done(self) -> bool:
        """Whether all is delivered."""
        return self.status is BatchRequestStatus.DONE


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
