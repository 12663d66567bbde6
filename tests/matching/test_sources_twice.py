"""A source that is stored twice alike is one; of one id with different values none is used, and the file is named."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from detections_and_sources import peak, source
from plumewatch import storage
from plumewatch.matching.sources import single_sources
from plumewatch.tables import FAILED_SCENES, PEAKS, SOURCES

SAID = ("longitude", "latitude", "emission_t_y")
PLANT = source("plant", 9.7, 50.0, 2e7)


def rows(*sources: dict[str, Any]) -> pa.Table:
    return SOURCES.from_pylist(list(sources))


@pytest.mark.parametrize(
    "again",
    [[], [{}], [{}, {}], [{"name": "Other name"}], [{"fuel": "oil"}, {"year": 2020}], [{"emission_t_y": 2e7}]],
)
def test_what_is_there_again_is_one_source(again: list[dict[str, Any]]) -> None:
    kept, contradicting = single_sources(rows(PLANT, *(PLANT | change for change in again)), SAID)
    assert kept.to_pylist() == rows(PLANT).to_pylist() and contradicting.to_pylist() == []


@pytest.mark.parametrize(
    "change",
    [{"emission_t_y": 1.0}, {"emission_t_y": None}, {"longitude": 9.8}, {"latitude": 50.0001}, {"emission_t_y": 0.0}],
    ids=str,
)
def test_of_a_contradiction_no_row_is_left_and_the_others_are(change: dict[str, Any]) -> None:
    other = source("other", 9.0, 50.0, 1e6)
    kept, contradicting = single_sources(rows(PLANT, other, PLANT | change, PLANT), SAID)
    assert kept["source_id"].to_pylist() == ["other"] and contradicting.to_pylist() == ["plant"]


def test_nothing_is_nothing() -> None:
    kept, contradicting = single_sources(SOURCES.empty(), SAID)
    assert kept.num_rows == 0 and contradicting.to_pylist() == []


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({}, {"emission_t_y": 1e7}, ["own_sources", "user"]),
        ({}, {"longitude": 9.75}, ["own_sources", "user"]),
        ({}, {}, []),
    ],
    ids=str,
)
def test_ids_of_several_files_are_matched_once_or_named(
    job: Any, spark: Any, world: Any, first: dict[str, Any], second: dict[str, Any], named: list[str]
) -> None:
    world.write(PEAKS, {"method": "scan", "month": "2025-08"}, [peak(2025083112000011, 10.0, 50.0, 5.0, 0.0)])
    other = source("other", 9.6, 50.0, 1e7)
    world.write(SOURCES, {"inventory": "own_sources"}, [PLANT | first, other])
    world.write(SOURCES, {"inventory": "user"}, [PLANT | second])
    assert world.run(job, "co2", "peaks").failed == len(named)
    found = [row["source_id"] for row in world.matches("co2", "2025-08")]
    assert found == (["other", None] if named else ["plant", "other", None])
    failed = storage.read_table(FAILED_SCENES, world.path("failed_scenes")).to_pylist()
    assert [row["scene_id"].split("/")[1] for row in failed] == [f"inventory={name}" for name in named]
    assert all("same source_id (plant)" in row["message"] for row in failed)
