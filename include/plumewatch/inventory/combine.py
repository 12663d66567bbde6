"""One list of sources from all inventories, each real emitter once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, distance_to_chord, unit_vectors
from plumewatch.inventory.power_plants import cluster, fuel_name, power_plant_factors
from plumewatch.tables import SOURCES


def combine_sources(coco2: pa.Table, gppd: pa.Table, *own: pa.Table) -> pa.Table:
    """Return CoCO2's plants, GPPD's that have no CoCO2 plant within 5 km, and the user's own sources in their place.

    CoCO2 has no names: of the CoCO2 plants within 5 km of a GPPD plant, the nearest of its fuel (else the nearest)
    takes its name and owner, the others keep their own name with "near" and GPPD's. Of GPPD entries at one place, that
    of the plant's fuel counts, else the largest. The user knows better: an own source takes the place of what
    inventories list of the same gas and kind within 1 km, else of the nearest of its fuel within 5 km that has no
    nearer own source; its provenance says so. Arguments and result are rows of the table `sources`; ids stay as they
    are.
    """
    coco2, gppd, *lists = (t.select(SOURCES.schema.names) for t in (coco2, gppd, *own))
    if coco2.num_rows and gppd.num_rows:
        coco2, gppd = _named(coco2, gppd), gppd.filter(pa.array(~_has_neighbour(gppd, coco2)))
    listed, theirs = pa.concat_tables([coco2, gppd]), pa.concat_tables([SOURCES.empty(), *lists])
    if listed.num_rows and theirs.num_rows:
        listed, theirs = _replaced(listed, theirs)
    return SOURCES.conform(pa.concat_tables([listed, theirs]))


def _replaced(listed: pa.Table, own: pa.Table) -> tuple[pa.Table, pa.Table]:
    """What inventories list without the emitters that the user lists too, and the user's with what they replace."""
    plants = power_plant_factors().plants
    distance, mine, other = _pairs_within(own, listed, plants.same_plant_km)
    is_alike = np.ones(len(mine), bool)
    for column in ("gas", "kind"):
        is_alike &= _texts(own, column)[mine] == _texts(listed, column)[other]
    mine, other, distance = mine[is_alike], other[is_alike], distance[is_alike]
    fuel = np.array([fuel_name(text) for text in _texts(own, "fuel")], dtype=object)[mine]
    is_there = distance <= plants.unit_distance_km
    has_one_there = np.isin(mine, mine[is_there]) | np.isin(other, other[is_there])
    may_be = ~has_one_there & ((fuel == _texts(listed, "fuel")[other]) | (fuel == ""))
    is_same = is_there | (may_be & _is_nearest(mine, distance, may_be) & _is_nearest(other, distance, may_be))

    ids, told = _texts(listed, "source_id"), own["provenance"].to_pylist()
    for own_index, index, km in sorted(zip(mine[is_same], other[is_same], distance[is_same], strict=True)):
        said = f"instead of {ids[index]}, {km:.2f} km away"
        told[own_index] = f"{told[own_index]}; {said}" if told[own_index] else said
    keeps = ~np.isin(np.arange(listed.num_rows), other[is_same])
    at = own.column_names.index("provenance")
    return listed.filter(pa.array(keeps)), own.set_column(at, "provenance", pa.array(told, pa.string()))


