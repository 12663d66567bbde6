"""What a finder makes of the judged strips: found or lost and why, how many rows, and how far off the amplitude is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.ideal_scan import IdealScan, recalls_as_told
from plumewatch.oco2.evaluation.judged_strips import JudgedStrip, World
from plumewatch.oco2.evaluation.shape_filter import StripFilter, threshold_of
from plumewatch.oco2.evaluation.strip_truth import TruePlume, owner_of
from plumewatch.oco2.peaks import find_peaks
from plumewatch.oco2.track import Track
from plumewatch.progress import followed
from plumewatch.statuses import ACCEPTED

Floats = NDArray[np.float64]

NO_CANDIDATE = "no candidate"
ROW_OF_NEIGHBOUR = "row of a neighbour"
AS_TOLD, AS_TOLD_ALARMS = 3, 0.02  # one strip of so many is judged in noise as the filter is told, too; a 600 km


@dataclass(frozen=True)
class FoundRow:
    """A row that a finder gives."""

    centre_km: float
    """Along the track."""
    amplitude_ppm_km: float
    """Integral of the enhancement."""
    low: float
    """Lower end of its 68 % interval."""
    high: float
    """Upper end."""
    status: str
    """accepted, or why not."""


Finder = Callable[[Track], Sequence[FoundRow]]


def rows_of_scan(track: Track) -> list[FoundRow]:
    """Return the rows of the method `scan`."""
    rows = []
    for peak in find_peaks(track).peaks:
        fit = peak.fit
        ends = fit.amplitude_ppm_km_low, fit.amplitude_ppm_km_high
        rows.append(FoundRow(fit.centre_km, fit.amplitude_ppm_km, *ends, peak.status))
    return rows


@dataclass(frozen=True)
class Sizes:
    """How much is judged."""

    fields: int
    """Simulated plumes that strips cut."""
    empty: int
    """Strips without a plume."""
    planted: int
    """Strips with the plumes of one to three plants."""
    pairs: int
    """Strips with two plants 30 km apart."""
    shapes: int
    """Shapes that an ideal scan looks for."""

    @classmethod
    def share(cls, share: float) -> Sizes:
        """Return a share of the full size, which takes some minutes."""
        return cls(*(max(1, round(share * n)) for n in (160, 1200, 900, 150, 100)))


@dataclass(frozen=True)
class EmptyVerdict:
    """What was found where nothing is."""

    gaps: str
    """Kind of clouds."""
    background: str
    """Kind of background."""
    noise: str
    """Kind of noise."""
    n_alarms: int
    """Accepted rows."""


@dataclass(frozen=True)
class PlumeVerdict:
    """What was made of one plume."""

    gaps: str
    """Kind of clouds."""
    background: str
    """Kind of background."""
    noise: str
    """Kind of noise."""
    n_plumes: int
    """In its strip."""
    plume: TruePlume
    """The truth."""
    n_rows: int
    """Accepted rows."""
    row: FoundRow | None
    """The accepted row nearest the centre."""
    reason: str
    """accepted; else the status of the nearest row within reach, or `no candidate`."""
    filter_z: float
    """What the filter gives that knows shape, noise and background."""
    ideal_l: float
    """What an ideal scan gives that knows neither the place nor the shape."""

    @property
    def is_found(self) -> bool:
        """Whether a row is accepted for it."""
        return self.row is not None

    @property
    def ratio(self) -> float:
        """Found over true amplitude; NaN where none is found."""
        return self.row.amplitude_ppm_km / self.plume.amplitude_ppm_km if self.row else np.nan

    @property
    def holds(self) -> bool:
        """Whether the interval of the row holds the truth."""
        return self.row is not None and self.row.low <= self.plume.amplitude_ppm_km <= self.row.high


@dataclass(frozen=True)
class Verdict:
    """All that is judged."""

    empty: tuple[EmptyVerdict, ...]
    """One for each strip without a plume."""
    plumes: tuple[PlumeVerdict, ...]
    """One for each plume."""
    unrelated: tuple[int, ...]
    """Accepted rows of no plume, for each planted strip."""
    pairs: tuple[tuple[int, ...], ...]
    """Accepted rows of each plume, for each strip with two plants that are two plumes."""
    filter_threshold: float
    """z with which the filter alarms as often as the finder."""
    ideal_threshold: float
    """L with which the ideal scan does."""
    as_told: tuple[float, float]
    """Shares of plumes that filter and ideal scan find where noise is just as they are told."""

    @property
    def false_alarms(self) -> float:
        """Share of strips of 600 km without a plume where a row is accepted."""
        return float(np.mean([verdict.n_alarms > 0 for verdict in self.empty]))

    def is_found_by_filter(self, plume: PlumeVerdict) -> bool:
        """Whether the filter that knows the shape finds a plume."""
        return plume.filter_z > self.filter_threshold

    def is_found_by_ideal_scan(self, plume: PlumeVerdict) -> bool:
        """Whether the ideal scan finds it."""
        return plume.ideal_l > self.ideal_threshold


def judge_finder(world: World, sizes: Sizes, find: Finder = rows_of_scan) -> Verdict:
    """Return what a finder makes of strips of all kinds."""
    empty = tuple(
        _empty_verdict(judged, find)
        for judged in followed(world.empty_strips(sizes.empty), "empty", "strips", sizes.empty)
    )
    plumes: list[PlumeVerdict] = []
    ideal = IdealScan(world, sizes.shapes)
    unrelated, shapes = [], []
    for judged in followed(world.planted_strips(sizes.planted), "planted", "strips", sizes.planted):
        rows = find(judged.track)
        plumes += verdicts(judged, rows, ideal)
        accepted = [row.centre_km for row in rows if row.status == ACCEPTED]
        unrelated.append(int(np.count_nonzero(owner_of(judged.plumes, np.array(accepted)) < 0)))
        shapes += [plume.enhancement_ppm for plume in judged.plumes]
    alarms = float(np.mean([verdict.n_alarms > 0 for verdict in empty]))
    alarms = max(alarms, 1.0 / sizes.empty)
    threshold = threshold_of(world.empty_strips(sizes.empty), shapes, alarms)
    of_ideal = ideal.threshold(followed(world.empty_strips(sizes.empty), "ideal scan", "strips", sizes.empty), alarms)
    n_planted, n_empty = (max(1, n // AS_TOLD) for n in (sizes.planted, sizes.empty))
    told = recalls_as_told(world, ideal, n_planted, n_empty, AS_TOLD_ALARMS)
    pairs = tuple(
        _pair_rows(judged, find)
        for judged in followed(world.pairs(sizes.pairs), "pairs", "strips", sizes.pairs)
        if len(judged.plumes) == 2
    )
    return Verdict(empty, tuple(plumes), tuple(unrelated), pairs, threshold, of_ideal, told)


def _empty_verdict(judged: JudgedStrip, find: Finder) -> EmptyVerdict:
    n_alarms = sum(row.status == ACCEPTED for row in find(judged.track))
    return EmptyVerdict(judged.gaps, judged.background, judged.noise, n_alarms)


def _pair_rows(judged: JudgedStrip, find: Finder) -> tuple[int, ...]:
    accepted = [row.centre_km for row in find(judged.track) if row.status == ACCEPTED]
    owner = owner_of(judged.plumes, np.array(accepted))
    return tuple(int(np.count_nonzero(owner == k)) for k in range(len(judged.plumes)))


def verdicts(judged: JudgedStrip, rows: Sequence[FoundRow], ideal: IdealScan) -> list[PlumeVerdict]:
    """Return what rows of a strip's track say of each of its plumes."""
    owner = owner_of(judged.plumes, np.array([row.centre_km for row in rows]))
    knows, labels = StripFilter(judged), (judged.gaps, judged.background, judged.noise, len(judged.plumes))
    found = []
    for k, plume in enumerate(judged.plumes):
        own = [row for row, of in zip(rows, owner, strict=True) if of == k and row.status == ACCEPTED]
        nearest = min(own, key=lambda row: abs(row.centre_km - plume.centre_km)) if own else None
        others = [other for other in judged.plumes if other is not plume]
        z, ideal_l = knows.at(plume, others), ideal.at(judged, plume, others)
        reason = ACCEPTED if own else _reason(plume, rows)
        found.append(PlumeVerdict(*labels, plume, len(own), nearest, reason, z, ideal_l))
    return found


def _reason(plume: TruePlume, rows: Sequence[FoundRow]) -> str:
    """Why a plume without a row of its own is lost."""
    near = [row for row in rows if abs(row.centre_km - plume.centre_km) <= plume.reach_km]
    if not near:
        return NO_CANDIDATE
    status = min(near, key=lambda row: abs(row.centre_km - plume.centre_km)).status
    return ROW_OF_NEIGHBOUR if status == ACCEPTED else status
