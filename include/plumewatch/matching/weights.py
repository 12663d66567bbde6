"""What sources near detections weigh, and what is in no inventory: by place, rate, width and kind (match.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.gases import GASES
from plumewatch.geodesy import along_and_across, great_circle_distance_km, local_offset_km
from plumewatch.matching.candidates import CELL, CITY, Candidates
from plumewatch.matching.paths import CALM_M_S, paths_of
from plumewatch.matching.rule import MatchingRule, PeakRule, PlumeRule, Positions, Reported, matching_rule
from plumewatch.table import floats

Floats = NDArray[np.float64]

LEAST_RATE_SIGMA, MOST_RATE_SIGMA = 0.15, 1.0  # of the logarithm, whatever interval is stated
LEAST_CROSSING = 0.3  # sine of 17 degrees: a track more along the wind says nothing of the width


@dataclass(frozen=True)
class Weights:
    """What pairs weigh; and detections, where nothing that is listed is their source."""

    at: Positions
    expected: Floats
    """Emission of the source at that hour, in the unit of the detection."""
    weight: Floats
    """0 where the emission isn't known."""
    closeness: Floats
    """Share of the density that the source would have on the plume's axis."""
    is_cell: NDArray[np.bool_]
    """Whether the source is a grid cell, which says where something emits, but not what."""
    unlisted: Floats
    """One a detection."""
    usual: Floats
    """What all sources weigh on average over the land; one a detection."""


def compute_weights(detections: pa.Table, pairs: Candidates, gas: str, hour_factor: Floats | None = None) -> Weights:
    """Return the weights of DETECTIONS and their candidates.

    `hour_factor` is, of each pair, the source's rate at the hour over its mean of the year; 1 where None.
    """
    rule = matching_rule(gas)
    at, reach = _positions(detections, pairs, rule)
    expected = pairs.of_source(pairs.listed.emission_t_y) * GASES[gas].units_per_t_y
    if hour_factor is not None:
        expected = expected * hour_factor
    kind = pairs.listed.kind[pairs.source]
    with np.errstate(divide="ignore", invalid="ignore"):  # emissions of 0, rates that aren't known
        if isinstance(rule.position, PeakRule):
            weight, closeness, (unlisted, usual) = _of_peaks(
                detections, pairs, rule.position, at, reach, expected, kind
            )
        else:
            weight, closeness, (unlisted, usual) = _of_plumes(rule.position, at, len(reach), expected, kind)
    return Weights(at, expected, np.where(np.isfinite(weight), weight, 0.0), closeness, kind == CELL, unlisted, usual)


def _of_plumes(
    rule: PlumeRule, at: Positions, n: int, expected: Floats, kind: NDArray[np.str_]
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    weight, spread = rule.of_kinds(kind)
    density, closeness = rule.densities(at, spread)
    return weight * expected**rule.emission_power * density, closeness, rule.unlisted_weights(n)


def _of_peaks(
    detections: pa.Table,
    pairs: Candidates,
    rule: PeakRule,
    at: Positions,
    reach: Floats,
    expected: Floats,
    kind: NDArray[np.str_],
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    owner, n = pairs.detection, detections.num_rows
    reported = _reported(detections, rule)
    of_pair = reported.take(owner)
    density, closeness = rule.densities(at)
    density = density * rule.width_likelihood(of_pair.sigma_km, of_pair.crossing, at.travelled_km, at.width_km)
    stated = pairs.of_source(pairs.listed.sigma_t_y / pairs.listed.emission_t_y)
    source_sigma = np.where(np.isfinite(stated), np.sqrt(np.log1p(stated**2)), rule.source_sigma)
    alone = rule.rate_likelihood(of_pair.rate, of_pair.rate_sigma, expected, source_sigma)
    # What lies as well emits into the same peak. Cells don't: what is spread over the land is the background.
    adds = np.where((kind == CELL) | ~np.isfinite(expected), 0.0, closeness * expected)
    total = np.maximum(np.bincount(owner, weights=adds, minlength=n)[owner], expected)
    together = rule.rate_likelihood(of_pair.rate, of_pair.rate_sigma, total, source_sigma) * expected / total
    share = np.where(kind == CELL, 0.0, rule.together_share)
    likelihood = (1.0 - share) * alone + share * together
    has_rate = np.isfinite(of_pair.rate)
    rated = expected**rule.rated_emission_power * np.where(expected > 0, likelihood, 0.0)
    wherever = np.where(has_rate, rated, expected**rule.emission_power)
    around = np.bincount(owner, np.where((kind == CELL) | ~np.isfinite(wherever), 0.0, wherever), n).astype(float)
    return density * wherever, closeness, rule.unlisted_weights(reach, reported, around)


def _positions(detections: pa.Table, pairs: Candidates, rule: MatchingRule) -> tuple[Positions, Floats]:
    """Positions of the pairs, and how far the air of each detection came in the rule's hours."""
    owner = pairs.detection
    lon0, lat0, u, v = (floats(detections[n]) for n in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s"))
    lon, lat = pairs.of_source(pairs.listed.longitude), pairs.of_source(pairs.listed.latitude)
    speed = np.hypot(u, v)
    speed = np.where(speed >= CALM_M_S, speed, np.nan)
    east, north = local_offset_km(lon0[owner], lat0[owner], lon, lat)
    to_east, to_north = (u / speed)[owner], (v / speed)[owner]
    along, across = along_and_across(east, north, to_east, to_north)
    along = -along  # upwind
    reach = np.full(len(speed), np.inf)
    if isinstance(rule.position, PeakRule):
        reach = rule.position.reach_km(speed)
        if paths := paths_of(detections):
            has_path = paths.has_path[owner]
            along[has_path], across[has_path] = paths.along_and_across(owner[has_path], east[has_path], north[has_path])
            reach = np.where(paths.has_path, paths.reach_km, reach)
    distance = great_circle_distance_km(lon0[owner], lat0[owner], lon, lat)
    kind, width = pairs.listed.kind[pairs.source], pairs.of_source(pairs.listed.width_km)
    cell = np.where(np.isfinite(width), width, rule.cell_width_km)
    width = np.select([kind == CITY, kind == CELL], [rule.city_width_km, cell], 0.0)
    return Positions(distance, along, across, speed[owner], width, reach[owner]), reach


def _reported(detections: pa.Table, rule: PeakRule) -> Reported:
    rate, low, high, sigma, crossing = (
        floats(detections[name]) for name in ("emission", "emission_low", "emission_high", "sigma_km", "crossing")
    )
    rate = np.where(rate > 0, rate, np.nan)
    stated = np.log(high / np.maximum(low, rate * np.exp(-2.0 * MOST_RATE_SIGMA))) / 2.0
    spread = np.where(np.isfinite(stated), np.clip(stated, LEAST_RATE_SIGMA, MOST_RATE_SIGMA), rule.rate_sigma)
    slant = np.where(np.isfinite(crossing), crossing, 1.0)
    width = np.where((slant >= LEAST_CROSSING) & (sigma > 0), sigma, np.nan)
    return Reported(rate, spread, width, np.clip(slant, LEAST_CROSSING, 1.0))
