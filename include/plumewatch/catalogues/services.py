"""Which catalogue an area is searched in: by its `catalogue`, and of STAC APIs by their address."""

from __future__ import annotations

from urllib.parse import urlsplit

from plumewatch.catalogues import planetary_computer
from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.catalogues.data_space import EodataAccess
from plumewatch.catalogues.odata import COLLECTIONS, ODataCatalogue, is_odata
from plumewatch.catalogues.stac import REQUESTS_PER_S, StacApi, StacCatalogue
from plumewatch.catalogues.static import StaticCatalogue, is_static
from plumewatch.errors import ConfigurationError, redact
from plumewatch.models import DEFAULT_COLLECTION, SENTINEL_HUB, STAC, Area
from plumewatch.rasters.access import Access
from plumewatch.settings import Settings, address_flaw


def catalogue_of(area: Area, settings: Settings, apis: dict[str, StacApi] | None = None) -> Catalogue:
    """Return the catalogue of an area: its own or else the settings' STAC API, its collection or else sentinel-2-l2a.

    Or Sentinel Hub, by the settings' account. `apis` keeps the STAC APIs that were asked before, by address, so that
    areas of one service share its session. Raises ConfigurationError where there is no account, no module serves it, or
    its address can't be one.
    """
    if area.catalogue == SENTINEL_HUB:
        from plumewatch.catalogues.sentinel_hub import SentinelHub  # its client takes a second to import

        return SentinelHub(settings, area.name)
    if area.catalogue != STAC:
        raise ConfigurationError(f"area {area.name}: catalogue {area.catalogue!r}; allowed: {STAC}, {SENTINEL_HUB}")
    url = (area.stac_api or settings.stac_api).strip()
    if flaw := address_flaw(url):
        where = f"area {area.name}: stac_api" if area.stac_api else "PLUMEWATCH_STAC_API"
        raise ConfigurationError(f"{where} {redact(url)!r}: {flaw}; allowed: an address such as https://host/v1")
    if is_odata(url):
        collection = area.collection or DEFAULT_COLLECTION
        if collection not in COLLECTIONS:
            allowed = f"{' or '.join(COLLECTIONS)} of {redact(url)}: products of level 2A"
            raise ConfigurationError(f"area {area.name}: collection {collection!r}; allowed: {allowed}")
        return ODataCatalogue(url, collection, access_of(url, settings))
    if is_static(url):
        return StaticCatalogue(url, area.collection or DEFAULT_COLLECTION, access_of(url, settings))
    apis = {} if apis is None else apis
    api = apis.get(url) or apis.setdefault(url, StacApi(url, _requests_per_s(url)))
    return StacCatalogue(api, area.collection or DEFAULT_COLLECTION, access_of(url, settings))


def access_of(url: str, settings: Settings) -> Access:
    """Return how the rasters of a service, or of an item there, are opened.

    Those of the Data Space are known by their own addresses.
    """
    if _is_planetary_computer(url):
        return planetary_computer.SignedAccess(settings.pc_sas_url, settings.pc_subscription_key)
    return EodataAccess(settings.cdse_s3_endpoint, settings.cdse_s3_access_key, settings.cdse_s3_secret_key)


def _requests_per_s(url: str) -> float:
    """How many requests a second may begin at a STAC API."""
    return planetary_computer.REQUESTS_PER_S if _is_planetary_computer(url) else REQUESTS_PER_S


def _is_planetary_computer(url: str) -> bool:
    return urlsplit(url).hostname == planetary_computer.HOST
