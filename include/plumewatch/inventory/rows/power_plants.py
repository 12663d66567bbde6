"""What holds for power plants of any inventory: emission factors, uncertainties, which units are one plant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.reference.loading import load_values

FILE = "power_plant_emissions.yaml"
TJ_PER_GWH = 3.6  # by definition of the watt-hour
FUEL_NAMES = {"gas": "natural gas", "petroleum coke": "petcoke"}  # what a list may call a fuel of ours


@dataclass(frozen=True)
class _Distances:
    unit_distance_km: float
    """Units no farther apart are one plant."""
    same_plant_km: float
    """Entries of two inventories no farther apart are taken for one plant."""


@dataclass(frozen=True)
class PowerPlantFactors:
    """The numbers of `reference/power_plant_emissions.yaml`, by the project's names of fuels."""

    version: str
    """What manifests state as calibration."""
    emission_factor_t_tj: Mapping[str, float]
    """CO2 per burnt energy."""
    efficiency: Mapping[str, float]
    """Generated electricity over burnt energy."""
    capacity_factor: Mapping[str, float]
    """Mean output over capacity."""
    relative_sigma: Mapping[str, float]
    """Standard deviation over emission, by fuel; `from_capacity` where no generation is known."""
    plants: _Distances
    """What is one plant."""

    @property
    def emission_t_gwh(self) -> Mapping[str, float]:
        """CO2 per generated electricity, tonnes per GWh. Coal: 94.6 t/TJ x 3.6 TJ/GWh / 0.36 = 946 t/GWh."""
        return {fuel: t * TJ_PER_GWH / self.efficiency[fuel] for fuel, t in self.emission_factor_t_tj.items()}


@lru_cache(maxsize=1)
def power_plant_factors() -> PowerPlantFactors:
    """Return the numbers that ship with the library."""
    return load_values(PowerPlantFactors, FILE)


def fuel_name(text: str) -> str:
    """Return a fuel by the project's name for it, whatever its letters; one that has none in small letters.

    >>> fuel_name("Coal"), fuel_name("Gas"), fuel_name("Peat")
    ('coal', 'natural gas', 'peat')
    """
    words = " ".join(text.casefold().split())
    return FUEL_NAMES.get(words, words)


def cluster(longitude: ArrayLike, latitude: ArrayLike, distance_km: float) -> NDArray[np.int64]:
    """Return the number of each point's group: points joined by steps of at most `distance_km` are one group.

    Groups are numbered in the order of their first point.
    """
    points = unit_vectors(longitude, latitude)
    if not len(points):
        return np.zeros(0, np.int64)
    pairs = cKDTree(points).query_pairs(distance_to_chord(distance_km), output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    label = connected_components(links, directed=False)[1]
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)
