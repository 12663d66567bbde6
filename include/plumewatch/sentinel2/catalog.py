"""Scenes in a STAC catalogue: what there is of an area in some days, and what of it to use."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pystac
import requests
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry import mapping
from urllib3.util import Retry

from plumewatch import storage
from plumewatch.errors import InputError, PlumewatchError, ServiceError, redact
from plumewatch.models import Area, FailedScene
from plumewatch.sentinel2.scene import SceneRef, scene_ref, select_newest

DEFAULT_COLLECTION = "sentinel-2-l2a"
STAGE = "search"
PAGE_ITEMS = 100  # the largest page that all public catalogues grant
TIMEOUT_S = (10.0, 60.0)  # to connect, to answer: catalogues under load take tens of seconds
RETRIES = 5  # with the backoff below: half a minute in all, what a restart of a service takes
BACKOFF_S = 1.0
RETRIED_STATUS = (429, 500, 502, 503, 504)
SKIPPED_CLOUD = "skipped_cloud"
SKIPPED_DUPLICATE = "skipped_duplicate"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SkippedScene:
    """A scene that the catalogue has and that isn't used: a row of `observations`."""

    scene: SceneRef
    """The scene."""
    outcome: str
    """`skipped_cloud` or `skipped_duplicate`."""
    reason: str
    """What was found and what is allowed."""


@dataclass(frozen=True)
class SearchResult:
    """What a catalogue has of an area."""

    scenes: tuple[SceneRef, ...]
    """To be fetched, sorted by time and id."""
    skipped: tuple[SkippedScene, ...] = ()
    """Not to be fetched: too much cloud, or another product of the same acquisition is newer."""
    failed: tuple[FailedScene, ...] = ()
    """Items that don't say what they must."""
    beyond_max_items: tuple[SceneRef, ...] = ()
    """More than the area's max_items of a day; the least cloudy were taken."""

    @property
    def without_cloud_cover(self) -> tuple[str, ...]:
        """Ids of the scenes that were taken although their items don't state a cloud cover."""
        return tuple(ref.scene_id for ref in self.scenes if ref.cloud_cover is None)


def search_scenes(area: Area, start: date, end: date, stac_api: str) -> SearchResult:
    """Return the scenes of an area from `start` to `end`, both included (UTC dates).

    The catalogue is the area's own or else `stac_api`, the collection the area's or else sentinel-2-l2a. Cloud cover
    is compared here and not asked of the service: some ignore the filter in silence, and a scene that is too cloudy
    is to be known by name.

    Raises ServiceError (retryable unless the service refuses the request) and InputError where the answer isn't STAC.
    """
    api = area.stac_api or stac_api
    collection = area.collection or DEFAULT_COLLECTION
    refs: dict[str, SceneRef] = {}
    failed = []
    for item in _search(api, collection, area, start, end):
        href = _self_href(item, api, collection)
        try:
            ref = scene_ref(item, href)
        except InputError as error:
            name = str(item.get("id") or href)
            failed.append(FailedScene.from_exception(error, scene_id=name, stage=STAGE, area=area.name))
            continue
        in_time = start <= ref.observed_at_utc.date() <= end
        if in_time and item.get("collection") == collection and ref.footprint.intersects(area.geometry):
            refs[ref.scene_id] = ref
    return _choose(area, list(refs.values()), failed)


def read_item(href: str) -> pystac.Item:
    """Return the STAC item at `href` (http, https, s3 or a file), its assets' hrefs resolved against it.

    Raises ServiceError where a service doesn't deliver it, InputError where it is missing or isn't a STAC item.
    """
    text = _read_http(href) if href.startswith(("http://", "https://")) else _read_stored(href)
    try:
        item = pystac.Item.from_dict(json.loads(text), href=href, migrate=False)
    except (ValueError, KeyError, TypeError, AttributeError, pystac.STACError) as error:
        raise InputError(redact(href), f"not a STAC item ({error!r})", "a STAC item as JSON") from error
    for asset in item.assets.values():
        asset.href = asset.get_absolute_href() or asset.href
    return item


