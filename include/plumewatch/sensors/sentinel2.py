"""Sentinel-2: names of its bands and satellites, tiles and orbits, the versions of its products and their packing.

Whether a catalogue's pixels still carry the offset of baseline 04.00 is said wrongly in known ways: items of Earth
Search's `sentinel-2-l2a` declare an offset of -0.1 that was taken off already (Element84/earth-search issue 71), and
processing again gives pixels of 2019 the offset of 2022. So the rule goes by the collection first, and the pixels have
the last word (`sentinel2/reflectance.py`). A scale of 1 with an offset of 0 is what writers of items copy from a
GeoTIFF without tags: it states nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from plumewatch.errors import InputError
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.sensor import NO_PACKING, RadiativeTable, ReflectanceRule, Sensor, Source

_REFERENCE: dict[str, Any] = read_reference("sentinel2.json")
_REFLECTANCE: dict[str, Any] = _REFERENCE["reflectance"]

QUANTIFICATION: int = _REFLECTANCE["quantification"]["value"]
OFFSET: float = _REFLECTANCE["offset"]["value"]
OFFSET_FROM_BASELINE: tuple[int, int] = tuple(_REFLECTANCE["offset_from_baseline"]["value"])
SCALE = 1.0 / QUANTIFICATION
ALLOWED_SCALE = f"scale {SCALE:g}, or none stated"
ALLOWED_OFFSET = f"offset 0 or {OFFSET:g} ({OFFSET * QUANTIFICATION:g} digital numbers), or none stated"
SAME = 1e-6  # relative: 32-bit numbers are written with seven digits
EARTH_SEARCH_C1 = "sentinel-2-c1-l2a"
APPLIED_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
EARTH_SEARCH_BUCKET = "sentinel-cogs"

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

    def rule(
        self,
        item_name: str,
        collection: str | None,
        properties: Mapping[str, Any],
        asset: Mapping[str, Any],
        tags: tuple[float, float] = NO_PACKING,
    ) -> ReflectanceRule:
        """As `compute_reflectance_rule`."""
        return compute_reflectance_rule(item_name, collection, properties, asset, tags)


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


def compute_reflectance_rule(
    item_name: str,
    collection: str | None,
    properties: Mapping[str, Any],
    asset: Mapping[str, Any],
    tags: tuple[float, float] = NO_PACKING,
) -> ReflectanceRule:
    """Return how the pixels of one band become reflectance.

    Arguments: `item_name` for messages; `properties` of the item; `asset` as in the item, with `href` and, where
    stated, `raster:bands` (or `raster:scale`, `raster:offset`); `tags`, scale and offset as the GeoTIFF itself says.

    Raises InputError where what is stated cannot all be true and the collection doesn't settle it, and where a scale or
    an offset is stated that no product of Sentinel-2 has.
    """
    baseline = processing_baseline(properties)
    flag = _applied(item_name, properties)
    is_earth_search = flag is not None or EARTH_SEARCH_BUCKET in str(asset.get("href", ""))
    declared = _declared(item_name, properties, asset, tags, must_agree=not is_earth_search)
    stated = f"offset {declared}, offset applied {flag}, baseline {_text(baseline)}"
    _check_baselines(item_name, properties, is_settled=is_earth_search and flag is not False)
    if collection == EARTH_SEARCH_C1:
        if flag or declared == 0.0:
            raise InputError(
                item_name, f"{collection} with {stated}", f"offset {OFFSET}, not applied, or neither stated"
            )
        if baseline is not None and baseline < OFFSET_FROM_BASELINE:
            allowed = f"baseline {_text(OFFSET_FROM_BASELINE)} or later, whose products carry an offset"
            raise InputError(item_name, f"{collection} with {stated}", allowed)
        return ReflectanceRule(SCALE, OFFSET, f"pixels of {EARTH_SEARCH_C1} carry the offset")
    if is_earth_search:
        return _earth_search(item_name, declared, flag, baseline, stated)
    if declared and baseline is not None and baseline < OFFSET_FROM_BASELINE:
        raise InputError(item_name, f"{stated}: no product of this baseline has an offset", "offset 0")
    if declared is not None:
        return ReflectanceRule(SCALE, declared, f"as the asset states: offset {declared}")
    if baseline is None:
        allowed = "a processing baseline or an offset (in the item: what its collection states isn't read)"
        raise InputError(item_name, f"{stated}: no telling what its pixels carry", allowed)
    carried = OFFSET if baseline >= OFFSET_FROM_BASELINE else 0.0
    return ReflectanceRule(SCALE, carried, f"processing baseline {_text(baseline)}, no offset stated")


def _check_baselines(item_name: str, properties: Mapping[str, Any], *, is_settled: bool) -> None:
    """Raise InputError where baselines are stated of which some have an offset and some not, and nothing settles it."""
    baselines = stated_baselines(properties)
    if not is_settled and len({baseline >= OFFSET_FROM_BASELINE for baseline in baselines}) > 1:
        found = " and ".join(dict.fromkeys(_text(baseline) for baseline in baselines))
        raise InputError(item_name, f"baselines {found}, of which one has an offset", "baselines that agree")


def _earth_search(
    item_name: str, declared: float | None, flag: bool | None, baseline: tuple[int, int] | None, stated: str
) -> ReflectanceRule:
    if flag is None or flag:
        return ReflectanceRule(SCALE, 0.0, f"this collection's pixels have it taken off, whatever is stated ({stated})")
    if baseline is not None and baseline < OFFSET_FROM_BASELINE:
        if declared:
            raise InputError(item_name, f"{stated}: no product of this baseline has an offset", "offset 0")
        return ReflectanceRule(SCALE, 0.0, f"processing baseline {_text(baseline)} has no offset")
    reason = f"contradictory flags for pixels of this collection ({stated})"
    return ReflectanceRule(SCALE, OFFSET, reason, is_certain=False)


def _applied(item_name: str, properties: Mapping[str, Any]) -> bool | None:
    """Return what the flag says, None where there is none."""
    for name in APPLIED_FLAGS:
        if (flag := properties.get(name)) is not None:
            if str(flag).lower() not in ("true", "false"):
                raise InputError(item_name, f"{name} {flag!r}", "true or false")
            return str(flag).lower() == "true"
    return None


def _declared(
    item_name: str,
    properties: Mapping[str, Any],
    asset: Mapping[str, Any],
    tags: tuple[float, float],
    *,
    must_agree: bool,
) -> float | None:
    """Return the offset (reflectance) that item or GeoTIFF state, None where neither does.

    An offset of -1000 is one in digital numbers. What the properties of an item state holds for assets that don't.
    """
    bands = asset.get("raster:bands") or asset.get("bands") or [{}]
    band = bands[0] if isinstance(bands, Sequence) else None
    if not isinstance(band, Mapping):
        raise InputError(item_name, f"bands of an asset {str(bands)[:80]}", "a list of objects")
    numbers = [
        _number(item_name, name, (band.get(name), *(at.get(f"raster:{name}") for at in (band, asset, properties))))
        for name in ("scale", "offset")
    ]
    by_item = _offset(item_name, *numbers)
    by_file = _offset(f"{item_name}, tags of {str(asset.get('href', '')).split('?')[0].rsplit('/', 1)[-1]}", *tags)
    if must_agree and None not in (by_item, by_file) and by_item != by_file:
        raise InputError(item_name, f"offset {by_item} in the item and {by_file} in the GeoTIFF", "one offset")
    return by_file if by_item is None else by_item


def _number(item_name: str, name: str, stated: Sequence[Any]) -> float | None:
    """Return the first of several values that is stated."""
    value = next((v for v in stated if v is not None), None)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(item_name, f"{name} {value!r}", "a number")
    return number


def _offset(name: str, scale: float | None, offset: float | None) -> float | None:
    """Return the offset in reflectance, None where scale and offset are those of no packing at all."""
    is_plain = scale is None or math.isclose(scale, 1.0, rel_tol=SAME)
    if is_plain and not offset and scale is not None:
        return None
    in_numbers = offset is not None and math.isclose(offset, OFFSET * QUANTIFICATION, rel_tol=SAME)
    if not (scale is None or math.isclose(scale, SCALE, rel_tol=SAME) or (is_plain and in_numbers)):
        raise InputError(name, f"scale {scale:g} with offset {offset}", ALLOWED_SCALE)
    if not offset:
        return offset
    if not (in_numbers or math.isclose(offset, OFFSET, rel_tol=SAME)):
        raise InputError(name, f"offset {offset:g}", ALLOWED_OFFSET)
    return OFFSET


def _text(baseline: tuple[int, int] | None) -> str:
    return "not stated" if baseline is None else f"{baseline[0]:02d}.{baseline[1]:02d}"


SENTINEL2 = Sentinel2(
    name="sentinel-2",
    title="Sentinel-2",
    marks=r"sentinel(?!-?1)|(^|[^a-z])s2[a-z]_",
    instruments=("msi",),
    level="L2A surface reflectance",
    pixel_m=SWIR_M,
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
    collected=("B02", "B03", "B04", "B08", "B11", "B12"),
    shown=("B04", "B03", "B02"),
    sources=(Source("stac_api", "sentinel-2-l2a"),),
    mask="SCL",
    mask_meanings={"classification:classes": _REFERENCE["scene_classification"]["classes"]},
    cloud_masks=("scl", "s2cloudless", "qa60"),
    copied=(
        "grid:code", "s2:mgrs_tile", "s2:processing_baseline", "s2:product_uri", "s2:sequence", "s2:generation_time",
        "sentinel:processing_baseline", "sentinel:product_id", "sentinel:sequence",
    ),
    radiative_table=RadiativeTable(
        "sentinel2_ch4_transmittance.json",
        {"sentinel-2a": "S2A", "sentinel-2b": "S2B", "sentinel-2c": "S2C"},
        ("B11", "B12"),
    ),
)  # fmt: skip
"""Level-2A, or level 1C where a collection is that."""
