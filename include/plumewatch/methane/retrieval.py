"""From reflectance to methane column enhancement by the ratio of two shortwave-infrared bands.

Methane absorbs in band 12 (2.2 um) and hardly in band 11 (1.6 um); Landsat's bands 7 and 6 stand as those. With
R = (B12 / B11) / median and a reference R_ref of the same ground without plume, M = R / R_ref is the transmittance
T12 / T11 of the additional methane, and y = 1 - M the signal that is turned into a column enhancement by a radiative
table per satellite and air mass factor. References: Varon et al. 2021, doi:10.5194/amt-14-2771-2021 (band-pass
retrieval); Irakulis-Loitxate et al. 2022, doi:10.1021/acs.est.1c04873 (ratio form). `fractional_change` has the other
forms: MBSP and MBMP.

The inverse is convex, so noise doesn't average out of it altogether: see `compute_noise_bias`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from plumewatch.errors import InputError
from plumewatch.methane.smoothing import OWN, SceneNumbers, sampled
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.known import SENSORS
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sensor import RadiativeTable
from plumewatch.sensors.sentinel2 import SENTINEL2

Floats = NDArray[np.float64]

TABLES = {sensor.name: sensor.radiative_table for sensor in SENSORS if sensor.radiative_table}
TABLE_FILE, LANDSAT_TABLE_FILE = (TABLES[sensor.name].file for sensor in (SENTINEL2, LANDSAT))
PLATFORMS, LANDSAT_PLATFORMS = (TABLES[sensor.name].units for sensor in (SENTINEL2, LANDSAT))
LARGEST_COLUMN_MOL_M2 = (
    10.0  # the last column of Sentinel-2's table; that of Landsat's is 2.31, and its last slope goes on
)

# Straight lines in ln T between the table's own nodes are off by up to 1.1 % of the column (at 2.4 mol/m2), cubic
# splines by 0.1 %: the spline is followed with so many straight pieces between two nodes.
PIECES_PER_NODE = 8
QUADRATURE_POINTS = 31  # of the Gauss-Hermite rule over the noise
CURVATURE_MOL_M2 = (0.05, 0.15)  # columns that tell the curvature at zero
FINEST_NOISE = 1e-6  # relative noise below which the bias is nothing


@dataclass(frozen=True, eq=False)
class TransmittanceCurve:
    """Transmittance of both bands against column enhancement, for one satellite and air mass factor."""

    omega_mol_m2: Floats
    """Column enhancements at the nodes, ascending from 0."""
    log_b11: Floats
    """ln T11 at the nodes: 0, then ever more negative."""
    log_b12: Floats
    """ln T12 at the nodes: 0, then ever more negative, about six times as much as band 11."""

    @property
    def log_ratio(self) -> Floats:
        """ln(T12 / T11) at the nodes."""
        return self.log_b12 - self.log_b11

    @property
    def largest_absorption(self) -> float:
        """-ln(T12 / T11) of LARGEST_COLUMN_MOL_M2."""
        largest = _interpolate(np.asarray(LARGEST_COLUMN_MOL_M2), self.omega_mol_m2, self.log_ratio)
        return -float(largest)


@dataclass(frozen=True, eq=False)
class BandTransmittance:
    """What a column enhancement leaves of the light of each band."""

    b11: Floats
    """T11, 1 without enhancement."""
    b12: Floats
    """T12, 1 without enhancement."""


def compute_air_mass_factor(solar_zenith_deg: ArrayLike, view_zenith_deg: ArrayLike) -> Floats:
    """Return the slant path in units of the vertical one, 1 / cos(solar zenith) + 1 / cos(view zenith).

    >>> round(float(compute_air_mass_factor(60.0, 0.0)), 6)
    3.0
    """
    solar, view = (np.cos(np.radians(np.asarray(angle, dtype=float))) for angle in (solar_zenith_deg, view_zenith_deg))
    return 1.0 / solar + 1.0 / view


@cache
def _nodes(table: RadiativeTable) -> dict[str, Floats]:
    """Return the nodes (`omega_mol_m2`, refined, from 0, and `amf`) and ln T of each unit and band, amf x omega."""
    raw = read_reference(table.file)
    given, amf = (np.asarray(raw[name], dtype=float) for name in ("omega_mol_m2", "amf"))
    steps = np.arange(PIECES_PER_NODE * (len(given) - 1) + 1) / PIECES_PER_NODE
    omega = np.interp(steps, np.arange(len(given)), given)
    omega = np.append(0.0, omega[omega > 0])
    nodes = {"omega_mol_m2": omega, "amf": amf}
    for name in (f"{unit}_{band}" for unit in table.units.values() for band in table.bands):
        logs = CubicSpline(given, np.log(np.asarray(raw[name], dtype=float)), axis=1)(omega)
        nodes[name] = logs - logs[:, :1]  # a table that has no column 0 is off there by its rounding
    return nodes


def check_platform(platform: str, source: str) -> RadiativeTable:
    """Return the table of a platform; InputError, naming `source`, where the methane that it saw can't be told."""
    for table in TABLES.values():
        if platform in table.units:
            return table
    raise InputError(
        source, f"platform {platform!r}", ", ".join(name for table in TABLES.values() for name in table.units)
    )


