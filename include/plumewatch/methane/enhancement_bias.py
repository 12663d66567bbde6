"""What makes the enhancement inside a plume too low or too high on average, taken back before it is summed to a mass.

Too low: the background is the slow part of the field (a plane in a Gaussian window of 500 m), and before a plume is
known its own pixels count as background too. On simulated plumes of 2 to 20 t/h that costs 10 to 18 % of the mass.
Too high: the inverse of the transmittance is convex, so that noise doesn't average out: `retrieval.compute_noise_bias`.
"""

from __future__ import annotations

import numpy as np

from plumewatch.gases import MULTI_PASS
from plumewatch.methane.detection import Detection
from plumewatch.methane.passes import Pass
from plumewatch.methane.references import away_from
from plumewatch.methane.retrieval import compute_noise_bias, compute_transmittance, enhancement_per_signal
from plumewatch.methane.smoothing import OWN, Array, Mask, SceneNumbers, robust_sigma, slow_part
from plumewatch.methane.thresholds import PlumeThresholds

ROUNDS = 2  # each leaves a quarter of what the one before left, of a tenth at first


def unbiased_enhancement(
    detection: Detection, target: Pass, limits: PlumeThresholds, numbers: SceneNumbers = OWN
) -> Array:
    """Return the enhancement (mol/m2; NaN where not valid) whose sum over a plume is its mass on average.

    As it is where nothing was found; in a large scene something always was.
    """
    found = np.logical_or.reduce([np.zeros(target.shape, bool), *(one.mask for one in detection.candidates)])
    if not np.any(found) and not numbers.is_large:
        return detection.enhancement_mol_m2
    valid = detection.valid & np.isfinite(detection.enhancement_mol_m2)
    ground = away_from(found, valid, target.pixel_size_m, limits)
    field = without_noise_bias(np.where(valid, detection.enhancement_mol_m2, 0.0), ground, target, numbers)
    background_px = limits.smoothing.background_m / target.pixel_size_m
    removals = 2 if detection.method == MULTI_PASS else 1  # of each reference's ratio, then of their mean
    field = with_what_the_background_took(field, valid, ground, background_px, removals, numbers)
    return np.where(valid, field, np.float32(np.nan))


def without_noise_bias(enhancement_mol_m2: Array, ground: Mask, target: Pass, numbers: SceneNumbers = OWN) -> Array:
    """Return the enhancement less what the noise, as large as over `ground`, adds to its mean."""
    per_signal = enhancement_per_signal(target.platform, target.air_mass_factor)
    noise = numbers.of("noise of enhancement", lambda: robust_sigma(enhancement_mol_m2[ground])) / per_signal
    if not noise > 0.0:
        return enhancement_mol_m2
    gas = compute_transmittance(np.maximum(enhancement_mol_m2, 0.0), target.platform, target.air_mass_factor)
    signal = np.where(enhancement_mol_m2 < 0.0, enhancement_mol_m2 / per_signal, 1.0 - gas.b12 / gas.b11)
    bias = compute_noise_bias(signal, target.platform, target.air_mass_factor, noise)
    return (enhancement_mol_m2 - bias).astype(np.float32)


def with_what_the_background_took(
    field: Array,
    valid: Mask,
    ground: Mask,
    background_px: float,
    removals: int,
    numbers: SceneNumbers = OWN,
) -> Array:
    """Return the field with the part of its plumes that `removals` (1 or 2) slow parts of all valid pixels took.

    With S the slow part, two removals leave (1 - S)^2 c of a column c and took T = 2 S c - S S c. Begun with the column
    that is seen, then with that and its T. S c is the slow part of the field less that of the field without plumes.
    Field and T together lose the slow part of `ground` alone.
    """
    if not ground.any():
        return field
    bare = np.where(ground, field, np.float32(0.0))
    of_bare = slow_part(bare, valid, background_px, numbers.step("bare"))
    whole = field
    for turn in range(ROUNDS):
        once, twice = (numbers.step(f"{name} {turn}") for name in ("once", "twice"))
        taken = slow_part(whole, valid, background_px, once) - of_bare
        if removals == 2:
            taken = 2.0 * taken - (slow_part(bare + taken, valid, background_px, twice) - of_bare)
        whole = np.where(valid, field + taken, np.float32(0.0)).astype(np.float32)
    return np.where(valid, whole - slow_part(whole, ground, background_px, numbers.step("whole")), np.float32(0.0))
