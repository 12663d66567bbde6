"""What every catalogue can: items of a collection over a place and time, single items, and how rasters are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, Protocol

import pystac

from plumewatch.errors import ServiceError, redact
from plumewatch.rasters.access import Access

MOST_REPEATED = 100  # items in a row that were given before: a page of them, of which a few may be new


class Catalogue(Protocol):
    """A collection of a service. Who searches an area, or fetches a scene of it, knows no more of the service."""

    @property
    def url(self) -> str:
        """Where the service is: what messages name."""
        ...

    @property
    def collection(self) -> str:
        """The collection that is searched."""
        ...

    @property
    def access(self) -> Access:
        """How the rasters of its items are opened."""
        ...

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """Yield the items that meet a geometry (shapely, WGS 84) from `start` to `end`, both included (UTC).

        However cloudy they are: a scene that is left for its cloud is to be known by name.
        Raises ServiceError (retryable unless the service refuses the request) and InputError where the answer is none.
        """
        ...

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where an item of a search is; it holds no signature and no key."""
        ...

    def read_item(self, href: str) -> pystac.Item:
        """Return the item at `href`. Raises ServiceError and InputError as `search_items` does."""
        ...


def without_endless_pages(items: Iterable[dict[str, Any]], url: str) -> Iterator[dict[str, Any]]:
    """Yield the items of a search's pages. ServiceError where the service `url` goes on with what it gave before."""
    seen: set[str] = set()
    n_repeated = 0
    for item in items:
        name = str(item.get("id")) if isinstance(item, dict) else repr(item)
        n_repeated = n_repeated + 1 if name in seen else 0
        if n_repeated > MOST_REPEATED:
            raise ServiceError(f"{redact(url)}: pages without an end: {n_repeated} items in a row were there before")
        seen.add(name)
        yield item
