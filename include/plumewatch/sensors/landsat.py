"""Landsat 8 and 9: surface reflectance of Collection 2 Level 2, whose bands 6 and 7 see methane at 30 m.

Source: Landsat 8-9 Collection 2 Level 2 Science Product Guide (USGS, LSDS-1619). Pixels are numbers of 16 bits, 0 is no
data; cloud, its margin and its shadow are bits of QA_PIXEL (CFMask). The satellites look straight down: what they see
at the swath's edge is 7.5 degrees off, which makes the path of the light longer by 0.4 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.geodesy import utm_epsg
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.sensor import NO_PACKING, RadiativeTable, ReflectanceRule, Sensor, Source

_REFERENCE: dict[str, Any] = read_reference("landsat.json")
_QA: dict[str, Any] = _REFERENCE["qa_pixel"]

SCALE: float = _REFERENCE["reflectance"]["scale"]["value"]
OFFSET: float = _REFERENCE["reflectance"]["offset"]["value"]
PIXEL_M: float = _REFERENCE["pixel_m"]["value"]
PLATFORM = re.compile(r"landsat[-_ ]?([89])")
OTHERS = re.compile(r"landsat[-_ ]?[1-7]")
NAME = re.compile(r"L[COTEM]0(\d)_L(\w)(\w\w)_(\d{6})_(\d{8})")  # level 2: L2SP with temperature, L2SR without
COLLECTION_2 = re.compile(r"L[COTEM]0\d_L\w{3}_\d{6}_\d{8}_(\d{8})_02_(T1|T2|RT)")
PATHS, TIERS = range(1, 234), {"RT": 0, "T2": 1, "T1": 2}  # of the Worldwide Reference System 2; the best tier last
LEVELS = ("L2SP", "L2SR")
ALLOWED = "a product of Landsat Collection 2 Level 2 (landsat-c2-l2; L2SP or L2SR)"
SAME = 1e-6  # relative: 32-bit numbers are written with seven digits


def _classes() -> NDArray[np.uint8]:
    """Return the class of the scene classification for each number of QA_PIXEL."""
    number = np.arange(1 << 16)
    found = np.full(number.shape, _QA["other"], np.uint8)
    for bit, scene_class in _QA["classes"]:
        found[(number >> bit) & 1 == 1] = scene_class
    found[0] = 0  # no product has it: beside the raster, or a raster of something else
    return found


class Landsat(Sensor):
    """The Operational Land Imagers of Landsat 8 and 9."""

    def product_pixel_m(self, band: str) -> float:
        """30 m, of all bands that are stacked."""
        return PIXEL_M

    def utm_epsg(self, longitude: float, latitude: float) -> int:
        """Return the zone as of the north: products of the south have negative northings."""
        return utm_epsg(longitude, abs(latitude))

    def flaw_of_collection(self, collection: str) -> str | None:
        """Level 1 and surface temperature are other numbers under the same names."""
        is_other = re.search(r"(?i)l1|(^|[-_])st$", collection)
        return f"landsat-c2-l2: surface reflectance of Collection 2 Level 2 (as {ALLOWED})" if is_other else None

    def is_served(self, properties: Mapping[str, Any]) -> bool:
        """Not those before Landsat 8, which the same collection holds."""
        return not OTHERS.fullmatch(str(properties.get("platform") or "").lower())

    def platform(self, name: str, properties: Mapping[str, Any]) -> str:
        """From the property or else from the scene's name (LC08_...)."""
        stated = properties.get("platform")
        match = PLATFORM.fullmatch(str(stated).lower()) if stated else NAME.match(name)
        if match and match[1] in "89":
            return f"landsat-{match[1]}"
        raise InputError(name, f"platform {stated!r}", "landsat-8, landsat-9")

    def relative_orbit(self, properties: Mapping[str, Any]) -> int | None:
        """Return the path of the Worldwide Reference System 2, 1 to 233."""
        stated = properties.get("sat:relative_orbit", properties.get("landsat:wrs_path"))
        if stated is None:
            return None
        if int(stated) not in PATHS:
            raise ValueError(f"path {stated}, none from {PATHS[0]} to {PATHS[-1]}")
        return int(stated)

    def tile(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return path and row as six digits (038037)."""
        path, row = properties.get("landsat:wrs_path"), properties.get("landsat:wrs_row")
        if path is not None and row is not None:
            return f"{int(path):03d}{int(row):03d}"
        if match := NAME.match(name):
            return match[4]
        raise InputError(name, "no landsat:wrs_path and landsat:wrs_row", "path and row, or an id as LC08_L2SP_038037_")

    def baseline(self, properties: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the collection and the tier: T1 is better than T2, and both than real time."""
        number, tier = properties.get("landsat:collection_number"), properties.get("landsat:collection_category")
        return None if number is None else (int(number), TIERS.get(str(tier), 0))

    def sequence(self, name: str, properties: Mapping[str, Any]) -> int:
        """Return the day of processing as YYYYMMDD, 0 where no name of a product is stated."""
        for text in (properties.get("landsat:product_id"), name):
            if match := COLLECTION_2.match(str(text or "")):
                return int(match[1])
        return 0

    def rule(
        self,
        item_name: str,
        collection: str | None,
        properties: Mapping[str, Any],
        asset: Mapping[str, Any],
        tags: tuple[float, float] = NO_PACKING,
    ) -> ReflectanceRule:
        """Return how the pixels of one band become reflectance: number x 0.0000275 - 0.2.

        Raises InputError where it isn't told that the product is of level 2, or another scale or offset is stated.
        """
        stated = properties.get("landsat:correction") or properties.get("landsat:processing_level")
        file = str(asset.get("href", "")).split("?")[0].rsplit("/", 1)[-1]
        levels = (
            [str(stated)] if stated else [f"L{m[2]}{m[3]}" for text in (file, item_name) if (m := NAME.search(text))]
        )
        if not levels or levels[0] not in LEVELS:
            raise InputError(item_name, f"processing level {levels[0] if levels else 'not stated'}", ALLOWED)
        band: Mapping[str, Any] = next(iter(asset.get("raster:bands") or ()), {})
        by_item = band.get("scale"), band.get("offset")
        by_file = tags if tags != NO_PACKING else (None, None)
        for where, numbers in (("the item", by_item), ("the GeoTIFF", by_file)):
            for known, number in zip((SCALE, OFFSET), numbers, strict=True):
                if number is not None and not _is_same(number, known):
                    found = f"scale {numbers[0]} with offset {numbers[1]} in {where}"
                    raise InputError(item_name, found, f"scale {SCALE:g} with offset {OFFSET:g}, or none stated")
        return ReflectanceRule(SCALE, OFFSET, f"pixels of {levels[0]}, Collection 2")


def _is_same(stated: Any, known: float) -> bool:
    try:
        return math.isclose(float(stated), known, rel_tol=SAME)
    except (TypeError, ValueError):
        return False


LANDSAT = Landsat(
    name="landsat",
    title="Landsat 8 and 9",
    marks=r"landsat|(^|[^a-z])l[cotem]0\d_",
    instruments=("oli", "tirs"),
    level="L2 surface reflectance (Landsat Collection 2)",
    pixel_m=PIXEL_M,
    edge_m=_REFERENCE["edge_m"]["value"],
    bands=tuple(sorted(band for band in _REFERENCE["assets"] if band.startswith("B"))),
    aliases={
        "coastal": "B01",
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "nir": "B08",
        "nir08": "B08",
        "swir16": "B11",
        "swir1": "B11",
        "swir22": "B12",
        "swir2": "B12",
    },
    assets={band: tuple(keys) for band, keys in _REFERENCE["assets"].items() if isinstance(keys, list)},
    described={band: facts for band, facts in _REFERENCE["band"].items() if isinstance(facts, dict)},
    collected=("B02", "B03", "B04", "B08", "B11", "B12"),
    shown=("B04", "B03", "B02"),
    sources=(Source("pc_stac_api", "landsat-c2-l2"),),
    mask="QA_PIXEL",
    mask_meanings={"classification:bitfields": _QA["bitfields"]},
    cloud_masks=("scl",),
    copied=(
        "landsat:wrs_path", "landsat:wrs_row", "landsat:correction", "landsat:collection_number",
        "landsat:collection_category", "landsat:product_id", "landsat:scene_id",
    ),
    is_compared_along_track=True,  # of two paths that overlap one looks from the east and one from the west
    paid_buckets=("s3://usgs-landsat/",),  # registry.opendata.aws/usgs-landsat
    translation=_classes(),
    mask_fill=_QA["fill"],
    mask_told="QA_PIXEL translated: fill 0, cloud 9, dilated cloud 8, cirrus 10, cloud shadow 3, snow 11, water 6, "
    "other ground 7",
    radiative_table=RadiativeTable(
        "landsat_ch4_transmittance.json", {"landsat-8": "LC08", "landsat-9": "LC09"}, ("SWIR1", "SWIR2")
    ),
)  # fmt: skip
"""Collection 2 Level 2."""
