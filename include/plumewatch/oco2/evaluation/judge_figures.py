"""The judge's tables, and its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from plumewatch.limit_check import Check, at_least, at_most, within
from plumewatch.oco2.evaluation.clouds import FULL, GAP_CLASSES
from plumewatch.oco2.evaluation.judge import PlumeVerdict, Verdict
from plumewatch.oco2.evaluation.surroundings import BACKGROUNDS

MOST_ALARMS = 0.02  # a 600 km
LEAST_RATIO = 0.95  # recall over that of the filter
STRONG_PPM, ENOUGH_SOUNDINGS = 3.0, 12  # no such plume may be lost
MOST_BIAS, HELD = 0.05, (0.60, 0.76)
ONE_ROW, TWO_ROWS = 0.98, 0.80

DISTANCES_KM, ANGLES_DEG = (5.0, 20.0), (30.0, 60.0)  # where classes end
DISTANCES, ANGLES = ("2-5 km", "5-20 km", "20-80 km"), ("15-30 deg", "30-60 deg", "60-90 deg")
THIRDS = ("lowest third", "middle third", "highest third")
IN_ORDER = (*THIRDS, *(kind.name for kind in GAP_CLASSES), *DISTANCES, *ANGLES)


def thirds(plumes: Sequence[PlumeVerdict]) -> list[str]:
    """Return of each plume in which third of heights it is."""
    largest = [verdict.plume.largest_ppm for verdict in plumes]
    return [THIRDS[k] for k in np.searchsorted(np.quantile(largest, (1 / 3, 2 / 3)), largest)]


def classes(plumes: Sequence[PlumeVerdict]) -> Mapping[str, list[str]]:
    """Return of each division in classes, in which each plume is."""
    return {
        "height": thirds(plumes),
        "gaps": [plume.gaps for plume in plumes],
        "core": ["hidden" if one.plume.is_core_hidden else "seen" for one in plumes],
        "strip": ["part sees it" if one.plume.is_part_of_strip else "all of it sees it" for one in plumes],
        "background": [plume.background for plume in plumes],
        "noise": [plume.noise for plume in plumes],
        "distance": [DISTANCES[np.searchsorted(DISTANCES_KM, one.plume.crossings[0].distance_km)] for one in plumes],
        "angle": [ANGLES[np.searchsorted(ANGLES_DEG, one.plume.crossings[0].angle_deg)] for one in plumes],
        "plumes": [f"{plume.n_plumes} in the strip" for plume in plumes],
        "plants": [f"{len(one.plume.crossings)} of the plume" for one in plumes],
        "all": [""] * len(plumes),
    }


def alarm_lines(verdict: Verdict) -> list[str]:
    """Return a table of false alarms a 600 km by gaps and background."""
    lines = [f"{'gaps':16}" + "".join(f"  {name:>10}" for name in (*BACKGROUNDS, "all")) + "  strips"]
    for gaps in (*(kind.name for kind in GAP_CLASSES), "all"):
        here = [empty for empty in verdict.empty if gaps in ("all", empty.gaps)]
        cells = []
        for background in (*BACKGROUNDS, "all"):
            alarmed = [empty.n_alarms > 0 for empty in here if background in ("all", empty.background)]
            cells.append(f"  {np.mean(alarmed) if alarmed else np.nan:10.1%}")
        lines.append(f"{gaps:16}{''.join(cells)}  {len(here):6}")
    by_noise = sorted({empty.noise for empty in verdict.empty})
    for noise in by_noise:
        alarmed = [empty.n_alarms > 0 for empty in verdict.empty if empty.noise == noise]
        lines.append(f"in noise that is {noise}: {np.mean(alarmed):.1%} of {len(alarmed)}")
    return lines


def recall_lines(verdict: Verdict) -> list[str]:
    """Return a table of recall beside that of the filter, rows a plume, bias and intervals, by class."""
    head = "plumes  recall  filter  ratio   scan  ratio  rows/plume  one row  median A  mean A  68 % interval holds"
    lines = [f"{'class':28}  {head}"]
    for division, names in classes(verdict.plumes).items():
        for name in sorted(set(names), key=_order):
            some = [plume for plume, own in zip(verdict.plumes, names, strict=True) if own == name]
            lines.append(f"{f'{division} {name}':28}  {_figures(verdict, some)}")
    return lines


def _order(name: str) -> tuple[int, str]:
    return (IN_ORDER.index(name) if name in IN_ORDER else len(IN_ORDER), name)


def _figures(verdict: Verdict, plumes: Sequence[PlumeVerdict]) -> str:
    found = [plume for plume in plumes if plume.is_found]
    recall = len(found) / len(plumes)
    of_filter, of_ideal = filter_recall(verdict, plumes), ideal_recall(verdict, plumes)
    text = f"{len(plumes):6}  {recall:6.3f}"
    for other in (of_filter, of_ideal):
        text += f"  {other:6.3f}  {recall / other if other else np.nan:5.2f}"
    if not found:
        return text
    ratio = [plume.ratio for plume in found]
    return (
        f"{text}  {np.mean([plume.n_rows for plume in found]):10.2f}  {_one_row(found):7.3f}"
        f"  {np.median(ratio):8.3f}  {np.mean(ratio):6.3f}  {np.mean([plume.holds for plume in found]):19.3f}"
    )


def filter_recall(verdict: Verdict, plumes: Sequence[PlumeVerdict]) -> float:
    """Return the share of plumes that the filter finds which knows shape and noise."""
    return float(np.mean([verdict.is_found_by_filter(plume) for plume in plumes]))


def ideal_recall(verdict: Verdict, plumes: Sequence[PlumeVerdict]) -> float:
    """Return the share of plumes that an ideal scan finds, which knows the noise alone."""
    return float(np.mean([verdict.is_found_by_ideal_scan(plume) for plume in plumes]))


def bound_lines(verdict: Verdict) -> list[str]:
    """Say what share of the filter's plumes one could find who has to look for them."""
    recall = float(np.mean([plume.is_found for plume in verdict.plumes]))
    of_filter, of_ideal = filter_recall(verdict, verdict.plumes), ideal_recall(verdict, verdict.plumes)
    told_filter, told_ideal = verdict.as_told
    ratio, of_finder, told = (
        found / max(known, 1e-9)
        for found, known in ((of_ideal, of_filter), (recall, of_ideal), (told_ideal, told_filter))
    )
    return [
        "An ideal scan is told the noise as the filter is, and how plumes are drawn, but no plume's place and shape:",
        f"it finds {ratio:.3f} of what the filter finds (L above {verdict.ideal_threshold:.2f}); the finder finds"
        f" {of_finder:.3f} of what that scan finds.",
        "Where noise is just as both are told, and no finder can find more than that scan, it finds"
        f" {told_ideal:.3f}, the filter {told_filter:.3f}: {told:.3f} of these",
    ]


