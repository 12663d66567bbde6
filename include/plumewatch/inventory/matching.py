"""Which source a detection comes from: the probability of each candidate, and of a source that no inventory lists.

A source's weight is how strongly sources like it make detections here: prior x position,

    prior = expected emission ^ p
    position of CO2 peaks = N(across-wind distance; 0, s) x P(upwind) x exp(-along-wind distance / decay),
    s^2 = (position error)^2 + (plume width at that distance)^2 + (along-wind distance x tan(direction error))^2
    position of CH4 plumes = N2(distance; 0, position error), as a plume's origin is its source

and what no inventory lists has the weight of a stated emission density spread evenly: density x the integral of
`position` over the plane. A probability is a weight over the sum of all. The numbers are in `reference/matching.yaml`;
the rule is PROVISIONAL until it has been calibrated on published cases.

Winds blow towards (u, v). `along_wind_km` is positive where the source is upwind of the detection; `across_wind_km` is
positive where the source lies to the left of the wind's path, looking downwind.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from numpy.typing import NDArray
from scipy.special import ndtr

from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.geodesy import great_circle_distance_km, local_offset_km
from plumewatch.tables import MATCHES
from plumewatch.wind.at_point import components_m_s

Floats = NDArray[np.float64]

FILE = "matching.yaml"
KM_PER_M_S_HOUR = 3.6  # a wind of 1 m/s carries air 3.6 km in an hour
CALM_M_S = 0.05  # half the last digit that weather models are stored with: below, the direction is rounding
EMISSION_PER_T_Y = {"co2": 1.0 / (1000.0 * HOURS_PER_YEAR), "ch4": 1000.0 / HOURS_PER_YEAR}  # kt/h, kg/h
CONFIRMED, AMBIGUOUS, INCONSISTENT_RATE, UNKNOWN_SOURCE = (
    "confirmed",
    "ambiguous",
    "inconsistent_rate",
    "unknown_source",
)

DETECTIONS = pa.schema(
    [("detection_id", pa.string())]
    + [
        (name, pa.float64())
        for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "emission", "emission_low", "emission_high")
    ]
)
"""What matching needs of a detection; wind and emission (kt/h of CO2, kg/h of CH4) may be null."""

PAIRS = pa.schema(
    [(name, pa.string()) for name in ("detection_id", "source_id", "inventory")]
    + [(name, pa.float64()) for name in ("longitude", "latitude", "emission_t_y")]
)
"""A detection and a source near it, with the place and emission of the source."""


@dataclass(frozen=True)
class _Positions:
    """Where the sources of the pairs lie, seen from their detections; one value a pair."""

    distance_km: Floats
    along_km: Floats
    """Upwind positive; NaN without wind."""
    across_km: Floats
    speed_m_s: Floats
    """NaN without wind."""


@dataclass(frozen=True)
class PeakRule:
    """Numbers for CO2 peaks; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    max_travel_hours: float
    min_travel_speed_m_s: float
    decay_km: float
    position_sigma_km: float
    plume_sigma_km: float
    plume_exponent: float
    direction_sigma_deg: float
    wind_component_sigma_m_s: float
    emission_power: float
    unlisted_density: float
    rate_factor: float

    def reach_km(self, speed_m_s: Floats) -> Floats:
        """How far upwind a source may lie: what the air travels in the stated hours; all round without wind."""
        travel = np.maximum(speed_m_s, self.min_travel_speed_m_s) * self.max_travel_hours * KM_PER_M_S_HOUR
        return np.where(np.isfinite(speed_m_s), np.minimum(travel, self.max_distance_km), self.max_distance_km)

    def across_sigma_km(self, along_km: Floats, speed_m_s: Floats) -> Floats:
        """Standard deviation of the across-wind distance of a source at an along-wind distance."""
        along = np.maximum(along_km, 0.0)
        turn = np.tan(np.radians(self.direction_sigma_deg)) ** 2 + (self.wind_component_sigma_m_s / speed_m_s) ** 2
        plume = self.plume_sigma_km * along**self.plume_exponent
        return np.sqrt(self.position_sigma_km**2 + plume**2 + along**2 * turn)

    def densities(self, at: _Positions) -> tuple[Floats, Floats]:
        """Position density of each pair (per km), and its share of the density on the plume's axis."""
        sigma = self.across_sigma_km(at.along_km, at.speed_m_s)
        upwind = ndtr(at.along_km / self.position_sigma_km) * (at.along_km <= self.reach_km(at.speed_m_s))
        closeness = upwind * np.exp(-0.5 * (at.across_km / sigma) ** 2)
        density = closeness / (np.sqrt(2 * np.pi) * sigma) * np.exp(-np.maximum(at.along_km, 0.0) / self.decay_km)
        # Without wind every direction is as likely: the same plume, spread over the circle.
        ring_km = 2 * np.pi * np.hypot(at.distance_km, self.position_sigma_km)
        decay = np.exp(-at.distance_km / self.decay_km)
        has_wind = np.isfinite(at.speed_m_s)
        return np.where(has_wind, density, decay / ring_km), np.where(has_wind, closeness, decay)

    def unlisted_weights(self, speed_m_s: Floats) -> Floats:
        """Weight of what no inventory lists: its density x the integral of the position's density upwind."""
        return self.unlisted_density * self.decay_km * -np.expm1(-self.reach_km(speed_m_s) / self.decay_km)


