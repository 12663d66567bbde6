"""What the scenes of areas cost: how many, bytes, and by Sentinel Hub processing units, and how much of a month's quota
these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from plumewatch import progress
from plumewatch.areas import grid_of
from plumewatch.catalogues.answering import why_unreachable
from plumewatch.catalogues.processing_units import UnitsLedger, account_name, next_month
from plumewatch.catalogues.services import catalogue_of
from plumewatch.catalogues.stac import StacApi
from plumewatch.errors import PlumewatchError, redact
from plumewatch.models import SENTINEL_HUB, Area
from plumewatch.sensors.known import sensor_of_collection
from plumewatch.sentinel2.item_bands import with_surroundings
from plumewatch.sentinel2.search import search_scenes
from plumewatch.settings import Settings

BLOCK_PX = 1024
"""Edge of a block of the catalogue's GeoTIFFs, which are read by whole blocks (Earth Search's COGs)."""
BAND_BYTES, MASK_BYTES = 2, 1  # uint16 reflectance; uint8 scene classes and cloud probability
N_MASKS = 2
N_HUB_MASKS = 3
"""Rasters in 8 bits on the grid with its surroundings: classes, cloud, where there are data."""
DAYS_OF_MONTH = 30


@dataclass(frozen=True)
class HubCost:
    """What the scenes of an area cost."""

    n_scenes: int
    """To be fetched."""
    n_left_out: int
    """Too cloudy, replaced, or more than wanted."""
    n_bytes: int
    """Of all of them, before compression."""
    units: float
    """Processing units of all of them."""


def cost_lines(areas: Sequence[Area], first: date, last: date, settings: Settings) -> list[str]:
    """Return what the scenes of areas cost from `first` to `last`, by a search of their catalogues.

    A line an area, then all together, and what of a month's processing units that is. An area whose catalogue doesn't
    answer has its reason instead of numbers.
    """
    lines: list[str] = []
    reasons: dict[str, str | None] = {}
    apis: dict[str, StacApi] = {}
    n_scenes, n_bytes, n_known, units = 0, 0, 0, 0.0
    for area in progress.followed(areas, "search", "areas"):
        url = area.stac_api or settings.stac_api
        if area.catalogue == SENTINEL_HUB:
            line, cost = hub_line(area, first, last, settings)
            lines.append(line)
            n_scenes, n_bytes, units = n_scenes + cost.n_scenes, n_bytes + cost.n_bytes, units + cost.units
            n_known += 1
            continue
        if url not in reasons:
            reasons[url] = why_unreachable(url)
        if reason := reasons[url]:
            lines.append(f"  {area.name}: scenes unknown: {redact(url)}: {reason}")
            continue
        try:
            found = search_scenes(area, first, last, catalogue_of(area, settings, apis))
        except PlumewatchError as error:
            lines.append(f"  {area.name}: scenes unknown: {error}")
            continue
        n, left_out = len(found.scenes), len(found.skipped) + len(found.beyond_max_items)
        size = bytes_of_scene(area)
        lines.append(f"  {area.name}: {count_text(n, 'scene')} of about {bytes_text(size)}, {left_out} left out")
        n_known, n_scenes, n_bytes = n_known + 1, n_scenes + n, n_bytes + n * size
    if n_known:
        lines.append(f"{count_text(n_scenes, 'scene')}, at most about {bytes_text(n_bytes)} to read")
    return [*lines, quota_line(units, settings)] if units else lines


def count_text(number: int, noun: str) -> str:
    """Return how many.

    >>> count_text(1, "scene"), count_text(1200, "scene")
    ('1 scene', '1,200 scenes')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bytes_text(n_bytes: float) -> str:
    """Return how much, in megabytes, of much in gigabytes.

    >>> bytes_text(9_600_000), bytes_text(1.2e10)
    ('10 MB', '12 GB')
    """
    return f"{n_bytes / 1e6:,.0f} MB" if n_bytes < 1e10 else f"{n_bytes / 1e9:,.0f} GB"


