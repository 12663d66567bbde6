"""What is put in comes back with a bias under 2 %, by each form, satellite and air mass factor."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.evaluation.round_trip import (
    AIR_MASS_FACTORS,
    COLUMNS_MOL_M2,
    FORMS,
    LEAST_RELATIVE_MOL_M2,
    mixture_transmittance,
    round_trip,
    round_trip_lines,
    round_trips,
    worst_round_trip_bias,
)
from plumewatch.methane.retrieval import PLATFORMS, TABLE_FILE
from plumewatch.reference.loading import read_reference

PAIRS = 4000
SEED = 5


def test_every_case_is_there_once() -> None:
    cases = {(t.form, t.platform, t.air_mass_factor, t.column_mol_m2) for t in round_trips(SEED, PAIRS)}
    assert len(cases) == len(round_trips(SEED, PAIRS))
    assert len(cases) == len(FORMS) * len(PLATFORMS) * len(AIR_MASS_FACTORS) * len(COLUMNS_MOL_M2)


def test_bias_is_under_2_percent() -> None:
    assert worst_round_trip_bias(SEED, PAIRS) < 0.02


def test_bias_around_zero_is_a_small_share_of_the_noise() -> None:
    small = [trip for trip in round_trips(SEED, PAIRS) if trip.column_mol_m2 < LEAST_RELATIVE_MOL_M2]
    assert max(abs(trip.bias_mol_m2) / trip.noise_mol_m2 for trip in small) < 0.005
    assert max(abs(trip.bias_mol_m2) for trip in small) < 0.001


def test_noise_is_as_published_and_its_bias_is_seen_where_it_is_not_corrected() -> None:
    trips = [t for t in round_trips(SEED, PAIRS) if (t.form, t.platform) == ("ratio", "sentinel-2a")]
    of_zero = next(t for t in trips if (t.air_mass_factor, t.column_mol_m2) == (2.0, 0.0))
    assert of_zero.noise_mol_m2 == pytest.approx(0.0734, rel=0.05)
    assert all(t.raw_bias_mol_m2 > abs(t.bias_mol_m2) for t in trips)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_sum_of_exponentials_goes_through_the_table(platform: str) -> None:
    table = read_reference(TABLE_FILE)
    for band in ("B11", "B12"):
        for amf in (2.0, 4.0):
            row = table[f"{PLATFORMS[platform]}_{band}"][table["amf"].index(amf)]
            fitted = [mixture_transmittance(omega, platform, band, amf) for omega in table["omega_mol_m2"]]
            assert np.abs(np.array(fitted) - row).max() < 1.5e-6


def test_noise_is_that_of_the_seed() -> None:
    once, again, other = (round_trip(seed, "sentinel-2c", 3.1, 0.6, 500) for seed in (SEED, SEED, SEED + 1))
    assert once == again and once != other


def test_lines_name_every_form_and_satellite() -> None:
    lines = round_trip_lines(SEED, PAIRS)
    assert [tuple(line.split()[:2]) for line in lines[2:]] == [(f, p) for f in FORMS for p in PLATFORMS]
