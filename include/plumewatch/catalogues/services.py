"""Which catalogue an area is searched in: by its `catalogue`, and of STAC APIs by their address."""

from __future__ import annotations

from plumewatch.catalogues.catalogue import DEFAULT_COLLECTION, Catalogue
from plumewatch.catalogues.stac import StacCatalogue
from plumewatch.errors import ConfigurationError
from plumewatch.models import Area
from plumewatch.settings import Settings

STAC, SENTINEL_HUB = "stac", "sentinel_hub"


def catalogue_of(area: Area, settings: Settings) -> Catalogue:
    """Return the catalogue of an area: its own or else the settings' STAC API, its collection or else sentinel-2-l2a.

    Or Sentinel Hub, by the settings' account. Raises ConfigurationError where that has none, or no module serves it.
    """
    if area.catalogue == SENTINEL_HUB:
        from plumewatch.catalogues.sentinel_hub import SentinelHub  # its client takes a second to import

        return SentinelHub(settings, area.name)
    if area.catalogue != STAC:
        raise ConfigurationError(f"area {area.name}: catalogue {area.catalogue!r}; allowed: {STAC}, {SENTINEL_HUB}")
    return StacCatalogue(area.stac_api or settings.stac_api, area.collection or DEFAULT_COLLECTION)
