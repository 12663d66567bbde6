"""What the project has to know of a sensor: its bands and masks as catalogues name them, and what its items say.

A band has one name throughout, that of Sentinel-2's band of about the same wavelength.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.geodesy import utm_epsg

METHANE_BANDS = ("B11", "B12")
"""The two of the shortwave infrared: at 1.6 and 2.2 micrometres."""
BAND_LISTS = ("eo:bands", "bands", "raster:bands")
NO_PACKING = (1.0, 0.0)
"""Scale and offset of a GeoTIFF without tags."""


@dataclass(frozen=True)
class ReflectanceRule:
    """reflectance = digital number x scale + offset, and why."""

    scale: float
    """Reflectance of one digital number."""
    offset: float
    """Reflectance of digital number 0."""
    reason: str
    """What the offset was decided by."""
    is_certain: bool = True
    """False where the item contradicts itself and only the pixels can show that nothing is left to take off."""


@dataclass(frozen=True, eq=False)
class RadiativeTable:
    """A file of transmittances of methane, amf x omega for each unit and band, and what it calls them."""

    file: str
    """In `reference/`."""
    units: Mapping[str, str]
    """By platform."""
    bands: tuple[str, str]
    """Of 1.6 and of 2.2 um."""


@dataclass(frozen=True)
class Source:
    """A collection that a sensor's scenes are looked for in, where an area names none of it."""

    setting: str
    """Field of the settings that holds the address of the service."""
    collection: str
    """Of that service; of a static catalogue all that it has."""