def _one_row(found: Sequence[PlumeVerdict]) -> float:
    return float(np.mean([plume.n_rows == 1 for plume in found])) if found else np.nan


def strong(plumes: Sequence[PlumeVerdict]) -> list[PlumeVerdict]:
    """Return the plumes that no rule may refuse: above 3 ppm, 12 soundings, the core not hidden."""
    return [
        one
        for one in plumes
        if one.plume.largest_ppm > STRONG_PPM
        and one.plume.n_soundings >= ENOUGH_SOUNDINGS
        and not one.plume.is_core_hidden
    ]


def lost_lines(verdict: Verdict) -> list[str]:
    """Return a table of the strong plumes that are lost, by reason and by class."""
    must = strong(verdict.plumes)
    lost = [plume for plume in must if not plume.is_found]
    reasons = [reason for reason, _ in Counter(plume.reason for plume in lost).most_common()]
    seen = sum(verdict.is_found_by_filter(plume) for plume in lost)
    lines = [
        f"{len(lost)} of {len(must)} plumes above {STRONG_PPM:.0f} ppm with {ENOUGH_SOUNDINGS} soundings and a core"
        f" that is seen are lost; the filter finds {seen} of these",
        f"{'class':24}  strong  lost" + "".join(f"  {reason:>{max(len(reason), 4)}}" for reason in reasons),
    ]
    for division, names in classes(must).items() if must else ():
        if division in ("height", "core"):
            continue  # high and seen they all are
        for name in sorted(set(names), key=_order):
            here = [plume for plume, own in zip(must, names, strict=True) if own == name]
            why = Counter(plume.reason for plume in here if not plume.is_found)
            counts = "".join(f"  {why[reason]:{max(len(reason), 4)}}" for reason in reasons)
            lines.append(f"{f'{division} {name}':24}  {len(here):6}  {why.total():4}{counts}")
    return lines


