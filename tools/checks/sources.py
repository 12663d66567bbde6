"""What comes in: the services that are asked, and the files that are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from plumewatch import storage
from plumewatch.catalogues.answering import TIMEOUT_S, why_unreachable
from plumewatch.catalogues.data_space import HOST as DATA_SPACE
from plumewatch.catalogues.data_space import KEYS, EodataAccess
from plumewatch.catalogues.odata import is_odata
from plumewatch.catalogues.services import STAC, catalogue_of
from plumewatch.errors import ConfigurationError, InputError, PlumewatchError, redact, some_of
from plumewatch.http import PatientAdapter
from plumewatch.inventory.refresh import MAX_NAMED, NAMES, inventory_files
from plumewatch.missing_settings import NO_INVENTORIES, NO_TOKEN, NO_WIND_SOURCE
from plumewatch.models import Area
from plumewatch.oco2.archive.cmr import count_granules
from plumewatch.oco2.archive.listing import read_listing
from plumewatch.settings import CMR, Settings
from plumewatch.wind.product import Product
from plumewatch.wind.providers import PRODUCTS

from tools.checks.finding import Finding, missing, ok, problem

MOST_NAMED = 5


def check_catalogues(settings: Settings, areas: Sequence[Area]) -> Iterator[Finding]:
    """Each STAC API that an area is searched in."""
    of_stac = [area for area in areas if area.catalogue == STAC]
    for url in sorted({area.stac_api or settings.stac_api for area in of_stac} or {settings.stac_api}):
        try:
            access = catalogue_of(Area("", None, stac_api=url), settings).access
        except ConfigurationError as error:
            yield problem("catalogue", error)
            continue
        if reason := why_unreachable(url):
            yield problem("catalogue", f"{url}: {reason}; `sentinel2_daily_ingest` needs it", is_fatal=False)
        else:
            yield ok("catalogue", f"{redact(url)} answers")
        of_data_space = urlsplit(url).hostname == DATA_SPACE or is_odata(url)
        if of_data_space and isinstance(access, EodataAccess) and access.unset:
            told = f"{' and '.join(access.unset)} not set: scenes of {redact(url)} fail without {KEYS}"
            yield missing("catalogue", told)


def check_granules(settings: Settings) -> Finding:
    """Where Lite files of OCO-2 and OCO-3 come from."""
    if settings.granules == CMR:
        return _cmr_state(settings)
    try:
        listing = read_listing(settings.granules)
    except (PlumewatchError, OSError) as error:
        return problem("granules", f"PLUMEWATCH_GRANULES: {error}")
    months = sorted({granule.month for granule in listing.granules})
    if not months:
        return missing(
            "granules", f"{settings.granules} holds no Lite file of OCO-2 or OCO-3; {len(listing.refused)} refused"
        )
    return ok(
        "granules",
        f"{len(listing.granules)} of {months[0]} to {months[-1]} in {settings.granules}; "
        f"{len(listing.superseded)} superseded, {len(listing.refused)} refused",
    )


def _cmr_state(settings: Settings) -> Finding:
    try:
        n_granules = count_granules(settings.cmr_url)
    except PlumewatchError as error:
        return problem("granules", f"{error}; `oco2_monthly_extraction` needs it", is_fatal=False)
    return ok("granules", f"{redact(settings.cmr_url)} answers: {n_granules:,} in the newest collection")


def check_earthdata(settings: Settings) -> Finding:
    """The account that downloads of granules need; whether it is accepted only a download shows."""
    part = "NASA Earthdata"
    if settings.earthdata_token:
        used = "not tried" if settings.granules == CMR else "not needed: granules come from a folder"
        return ok(part, f"EARTHDATA_TOKEN is set ({used})")
    if settings.granules != CMR:
        return ok(part, "not needed: granules come from a folder")
    return missing(part, f"{NO_TOKEN} (Airflow's connections are not looked at here)")


def check_wind(settings: Settings) -> Iterator[Finding]:
    """Where wind comes from: each product is asked, in the order of the setting."""
    if not settings.wind:
        yield missing("wind", NO_WIND_SOURCE)
        return
    names = [name.strip() for name in settings.wind.split(",")]
    if all(name in PRODUCTS for name in names):
        yield from (_product_state(PRODUCTS[name], settings) for name in names)
        return
    products = ", ".join(PRODUCTS)
    try:
        allowed = f"products ({products}) or a path that exists"
        files, others = files_of("PLUMEWATCH_WIND", settings.wind, storage.PARQUET_SUFFIXES, allowed)
        unread = f"; not read: {some_of(others, MOST_NAMED)}" if others else ""
        yield ok("wind", f"{len(files)} Parquet files in {settings.wind}{unread}")
    except ConfigurationError as error:
        yield problem("wind", error)


def _product_state(product: Product, settings: Settings) -> Finding:
    url = product.url(settings)
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, Impatient(retries=0))
            last = product.last_hour(session, url)
    except Exception as error:  # noqa: BLE001 - whatever a service's answer does to a reader, the rest is checked
        text = str(error) if isinstance(error, PlumewatchError) else f"{url}: {type(error).__name__}: {error}"
        return problem("wind", f"{product.name}: {text}; both ingest DAGs need it", is_fatal=False)
    return ok("wind", f"{product.name}: {redact(url)} answers: to {last:%Y-%m-%d %H:%M} UTC")


class Impatient(PatientAdapter):
    """Asks once, and waits for as long as a check may take, whatever the caller would."""

    def send(self, *arguments: Any, **more: Any) -> requests.Response:
        """Send a request."""
        return super().send(*arguments, **{**more, "timeout": TIMEOUT_S})


def check_inventories(settings: Settings) -> Finding:
    """Where inventories come from."""
    if not settings.inventories:
        return missing("inventories", NO_INVENTORIES)
    try:
        files_of("PLUMEWATCH_INVENTORIES", settings.inventories, ("",), "a path that exists")
    except ConfigurationError as error:
        return problem("inventories", error)
    found, unread = inventory_files(settings.inventories)
    known = [inventory.name for inventory, files in found.items() if files]
    if not known:
        return problem("inventories", f"{settings.inventories}: no inventory among its files; allowed: {NAMES}")
    beside = f"; not read: {some_of(unread, MAX_NAMED)}" if unread else ""
    return ok("inventories", f"{', '.join(known)} in {settings.inventories}{beside}")


def files_of(setting: str, path: str, suffixes: tuple[str, ...], allowed: str) -> tuple[list[str], list[str]]:
    """Return the files of a path that a setting names, and the names of those of other endings, hidden ones left out.

    ConfigurationError where there is no file of these endings.
    """
    try:
        if not storage.exists(path):
            raise ConfigurationError(f"{setting}={path} doesn't exist; allowed: {allowed}")
        there = storage.visible_files(path)
    except (InputError, OSError) as error:
        raise ConfigurationError(f"{setting}={path} cannot be listed: {error}") from error
    files = [file for file in there if file.lower().endswith(suffixes)]
    if not files:
        raise ConfigurationError(f"{setting}={path}: no {' or '.join(suffixes)} file in it")
    names = {file.rsplit("/", 1)[-1] for file in there} - {file.rsplit("/", 1)[-1] for file in files}
    return files, sorted(name for name in names if not name.startswith((".", "_")))