def units_of(platform: str) -> Mapping[str, str]:
    """Return the platforms of the same sensor, and what their table calls them."""
    return check_platform(platform, TABLE_FILE).units


def air_mass_factors(platform: str) -> tuple[float, float]:
    """Return the least and the largest air mass factor that the table of a platform holds.

    >>> air_mass_factors("landsat-8")
    (2.0, 3.9238)
    """
    amf = _nodes(check_platform(platform, TABLE_FILE))["amf"]
    return float(amf[0]), float(amf[-1])


def transmittance_curve(platform: str, air_mass_factor: float) -> TransmittanceCurve:
    """Return the curve of a satellite (`sentinel-2a`, `landsat-8` ...) at an air mass factor.

    ln T goes by cubic splines along the column and by straight lines along the air mass factor, where it is nearly
    straight (0.1 % of the column at most between 2 and 4).

    Raises InputError for another platform and for an air mass factor outside the table.
    """
    table = check_platform(platform, TABLE_FILE)
    nodes = _nodes(table)
    amf = nodes["amf"]
    if not amf[0] - 1e-6 <= air_mass_factor <= amf[-1] + 1e-6:
        raise InputError(table.file, f"air mass factor {air_mass_factor:.3f}", f"{amf[0]} to {amf[-1]}")
    upper = int(np.clip(np.searchsorted(amf, air_mass_factor), 1, len(amf) - 1))
    share = (air_mass_factor - amf[upper - 1]) / (amf[upper] - amf[upper - 1])
    b11, b12 = (nodes[f"{table.units[platform]}_{band}"] for band in table.bands)
    b11, b12 = ((1.0 - share) * logs[upper - 1] + share * logs[upper] for logs in (b11, b12))
    return TransmittanceCurve(nodes["omega_mol_m2"], b11, b12)


def compute_transmittance(omega_mol_m2: ArrayLike, platform: str, air_mass_factor: float) -> BandTransmittance:
    """Return T11 and T12 of a column enhancement (mol/m2, any shape); beyond the table's ends the last slope goes on.

    >>> t = compute_transmittance(1.0, "sentinel-2a", 2.0)
    >>> round(float(1 - t.b12 / t.b11), 4)
    0.0472
    """
    curve = transmittance_curve(platform, air_mass_factor)
    omega = np.asarray(omega_mol_m2, dtype=float)
    b11, b12 = (np.exp(_interpolate(omega, curve.omega_mol_m2, logs)) for logs in (curve.log_b11, curve.log_b12))
    return BandTransmittance(b11, b12)


def estimate_enhancement(signal: ArrayLike, platform: str, air_mass_factor: float) -> Floats:
    """Return the column enhancement in mol/m2 that gives the signal y = 1 - M (any shape).

    The inverse of T12 / T11 of `compute_transmittance`. A negative signal (noise) goes by the slope at zero and is not
    clipped, so that the mean over noise stays zero. A signal of 1 or more has no logarithm and gives NaN.

    >>> round(float(estimate_enhancement(0.0472, "sentinel-2a", 2.0)), 2)
    1.0
    """
    curve = transmittance_curve(platform, air_mass_factor)
    return interpolate_enhancement(signal, -curve.log_ratio, curve.omega_mol_m2)


def interpolate_enhancement(signal: ArrayLike, absorption: Floats, omega_mol_m2: Floats) -> Floats:
    """Return the column enhancement in mol/m2 that gives the signal y (any shape), by nodes of any forward model.

    Straight lines in -ln(1 - y) against the column. `absorption` is -ln(1 - y) at the columns `omega_mol_m2`; both
    ascend from 0. Below zero the slope at zero goes on in y, above the last node the last slope; y >= 1 gives NaN.
    """
    y = np.asarray(signal, dtype=float)
    absorbed = -np.log1p(-np.where(y < 1.0, np.maximum(y, 0.0), np.nan))
    positive = _interpolate(absorbed, absorption, omega_mol_m2)
    return np.where(y < 0.0, y * (omega_mol_m2[1] / absorption[1]), positive)


