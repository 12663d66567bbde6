"""The window around a mask holds it with its margin, and ends where the image ends."""

from __future__ import annotations

import numpy as np
import pytest
from plumewatch.methane.mask_window import window_around


@pytest.mark.parametrize(
    ("margin_px", "rows", "cols"), [(0, (3, 5), (6, 9)), (2, (1, 7), (4, 10)), (4, (0, 8), (2, 10))]
)
def test_a_window_has_the_margin_as_far_as_the_image_goes(
    margin_px: int, rows: tuple[int, int], cols: tuple[int, int]
) -> None:
    mask = np.zeros((8, 10), bool)
    mask[3, 8] = mask[4, 6] = True
    assert window_around(mask, margin_px) == (slice(*rows), slice(*cols))
