"""How detections and observations are spoken of: what a person reads of them on maps, pages and pictures.

Nobody else words them, so that the same plume reads the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from plumewatch.gases import CH4, CO2, ISOLATION_FOREST, MULTI_PASS, SINGLE_PASS, Gas
from plumewatch.statuses import (
    ACCEPTED,
    AMBIGUOUS,
    CONFIRMED,
    CURVED_BACKGROUND,
    DOWNWIND_PIECE,
    DUPLICATE,
    INCONSISTENT_RATE,
    LOW_CORRELATION,
    MASKED_EDGE,
    NO_WIND,
    NOT_SIGNIFICANT,
    RATED,
    REJECTED,
    SHOULDERS_EMPTY,
    SURFACE_CHANGE,
    TOO_SMALL,
    UNKNOWN_SOURCE,
    UNRATED,
)

KG_PER_T = 1000.0
SQUARE_METRES_PER_HECTARE = 10_000.0
LARGE = 1000.0  # so much of a unit is told in the larger one
PLACE_DIGITS = 4  # of degrees: ten metres

METHOD_TEXTS = {
    MULTI_PASS: "against earlier dates",
    SINGLE_PASS: "one date alone",
    ISOLATION_FOREST: "outliers and their clusters",
}
STATUS_TEXTS = {
    ACCEPTED: "accepted",
    UNRATED: "not rated: how probable it is was never measured",
    SURFACE_CHANGE: "refused: it changed as ground or cloud do, not as gas does",
    TOO_SMALL: "refused: smaller than the plumes that this satellite can tell, or one small object",
    MASKED_EDGE: "refused: it lies at the edge of cloud, shadow or water",
    NOT_SIGNIFICANT: "refused: noise makes as strong ones too often",
    DOWNWIND_PIECE: "not counted again: the far part of another plume",
    SHOULDERS_EMPTY: "refused: too few soundings beside it",
    LOW_CORRELATION: "refused: the soundings don't follow the fitted curve",
    CURVED_BACKGROUND: "refused: the background beside it is curved",
    DUPLICATE: "not counted again: a stronger peak lies beside it",
    REJECTED: "refused by a person",
}
MATCH_TEXTS = {
    CONFIRMED: "source confirmed",
    AMBIGUOUS: "source not certain",
    INCONSISTENT_RATE: "rate doesn't fit the source",
    UNKNOWN_SOURCE: "in no inventory",
}

ATTRIBUTIONS = {
    CH4.name: "Contains modified Copernicus Sentinel data (Sentinel-2)",
    CO2.name: "OCO-2 and OCO-3 Lite data: NASA GES DISC",
}
"""Whom a gas's satellite data is from."""


def status_text(status: str) -> str:
    """Return a status in words; one without words of its own is read as it is.

    >>> status_text("too_bright")
    'refused: too bright'
    """
    return STATUS_TEXTS.get(status, f"refused: {status.replace('_', ' ')}")


def digits_text(value: float) -> str:
    """Return a number without exponent: two digits, three from 100 on.

    >>> [digits_text(value) for value in (0.00342, 5.23, 9.96, 43.1, 874.4, 12_345.0)]
    ['0.0034', '5.2', '10', '43', '874', '12,300']
    """
    rounded = _rounded(value)
    return f"{rounded:,.{max(0, _decimals(rounded))}f}"


def _rounded(value: float) -> float:
    return round(value, _decimals(value))


def _decimals(value: float) -> int:
    """Return how many decimals are told; below zero so many digits before the point are none."""
    magnitude = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 1
    return 1 - magnitude if magnitude < 2 else 2 - magnitude


def rate_text(gas: Gas, rate: float | None) -> str:
    """Return an emission in the gas's unit, from 1,000 on in its large one.

    >>> from plumewatch.gases import CH4, CO2
    >>> rate_text(CH4, 5230.0), rate_text(CH4, 43100.0), rate_text(CH4, 870.0), rate_text(CO2, 0.0034)
    ('5.2 t/h', '43 t/h', '870 kg/h', '0.0034 kt/h')
    """
    if rate is None or not math.isfinite(rate):
        return "no rate"
    if abs(_rounded(rate)) < LARGE:
        return f"{digits_text(rate)} {gas.unit}"
    return f"{digits_text(rate / LARGE)} {gas.large_unit}"


