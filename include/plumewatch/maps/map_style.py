"""What only maps need to know of a gas: distances, zooms, sizes, and whom its data is from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from plumewatch.gases import CH4, CO2
from plumewatch.pages.wording import ATTRIBUTIONS

MIN_RADIUS_PX, MAX_RADIUS_PX = 6.0, 30.0  # of a circle: what can be seen and clicked
REFERENCE_RADIUS_PX = 16.0
MIN_SOURCE_SIZE, MAX_SOURCE_SIZE = 0.4, 1.3  # of an icon, in shares of its drawing
REFERENCE_SOURCE_SIZE = 1.6


@dataclass(frozen=True)
class MapStyle:
    """How the detections of a gas are mapped."""

    seen_in: str
    """Column that says in what a detection was seen."""
    strength: str
    """Column that the refused detections to be shown are chosen by, the highest first."""
    shown_from: float | None
    """Probability, after the sources upwind are taken into account, from which on accepted detections are shown unless
    all are asked for. None: all are shown, by the probability of their own."""
    source_radius_km: float
    """Sources so near to a detection are shown."""
    near_zoom: float
    """Zoom at which one detection is looked at."""
    name_zoom: float
    """Zoom from which on sources have name tags."""
    place_digits: int
    """Decimals of the degrees that tell detections apart."""
    reference_rate: float
    """Emission, in the gas's unit, whose circle has a radius of 16 px."""
    attribution: str
    """Whom the satellite data is from."""

    def radius_px(self, rate: float | None) -> float:
        """Return the radius of a circle: its area grows with the rate."""
        if rate is None:
            return MIN_RADIUS_PX
        radius = REFERENCE_RADIUS_PX * math.sqrt(max(rate, 0.0) / self.reference_rate)
        return round(min(MAX_RADIUS_PX, max(MIN_RADIUS_PX, radius)), 1)

    def source_size(self, rate: float) -> float:
        """Return the size of a source's icon: its area grows with the rate."""
        size = REFERENCE_SOURCE_SIZE * math.sqrt(rate / self.reference_rate)
        return round(min(MAX_SOURCE_SIZE, max(MIN_SOURCE_SIZE, size)), 2)


STYLES = {
    CH4.name: MapStyle(
        seen_in="area",
        strength="probability",
        shown_from=None,  # what is accepted is chosen by its probability already
        source_radius_km=20.0,
        near_zoom=12.5,
        name_zoom=10.0,
        place_digits=3,
        reference_rate=10_000.0,
        attribution=ATTRIBUTIONS[CH4.name],
    ),
    CO2.name: MapStyle(
        seen_in="orbit",
        strength="significance",
        shown_from=0.5,  # rather a plume than noise
        source_radius_km=150.0,
        near_zoom=7.5,
        name_zoom=6.0,
        place_digits=2,
        reference_rate=5.0,
        attribution=ATTRIBUTIONS[CO2.name],
    ),
}
"""By the name of the gas."""
