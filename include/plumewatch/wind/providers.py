"""Where wind comes from: PLUMEWATCH_WIND names products, in the order in which they are asked, or a path of files.

A product is one module and one entry in PRODUCTS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from plumewatch import storage
from plumewatch.errors import ConfigurationError
from plumewatch.wind import files
from plumewatch.wind.files import Bounds

PRODUCTS: dict[str, Callable[[str, date, Sequence[Bounds]], list[str]]] = {}
"""Name of each product and its `fetch_wind(storage_root, day, bounds)`, which returns the partitions that it wrote."""


def fetch_wind(setting: str | None, storage_root: str, day: date, bounds: Sequence[Bounds]) -> list[str]:
    """Bring the wind of a day around the bounds into the storage's table `wind`; return the partitions written.

    Nothing set is no wind. Raises ConfigurationError where the setting is neither known products nor a path that
    exists.
    """
    if not setting:
        return []
    names = [name.strip() for name in setting.split(",")]
    if all(name in PRODUCTS for name in names):
        return [partition for name in names for partition in PRODUCTS[name](storage_root, day, bounds)]
    if not storage.exists(setting):
        products = ", ".join(PRODUCTS) or "none in this version"
        raise ConfigurationError(f"PLUMEWATCH_WIND: {setting!r}; allowed: products ({products}) or a path that exists")
    return files.fetch_wind(setting, storage_root, day, bounds)
