"""Units in which a list may state emissions: a mass, what it is of, and the time in which it is emitted."""

from __future__ import annotations

import re

from plumewatch.constants import (
    HOURS_PER_YEAR,
    MOLAR_MASS_C_KG_MOL,
    MOLAR_MASS_CH4_KG_MOL,
    MOLAR_MASS_CO2_KG_MOL,
    SECONDS_PER_HOUR,
)
from plumewatch.gases import CH4, CO2

ALLOWED = (
    "a mass (g, kg, t, kt, Mt, Gt, Mg, Gg, Tg; tonnes), of the row's gas or of C, a time (s, h, day, year), "
    "such as kg/h, t/yr, kt, MtCO2 per year, tonnes of C; nothing is t/yr"
)
TONNES = {"g": 1e-6, "kg": 1e-3, "t": 1.0, "kt": 1e3, "Mt": 1e6, "Gt": 1e9, "Mg": 1.0, "Gg": 1e3, "Tg": 1e6}
UNSURE = {"mt", "mg"}  # in other letters than those above: metric tons or megatonnes, milligrams or megagrams
MASS_WORDS = {
    "gram": "g", "kilogram": "kg", "tonne": "t", "metric ton": "t", "kilotonne": "kt", "thousand tonne": "kt",
    "kiloton": "kt", "megatonne": "Mt", "megaton": "Mt", "million tonne": "Mt", "gigatonne": "Gt", "gigaton": "Gt",
    "megagram": "Mg", "gigagram": "Gg",
    "teragram": "Tg",
}  # fmt: skip
PER_YEAR = {
    "": 1.0, "y": 1.0, "yr": 1.0, "year": 1.0, "a": 1.0, "annum": 1.0,
    "d": HOURS_PER_YEAR / 24.0, "day": HOURS_PER_YEAR / 24.0,
    "h": HOURS_PER_YEAR, "hr": HOURS_PER_YEAR, "hour": HOURS_PER_YEAR,
    "s": HOURS_PER_YEAR * SECONDS_PER_HOUR, "sec": HOURS_PER_YEAR * SECONDS_PER_HOUR,
    "second": HOURS_PER_YEAR * SECONDS_PER_HOUR,
}  # fmt: skip
OF_CARBON = {
    CO2.name: MOLAR_MASS_CO2_KG_MOL / MOLAR_MASS_C_KG_MOL,
    CH4.name: MOLAR_MASS_CH4_KG_MOL / MOLAR_MASS_C_KG_MOL,
}
"""Mass of a gas over that of the carbon in it."""
SPECIES = {"co2": CO2.name, "carbon dioxide": CO2.name, "ch4": CH4.name, "methane": CH4.name, "c": "c", "carbon": "c"}
_SPELLINGS = str.maketrans({"₂": "2", "₄": "4", "⁻": "-", "¹": "1", "−": "-", "·": " ", "*": " ", "^": " ", ".": " "})


def _words(spelled: dict[str, str] | dict[str, float]) -> str:
    return "|".join(sorted(map(re.escape, filter(None, spelled)), key=len, reverse=True))


_UNIT = re.compile(
    rf"(?:(?P<word>{_words(MASS_WORDS)})s?|(?P<symbol>[kmgt]?[gt]))"
    rf"(?:\s*(?:of\s+)?(?P<species>{_words(SPECIES)}))?"
    rf"(?:(?:\s*/\s*|\s*_\s*|\s+per\s+|\s+(?:a\s+)?)(?P<time>{_words(PER_YEAR)})s?(?:\s*-\s*1)?)?",
    re.IGNORECASE,
)


def tonnes_a_year(unit: str, gas: str) -> float | None:
    """Return the tonnes of a gas a year that 1 of a stated unit is; None of a unit that isn't known, or of another gas.

    Nothing is tonnes a year, and so is a mass without a time, as inventories are of a year. A year has 8,760 hours.

    >>> tonnes_a_year("", "co2"), tonnes_a_year("Mt/yr", "co2"), tonnes_a_year("kg h-1", "ch4")
    (1.0, 1000000.0, 8.76)
    >>> round(tonnes_a_year("tonnes of C", "co2"), 3), tonnes_a_year("mt", "co2"), tonnes_a_year("t CO2", "ch4")
    (3.664, None, None)
    """
    text = " ".join(unit.translate(_SPELLINGS).split())
    if not text:
        return 1.0
    found = _UNIT.fullmatch(text)
    mass = found and _tonnes(found["symbol"], found["word"])
    if not found or not mass:
        return None
    of = SPECIES[found["species"].casefold()] if found["species"] else gas
    if of not in (gas, "c"):
        return None
    share = OF_CARBON[gas] if of == "c" else 1.0
    return mass * share * PER_YEAR[(found["time"] or "").casefold()]


def states_time(unit: str) -> bool:
    """Return whether a stated unit has a time, and so is a rate and not a mass.

    >>> states_time("kg h-1"), states_time("t CO2/yr"), states_time("tonnes")
    (True, True, False)
    """
    found = _UNIT.fullmatch(" ".join(unit.translate(_SPELLINGS).split()))
    return bool(found and found["time"])


def _tonnes(symbol: str | None, word: str | None) -> float | None:
    """Tonnes of a mass; capitals tell symbols apart only where they have to."""
    if word:
        return TONNES[MASS_WORDS[word.casefold()]]
    if symbol in TONNES:
        return TONNES[symbol]
    small = str(symbol).casefold()
    return None if small in UNSURE else {name.casefold(): tonnes for name, tonnes in TONNES.items()}.get(small)
