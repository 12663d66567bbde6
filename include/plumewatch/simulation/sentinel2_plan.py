"""What the Sentinel-2 scenes will show: areas, acquisitions, methane sources and their plumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
from pyproj import Transformer

from plumewatch.simulation.random_streams import random_stream
from plumewatch.sun import solar_angles_deg

SCENE_SIZE = 320  # cells a side; the area takes about 250 of them
CELL_M = 20.0
HALF_AREA_DEG = 0.0225  # of latitude: 2.5 km
SOURCE_REACH_M, SOURCE_SPACING_M = 1100.0, 850.0
STRONG_KG_H, WEAK_KG_H = (8000.0, 16000.0), (300.0, 500.0)
WIND_M_S = (2.8, 5.0)
INVENTORY_ERROR = 0.15  # relative, of the listed rate of a source that emits
IDLE_T_Y = (500.0, 3000.0)  # listed rate of a source that is never seen to emit
KG_H_TO_T_Y = 8.76


@dataclass(frozen=True)
class Acquisition:
    """One pass of a satellite over an area."""

    date: str
    """YYYY-MM-DD."""
    unit: str
    """S2A, S2B or S2C."""
    is_side_view: bool
    """Seen from the neighbouring orbit."""
    cloud_fraction: float = 0.0
    """Share of the scene under cloud."""
    plume: str | None = None
    """Which source emits: strong-1, strong-2, weak-1."""
    truncated_asset: str | None = None
    """Asset whose file is cut off."""
    has_second_tile: bool = False
    """A neighbouring tile of the same pass covers the area too."""
    has_swath_edge: bool = False
    """The swath ends inside the scene."""


@dataclass(frozen=True)
class PlannedArea:
    """An area of interest and how Sentinel-2 sees it."""

    name: str
    """Name of the area and its file."""
    title: str
    """Where it is."""
    longitude: float
    """Of its centre, degrees."""
    latitude: float
    """Of its centre, degrees."""
    epsg: int
    """UTM zone of its tiles."""
    tiles: tuple[str, ...]
    """MGRS names of the tiles that may hold it; the first holds it always."""
    passes_at: timedelta
    """Time of day (UTC) at which Sentinel-2 passes."""
    orbits: tuple[int, int]
    """Relative orbits: that of the near-nadir view and that of the side view."""
    view_zenith_deg: tuple[float, float]
    """View zenith angles of the two."""
    acquisitions: tuple[Acquisition, ...]
    """In order of time."""

    @cached_property
    def to_utm(self) -> Transformer:
        """From longitude and latitude to metres of the tile's grid."""
        return Transformer.from_crs("EPSG:4326", f"EPSG:{self.epsg}", always_xy=True)

    @cached_property
    def corner(self) -> tuple[float, float]:
        """Left and upper edge (m) of the scene's raster: on the tile's 20 m grid, the area well inside."""
        x, y = self.to_utm.transform(self.longitude, self.latitude)
        half = SCENE_SIZE * CELL_M / 2
        return round((x - half) / CELL_M) * CELL_M, round((y + half) / CELL_M) * CELL_M

    def bounds_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the area."""
        half_lon = HALF_AREA_DEG / float(np.cos(np.radians(self.latitude)))
        return (
            round(self.longitude - half_lon, 5),
            round(self.latitude - HALF_AREA_DEG, 5),
            round(self.longitude + half_lon, 5),
            round(self.latitude + HALF_AREA_DEG, 5),
        )

    def time_of(self, acquisition: Acquisition) -> datetime:
        """Moment of an acquisition."""
        return datetime.fromisoformat(acquisition.date).replace(tzinfo=UTC) + self.passes_at

    def sun_deg(self, acquisition: Acquisition) -> tuple[float, float]:
        """Zenith angle and azimuth of the sun at an acquisition."""
        zenith, azimuth = solar_angles_deg(self.longitude, self.latitude, self.time_of(acquisition).timestamp())
        return float(zenith), float(azimuth)


# One orbit is seen every ten days by each unit; S2C follows S2B after five, S2A after three; the neighbour after seven.
HASSI_MESSAOUD = PlannedArea(
    name="hassi_messaoud",
    title="Hassi Messaoud oil field, Algeria",
    longitude=5.93,
    latitude=31.66,
    epsg=32631,
    tiles=("31RGR",),
    passes_at=timedelta(hours=10, minutes=18, seconds=41),
    orbits=(8, 51),
    view_zenith_deg=(3.2, 8.6),
    acquisitions=(
        Acquisition("2025-08-20", "S2B", False),
        Acquisition("2025-08-23", "S2A", False),
        Acquisition("2025-08-25", "S2C", False, cloud_fraction=0.22),
        Acquisition("2025-08-27", "S2B", True, plume="weak-1", has_swath_edge=True),
        Acquisition("2025-08-30", "S2B", False, plume="strong-1"),
        Acquisition("2025-09-02", "S2A", False, cloud_fraction=1.0),
        Acquisition("2025-09-04", "S2C", False, plume="strong-2"),
        Acquisition("2025-09-06", "S2B", True, plume="strong-1"),
    ),
)
QARN_ALAM = PlannedArea(
    name="qarn_alam",
    title="Qarn Alam oil field, Oman",
    longitude=57.05,
    latitude=21.37,
    epsg=32640,
    tiles=("40QDJ", "40QEJ"),
    passes_at=timedelta(hours=6, minutes=46, seconds=19),
    orbits=(6, 49),
    view_zenith_deg=(4.1, 9.3),
    acquisitions=(
        Acquisition("2025-08-20", "S2B", False),
        Acquisition("2025-08-23", "S2A", False, cloud_fraction=0.15),
        Acquisition("2025-08-25", "S2C", False),
        Acquisition("2025-08-27", "S2B", True, truncated_asset="swir22"),
        Acquisition("2025-08-30", "S2B", False, plume="strong-1"),
        Acquisition("2025-09-02", "S2A", False, plume="strong-2", has_second_tile=True),
        Acquisition("2025-09-04", "S2C", False, cloud_fraction=0.06, plume="weak-1"),
        Acquisition("2025-09-06", "S2B", True, plume="weak-1"),
    ),
)
AREAS = (HASSI_MESSAOUD, QARN_ALAM)
MOST_DAYS = 90
PLUME_EACH, CLOUD_EACH, CLOUD = 6, 4, 0.3  # days from one to the next, and the share of the scene under it


def daily_areas(n_days: int) -> tuple[PlannedArea, ...]:
    """Return the first area seen each day from the first date of the world on, for runs that go on for long.

    No satellite comes so often from one orbit: what is watched are the runs, not what they find.
    """
    area, first = AREAS[0], date.fromisoformat(AREAS[0].acquisitions[0].date)
    units = ("S2A", "S2B", "S2C")
    acquisitions = tuple(
        Acquisition(
            str(first + timedelta(days=n)), units[n % len(units)], False,
            cloud_fraction=0.0 if n % CLOUD_EACH else CLOUD,
            plume="strong-1" if n % PLUME_EACH == PLUME_EACH - 1 else None,
        )
        for n in range(n_days)
    )  # fmt: skip
    return (replace(area, acquisitions=acquisitions),)


@dataclass(frozen=True)
class MethaneSource:
    """A place that is listed to emit methane. The oil fields are real, the installations are made up."""

    name: str
    """Name in the inventory."""
    area: str
    """Area that holds it."""
    role: str
    """strong-1, strong-2, weak-1; idle-1 and idle-2 never emit."""
    longitude: float
    """Degrees."""
    latitude: float
    """Degrees."""
    x_m: float
    """Easting on the tile's grid."""
    y_m: float
    """Northing on the tile's grid."""
    emission_kg_h: float
    """What it releases when it does; 0 if never."""
    inventory_t_y: float
    """What the inventory says."""


