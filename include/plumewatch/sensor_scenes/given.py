"""Items at addresses that a run is given: of the internet and of the catalogues that are set, nothing else.

Whoever may start a run may name an address, but is not to read by it what the worker alone reaches: its files, buckets
by the storage's keys, its own network. Names are not resolved, and redirections are followed.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
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
from plumewatch.rasters.access import Access
from plumewatch.rasters.reading import is_http
from plumewatch.sensors.known import SENSORS
from plumewatch.settings import Settings, address_flaw

ITEM = f"a STAC item of {', '.join(sensor.title for sensor in SENSORS)}"
ALLOWED = "http:// or https:// with a public host or that of a catalogue of the settings or the area"
HOST = re.compile(r"[a-z0-9.:_-]+")  # what all who read addresses (urllib3, curl) take for the same host
OWN_NAMES = (".localhost", ".local", ".internal")  # RFC 6761, RFC 6762; ICANN 2024-07-29


def read_given(settings: Settings, area: Area, href: str) -> tuple[pystac.Item, Access]:
    """Return the item at a given address, and how its rasters are opened, by the host of that address.

    Raises InputError where the address isn't one that may be given, and where there is no item; the rasters that the
    item names are held to the same when they are opened.
    """
    hosts = _hosts(settings, area)
    _check_address(href, hosts, ALLOWED)
    content: Any = read_json(href)
    if not isinstance(content, dict):
        raise InputError(redact(href), f"a {type(content).__name__}", ITEM)
    with reading(redact(href), ITEM):
        item = item_of(with_file_name(content, href, None), href)
    return item, GivenAccess(access_of(href, settings), hosts)


@dataclass(frozen=True)
class GivenAccess(Access):
    """Opens what an item of a given address may name: rasters of such addresses, and s3://eodata."""

    inner: Access
    """How they are opened."""
    hosts: Collection[str]
    """Hosts that are allowed though they aren't public."""

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
            _check_address(href, self.hosts, f"{ALLOWED}, or {BUCKET}")


def _hosts(settings: Settings, area: Area) -> set[str]:
    """The hosts of the catalogues that are set."""
    services = (settings.stac_api, settings.pc_stac_api, settings.maxar_catalogue, area.stac_api or "")
    return {str(urlsplit(url.strip()).hostname) for url in services if address_flaw(url.strip()) is None}


def _check_address(href: str, hosts: Collection[str], allowed: str) -> None:
    try:
        host = urlsplit(href).hostname or ""
    except ValueError:  # brackets that don't close
        host = ""
    if not is_http(href) or "\\" in href or not href.isprintable() or not HOST.fullmatch(host):
        raise InputError(redact(href), "an address that may not be given", allowed)
    if host not in hosts and not _is_public(host.rstrip(".")):
        raise InputError(redact(href), f"host {host}, which is no public one", allowed)


def _is_public(host: str) -> bool:
    """Whether a host is of the internet, by its number (127.1 and 2130706433 are 127.0.0.1) or its name."""
    try:
        number = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except ValueError:
        return False
    except OSError:  # no number
        return "." in host and not host.endswith(OWN_NAMES)
    return (getattr(number, "ipv4_mapped", None) or number).is_global
