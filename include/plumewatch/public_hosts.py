"""Hosts that may be asked for what somebody names who isn't to read by it what the worker alone reaches.

That is its own network. It holds for each redirection as for the address itself, and for the number that the name of a
host leads to as for the name; behind a proxy, which resolves names itself, for the name alone.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from plumewatch.errors import InputError, redact

HOST = re.compile(r"[a-z0-9.:_-]+")  # what all who read addresses (urllib3, curl) take for the same host
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
OWN_NAMES = (".localhost", ".local", ".internal")  # RFC 6761, RFC 6762; ICANN 2024-07-29
ALLOWED = "http:// or https:// with a public host or that of a catalogue of the settings or the area"


@dataclass(frozen=True)
class PublicHosts:
    """Hosts of the internet, and some that are set."""

    hosts: frozenset[str] = frozenset()
    """Hosts that are allowed though they aren't public."""
    allowed: str = ALLOWED
    """What an error says of them."""

    def check_address(self, url: str) -> None:
        """Raise InputError for an address that may not be asked."""
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:  # brackets that don't close
            host = ""
        is_http = url.startswith(("http://", "https://"))
        if not is_http or "\\" in url or not url.isprintable() or not HOST.fullmatch(host):
            raise InputError(redact(url), "an address that may not be given", self.allowed)
        if host not in self.hosts and not is_public(host.rstrip(".")):
            raise InputError(redact(url), f"host {host}, which is no public one", self.allowed)

    def check_peer(self, host: str, number: str) -> None:
        """Raise InputError where the name of a host has led to a number of the worker's own network."""
        if host.lower() not in self.hosts and not is_public(number):
            raise InputError(host, f"a name of {number}, which is no public address", self.allowed)


def is_public(host: str) -> bool:
    """Return whether a host is of the internet, by its number (127.1 and 2130706433 are 127.0.0.1) or its name.

    >>> is_public("8.8.8.8"), is_public("2130706433"), is_public("host.org"), is_public("metadata.google.internal")
    (True, False, True, False)
    >>> is_public("64:ff9b::a00:1"), is_public("2002:a00:1::1"), is_public("64:ff9b::808:808")
    (False, False, True)
    """
    try:
        number = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except ValueError:
        return False
    except OSError:  # no number
        return "." in host and not host.endswith(OWN_NAMES)
    inside = getattr(number, "ipv4_mapped", None) or getattr(number, "sixtofour", None)
    if number in NAT64:
        inside = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return bool((inside or number).is_global)


@cache
def guarding(connection: Any, guard: PublicHosts) -> Any:
    """The class of connections that looks at whom it has reached, before anything is sent."""

    class Guarding(connection):
        is_guarding = True

        def _new_conn(self) -> Any:
            reached = super()._new_conn()
            if self.proxy is None:
                try:
                    guard.check_peer(self.host.strip("[]"), reached.getpeername()[0])
                except BaseException:
                    reached.close()
                    raise
            return reached

    return connection if hasattr(connection, "is_guarding") else Guarding
