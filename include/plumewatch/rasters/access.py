"""How the rasters of a service are opened: as they are, or with what the service wants to see first."""

from __future__ import annotations

from fsspec import AbstractFileSystem

from plumewatch import storage
from plumewatch.public_hosts import PublicHosts

FILES_AT_ONCE = 4  # files of a scene, where the service doesn't count connections


class Access:
    """Opens rasters as they are; a service that wants a signature or keys of its own has a class over this one."""

    guard: PublicHosts | None = None
    """Says which addresses may be asked; None: all. With one GDAL asks nobody itself: it knows no guard."""

    def signed(self, href: str) -> str:
        """Return the address (http, https) at which `href` is to be had now. It is for the reading alone: not kept,
        not shown."""
        return href

    def renew(self, href: str, refused: str) -> bool:
        """Forget the signature of the address that `signed` gave and that was `refused`; whether it can be another."""
        return False

    def filesystem(self, href: str) -> tuple[AbstractFileSystem, str]:
        """Return who reads a `href` that isn't had by HTTP, and its path there."""
        return storage.filesystem(href)

    def connections(self, href: str) -> int:
        """Return how many files of the scene that `href` belongs to may be read at once; four tasks fetch scenes."""
        return FILES_AT_ONCE


AS_IS = Access()
"""For rasters that anybody may read, and those of the storage."""