def interval_text(gas: Gas, low: float | None, high: float | None, emission_status: str | None = None) -> str:
    """Return what stands beside a rate: its interval, or why there is none.

    >>> from plumewatch.gases import CH4
    >>> interval_text(CH4, 870.0, 5230.0), interval_text(CH4, None, None, "no_wind")
    ('870 kg/h to 5.2 t/h (68 %)', '(no wind)')
    """
    if low is not None and high is not None:
        return f"{rate_text(gas, low)} to {rate_text(gas, high)} (68 %)"
    return "" if emission_status in (None, RATED) else f"({emission_status.replace('_', ' ')})"


WITHOUT_RATE = {
    "wind_across_track_m_s": "no_direction_of_flight", "surface_pressure_hpa": "no_surface_pressure",
    "tcwv_kg_m2": "no_water_vapour",
}  # fmt: skip
"""What else the rate of a peak needs, and what is said where it is missing."""


def without_rate_text(row: Mapping[str, Any]) -> str:
    """Return why a detection (a row of `plumes` or `peaks`) has no rate, by what is missing; its status where it has.

    `no_wind` stands for all that a rate needs and that isn't known: a peak with a wind may lack pressure or water.

    >>> without_rate_text({"emission_status": "no_wind", "wind_u_m_s": 4.0, "wind_across_track_m_s": 4.0,
    ...                    "surface_pressure_hpa": None})
    'no_surface_pressure'
    """
    if row["emission_status"] != NO_WIND or row.get("wind_u_m_s") is None:
        return str(row["emission_status"])
    for column, missing in WITHOUT_RATE.items():
        if row[column] is None:
            return missing
    return "no_dry_air"  # by a pressure and a water vapour that can't both be


def emission_text(
    gas: Gas, rate: float | None, low: float | None, high: float | None, emission_status: str | None = None
) -> str:
    """Return a rate with its interval, or that there is none and why.

    >>> from plumewatch.gases import CH4
    >>> emission_text(CH4, 5230.0, 3100.0, 7800.0), emission_text(CH4, None, None, None, "no_wind")
    ('5.2 t/h, 3.1 t/h to 7.8 t/h (68 %)', 'no rate (no wind)')
    """
    beside = interval_text(gas, low, high, emission_status)
    return rate_text(gas, rate) + (beside and (" " if rate is None else ", ") + beside)


def mass_text(mass_kg: float) -> str:
    """Return a mass in kilograms, in tonnes from ten on.

    >>> mass_text(523.4), mass_text(23400.0)
    ('523 kg', '23.4 t')
    """
    return f"{mass_kg:,.0f} kg" if abs(mass_kg) < 10 * KG_PER_T else f"{mass_kg / KG_PER_T:,.1f} t"


def area_text(area_m2: float) -> str:
    """Return an area in hectares, in square kilometres from one on.

    >>> area_text(36_000.0), area_text(2_360_000.0)
    ('3.6 ha', '2.36 km²')
    """
    hectares = area_m2 / SQUARE_METRES_PER_HECTARE
    return f"{hectares:.1f} ha" if hectares < 100 else f"{hectares / 100:.2f} km²"


def place_text(longitude: float, latitude: float, digits: int = PLACE_DIGITS) -> str:
    """Return a place, longitude first, with so many decimals of its degrees.

    >>> place_text(54.2, -38.51234)
    '54.2000°E 38.5123°S'
    """
    east, north = "E" if longitude >= 0 else "W", "N" if latitude >= 0 else "S"
    return f"{abs(longitude):.{digits}f}°{east} {abs(latitude):.{digits}f}°{north}"


def time_text(when: datetime | None) -> str:
    """Return when something was seen, to the minute."""
    return "time unknown" if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def speed_text(speed_m_s: float) -> str:
    """Return a wind speed.

    >>> speed_text(4.24)
    '4.2 m/s'
    """
    return f"{speed_m_s:.1f} m/s"