def _choose(area: Area, refs: list[SceneRef], failed: list[FailedScene]) -> SearchResult:
    newest, replaced = select_newest(refs)
    skipped = [SkippedScene(r, SKIPPED_DUPLICATE, "a newer product of the same acquisition is used") for r in replaced]
    clear = []
    for ref in newest:
        if area.max_cloud_cover is not None and (ref.cloud_cover or 0.0) > area.max_cloud_cover:
            reason = f"cloud cover {ref.cloud_cover:.1f} %; allowed: at most {area.max_cloud_cover:g} %"
            skipped.append(SkippedScene(ref, SKIPPED_CLOUD, reason))
        else:
            clear.append(ref)
    scenes, beyond = _at_most(clear, area.max_items)
    result = SearchResult(
        scenes=tuple(sorted(scenes, key=_by_time)),
        skipped=tuple(sorted(skipped, key=lambda s: _by_time(s.scene))),
        failed=tuple(sorted(failed, key=lambda f: f.scene_id)),
        beyond_max_items=tuple(sorted(beyond, key=_by_time)),
    )
    if result.without_cloud_cover:
        log.warning("%s: taken without a stated cloud cover: %s", area.name, ", ".join(result.without_cloud_cover))
    if beyond:
        left = ", ".join(ref.scene_id for ref in beyond)
        log.warning("%s: more than max_items=%s a day; left out: %s", area.name, area.max_items, left)
    return result


def _at_most(refs: list[SceneRef], max_items: int | None) -> tuple[list[SceneRef], list[SceneRef]]:
    """Part the scenes of each day: the least cloudy `max_items`, and the rest."""
    by_day: dict[date, list[SceneRef]] = {}
    for ref in sorted(refs, key=lambda r: (r.cloud_cover is None, r.cloud_cover or 0.0, r.scene_id)):
        by_day.setdefault(ref.observed_at_utc.date(), []).append(ref)
    taken = [ref for day in by_day.values() for ref in day[:max_items]]
    beyond = [ref for day in by_day.values() for ref in day[len(day) if max_items is None else max_items :]]
    return taken, beyond


def _by_time(ref: SceneRef) -> tuple[Any, str]:
    return ref.observed_at_utc, ref.scene_id


def _search(api: str, collection: str, area: Area, start: date, end: date) -> Iterator[dict[str, Any]]:
    period = f"{start.isoformat()}T00:00:00Z/{end.isoformat()}T23:59:59.999Z"
    stac_io = StacApiIO(max_retries=_retry(), timeout=TIMEOUT_S)
    try:
        client = Client.open(api, stac_io=stac_io, timeout=TIMEOUT_S)
        found = client.search(
            collections=[collection], intersects=mapping(area.geometry), datetime=period, limit=PAGE_ITEMS
        )
        yield from found.items_as_dicts()
    except APIError as error:
        status = getattr(error, "status_code", None)
        raise ServiceError(f"{redact(api)}: {status or 'no answer'}: {redact(str(error))[:500]}", status) from error
    except requests.RequestException as error:
        raise ServiceError(f"{redact(api)}: {redact(str(error))[:500]}") from error
    except ValueError as error:  # an HTML page of a proxy or of maintenance, with status 200
        raise ServiceError(f"{redact(api)}: an answer that isn't JSON: {redact(str(error))[:200]}") from error
    except (pystac.STACError, NotImplementedError, KeyError, TypeError) as error:
        raise InputError(redact(api), f"not a STAC API with item search ({error})", "a STAC API") from error


def _retry() -> Retry:
    # POST is what a search is sent by, and it changes nothing: repeat it like a GET. The last answer is wanted, not
    # an exception that hides its status.
    return Retry(
        total=RETRIES,
        backoff_factor=BACKOFF_S,
        status_forcelist=RETRIED_STATUS,
        allowed_methods=None,
        raise_on_status=False,
    )


def _self_href(item: dict[str, Any], api: str, collection: str) -> str:
    links = {link.get("rel"): link.get("href") for link in item.get("links") or ()}
    return str(links.get("self") or f"{api.rstrip('/')}/collections/{collection}/items/{item.get('id')}")


def _read_http(href: str) -> bytes:
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=_retry()))
        try:
            answer = session.get(href, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise ServiceError(f"{redact(href)}: {redact(str(error))[:500]}") from error
    if answer.status_code != requests.codes.ok:
        raise ServiceError(f"{redact(href)}: HTTP {answer.status_code}", answer.status_code)
    return answer.content


def _read_stored(href: str) -> bytes:
    try:
        return storage.read_bytes(href)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(href, "no such file", "a STAC item as JSON") from error
    except PlumewatchError:
        raise
    except OSError as error:
        raise ServiceError(f"{redact(href)}: {redact(str(error))[:500]}") from error
