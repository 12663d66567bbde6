"""How a plume is spoken of: the words and numbers that a person reads on pictures and pages."""

from __future__ import annotations

from plumewatch.gases import ISOLATION_FOREST, MULTI_PASS, SINGLE_PASS
from plumewatch.statuses import (
    ACCEPTED,
    DOWNWIND_PIECE,
    MASKED_EDGE,
    NOT_SIGNIFICANT,
    SURFACE_CHANGE,
    TOO_SMALL,
    UNRATED,
)

KG_PER_T = 1000.0
SQUARE_METRES_PER_HECTARE = 10_000.0

METHOD_TEXTS = {
    MULTI_PASS: "against earlier dates (multi_pass)",
    SINGLE_PASS: "one date alone (single_pass)",
    ISOLATION_FOREST: "outliers and their clusters (isolation_forest)",
}
STATUS_TEXTS = {
    ACCEPTED: "accepted",
    UNRATED: "not rated: this method doesn't know methane",
    SURFACE_CHANGE: "refused: it changed as ground or cloud do, not as gas does",
    TOO_SMALL: "refused: smaller than the plumes that this satellite can tell, or one small object",
    MASKED_EDGE: "refused: it lies at the edge of cloud, shadow or water",
    NOT_SIGNIFICANT: "refused: noise makes as strong ones too often",
    DOWNWIND_PIECE: "not counted again: the far part of another plume",
}


def status_text(status: str) -> str:
    """Return a status in words; one without words of its own is read as it is.

    >>> status_text("too_bright")
    'refused: too bright'
    """
    return STATUS_TEXTS.get(status, f"refused: {status.replace('_', ' ')}")


def rate_text(emission_kg_h: float) -> str:
    """Return a rate with its unit, two or three digits.

    >>> rate_text(5230.0), rate_text(43100.0), rate_text(870.0)
    ('5.2 t/h', '43 t/h', '870 kg/h')
    """
    tonnes = emission_kg_h / KG_PER_T
    return f"{emission_kg_h:.0f} kg/h" if abs(tonnes) < 1 else f"{tonnes:.{1 if abs(tonnes) < 20 else 0}f} t/h"


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


def place_text(longitude: float, latitude: float) -> str:
    """Return a place to ten metres.

    >>> place_text(54.2, -38.51234)
    '54.2000°E 38.5123°S'
    """
    return f"{abs(longitude):.4f}°{'E' if longitude >= 0 else 'W'} {abs(latitude):.4f}°{'N' if latitude >= 0 else 'S'}"


def probability_text(probability: float) -> str:
    """Return a probability; nothing is certain.

    >>> probability_text(0.734), probability_text(0.9999), probability_text(0.0001)
    ('probability 0.73', 'probability above 0.99', 'probability below 0.01')
    """
    if probability > 0.99:
        return "probability above 0.99"
    return "probability below 0.01" if probability < 0.01 else f"probability {probability:.2f}"


def platform_text(platform: str) -> str:
    """Return a satellite's name as people write it.

    >>> platform_text("sentinel-2a")
    'Sentinel-2A'
    """
    name, _, unit = platform.rpartition("-")
    return f"{name.capitalize()}-{unit.upper()}"
