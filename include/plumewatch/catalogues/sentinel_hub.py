"""Sentinel Hub, on services.sentinel-hub.com or on the Copernicus Data Space: accounts, and its Catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pystac
from sentinelhub import CRS, DataCollection, Geometry, SentinelHubCatalog
from sentinelhub import SHConfig as HubConfig

from plumewatch.catalogues.catalogue import without_endless_pages
from plumewatch.catalogues.hub_client import RATE_LIMIT_TRIES, HubClient, asking
from plumewatch.catalogues.processing_units import UnitsLedger, account_name
from plumewatch.errors import ConfigurationError, InputError, ServiceError, reading, redact
from plumewatch.geodesy import split_at_180
from plumewatch.keys import is_file_name
from plumewatch.missing_settings import missing_hub_account
from plumewatch.models import DEFAULT_COLLECTION
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.settings import Settings

MAIN_URL = "https://services.sentinel-hub.com"
COPERNICUS_URL = "https://sh.dataspace.copernicus.eu"
TOKEN_URLS = {
    MAIN_URL: f"{MAIN_URL}/auth/realms/main/protocol/openid-connect/token",
    COPERNICUS_URL: "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
}
"""Where the tokens of the two services come from."""
MAIN_DOMAIN = ".sentinel-hub.com"  # its deployments elsewhere take the tokens of the main one
PRODUCT_SUFFIX = ".SAFE"  # the Copernicus Data Space ends its ids by it
ITEM = "an item of Sentinel Hub's Catalog"
_DEFINING = Lock()


class SentinelHub:
    """The collection sentinel-2-l2a of one account, for one area; belongs to one thread."""

    access: Access = AS_IS  # it has no files to open: its pixels are made by the Process API

    def __init__(self, settings: Settings, area: str, retries: int | None = None) -> None:
        """`retries`: fewer than usual of what a busy service refuses.

        Raises ConfigurationError where there is no account, or nobody says where its tokens come from."""
        self.config = _config(settings)
        self.area = area
        account = account_name(self.url, self.config.sh_client_id)
        self.ledger = UnitsLedger(settings.storage_root, account, settings.sh_monthly_units)
        self.client = HubClient(self.config, retries)
        self.data_collection = _collection_at(self.url)
        self._catalog = SentinelHubCatalog(config=self.config)
        self._catalog.client = self.client

    @property
    def url(self) -> str:
        """The service."""
        return str(self.config.sh_base_url)

    @property
    def collection(self) -> str:
        """Its collection of surface reflectance."""
        return DEFAULT_COLLECTION

    def check_account(self) -> None:
        """Ask what the collection is, for nothing: the account and the service go together, or one of them says why.

        Raises ServiceError, QuotaUsedUp, InputError where they don't.
        """
        with asking(self.url, "a Catalog API"):
            self._catalog.get_collection(self.data_collection)

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """Yield the items that meet a geometry (shapely, WGS 84) from `start` to `end`, both included (UTC).

        What the search has cost is noted in the ledger. Raises ServiceError, QuotaUsedUp where the month is used up,
        and InputError where the answer isn't a Catalog's.
        """
        place = Geometry(split_at_180(geometry), CRS.WGS84)
        times = (f"{start.isoformat()}T00:00:00Z", f"{end.isoformat()}T23:59:59Z")
        before = self.client.spent_units, self.client.n_requests
        try:
            with asking(self.url, "a Catalog API"):
                found = self._catalog.search(self.data_collection, geometry=place, time=times)
                for item in without_endless_pages(found, self.url):
                    if not isinstance(item, dict):
                        raise InputError(redact(self.url), f"an item that is a {type(item).__name__}", "a Catalog API")
                    yield with_product_name(item)
        finally:
            spent, n_requests = self.client.spent_units - before[0], self.client.n_requests - before[1]
            if spent:
                self.ledger.note(self.area, "search", spent, n_requests)

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where an item is kept."""
        return f"{self._catalog.service_url}/collections/{self.collection}/items/{item.get('id')}"

    def read_item(self, href: str) -> pystac.Item:
        """Return the item at `href`: of it the id is asked for, of this account's service.

        Raises ServiceError, QuotaUsedUp and InputError as `search_items` does.
        """
        item_id = href.rstrip("/").rsplit("/", 1)[-1]
        if not is_file_name(item_id):
            raise InputError(redact(href), f"id {item_id!r}", "an id that files can be named by")
        with asking(self.url, ITEM):
            content = self._catalog.get_feature(self.data_collection, item_id)
        with reading(redact(href), ITEM, "not a STAC item"):
            if content["id"] != item_id:
                raise ServiceError(f"{redact(href)}: another item, {content['id']}")
            return pystac.Item.from_dict(with_product_name(content), href=self.item_href(content), migrate=False)


def _collection_at(url: str) -> DataCollection:
    """The client's description of the collection at a service: its URL goes before that of the configuration."""
    known = DataCollection.SENTINEL2_L2A
    with _DEFINING:
        return known if known.service_url == url else known.define_from(f"plumewatch {url}", service_url=url)


def with_product_name(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item whose properties hold the product's name, which this Catalog uses as id.

    From it everybody reads tile and relative orbit, and here the processing baseline, which the Catalog doesn't state.
    """
    if not isinstance(item.get("properties") or {}, dict):
        return item  # who reads it names it
    name = str(item.get("id")).removesuffix(PRODUCT_SUFFIX)
    properties = {"s2:product_uri": f"{name}{PRODUCT_SUFFIX}", **(item.get("properties") or {})}
    if baseline := re.search(r"_N(\d\d)(\d\d)_", name):
        properties.setdefault("s2:processing_baseline", f"{baseline[1]}.{baseline[2]}")
    return {**item, "properties": properties}


def token_url(settings: Settings) -> str:
    """Return where tokens come from. Raises ConfigurationError where nobody says it."""
    base_url = settings.sh_base_url.rstrip("/")
    known = MAIN_URL if str(urlsplit(base_url).hostname).endswith(MAIN_DOMAIN) else base_url
    if found := settings.sh_token_url or TOKEN_URLS.get(known):
        return found
    raise ConfigurationError(
        f"SH_BASE_URL={redact(base_url)}: set SH_TOKEN_URL too; known without: {', '.join(TOKEN_URLS)}"
    )


def _config(settings: Settings) -> HubConfig:
    """The client's configuration; by its defaults, as it would else write a file into the home folder."""
    if reason := missing_hub_account(settings):
        raise ConfigurationError(reason)
    return HubConfig(
        use_defaults=True,
        sh_client_id=settings.sh_client_id,
        sh_client_secret=settings.sh_client_secret,
        sh_base_url=settings.sh_base_url.rstrip("/"),
        sh_token_url=token_url(settings),
        max_retries=RATE_LIMIT_TRIES,
        max_download_attempts=1,  # our own session has tried again by then
    )


def time_range(observed_at: datetime, margin_s: float) -> tuple[datetime, datetime]:
    """Return the whole seconds around a time by which the service is asked for just that acquisition."""
    whole = observed_at.replace(microsecond=0)
    later = whole if whole == observed_at else whole + timedelta(seconds=1)
    return whole - timedelta(seconds=margin_s), later + timedelta(seconds=margin_s)
