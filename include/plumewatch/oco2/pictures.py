"""The picture of a peak, drawn from its details: soundings, background, fit and interval, and the map with the wind."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumewatch.gases import CO2
from plumewatch.geodesy import local_offset_km
from plumewatch.orbits import SENSOR_NAMES
from plumewatch.pages.wording import (
    emission_text,
    false_alarm_text,
    place_text,
    speed_text,
    time_text,
    without_rate_text,
)

SIZE_INCHES, DPI = (11.0, 4.6), 100
ALONG = ("distance_km", "background_ppm", "enhancement_ppm")
SOUNDING_COLOUR, FIT_COLOUR, BACKGROUND_COLOUR, WIND_COLOUR = "#4c72b0", "#c44e52", "#555555", "#111111"
ARROW_LENGTH = 0.2  # of the map's height
MAP_WIDTH = 0.6  # at least, of the map's height
COLOUR_PERCENTILES = (1.0, 99.0)  # of the enhancements: single soundings that stand out shouldn't pale the others
HEADROOM = 0.45  # of the range of xco2, for the numbers and the legend


def draw_peak(details: Mapping[str, Any]) -> bytes:
    """Return the PNG of a peak's details (the content of its JSON); the same details give the same bytes."""
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    section, place = figure.subplots(1, 2, width_ratios=(2.0, 1.0))
    _draw_section(section, details)
    _draw_map(place, details, figure)
    figure.suptitle(_title(details), fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _title(details: Mapping[str, Any]) -> str:
    seen_at = time_text(datetime.fromisoformat(details["observed_at_utc"]))
    place = place_text(details["longitude"], details["latitude"])
    return f"{SENSOR_NAMES[details['sensor']]} orbit {details['orbit']}, {seen_at}, {place}"


def _draw_section(axes: Axes, details: Mapping[str, Any]) -> None:
    soundings = details["soundings"]
    axes.plot(soundings["distance_km"], soundings["xco2_ppm"], ".", ms=3, color=SOUNDING_COLOUR, label="soundings")
    x, background, enhancement = (np.array(details["along"][name]) for name in ALONG)
    share = [details[f"amplitude_ppm_km{end}"] / details["amplitude_ppm_km"] for end in ("_low", "_high")]
    axes.fill_between(
        x, background + share[0] * enhancement, background + share[1] * enhancement, color=FIT_COLOUR, alpha=0.3, lw=0,
        label="68 % of the amplitude",
    )  # fmt: skip
    axes.plot(x, background + enhancement, color=FIT_COLOUR, label="plume")
    axes.plot(x, background, "--", color=BACKGROUND_COLOUR, label="background")
    low, high = min(soundings["xco2_ppm"]), max(soundings["xco2_ppm"])
    axes.set_ylim(low - 0.05 * (high - low), high + HEADROOM * (high - low))
    axes.set_xlabel("along the track (km from the centre)")
    axes.set_ylabel("XCO₂ (ppm)")
    axes.legend(loc="upper right", fontsize=8)
    axes.text(0.02, 0.98, _numbers(details), transform=axes.transAxes, va="top", fontsize=8)


def _numbers(details: Mapping[str, Any]) -> str:
    amplitude, low, high = (details[f"amplitude_ppm_km{end}"] for end in ("", "_low", "_high"))
    rate, least, most = (details[f"emission_kt_h{end}"] for end in ("", "_low", "_high"))
    lines = [
        f"CO₂: {emission_text(CO2, rate, least, most, without_rate_text(details))}",
        f"amplitude {amplitude:.0f} ppm km, {low:.0f} to {high:.0f} (68 %)",
        f"height {details['height_ppm']:.2f} ppm, σ {details['sigma_km']:.1f} km",
        f"false alarm {false_alarm_text(details['false_alarm_probability'])} in 600 km",
    ]
    if details["wind_source"]:
        lines.append(f"wind {details['wind_source']}")
    return "\n".join(lines)


def _draw_map(axes: Axes, details: Mapping[str, Any], figure: Figure) -> None:
    """Soundings in km east and north of the peak, so that nothing tears at the antimeridian or widens at a pole."""
    soundings = details["soundings"]
    centre = details["longitude"], details["latitude"]
    east, north = local_offset_km(*centre, soundings["longitude"], soundings["latitude"])
    enhancement = np.array(soundings["xco2_ppm"]) - np.array(soundings["background_ppm"])
    low, high = np.percentile(enhancement, COLOUR_PERCENTILES)
    points = axes.scatter(east, north, c=enhancement, s=4, cmap="viridis", vmin=low, vmax=high)
    figure.colorbar(points, ax=axes, label="above background (ppm)", extend="both")
    axes.plot(0.0, 0.0, "o", mfc="none", mec=FIT_COLOUR, ms=12)
    height = max(np.ptp(north), np.ptp(east))
    _draw_wind(axes, details, ARROW_LENGTH * height)
    reach = max(np.abs(east).max() * 1.1, MAP_WIDTH * height / 2)
    axes.set_xlim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xlabel("km east of the peak")
    axes.set_ylabel("km north of the peak")


def _draw_wind(axes: Axes, details: Mapping[str, Any], length_km: float) -> None:
    """An arrow from the peak to where the wind goes, and its speed."""
    u, v = details["wind_u_m_s"], details["wind_v_m_s"]
    if u is None or v is None or not np.hypot(u, v) > 0:
        axes.set_title("no wind known", fontsize=9)
        return
    speed = float(np.hypot(u, v))
    axes.annotate(
        "", xy=(u / speed * length_km, v / speed * length_km), xytext=(0.0, 0.0),
        arrowprops={"arrowstyle": "-|>", "color": WIND_COLOUR, "lw": 1.8, "mutation_scale": 16},
    )  # fmt: skip
    axes.set_title(f"wind {speed_text(speed)}", fontsize=9)
