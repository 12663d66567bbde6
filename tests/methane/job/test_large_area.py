"""An area too large for one worker: its windows go over the workers, and its partitions are as those of any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.blocks.windows import Blocks
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.spark_session import MOST_BATCH_BYTES
from plumewatch.tables import PLUMES

SIZE, BLOCK_PX = 330, 180  # windows of 300 x 300 cells, cut at 180: four, each with a corner at the plume
PLUME = PlantedPlume(15_000.0, 184.0, 170.0, 3.0, 1.0)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, store_area: Callable, store_wind: Callable) -> tuple[Path, list]:
    root = tmp_path_factory.mktemp("large") / "storage"
    area = simulate_area(61, size=SIZE, n_references=3, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)
    days = store_area(str(root), "basin", area)
    store_wind(str(root), days[-1], PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    return root, days


def task(root: Path, out: Path, day: str, blocks: Blocks) -> AreaDates:
    tables = f"{root}/pixels", f"{out}/plumes", "multi_pass", f"{root}/wind", f"{out}/plume_details", None
    return AreaDates("basin", (day,), *tables, ForestSettings(), blocks)


@pytest.fixture
def one_row_a_batch(spark: Any) -> Iterator[None]:
    """What a worker's Python is sent at once is one row: the windows of a basin are as large."""
    name = "spark.sql.execution.arrow.maxBytesPerBatch"
    usual = spark.conf.get(name)
    assert int(usual) == MOST_BATCH_BYTES
    spark.conf.set(name, "1")
    yield
    spark.conf.set(name, usual)


def test_windows_that_come_one_by_one_are_told_apart_by_their_dates(
    job: ModuleType, one_row_a_batch: None, stored: tuple[Path, list], tmp_path: Path
) -> None:
    root, days = stored
    both = replace(task(root, tmp_path, days[-1], Blocks(BLOCK_PX, 1_000)), dates=tuple(days[-2:]), details_path=None)
    reports = job._with_large(job._detect([[both]]))
    assert [(r["date"], r["n_windows"], r["outcomes"], r["failures"]) for r in reports] == [
        (day, 4, ["searched"], "[]") for day in days[-2:]
    ]
    rows = [storage.read_table(PLUMES, f"{tmp_path}/plumes", where={"date": day}).to_pylist() for day in days[-2:]]
    certain = [[r for r in its if r["status"] == "accepted" and r["probability"] > 0.9] for its in rows]
    assert list(map(len, certain)) == [0, 1]


def test_a_plume_on_a_corner_of_four_windows_is_one(
    job: ModuleType, spark: object, stored: tuple[Path, list], tmp_path: Path
) -> None:
    root, days = stored
    cut, whole = (Blocks(BLOCK_PX, cells) for cells in (1_000, 10**9))
    reports = job._with_large(job._detect([[task(root, tmp_path / "cut", days[-1], cut)]]))
    [alone] = job._with_large(job._detect([[task(root, tmp_path / "whole", days[-1], whole)]]))
    [report] = reports
    assert json.loads(report["failures"]) == [] and report["outcomes"] == alone["outcomes"] == ["searched"]
    assert report["dates_read"] == [days[-1], *days[-2::-1]] and report["n_windows"] == 4
    rows, expected = (
        [r for r in storage.read_table(PLUMES, f"{tmp_path}/{name}/plumes").to_pylist() if r["status"] == "accepted"]
        for name in ("cut", "whole")
    )
    [row] = [r for r in rows if r["probability"] > 0.9]
    [other] = [r for r in expected if r["probability"] > 0.9]
    assert row["emission_kg_h"] == pytest.approx(other["emission_kg_h"], rel=0.1)
    assert row["reference_scene_ids"] == other["reference_scene_ids"]
    folder = f"{tmp_path}/cut/plume_details/method=multi_pass/area=basin/date={days[-1]}"
    names = {path.rsplit("/", 1)[-1] for path in storage.list_files(folder)}
    assert {row["plume_id"] + suffix for suffix in (".json", ".png", ".tif")} <= names
    manifests = [
        storage.read_manifest(f"{tmp_path}/{name}/plumes/method=multi_pass/area=basin/date={days[-1]}")
        for name in ("cut", "whole")
    ]
    (one, its), keys = manifests, ("scene_id", "outcome", "clear_fraction", "covered_fraction", "detected")
    assert one is not None and its is not None and one["inputs"] == its["inputs"]
    assert [{k: o[k] for k in keys} for o in one["observations"]] == [
        {k: o[k] for k in keys} for o in its["observations"]
    ]
    limits = [manifest["observations"][0]["detection_limit"] for manifest in (one, its)]
    assert limits[0] == pytest.approx(limits[1], rel=0.1)
    assert one["references"] == its["references"]
    fractions = [next(iter(manifest["compared_fraction"].values())) for manifest in (one, its)]
    assert fractions[0] == pytest.approx(fractions[1], abs=0.01)
