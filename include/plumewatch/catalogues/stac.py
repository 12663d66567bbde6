"""STAC catalogues: the items of a collection over a place and time, and single items from wherever they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pystac
import requests
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry import mapping

from plumewatch import storage
from plumewatch.catalogues.catalogue import without_endless_pages
from plumewatch.errors import ConfigurationError, InputError, PlumewatchError, ServiceError, reading, redact
from plumewatch.geodesy import split_at_180
from plumewatch.http import (
    MAX_MESSAGE,
    SEARCH_TIMEOUT_S,
    Pace,
    download_existing,
    http_session,
    make_patient,
    no_answer,
)
from plumewatch.keys import is_file_name
from plumewatch.public_hosts import PublicHosts
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.settings import address_flaw

ITEM = "a STAC item as JSON"
VERSION = "1."  # its drafts (1.0.0-beta.2) too, which the first Earth Search writes
REQUESTS_PER_S = 150.0  # what THREADS ask of one that answers in 50 ms; Amazon's API Gateway grants an account 10,000
PAGE_ITEMS = 100  # the largest page that all public catalogues grant

log = logging.getLogger(__name__)


class StacApi:
    """A STAC API as several threads ask it: by one session, its landing page once, and at a pace."""

    def __init__(self, url: str, requests_per_s: float = REQUESTS_PER_S) -> None:
        """`url` is that of the landing page; no path of a file (ConfigurationError), which would be opened."""
        if flaw := address_flaw(url):
            raise ConfigurationError(f"STAC API {redact(url)!r}: {flaw}; allowed: an address such as https://host/v1")
        self.url, self.requests_per_s = url, requests_per_s
        self._stac_io = StacApiIO(max_retries=None, timeout=SEARCH_TIMEOUT_S)
        make_patient(self._stac_io.session, pace=Pace(requests_per_s))
        self._client: Client | None = None
        self._lock = Lock()  # the first that comes reads the landing page, and finds out whether there is a host at all

    def client(self) -> Client:
        """Return the client that its landing page makes; what goes wrong raises what pystac_client raises."""
        with self._lock:
            if self._client is None:
                self._client = Client.open(self.url, stac_io=self._stac_io, timeout=SEARCH_TIMEOUT_S)
            return self._client


@dataclass(frozen=True)
class StacCatalogue:
    """A collection of a STAC API (`Catalogue`)."""

    api: StacApi
    """Who is asked."""
    collection: str
    """The collection that is searched."""
    access: Access = AS_IS
    """How its rasters are opened."""

    @property
    def url(self) -> str:
        """The API's landing page."""
        return self.api.url

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """As `search_items` of this module."""
        return search_items(self.api, self.collection, geometry, start, end)

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where an item of a search is: what it says itself, else where APIs keep items; without account."""
        return item_href(item, _without_account(self.url), self.collection)

    def read_item(self, href: str) -> pystac.Item:
        """As `read_item` of this module, with the API's own account where its address has one."""
        api, asked = urlsplit(self.url), urlsplit(href)
        if asked.hostname != api.hostname or asked.query or asked.username:
            return read_item(href)
        return read_item(urlunsplit(asked._replace(netloc=api.netloc, query=api.query)), named=href)


