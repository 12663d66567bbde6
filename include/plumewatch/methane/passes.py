"""One overpass of an area as arrays on a window of the area's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.grid_place import GridPlace
from plumewatch.methane.retrieval import compute_log_ratio
from plumewatch.methane.smoothing import Array, Mask, smooth

DEFAULT_PIXEL_SIZE_M = 20.0  # bands 11 and 12 of Sentinel-2 (MSI user guide), where the pixel table has no column
FLARE_SURROUNDINGS_PX = 3.0
FLARE_EXCESS = 0.25  # ln: a flare of a hundred square metres at 1,500 K adds more to band 12 of its pixel than a third

OTHER_BANDS = ("b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a")
"""Bands that methane doesn't touch: read where the table has them, as what changes in them too is no plume."""


@dataclass(frozen=True)
class PassCounts:
    """Pixels of a whole pass."""

    n_seen: int
    n_usable: int


@dataclass(frozen=True, eq=False)
class Pass:
    """One satellite's pass over an area on one date; all arrays are height x width of the window."""

    platform: str
    """`sentinel-2a`, `landsat-8` ..."""
    relative_orbit: int | None
    """Relative orbit number, None where the table doesn't say."""
    observed_at_utc: datetime | None
    """Time of acquisition, None where the table doesn't say."""
    scene_ids: tuple[str, ...]
    """Scenes (tiles) that the pass is made of, sorted."""
    scene_index: NDArray[np.int16]
    """Which of `scene_ids` each cell comes from; -1 where there is no pixel."""
    b11: NDArray[np.float32]
    """Reflectance of band 11; NaN where there is none."""
    b12: NDArray[np.float32]
    """Reflectance of band 12; NaN where there is none."""
    is_usable: Mask
    """Clear, not water, both bands from one step of the stored reflectance to the largest that can be stored."""
    air_mass_factor: float
    """Median over the pass."""
    view_zenith_deg: float
    """Median over the pass."""
    n_pixels: int
    """Cells of this pass; a cell that is in the table twice counts once, as its newest product shows it."""
    epsg: int | None
    """Projected CRS of the grid, None where the table doesn't say."""
    pixel_size_m: float
    """Cell size."""
    place: GridPlace
    """Where the cells lie."""
    other_bands: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Reflectance of further bands by name (`b04`), NaN where there is none."""
    whole: PassCounts | None = None
    """Of the pass that this is a part of (`n_pixels` is that one's too); None for one that is whole."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.b11.shape

    @cached_property
    def flares(self) -> Mask:
        """Pixels that shine as gas flares do, and their neighbours."""
        return find_flares(self.b11, self.b12, self.is_usable)

    @cached_property
    def n_seen(self) -> int:
        """Cells of which both bands have data: what the satellite saw of the area."""
        if self.whole is not None:
            return self.whole.n_seen
        return int((np.isfinite(self.b11) & np.isfinite(self.b12)).sum())

    @property
    def covered_fraction(self) -> float:
        """What the satellite saw of the area over all of it; the rest lies beyond its swath or the tile."""
        return self.n_seen / self.n_pixels if self.n_pixels else 0.0

    @property
    def clear_fraction(self) -> float:
        """Usable pixels over what the satellite saw of the area; 0 where it saw nothing."""
        n_usable = self.is_usable.sum() if self.whole is None else self.whole.n_usable
        return float(n_usable / self.n_seen) if self.n_seen else 0.0


def without_arrays(one: Pass) -> Pass:
    """Return what is told of a pass, without its pixels."""
    told = PassCounts(one.n_seen, int(one.is_usable.sum())) if one.whole is None else one.whole
    nothing = np.zeros((0, 0), np.float32)
    return replace(
        one,
        scene_index=nothing.astype(np.int16),
        b11=nothing,
        b12=nothing,
        is_usable=nothing.astype(bool),
        other_bands={},
        whole=told,
    )


def find_flares(b11: Array, b12: Array, usable: Mask) -> Mask:
    """Return the usable pixels (height x width) that shine as flares do, and their neighbours."""
    log_ratio = compute_log_ratio(b11, b12, usable)
    around = smooth(log_ratio, usable, FLARE_SURROUNDINGS_PX)
    hot = usable & (log_ratio - around > FLARE_EXCESS)
    return ndimage.binary_dilation(hot, structure=np.ones((3, 3))) if hot.any() else hot
