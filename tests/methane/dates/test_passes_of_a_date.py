"""Two passes a date, one of them odd: the good one is searched and serves as a reference, the other one is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.dates import worker
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.worker import detect_area_dates
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.passes import Pass
from plumewatch.tables import PIXELS, PLUMES

SIZE = 60
PLUME = PlantedPlume(20_000.0, 30.0, 15.0, 3.0, 1.0)
OTHER_ORBIT = 20
OTHER_SCENE = "S2B_OF_ANOTHER_ORBIT"
NAME = "platform=sentinel-2b/relative_orbit=20"
METHODS = ("multi_pass", "single_pass", "isolation_forest")
Rows = Callable[[Pass], pa.Table]
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def area() -> SimulatedArea:
    return simulate_area(31, size=SIZE, n_references=3, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)


def day_of_pass(one: Pass) -> str:
    return f"{one.observed_at_utc:%Y-%m-%d}"


def with_column(rows: pa.Table, name: str, value: object) -> pa.Table:
    field = rows.schema.field(name)
    return rows.set_column(rows.schema.get_field_index(name), field, pa.array([value] * len(rows), field.type))


def no_such_sun(rows: pa.Table) -> pa.Table:
    return with_column(rows, "solar_zenith_deg", 95.0)


@pytest.fixture
def store(area: SimulatedArea, pixel_rows: Rows, tmp_path: Path) -> Callable[..., AreaDates]:
    """Write the dates of the area and return the task of the last; `odd` changes the second pass of some dates."""

    def write(odd: dict[int, Change], root: str = "pixels", method: str = "multi_pass") -> AreaDates:
        for index, one in enumerate(area.passes):
            parts = [pixel_rows(one)]
            if index in odd:
                second = replace(one, platform="sentinel-2b", relative_orbit=OTHER_ORBIT, scene_ids=(OTHER_SCENE,))
                parts.append(odd[index](pixel_rows(second)))
            keys = {"area": "field", "date": day_of_pass(one)}
            storage.write_partition(PIXELS, f"{tmp_path}/{root}", keys, pa.concat_tables(parts))
        return AreaDates(
            area="field", dates=(day_of_pass(area.passes[-1]),), pixels_root=f"{tmp_path}/{root}",
            plumes_path=f"{tmp_path}/of_{root}/plumes", method=method, wind_path=None, details_path=None,
            anomalies_path=None, forest=ForestSettings(contamination=0.05, min_samples=4),
        )  # fmt: skip

    return write


def failures(report: dict) -> list[dict]:
    return json.loads(report["failures"])


def manifest(task: AreaDates) -> dict:
    found = storage.read_manifest(storage.partition_path(task.plumes_path, task.keys(task.dates[-1])))
    assert found is not None
    return found


def plumes(task: AreaDates) -> list[dict]:
    return storage.read_table(PLUMES, task.plumes_path).to_pylist()


@pytest.mark.parametrize("method", METHODS)
def test_the_good_pass_of_a_date_is_searched_and_the_bad_one_named(
    store: Callable[..., AreaDates], method: str
) -> None:
    task = store({3: no_such_sun}, method=method)
    (report,) = detect_area_dates(task)
    (failure,) = failures(report)
    assert (failure["area"], failure["scene_id"]) == ("field", f"area=field/date={task.dates[0]}/{NAME}")
    assert "solar_zenith_deg 95.0" in failure["message"] and "allowed: an air mass factor" in failure["message"]
    assert failure["is_retryable"] is False and report["outcomes"] == ["searched", "failed"]
    alone = store({}, root="alone", method=method)
    detect_area_dates(alone)
    assert plumes(task) == plumes(alone) and len(plumes(task)) == report["rows_written"] > 0
    lost = manifest(task)["observations"][1]
    assert (lost["outcome"], lost["scene_id"], lost["detected"]) == ("failed", OTHER_SCENE, False)


def test_a_repetition_says_and_writes_the_same(store: Callable[..., AreaDates], tmp_path: Path) -> None:
    task = store({1: no_such_sun, 3: no_such_sun})
    first, files = detect_area_dates(task), {p: p.read_bytes() for p in tmp_path.rglob("of_*/**/*") if p.is_file()}
    assert detect_area_dates(task) == first and len(failures(first[0])) == 2
    assert {p: p.read_bytes() for p in tmp_path.rglob("of_*/**/*") if p.is_file()} == files != {}


def test_the_good_pass_of_an_earlier_date_is_a_reference(store: Callable[..., AreaDates], area: SimulatedArea) -> None:
    task = store({1: no_such_sun})
    (report,) = detect_area_dates(task)
    earlier = day_of_pass(area.passes[1])
    assert [f["scene_id"] for f in failures(report)] == [f"area=field/date={earlier}/{NAME}"]
    (references,) = manifest(task)["references"].values()
    assert references == [one.scene_ids[0] for one in area.passes[2::-1]] and len(manifest(task)["inputs"]) == 4


def test_a_bad_pass_of_an_earlier_date_is_told_for_each_date_that_asks(
    store: Callable[..., AreaDates], area: SimulatedArea
) -> None:
    task = replace(store({0: no_such_sun}), dates=tuple(map(day_of_pass, area.passes)))
    reports = detect_area_dates(task)
    assert [len(failures(report)) for report in reports] == [1] * 4
    assert [report["dates_read"] for report in reports] == [[day] for day in task.dates]


def test_where_no_pass_can_be_used_nothing_is_published(
    store: Callable[..., AreaDates], area: SimulatedArea, pixel_rows: Rows
) -> None:
    task = store({3: no_such_sun})
    both = [
        no_such_sun(pixel_rows(replace(area.passes[-1], relative_orbit=orbit, scene_ids=(f"s{orbit}",))))
        for orbit in (OTHER_ORBIT, 63)
    ]
    storage.write_partition(PIXELS, task.pixels_root, {"area": "field", "date": task.dates[0]}, pa.concat_tables(both))
    (report,) = detect_area_dates(task)
    platform = area.passes[-1].platform
    assert report["rows_written"] is None and not storage.exists(task.plumes_path)
    assert [f["scene_id"].removeprefix(f"area=field/date={task.dates[0]}/") for f in failures(report)] == [
        f"platform={platform}/relative_orbit={OTHER_ORBIT}", f"platform={platform}/relative_orbit=63"
    ]  # fmt: skip


def test_an_only_pass_that_cannot_be_used_is_its_partition(
    store: Callable[..., AreaDates], area: SimulatedArea, pixel_rows: Rows
) -> None:
    task = store({})
    keys = {"area": "field", "date": task.dates[0]}
    storage.write_partition(PIXELS, task.pixels_root, keys, no_such_sun(pixel_rows(area.passes[-1])))
    (report,) = detect_area_dates(task)
    assert [f["scene_id"] for f in failures(report)] == [f"area=field/date={task.dates[0]}"]
    assert report["rows_written"] is None


@pytest.mark.parametrize(
    ("error", "is_retryable"), [(IndexError("odd"), False), (OSError("the service is away"), True)]
)
def test_a_crash_on_one_pass_leaves_the_other(
    store: Callable[..., AreaDates], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, is_retryable: bool,
) -> None:  # fmt: skip
    search = worker.search_pass

    def odd(area: str, target: Pass, *more: object) -> object:
        if target.relative_orbit == OTHER_ORBIT:
            raise error
        return search(area, target, *more)

    monkeypatch.setattr(worker, "search_pass", odd)
    task = store({3: lambda rows: rows})
    (report,) = detect_area_dates(task)
    (failure,) = failures(report)
    assert failure["scene_id"] == f"area=field/date={task.dates[0]}/{NAME}/method=multi_pass"
    assert (failure["error_class"], failure["is_retryable"]) == (type(error).__name__, is_retryable)
    assert report["outcomes"] == ["searched", "failed"] and report["rows_written"] == len(plumes(task)) > 0
    assert ("Traceback" in caplog.text) is isinstance(error, IndexError)


def test_a_reference_with_cells_of_another_size_is_left_out(
    store: Callable[..., AreaDates], area: SimulatedArea
) -> None:
    task = store({1: lambda rows: with_column(rows, "pixel_size_m", 20.3), 2: lambda rows: rows})
    (report,) = detect_area_dates(task)
    (failure,) = failures(report)
    assert failure["scene_id"] == f"area=field/date={day_of_pass(area.passes[1])}/{NAME}/method=multi_pass"
    assert "pixel_size_m 20.3; allowed: 20 as on the target date" in failure["message"]
    (references,) = manifest(task)["references"].values()
    assert references.count(OTHER_SCENE) == 1 and len(references) == 4


def test_the_manifest_tells_weights_and_how_much_was_compared(
    store: Callable[..., AreaDates], area: SimulatedArea
) -> None:
    def half_clouded(rows: pa.Table) -> pa.Table:
        return rows.set_column(
            rows.schema.get_field_index("is_clear"), "is_clear", pa.array(rows["row"].to_numpy() < 30)
        )

    task = store({2: half_clouded})
    detect_area_dates(task)
    found = manifest(task)
    (weights,) = found["reference_weights"].values()
    assert [s for one in weights for s in one["scene_ids"]] == next(iter(found["references"].values()))
    assert sum(one["weight"] for one in weights) == pytest.approx(1.0, abs=1e-3)
    assert all(0.0 <= one["weight"] <= 1.0 for one in weights) and len(weights) == 4
    (compared,) = found["compared_fraction"].values()
    assert compared == pytest.approx((SIZE - 4) ** 2 / SIZE**2, abs=0.02)  # but its border


def test_the_compared_share_is_that_of_what_any_reference_sees(
    store: Callable[..., AreaDates], area: SimulatedArea, pixel_rows: Rows
) -> None:
    task = store({})
    for one in area.passes[:-1]:  # the lower third of every reference lies under cloud
        usable = one.is_usable & (np.arange(SIZE) < 40)[:, None]
        rows = pixel_rows(replace(one, is_usable=usable))
        storage.write_partition(PIXELS, task.pixels_root, {"area": "field", "date": day_of_pass(one)}, rows)
    detect_area_dates(task)
    found = manifest(task)
    assert 0.4 < next(iter(found["compared_fraction"].values())) < 2 / 3
    assert found["observations"][0]["clear_fraction"] == 1.0


@pytest.mark.parametrize("method", ["single_pass", "isolation_forest"])
def test_without_references_no_share_was_compared(store: Callable[..., AreaDates], method: str) -> None:
    task = store({}, method=method)
    detect_area_dates(task)
    assert manifest(task)["compared_fraction"] == manifest(task)["reference_weights"] == {}
