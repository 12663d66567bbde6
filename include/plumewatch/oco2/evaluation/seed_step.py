"""The seed's work for one window, for comparison: select around a sounding, fit loosely, test.

As dataforgoodfr/batch7_satellite_ges (oco2peak 0.0.5) does it: a DataFrame of the orbit in its sixteen columns and the
distance, every 15th sounding a centre, a window of 200 km by `query`, y = m x + b + A / (sigma sqrt(2 pi)) exp(-x^2 /
(2 sigma^2)) with the centre held, first guess (0, median, 30 (y_i - median), 10), no bounds, ftol = xtol = 0.5, columns
given to the fit as they are. `fit_line_and_gaussian` with arrays and SciPy's tolerances is the converged fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

Floats = NDArray[np.float64]
Column: TypeAlias = Floats | pd.Series

EVERY, HALF_WINDOW_KM, MIN_SOUNDINGS = 15, 100.0, 400
LOOSE_TOLERANCE, MAX_CALLS = 0.5, 20_000
FIRST_FACTOR, FIRST_SIGMA_KM = 30.0, 10.0
MIN_SIGMA_KM, MIN_R2, CORRELATION_SIGMAS = 2.0, 0.25, 4.0


def model(x: Column, slope: float, intercept: float, amplitude: float, sigma: float) -> Column:
    """The seed's curve."""
    return slope * x + intercept + amplitude / (sigma * np.sqrt(2 * np.pi)) * np.exp(-(x**2) / (2 * sigma**2))


def select(orbit: pd.DataFrame, centre: int) -> pd.DataFrame | None:
    """Return the rows around a sounding with their enhancement, None where they are too few."""
    at_km = float(orbit.loc[centre, "distance"])
    window = orbit.query(f"{at_km - HALF_WINDOW_KM} <= distance <= {at_km + HALF_WINDOW_KM}").copy()
    if len(window) < MIN_SOUNDINGS:
        return None
    window["enhancement"] = window["xco2"] - window["xco2"].median()
    window["x"] = window["distance"] - at_km
    return window


def first_guess(window: pd.DataFrame, centre: int) -> tuple[float, float, float, float]:
    """Return slope, intercept, amplitude and sigma with which the fit starts."""
    return 0.0, float(window["xco2"].median()), FIRST_FACTOR * window.loc[centre, "enhancement"], FIRST_SIGMA_KM


def fit_line_and_gaussian(
    x: Column, y: Column, uncertainty: Column, first: Sequence[float], **tolerances: float
) -> Floats | None:
    """Return slope, intercept, amplitude and sigma, None where the fit fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            return curve_fit(model, x, y, p0=first, sigma=uncertainty, maxfev=MAX_CALLS, **tolerances)[0]
    except RuntimeError:
        return None


def passes(window: pd.DataFrame, parameters: Floats) -> bool:
    """Whether a fit passes the seed's tests: width, sign, occupied bands, correlation."""
    sigma = abs(float(parameters[3]))
    if sigma < MIN_SIGMA_KM or 3 * sigma > HALF_WINDOW_KM or parameters[2] / parameters[3] < 0:
        return False
    x = window["x"]
    bands = ((-sigma, 0.0), (0.0, sigma), (-3 * sigma, -2 * sigma), (2 * sigma, 3 * sigma))
    if any(len(window[(x >= low) & (x <= high)]) < int(sigma) for low, high in bands):
        return False
    near = window[x.abs() <= CORRELATION_SIGMAS * sigma]
    r = np.corrcoef(model(near["x"], *parameters), near["xco2"])[0, 1]
    return bool(r >= 0 and r**2 >= MIN_R2)


def whole_step(orbit: pd.DataFrame, centre: int) -> Floats | None:
    """Do all that the seed does for one centre; return slope, intercept, amplitude and sigma of what it keeps."""
    window = select(orbit, centre)
    if window is None:
        return None
    columns = window["x"], window["xco2"], window["xco2_uncert"]
    parameters = fit_line_and_gaussian(
        *columns, first_guess(window, centre), ftol=LOOSE_TOLERANCE, xtol=LOOSE_TOLERANCE
    )
    return parameters if parameters is not None and passes(window, parameters) else None
