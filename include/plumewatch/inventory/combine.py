"""One list of sources from all inventories, each real emitter once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.spatial import cKDTree

from plumewatch.geodesy import chord_to_distance_km, distance_to_chord, unit_vectors
from plumewatch.inventory.power_plants import power_plant_factors
from plumewatch.tables import SOURCES


def combine_sources(coco2: pa.Table, gppd: pa.Table, *others: pa.Table) -> pa.Table:
    """Return CoCO2's plants, GPPD's that have no CoCO2 plant within 5 km, and all sources of the others.

    CoCO2 has no names: of the CoCO2 plants within 5 km of a GPPD plant, the nearest of its fuel (else the nearest)
    takes its name and owner, the others keep their own name with "near" and GPPD's. Arguments and result are rows of
    the table `sources`; ids stay as they are.
    """
    coco2, gppd, *further = (t.select(SOURCES.schema.names) for t in (coco2, gppd, *others))
    if coco2.num_rows and gppd.num_rows:
        coco2, gppd = _named(coco2, gppd), gppd.filter(pa.array(~_has_neighbour(gppd, coco2)))
    return SOURCES.conform(pa.concat_tables([coco2, gppd, *further]))


def _points(sources: pa.Table) -> np.ndarray:
    return unit_vectors(sources["longitude"].to_numpy(), sources["latitude"].to_numpy())


def _has_neighbour(sources: pa.Table, others: pa.Table) -> np.ndarray:
    limit = distance_to_chord(power_plant_factors().plants.same_plant_km)
    return cKDTree(_points(others)).query(_points(sources), distance_upper_bound=limit)[0] <= limit


def _named(coco2: pa.Table, gppd: pa.Table) -> pa.Table:
    limit = distance_to_chord(power_plant_factors().plants.same_plant_km)
    distance, nearest = cKDTree(_points(gppd)).query(_points(coco2), distance_upper_bound=limit)
    is_near = distance <= limit
    plant = gppd.take(pa.array(np.where(is_near, nearest, 0)))
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
