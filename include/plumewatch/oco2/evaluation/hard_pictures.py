"""Pictures of five hard strips, chosen by what is true of them: the truth, and what the finder makes of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plumewatch.oco2.evaluation.clouds import FULL
from plumewatch.oco2.evaluation.judge import Finder, rows_of_scan
from plumewatch.oco2.evaluation.judge_figures import STRONG_PPM
from plumewatch.oco2.evaluation.judged_strips import JudgedStrip, World
from plumewatch.oco2.evaluation.strip_truth import TruePlume
from plumewatch.statuses import ACCEPTED

MIN_SOUNDINGS = 6  # near its source a plume has no more
LOOKED_THROUGH = 400  # strips, until one of each kind is found
SIZE_INCHES, DPI = (11.0, 7.0), 90
AROUND_KM = 100.0
COLOURS_PPM = (-1.0, 4.0)  # about the median
TRUTH_COLOUR, FOUND_COLOUR, REFUSED_COLOUR, SOUNDING_COLOUR = "#2a7f3f", "#c44e52", "#888888", "#4c72b0"
COAST_KM = 20.0
HALF_SEEN = (0.2, 0.7)
HEADROOM = 0.1


def _is_strong(plume: TruePlume) -> bool:
    return plume.largest_ppm > STRONG_PPM and plume.n_soundings >= MIN_SOUNDINGS


def _has_gap(judged: JudgedStrip, plume: TruePlume) -> bool:
    return judged.gaps.startswith("large") and HALF_SEEN[0] < plume.seen_core < HALF_SEEN[1]


def _is_oblique(judged: JudgedStrip, plume: TruePlume) -> bool:
    return judged.gaps == FULL.name and plume.crossings[0].angle_deg < 25.0 and plume.crossings[0].distance_km > 10.0


def _is_at_coast(judged: JudgedStrip, plume: TruePlume) -> bool:
    near = np.abs(judged.strip.row_km - plume.centre_km) < COAST_KM
    return bool(0.2 < judged.covariance.is_water[near].mean() < 0.8)


def _is_near_source(judged: JudgedStrip, plume: TruePlume) -> bool:
    return judged.gaps == FULL.name and plume.crossings[0].distance_km < 5.0 and plume.width_share < 0.6


KINDS: Mapping[str, Callable[[JudgedStrip, TruePlume], bool]] = {
    "gap": _has_gap,
    "oblique": _is_oblique,
    "coast": _is_at_coast,
    "near_the_source": _is_near_source,
}


def draw_hard_strips(world: World, find: Finder = rows_of_scan) -> Iterator[tuple[str, bytes]]:
    """Yield a name and a PNG for each kind that is among the first strips: gap, oblique, coast, near, double."""
    left = dict(KINDS)
    for judged in world.planted_strips(LOOKED_THROUGH):
        for plume in filter(_is_strong, judged.plumes):
            kind = next((name for name, is_so in left.items() if is_so(judged, plume)), None)
            if kind:
                del left[kind]
                yield kind, _png(kind, judged, plume, find)
    pair = next(world.pairs(1))
    yield "double", _png("double", pair, pair.plumes[0], find)


def _png(kind: str, judged: JudgedStrip, plume: TruePlume, find: Finder) -> bytes:
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    truth, seen, section = figure.subplots(3, 1, sharex=True, height_ratios=(1.0, 1.0, 2.4))
    usual = float(np.median(judged.track.xco2_ppm))
    everything = np.sum([one.enhancement_ppm for one in judged.plumes], axis=0)
    places = judged.strip.along_km, judged.strip.across_km
    truth.scatter(*places, c=everything, s=9, marker="s", vmin=COLOURS_PPM[0], vmax=COLOURS_PPM[1])
    truth.set_title("the plumes, all footprints", fontsize=9)
    track = judged.track
    image = seen.scatter(
        track.distance_km, track.across_km, c=track.xco2_ppm - usual, s=9, marker="s",
        vmin=COLOURS_PPM[0], vmax=COLOURS_PPM[1],
    )  # fmt: skip
    seen.set_title("the soundings", fontsize=9)
    figure.colorbar(image, ax=[truth, seen], label="ppm", extend="both")
    for axes in (truth, seen):
        axes.set_ylabel("km across")
    _draw_section(section, judged, find, usual)
    section.set_xlim(plume.centre_km - AROUND_KM, plume.centre_km + AROUND_KM)
    crossing = plume.crossings[0]
    figure.suptitle(
        f"{kind.replace('_', ' ')}: {crossing.distance_km:.0f} km from the plant, cut at {crossing.angle_deg:.0f} deg,"
        f" {plume.largest_ppm:.1f} ppm, {plume.amplitude_ppm_km:.0f} ppm km; clouds {judged.gaps}, {judged.background}",
        fontsize=11,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_section(axes: Axes, judged: JudgedStrip, find: Finder, usual_ppm: float) -> None:
    above = judged.track.xco2_ppm - usual_ppm
    axes.plot(judged.track.distance_km, above, ".", ms=3, color=SOUNDING_COLOUR, label="soundings")
    for plume, label in zip(
        judged.plumes, ("mean over the strip of each plume", *[None] * len(judged.plumes)), strict=False
    ):
        axes.plot(judged.strip.row_km, plume.enhancement_ppm.mean(axis=1), color=TRUTH_COLOUR, label=label)
    low, top = axes.get_ylim()
    axes.set_ylim(low, top + HEADROOM * (top - low))
    for row in find(judged.track):
        is_accepted = row.status == ACCEPTED
        colour = FOUND_COLOUR if is_accepted else REFUSED_COLOUR
        axes.axvline(row.centre_km, color=colour, ls="-" if is_accepted else "--")
        text = f" {row.status}: {row.amplitude_ppm_km:.0f} ({row.low:.0f} to {row.high:.0f})"
        axes.text(row.centre_km, top, text, color=colour, fontsize=8, va="bottom", clip_on=True)
    axes.legend(loc="upper right", fontsize=8)
    axes.set_ylabel("XCO₂ about the median (ppm)")
    axes.set_xlabel("along the track (km)")
