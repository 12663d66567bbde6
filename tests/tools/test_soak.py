"""What `make soak` calls growth and what it calls left, and the world of many days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import psutil
from plumewatch import storage
from plumewatch.simulation.sentinel2_plan import daily_areas
from plumewatch.tables import SOUNDINGS

from tools import soak
from tools.soak import SERVERS, Sample, judge, left_in, table

NOTHING = {"locks": 0, "files of writers": 0, "hand-offs": 0}
EVEN = Sample(10, dict.fromkeys(SERVERS, 300.0), 80.0, dict.fromkeys(SERVERS, 40), 2, NOTHING, 300, 5.0)


def after(day: int, **changed: object) -> list[Sample]:
    return [EVEN, replace(EVEN, day=day, n_files=300 * day, database_mb=5.0 * day, **changed)]


def test_what_grows_by_more_than_its_limit_a_day_is_named() -> None:
    assert judge(after(60)) == [], "files and rows come by each day"
    grown = after(60, memory_mb={**EVEN.memory_mb, "scheduler": 360.0, "triggerer": 340.0})
    assert judge(grown) == ["memory of scheduler, MB: +1.20 a day; allowed: 1"]
    assert judge(after(60, n_open={**EVEN.n_open, "api-server": 60})) == [
        "open files of api-server: +0.40 a day; allowed: 0.2"
    ]
    assert judge(after(60, heap_mb=200.0)) == ["Java's heap after a collection, MB: +2.40 a day; allowed: 1"]
    assert judge(after(60, n_temporary=3))[0].startswith("temporary files: +0.02 a day")
    assert judge(after(60, left={**NOTHING, "locks": 1}))[-1] == "left in the storage: 1 locks"
    unmeasured = after(60, heap_mb=None)
    assert "not measured" in "\n".join(table(unmeasured))
    assert judge(unmeasured) == ["Java's heap after a collection, MB: not measured, as there is no jcmd beside java"]
    assert judge(after(60, memory_mb={**EVEN.memory_mb, "spark": 900.0})) == [], "what isn't collected yet"


def test_what_nothing_lists_is_left_whatever_its_age(tmp_path: Path) -> None:
    root = str(tmp_path)
    folder = storage.write_partition(SOUNDINGS, f"{root}/soundings", {"month": "2025-08"}, SOUNDINGS.empty())
    storage.write_bytes(f"{root}/soundings/month=2025-08/_made_of", b"a mark of ours")
    assert left_in(root) == NOTHING
    for path in ("part-1.parquet", ".lock", ".data.parquet.a1b2c3d4.aside"):
        storage.write_bytes(f"{folder}/{path}", b"x")
    storage.write_bytes(f"{root}/.hand_offs/ch4/waiting/2025-08-21.x.json", b"{}")
    assert left_in(root) == {"locks": 1, "files of writers": 2, "hand-offs": 1}


def test_this_process_is_measured() -> None:
    me = psutil.Process()
    assert soak._memory_mb(me) > 10 and soak._n_open(me) >= 3
    assert soak._heap_mb([me]) is None, "no Java"


def test_the_world_of_many_days_is_seen_each_day_from_one_orbit() -> None:
    [area] = daily_areas(60)
    days = [date.fromisoformat(one.date) for one in area.acquisitions]
    assert days == [days[0] + timedelta(days=n) for n in range(60)]
    assert not any(one.is_side_view or one.truncated_asset for one in area.acquisitions)
    assert sum(one.plume is not None for one in area.acquisitions) == 10