@dataclass(frozen=True)
class PlannedPlume:
    """A source at work during an acquisition."""

    source: MethaneSource
    """Where."""
    acquisition: Acquisition
    """When."""
    wind_u_m_s: float
    """10-m wind towards east at the source."""
    wind_v_m_s: float
    """Towards north."""


def plan_sources(seed: int, area: PlannedArea) -> list[MethaneSource]:
    """Return the listed sources of an area, apart from each other and away from its edge."""
    rng = random_stream(seed, "sources", area.name)
    centre = area.to_utm.transform(area.longitude, area.latitude)
    offsets: list[np.ndarray] = []
    while len(offsets) < 5:
        offset = rng.uniform(-SOURCE_REACH_M, SOURCE_REACH_M, size=2)
        if all(np.hypot(*(offset - other)) >= SOURCE_SPACING_M for other in offsets):
            offsets.append(offset)
    sources = []
    roles = {"strong-1": STRONG_KG_H, "strong-2": STRONG_KG_H, "weak-1": WEAK_KG_H, "idle-1": None, "idle-2": None}
    for number, ((role, rate), offset) in enumerate(zip(roles.items(), offsets, strict=True), 1):
        x, y = centre[0] + offset[0], centre[1] + offset[1]
        lon, lat = area.to_utm.transform(x, y, direction="INVERSE")
        emission = 0.0 if rate is None else float(rng.uniform(*rate))
        error = np.exp(rng.normal(0.0, INVENTORY_ERROR))
        listed = rng.uniform(*IDLE_T_Y) if rate is None else emission * KG_H_TO_T_Y * error
        name = f"{area.title.split(' oil field')[0]} simulated station {number}"
        sources.append(MethaneSource(name, area.name, role, lon, lat, x, y, emission, float(listed)))
    return sources


def plan_plumes(seed: int, area: PlannedArea, sources: list[MethaneSource]) -> list[PlannedPlume]:
    """Return the plumes of an area in order of time, each with a wind of its own."""
    by_role = {source.role: source for source in sources}
    plumes = []
    for acquisition in area.acquisitions:
        if acquisition.plume:
            rng = random_stream(seed, "plume", area.name, acquisition.date)
            speed, towards = rng.uniform(*WIND_M_S), rng.uniform(0.0, 2.0 * np.pi)
            u, v = float(speed * np.sin(towards)), float(speed * np.cos(towards))
            plumes.append(PlannedPlume(by_role[acquisition.plume], acquisition, u, v))
    return plumes
