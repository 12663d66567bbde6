"""How much of one plume each of several sources is: non-negative least squares of their footprints where it is crossed.

    profile(y) = sum over sources F_i N(y; y_i, s_i),   (F_i - E_i) / (E_i e_i) = 0,   F_i >= 0

with y across the wind, the profile that of the peak (its rate spread over its width), y_i where the source's plume
passes, s_i its width there, E_i what is expected of it and e_i the relative error of that. The wind may be off, for all
sources by the same angle: of some angles that counts which leaves least, its own square error included.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import nnls

from plumewatch.matching.rule import MatchingRule, PeakRule
from plumewatch.matching.weights import Weights
from plumewatch.table import floats

Floats = NDArray[np.float64]

EXPECTED_ERROR = 0.5  # relative, of what one hour's emission is expected to be
PROFILE_ERROR = 0.3  # of the peak's profile, a share of its top
PROFILE_SIGMAS = np.linspace(-2.5, 2.5, 11)
TURNS = np.array([-1.5, -0.75, 0.0, 0.75, 1.5])  # standard deviations of the wind's direction
USUAL_SIGMA_KM = 5.0  # of a peak whose width isn't known


def plume_shares(
    detections: pa.Table,
    rule: MatchingRule,
    owner: NDArray[np.intp],
    found: Weights,
    kept: NDArray[np.intp],
    probability: Floats,
) -> Floats:
    """Return the share of each kept pair in its detection's plume; they sum to 1 over the sources that take part.

    Those take part that are probable enough and no grid cell. NaN for others, and where none does; 1 where one alone
    does, or where the wind is unknown; of methane plumes, which are told apart at their origin, all is the first's.
    """
    shares = np.full(len(kept), np.nan)
    if not isinstance(rule.position, PeakRule):
        return shares
    takes_part = (probability >= rule.min_shared_probability) & ~found.is_cell[kept]
    counts = np.bincount(owner[takes_part], minlength=detections.num_rows)
    shares[takes_part & (counts[owner] == 1)] = 1.0
    rate, sigma = floats(detections["emission"]), floats(detections["sigma_km"])
    crossing = floats(detections["crossing"])
    several = np.flatnonzero(takes_part & (counts[owner] > 1) & np.isfinite(found.at.speed_m_s[kept]))
    several = several[(rate[owner[several]] > 0)]
    several = several[np.argsort(owner[several], kind="stable")]
    starts = np.flatnonzero(np.append(True, owner[several][1:] != owner[several][:-1])) if len(several) else several
    for part in np.split(several, starts[1:]) if len(several) else ():
        one = owner[part[0]]
        slant = crossing[one] if np.isfinite(crossing[one]) else 1.0
        width = sigma[one] * slant if np.isfinite(sigma[one]) else USUAL_SIGMA_KM
        shares[part] = _shares_of(rule.position, found, kept[part], float(rate[one]), float(max(width, 0.5)))
    return shares


def _shares_of(rule: PeakRule, found: Weights, pair: NDArray[np.intp], rate: float, width_km: float) -> Floats:
    distance, speed = found.at.travelled_km[pair], found.at.speed_m_s[pair]
    angle = np.arctan2(found.at.across_km[pair], found.at.along_km[pair])
    turn = np.hypot(np.radians(rule.direction_sigma_deg), rule.wind_component_sigma_m_s / speed[0])
    spread = np.hypot(rule.plume_km(distance), np.hypot(rule.seen_width_km, found.at.width_km[pair] / 4.0))
    spread = np.maximum(spread, width_km / 2.0)  # what the wind's gusts have made of one plume, it makes of all
    at = PROFILE_SIGMAS * width_km
    profile = np.exp(-0.5 * PROFILE_SIGMAS**2)
    expected = found.expected[pair] / rate
    best, least = expected / expected.sum(), np.inf
    for turns in TURNS:
        off = distance * np.sin(angle - turns * turn)
        # a plume as wide and strong as the peak has the height 1
        footprints = width_km / spread * np.exp(-0.5 * ((at[:, None] - off) / spread) ** 2)
        left = np.vstack([footprints / PROFILE_ERROR, np.diag(1.0 / (EXPECTED_ERROR * expected))])
        right = np.concatenate([profile / PROFILE_ERROR, np.full(len(pair), 1.0 / EXPECTED_ERROR)])
        emitted, residual = nnls(left, right)
        residual = residual**2 + turns**2
        if residual < least and emitted.sum() > 0:
            best, least = emitted / emitted.sum(), residual
    return best
