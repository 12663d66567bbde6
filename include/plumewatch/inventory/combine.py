"""One list of sources from all inventories, each real emitter once (docs/inventories.md says how)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, distance_to_chord
from plumewatch.inventory import cities, climate_trace, coco2, edgar, eu_ets, gppd, odiac, own_sources
from plumewatch.inventory.rows.power_plants import cluster, power_plant_factors
from plumewatch.inventory.same_emitters import points, replaced, same_pairs, texts, with_alternatives
from plumewatch.inventory.unexplained import unexplained_cells, unexplained_cities
from plumewatch.tables import SOURCES

FURTHER_POINTS = (climate_trace.NAME, eu_ets.NAME)
"""Lists of points beside CoCO2 and GPPD: an earlier one's row of an emitter counts."""
GRIDS = (edgar.NAME, odiac.NAME)
"""Lists of cells: of a gas the first that has some."""
UNNAMED = "CoCO2 "
"""How CoCO2's plants are called, which have no names."""


def combine_inventories(stored: Mapping[str, pa.Table]) -> pa.Table:
    """Return one list of sources of all inventories, by their names: points, what they leave of cities, and of cells.

    Points as `combine_sources` says, with those of further lists. A city is what its points don't explain, a cell what
    neither points nor cities in it do (`unexplained.py`).
    """
    lists = {name: rows.select(SOURCES.schema.names) for name, rows in stored.items()}
    empty = SOURCES.empty()
    further = [lists.get(name, empty) for name in FURTHER_POINTS]
    base = (lists.get(coco2.NAME, empty), lists.get(gppd.NAME, empty), lists.get(own_sources.NAME, empty))
    listed = _combined(*base, further, lists.get(cities.NAME, empty))
    towns = unexplained_cities(listed)
    grids = [lists[name] for name in GRIDS if name in lists]
    return SOURCES.conform(pa.concat_tables([towns, *unexplained_cells(grids, towns)]))


def combine_sources(coco2: pa.Table, gppd: pa.Table, *own: pa.Table) -> pa.Table:
    """Return CoCO2's plants, GPPD's that have no CoCO2 plant within 5 km, and the user's own sources in their place.

    CoCO2 has no names: of the CoCO2 plants within 5 km of a GPPD plant, the nearest of its fuel (else the nearest)
    takes its name and owner, the others keep their own name with "near" and GPPD's. Of GPPD entries at one place, that
    of the plant's fuel counts, else the largest. The user knows better: an own source takes the place of what
    inventories list of the same gas and kind within 1 km, else of the nearest of its fuel within 5 km that has no
    nearer own source; its provenance says so. What other lists say of an emitter is in `alternatives`. Arguments and
    result are rows of the table `sources`; ids stay as they are.
    """
    coco2, gppd, *lists = (t.select(SOURCES.schema.names) for t in (coco2, gppd, *own))
    return SOURCES.conform(_combined(coco2, gppd, pa.concat_tables([SOURCES.empty(), *lists]), [], SOURCES.empty()))


def _combined(coco2: pa.Table, gppd: pa.Table, own: pa.Table, further: list[pa.Table], cities: pa.Table) -> pa.Table:
    if coco2.num_rows and gppd.num_rows:
        distance, nearest = _nearest(gppd, coco2)
        is_near = distance <= power_plant_factors().plants.same_plant_km
        pairs = zip(distance[is_near], nearest[is_near].tolist(), np.flatnonzero(is_near).tolist(), strict=True)
        coco2 = with_alternatives(_named(coco2, gppd), gppd, pairs)
        gppd = gppd.filter(pa.array(~is_near))
    listed = pa.concat_tables([coco2, gppd])
    for rows in further:
        listed = _joined(listed, rows)
    listed = pa.concat_tables([listed, cities])
    if listed.num_rows and own.num_rows:
        listed, own = _replaced(listed, own)
    return pa.concat_tables([listed, own])


def _nearest(sources: pa.Table, others: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Distance in km to the nearest of the others, and its row."""
    chord, nearest = cKDTree(points(others)).query(points(sources))
    return chord_to_distance_km(chord), nearest


def _joined(listed: pa.Table, further: pa.Table) -> pa.Table:
    """What is listed, and of a further list what it lacks; the rest is told of as alternatives."""
    if not listed.num_rows or not further.num_rows:
        return pa.concat_tables([listed, further])
    distance, theirs, ours = same_pairs(further, listed, kinds_may_differ=True)
    if not len(ours):
        return pa.concat_tables([listed, further])
    # Of several of ours the nearest has it as an alternative.
    order = np.lexsort((distance, theirs))
    distance, theirs, ours = distance[order], theirs[order], ours[order]
    first = np.unique(theirs, return_index=True)[1]
    pairs = list(zip(distance[first].tolist(), ours[first].tolist(), theirs[first].tolist(), strict=True))
    names, provenance = listed["name"].to_pylist(), listed["provenance"].to_pylist()
    their_names, their_ids = further["name"].to_pylist(), further["source_id"].to_pylist()
    for km, row, other in sorted(pairs):
        if names[row].startswith(UNNAMED) and their_names[other]:
            names[row] = their_names[other]
            provenance[row] = f"{provenance[row]}; name from {their_ids[other]}, {km:.2f} km away"
    listed = replaced(replaced(listed, "name", names), "provenance", provenance)
    is_known = np.isin(np.arange(further.num_rows), theirs)
    return pa.concat_tables([with_alternatives(listed, further, pairs), further.filter(pa.array(~is_known))])


def _replaced(listed: pa.Table, own: pa.Table) -> tuple[pa.Table, pa.Table]:
    """What inventories list without the emitters that the user lists too, and the user's with what they replace."""
    distance, mine, other = same_pairs(own, listed)
    ids, told = texts(listed, "source_id"), own["provenance"].to_pylist()
    pairs = list(zip(distance.tolist(), mine.tolist(), other.tolist(), strict=True))
    for km, own_index, index in pairs:
        said = f"instead of {ids[index]}, {km:.2f} km away"
        told[own_index] = f"{told[own_index]}; {said}" if told[own_index] else said
    own = with_alternatives(replaced(own, "provenance", told), listed, pairs)
    return listed.filter(pa.array(~np.isin(np.arange(listed.num_rows), other))), own


def _named(coco2: pa.Table, gppd: pa.Table) -> pa.Table:
    limit = distance_to_chord(power_plant_factors().plants.same_plant_km)
    distance, nearest = cKDTree(points(gppd)).query(points(coco2), distance_upper_bound=limit)
    is_near = distance <= limit
    nearest = _largest_part(coco2, gppd, np.where(is_near, nearest, 0))
    distance = np.where(is_near, np.linalg.norm(points(coco2) - points(gppd)[nearest], axis=-1), distance)
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
    fuel, emission, ids = texts(gppd, "fuel"), gppd["emission_t_y"].to_numpy(), texts(gppd, "source_id")
    order = np.lexsort((ids.astype(str), -emission, plant))
    largest: dict[tuple[int, str], int] = {}
    for index in order.tolist():
        for wanted in (fuel[index], ""):
            largest.setdefault((int(plant[index]), wanted), index)
    of_coco2 = zip(plant[nearest].tolist(), texts(coco2, "fuel").tolist(), strict=True)
    return np.array([largest.get(key, largest[key[0], ""]) for key in of_coco2], dtype=np.intp)
