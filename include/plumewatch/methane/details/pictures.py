"""What a person sees of one plume: the enhancement over the scene, the scene alone, the field in units of noise.

The colour maps (plasma, RdBu) are told apart by colour-blind people as well. A picture is a palette PNG of some 40 KB,
so that a map can hold many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plumewatch.gases import CH4
from plumewatch.methane.cut_offs import compute_cut_off
from plumewatch.methane.details.facts import SHOWN_WINDS_M_S, emission_by_wind_kg_h, references_text
from plumewatch.methane.details.figure_png import palette_png
from plumewatch.methane.details.picture_window import PictureWindow, frame_picture
from plumewatch.methane.detection import Detection
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.smoothing import TINY, Array, robust_sigma, smooth
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.pages.wording import (
    area_text,
    emission_text,
    mass_text,
    place_text,
    platform_text,
    probability_text,
    rate_text,
    speed_text,
    status_text,
    time_text,
    wind_text,
)
from plumewatch.statuses import ACCEPTED, NO_WIND

SIZE_INCHES, DPI = (8.4, 7.0), 100
# Left, bottom, width, height in shares of the figure; panels are squares.
MAIN, BAR = (0.012, 0.084, 0.595, 0.714), (0.06, 0.056, 0.5, 0.014)
SCENE, NOISE, NOISE_BAR = (0.632, 0.462, 0.28, 0.336), (0.632, 0.084, 0.28, 0.336), (0.924, 0.084, 0.014, 0.336)
MAX_CELLS = (200, 100)  # of a panel's side: finer ones are averaged, further where the file would be too large
MAX_BYTES = 75_000  # maps carry small pictures only; noise alone in every cell is twice that
LEVELS = 12  # of grey and of colour: what the eye tells apart on a noisy ground, and what a small file can hold
SCALE_LENGTHS_M = (100, 200, 500, 1000, 2000, 5000, 10000, 20000)
SCALE_SHARE = 0.3  # the scale bar takes at most so much of the picture's width
GREY_PERCENTILES = (2.0, 98.0)
COLOUR_PERCENTILE = 98.0  # of the enhancement in the mask: the strongest colour
MASK_ALPHA, FAINT_ALPHA = (0.35, 0.95), (0.0, 0.45)  # without and with the strongest enhancement
NOISE_RANGE = 6.0  # in units of noise: the ends of the colours
HALF = 0.5
DEFAULT_SCALE_M = 40.0  # of the averaging where the method states no noise
ARROW_LENGTH, CORNERS = 0.13, ((0.87, 0.87), (0.87, 0.16), (0.13, 0.72))  # shares of the panel
HALO = [patheffects.withStroke(linewidth=2.6, foreground="black")]
NOT_SEEN = "#b9c3cc"

Place = tuple[float, float, float, float]


def draw_plume(plume: Plume, target: Pass, detection: Detection, references: Sequence[Pass] = ()) -> bytes:
    """Return a PNG of a candidate, accepted or refused: where it is, how strong, and what says for and against it."""
    png = b""
    for max_cells in MAX_CELLS:
        png = palette_png(plume_figure(plume, target, detection, references, max_cells))
        if len(png) <= MAX_BYTES:
            break
    return png


def plume_figure(
    plume: Plume,
    target: Pass,
    detection: Detection,
    references: Sequence[Pass] = (),
    max_cells: int = MAX_CELLS[0],
) -> Figure:
    """Return what `draw_plume` draws, panels in at most so many cells a side."""
    window = frame_picture(plume.candidate.mask, target.pixel_size_m, max_cells)
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
    _draw_enhancement(figure, window, plume, target, detection)
    _draw_scene(figure, window, plume, target)
    _draw_noise(figure, window, plume, target, detection)
    _write_head(figure, plume, target, detection, references)
    return figure


def _draw_enhancement(figure: Figure, window: PictureWindow, plume: Plume, target: Pass, detection: Detection) -> None:
    """Draw the main panel: colour by enhancement over grey band 12, faint outside of the mask."""
    axes = _panel(figure, MAIN, window, plume)
    mask = window.cut(plume.candidate.mask, False)
    enhancement = window.cut(np.where(detection.valid, detection.enhancement_mol_m2, np.nan), np.nan)
    top = max(_strong(window.coarse(np.where(mask, enhancement, np.nan))), TINY)
    enhancement, inside = window.coarse(enhancement), window.coarse(mask) >= HALF
    strength = _in_steps(np.nan_to_num(enhancement) / top)
    low, high = (np.where(inside, *ends) for ends in zip(MASK_ALPHA, FAINT_ALPHA, strict=True))
    alpha = ((low + (high - low) * strength) * np.isfinite(enhancement))[..., None]
    image = _grey(window, target.b12) * (1 - alpha) + colormaps["plasma"](strength)[..., :3] * alpha
    axes.imshow(np.clip(image, 0.0, 1.0), extent=window.extent, interpolation="nearest")
    _hatch_not_seen(axes, window, window.coarse(window.cut(detection.valid, False)) >= HALF)
    axes.plot(plume.col, plume.row, "+", color="cyan", ms=13, mew=2.0, path_effects=HALO)
    _draw_wind(axes, window, plume)
    _draw_scale(axes, window, target.pixel_size_m)
    bar = figure.add_axes(BAR)
    figure.colorbar(ScalarMappable(Normalize(0.0, top), "plasma"), cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=8, length=2, pad=1)
    text = "CH₄ above the surroundings (mol m⁻²); faint outside of the outline; + origin"
    bar.set_xlabel(text, fontsize=8.5, labelpad=1)


def _strong(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, COLOUR_PERCENTILE)) if known.size else 0.0


def _in_steps(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values from 0 to 1 in as many steps as a small file holds."""
    return np.round(np.clip(share, 0.0, 1.0) * LEVELS) / LEVELS


