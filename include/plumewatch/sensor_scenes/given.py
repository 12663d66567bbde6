"""Items at addresses that a run is given: of the internet and of the catalogues that are set, nothing else.

Whoever may start a run may name an address, but is not to read by it what the worker alone reaches: its files, buckets
by the storage's keys, its own network (`public_hosts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pystac
from fsspec import AbstractFileSystem

from plumewatch.catalogues.data_space import BUCKET
from plumewatch.catalogues.services import access_of
from plumewatch.catalogues.stac import item_of, read_json
from plumewatch.catalogues.static import with_file_name
from plumewatch.errors import InputError, reading, redact
from plumewatch.models import Area
from plumewatch.public_hosts import ALLOWED, PublicHosts
from plumewatch.rasters.access import Access
from plumewatch.sensors.known import SENSORS
from plumewatch.settings import Settings, address_flaw

ITEM = f"a STAC item of {', '.join(sensor.title for sensor in SENSORS)}"


def read_given(settings: Settings, area: Area, href: str) -> tuple[pystac.Item, Access]:
    """Return the item at a given address, and how its rasters are opened, by the host of that address.

    Raises InputError where the address isn't one that may be given, and where there is no item; the rasters that the
    item names are held to the same when they are opened.
    """
    guard = PublicHosts(_hosts(settings, area))
    guard.check_address(href)
    content: Any = read_json(href, guard)
    if not isinstance(content, dict):
        raise InputError(redact(href), f"a {type(content).__name__}", ITEM)
    with reading(redact(href), ITEM):
        item = item_of(with_file_name(content, href, None), href)
    return item, GivenAccess(access_of(href, settings), guard)


@dataclass(frozen=True)
class GivenAccess(Access):
    """Opens what an item of a given address may name: rasters of such addresses, and s3://eodata."""

    inner: Access
    """How they are opened."""
    guard: PublicHosts
    """Which addresses may be asked."""

    def signed(self, href: str) -> str:
        """As the access inside; InputError where the address isn't allowed."""
        self._check(href)
        return self.inner.signed(href)

    def renew(self, href: str, refused: str) -> bool:
        """As the access inside."""
        return self.inner.renew(href, refused)

    def filesystem(self, href: str) -> tuple[AbstractFileSystem, str]:
        """As the access inside; InputError where the address isn't allowed."""
        self._check(href)
        return self.inner.filesystem(href)

    def connections(self, href: str) -> int:
        """As the access inside."""
        return self.inner.connections(href)

    def _check(self, href: str) -> None:
        if not href.startswith(BUCKET):
            replace(self.guard, allowed=f"{ALLOWED}, or {BUCKET}").check_address(href)


def _hosts(settings: Settings, area: Area) -> frozenset[str]:
    """The hosts of the catalogues that are set."""
    services = (settings.stac_api, settings.pc_stac_api, settings.maxar_catalogue, area.stac_api or "")
    return frozenset(str(urlsplit(url.strip()).hostname) for url in services if address_flaw(url.strip()) is None)