def enhancement_per_signal(platform: str, air_mass_factor: float) -> float:
    """Return the slope dOmega / dy at zero in mol/m2 (18.3 for sentinel-2a at an air mass factor of 2)."""
    curve = transmittance_curve(platform, air_mass_factor)
    return float(curve.omega_mol_m2[1] / -curve.log_ratio[1])


def compute_noise_bias(signal: ArrayLike, platform: str, air_mass_factor: float, noise: float) -> Floats:
    """Return what to take off `estimate_enhancement` so that its mean over noise is the truth, in mol/m2 (any shape).

    The column grows faster than the signal, and below zero it goes by a straight line: both lift the mean over noise.
    With x = -ln(1 - y) and h(x) the column, continued below zero by its parabola, h_s(x) = E[h(x + s n)] with n
    standard normal and s the noise, the estimate whose mean is h to second order is f = h - 3 (h_s - h) + (h_t - h),
    where t = s sqrt(2); returned is Omega - f. `noise` is the standard deviation of ln M of one pixel when inverted.
    Sums over a plume (its mass) need it where noise is 0.004 or more; a significance doesn't. Averaging the signal over
    a plume before inverting it is no remedy: its unevenness then takes away about as much.
    Raises InputError for a noise that isn't finite or is negative.

    >>> round(float(compute_noise_bias(0.0016, "sentinel-2a", 2.0, 0.004)), 4)  # at 0.03 mol/m2: 2 % of it
    0.0007
    """
    if not 0.0 <= noise < np.inf:
        raise InputError(TABLE_FILE, f"noise {noise}", "a finite number of 0 or more")
    y = np.asarray(signal, dtype=float)
    absorbed = -np.log1p(-np.where(y < 1.0, y, np.nan))
    if noise < FINEST_NOISE:
        return 0.0 * absorbed
    curve = transmittance_curve(platform, air_mass_factor)
    x = _noise_grid(noise, -curve.log_ratio[-1])
    points, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_POINTS)
    exact = _continued(x, curve)
    once, twice = (
        _continued(x[:, None] + spread * points, curve) @ (weights / weights.sum()) - exact
        for spread in (noise, np.sqrt(2.0) * noise)
    )
    given = interpolate_enhancement(-np.expm1(-x), -curve.log_ratio, curve.omega_mol_m2)
    return np.interp(absorbed, x, given - exact + 3.0 * once - twice)


def _continued(x: Floats, curve: TransmittanceCurve) -> Floats:
    """Return the column at x = -ln M; below zero by the parabola of its slope and curvature at zero."""
    omega, absorption = curve.omega_mol_m2, -curve.log_ratio
    near, far = (int(np.searchsorted(omega, column)) for column in CURVATURE_MOL_M2)
    slope = omega[1] / absorption[1]
    curvature = (omega[far] / absorption[far] - omega[near] / absorption[near]) / (absorption[far] - absorption[near])
    below = np.minimum(x, 0.0)
    return _interpolate(np.maximum(x, 0.0), absorption, omega) + slope * below + curvature * below**2


def _noise_grid(noise: float, end: float) -> Floats:
    """Return values of -ln M on the scale of the noise about zero, and wider ones to `end`."""
    near = noise * np.linspace(-8.0, 8.0, 161)
    return np.concatenate([near, np.linspace(near[-1], max(end, 2.0 * near[-1]), 101)[1:]])


def compute_log_ratio(
    b11: NDArray, b12: NDArray, valid: NDArray[np.bool_], numbers: SceneNumbers = OWN
) -> NDArray[np.float32]:
    """Return ln R = ln(B12 / B11) minus its median over `valid` pixels; NaN where not valid or a band is not positive.

    The median takes out what differs from pass to pass for the whole scene: illumination, water vapour, calibration.
    """
    usable = valid & (b11 > 0) & (b12 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(usable, np.log(b12 / b11), np.nan).astype(np.float32)
    if not usable.any():
        return log_ratio
    return log_ratio - numbers.of("log ratio", lambda: np.float32(np.median(sampled(log_ratio, usable))))


def _interpolate(x: Floats, nodes: Floats, values: Floats) -> Floats:
    """Interpolate linearly; outside the nodes the first and last slopes go on."""
    inside = np.interp(x, nodes, values)
    first = (values[1] - values[0]) / (nodes[1] - nodes[0])
    last = (values[-1] - values[-2]) / (nodes[-1] - nodes[-2])
    below, above = np.minimum(x - nodes[0], 0.0), np.maximum(x - nodes[-1], 0.0)
    return inside + below * first + above * last
