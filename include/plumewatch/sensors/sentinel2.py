"""Sentinel-2: names of its bands and satellites, tiles and orbits, and the versions of its products."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plumewatch.errors import InputError
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.sensor import Sensor

_REFERENCE: dict[str, Any] = read_reference("sentinel2.json")

FINE_BANDS, COARSE_BANDS = ("B02", "B03", "B04", "B08"), ("B01", "B09")
FINE_M, SWIR_M, COARSE_M = 10.0, 20.0, 60.0  # pixels of the products by band, Sentinel-2 User Handbook
PLATFORM = re.compile(r"sentinel-2[a-z]")
ORBITS = range(1, 144)  # relative ones of a cycle of ten days
ZONE_DEG, FIRST_MERIDIAN_DEG = 6, -183  # of UTM: zone 1 has its meridian at 177 W


class Sentinel2(Sensor):
    """The Multispectral Instrument of Sentinel-2A and those after it."""

    def product_pixel_m(self, band: str) -> float:
        """As `Sensor` has it.

        >>> SENTINEL2.product_pixel_m("B04"), SENTINEL2.product_pixel_m("B12"), SENTINEL2.product_pixel_m("B09")
        (10.0, 20.0, 60.0)
        """
        return FINE_M if band in FINE_BANDS else COARSE_M if band in COARSE_BANDS else SWIR_M

    def platform(self, name: str, properties: Mapping[str, Any]) -> str:
        """From the property or else from the scene's name (S2A_...)."""
        platform = str(properties.get("platform") or "").lower()
        if PLATFORM.fullmatch(platform):
            return platform
        if not platform.startswith("landsat") and (match := re.match(r"S2([A-Z])_", name)):
            return f"sentinel-2{match[1].lower()}"
        raise InputError(name, f"platform {properties.get('platform')!r}", "sentinel-2a, sentinel-2b, sentinel-2c")

    def relative_orbit(self, properties: Mapping[str, Any]) -> int | None:
        """From the property or else from the product's name (..._R037_...)."""
        if (orbit := properties.get("sat:relative_orbit")) is not None:
            if int(orbit) not in ORBITS:
                raise ValueError(f"sat:relative_orbit {orbit}, none from {ORBITS[0]} to {ORBITS[-1]}")
            return int(orbit)
        for name in ("s2:product_uri", "sentinel:product_id"):
            if match := re.search(r"_R(\d{3})_", str(properties.get(name, ""))):
                return int(match[1])
        return None

    def tile(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return the MGRS tile (29RKH), from the properties or else from the scene's name."""
        stated = [str(properties.get("grid:code", "")).removeprefix("MGRS-"), str(properties.get("s2:mgrs_tile", ""))]
        for prefix, zone in (("mgrs", "utm_zone"), ("sentinel", "utm_zone")):
            parts = [properties.get(f"{prefix}:{part}", "") for part in (zone, "latitude_band", "grid_square")]
            stated.append("".join(str(part) for part in parts))
        stated += re.findall(r"_T?(\d{1,2}[C-X][A-Z]{2})_", name)
        for text in stated:
            if match := re.fullmatch(r"(\d{1,2})([C-X][A-Z]{2})", text):
                return f"{int(match[1]):02d}{match[2]}"
        raise InputError(name, "no MGRS tile in grid:code, s2:mgrs_tile, mgrs:* or the id", "grid:code MGRS-29RKH")

    def meridian_deg(self, tile: str, footprint: Any) -> float:
        """Return the meridian of the tile's zone: processing again moves the footprint."""
        return FIRST_MERIDIAN_DEG + ZONE_DEG * int(tile[:2])

    def baseline(self, properties: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the processing baseline as (major, minor)."""
        return processing_baseline(properties)

    def sequence(self, name: str, properties: Mapping[str, Any]) -> int:
        """From the property or else from the id."""
        stated = properties.get("s2:sequence", properties.get("sentinel:sequence"))
        if stated is None and (match := re.search(r"_(\d+)_L2A$", name)):
            stated = match[1]
        return int(stated or 0)


def processing_baseline(properties: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the processing baseline of an item's properties as (major, minor), None where it isn't stated.

    A JSON number has lost the zero at its end: 5.1 is 05.10, as 05.01 is 5.01.

    >>> processing_baseline({"s2:processing_baseline": "05.11"})
    (5, 11)
    """
    return next(iter(stated_baselines(properties)), None)


def stated_baselines(properties: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return all baselines that properties and names of products state, the one that is believed first."""
    found: list[tuple[int, int]] = []
    for name in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        if found and name == "processing:version":
            continue  # of other software, where the baseline has a property of its own
        value = properties.get(name, "")
        if isinstance(value, int | float):
            value = f"{value:.2f}"
        if match := re.fullmatch(r"(\d+)\.(\d+)|N(\d\d)(\d\d)", str(value)):
            found.append((int(match[1] or match[3]), int(match[2].ljust(2, "0") if match[2] else match[4])))
    for name in ("s2:product_uri", "sentinel:product_id"):
        if match := re.search(r"_N(\d\d)(\d\d)_", str(properties.get(name, ""))):
            found.append((int(match[1]), int(match[2])))
    return found


SENTINEL2 = Sentinel2(
    name="sentinel-2",
    title="Sentinel-2",
    marks=r"sentinel|(^|[^a-z])s2[a-z]_",
    instruments=("msi",),
    level="L2A surface reflectance",
    pixel_m=SWIR_M,
    edge_m=0.0,
    bands=("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"),
    aliases={
        "swir16": "B11",
        "swir1": "B11",
        "swir22": "B12",
        "swir2": "B12",
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "nir": "B08",
        "nir08": "B8A",
    },
    assets={band: tuple(keys) for band, keys in _REFERENCE["assets"].items() if isinstance(keys, list)},
    described={band: facts for band, facts in _REFERENCE["band"].items() if isinstance(facts, dict)},
    mask="SCL",
    cloud_masks=("scl", "s2cloudless", "qa60"),
    copied=(
        "grid:code", "s2:mgrs_tile", "s2:processing_baseline", "s2:product_uri", "s2:sequence", "s2:generation_time",
        "sentinel:processing_baseline", "sentinel:product_id", "sentinel:sequence",
    ),
)  # fmt: skip
"""Level-2A, or level 1C where a collection is that."""
