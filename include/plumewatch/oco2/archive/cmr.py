"""Granules in CMR, the catalogue of NASA's archives, which answers without an account.

Collections are those that the version table has as searched; granules are read in the form umm_json (UMM-G).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection as Group
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests

from plumewatch.errors import InputError, ServiceError, redact
from plumewatch.http import MAX_MESSAGE, ask
from plumewatch.oco2.archive.earthdata import EarthdataSession
from plumewatch.oco2.archive.listing import (
    LITE_NAME,
    GranuleListing,
    GranuleRef,
    RefusedGranule,
    StatedContent,
    month_in_name,
    newest_of_each_day,
    parse_granule,
)
from plumewatch.oco2.archive.versions import Collection, collections
from plumewatch.orbits import OCO2

PATH = "/search/granules.umm_json"
PAGE_GRANULES = 100  # CMR grants up to 2000; a month of one collection has at most 31
HITS, SEARCH_AFTER = "CMR-Hits", "CMR-Search-After"
DATA_LINK = "GET DATA"
# UMM-G states a size in bytes, or in a unit of which it doesn't say whether it counts by 1000 or by 1024, rounded.
UNIT_BYTES = {"KB": (1e3, 2**10), "MB": (1e6, 2**20), "GB": (1e9, 2**30)}
SIZE_ROUNDING = 0.005
CHECKSUMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")  # as hashlib calls them; others aren't compared

log = logging.getLogger(__name__)


def search_granules(cmr_url: str, month: str, sensors: Group[str] = (OCO2,)) -> GranuleListing:
    """Return the granules of a month (YYYY-MM) in all searched collections of some sensors: of each UTC day the newest.

    The path of a granule is the address to download it from. Raises ServiceError where CMR doesn't answer as agreed,
    or hands out fewer granules than it counts: a listing is whole or none.
    """
    found: dict[str, GranuleRef] = {}
    refused: list[RefusedGranule] = []
    with EarthdataSession() as session:
        for collection in collections():
            if not collection.is_searched or collection.sensor not in sensors:
                continue
            for item in _items(session, cmr_url, collection, month):
                try:
                    granule = _granule(item)
                    found.setdefault(granule.name, granule)
                except InputError as error:
                    name = str(_of(item, "umm", "GranuleUR") or error.file)
                    refused.append(RefusedGranule(name, error.file, error, month_in_name(f"{name} {error.file}")))
    return newest_of_each_day(list(found.values()), refused, month)


def count_granules(cmr_url: str) -> int:
    """Return how many granules CMR has of the newest collection, without repeating a request that fails."""
    newest = next(collection for collection in collections() if collection.is_searched)
    with EarthdataSession(retries=0) as session:
        return _hits(_page(session, cmr_url, {**_named(newest), "page_size": 0}, {}))


def _items(session: EarthdataSession, cmr_url: str, collection: Collection, month: str) -> Iterator[dict[str, Any]]:
    """All items of a collection that reach into a month, page by page."""
    query = {**_named(collection), "temporal": _period(month), "page_size": PAGE_GRANULES, "sort_key": "start_date"}
    headers: dict[str, str] = {}
    seen: set[str] = set()
    n_items = 0
    while True:
        answer = _page(session, cmr_url, query, headers)
        items = answer.json()["items"]
        yield from items
        n_items += len(items)
        cursor = answer.headers.get(SEARCH_AFTER)
        if not items or cursor is None or cursor in seen or n_items > _hits(answer):
            break
        seen.add(cursor)
        headers = {SEARCH_AFTER: cursor}
    if n_items != _hits(answer):
        raise ServiceError(f"{redact(answer.url)}: {n_items} granules of the {_hits(answer)} that {HITS} counts")
    log.info("CMR has %d granules of %s in %s", n_items, collection.name, month)


def _named(collection: Collection) -> dict[str, str]:
    if collection.concept_id:
        return {"collection_concept_id": collection.concept_id}
    return {"short_name": collection.short_name, "version": collection.version}


def _period(month: str) -> str:
    first = date.fromisoformat(f"{month}-01")
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return f"{first}T00:00:00.000Z,{last}T23:59:59.999Z"


def _page(session: EarthdataSession, cmr_url: str, query: dict[str, Any], headers: dict[str, str]) -> requests.Response:
    """Return one answer, in JSON of the agreed form."""
    answer = ask(session, cmr_url.rstrip("/") + PATH, params=query, headers=headers)
    where = redact(answer.url)
    if answer.status_code != requests.codes.ok:
        text = redact(" ".join(answer.text.split()))[:MAX_MESSAGE]  # {"errors": ["..."]}
        raise ServiceError(f"{where}: HTTP {answer.status_code}: {text}", answer.status_code)
    try:
        content = answer.json()
    except ValueError as error:  # a page of a proxy or of maintenance, with status 200
        raise ServiceError(f"{where}: an answer that isn't JSON: {redact(str(error))[:MAX_MESSAGE]}") from error
    if not isinstance(content, dict) or not isinstance(content.get("items"), list) or _hits_text(answer) is None:
        raise ServiceError(f"{where}: no answer of CMR; expected JSON with items, and the header {HITS}")
    return answer


def _hits_text(answer: requests.Response) -> str | None:
    text = answer.headers.get(HITS, "")
    return text if re.fullmatch(r"[0-9]{1,15}", text) else None


def _hits(answer: requests.Response) -> int:
    return int(_hits_text(answer) or 0)


def _granule(item: dict[str, Any]) -> GranuleRef:
    """What an item says of its file; InputError where it links to no Lite file that is read."""
    related = _objects(item, "umm", "RelatedUrls")
    links = [str(link.get("URL")) for link in related if link.get("Type") == DATA_LINK]
    named = [link for link in links if _is_download(link)]
    if not named:
        what = f"no download of a Lite file among its links ({', '.join(map(redact, links)) or 'none'})"
        raise InputError(str(_of(item, "meta", "concept-id") or "an item"), what, "a link over HTTP of type GET DATA")
    granule = parse_granule(urlsplit(named[0]).path)
    files = _objects(item, "umm", "DataGranule", "ArchiveAndDistributionInformation")
    file = next((f for f in files if f.get("Name") == granule.name), files[0] if len(files) == 1 else {})
    return replace(granule, path=named[0], stated=_stated(file))


def _is_download(link: str) -> bool:
    """Whether an address leads over HTTP to a Lite file."""
    try:
        parts = urlsplit(link)
    except ValueError:  # such as of a host in brackets that don't close
        return False
    return parts.scheme in ("https", "http") and bool(LITE_NAME.fullmatch(parts.path.rsplit("/", 1)[-1]))


def _stated(file: dict[str, Any]) -> StatedContent | None:
    size = _bytes(file)
    if size is None:
        return None
    algorithm = str(_of(file, "Checksum", "Algorithm")).replace("-", "").lower()
    value = _of(file, "Checksum", "Value")
    if algorithm not in CHECKSUMS or not isinstance(value, str) or not value:
        return StatedContent(*size)
    return StatedContent(*size, algorithm, value.lower())


def _bytes(file: dict[str, Any]) -> tuple[int, int] | None:
    """Least and most bytes of a file; None where no size is stated.

    >>> _bytes({"SizeInBytes": 57123456}), _bytes({"Size": 2.0, "SizeUnit": "KB"}), _bytes({})
    ((57123456, 57123456), (1990, 2058), None)
    """
    n_bytes, size, unit = file.get("SizeInBytes"), file.get("Size"), file.get("SizeUnit")
    if isinstance(n_bytes, int) and n_bytes > 0:
        return n_bytes, n_bytes
    if not isinstance(unit, str) or unit not in UNIT_BYTES:
        return None
    if not isinstance(size, int | float) or not 0 < size < math.inf:
        return None
    least, most = UNIT_BYTES[unit]
    return int(size * least * (1 - SIZE_ROUNDING)), int(size * most * (1 + SIZE_ROUNDING))


def _of(item: Any, *names: str) -> Any:
    """What a path of names leads to in nested JSON objects; None where it ends early."""
    for name in names:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _objects(item: Any, *names: str) -> list[dict[str, Any]]:
    """The objects of the list that a path of names leads to; what is no object is left out, no list is an empty one."""
    found = _of(item, *names)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