@dataclass(frozen=True)
class Numbers:
    """What the numbers of a raster are that is put on the grid as it is: neither reflectance nor classes."""

    quantity: str
    """What they measure, with unit and how they were made; the item says it."""
    dtype: str
    """Type of numpy."""
    nodata: float
    """Number of no data."""
    is_power: bool = False
    """Whether a picture shows their logarithm."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Sensor(ABC):
    """Facts of one sensor; what its items say is read by its own module."""

    name: str
    """`sentinel-2`, `landsat` ...: items state it as their constellation."""
    title: str
    """What a person reads."""
    marks: str
    """Regular expression by which its collections, platforms and ids are known, in small letters."""
    instruments: tuple[str, ...]
    """As items state them."""
    level: str
    """Processing level and kind of what is seen, unless the collection says otherwise."""
    pixel_m: float
    """Size of the pixels of the methane bands: of an area's cells, where its file names none."""
    edge_m: float = 0.0
    """Where edges of pixels lie: at multiples of their size and so much more, in metres of UTM."""
    bands: tuple[str, ...]
    """What can be stacked."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of bands in an area's file, in small letters."""
    assets: Mapping[str, tuple[str, ...]]
    """Keys of the assets of bands and masks in the catalogues; the first that an item has is taken."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Number of a band in its asset's file, where that has several; 1 where it isn't stated."""
    described: Mapping[str, Mapping[str, Any]]
    """Common name and wavelengths (micrometres) of bands."""
    collected: tuple[str, ...]
    """Bands that a collection of several sensors fetches, those of them that an item has."""
    shown: tuple[str, ...]
    """Of these what a picture shows as red, green and blue; one is grey."""
    sources: tuple[Source, ...]
    """Where scenes are looked for, the best first: the next one serves where nothing can be had of it."""
    mask: str = ""
    """The asset that tells cloud from ground, by its key in `assets`; empty where the images are no reflectance."""
    mask_meanings: Mapping[str, Any] = field(default_factory=dict)
    """The mask's own classes or bits, as STAC's classification extension writes them."""
    cloud_masks: tuple[str, ...] = ()
    """What `cloud_mask` of an area can be."""
    copied: tuple[str, ...] = ()
    """Properties of the source item that the stacked one repeats: by them products of one acquisition are known."""
    is_compared_along_track: bool = False
    """Whether an image is compared with those of the same track alone."""
    paid_buckets: tuple[str, ...] = ()
    """Beginnings of addresses at which readers pay, so that nothing is read there."""
    translation: NDArray[np.uint8] | None = None
    """Class of the scene classification by a number of the mask, None where the mask is the classification."""
    mask_fill: int = 0
    """Number of the mask where nothing was seen."""
    mask_told: str | None = None
    """How the classification was made of the mask, None where it is the service's own."""
    radiative_table: RadiativeTable | None = None
    """By which methane is told from its images, None where nothing is."""

    def asset_keys(self, band: str) -> tuple[str, ...]:
        """Return the keys under which catalogues keep a band (`B11`) or a mask."""
        return self.assets[band]

    def find_asset(self, assets: Collection[str], band: str) -> str | None:
        """Return the key of `band` among the keys of an item's assets, None where it has none."""
        return next((key for key in self.assets.get(band, ()) if key in assets), None)

    def band_of(self, description: str | None) -> str | None:
        """Return the band that is described so, by its name or any catalogue's name; None where unknown."""
        wanted = (description or "").strip().lower()
        for band in self.described:
            if wanted in (band.lower(), *(key.lower() for key in self.assets.get(band, ()))):
                return band
        return None

    def eo_band(self, band: str) -> dict[str, Any]:
        """Return a band as an object of the STAC extension eo: name, common name, wavelengths in micrometres."""
        return {"name": band, **self.described[band]}

    def stated_band(self, asset: Mapping[str, Any], properties: Mapping[str, Any], band: str) -> dict[str, Any]:
        """Return what an item states of a band by the asset that holds it alone: nodata, scale ... without prefix.

        By the asset's lists of bands (STAC 1.0 has two of them, 1.1 one), else by the asset, else by the band of that
        name among those of the item's properties. What is no list of objects raises what Python does.
        """
        known = {name.lower() for name in (band, *self.asset_keys(band))}
        of_item = (one for lists in BAND_LISTS for one in properties.get(lists) or ())
        levels: list[Mapping[str, Any]] = [
            next((one for one in of_item if known & {name.lower() for name in stated_names(one)}), {})
        ]
        levels.append({name: asset.get(name) for name in ("nodata", "raster:scale", "raster:offset")})
        levels += [next(iter(asset.get(lists) or ()), {}) for lists in BAND_LISTS]
        return {key.removeprefix("raster:"): v for level in levels for key, v in level.items() if v is not None}

    def utm_epsg(self, longitude: float, latitude: float) -> int:
        """Return the EPSG code of the UTM zone that its images of a place (degrees) are in."""
        return utm_epsg(longitude, latitude)

    def flaw_of_collection(self, collection: str) -> str | None:
        """Return which collections are allowed where an area can't have this one, None where it can."""
        return None if self.mask else f"one of reflectance: {self.title} is fetched by multi_sensor_collection alone"

    def is_served(self, properties: Mapping[str, Any]) -> bool:
        """Whether the item is of one of its satellites that are served; others of a collection are left out by name."""
        return True

    @abstractmethod
    def product_pixel_m(self, band: str) -> float:
        """Return the size of a band's pixels in the products, in metres."""

    @abstractmethod
    def platform(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return the satellite that item `name` is of (`landsat-8`); InputError where it is another sensor's."""

    @abstractmethod
    def relative_orbit(self, properties: Mapping[str, Any]) -> int | None:
        """Return the number of the track over the ground, None where it isn't said; ValueError where it is none."""

    @abstractmethod
    def tile(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return the tile of the product, such as 29RKH; InputError where neither properties nor name say it."""

    def meridian_deg(self, tile: str, footprint: Any) -> float:
        """Return the longitude whose solar time tells the day of an acquisition (degrees): its middle."""
        return float(footprint.centroid.x)

    def baseline(self, properties: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the version of the processing, a greater one is newer; None where items don't say it."""
        return None

    def sequence(self, name: str, properties: Mapping[str, Any]) -> int:
        """Return the number of a product among those of its acquisition, a greater one is newer; 0: not said."""
        return 0

    def numbers(self, name: str, collection: str | None) -> Numbers | None:
        """Return what the rasters of item `name` hold, None where that is reflectance (`rule`) and classes."""
        return None

    def stand_in(self, name: str) -> tuple[Source, str] | None:
        """Return where an item is that serves in place of item `name`, which isn't granted, and its id; None: none."""
        return None

    def rule(
        self,
        item_name: str,
        collection: str | None,
        properties: Mapping[str, Any],
        asset: Mapping[str, Any],
        tags: tuple[float, float] = NO_PACKING,
    ) -> ReflectanceRule:
        """Return how the pixels of one band become reflectance.

        Arguments: `item_name` for messages; `properties` of the item; `asset` as in the item, with `href` and, where
        stated, `raster:bands`; `tags`, scale and offset as the GeoTIFF itself says. InputError where what is stated
        cannot be true of the sensor's products.
        """
        raise InputError(item_name, f"images of {self.title}, which are no reflectance", "a sensor of reflectance")


def stated_names(band: Mapping[str, Any]) -> list[str]:
    """Return what an object of a list of bands calls itself."""
    return [str(band[key]) for key in ("name", "eo:common_name", "common_name") if band.get(key)]
