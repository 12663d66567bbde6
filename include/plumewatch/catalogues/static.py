"""Static STAC catalogues: files that name each other, without anybody who searches them.

They are walked from the root down, past branches whose stated extent misses the place or the time of a question.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlsplit

import pystac
import shapely
from pystac.utils import make_absolute_href

from plumewatch.catalogues.stac import ITEM, check_version, item_of, read_json, without_local_files
from plumewatch.errors import InputError, ServiceError, reading, redact
from plumewatch.http import side_by_side
from plumewatch.rasters.access import AS_IS, Access

DEEPEST = 6  # levels of catalogues: Maxar's has three (events, an event, an acquisition of it)
ROOTS = ("/catalog.json", "/collection.json")  # names of files, by the best practices of STAC
NOT_FOUND = 404
CATALOGUE = "a STAC catalogue or collection as JSON"

log = logging.getLogger(__name__)


def is_static(url: str) -> bool:
    """Whether an address is that of a file, so that there is no API to be searched.

    >>> is_static("https://host/events/catalog.json"), is_static("https://host/v1")
    (True, False)
    """
    return urlsplit(url).path.endswith(ROOTS)


@dataclass(frozen=True)
class StaticCatalogue:
    """All that a static catalogue has (`Catalogue`)."""

    url: str
    """Its root."""
    collection: str
    """What all its items count as: collections are branches there."""
    access: Access = AS_IS
    """How its rasters are opened."""

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """Yield the items that meet a geometry (shapely, WGS 84) from `start` to `end`, both included (UTC).

        A branch or an item that isn't there (404) is named in the log and passed over, as such catalogues have dead
        links. Raises ServiceError where one isn't delivered, InputError where it is none.
        """
        asked = (geometry, *(datetime.combine(day, at, UTC) for day, at in ((start, time.min), (end, time.max))))
        branches, seen = [self.url], {self.url}
        for _ in range(DEEPEST):
            items: list[str] = []
            children: list[str] = []
            for href, content in self._read(branches):
                with reading(redact(href), CATALOGUE):
                    if not _may_meet(content.get("extent") or {}, *asked):
                        continue
                    for link in content.get("links") or ():
                        found = make_absolute_href(str(link["href"]), href)
                        kind = {"child": children, "item": items}.get(str(link.get("rel")))
                        if kind is not None and found not in seen:
                            seen.add(found)
                            kind.append(found)
            yield from (with_file_name(item, href, self.collection) for href, item in self._read(items))
            if not (branches := children):
                return
        raise InputError(redact(self.url), f"catalogues in catalogues, {DEEPEST} deep", "a tree of STAC catalogues")

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where an item of a search is: its file."""
        return str(next(link["href"] for link in item["links"] if link["rel"] == "self"))

    def read_item(self, href: str) -> pystac.Item:
        """Return the item at `href`, by the id that a search gives it."""
        with reading(redact(href), ITEM):
            item = item_of(with_file_name(read_json(href), href, self.collection), href)
        return without_local_files(item, href)

    def _read(self, hrefs: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what is at each address, side by side."""
        for href, content in zip(hrefs, side_by_side(_read_or_none, hrefs, self.collection, "files"), strict=True):
            if content is None:
                log.warning("%s: isn't there, though the catalogue names it: left out", redact(href))
            elif not isinstance(content, dict):
                raise InputError(redact(href), f"a {type(content).__name__}", CATALOGUE)
            else:
                check_version(content, href)
                yield href, content


def _read_or_none(href: str) -> Any:
    try:
        return read_json(href)
    except ServiceError as error:
        if error.http_status == NOT_FOUND:
            return None
        raise


def with_file_name(item: Mapping[str, Any], href: str, collection: str | None) -> dict[str, Any]:
    """Return an item with an id that files can be named by (Maxar's are paths), its own address, and a collection."""
    links = [link for link in item.get("links") or () if link.get("rel") != "self"]
    name = str(item.get("id")).replace("/", "-")
    return {
        **item,
        "id": name,
        "collection": collection or item.get("collection"),
        "links": [*links, {"rel": "self", "href": href}],
    }


def _may_meet(extent: Mapping[str, Any], geometry: Any, start: datetime, end: datetime) -> bool:
    """Whether what is in a branch may meet place and time, by its stated extent; one that states none may."""
    boxes = (extent.get("spatial") or {}).get("bbox") or []
    west_to_north = [box if len(box) == 4 else [*box[:2], *box[3:5]] for box in boxes]
    if boxes and not any(_box(*box).intersects(geometry) for box in west_to_north):
        return False
    spans = (extent.get("temporal") or {}).get("interval") or []
    return not spans or any((_time(a) or start) <= end and (_time(b) or end) >= start for a, b in spans)


def _box(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """A STAC bbox in degrees; its west is east of its east where it lies over 180 degrees (RFC 7946, 5.2)."""
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.union(shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north))


def _time(text: Any) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(str(text))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
