"""From responses of the templates to candidate plumes: one a source, each with the pixels that its gas covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.methane.mask_window import Window, window_around
from plumewatch.methane.matched_filter import Matches, Template
from plumewatch.methane.smoothing import Array, Mask
from plumewatch.methane.thresholds import PlumeThresholds


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels that may be covered by a plume."""

    mask: Mask
    """On the pass's window."""
    row: int
    """Where the template's source lies."""
    col: int
    """Where the template's source lies."""
    significance: float
    """Response of the template in units of its noise."""
    template: Template
    """The one that responded most."""


def find_regions(
    matches: Matches, averaged: Array, valid: Mask, pixel_size_m: float, limits: PlumeThresholds
) -> list[Region]:
    """Return the regions around all places whose response reaches the seed level, strongest first.

    The region of a place is what stands out of the `averaged` absorption (in units of its noise) and is connected with
    the template's footprint; where nothing is, the footprint itself. A place whose template lies mostly on the
    region of a stronger one, or near it, is the same plume.
    """
    levels = limits.candidates
    labels, _ = ndimage.label(valid & (averaged >= levels.mask_significance), structure=np.ones((3, 3)))
    pieces = ndimage.find_objects(labels)
    bridge_px = round(levels.bridge_m / pixel_size_m)
    taken = np.zeros(valid.shape, bool)
    regions = []
    for row, col in _places(matches.z, levels.seed_significance, bridge_px):
        template = matches.templates[matches.best[row, col]]
        if _share_inside(template, taken, row, col) > levels.same_plume_share:
            continue
        mask = _covered(template, labels, pieces, valid, row, col)
        box = window_around(mask, bridge_px)
        taken[box] |= ndimage.distance_transform_edt(~mask[box]) <= bridge_px
        regions.append(Region(mask, row, col, float(matches.z[row, col]), template))
    return regions


def _places(z: Array, level: float, apart_px: int) -> list[tuple[int, int]]:
    """Return the local maxima that reach the level, highest first."""
    highest = ndimage.maximum_filter(z, size=apart_px | 1, mode="constant", cval=-np.inf)
    rows, cols = np.nonzero((z >= level) & (z == highest))
    order = np.argsort(-z[rows, cols], kind="stable")
    return [(int(rows[i]), int(cols[i])) for i in order]


def _window(template: Template, shape: Sequence[int], row: int, col: int) -> tuple[tuple[slice, slice], ...]:
    """Return the part of the image that the template covers, and the part of the template that lies on the image."""
    half = template.values.shape[0] // 2
    on_image, on_template = [], []
    for middle, n in ((row, shape[0]), (col, shape[1])):
        first, last = max(0, middle - half), min(n, middle + half + 1)
        on_image.append(slice(first, last))
        on_template.append(slice(first - middle + half, last - middle + half))
    return (on_image[0], on_image[1]), (on_template[0], on_template[1])


def _share_inside(template: Template, taken: Mask, row: int, col: int) -> float:
    on_image, on_template = _window(template, taken.shape, row, col)
    weight = template.values[on_template] ** 2
    return float(weight[taken[on_image]].sum() / weight.sum())


def _covered(
    template: Template, labels: NDArray[np.int32], pieces: Sequence[Window], valid: Mask, row: int, col: int
) -> Mask:
    """Return the labelled pieces that touch the template's footprint; the footprint where there are none."""
    on_image, on_template = _window(template, labels.shape, row, col)
    footprint = template.footprint[on_template]
    touched = np.unique(labels[on_image][footprint])
    mask = np.zeros(labels.shape, bool)
    for label in touched[touched > 0]:
        piece = pieces[label - 1]
        mask[piece] |= labels[piece] == label
    if not mask.any():
        mask[on_image] = footprint & valid[on_image]
    return mask
