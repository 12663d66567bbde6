"""WorldView and GeoEye: images that their owner opens after disasters, by a static catalogue of its events.

Source: the Open Data Program of Maxar, now Vantor (registry.opendata.aws/maxar-open-data; CC BY-NC 4.0): analysis-ready
tiles of 5 km of UTM, 0.3 to 0.6 m. `visual` has red, green and blue in 8 bits as a person sees them, sharpened and
stretched: no measure of anything. WorldView-1 has none, and is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plumewatch.errors import InputError
from plumewatch.sensors.sensor import Numbers, Sensor, Source

PLATFORM = re.compile(r"(wv|ge|worldview|geoeye|legion|lg)[-_ ]?0?(\d)")
NAMES = {"wv": "worldview", "ge": "geoeye", "lg": "legion"}
PIXEL_M = 0.3
VISUAL = Numbers("brightness in 8 bits for the eye, sharpened and stretched by the owner", "uint8", 0.0)


class WorldView(Sensor):
    """The satellites of one owner, all of the same bands as far as `visual` goes."""

    def product_pixel_m(self, band: str) -> float:
        """0.3 m; of older satellites 0.5."""
        return PIXEL_M

    def platform(self, name: str, properties: Mapping[str, Any]) -> str:
        """From the property: WV02 is worldview-2."""
        if match := PLATFORM.fullmatch(str(properties.get("platform") or "").lower()):
            return f"{NAMES.get(match[1], match[1])}-{match[2]}"
        raise InputError(name, f"platform {properties.get('platform')!r}", "WV01 to WV03, GE01, LG01 ...")

    def relative_orbit(self, properties: Mapping[str, Any]) -> int | None:
        """They are pointed, and follow no track."""
        return None

    def tile(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return zone and quadkey of the tile."""
        stated = [str(properties[key]) for key in ("utm_zone", "quadkey") if properties.get(key) is not None]
        return "-".join(stated) or name

    def numbers(self, name: str, collection: str | None) -> Numbers:
        """Return what `visual` holds."""
        return VISUAL


WORLDVIEW = WorldView(
    name="worldview",
    title="WorldView (open data)",
    marks=r"worldview|geoeye|maxar|vantor|\b(wv|ge|lg)0\d\b",
    instruments=("vhr",),
    level="ARD visual",
    pixel_m=PIXEL_M,
    bands=("RED", "GREEN", "BLUE"),
    assets=dict.fromkeys(("RED", "GREEN", "BLUE"), ("visual",)),
    places={"RED": 1, "GREEN": 2, "BLUE": 3},
    described={band: {"common_name": band.lower()} for band in ("RED", "GREEN", "BLUE")},
    collected=("RED", "GREEN", "BLUE"),
    shown=("RED", "GREEN", "BLUE"),
    sources=(Source("maxar_catalogue", "worldview-open-data"),),
    copied=("catalog_id", "quadkey", "utm_zone", "tile:clouds_percent", "tile:data_area", "view:off_nadir"),
)
"""The images of events; of most places there are none."""