def _pairs_within(one: pa.Table, other: pa.Table, limit_km: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance (km) and rows of all pairs of two tables no farther apart than the limit."""
    near = cKDTree(_points(other)).query_ball_point(_points(one), distance_to_chord(limit_km))
    first = np.repeat(np.arange(one.num_rows), [len(found) for found in near])
    second = np.array([index for found in near for index in sorted(found)], dtype=np.intp)
    chord = np.linalg.norm(_points(one)[first] - _points(other)[second], axis=-1)
    return chord_to_distance_km(chord), first, second


def _is_nearest(group: np.ndarray, distance: np.ndarray, may_be: np.ndarray) -> np.ndarray:
    """Which pairs are the nearest ones of their group, among those that may be."""
    least = np.full(group.max(initial=-1) + 1, np.inf)
    np.minimum.at(least, group[may_be], distance[may_be])
    return distance <= least[group]


def _texts(sources: pa.Table, column: str) -> np.ndarray:
    return np.array([text or "" for text in sources[column].to_pylist()], dtype=object)


def _points(sources: pa.Table) -> np.ndarray:
    return unit_vectors(sources["longitude"].to_numpy(), sources["latitude"].to_numpy())


def _has_neighbour(sources: pa.Table, others: pa.Table) -> np.ndarray:
    limit = distance_to_chord(power_plant_factors().plants.same_plant_km)
    return cKDTree(_points(others)).query(_points(sources), distance_upper_bound=limit)[0] <= limit


def _named(coco2: pa.Table, gppd: pa.Table) -> pa.Table:
    limit = distance_to_chord(power_plant_factors().plants.same_plant_km)
    distance, nearest = cKDTree(_points(gppd)).query(_points(coco2), distance_upper_bound=limit)
    is_near = distance <= limit
    nearest = _largest_part(coco2, gppd, np.where(is_near, nearest, 0))
    distance = np.where(is_near, np.linalg.norm(_points(coco2) - _points(gppd)[nearest], axis=-1), distance)
    plant = gppd.take(pa.array(nearest))
    # Sorted by fuel and distance, the first of each GPPD plant is the one that takes its name.
    other_fuel = pc.not_equal(coco2["fuel"], plant["fuel"]).to_numpy(zero_copy_only=False)
    order = np.lexsort((coco2["source_id"].to_numpy(zero_copy_only=False), distance, other_fuel))
    order = order[is_near[order]]
    owner_rows = order[np.unique(nearest[order], return_index=True)[1]]
    takes_name = np.isin(np.arange(coco2.num_rows), owner_rows)

    near = pc.binary_join_element_wise(coco2["name"], plant["name"], ", near ")
    name = pc.if_else(pa.array(takes_name), plant["name"], pc.if_else(pa.array(is_near), near, coco2["name"]))
    owner = pc.if_else(pa.array(takes_name), plant["owner"], coco2["owner"])
    distance_km = np.round(chord_to_distance_km(np.where(is_near, distance, 0)), 2)
    ids = plant["source_id"].to_pylist()
    said = pa.array([f"name from {s}, {d} km away" for s, d in zip(ids, distance_km, strict=True)])
    told = pc.binary_join_element_wise(coco2["provenance"], said, "; ")
    provenance = pc.if_else(pa.array(takes_name), told, coco2["provenance"])
    changed = {"name": name, "owner": owner, "provenance": provenance}
    return pa.table({c: changed.get(c, coco2[c]) for c in coco2.column_names})


def _largest_part(coco2: pa.Table, gppd: pa.Table, nearest: np.ndarray) -> np.ndarray:
    """Of the GPPD entries that are one plant with the nearest: that of CoCO2's fuel, else the one that emits most."""
    place = gppd["longitude"].to_numpy(), gppd["latitude"].to_numpy()
    plant = cluster(*place, power_plant_factors().plants.unit_distance_km)
    fuel, emission, ids = _texts(gppd, "fuel"), gppd["emission_t_y"].to_numpy(), _texts(gppd, "source_id")
    order = np.lexsort((ids.astype(str), -emission, plant))
    largest: dict[tuple[int, str], int] = {}
    for index in order.tolist():
        for wanted in (fuel[index], ""):
            largest.setdefault((int(plant[index]), wanted), index)
    of_coco2 = zip(plant[nearest].tolist(), _texts(coco2, "fuel").tolist(), strict=True)
    return np.array([largest.get(key, largest[key[0], ""]) for key in of_coco2], dtype=np.intp)
