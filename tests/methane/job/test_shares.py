"""How the job shares its work out to Spark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from plumewatch import storage
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates.task import AreaDates

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_each_bin_is_a_spark_task_of_its_own(job: ModuleType, spark: SparkSession) -> None:
    task = AreaDates("a", ("2025-08-20",), "pixels", "plumes", "multi_pass", None, None, None, ForestSettings())
    bins = [[replace(task, area=f"{n}-{k}") for k in range(1 + n % 3)] for n in range(64)]
    rows = job.share_out(spark, bins).selectExpr("spark_partition_id() AS id", "position", "tasks").toArrow()
    assert rows.sort_by("position")["id"].to_pylist() == list(range(64))
    assert [
        [AreaDates.from_json(text) for text in texts] for texts in rows.sort_by("position")["tasks"].to_pylist()
    ] == bins


def test_the_pixels_of_an_area_are_those_of_its_newest_manifest_or_the_mean(job: ModuleType, tmp_path: Path) -> None:
    for area, rows in (("known", 100), ("other", 300), ("broken", 0)):
        folder = tmp_path / f"area={area}" / "date=2025-08-20"
        folder.mkdir(parents=True)
        text = json.dumps({"files": [], "rows": rows}) if rows else "no JSON"
        (folder / "_manifest.json").write_text(text)
    (tmp_path / "area=bare" / "date=2025-08-20").mkdir(parents=True)
    names = ("bare", "broken", "known", "other")
    newest = {name: storage.Partition(f"{tmp_path}/area={name}/date=2025-08-20", {"area": name}) for name in names}
    assert job._pixels_of(newest) == {"bare": 200, "broken": 200, "known": 100, "other": 300}
    assert job._pixels_of({"bare": newest["bare"]}) == {"bare": 1}
