"""What statistics, bands and indices are called, and which bands an index needs."""

from __future__ import annotations

import re
from collections.abc import Mapping

BLUE, GREEN, RED, NIR, SWIR1, SWIR2 = "B02", "B03", "B04", "B08", "B11", "B12"
INDEX_BANDS: Mapping[str, tuple[str, ...]] = {
    "ndvi": (NIR, RED),
    "evi": (NIR, RED, BLUE),
    "ndwi": (GREEN, NIR),
    "ndmi": (NIR, SWIR1),
    "nbr": (NIR, SWIR2),
}
"""The bands of each index, in the order of its equation. A new normalised difference is an entry; another equation is
one more in indices.py."""

DEFAULT_STATISTICS = ("mean", "median", "min", "max", "std", "count")
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
ALLOWED_STATISTICS = f"{', '.join(DEFAULT_STATISTICS)}, sum, and percentiles as p10, p97.5"


def is_statistic(name: str) -> bool:
    """Whether there is a statistic of this name.

    >>> is_statistic("median"), is_statistic("p97.5"), is_statistic("p101")
    (True, True, False)
    """
    return name in (*DEFAULT_STATISTICS, "sum") or PERCENTILE.fullmatch(name) is not None


def bands_of(name: str) -> tuple[str, ...]:
    """Return the bands that an index (`ndvi`), or a band by its own name (`b08`), needs."""
    return INDEX_BANDS.get(name, (name.upper(),))
