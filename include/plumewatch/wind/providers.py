"""Where wind comes from: PLUMEWATCH_WIND names products, in the order in which they are asked, or a path of files.

A product is one module and one entry in PRODUCTS.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import ConfigurationError, PlumewatchError, ServiceError, redact
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.settings import Settings
from plumewatch.statuses import WIND_STAGE
from plumewatch.tables import WIND
from plumewatch.wind import files
from plumewatch.wind.era5 import ERA5
from plumewatch.wind.files import OnFailure
from plumewatch.wind.geos_fp import GEOS_FP
from plumewatch.wind.product import NoWindYet, Product, WindRequest

PRODUCTS: dict[str, Product] = {product.name: product for product in (GEOS_FP, ERA5)}
"""By the name that PLUMEWATCH_WIND has for it."""
SHOWN = 3  # requests that a message names

log = logging.getLogger(__name__)


def fetch_wind(settings: Settings, requests: Sequence[WindRequest], on_failure: OnFailure | None = None) -> list[str]:
    """Bring the wind that is requested into the storage's table `wind`; return the partitions written.

    Nothing set is no wind. Products are asked one after the other, each for what the ones before it lack; what is
    stored already is not fetched again. What no product has is reported to `on_failure` (stage `wind`), as is every
    error that cost some wind. Without `on_failure` such an error is raised, after all else is stored, and a wind that
    merely isn't there yet is a warning.

    Raises ConfigurationError where the setting is neither known products nor a path that exists.
    """
    if not settings.wind or not requests:
        return []
    if products := _products(settings.wind):
        return _fetch_from_products(products, settings, requests, on_failure)
    if not storage.exists(settings.wind):
        found, known = f"PLUMEWATCH_WIND: {settings.wind!r}", ", ".join(PRODUCTS)
        raise ConfigurationError(f"{found}; allowed: products ({known}) or a path that exists")
    written, missing = list[str](), list[WindRequest]()
    root = settings.table_root(WIND.name)
    for day, of_day in followed(_by_day(requests), "wind files copied", "days"):
        bounds = sorted({request.bounds for request in of_day})
        written += files.copy_wind(settings.wind, settings.storage_root, day, bounds, on_failure)
        missing += _not_copied(root, day, of_day)
    if missing:
        error = NoWindYet(
            f"{settings.wind}: no row within 1 degree and 6 hours of {len(missing)} of {len(requests)} requests: "
            f"{_some(missing)}"
        )
        log.warning("wind: %s", error)
        if on_failure is not None:
            name = settings.wind.rstrip("/").rsplit("/", 1)[-1]
            on_failure(FailedScene.from_exception(error, scene_id=name, stage=WIND_STAGE, asset=settings.wind))
    return sorted(set(written))


def missing_wind(settings: Settings, requests: Sequence[WindRequest]) -> list[WindRequest]:
    """Return the requests whose wind the storage lacks, of what is set: all products, or files; nothing set lacks none.

    Raises what reading the table `wind` raises.
    """
    if not settings.wind:
        return []
    root = settings.table_root(WIND.name)
    if products := _products(settings.wind):
        return _not_stored(root, products, requests)
    return [request for day, of_day in _by_day(requests) for request in _not_copied(root, day, of_day)]


def _products(setting: str) -> list[Product]:
    """The products that are set; none where it is a path of files."""
    names = [name.strip() for name in setting.split(",")]
    return [PRODUCTS[name] for name in names] if all(name in PRODUCTS for name in names) else []


def _by_day(requests: Sequence[WindRequest]) -> list[tuple[date, list[WindRequest]]]:
    return [(day, list(of_day)) for day, of_day in groupby(sorted(requests, key=_day), key=_day)]


def _some(requests: Sequence[WindRequest]) -> str:
    return "; ".join(str(request) for request in requests[:SHOWN]) + ("; ..." if len(requests) > SHOWN else "")


def _day(request: WindRequest) -> date:
    return request.start.date()


def _fetch_from_products(
    products: Sequence[Product], settings: Settings, requests: Sequence[WindRequest], on_failure: OnFailure | None
) -> list[str]:
    root = settings.table_root(WIND.name)
    missing = _not_stored(root, products, requests)
    log.info("wind: %d of %d requests are stored already", len(requests) - len(missing), len(requests))
    written: list[str] = []
    errors: list[tuple[Product, PlumewatchError]] = []
    for product in products:
        if not missing:
            break
        try:
            rows = product.read(product.url(settings), product.wanted(missing))
        except PlumewatchError as error:
            log.warning("wind: %s: %s", product.name, error)
            errors.append((product, error))
            continue
        except Exception as error:  # whatever a service's answer does to a reader, the next product is asked
            log.exception("wind: %s", product.name)
            message = f"{product.name}: an answer that can't be read ({type(error).__name__}: {redact(str(error))})"
            errors.append((product, ServiceError(message)))
            continue
        written += _store(root, product, rows)
        n_asked, missing = len(missing), _not_stored(root, [product], missing)
        log.info(
            "wind: %s has %d of %d requests, %d rows", product.name, n_asked - len(missing), n_asked, rows.num_rows
        )
    if missing:
        _report(products, missing, errors, on_failure)
    return sorted(set(written))


def _report(
    products: Sequence[Product],
    missing: Sequence[WindRequest],
    errors: Sequence[tuple[Product, PlumewatchError]],
    on_failure: OnFailure | None,
) -> None:
    """Say what wind is missing and why."""
    shown = _some(missing)
    names = ", ".join(product.name for product in products)
    answered = [p.name for p in products if p.name not in {product.name for product, _ in errors}]
    nothing = NoWindYet(f"{', '.join(answered)}: no wind, or not yet, of {len(missing)} places and times: {shown}")
    log.warning("wind: missing from %s for %d places and times: %s", names, len(missing), shown)
    if on_failure is None:
        if errors:
            raise errors[0][1]
        return
    first = min(request.start for request in missing)
    for name, error in [*((p.name, e) for p, e in errors), *([(", ".join(answered), nothing)] if answered else [])]:
        on_failure(FailedScene.from_exception(error, scene_id=f"{name} {first:%Y-%m-%d}", stage=WIND_STAGE))


def _not_stored(root: str, products: Sequence[Product], requests: Sequence[WindRequest]) -> list[WindRequest]:
    """The requests of which the storage lacks a value of each product."""
    missing = list(requests)
    for product in products:
        if not missing:
            break
        days = {str(at.date()) for request in missing for at in product.times(request)}
        where = {"product": product.name, "date": days}
        stored = storage.read_table(WIND, root, WIND.schema.names, where=where)
        codes = [product.codes_of(request) for request in missing]
        begins = np.cumsum([0, *map(len, codes[:-1])])
        is_stored = np.isin(np.concatenate(codes), product.codes_in(stored))  # of all at once: each call sorts
        is_whole = np.logical_and.reduceat(is_stored, begins)
        missing = [request for request, whole in zip(missing, is_whole, strict=True) if not whole]
    return missing


def _not_copied(root: str, day: date, requests: Sequence[WindRequest]) -> list[WindRequest]:
    """The requests of a day of which the storage has no row near."""
    near = {str(day + timedelta(days=step)) for step in (-1, 0, 1)}
    stored = storage.read_table(WIND, root, ["longitude", "latitude", "observed_at_utc"], where={"date": near})
    return [request for request in requests if not files.has_wind_around(stored, request)]


def _store(root: str, product: Product, rows: pa.Table) -> list[str]:
    """Put rows of a product into its partitions, in place of those of the same node, time and height."""
    dates = pc.strftime(rows["observed_at_utc"], "%Y-%m-%d")
    written = []
    for day in sorted(set(dates.to_pylist())):
        of_day = rows.filter(pc.equal(dates, day))
        codes, first = np.unique(product.codes_in(of_day), return_index=True)  # blocks of the grid may overlap
        written.append(
            storage.replace_rows(
                WIND,
                root,
                {"product": product.name, "date": day},
                of_day.take(pa.array(first)),
                owns=lambda existing, codes=codes: pa.array(np.isin(product.codes_in(existing), codes)),  # type: ignore[misc]
            )
        )
    return written