def search_items(service: StacApi, collection: str, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
    """Yield the items of a collection that meet a geometry (shapely, WGS 84) from `start` to `end`, both included.

    The geometry is sent as RFC 7946 wants it: two-dimensional, within -180 to 180 degrees, cut at the antimeridian.
    What the service makes of the question is its own: the caller looks at place, time and collection of each item.

    Raises ServiceError (retryable unless the service refuses the request) and InputError where the answer isn't STAC.
    """
    period = f"{start.isoformat()}T00:00:00Z/{end.isoformat()}T23:59:59.999Z"
    place = mapping(split_at_180(geometry))
    api = service.url
    try:
        found = service.client().search(collections=[collection], intersects=place, datetime=period, limit=PAGE_ITEMS)
        for item in without_endless_pages(found.items_as_dicts(), api):
            if not isinstance(item, dict):
                raise InputError(redact(api), f"an item that is a {type(item).__name__}", "a STAC API")
            yield item
    except PlumewatchError:
        raise
    except APIError as error:
        if isinstance(error.__context__, requests.RequestException):
            raise no_answer(api, error.__context__) from error
        status = getattr(error, "status_code", None)
        told = redact(str(error))[:MAX_MESSAGE]
        raise ServiceError(f"{redact(api)}: {status or 'no answer'}: {told}", status) from error
    except requests.RequestException as error:
        raise no_answer(api, error) from error
    except ValueError as error:  # an HTML page of a proxy or of maintenance, with status 200
        raise ServiceError(f"{redact(api)}: an answer that isn't JSON: {redact(str(error))[:200]}") from error
    except Exception as error:  # pystac's own, and what it raises of objects of another form
        raise InputError(redact(api), f"not a STAC API with item search ({error})", "a STAC API") from error


def check_version(item: dict[str, Any], name: str) -> None:
    """Raise InputError where an item isn't written in STAC 1: what it says may mean something else.

    Before 1.0, for instance, an asset's bands were numbers.
    """
    version = item.get("stac_version")
    if not str(version).startswith(VERSION):
        raise InputError(redact(name), f"stac_version {version!r}", "1.0.0, 1.1.0 or another of version 1")


def item_href(item: dict[str, Any], api: str, collection: str) -> str:
    """Return where an item of a search is: what it says itself, else where STAC APIs keep items."""
    usual = f"{api.rstrip('/')}/collections/{collection}/items/{item.get('id')}"
    with reading(usual, ITEM):
        links = {link.get("rel"): link.get("href") for link in item.get("links") or ()}
        return str(links.get("self") or usual)


def _without_account(url: str) -> str:
    """Return an address without what a user's account puts into it: user and password, a query with a key."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def read_item(href: str, named: str | None = None) -> pystac.Item:
    """Return the STAC item at `href` (http, https, s3 or a file), its assets' hrefs resolved against it.

    `named` is what it calls itself where `href` holds an account.

    Raises ServiceError where a service doesn't deliver it or gives a page in its place (retryable), InputError where it
    is missing or isn't a STAC item.
    """
    return without_local_files(item_of(read_json(href), href, named), href)


def read_json(href: str, guard: PublicHosts | None = None) -> Any:
    """Return the JSON at `href` (http, https, s3 or a file); raises as `read_item` does.

    What is had by HTTP comes from where a `guard` allows it.
    """
    is_http = href.startswith(("http://", "https://"))
    text = _read_http(href, guard) if is_http else _read_stored(href)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if is_http:  # a page of a proxy or of maintenance with status 200, as at the search, or half an item
            raise ServiceError(f"{redact(href)}: an answer that isn't JSON: {redact(str(error))[:200]}") from error
        raise InputError(redact(href), f"not JSON ({error})", ITEM) from error


def item_of(content: Any, href: str, named: str | None = None) -> pystac.Item:
    """Return the item that a JSON of `href` is; arguments and errors as those of `read_item`."""
    with reading(href, ITEM, "not a STAC item"):
        check_version(content, href)
        item = pystac.Item.from_dict(content, href=named or href, migrate=False)
        for asset in item.assets.values():
            asset.href = asset.get_absolute_href() or asset.href
    if not is_file_name(item.id):
        raise InputError(redact(href), f"id {item.id!r}", "an id that files can be named by")
    return item


def without_local_files(item: pystac.Item, href: str) -> pystac.Item:
    """Return an item of `href` without the assets that name a file of this machine, where it is from elsewhere."""
    for key, asset in list(item.assets.items()):
        if storage.is_local(asset.href) and not storage.is_local(href):
            found = f"asset {key} at {asset.href}, which would be a file of this machine"
            log.warning("%s: %s; allowed: http, https, s3", redact(href), found)
            del item.assets[key]
    return item


def _read_http(href: str, guard: PublicHosts | None) -> bytes:
    with http_session(guard=guard) as session:
        return download_existing(session, href)


def _read_stored(href: str) -> bytes:
    try:
        return storage.read_bytes(href)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(href, "no such file", ITEM) from error
    except PlumewatchError:
        raise
    except ValueError as error:  # half of a character, or a NUL
        raise InputError(redact(href), "an address that cannot be one", ITEM) from error
    except OSError as error:
        raise ServiceError(f"{redact(href)}: {redact(str(error))[:MAX_MESSAGE]}") from error
