"""Whether the simulated scenes are what they should be: the noise of a pixel against one earlier date."""

from __future__ import annotations

import numpy as np

from plumewatch.methane.evaluation.scenes import SimulatedArea, simulate_area
from plumewatch.methane.evaluation.seeds import judging_seed
from plumewatch.methane.retrieval import compute_log_ratio, enhancement_per_signal
from plumewatch.methane.smoothing import robust_sigma

PLATFORM = "sentinel-2a"  # whose noise MARS states, beside that of Sentinel-2B, which is less sensitive


def pixel_noise_mol_m2(area: SimulatedArea) -> float:
    """Return the robust standard deviation of a pixel's column of the target against the date before it."""
    reference, target = area.passes[-2:]
    valid = target.is_usable & reference.is_usable
    here, there = (compute_log_ratio(one.b11, one.b12, valid) for one in (target, reference))
    return robust_sigma((here - there)[valid]) * enhancement_per_signal(target.platform, target.air_mass_factor)


def scene_noise_mol_m2(count: int, size: int = 250) -> float:
    """Return the median of that over `count` areas of desert."""
    areas = (
        simulate_area(judging_seed("control", number), size=size, n_references=1, platform=PLATFORM)
        for number in range(count)
    )
    return float(np.median([pixel_noise_mol_m2(area) for area in areas]))
