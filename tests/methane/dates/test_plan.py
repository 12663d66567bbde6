"""How dates are shared out: nothing lost or doubled, neighbours together, bins of about equal pixels."""

from __future__ import annotations

from datetime import date, timedelta

from plumewatch.methane.dates.plan import MIN_DATES, Run, plan_runs

YEAR = [str(date(2025, 1, 1) + timedelta(days=n)) for n in range(365)]


def loads(bins: list[list[Run]]) -> list[int]:
    return [sum(run.pixels for run in runs) for runs in bins]


def test_every_date_is_done_once_and_runs_are_neighbours() -> None:
    dates_of = {"a": YEAR, "b": YEAR[10:40], "c": YEAR[:1]}
    bins = plan_runs(dates_of, {"a": 1000, "b": 250_000, "c": 7}, 16)
    runs = sorted((run for runs in bins for run in runs), key=lambda run: (run.area, run.dates))
    assert {area: [d for run in runs if run.area == area for d in run.dates] for area in dates_of} == dates_of
    assert all(len(run.dates) >= MIN_DATES or run.area == "c" for run in runs)


def test_one_area_of_a_year_keeps_all_cores_busy() -> None:
    bins = plan_runs({"a": YEAR}, {"a": 250_000}, 64)
    assert len(bins) == 61 and {len(runs) for runs in bins} == {1}
    assert {len(run.dates) for runs in bins for run in runs} == {5, 6}


def test_a_few_dates_stay_together() -> None:
    assert plan_runs({"a": YEAR[:4]}, {"a": 10}, 64) == [[Run("a", tuple(YEAR[:4]), 40)]]
    assert plan_runs({}, {}, 64) == []


def test_a_thousand_areas_are_spread_evenly_and_the_fullest_start_first() -> None:
    names = [f"{n:04d}" for n in range(1000)]
    pixels_of = {name: 10_000 + 900 * (int(name) % 100) for name in names}
    bins = plan_runs(dict.fromkeys(names, YEAR[:1]), pixels_of, 64)
    assert len(bins) == 64 and sum(map(len, bins)) == 1000
    assert max(loads(bins)) < 1.02 * min(loads(bins)) and loads(bins) == sorted(loads(bins), reverse=True)


def test_a_large_area_among_small_ones_is_cut() -> None:
    dates_of = {"large": YEAR[:40], **{f"small{n}": YEAR[:40] for n in range(9)}}
    bins = plan_runs(dates_of, {area: 1_000_000 if area == "large" else 1_000 for area in dates_of}, 8)
    assert {len(run.dates) for runs in bins for run in runs if run.area == "large"} == {5, 6}
    assert max(loads(bins)) < 1.25 * sum(loads(bins)) / 8


def test_areas_without_pixels_are_work_too() -> None:
    assert plan_runs({"a": YEAR[:1], "b": YEAR[:1]}, {"a": 0, "b": 0}, 2) == [
        [Run("a", (YEAR[0],), 1)],
        [Run("b", (YEAR[0],), 1)],
    ]
