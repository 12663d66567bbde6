"""Detections, sources or soundings that may not be read now: nothing is concluded without them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from plumewatch import storage
from plumewatch.errors import AccessRefused, may_heal
from plumewatch.gases import CH4
from plumewatch.matching.periods.inputs import partitions_by_key, read_period, read_sources
from plumewatch.models import FailedScene
from plumewatch.oco2.granules.soundings import list_orbits
from plumewatch.tables import PLUMES, SOUNDINGS, SOURCES

DAY = "2025-08-21"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two partitions of each table; one file of each is refused."""
    for area in ("good", "refused"):
        keys = {"method": CH4.method, "area": area, "date": DAY}
        storage.write_partition(PLUMES, f"{tmp_path}/plumes", keys, PLUMES.empty())
        storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": area}, SOURCES.empty())
    for month in ("2025-08", "2025-09"):
        storage.write_partition(SOUNDINGS, f"{tmp_path}/soundings", {"month": month}, SOUNDINGS.empty())
    opened = LocalFileSystem._open

    def refuse(fs: LocalFileSystem, path: str, *options: Any, **named: Any) -> Any:
        if path.endswith(".parquet") and any(part in path for part in ("=refused", "=2025-09")):
            raise PermissionError(errno.EACCES, "refused", path)
        return opened(fs, path, *options, **named)

    monkeypatch.setattr(LocalFileSystem, "_open", refuse)
    return str(tmp_path)


def test_a_key_is_not_matched_without_an_area_of_it(root: str) -> None:
    partitions = partitions_by_key(CH4, f"{root}/plumes", DAY)[DAY]
    with pytest.raises(AccessRefused, match=r"area=refused/date=2025-08-21/data\.parquet: not readable"):
        read_period(CH4, DAY, partitions)


def test_nothing_is_matched_without_a_list_of_sources(root: str) -> None:
    with pytest.raises(AccessRefused, match=r"inventory=refused/data\.parquet: not readable"):
        read_sources(CH4, f"{root}/sources")


def test_no_orbit_is_searched_with_some_of_its_soundings(root: str) -> None:
    told: list[FailedScene] = []
    with pytest.raises(AccessRefused, match=r"month=2025-09/data\.parquet: not readable"):
        list_orbits(f"{root}/soundings", ["2025-08"], told.append)
    assert told == []


def test_access_to_a_bucket_may_heal_and_to_a_disk_does_not() -> None:
    assert may_heal(AccessRefused("s3://bucket/x", "refused", "x")) and not may_heal(AccessRefused("/x", "no", "x"))
