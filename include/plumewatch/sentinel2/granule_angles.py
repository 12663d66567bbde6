"""Angles of sun and view by the metadata of a granule, for items that don't state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any
from xml.etree import ElementTree

from plumewatch.errors import reading

GRANULE_ASSETS = ("granule_metadata", "granule-metadata")
"""Keys of the asset in Earth Search and on the Planetary Computer."""
GRANULE = "the metadata of a Sentinel-2 granule (MTD_TL.xml) with its mean angles"
BAND_IDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip
"""Bands by the number that the metadata gives them."""
MOST_DEG = 90.0


@dataclass(frozen=True)
class GranuleAngles:
    """Mean angles of a tile, in degrees."""

    sun_zenith_deg: float
    """0 is overhead."""
    sun_azimuth_deg: float
    """From north, clockwise."""
    view_zenith_deg: float
    """Of the mean of the bands that were asked for; 0 is straight down."""


def lacks_angles(properties: Mapping[str, Any]) -> bool:
    """Whether an item leaves open how high the sun stood, or from where the satellite looked."""
    sun = (properties.get(name) for name in ("view:sun_elevation", "s2:mean_solar_zenith"))
    return properties.get("view:incidence_angle") is None or all(angle is None for angle in sun)


def read_angles(name: str, content: bytes, bands: Sequence[str]) -> GranuleAngles:
    """Return the mean angles of a granule's metadata; InputError names it where they aren't there."""
    with reading(name, GRANULE):
        root = ElementTree.fromstring(content)
        sun = [_degrees(root.find(f".//Mean_Sun_Angle/{angle}")) for angle in ("ZENITH_ANGLE", "AZIMUTH_ANGLE")]
        views = {
            BAND_IDS[int(view.attrib["bandId"])]: _degrees(view.find("ZENITH_ANGLE"))
            for view in root.iterfind(".//Mean_Viewing_Incidence_Angle")
        }
        view = fmean(views[band] for band in bands)
        if not (0.0 <= sun[0] <= MOST_DEG and 0.0 <= view <= MOST_DEG):
            raise ValueError(f"sun at {sun[0]}, view at {view} degrees from the zenith")
        return GranuleAngles(sun[0], sun[1], round(view, 3))


def _degrees(element: ElementTree.Element | None) -> float:
    if element is None or element.attrib.get("unit") != "deg":
        raise ValueError("no mean angle in degrees")
    return float(element.text or "")