def wind_text(speed_m_s: float, from_deg: float) -> str:
    """Return a wind: how fast, and where from in degrees from north.

    >>> wind_text(4.24, 359.7)
    '4.2 m/s from 0°'
    """
    return f"{speed_text(speed_m_s)} from {round(from_deg) % 360}°"


def chance_text(probability: float) -> str:
    """Return the number of a probability; nothing is certain.

    >>> chance_text(0.734), chance_text(0.9999), chance_text(0.0001)
    ('0.73', 'above 0.99', 'below 0.01')
    """
    probability = round(probability, 6)  # the tables' 32 bits hold seven digits
    if probability > 0.99:
        return "above 0.99"
    return "below 0.01" if probability < 0.01 else f"{probability:.2f}"


def probability_text(probability: float) -> str:
    """Return a probability as `chance_text` words it, with what it is.

    >>> probability_text(0.734)
    'probability 0.73'
    """
    return f"probability {chance_text(probability)}"


def chance_beside_text(probability: float, own: float | None) -> str:
    """Return the number of a probability and, where it reads otherwise, of that without the sources upwind (`own`).

    >>> chance_beside_text(0.93, 0.871), chance_beside_text(0.93, 0.93), chance_beside_text(0.93, None)
    ('0.93 (0.87 without the sources upwind)', '0.93', '0.93')
    """
    told = chance_text(probability)
    alone = told if own is None else chance_text(own)
    return told if alone == told else f"{told} ({alone} without the sources upwind)"


def expected_false_text(noun: str, probabilities: Sequence[float | None]) -> str:
    """Return how many of the detections shown, by their probabilities, are expected to be false: the sum of 1 - p.

    >>> expected_false_text("peak", [0.9, 0.5, 0.95])
    'Expected number of false ones among the 3 accepted peaks shown: 0.7.'
    >>> expected_false_text("peak", [0.99, None])
    'Expected number of false ones among the 2 accepted peaks shown, without 1 of unknown probability: below 0.1.'
    """
    if not probabilities:
        return f"No accepted {noun} is shown."
    known = [p for p in probabilities if p is not None]
    n_unknown = len(probabilities) - len(known)
    shown = f"{len(probabilities)} accepted {noun}{'' if len(probabilities) == 1 else 's'} shown"
    without = f", without {n_unknown} of unknown probability" if n_unknown else ""
    return f"Expected number of false ones among the {shown}{without}: {false_number_text(known)}."


def false_number_text(probabilities: Sequence[float]) -> str:
    """Return how many of detections with these probabilities are expected to be false.

    >>> false_number_text([0.9, 0.5]), false_number_text([0.99])
    ('0.6', 'below 0.1')
    """
    expected = sum(1.0 - p for p in probabilities)
    return f"{expected:.1f}" if expected >= 0.05 else "below 0.1"


def hidden_text(n_hidden: int) -> str:
    """Return that so many less probable detections aren't shown.

    >>> hidden_text(12), hidden_text(1), hidden_text(0)
    ('12 less probable ones are hidden.', '1 less probable one is hidden.', '')
    """
    if not n_hidden:
        return ""
    return f"{n_hidden} less probable {'one is' if n_hidden == 1 else 'ones are'} hidden."


def false_alarm_text(probability: float) -> str:
    """Return the probability that noise alone makes such a detection, in percent: those that count are small.

    >>> false_alarm_text(0.004), false_alarm_text(0.00001)
    ('0.40 %', 'below 0.01 %')
    """
    percent = 100.0 * probability
    return "below 0.01 %" if percent < 0.01 else f"{digits_text(percent)} %"


def match_text(status: str) -> str:
    """Return in words what the inventories say of a detection.

    >>> match_text("ambiguous")
    'source not certain'
    """
    return MATCH_TEXTS.get(status, status.replace("_", " "))


def platform_text(platform: str) -> str:
    """Return a satellite's name as people write it.

    >>> platform_text("sentinel-2a")
    'Sentinel-2A'
    """
    name, _, unit = platform.rpartition("-")
    return f"{name.capitalize()}-{unit.upper()}"
