"""What is known of Sentinel-2's bands and masks: names in the catalogues, wavelengths, classes, quantification."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from plumewatch.reference.loading import read_reference

_REFERENCE: dict[str, Any] = read_reference("sentinel2.json")
_CLASSES = _REFERENCE["scene_classification"]
_REFLECTANCE = _REFERENCE["reflectance"]

SCENE_CLASSIFICATION = "SCL"
CLOUD_PROBABILITY = "CLD"
METHANE_BANDS = ("B11", "B12")

MOST_PERCENT, NO_CLOUD_DATA = 100, 255  # of cloud probability, in 8 bits
NO_DATA_CLASS: int = _CLASSES["no_data"]
LAST_CLASS: int = _CLASSES["last"]
CLEAR_CLASSES: tuple[int, ...] = tuple(_CLASSES["clear"])
CLOUD_CLASSES: tuple[int, ...] = tuple(_CLASSES["cloud"])
DILATED_CLASSES: tuple[int, ...] = (*_CLASSES["shadow"], *_CLASSES["cloud"])
CLOUD_DILATION_M: float = _REFERENCE["cloud_dilation_m"]["value"]
SURROUNDINGS_M: float = _REFERENCE["surroundings_m"]["value"]

QUANTIFICATION: int = _REFLECTANCE["quantification"]["value"]
OFFSET: float = _REFLECTANCE["offset"]["value"]
OFFSET_FROM_BASELINE: tuple[int, int] = tuple(_REFLECTANCE["offset_from_baseline"]["value"])
IMPOSSIBLE_REFLECTANCE: float = _REFLECTANCE["impossible_reflectance"]["value"]
IMPOSSIBLE_FRACTION: float = _REFLECTANCE["impossible_fraction"]["value"]


def asset_keys(band: str) -> tuple[str, ...]:
    """Return the keys under which catalogues keep a band (`B11`), the classification (`SCL`) or cloud (`CLD`)."""
    return tuple(_REFERENCE["assets"][band])


def find_asset(assets: Collection[str], band: str) -> str | None:
    """Return the key of `band` among the keys of an item's assets, None where it has none.

    >>> find_asset(["red", "swir16"], "B11")
    'swir16'
    """
    return next((key for key in asset_keys(band) if key in assets), None)


def band_of(description: str | None) -> str | None:
    """Return the Sentinel-2 name of a described band, by its name or any catalogue's name; None where unknown.

    >>> band_of("swir22")
    'B12'
    """
    wanted = (description or "").strip()
    for band in _REFERENCE["band"]:
        if band in _REFERENCE["assets"] and wanted.lower() in (band.lower(), *(k.lower() for k in asset_keys(band))):
            return band
    return None


def eo_band(band: str) -> dict[str, Any]:
    """Return a band as an object of the STAC extension eo: name, common name, wavelengths in micrometres."""
    return {"name": band, **_REFERENCE["band"][band]}
