"""What is known of Sentinel-2's bands and masks: names in the catalogues, wavelengths, classes, quantification."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from plumewatch.reference.loading import read_reference

_REFERENCE: dict[str, Any] = read_reference("sentinel2.json")
_CLASSES = _REFERENCE["scene_classification"]
_REFLECTANCE = _REFERENCE["reflectance"]

SCENE_CLASSIFICATION = "SCL"
CLOUD_PROBABILITY = "CLD"
QA60 = "QA60"
METHANE_BANDS = ("B11", "B12")

MOST_PERCENT, NO_CLOUD_DATA = 100, 255  # of cloud probability, in 8 bits
NO_DATA_CLASS: int = _CLASSES["no_data"]
LAST_CLASS: int = _CLASSES["last"]
CLEAR_CLASSES: tuple[int, ...] = tuple(_CLASSES["clear"])
CLOUD_CLASSES: tuple[int, ...] = tuple(_CLASSES["cloud"])
DILATED_CLASSES: tuple[int, ...] = (*_CLASSES["shadow"], *_CLASSES["cloud"])
S2CLOUDLESS_BANDS: tuple[str, ...] = tuple(_REFERENCE["s2cloudless_bands"]["value"])
MOST_CLOUD_PROBABILITY: dict[str, float] = _REFERENCE["max_cloud_probability"]["value"]
QA60_BITS: int = _REFERENCE["qa60"]["value"]
QA60_UNTIL: tuple[int, int] = tuple(_REFERENCE["qa60"]["before_baseline"])
CLOUD_DILATION_M: float = _REFERENCE["cloud_dilation_m"]["value"]
SURROUNDINGS_M: float = _REFERENCE["surroundings_m"]["value"]

QUANTIFICATION: int = _REFLECTANCE["quantification"]["value"]
OFFSET: float = _REFLECTANCE["offset"]["value"]
OFFSET_FROM_BASELINE: tuple[int, int] = tuple(_REFLECTANCE["offset_from_baseline"]["value"])
IMPOSSIBLE_REFLECTANCE: float = _REFLECTANCE["impossible_reflectance"]["value"]
IMPOSSIBLE_FRACTION: float = _REFLECTANCE["impossible_fraction"]["value"]


FINE_BANDS, COARSE_BANDS = ("B02", "B03", "B04", "B08"), ("B01", "B09")
FINE_M, SWIR_M, COARSE_M = 10.0, 20.0, 60.0  # pixels of the products by band, Sentinel-2 User Handbook

CLOUD_FILES = ("msk_cldprb_20m.jp2", "msk_cldprb_60m.jp2")  # in QI_DATA of a Level-2A granule
BAND_LISTS = ("eo:bands", "bands", "raster:bands")


def asset_keys(band: str) -> tuple[str, ...]:
    """Return the keys under which catalogues keep a band (`B11`), the classification (`SCL`) or cloud (`CLD`)."""
    return tuple(_REFERENCE["assets"][band])


def product_pixel_m(band: str) -> float:
    """Return the size of a band's pixels in the products, in metres.

    >>> product_pixel_m("B04"), product_pixel_m("B12"), product_pixel_m("B09")
    (10.0, 20.0, 60.0)
    """
    return FINE_M if band in FINE_BANDS else COARSE_M if band in COARSE_BANDS else SWIR_M


def find_asset(assets: Collection[str], band: str) -> str | None:
    """Return the key of `band` among the keys of an item's assets, None where it has none.

    >>> find_asset(["red", "swir16"], "B11")
    'swir16'
    """
    return next((key for key in asset_keys(band) if key in assets), None)


def find_cloud_asset(hrefs: Mapping[str, str]) -> str | None:
    """Return the key of the cloud probability among the `hrefs` of an item's assets, None where it has none.

    By its key, else by the name that its file has in Level-2A products, where the finest goes first.

    >>> find_cloud_asset({"a": "s3://b/QI_DATA/MSK_CLDPRB_60m.jp2", "b": "s3://b/QI_DATA/MSK_CLDPRB_20m.jp2"})
    'b'
    """
    if key := find_asset(hrefs, CLOUD_PROBABILITY):
        return key
    files = {re.sub(r"[?#].*", "", href).rpartition("/")[2].lower(): key for key, href in hrefs.items()}
    return next((files[name] for name in CLOUD_FILES if name in files), None)


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


def stated_names(band: Mapping[str, Any]) -> list[str]:
    """Return what an object of a list of bands calls itself."""
    return [str(band[key]) for key in ("name", "eo:common_name", "common_name") if band.get(key)]


def stated_band(asset: Mapping[str, Any], properties: Mapping[str, Any], band: str) -> dict[str, Any]:
    """Return what an item states of a band by the asset that holds it alone: nodata, scale, offset ... without prefix.

    By the asset's lists of bands (STAC 1.0 has two of them, 1.1 one), else by the asset, else by the band of that name
    among those of the item's properties. What is no list of objects raises what Python does.

    >>> stated_band({"bands": [{"name": "B11"}]}, {"bands": [{"name": "B11", "raster:offset": -0.1}]}, "B11")["offset"]
    -0.1
    """
    known = {name.lower() for name in (band, *asset_keys(band))}
    of_item = (one for lists in BAND_LISTS for one in properties.get(lists) or ())
    levels: list[Mapping[str, Any]] = [
        next((one for one in of_item if known & {name.lower() for name in stated_names(one)}), {})
    ]
    levels.append({name: asset.get(name) for name in ("nodata", "raster:scale", "raster:offset")})
    levels += [next(iter(asset.get(lists) or ()), {}) for lists in BAND_LISTS]
    return {key.removeprefix("raster:"): v for level in levels for key, v in level.items() if v is not None}


def eo_band(band: str) -> dict[str, Any]:
    """Return a band as an object of the STAC extension eo: name, common name, wavelengths in micrometres."""
    return {"name": band, **_REFERENCE["band"][band]}
