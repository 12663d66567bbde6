"""From reflectance to methane column enhancement by the ratio of two shortwave-infrared bands.

Methane absorbs in band 12 (2.2 um) and hardly in band 11 (1.6 um). With R = (B12 / B11) / median and a reference R_ref
of the same ground without plume, M = R / R_ref is the transmittance T12 / T11 of the additional methane, and y = 1 - M
the signal that is turned into a column enhancement by a radiative table per satellite and air mass factor. References:
Varon et al. 2021, doi:10.5194/amt-14-2771-2021 (band-pass retrieval); Irakulis-Loitxate et al. 2022,
doi:10.1021/acs.est.1c04873 (ratio form).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plumewatch.errors import InputError

Floats = NDArray[np.float64]

TABLE_FILE = "sentinel2_ch4_transmittance.json"
PLATFORMS = {"sentinel-2a": "S2A", "sentinel-2b": "S2B", "sentinel-2c": "S2C"}


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


@lru_cache(maxsize=1)
def _table() -> dict[str, Floats]:
    """Return the nodes (`omega_mol_m2`, `amf`) and ln T of each unit and band, amf x omega."""
    raw = json.loads(resources.files("plumewatch").joinpath("reference", TABLE_FILE).read_bytes())
    nodes = {name: np.asarray(raw[name], dtype=float) for name in ("omega_mol_m2", "amf")}
    bands = [f"{unit}_{band}" for unit in PLATFORMS.values() for band in ("B11", "B12")]
    return nodes | {band: np.log(np.asarray(raw[band], dtype=float)) for band in bands}


def transmittance_curve(platform: str, air_mass_factor: float) -> TransmittanceCurve:
    """Return the curve of a satellite (`sentinel-2a` ...) at an air mass factor, linear in ln T between nodes.

    Raises InputError for another platform and for an air mass factor outside the table.
    """
    if platform not in PLATFORMS:
        raise InputError(TABLE_FILE, f"platform {platform!r}", ", ".join(PLATFORMS))
    table = _table()
    amf = table["amf"]
    if not amf[0] - 1e-6 <= air_mass_factor <= amf[-1] + 1e-6:
        raise InputError(TABLE_FILE, f"air mass factor {air_mass_factor:.3f}", f"{amf[0]} to {amf[-1]}")
    upper = int(np.clip(np.searchsorted(amf, air_mass_factor), 1, len(amf) - 1))
    share = (air_mass_factor - amf[upper - 1]) / (amf[upper] - amf[upper - 1])
    b11, b12 = (table[f"{PLATFORMS[platform]}_{band}"] for band in ("B11", "B12"))
    b11, b12 = ((1.0 - share) * logs[upper - 1] + share * logs[upper] for logs in (b11, b12))
    return TransmittanceCurve(table["omega_mol_m2"], b11, b12)


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
    y = np.asarray(signal, dtype=float)
    absorbed = -np.log1p(-np.where(y < 1.0, np.maximum(y, 0.0), np.nan))
    positive = _interpolate(absorbed, -curve.log_ratio, curve.omega_mol_m2)
    return np.where(y < 0.0, y * enhancement_per_signal(platform, air_mass_factor), positive)


def enhancement_per_signal(platform: str, air_mass_factor: float) -> float:
    """Return the slope dOmega / dy at zero in mol/m2 (18.4 for sentinel-2a at an air mass factor of 2)."""
    curve = transmittance_curve(platform, air_mass_factor)
    return float(curve.omega_mol_m2[1] / -curve.log_ratio[1])


def compute_log_ratio(b11: NDArray, b12: NDArray, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return ln R = ln(B12 / B11) minus its median over `valid` pixels; NaN where not valid or a band is not positive.

    The median takes out what differs from pass to pass for the whole scene: illumination, water vapour, calibration.
    """
    usable = valid & (b11 > 0) & (b12 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(usable, np.log(b12 / b11), np.nan).astype(np.float32)
    return log_ratio - np.float32(np.median(log_ratio[usable])) if usable.any() else log_ratio


def _interpolate(x: Floats, nodes: Floats, values: Floats) -> Floats:
    """Interpolate linearly; outside the nodes the first and last slopes go on."""
    inside = np.interp(x, nodes, values)
    first = (values[1] - values[0]) / (nodes[1] - nodes[0])
    last = (values[-1] - values[-2]) / (nodes[-1] - nodes[-2])
    below, above = np.minimum(x - nodes[0], 0.0), np.maximum(x - nodes[-1], 0.0)
    return inside + below * first + above * last