@dataclass(frozen=True)
class PlumeRule:
    """Numbers for CH4 plumes; units and sources in `reference/matching.yaml`."""

    max_distance_km: float
    position_sigma_km: float
    emission_power: float
    unlisted_density: float
    rate_factor: float

    def densities(self, at: _Positions) -> tuple[Floats, Floats]:
        """Position density of each pair (per km2), and its share of the density at the origin."""
        closeness = np.exp(-0.5 * (at.distance_km / self.position_sigma_km) ** 2)
        return closeness / (2 * np.pi * self.position_sigma_km**2), closeness

    def unlisted_weights(self, speed_m_s: Floats) -> Floats:
        """Weight of what no inventory lists: its density, as the position's density integrates to 1."""
        return np.full(speed_m_s.shape, self.unlisted_density)


@dataclass(frozen=True)
class MatchingRule:
    """All numbers of matching for one gas."""

    version: str
    """What manifests state as calibration."""
    position: PeakRule | PlumeRule
    """Weights by position and emission."""
    confirmed_probability: float
    """From here on the first source is taken for the one."""
    min_probability: float
    """Sources below have no row."""


@lru_cache(maxsize=2)
def matching_rule(gas: str) -> MatchingRule:
    """Return the numbers for `co2` or `ch4` that ship with the library."""
    raw: dict[str, Any] = yaml.safe_load(resources.files("plumewatch").joinpath("reference", FILE).read_text("utf-8"))
    kind = {"co2": PeakRule, "ch4": PlumeRule}[gas]
    position = kind(**{field.name: float(raw[gas][field.name]["value"]) for field in fields(kind)})
    confirmed, least = raw["status"]["confirmed_probability"]["value"], raw["rows"]["min_probability"]["value"]
    return MatchingRule(raw["version"], position, confirmed, least)