def judge_checks(verdict: Verdict) -> Iterator[Check]:
    """Compare the figures with the limits."""
    parts = {"full coverage": [empty for empty in verdict.empty if empty.gaps == FULL.name]}
    parts["with gaps"] = [empty for empty in verdict.empty if empty.gaps != FULL.name]
    parts |= {name: [empty for empty in verdict.empty if empty.background == name] for name in BACKGROUNDS}
    for name, empty_ones in parts.items():
        alarms = float(np.mean([empty.n_alarms > 0 for empty in empty_ones])) if empty_ones else np.nan
        yield at_most(f"false alarms a 600 km, {name}", alarms, MOST_ALARMS)
    found = [plume for plume in verdict.plumes if plume.is_found]
    of_filter = filter_recall(verdict, verdict.plumes)
    yield at_least("recall over the filter's", len(found) / len(verdict.plumes) / max(of_filter, 1e-9), LEAST_RATIO)
    lost = [plume for plume in strong(verdict.plumes) if not plume.is_found]
    yield at_most("strong plumes lost", len(lost), 0)
    by_third = list(zip(verdict.plumes, thirds(verdict.plumes), strict=True))
    for third in THIRDS:
        some = [plume for plume, own in by_third if own == third and plume.is_found]
        bias = abs(float(np.median([plume.ratio for plume in some])) - 1.0) if some else np.nan
        held = float(np.mean([plume.holds for plume in some])) if some else np.nan
        yield at_most(f"bias of the amplitude, {third}", bias, MOST_BIAS)
        yield within(f"68 % intervals that hold, {third}", held, HELD)
    mean = float(np.mean([plume.ratio for plume in found])) if found else np.nan
    yield at_most("bias of the mean amplitude", abs(mean - 1.0), MOST_BIAS)
    yield at_least("found plumes with one row", _one_row(found), ONE_ROW)
    parted = float(np.mean([min(rows) > 0 for rows in verdict.pairs])) if verdict.pairs else np.nan
    yield at_least("two plants 30 km apart as two", parted, TWO_ROWS)


def judge_lines(verdict: Verdict, checks: Sequence[Check]) -> list[str]:
    """Return all tables and the checks."""
    unrelated = np.mean(verdict.unrelated) if verdict.unrelated else np.nan
    n_rows = Counter(sum(min(n, 1) for n in rows) for rows in verdict.pairs)
    return [
        "False alarms: share of strips of 600 km without a plume where a row is accepted",
        *alarm_lines(verdict),
        f"\nPlumes found, beside a filter that knows shape, noise and coasts (z above {verdict.filter_threshold:.2f}:"
        f" as many false alarms, {verdict.false_alarms:.1%}); {unrelated:.3f} unrelated rows a planted strip",
        *recall_lines(verdict),
        *bound_lines(verdict),
        "\nStrong plumes that are lost, by the status of the nearest row",
        *lost_lines(verdict),
        f"\nTwo plants 30 km apart, {len(verdict.pairs)} strips: both found in {n_rows[2]}, one in {n_rows[1]}, none in"
        f" {n_rows[0]}",
        *map(str, checks),
    ]
