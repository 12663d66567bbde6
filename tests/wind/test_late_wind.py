"""Wind that comes after its day: it is fetched once its product has it, and the day is ingested again, once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fetched_wind import BOTH, HOUR, hours_of, settings, stored
from plumewatch.areas import read_areas
from plumewatch.observations import write_observations
from plumewatch.sentinel2.completeness.late_scenes import LateScenes, keep_found, remember_found
from plumewatch.sentinel2.completeness.late_wind import find_late_wind
from plumewatch.settings import Settings
from plumewatch.wind.product import requests_of_day, wind_rows
from plumewatch.wind.providers import fetch_wind
from scene_catalogue import write_area
from wind_services import DAY, Answers, era5, geos_fp, served

FIRST, SECOND, KEY = ("2025-08-31", "2025-09-01", "2025-09-02")
"""Two days that were searched without wind, and that of the look."""


@pytest.fixture
def searched(tmp_path: Path) -> str:
    """A storage with two areas and what came of two days: all searched, but one area on the second."""
    root = str(tmp_path)
    for name in ("dune", "field"):
        write_area(tmp_path / "areas", name)
    for day, outcomes in {FIRST: ("searched", "searched"), SECOND: ("searched", "skipped_cloud")}.items():
        rows = [
            {"area": area, "scene_id": f"{area} {day}", "outcome": outcome, "detected": False}
            for area, outcome in zip(("dune", "field"), outcomes, strict=True)
        ]
        write_observations(root, "ch4", day, "detection", rows, areas=["dune", "field"])
    return root


def look(where: Settings, names: tuple[str, ...] = (), days: int = 30, *, is_handed_over: bool = True) -> LateScenes:
    """What the DAG does: look, hand over, remember."""
    late = LateScenes()
    assert find_late_wind(where, KEY, names, days, late) == sorted(late.days)
    keep_found(where, late)
    if is_handed_over:
        remember_found(where)
    return late


def test_a_day_is_ingested_again_when_all_its_wind_has_come_and_once(searched: str) -> None:
    """Products have begun a day before they have all of it."""
    first, second = {FIRST: {"dune", "field"}}, {SECOND: {"dune"}}
    for last, expected in {-1.5: {}, 20.5: {}, 24.5: first, 30.5: {}, 48.5: second, 60.5: {}}.items():
        with served(geos_fp(DAY + last * HOUR)) as service:
            late = look(settings(searched, "geos_fp", service))
        assert late.days == expected and late.search.failed == [], last
    assert set(range(24)) <= {hour - 0.5 for hour in hours_of(stored(searched))}


def test_what_was_not_handed_over_is_found_again(searched: str) -> None:
    with served(geos_fp(DAY + 60.5 * HOUR)) as service:
        where = settings(searched, "geos_fp", service)
        looks = [look(where, is_handed_over=handed).days for handed in (False, False, True, True)]
    assert looks[0] == {FIRST: {"dune", "field"}, SECOND: {"dune"}}
    assert looks == [looks[0], looks[0], looks[0], {}]


def test_wind_that_somebody_else_has_brought_counts_as_well(searched: str) -> None:
    everywhere = [area.geometry.bounds for area in read_areas(f"{searched}/areas")]
    with served(geos_fp(DAY + 60.5 * HOUR)) as service:
        where = settings(searched, "geos_fp", service)
        fetch_wind(where, requests_of_day(DAY.date(), everywhere))
        fetch_wind(where, requests_of_day(DAY.date() + timedelta(days=1), everywhere))
        service.asked.clear()
        assert look(where).days == {FIRST: {"dune", "field"}, SECOND: {"dune"}} and service.asked == []


def test_a_day_that_has_its_rates_is_left_alone(searched: str) -> None:
    row = {"area": "dune", "scene_id": "dune", "outcome": "searched", "wind_speed_m_s": 3.0, "detected": False}
    write_observations(searched, "ch4", FIRST, "detection", [row], areas=["dune"])
    with served(geos_fp(DAY + 60.5 * HOUR)) as service:
        assert look(settings(searched, "geos_fp", service)).days == {FIRST: {"field"}, SECOND: {"dune"}}


def test_areas_and_days_that_are_asked_for_alone(searched: str) -> None:
    with served(geos_fp(DAY + 60.5 * HOUR)) as service:
        where = settings(searched, "geos_fp", service)
        assert look(where, days=0).days == {} and service.asked == []
        assert look(where, names=("field",)).days == {FIRST: {"field"}}


def test_what_one_product_lacks_another_has(searched: str, geos_fp: Answers) -> None:
    with served(era5("2025-09-02")) as service:
        late = look(settings(searched, BOTH, None, service))  # GEOS-FP answers nothing
    assert set(late.days) == {FIRST, SECOND} and late.search.failed == []


def test_a_service_that_does_not_answer_is_told_once_and_asked_no_more(searched: str) -> None:
    late = look(settings(searched, "geos_fp"))
    [(key, failure)] = late.search.failed
    assert late.days == {} and key == KEY and failure.scene_id == f"geos_fp {FIRST}"
    assert (failure.stage, failure.is_retryable) == ("wind", True)


def test_without_a_wind_source_nothing_is_lacking(searched: str) -> None:
    assert look(Settings(searched)).days == {}


def test_files_that_come_later_count_too(searched: str, tmp_path: Path) -> None:
    where = Settings(searched, wind=str(tmp_path / "wind files"))
    [(key, failure)] = look(where).search.failed
    assert (key, failure.error_class) == (KEY, "ConfigurationError") and "allowed: products" in failure.message
    lon, lat = read_areas(f"{searched}/areas")[0].geometry.centroid.coords[0]
    rows = wind_rows(np.array([lon]), np.array([lat]), DAY + 12 * HOUR, 10.0, (np.ones(1), np.ones(1)))
    file = tmp_path / "wind files" / f"date={FIRST}" / "wind.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(rows, file)
    assert look(where).days == {FIRST: {"dune", "field"}}
    assert look(where).days == {}
