"""Sentinel Hub: whether the account answers, and what its month has left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from plumewatch.errors import PlumewatchError, QuotaUsedUp, redact
from plumewatch.missing_settings import missing_hub_account
from plumewatch.models import SENTINEL_HUB, Area
from plumewatch.sentinel2.scene_cost import ledger_of, units_left
from plumewatch.settings import Settings

from tools.checks.finding import Finding, missing, ok, problem

PART = "Sentinel Hub"


def check_sentinel_hub(settings: Settings, areas: Sequence[Area]) -> Iterator[Finding]:
    """The account of areas of that catalogue; its connection in Airflow isn't looked at."""
    n_areas = sum(area.catalogue == SENTINEL_HUB for area in areas)
    reason = missing_hub_account(settings)
    if reason and n_areas:
        yield missing(PART, f"{reason} (Airflow's connections are not looked at here)")
    elif reason:
        yield ok(PART, "no account, and no area of the catalogue sentinel_hub needs one")
    else:
        yield from _account(settings, n_areas)


def _account(settings: Settings, n_areas: int) -> Iterator[Finding]:
    from plumewatch.catalogues.sentinel_hub import SentinelHub

    try:
        SentinelHub(settings, "check", retries=0).check_account()
    except QuotaUsedUp as error:
        yield missing(PART, str(error))
    except PlumewatchError as error:
        yield problem(PART, error, is_fatal=n_areas > 0)
    else:
        yield ok(PART, f"{redact(settings.sh_base_url)} answers this account; areas of it: {n_areas}")
    if settings.sh_bucket_role or settings.sh_bucket_access_key or settings.sh_bucket_secret_key:
        yield _deliveries(settings)
    state = ledger_of(settings).state()
    left, month = units_left(settings), datetime.now(UTC).strftime("%Y-%m")
    told = "; the service has said that the month is used up" if state.was_refused else ""
    yield ok(
        PART,
        f"{left:,.2f} of {settings.sh_monthly_units:,g} processing units are left of {month} by the ledger of this "
        f"storage ({state.n_requests} requests){told}; the service itself tells its count in its dashboard only",
    )


def _deliveries(settings: Settings) -> Finding:
    """Whether anything can be ordered; whether the service gets into the bucket its first delivery says."""
    from plumewatch.hub_orders.orders import DELIVERED, Orders

    try:
        Orders(settings, "check")
    except PlumewatchError as error:
        return problem(PART, error, is_fatal=False)
    way = "a role" if settings.sh_bucket_role else "a key of its own"
    return ok(PART, f"what is ordered is delivered to {settings.table_root(DELIVERED)} by {way}")
