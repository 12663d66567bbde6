"""Classes of Sentinel-2's scene classification, which stacked scenes of all sensors have; its masks; quantification."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plumewatch.reference.loading import read_reference
from plumewatch.sensors.sentinel2 import SENTINEL2

_REFERENCE: dict[str, Any] = read_reference("sentinel2.json")
_CLASSES = _REFERENCE["scene_classification"]
_REFLECTANCE = _REFERENCE["reflectance"]

SCENE_CLASSIFICATION = "SCL"
CLOUD_PROBABILITY = "CLD"
QA60 = "QA60"

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

IMPOSSIBLE_REFLECTANCE: float = _REFLECTANCE["impossible_reflectance"]["value"]
IMPOSSIBLE_FRACTION: float = _REFLECTANCE["impossible_fraction"]["value"]


CLOUD_FILES = ("msk_cldprb_20m.jp2", "msk_cldprb_60m.jp2")  # in QI_DATA of a Level-2A granule


def find_cloud_asset(hrefs: Mapping[str, str]) -> str | None:
    """Return the key of the cloud probability among the `hrefs` of an item's assets, None where it has none.

    By its key, else by the name that its file has in Level-2A products, where the finest goes first.

    >>> find_cloud_asset({"a": "s3://b/QI_DATA/MSK_CLDPRB_60m.jp2", "b": "s3://b/QI_DATA/MSK_CLDPRB_20m.jp2"})
    'b'
    """
    if key := SENTINEL2.find_asset(hrefs, CLOUD_PROBABILITY):
        return key
    files = {re.sub(r"[?#].*", "", href).rpartition("/")[2].lower(): key for key, href in hrefs.items()}
    return next((files[name] for name in CLOUD_FILES if name in files), None)
