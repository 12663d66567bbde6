"""Sentinel-1: backscatter of its radar, which sees through cloud, with terrain corrected or, in its place, as detected.

Sources: Planetary Computer's collections sentinel-1-rtc (gamma nought of Catalyst, 10 m, UTM, -32768 is no data) and
sentinel-1-grd; Sentinel-1 Product Specification (ESA, S1-RS-MDA-52-7441), ground range detected: amplitude in 16 bits,
in the radar's own rows and columns, with tie points in degrees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plumewatch.errors import InputError
from plumewatch.sensors.sensor import Numbers, Sensor, Source

PLATFORM = re.compile(r"sentinel-1[a-d]")
NAME = re.compile(r"S1([A-D])_\w\w_\w{4}_\w{4}_(\d{8}T\d{6})_")
ORBITS = range(1, 176)  # relative ones of a cycle of twelve days
PIXEL_M = 10.0  # of both collections
RTC_SUFFIX = "_rtc"
RTC_NODATA = -32768.0

RTC, GRD = Source("pc_stac_api", "sentinel-1-rtc"), Source("pc_stac_api", "sentinel-1-grd")
TERRAIN_CORRECTED = Numbers("gamma nought, linear power, terrain corrected (RTC)", "float32", RTC_NODATA, is_power=True)
DETECTED = Numbers(
    "amplitude in digital numbers of a ground range detected product (GRD): neither calibrated nor terrain corrected, "
    "placed by its tie points, so that slopes are displaced by up to some hundred metres",
    "uint16", 0.0, is_power=True,
)  # fmt: skip


class Sentinel1(Sensor):
    """The C-band radar of Sentinel-1A and those after it."""

    def product_pixel_m(self, band: str) -> float:
        """10 m, of all polarisations."""
        return PIXEL_M

    def platform(self, name: str, properties: Mapping[str, Any]) -> str:
        """From the property or else from the scene's name (S1A_...)."""
        platform = str(properties.get("platform") or "").lower()
        if PLATFORM.fullmatch(platform):
            return platform
        if not platform and (match := NAME.match(name)):
            return f"sentinel-1{match[1].lower()}"
        raise InputError(name, f"platform {properties.get('platform')!r}", "sentinel-1a, -1b, -1c, -1d")

    def relative_orbit(self, properties: Mapping[str, Any]) -> int | None:
        """Return the relative orbit, 1 to 175."""
        if (orbit := properties.get("sat:relative_orbit")) is None:
            return None
        if int(orbit) not in ORBITS:
            raise ValueError(f"sat:relative_orbit {orbit}, none from {ORBITS[0]} to {ORBITS[-1]}")
        return int(orbit)

    def tile(self, name: str, properties: Mapping[str, Any]) -> str:
        """Return the time at which the slice of the pass begins, by which slices are told apart; else the name."""
        match = NAME.match(name)
        return match[2] if match else name

    def numbers(self, name: str, collection: str | None) -> Numbers:
        """Return gamma nought of a terrain corrected item, else amplitude."""
        is_rtc = name.endswith(RTC_SUFFIX) or "rtc" in (collection or "").lower()
        return TERRAIN_CORRECTED if is_rtc else DETECTED

    def stand_in(self, name: str) -> tuple[Source, str] | None:
        """Return the product that a terrain corrected item was made of."""
        return (GRD, name.removesuffix(RTC_SUFFIX)) if name.endswith(RTC_SUFFIX) else None


SENTINEL1 = Sentinel1(
    name="sentinel-1",
    title="Sentinel-1",
    marks=r"sentinel-?1|(^|[^a-z])s1[a-d]_",
    instruments=("c-sar",),
    level="L1 backscatter",
    pixel_m=PIXEL_M,
    bands=("VV", "VH", "HH", "HV"),
    assets={"VV": ("vv",), "VH": ("vh",), "HH": ("hh",), "HV": ("hv",)},
    described={band: {"common_name": band.lower()} for band in ("VV", "VH", "HH", "HV")},
    collected=("VV", "VH", "HH", "HV"),
    shown=("VV",),
    sources=(RTC, GRD),
    copied=("sat:orbit_state", "sar:instrument_mode", "sar:polarizations", "s1:product_identifier"),
    paid_buckets=("s3://sentinel-s1-l1c/",),  # registry.opendata.aws/sentinel-1
)
"""Radiometrically terrain corrected, and ground range detected in its place."""
