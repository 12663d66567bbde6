"""Strips to be judged on: empty ones, planted ones, pairs of plants, and months; each by a number and a purpose.

The purpose keeps apart what a method may be trained on and what it is judged by: seeds of the two never meet, nor do
those of different kinds of strips: `World.make(TRAINING, 160, noise)` is for those who calibrate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.clouds import FULL, GAP_CLASSES, GapClass, draw_seen
from plumewatch.oco2.evaluation.particle_plume import PlumeField, Weather, simulate_plume
from plumewatch.oco2.evaluation.strip import ROW_KM, Crossing, Strip
from plumewatch.oco2.evaluation.strip_truth import TruePlume, one_or_two
from plumewatch.oco2.evaluation.surroundings import BACKGROUNDS, Covariance, StripNoise, draw_surroundings
from plumewatch.oco2.track import Track

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TRAINING, JUDGING = 101, 102
FIELD_STREAM, EMPTY_STREAM, PLANTED_STREAM, PAIR_STREAM, MONTH_STREAM, SHAPE_STREAM = 11, 12, 13, 14, 15, 16

STRIP_KM = 600.0
EDGE_KM = 120.0  # a plume's middle is so far from both ends
LARGEST_PPM = (0.7, 8.0)  # enhancement of the strongest plume's best footprint, log-uniform
MOST_KT_H = 20.0  # above all the plants of the Highveld
DISTANCE_KM, ANGLE_DEG = (2.0, 80.0), (15.0, 90.0)
PLANTS = (0.5, 0.3, 0.2)  # share of strips with one, two, three
APART_KM = (10.0, 60.0)
SIMILAR, WEAK, WEAK_SHARE = (0.6, 1.6), 0.2, 0.4  # rate of a further plant over the first's
OTHER_DISTANCE, OTHER_ANGLE_DEG = (0.7, 1.4), 8.0  # the wind is nearly that of the first plant
PAIR_APART_KM, PAIR_LARGEST_PPM, PAIR_DISTANCE_KM, PAIR_ANGLE_DEG = (28.0, 32.0), (2.0, 8.0), (5.0, 40.0), (45.0, 90.0)
WIND_ERROR_M_S = 1.0  # of the wind that soundings state, each component
ORBITS, ORBIT_KM = 100, 2000.0  # of a month, searched


@dataclass(frozen=True)
class JudgedStrip:
    """A track with all that is true of it."""

    track: Track
    """What a finder gets."""
    plumes: tuple[TruePlume, ...]
    """The truth, along the track."""
    gaps: str
    """Name of the kind of clouds."""
    background: str
    """Name of the background."""
    noise: str
    """Name of the noise."""
    strip: Strip
    """Places of all footprints."""
    is_seen: Bools
    """Which are soundings of the track, shape (rows, 8)."""
    covariance: Covariance
    """What a filter that knows the noise is told."""


@dataclass(frozen=True)
class Plant:
    """A plume to be put into a strip."""

    field: PlumeField
    """Of 1 kt/h."""
    crossing: Crossing
    """How the strip cuts it."""
    emission_kt_h: float
    """Emission."""


@dataclass(frozen=True)
class World:
    """Where strips come from."""

    purpose: int
    """TRAINING or JUDGING."""
    fields: tuple[PlumeField, ...]
    """Plumes of 1 kt/h that strips cut."""
    noise: tuple[StripNoise, ...]
    """Strips take them in turn."""

    @classmethod
    def make(cls, purpose: int, n_fields: int, noise: Sequence[StripNoise]) -> World:
        """Simulate so many plumes."""
        fields = []
        for number in range(n_fields):
            rng = np.random.default_rng([purpose, FIELD_STREAM, number])
            fields.append(simulate_plume(rng, Weather.draw(rng)))
        return cls(purpose, tuple(fields), tuple(noise))

    def empty_strips(self, count: int) -> Iterator[JudgedStrip]:
        """Strips without a plume, of all gaps, backgrounds and noises in turn."""
        for number in range(count):
            rng = np.random.default_rng([self.purpose, EMPTY_STREAM, number])
            yield self._strip(rng, Strip.draw(rng, STRIP_KM), [], *self._surroundings(number))

    def planted_strips(self, count: int) -> Iterator[JudgedStrip]:
        """Strips with the plumes of one to three plants, of all gaps, backgrounds and noises in turn."""
        for number in range(count):
            rng = np.random.default_rng([self.purpose, PLANTED_STREAM, number])
            strip = Strip.draw(rng, STRIP_KM)
            plants = self._neighbours(rng, strip, 1 + rng.choice(len(PLANTS), p=PLANTS))
            yield self._strip(rng, strip, plants, *self._surroundings(number))

    def pairs(self, count: int) -> Iterator[JudgedStrip]:
        """Strips with two similar plants 30 km apart, both high enough to be found, without clouds."""
        for number in range(count):
            rng = np.random.default_rng([self.purpose, PAIR_STREAM, number])
            strip = Strip.draw(rng, STRIP_KM)
            at_km = rng.uniform(EDGE_KM, STRIP_KM - EDGE_KM - PAIR_APART_KM[1])
            distance, angle = rng.uniform(*PAIR_DISTANCE_KM), rng.uniform(*PAIR_ANGLE_DEG)
            first = self._plant(
                rng, strip, Crossing(at_km, distance, angle, *self._quadrant(rng, strip)), PAIR_LARGEST_PPM
            )
            second = self._beside(rng, first, rng.uniform(*PAIR_APART_KM), rng.uniform(*SIMILAR))
            noise = self.noise[number % len(self.noise)]
            yield self._strip(rng, strip, [first, second], FULL, BACKGROUNDS[number % len(BACKGROUNDS)], noise)

    def month(self, n_plumes: int, number: int = 0, n_orbits: int = ORBITS) -> Iterator[JudgedStrip]:
        """Return the orbits of a month with the plumes of so many plants, each anywhere.

        Which rows of an orbit are plumes says `owner_of(judged.plumes, centres)`: those that have an owner.
        """
        rng = np.random.default_rng([self.purpose, MONTH_STREAM, number, n_plumes])
        of_orbit = np.bincount(rng.integers(0, n_orbits, n_plumes), minlength=n_orbits)
        for orbit, count in enumerate(of_orbit):
            strip = Strip.draw(rng, ORBIT_KM)
            plants = []
            for _ in range(count):
                plants += self._neighbours(rng, strip, 1)
            gaps, background = GAP_CLASSES[rng.integers(len(GAP_CLASSES))], BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
            made = self._strip(rng, strip, plants, gaps, background, self.noise[rng.integers(len(self.noise))])
            yield replace(made, track=replace(made.track, orbit=orbit))

    def shapes(self, count: int, slant_deg: float) -> Iterator[Floats]:
        """Single plants' plumes in the middle of strips of a slant, each as high as it can be: ppm, shape (rows, 8)."""
        strip = Strip(round(STRIP_KM / ROW_KM), slant_deg)
        rng = np.random.default_rng([self.purpose, SHAPE_STREAM])
        for _ in range(count):
            distance, angle = float(np.exp(rng.uniform(*np.log(DISTANCE_KM)))), rng.uniform(*ANGLE_DEG)
            crossing = Crossing(STRIP_KM / 2, distance, angle, *self._quadrant(rng, strip))
            plant = self._plant(rng, strip, crossing, (LARGEST_PPM[1], LARGEST_PPM[1]))
            yield plant.emission_kt_h * crossing.enhancement(plant.field, strip)

    def _surroundings(self, number: int) -> tuple[GapClass, str, StripNoise]:
        gaps, rest = number % len(GAP_CLASSES), number // len(GAP_CLASSES)
        background, rest = rest % len(BACKGROUNDS), rest // len(BACKGROUNDS)
        return GAP_CLASSES[gaps], BACKGROUNDS[background], self.noise[rest % len(self.noise)]

    def _neighbours(self, rng: np.random.Generator, strip: Strip, count: int) -> list[Plant]:
        """Plants one beside the other along a strip."""
        apart = rng.uniform(*APART_KM, count - 1)
        length = strip.row_km[-1]
        at_km = rng.uniform(EDGE_KM, length - EDGE_KM - apart.sum())
        distance, angle = float(np.exp(rng.uniform(*np.log(DISTANCE_KM)))), rng.uniform(*ANGLE_DEG)
        plants = [self._plant(rng, strip, Crossing(at_km, distance, angle, *self._quadrant(rng, strip)), LARGEST_PPM)]
        for step_km in apart:
            ratio = WEAK if rng.random() < WEAK_SHARE else rng.uniform(*SIMILAR)
            at_km += step_km
            plants.append(self._beside(rng, plants[0], at_km - plants[0].crossing.along_km, ratio))
        return plants

    def _quadrant(self, rng: np.random.Generator, strip: Strip) -> tuple[bool, bool, float]:
        """Where the wind blows to, and which part of the strip's width is at the plume's distance."""
        return bool(rng.integers(2)), bool(rng.integers(2)), rng.uniform(*strip.across_km[0, [0, -1]])

    def _plant(
        self, rng: np.random.Generator, strip: Strip, crossing: Crossing, largest_ppm: tuple[float, float]
    ) -> Plant:
        """A plant whose best footprint has an enhancement of that range, as far as its emission can be as large."""
        field = self.fields[rng.integers(len(self.fields))]
        wanted_ppm = float(np.exp(rng.uniform(*np.log(largest_ppm))))
        emission = wanted_ppm / crossing.enhancement(field, strip).max()
        return Plant(field, crossing, min(emission, MOST_KT_H))

    def _beside(self, rng: np.random.Generator, first: Plant, apart_km: float, ratio: float) -> Plant:
        """A plant farther along the track, in a wind as strong as the first one's and nearly of its direction."""
        field = self.fields[rng.integers(len(self.fields))]
        crossing = replace(
            first.crossing,
            along_km=first.crossing.along_km + apart_km,
            distance_km=float(np.clip(first.crossing.distance_km * rng.uniform(*OTHER_DISTANCE), *DISTANCE_KM)),
            angle_deg=float(np.clip(first.crossing.angle_deg + rng.normal(0.0, OTHER_ANGLE_DEG), *ANGLE_DEG)),
        )
        slower = field.weather.wind_m_s / first.field.weather.wind_m_s
        return Plant(field, crossing, first.emission_kt_h * ratio * slower)

    def _strip(
        self,
        rng: np.random.Generator,
        strip: Strip,
        plants: Sequence[Plant],
        gaps: GapClass,
        background: str,
        noise: StripNoise,
    ) -> JudgedStrip:
        """Put plumes into background and noise, and take away what clouds hide."""
        around = draw_surroundings(rng, background, noise, strip)
        is_seen = draw_seen(rng, gaps, strip) & around.is_measured
        seen = [plant.emission_kt_h * plant.crossing.enhancement(plant.field, strip) for plant in plants]
        plumes = [
            TruePlume.of([(plants[k].crossing, seen[k]) for k in group], is_seen, strip.row_km)
            for group in (one_or_two([part.mean(axis=1) for part in seen]) if seen else [])
        ]
        wind = plants[0].crossing.wind_m_s(plants[0].field.weather.wind_m_s) if plants else rng.normal(0.0, 4.0, 2)
        stated = tuple(float(part + rng.normal(0.0, WIND_ERROR_M_S)) for part in wind)
        xco2_ppm = around.xco2_ppm + np.sum(seen, axis=0) if seen else around.xco2_ppm
        track = strip.track(xco2_ppm, is_seen, around.stated_ppm, around.covariance.is_water, (stated[0], stated[1]))
        plumes.sort(key=lambda plume: plume.centre_km)
        return JudgedStrip(track, tuple(plumes), gaps.name, background, noise.name, strip, is_seen, around.covariance)