def detections_of_peaks(peaks: pa.Table) -> pa.Table:
    """Return the accepted rows of the table `peaks` as DETECTIONS."""
    peaks = peaks.filter(pc.equal(peaks["status"], "accepted"))
    emission = {f"emission{end}": peaks[f"emission_kt_h{end}"] for end in ("", "_low", "_high")}
    columns = {name: peaks[name] for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s")} | emission
    return _conform(DETECTIONS, {"detection_id": peaks["peak_id"].cast(pa.string()), **columns})


def detections_of_plumes(plumes: pa.Table) -> pa.Table:
    """Return the accepted rows of the table `plumes` as DETECTIONS."""
    plumes = plumes.filter(pc.equal(plumes["status"], "accepted"))
    u, v = components_m_s(_floats(plumes["wind_speed_10m_m_s"]), _floats(plumes["wind_from_deg"]))
    columns = {
        "detection_id": plumes["plume_id"],
        "longitude": plumes["longitude"],
        "latitude": plumes["latitude"],
        "wind_u_m_s": pa.array(u, from_pandas=True),
        "wind_v_m_s": pa.array(v, from_pandas=True),
        **{f"emission{end}": plumes[f"emission_kg_h{end}"] for end in ("", "_low", "_high")},
    }
    return _conform(DETECTIONS, columns)


def with_wind(detections: pa.Table, wind_u_m_s: Floats, wind_v_m_s: Floats) -> pa.Table:
    """Return DETECTIONS with another wind where it is known (not NaN)."""
    known = pa.array(np.isfinite(wind_u_m_s) & np.isfinite(wind_v_m_s))
    for name, values in (("wind_u_m_s", wind_u_m_s), ("wind_v_m_s", wind_v_m_s)):
        column = pc.if_else(known, pa.array(values), detections[name])
        detections = detections.set_column(detections.column_names.index(name), name, column)
    return detections


def match_detections(detections: pa.Table, pairs: pa.Table, gas: str) -> pa.Table:
    """Return the rows of the table `matches` for DETECTIONS, given the PAIRS within the rule's distance.

    Each detection has one row without source, "in no inventory"; its probabilities sum to 1 and rank 1 is the most
    probable. The status says what came of the detection: unknown_source where no listed source is the most probable;
    inconsistent_rate where the interval of its rate misses the expected rate by more than the stated factor either
    way; ambiguous where no source has more than half of the probability; else confirmed. Sources that lie as well as
    the first one emit into the same peak, so the expected rate counts them too. A detection without rate is judged by
    place alone.

    A plant of 1 kt/h on the axis 20 km upwind in 5 m/s, alone: position = 0.056 x 0.67 per km, weight 0.038 against
    1.8e-5 x 50 x 0.86 = 0.0008 of what isn't listed: probability 0.98.
    """
    rule = matching_rule(gas)
    detections = detections.sort_by("detection_id")
    ids = detections["detection_id"].to_numpy(zero_copy_only=False).astype(str)
    owner = np.searchsorted(ids, pairs["detection_id"].to_numpy(zero_copy_only=False).astype(str))
    at, speed = _positions(detections, pairs, owner)
    expected = _floats(pairs["emission_t_y"]) * EMISSION_PER_T_Y[gas]
    density, closeness = rule.position.densities(at)
    weight = expected**rule.position.emission_power * density
    weight = np.where(np.isfinite(weight), weight, 0.0)  # a source without a stated emission can't be weighed
    probability, unlisted = _shares(weight, rule.position.unlisted_weights(speed), owner)
    kept = np.flatnonzero((probability >= rule.min_probability) & (weight > 0))
    owner, expected, closeness = owner[kept], expected[kept], closeness[kept]
    probability, unlisted = _shares(probability[kept], unlisted, owner)

    status = _statuses(detections, rule, owner, expected, closeness, probability, unlisted)
    detected = _floats(detections["emission"])
    blank = np.full(len(ids), np.nan)
    source = pairs.take(pa.array(kept))
    which = np.concatenate([owner, np.arange(len(ids))])
    rows = {
        "detection_id": ids[which],
        "source_id": pa.concat_arrays([source["source_id"].combine_chunks(), pa.nulls(len(ids), pa.string())]),
        "inventory": pa.concat_arrays([source["inventory"].combine_chunks(), pa.nulls(len(ids), pa.string())]),
        "probability": np.concatenate([probability, unlisted]),
        "distance_km": np.concatenate([at.distance_km[kept], blank]),
        "along_wind_km": np.concatenate([at.along_km[kept], blank]),
        "across_wind_km": np.concatenate([at.across_km[kept], blank]),
        "expected_emission": np.concatenate([expected, blank]),
        "detected_emission": detected[which],
        "ratio": detected[which] / np.concatenate([expected, blank]),
        "status": status[which],
    }
    return _ranked(rows)


def _positions(detections: pa.Table, pairs: pa.Table, owner: NDArray[np.intp]) -> tuple[_Positions, Floats]:
    """Positions of the pairs, and the wind speed of each detection (NaN without wind or in a calm)."""
    lon0, lat0, u, v = (_floats(detections[n]) for n in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s"))
    lon, lat = _floats(pairs["longitude"]), _floats(pairs["latitude"])
    speed = np.hypot(u, v)
    speed = np.where(speed >= CALM_M_S, speed, np.nan)
    east, north = local_offset_km(lon0[owner], lat0[owner], lon, lat)
    to_east, to_north = (u / speed)[owner], (v / speed)[owner]
    along, across = -(east * to_east + north * to_north), north * to_east - east * to_north
    distance = great_circle_distance_km(lon0[owner], lat0[owner], lon, lat)
    return _Positions(distance, along, across, speed[owner]), speed


def _shares(weight: Floats, unlisted: Floats, owner: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Weights of pairs and of "in no inventory" over their sum in each detection."""
    total = unlisted + np.bincount(owner, weights=weight, minlength=len(unlisted))
    return weight / total[owner], unlisted / total


def _statuses(
    detections: pa.Table,
    rule: MatchingRule,
    owner: NDArray[np.intp],
    expected: Floats,
    closeness: Floats,
    probability: Floats,
    unlisted: Floats,
) -> NDArray[np.str_]:
    n = len(unlisted)
    order = np.lexsort((expected, probability, owner))
    first = order[np.append(owner[order][1:] != owner[order][:-1], True)] if len(order) else order
    best, first_closeness = np.zeros(n), np.ones(n)
    best[owner[first]], first_closeness[owner[first]] = probability[first], closeness[first]
    share = np.minimum(closeness / first_closeness[owner], 1.0)
    rate = np.bincount(owner, weights=share * expected, minlength=n)
    low, high = (
        np.where(np.isfinite(end), end, _floats(detections["emission"]))
        for end in (_floats(detections["emission_low"]), _floats(detections["emission_high"]))
    )
    factor = rule.position.rate_factor
    is_off = (low > rate * factor) | (high < rate / factor)  # False where the rate is NaN
    return np.select(
        [best < unlisted, is_off, best <= rule.confirmed_probability],
        [UNKNOWN_SOURCE, INCONSISTENT_RATE, AMBIGUOUS],
        CONFIRMED,
    )


def _ranked(rows: dict[str, Any]) -> pa.Table:
    """Conformed rows; most probable first, a listed source before none, then by id."""
    sources = np.array(rows["source_id"].to_pylist(), dtype=object)
    is_none = np.array([s is None for s in sources], dtype=bool)
    key = np.where(is_none, "", sources).astype(str)
    order = np.lexsort((key, is_none, -rows["probability"], rows["detection_id"]))
    detection = rows["detection_id"][order]
    starts = np.flatnonzero(np.append(True, detection[1:] != detection[:-1])) if len(order) else order
    rank = np.empty(len(order), np.int16)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order)))) + 1
    columns = {name: _nullable(values) for name, values in {**rows, "rank": rank}.items()}
    return MATCHES.from_columns(columns)


def _nullable(values: Any) -> pa.Array:
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, mask=~np.isfinite(values))
    return values if isinstance(values, pa.Array) else pa.array(values.tolist())


def _floats(column: pa.ChunkedArray | pa.Array) -> Floats:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(float)


def _conform(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
    return pa.table({field.name: columns[field.name] for field in schema}).cast(schema)
