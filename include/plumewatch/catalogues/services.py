"""Which catalogue an area is searched in: by its `catalogue`, and of STAC APIs by their address."""

from __future__ import annotations

from urllib.parse import urlsplit

from plumewatch.catalogues import planetary_computer
from plumewatch.catalogues.catalogue import DEFAULT_COLLECTION, Catalogue
from plumewatch.catalogues.data_space import EodataAccess
from plumewatch.catalogues.stac import StacCatalogue
from plumewatch.errors import ConfigurationError
from plumewatch.models import Area
from plumewatch.rasters.access import Access
from plumewatch.settings import Settings

STAC = "stac"


def catalogue_of(area: Area, settings: Settings) -> Catalogue:
    """Return the catalogue of an area: its own or else the settings' STAC API, its collection or else sentinel-2-l2a.

    Raises ConfigurationError where no module serves it.
    """
    if area.catalogue != STAC:
        raise ConfigurationError(f"area {area.name}: catalogue {area.catalogue!r} is not served yet; allowed: {STAC}")
    url = area.stac_api or settings.stac_api
    return StacCatalogue(url, area.collection or DEFAULT_COLLECTION, _access(url, settings))


def _access(url: str, settings: Settings) -> Access:
    """How the rasters of a STAC API are opened; those of the Data Space are known by their own addresses."""
    if urlsplit(url).hostname == planetary_computer.HOST:
        return planetary_computer.SignedAccess(settings.pc_sas_url, settings.pc_subscription_key)
    return EodataAccess(settings.cdse_s3_endpoint, settings.cdse_s3_access_key, settings.cdse_s3_secret_key)