def _draw_scene(figure: Figure, window: PictureWindow, plume: Plume, target: Pass) -> None:
    axes = _panel(figure, SCENE, window, plume, with_outline=False)
    axes.imshow(_grey(window, target.b12), extent=window.extent, interpolation="nearest")
    axes.set_title("The scene alone: band 12", fontsize=9, loc="left", pad=3)


def _draw_noise(figure: Figure, window: PictureWindow, plume: Plume, target: Pass, detection: Detection) -> None:
    """Draw the averaged enhancement in units of its noise: what stands out, and what else does."""
    axes = _panel(figure, NOISE, window, plume)
    scale_m = next(iter(detection.noise_mol_m2), DEFAULT_SCALE_M)
    valid = window.cut(detection.valid, False)
    averaged = smooth(window.cut(detection.enhancement_mol_m2, np.nan), valid, scale_m / target.pixel_size_m)
    away = averaged[valid & ~window.cut(plume.candidate.mask, False)]
    noise = detection.noise_mol_m2.get(scale_m, robust_sigma(away))
    z = window.coarse(np.where(valid, averaged / noise, np.nan)) if noise > 0.0 else np.zeros((window.cells,) * 2)
    z = np.round(z)  # whole sigmas: the file stays small
    colours = axes.imshow(
        z, extent=window.extent, cmap="RdBu_r", vmin=-NOISE_RANGE, vmax=NOISE_RANGE, interpolation="nearest"
    )
    bar = figure.colorbar(colours, cax=figure.add_axes(NOISE_BAR), extend="both")
    bar.ax.tick_params(labelsize=8, length=2)
    axes.set_title(f"In units of noise, averaged over {scale_m:g} m", fontsize=9, loc="left", pad=3)


def _panel(figure: Figure, place: Place, window: PictureWindow, plume: Plume, *, with_outline: bool = True) -> Axes:
    axes = figure.add_axes(place, facecolor=NOT_SEEN)
    left, right, bottom, top = window.extent
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    if with_outline:
        mask = window.coarse(window.cut(plume.candidate.mask, False))
        for colour, width in (("black", 2.0), ("white", 0.9)):
            axes.contour(window.cols, window.rows, mask, levels=[HALF], colors=colour, linewidths=width)
    return axes


def _grey(window: PictureWindow, band: Array) -> NDArray[np.float64]:
    """Return RGB of a band, stretched between percentiles; where there is no pixel the colour of what isn't seen."""
    cells = window.coarse(window.cut(band, np.nan))
    seen = np.isfinite(cells)
    low, high = np.percentile(cells[seen], GREY_PERCENTILES) if seen.any() else (0.0, 1.0)
    level = _in_steps((np.where(seen, cells, low) - low) / max(high - low, TINY))
    return np.where(seen[..., None], np.repeat(level[..., None], 3, axis=2), to_rgb(NOT_SEEN))


def _hatch_not_seen(axes: Axes, window: PictureWindow, valid: NDArray[np.bool_]) -> None:
    if valid.all():
        return
    drawn = axes.contourf(
        window.cols, window.rows, (~valid).astype(np.float32), levels=[HALF, 1.5], hatches=["////"], colors="none"
    )
    drawn.set(edgecolor="#4b5b69", linewidth=0.0)
    axes.text(0.99, 0.012, "hatched: not searched", transform=axes.transAxes, ha="right", **_label())


def _label(size: float = 9.0) -> dict[str, Any]:
    return {"color": "white", "fontsize": size, "path_effects": HALO}


