"""Numbers of `reference/inventories.yaml`: what may be believed, which cells count, how far emissions may be off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from plumewatch.inventory.rows.csv_rows import Rule
from plumewatch.reference.loading import load_values

FILE = "inventories.yaml"


@dataclass(frozen=True)
class _Combined:
    city_radius_km: float
    """What lies no farther from a city's place is in the city."""
    other_kind_factor: float
    """Up to which ratio of their rates a power plant and an industry at one place are one emitter."""
    most_cell_deg: float
    """Wider cells are in no combined list."""


@dataclass(frozen=True)
class _Odiac:
    cell_deg: float
    """Side of the cells that pixels are added up to."""


@dataclass(frozen=True)
class _EuEts:
    margin_deg: float
    """How far outside of its extents a country's installation may be."""
    extents: Mapping[str, tuple[tuple[float, ...], ...]]
    """Where a country is: west, south, east, north of its parts."""


@dataclass(frozen=True)
class InventoryFactors:
    """The file's numbers; gases and lists by name."""

    version: str
    """What manifests state as calibration."""
    most_t_y: Mapping[str, float]
    """What one source may emit, by gas."""
    most_of_grid_t_y: Mapping[str, float]
    """What all cells of a grid may emit, by gas."""
    least_of_cell_t_y: Mapping[str, float]
    """What a cell has to emit for a row, by gas."""
    relative_sigma: Mapping[str, float]
    """Standard deviation over emission."""
    combined: _Combined
    """How lists are combined."""
    odiac: _Odiac
    """How ODIAC is read."""
    eu_ets: _EuEts
    """Where installations can be."""


@lru_cache(maxsize=1)
def inventory_factors() -> InventoryFactors:
    """Return the numbers that ship with the library."""
    return load_values(InventoryFactors, FILE)


def emission_rule(column: str, emission_t_y: pd.Series, gas: str) -> Rule:
    """Return the rule that an emission is a number, not negative, and none that no source has."""
    most = inventory_factors().most_t_y[gas]
    is_good = (emission_t_y >= 0) & np.isfinite(emission_t_y) & (emission_t_y <= most)
    return Rule(column, is_good, f"tonnes of {gas.upper()} a year, from 0 to {most:.0e}")
