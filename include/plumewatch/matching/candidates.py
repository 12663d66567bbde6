"""Which sources may be behind which detections: pairs within a distance, and what is known of the sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.geodesy import distance_to_chord, unit_vectors
from plumewatch.table import floats

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CITY, CELL = "city", "grid_cell"
AREAS = (CITY, CELL)
"""Kinds of sources that are no point."""
KM_PER_DEGREE = float(np.radians(EARTH_RADIUS_KM))

PAIRS = pa.schema(
    [(name, pa.string()) for name in ("detection_id", "source_id", "inventory")]
    + [(name, pa.float64()) for name in ("longitude", "latitude", "emission_t_y")]
)
"""A detection and a source near it, with the place and emission of the source; further columns of `sources` count where
they are there."""


@dataclass(frozen=True)
class ListedSources:
    """Sources as arrays; goes to the workers."""

    ids: pa.Array
    inventory: pa.Array
    longitude: Floats
    latitude: Floats
    emission_t_y: Floats
    """NaN, and never negative, where none is stated that can be."""
    sigma_t_y: Floats
    """NaN where none is stated."""
    kind: NDArray[np.str_]
    width_km: Floats
    """Extent of a grid cell; NaN where it isn't known, and of other kinds."""

    @classmethod
    def of(cls, rows: pa.Table) -> ListedSources:
        """Return rows of `sources`, or of PAIRS, whose further columns may be absent."""
        emission = floats(rows["emission_t_y"])
        emission = np.where(np.isfinite(emission) & (emission >= 0), emission, np.nan)
        width = _column(rows, "cell_width_deg") * np.cos(np.radians(floats(rows["latitude"])))
        width = np.sqrt(width * _column(rows, "cell_height_deg")) * KM_PER_DEGREE
        kinds = rows["kind"].fill_null("") if "kind" in rows.column_names else pa.repeat("", len(rows))
        return cls(
            _strings(rows["source_id"]), _strings(rows["inventory"]), floats(rows["longitude"]),
            floats(rows["latitude"]), emission, _column(rows, "emission_t_y_sigma"),
            np.array(kinds.to_pylist(), dtype=str), width,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.longitude)

    @cached_property
    def tree(self) -> cKDTree:
        """By place on the unit sphere, where neither antimeridian nor poles are."""
        return cKDTree(unit_vectors(self.longitude, self.latitude))


@dataclass(frozen=True)
class Candidates:
    """Pairs of detections and sources, by their rows."""

    detection: Ints
    source: Ints
    listed: ListedSources

    def __len__(self) -> int:
        return len(self.detection)

    def of_source(self, values: Floats) -> Floats:
        """Return values of the sources, one a pair."""
        return values[self.source]


def find_candidates(longitude: Floats, latitude: Floats, listed: ListedSources, max_distance_km: float) -> Candidates:
    """Return the pairs at most so far apart along the sphere, in an order that says nothing.

    >>> rows = {"source_id": ["a"], "inventory": ["own"], "longitude": [-179.9], "latitude": [0.0]}
    >>> plant = ListedSources.of(pa.table(rows | {"emission_t_y": [1.0]}))
    >>> find_candidates(np.array([179.9, 179.0]), np.zeros(2), plant, 50.0).detection.tolist()
    [0]
    """
    if not len(longitude) or not len(listed):
        return Candidates(np.zeros(0, np.intp), np.zeros(0, np.intp), listed)
    seen = cKDTree(unit_vectors(longitude, latitude))
    near = seen.sparse_distance_matrix(listed.tree, distance_to_chord(max_distance_km), output_type="ndarray")
    return Candidates(near["i"].copy(), near["j"].copy(), listed)


def candidates_of(pairs: pa.Table, ids: NDArray[np.str_]) -> Candidates:
    """Return PAIRS as candidates; `ids` are those of the detections, sorted."""
    owner = np.searchsorted(ids, pairs["detection_id"].to_numpy(zero_copy_only=False).astype(str))
    return Candidates(owner, np.arange(pairs.num_rows), ListedSources.of(pairs))


def _column(rows: pa.Table, name: str) -> Floats:
    return floats(rows[name]) if name in rows.column_names else np.full(rows.num_rows, np.nan)


def _strings(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