def bytes_of_scene(area: Area) -> int:
    """Return how many bytes are read for a scene of an area: its share of the tile in whole blocks, uncompressed.

    A window of w x h pixels touches blocks that hold (w + 1024) x (h + 1024) pixels on average. Compression makes it
    less by a third to a half: an upper bound for areas that lie in one tile.
    """
    grid, sensor = grid_of(area), sensor_of_collection(area.collection)
    width_m, height_m = grid.width * grid.resolution_m, grid.height * grid.resolution_m

    def pixels(pixel_m: float) -> float:
        return (width_m / pixel_m + BLOCK_PX) * (height_m / pixel_m + BLOCK_PX)

    bands = sum(pixels(sensor.product_pixel_m(band)) * BAND_BYTES for band in area.bands)
    return round(bands + N_MASKS * MASK_BYTES * pixels(sensor.pixel_m))


def hub_cost(area: Area, first: date, last: date, settings: Settings) -> HubCost:
    """Return what the scenes of an area of the catalogue sentinel_hub cost, by a search of it.

    Raises what the search does, InputError where the area's own evalscript can't be used.
    """
    from plumewatch.sentinel2.process_api import ProcessApi

    catalogue = catalogue_of(area, settings)
    units = ProcessApi(cast(Any, catalogue), area).predicted_units(grid_of(area))
    found = search_scenes(area, first, last, catalogue)
    n = len(found.scenes)
    return HubCost(n, len(found.skipped) + len(found.beyond_max_items), n * bytes_of_hub_scene(area), n * units)


def hub_line(area: Area, first: date, last: date, settings: Settings) -> tuple[str, HubCost]:
    """Return what is told of an area's cost, and the cost: nothing where it isn't known."""
    try:
        cost = hub_cost(area, first, last, settings)
    except PlumewatchError as error:
        return f"  {area.name}: scenes unknown: {error}", HubCost(0, 0, 0, 0.0)
    size = f"{cost.n_bytes / max(cost.n_scenes, 1) / 1e6:,.1f} MB"
    n_scenes = f"{cost.n_scenes} scene{'s' * (cost.n_scenes != 1)}"
    left_out, units = f"{cost.n_left_out} left out", f"{cost.units:,.2f} processing units"
    return f"  {area.name}: {n_scenes} of about {size}, {left_out}, {units}", cost


def bytes_of_hub_scene(area: Area) -> int:
    """Return how many bytes a scene of an area has in the service's answers, before compression."""
    grid = grid_of(area)
    around = with_surroundings(grid)
    of_bands = grid.width * grid.height * (len(area.bands) * BAND_BYTES + MASK_BYTES)
    return of_bands + around.width * around.height * N_HUB_MASKS * MASK_BYTES


def ledger_of(settings: Settings) -> UnitsLedger:
    """Return the ledger of the settings' account."""
    account = account_name(settings.sh_base_url.rstrip("/"), settings.sh_client_id or "")
    return UnitsLedger(settings.storage_root, account, settings.sh_monthly_units)


def units_left(settings: Settings) -> float:
    """Return the processing units that the account has left this month, by the ledger."""
    return max(settings.sh_monthly_units - ledger_of(settings).state().used_units, 0.0)


def quota_line(units: float, settings: Settings) -> str:
    """Return what so many processing units are of a month's, and what of them has to wait."""
    monthly, left = settings.sh_monthly_units, units_left(settings)
    days = units / (monthly / DAYS_OF_MONTH)
    line = f"{units:,.2f} processing units of Sentinel Hub: {days:.1f} days of its {monthly:,g} a month"
    if units <= left:
        return f"{line}; {left:,.2f} are left of this month"
    until = next_month(datetime.now(UTC))
    return f"{line}; only {left:,.2f} are left of this month: the rest waits until {until}, as waiting_for_quota"
