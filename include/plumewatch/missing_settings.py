"""Settings that are missing: what to say of each.

A run that can do nothing, or less, for want of a setting is green: a fresh install has few settings. An alert tells of
it once (`told.py`).
"""

from __future__ import annotations

from plumewatch.settings import CMR, Settings, environment_name

EARTHDATA_TOKEN = environment_name("earthdata_token")
HUB_ACCOUNT = environment_name("sh_client_id")
NO_TOKEN = (
    "granules come from NASA's archive (PLUMEWATCH_GRANULES=cmr), and there is no token: set EARTHDATA_TOKEN or the "
    "connection `earthdata`, or PLUMEWATCH_GRANULES to a folder of Lite files"
)
NO_INVENTORIES = (
    "PLUMEWATCH_INVENTORIES is empty, so no source is read and no detection is matched: set it to a folder of "
    "inventory files (README: The first real run), and trigger inventory_refresh"
)
NO_HUB_ACCOUNT = (
    "areas of the catalogue sentinel_hub need an account: set SH_CLIENT_ID and SH_CLIENT_SECRET, or the connection "
    "`sentinel_hub` (docs/sentinel_hub.md says where they come from), or give these areas the catalogue stac, which "
    "needs none"
)
NO_WIND_SOURCE = (
    "PLUMEWATCH_WIND is empty, so methane plumes have no rates: set it to geos_fp,era5, which need no account, or to a "
    "folder of wind files, and trigger the days again"
)


def missing_account(settings: Settings) -> str | None:
    """Return why granules cannot be had for want of an account, None where they can."""
    return NO_TOKEN if settings.granules == CMR and not settings.earthdata_token else None


def missing_hub_account(settings: Settings) -> str | None:
    """Return why areas of the catalogue sentinel_hub cannot be searched, None where there is an account."""
    return None if settings.sh_client_id and settings.sh_client_secret else NO_HUB_ACCOUNT


def missing_inventories(settings: Settings) -> str | None:
    """Return why there are no inventories to read, None where there may be some."""
    return None if settings.inventories else NO_INVENTORIES


def missing_wind(settings: Settings) -> str | None:
    """Return what it means that no wind source is set, None where one is."""
    return None if settings.wind else NO_WIND_SOURCE
