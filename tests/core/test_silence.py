"""Where nothing comes any more: areas, months."""

from __future__ import annotations

from datetime import date

import pytest
from plumewatch import storage
from plumewatch.silence import silent_areas, silent_months
from plumewatch.tables import OBSERVATIONS

TODAY = date(2026, 3, 20)


def observe(root: str, gas: str, key: str, *rows: tuple[str | None, str]) -> None:
    table = OBSERVATIONS.from_pylist(
        [
            {"area": area, "orbit": None if area else 7, "outcome": outcome, "stage": "detection", "detected": False}
            for area, outcome in rows
        ]
    )
    storage.write_partition(OBSERVATIONS, storage.join(root, "observations"), {"gas": gas, "key": key}, table)


def test_an_area_is_silent_from_the_day_on_that_its_last_clear_scene_is_too_old(storage_root: str) -> None:
    observe(storage_root, "ch4", "2026-03-05", ("dune", "searched"), ("coast", "skipped_cloud"))
    observe(
        storage_root, "ch4", "2026-03-19", ("dune", "skipped_cloud"), ("coast", "skipped_cloud"), ("other", "no_input")
    )
    assert silent_areas(storage_root, ["dune", "coast", "new"], 15, TODAY) == {
        "coast": "no clear scene in 15 days: 2 skipped cloud",
        "new": "no clear scene in 15 days: no run has looked",
    }
    assert set(silent_areas(storage_root, ["dune"], 14, TODAY)) == {"dune"}


@pytest.mark.parametrize(
    ("today", "due"), [(TODAY, ("2025-12", "2025-09")), (date(2026, 12, 1), ("2026-09", "2026-06"))]
)
def test_four_months_are_due_three_months_after_their_end(storage_root: str, today: date, due: tuple[str, str]) -> None:
    assert silent_months(storage_root, today) == {}  # nobody has begun to look
    observe(storage_root, "co2", "2020-01", (None, "searched"))
    silent = silent_months(storage_root, today)
    assert (max(silent), min(silent), len(silent)) == (*due, 4)


def test_a_month_is_silent_where_no_granule_came(storage_root: str) -> None:
    observe(storage_root, "co2", "2025-09", (None, "no_input"))
    observe(storage_root, "co2", "2025-12", (None, "searched"))
    observe(storage_root, "co2", "2025-11", (None, "no_input"))
    observe(storage_root, "co2", "2025-10", (None, "failed"))  # that was told as a failure
    assert silent_months(storage_root, TODAY) == {
        "2025-11": "no soundings: 1 no input",
        "2025-09": "no soundings: 1 no input",
    }
