"""Real peaks that the older tool published: its capture polygons beside our upwind sectors, for three months.

It gave the wind's components to its polygons the wrong way round (u for v) in all months but one version of its first:
they lie in another direction than the air came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from plumewatch.geodesy import angle_between_deg, initial_bearing_deg
from plumewatch.matching.sector import upwind_sector

Floats = NDArray[np.float64]

MONTHS = ("1607", "1808", "2004")
SHOWN = 5  # peaks of a month that are drawn
RIGHT_DEG = 50.0  # half the angle of the older tool's polygon: farther off, upwind is outside of it
LEAST_M_S = 3.0  # of the peaks drawn
FILE = "peaks_and_invent_{month}.csv"


def read_seed_peaks(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the peaks of the three months, those that have wind and polygon."""
    columns = ["longitude", "latitude", "windspeed_u", "windspeed_v", "geometry"]
    found = {}
    for month in MONTHS:
        rows = pd.read_csv(folder / FILE.format(month=month), usecols=columns).dropna()
        rows["polygon"] = shapely.from_wkt(rows["geometry"].to_numpy(), on_invalid="ignore")
        rows = rows[[one is not None for one in rows["polygon"]]]
        found[month] = rows[np.hypot(rows["windspeed_u"], rows["windspeed_v"]) > 0].reset_index(drop=True)
    return found


def polygon_off_deg(rows: pd.DataFrame) -> Floats:
    """Return the angle between where the older tool looked, the middle of its polygon, and where the wind came from."""
    middle = shapely.centroid(rows["polygon"].to_numpy())
    looked = initial_bearing_deg(rows["longitude"], rows["latitude"], shapely.get_x(middle), shapely.get_y(middle))
    return angle_between_deg(looked, _from_deg(rows))


def sector_off_deg(rows: pd.DataFrame) -> Floats:
    """Return the same of our sectors."""
    off = []
    for lon, lat, u, v in rows[["longitude", "latitude", "windspeed_u", "windspeed_v"]].itertuples(index=False):
        sector = upwind_sector(lon, lat, u, v)
        corners = [] if sector is None else sector.exterior.coords[1:-1]
        middle = corners[len(corners) // 2] if corners else (np.nan, np.nan)
        off.append(initial_bearing_deg(lon, lat, *middle))
    return angle_between_deg(np.array(off), _from_deg(rows))


def sector_lines(months: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return a table: how far off upwind both look, and how often upwind lies outside."""
    lines = [
        f"{'month':<8}{'peaks':>7}{'older, median':>15}{'older, over 50 deg':>20}{'ours, median':>14}{'ours, most':>12}"
    ]
    for month, rows in months.items():
        older, ours = polygon_off_deg(rows), sector_off_deg(rows)
        lines.append(
            f"20{month[:2]}-{month[2:]} {len(rows):>6}{np.median(older):>13.0f}° {np.mean(older > RIGHT_DEG):>18.0%} "
            f"{np.nanmedian(ours):>12.1f}° {np.nanmax(ours):>10.1f}°"
        )
    return lines


def draw_sectors(months: Mapping[str, pd.DataFrame], folder: Path) -> Path:
    """Draw some peaks of each month with both, and how far off the older ones are; return the file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.0 * (SHOWN + 1), 3.2 * len(months)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(months), SHOWN + 1, squeeze=False)
    for row, (month, rows) in zip(axes, months.items(), strict=True):
        is_clear = np.hypot(rows["windspeed_u"], rows["windspeed_v"]) >= LEAST_M_S
        some = rows[is_clear & (rows["latitude"].abs() < 60)]
        some = some.iloc[np.linspace(0, len(some) - 1, SHOWN).astype(int)]
        for axis, peak in zip(row, some.to_dict("records"), strict=False):
            _draw_peak(axis, peak)
        row[0].set_ylabel(f"20{month[:2]}-{month[2:]}, km to the north")
        row[-1].hist(polygon_off_deg(rows), np.arange(0, 181, 10), color="0.6", label="older tool")
        row[-1].hist(sector_off_deg(rows), np.arange(0, 181, 10), histtype="step", color="tab:green", label="ours")
        row[-1].set(xlabel="degrees off upwind", title=f"{len(rows)} peaks")
        row[-1].legend(fontsize="small")
    axes[0][0].set_title("grey: older tool, green: ours,\narrow: wind", fontsize="small")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "upwind_sectors.png"
    canvas.print_png(str(path))
    return path


def _draw_peak(axis: Any, peak: Mapping[str, Any]) -> None:
    lon, lat, u, v = (peak[name] for name in ("longitude", "latitude", "windspeed_u", "windspeed_v"))
    scale = np.array([111.2 * np.cos(np.radians(lat)), 111.2])
    sector = upwind_sector(lon, lat, u, v)
    for polygon, color in ((peak["polygon"], "0.6"), (sector, "tab:green")):
        if polygon is None:
            continue
        x, y = ((np.asarray(polygon.exterior.coords) - [lon, lat]) * scale).T
        axis.fill(x, y, color=color, alpha=0.5)
    axis.plot(0, 0, "k.")
    size = 100.0 / np.hypot(u, v)
    axis.annotate("", (u * size, v * size), (0, 0), arrowprops={"arrowstyle": "->", "color": "tab:blue"})
    axis.set_aspect("equal", "datalim")


def _from_deg(rows: pd.DataFrame) -> Floats:
    return np.degrees(np.arctan2(-rows["windspeed_u"].to_numpy(), -rows["windspeed_v"].to_numpy()))