def _draw_wind(axes: Axes, window: PictureWindow, plume: Plume) -> None:
    """Draw the wind in the corner that holds least of the plume; without wind, what rates it would mean."""
    at = min(CORNERS, key=lambda corner: window.share_near(plume.candidate.mask, *corner))
    if plume.wind is None:
        rates = emission_by_wind_kg_h(plume.mass, SHOWN_WINDS_M_S, plume_thresholds())
        lines = [f"{u:g} m/s: {rate_text(CH4, rate):>8}" for u, rate in rates.items()]
        text = "\n".join(["no wind:", "rate per wind speed", *lines])
        box = {"facecolor": "white", "alpha": 0.9, "edgecolor": "#4b5b69", "boxstyle": "round,pad=0.4"}
        ha, va = "right" if at[0] > 0.5 else "left", "top" if at[1] > 0.5 else "bottom"
        x, y = (0.98 if ha == "right" else 0.02), (0.98 if va == "top" else 0.06)
        axes.text(x, y, text, transform=axes.transAxes, ha=ha, va=va, family="monospace", fontsize=8.5, bbox=box)
        return
    if plume.wind.speed_m_s:
        u, v = (ARROW_LENGTH * part / plume.wind.speed_m_s for part in (plume.wind.wind_u_m_s, plume.wind.wind_v_m_s))
        tail, head = (at[0] - u / 2, at[1] - v / 2), (at[0] + u / 2, at[1] + v / 2)
        arrow = {"arrowstyle": "-|>", "color": "cyan", "lw": 2.4, "mutation_scale": 18, "path_effects": HALO}
        axes.annotate("", xy=head, xytext=tail, xycoords="axes fraction", arrowprops=arrow)
    text = f"wind {speed_text(plume.wind.speed_m_s)}"
    below = at[1] - abs(plume.wind.wind_v_m_s) / max(plume.wind.speed_m_s, TINY) * ARROW_LENGTH / 2 - 0.02
    axes.text(at[0], below, text, transform=axes.transAxes, ha="center", va="top", **_label())


def _draw_scale(axes: Axes, window: PictureWindow, pixel_size_m: float) -> None:
    """Draw the scale bar and which way is north."""
    width_m = window.size * pixel_size_m
    length_m = max((m for m in SCALE_LENGTHS_M if m <= SCALE_SHARE * width_m), default=SCALE_LENGTHS_M[0])
    share = length_m / width_m
    label = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m} m"
    for colour, width in (("black", 6.0), ("white", 3.4)):
        axes.plot(
            [0.03, 0.03 + share], [0.03, 0.03], color=colour, lw=width, transform=axes.transAxes,
            solid_capstyle="butt", scalex=False, scaley=False,
        )  # fmt: skip
    axes.text(0.03, 0.042, label, transform=axes.transAxes, va="bottom", **_label())
    axes.text(0.035, 0.985, "N\n↑", transform=axes.transAxes, ha="center", va="top", linespacing=0.9, **_label(11))


def _write_head(figure: Figure, plume: Plume, target: Pass, detection: Detection, references: Sequence[Pass]) -> None:
    candidate, e = plume.candidate, plume.emission
    verdict = status_text(candidate.status)
    subject = "Methane" if candidate.status == ACCEPTED else "If it were methane"
    emission = (None, None, None, NO_WIND) if e is None else (e.emission_kg_h, e.low_kg_h, e.high_kg_h)
    rate = f"{subject}: {emission_text(CH4, *emission)}"
    chance = "" if candidate.probability is None else f", {probability_text(candidate.probability)}"
    wind = "" if plume.wind is None else f" · wind {wind_text(plume.wind.speed_m_s, plume.wind.from_deg)}"
    strength = "" if candidate.significance is None else f" · {candidate.significance:.1f} sigma"
    error = f" ± {mass_text(plume.mass.ime_sigma_kg)}" if np.isfinite(plume.mass.ime_sigma_kg) else ""
    colour = "#00614a" if candidate.status == ACCEPTED else "#8a3b00"
    cut = compute_cut_off(candidate.mask, np.isfinite(target.b11), detection.valid).text
    seen = f"{platform_text(target.platform)}, {time_text(target.observed_at_utc)}"
    where = f"{seen} · {place_text(plume.longitude, plume.latitude)}{wind}"
    mass = f"{mass_text(plume.mass.ime_kg)}{error} of methane on {area_text(plume.mass.area_m2)}"
    what = f"{mass}{strength} · {references_text(references)}"
    left = 0.012
    bold: dict[str, Any] = {"weight": "bold", "va": "top"}
    figure.text(left, 0.987, rate, fontsize=15, **bold)
    figure.text(left, 0.944, f"{verdict[0].upper()}{verdict[1:]}{chance}", fontsize=10.5, color=colour, **bold)
    figure.text(left, 0.916, f"{where}\n{what}", fontsize=9.5, va="top", linespacing=1.35)
    figure.text(left, 0.858, cut, fontsize=9.5, color="#8a3b00", **bold)
