"""Which rows of two lists are one emitter, and what is kept of those that don't count."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, distance_to_chord, index_pairs, unit_vectors
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.power_plants import fuel_name, power_plant_factors

WORKS = ("power_plant", "industry")
"""Kinds that lists tell apart differently: a works' own power station is either."""

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Distance (km), row of one table and row of the other."""


def same_pairs(one: pa.Table, other: pa.Table, kinds_may_differ: bool = False) -> Pairs:
    """Return the pairs of rows of two lists that are one emitter.

    Of the same gas and kind: all within 1 km, else the nearest of the same fuel (or where `one` says none) within 5 km
    that has no nearer one. With `kinds_may_differ` a power plant and an industry within 1 km are one emitter too where
    neither emits more than twice what the other does.
    """
    plants = power_plant_factors().plants
    distance, mine, its = pairs_within(one, other, plants.same_plant_km)
    kind, its_kind = texts(one, "kind")[mine], texts(other, "kind")[its]
    is_there = distance <= plants.unit_distance_km
    is_alike = kind == its_kind
    if kinds_may_differ:
        rate, its_rate = one["emission_t_y"].to_numpy()[mine], other["emission_t_y"].to_numpy()[its]
        most = inventory_factors().combined.other_kind_factor
        is_close = (rate <= most * its_rate) & (its_rate <= most * rate)
        is_alike |= is_there & is_close & np.isin(kind, WORKS) & np.isin(its_kind, WORKS)
    is_alike &= texts(one, "gas")[mine] == texts(other, "gas")[its]
    distance, mine, its, is_there = distance[is_alike], mine[is_alike], its[is_alike], is_there[is_alike]
    fuel = np.array([fuel_name(text) for text in texts(one, "fuel")], dtype=object)[mine]
    has_one_there = np.isin(mine, mine[is_there]) | np.isin(its, its[is_there])
    may_be = ~has_one_there & ((fuel == texts(other, "fuel")[its]) | (fuel == ""))
    is_same = is_there | (may_be & is_nearest(mine, distance, may_be) & is_nearest(its, distance, may_be))
    order = np.lexsort((distance[is_same], its[is_same], mine[is_same]))
    return distance[is_same][order], mine[is_same][order], its[is_same][order]


def with_alternatives(sources: pa.Table, others: pa.Table, pairs: Iterable[tuple[float, int, int]]) -> pa.Table:
    """Return sources that say in `alternatives` what other lists have of them, and what those knew of others.

    A pair is the distance in km, the row of the source and that of the other list.
    """
    told = sources["alternatives"].to_pylist()
    ids, rates, years = others["source_id"].to_pylist(), others["emission_t_y"].to_numpy(), others["year"].to_pylist()
    further = others["alternatives"].to_pylist()
    for km, row, other in pairs:
        said = f"{ids[other]}: {rates[other]:.0f} t/yr in {years[other]}, {km:.2f} km away"
        told[row] = "; ".join(filter(None, (told[row], said, further[other])))
    return replaced(sources, "alternatives", told)


def replaced(sources: pa.Table, column: str, values: list[str | None]) -> pa.Table:
    """Return a table with another column of texts in the place of one."""
    return sources.set_column(sources.column_names.index(column), column, pa.array(values, pa.string()))


def pairs_within(one: pa.Table, other: pa.Table, limit_km: float) -> Pairs:
    """Return distance (km) and rows of all pairs of two tables no farther apart than the limit."""
    near = cKDTree(points(other)).query_ball_point(points(one), distance_to_chord(limit_km))
    first, second = index_pairs([sorted(found) for found in near])
    chord = np.linalg.norm(points(one)[first] - points(other)[second], axis=-1)
    return chord_to_distance_km(chord), first, second


def is_nearest(group: np.ndarray, distance: np.ndarray, may_be: np.ndarray) -> np.ndarray:
    """Return which pairs are the nearest ones of their group, among those that may be."""
    least = np.full(group.max(initial=-1) + 1, np.inf)
    np.minimum.at(least, group[may_be], distance[may_be])
    return distance <= least[group]


def texts(sources: pa.Table, column: str) -> np.ndarray:
    """Return a column as texts, empty where it has none."""
    return np.array([text or "" for text in sources[column].to_pylist()], dtype=object)


def points(sources: pa.Table) -> np.ndarray:
    """Return the places of sources on the unit sphere."""
    return unit_vectors(sources["longitude"].to_numpy(), sources["latitude"].to_numpy())
