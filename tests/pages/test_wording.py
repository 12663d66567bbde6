"""Words and numbers of a detection: few digits, the right unit, and never a certainty that isn't there."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plumewatch import statuses
from plumewatch.gases import CH4, CO2, GASES
from plumewatch.pages.outcomes import OUTCOME_TEXTS, limit_text, outcome_text, share_text, sight_text
from plumewatch.pages.wording import (
    METHOD_TEXTS,
    STATUS_TEXTS,
    area_text,
    chance_text,
    digits_text,
    emission_text,
    false_alarm_text,
    interval_text,
    mass_text,
    match_text,
    place_text,
    platform_text,
    probability_text,
    rate_text,
    status_text,
    time_text,
    wind_text,
    without_rate_text,
)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "no rate"),
        (float("nan"), "no rate"),
        (0.0, "0 kg/h"),
        (0.0456, "0.046 kg/h"),
        (12.34, "12 kg/h"),
        (870.0, "870 kg/h"),
        (999.4, "999 kg/h"),
        (999.6, "1.0 t/h"),
        (5230.0, "5.2 t/h"),
        (9_960.0, "10 t/h"),
        (43_100.0, "43 t/h"),
        (123_456.0, "123 t/h"),
        (1_234_000.0, "1,230 t/h"),
        (-870.0, "-870 kg/h"),
        (-5230.0, "-5.2 t/h"),
    ],
)
def test_rates_have_two_digits_and_three_from_100_on(rate: float | None, text: str) -> None:
    assert rate_text(CH4, rate) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0034, "0.0034 kt/h"), (13.28, "13 kt/h"), (5.0, "5.0 kt/h"), (1200.0, "1.2 Mt/h")]
)
def test_rates_are_in_the_unit_of_their_gas(rate: float, text: str) -> None:
    assert rate_text(CO2, rate) == text


@example(0.001)
@example(999.5)
@example(9.95)
@given(st.floats(1e-6, 1e9) | st.floats(-1e9, -1e-6))
def test_numbers_are_near_what_they_stand_for_and_short(value: float) -> None:
    text = digits_text(value)
    assert "e" not in text and float(text.replace(",", "")) == pytest.approx(value, rel=0.051)
    assert len(re.sub(r"[-,.]", "", text).strip("0")) <= 3


def test_beside_a_rate_stands_its_interval_or_why_there_is_none() -> None:
    assert interval_text(CH4, 870.0, 5230.0, "ok") == "870 kg/h to 5.2 t/h (68 %)"
    assert interval_text(CO2, None, None, "wind_too_weak") == "(wind too weak)"
    assert interval_text(CH4, None, 5.0) == interval_text(CH4, None, None, "ok") == ""
    assert emission_text(CO2, 13.28, 9.0, 18.0, "ok") == "13 kt/h, 9.0 kt/h to 18 kt/h (68 %)"
    assert emission_text(CH4, None, None, None, "no_wind") == "no rate (no wind)"
    assert (emission_text(CH4, None, None, None), emission_text(CH4, 5.0, None, None)) == ("no rate", "5.0 kg/h")


def test_nothing_is_certain() -> None:
    chances = [chance_text(p) for p in (0.0, 0.0099, 0.01, 0.734, 0.99, 0.9901, 1.0)]
    assert chances == ["below 0.01", "below 0.01", "0.01", "0.73", "0.99", "above 0.99", "above 0.99"]
    assert probability_text(0.734) == "probability 0.73"
    assert [false_alarm_text(p) for p in (0.0, 0.00009, 0.0001, 0.004, 0.126)] == [
        "below 0.01 %", "below 0.01 %", "0.010 %", "0.40 %", "13 %",
    ]  # fmt: skip


def test_masses_and_areas() -> None:
    assert [mass_text(m) for m in (523.4, 9_999.0, 23_400.0)] == ["523 kg", "9,999 kg", "23.4 t"]
    assert [area_text(a) for a in (36_000.0, 2_360_000.0)] == ["3.6 ha", "2.36 km²"]


def test_a_place_is_longitude_then_latitude() -> None:
    assert place_text(54.2, -38.51234) == "54.2000°E 38.5123°S"
    assert place_text(-103.2, 31.9, 2) == "103.20°W 31.90°N"


def test_times_winds_and_satellites() -> None:
    assert time_text(datetime(2025, 8, 31, 7, 2, 59, tzinfo=UTC)) == "2025-08-31 07:02 UTC"
    assert time_text(None) == "time unknown"
    assert (wind_text(4.24, 270.0), wind_text(0.0, 359.7)) == ("4.2 m/s from 270°", "0.0 m/s from 0°")
    assert platform_text("sentinel-2a") == "Sentinel-2A"


def test_statuses_have_words_even_where_nobody_chose_them() -> None:
    assert status_text("too_bright") == "refused: too bright" and status_text("accepted") == "accepted"
    assert match_text("ambiguous") == "source not certain" and match_text("as_yet_unknown") == "as yet unknown"
    known = {value for name, value in vars(statuses).items() if name.isupper() and isinstance(value, str)}
    assert known >= STATUS_TEXTS.keys() | OUTCOME_TEXTS.keys()
    assert METHOD_TEXTS.keys() == set(GASES["ch4"].methods)


def test_outcomes_are_worded_by_whose_observation_they_are() -> None:
    asked = [(CH4, "search"), (CH4, "detection"), (CO2, "search"), (CO2, "detection")]
    assert [outcome_text(gas, {"outcome": "no_input", "stage": stage}) for gas, stage in asked] == [
        "no scene", "no pixels", "no granules", "too few soundings",
    ]  # fmt: skip
    assert outcome_text(CO2, {"outcome": "searched"}) == "searched"
    assert outcome_text(CH4, {"outcome": "as_yet_unknown"}) == "as yet unknown"
    assert sight_text(CH4, {"outcome": "no_input"}) == sight_text(CH4, {"outcome": "no_reference"}) == ""
    seen = {"outcome": "searched", "clear_fraction": None, "detection_limit": float("nan"), "wind_speed_m_s": 4.0}
    assert sight_text(CH4, seen) == "no detection limit"
    assert sight_text(CH4, seen | {"wind_speed_m_s": None}) == "no detection limit (no wind)"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"), (1e-9, "below 1 %"), (0.006, "1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.9951, "above 99 %"),
        (1.0, "100 %"), (1.0000001, "100 %"),
    ],
)  # fmt: skip
def test_a_share_is_all_or_nothing_only_where_it_is(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (95.0, "95 kg/h"),
        (995.0, "1,000 kg/h"),
        (874.4, "870 kg/h"),
        (2485.1, "2,500 kg/h"),
        (25_300.0, "25,000 kg/h"),
        (0.456, "0.46 kg/h"),
    ],
)
def test_a_detection_limit_has_two_digits(limit: float, text: str) -> None:
    assert limit_text(CH4, limit) == text


WHOLE = {"emission_status": "no_wind", "wind_u_m_s": 4.0, "wind_across_track_m_s": 3.0, "surface_pressure_hpa": 980.0,
         "tcwv_kg_m2": 20.0}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"surface_pressure_hpa": None}, "no_surface_pressure"),
        ({"tcwv_kg_m2": None}, "no_water_vapour"),
        ({"surface_pressure_hpa": None, "tcwv_kg_m2": None}, "no_surface_pressure"),
        ({"wind_across_track_m_s": None}, "no_direction_of_flight"),
        ({"surface_pressure_hpa": 1.0}, "no_dry_air"),
        ({"wind_u_m_s": None, "wind_across_track_m_s": None, "surface_pressure_hpa": None}, "no_wind"),
        ({"emission_status": "wind_too_weak", "surface_pressure_hpa": None}, "wind_too_weak"),
        ({"emission_status": "ok"}, "ok"),
    ],
)
def test_a_peak_without_a_rate_says_what_is_missing(change: dict[str, float | None], said: str) -> None:
    assert without_rate_text({**WHOLE, **change}) == said
    assert without_rate_text({"emission_status": "no_wind"}) == "no_wind"  # a plume, whose rate needs wind alone
