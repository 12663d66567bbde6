"""The strip that OCO-2 sees: rows of eight footprints, slanted, and what a plume is worth in each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plumewatch.constants import KM_PER_DEGREE
from plumewatch.oco2.evaluation.particle_plume import SURFACE_PRESSURE_HPA, TCWV_KG_M2, PlumeField
from plumewatch.oco2.track import Track, straight_track

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Enhancement = Callable[[Floats, Floats], Floats]
"""From places along and across a track (km) to ppm."""

FOOTPRINTS = 8
ROW_KM = 2.25  # 3 rows a second at 6.75 km/s over ground
FOOTPRINT_KM = 1.29  # along the slit: a strip of 10.3 km
USUAL_SLANT_DEG, NARROW_SLANT_DEG = (0.0, 45.0), (45.0, 72.0)  # of the slit from the normal of the track, either way
NARROW_SHARE = 0.15  # of strips that are 3 to 7 km wide
PARTS_ALONG, PARTS_ACROSS = 4, 3  # points of a footprint whose mean is seen
REACH_KM = 180.0  # a plume is looked for so far along the track from where its middle crosses it


@dataclass(frozen=True)
class Strip:
    """The places of all footprints of a straight track, seen or not; arrays have shape (rows, 8)."""

    n_rows: int
    """Rows of footprints."""
    slant_deg: float
    """Of the slit from the normal of the track: its right end lies so much ahead."""

    @classmethod
    def draw(cls, rng: np.random.Generator, length_km: float) -> Strip:
        """Return a strip of so many kilometres, at times a narrow one."""
        slants = NARROW_SLANT_DEG if rng.random() < NARROW_SHARE else USUAL_SLANT_DEG
        return cls(round(length_km / ROW_KM), rng.choice((-1.0, 1.0)) * rng.uniform(*slants))

    @property
    def _slit_km(self) -> Floats:
        return np.asarray((np.arange(FOOTPRINTS) - (FOOTPRINTS - 1) / 2) * FOOTPRINT_KM)

    @property
    def row_km(self) -> Floats:
        """Middle of every row along the track, shape (rows,)."""
        reach = (FOOTPRINTS - 1) / 2 * FOOTPRINT_KM * abs(np.sin(np.radians(self.slant_deg)))
        return np.asarray(np.arange(self.n_rows) * ROW_KM + reach)

    @property
    def along_km(self) -> Floats:
        """Along the track; the first footprint is at 0."""
        return np.asarray(self.row_km[:, None] + self._slit_km * np.sin(np.radians(self.slant_deg)))

    @property
    def across_km(self) -> Floats:
        """To the right of the track's middle."""
        return np.broadcast_to(self._slit_km * np.cos(np.radians(self.slant_deg)), (self.n_rows, FOOTPRINTS))

    def mean_of(self, enhancement: Enhancement, rows: slice) -> Floats:
        """Return the mean over every footprint (a parallelogram) of some rows, 0 in the others."""
        part = (np.arange(PARTS_ACROSS) + 0.5) / PARTS_ACROSS - 0.5
        slit, ahead = np.meshgrid(part * FOOTPRINT_KM, ((np.arange(PARTS_ALONG) + 0.5) / PARTS_ALONG - 0.5) * ROW_KM)
        slant = np.radians(self.slant_deg)
        along = self.along_km[rows, :, None] + (ahead + slit * np.sin(slant)).ravel()
        across = self.across_km[rows, :, None] + (slit * np.cos(slant)).ravel()
        mean = np.zeros((self.n_rows, FOOTPRINTS))
        mean[rows] = enhancement(along, across).mean(axis=-1)
        return mean

    def track(
        self, xco2_ppm: Floats, is_seen: Bools, uncertainty_ppm: Floats, is_water: Bools, wind_m_s: tuple[float, float]
    ) -> Track:
        """Return the soundings that are seen, northward from the equator; the wind is that towards east and north."""
        along, across = self.along_km[is_seen], self.across_km[is_seen]
        bare = straight_track(along, xco2_ppm[is_seen], uncertainty_ppm[is_seen])
        u, v, pressure, water = (np.full(len(along), x) for x in (*wind_m_s, SURFACE_PRESSURE_HPA, TCWV_KG_M2))
        return replace(
            bare,
            sounding_id=np.flatnonzero(is_seen).astype(np.int64),
            time_s=np.nonzero(is_seen)[0] / 3.0,
            across_km=across,
            longitude=across / KM_PER_DEGREE,
            wind_u_m_s=u,
            wind_v_m_s=v,
            surface_pressure_hpa=pressure,
            tcwv_kg_m2=water,
            is_water=is_water[is_seen].astype(float),
        )


@dataclass(frozen=True)
class Crossing:
    """How a strip cuts the plume of a plant."""

    along_km: float
    """Where the middle of the plume is, at its distance from the plant."""
    distance_km: float
    """From the plant, along the mean wind."""
    angle_deg: float
    """Between the mean wind and the track, 0 to 90."""
    is_ahead: bool = True
    """Whether the wind blows ahead along the track."""
    is_right: bool = True
    """Whether it blows to the right."""
    across_km: float = 0.0
    """That place's distance to the right of the strip's middle: near a plant only what lies beyond sees the plume."""

    @property
    def _wind(self) -> tuple[float, float]:
        """Unit vector along the track and to its right."""
        angle = np.radians(self.angle_deg)
        return (
            float(np.cos(angle)) * (1 if self.is_ahead else -1),
            float(np.sin(angle)) * (1 if self.is_right else -1),
        )

    def wind_m_s(self, speed_m_s: float) -> tuple[float, float]:
        """Return the wind towards east (right) and north (ahead)."""
        ahead, right = self._wind
        return speed_m_s * right, speed_m_s * ahead

    def enhancement(self, field: PlumeField, strip: Strip) -> Floats:
        """Return what each footprint of a strip sees of a plume of 1 kt/h (ppm), shape (rows, 8)."""
        ahead, right = self._wind
        middle_km = field.middle_km(self.distance_km)

        def at(along_km: Floats, across_km: Floats) -> Floats:
            along, across = along_km - self.along_km, across_km - self.across_km
            downwind = along * ahead + across * right + self.distance_km
            left = along * right - across * ahead + middle_km
            return field.at(downwind, left)

        near = np.searchsorted(strip.row_km, [self.along_km - REACH_KM, self.along_km + REACH_KM])
        return strip.mean_of(at, slice(*near))
