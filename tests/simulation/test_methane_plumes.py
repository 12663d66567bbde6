"""Planted plumes conserve mass, drift with the wind and darken the bands as the table says."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.reference.loading import read_reference
from plumewatch.simulation.methane_plumes import REACH_M, air_mass_factor, plume_column_mol_m2, transmittance

CELL_M = 40.0


def plume(wind: tuple[float, float], emission_kg_h: float = 9000.0, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    edges = np.arange(-20000.0, 20000.0 + CELL_M, CELL_M)
    column = plume_column_mol_m2(edges, edges, (0.0, 0.0), emission_kg_h, wind, np.random.default_rng(seed))
    return (edges[:-1] + edges[1:]) / 2, column


@pytest.mark.parametrize("speed", [2.8, 5.0])
def test_column_holds_what_was_released(speed: float) -> None:
    """All puffs that were followed lie in the raster: mass = rate x time to travel the reach."""
    _, column = plume((0.6 * speed, -0.8 * speed))
    mass_kg = column.sum() * CELL_M**2 * MOLAR_MASS_CH4_KG_MOL
    assert mass_kg == pytest.approx(9000.0 / 3600.0 * REACH_M / speed, rel=0.005)


def test_a_section_carries_the_rate() -> None:
    """Mean over sections across the wind and over draws: mass per metre x speed = rate."""
    rates = []
    for seed in range(8):
        x, column = plume((4.0, 0.0), seed=seed)
        per_metre = column.sum(axis=0) * CELL_M * MOLAR_MASS_CH4_KG_MOL
        rates.append(per_metre[(x > 500) & (x < 6000)].mean() * 4.0 * 3600.0)
    assert np.mean(rates) == pytest.approx(9000.0, rel=0.1)


def test_plume_begins_at_its_source_and_meanders() -> None:
    x, column = plume((4.0, 0.0))
    assert column[:, x < -200].sum() < 1e-3 * column.sum()
    at_source = column[np.ix_(np.abs(x) < 100, np.abs(x) < 100)]
    assert at_source.max() > 0.1 * column.max()
    centre = (column * x[:, None]).sum(axis=0) / np.maximum(column.sum(axis=0), 1e-12)
    assert np.ptp(centre[(x > 200) & (x < 5000)]) > 50.0


def test_transmittance_is_the_table_at_its_nodes_and_between() -> None:
    table = read_reference("sentinel2_ch4_transmittance.json")
    omega = np.array(table["omega_mol_m2"])
    for unit in ("S2A", "S2B", "S2C"):
        for band in ("B11", "B12"):
            for row, amf in enumerate(table["amf"]):
                assert transmittance(unit, band, omega, amf) == pytest.approx(np.array(table[f"{unit}_{band}"][row]))
    assert transmittance("S2A", "B12", 1.0, 2.0) == pytest.approx(0.9444, abs=1e-4)
    low, between, high = (float(transmittance("S2B", "B12", omega, 4.0)) for omega in (8.0, 9.0, 10.0))
    assert high < between < low and between == pytest.approx(np.sqrt(low * high), rel=1e-9)
    low, between, high = (float(transmittance("S2B", "B12", 10.0, amf)) for amf in (4.0, 4.25, 4.5))
    assert high < between < low and between == pytest.approx(np.sqrt(low * high), rel=1e-9)
    with pytest.raises(ValueError, match="out of bounds"):
        transmittance("S2A", "B12", 11.0, 2.0)


def test_air_mass_factor() -> None:
    assert air_mass_factor(60.0, 0.0) == pytest.approx(3.0)
