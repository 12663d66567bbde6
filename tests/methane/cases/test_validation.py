"""Published cases set beside what is stored: results, what is missing, what can't be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.compute as pc
import pytest
from case_rows import EHRENBERG, KORPEZHE, case_of
from plumewatch import storage
from plumewatch.methane.cases.published import (
    PublishedCase,
    read_cases,
)
from plumewatch.methane.cases.scenes import CaseNote
from plumewatch.methane.cases.validation import PAGE, StoredPixels, partitions_of_cases, validate_case, validate_cases
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.models import FailedScene
from plumewatch.tables import PIXELS, VALIDATION

SIZE = 130


@pytest.fixture(scope="module")
def stored(
    job: ModuleType, spark: object, tmp_path_factory: pytest.TempPathFactory, store_area: Callable, store_wind: Callable
) -> tuple[str, PublishedCase]:
    """The root of a storage with pixels of a user's area at a case's place, date and satellite, and a plume there."""
    case = case_of(KORPEZHE)
    root = f"file://{tmp_path_factory.mktemp('case') / 'storage'}"
    planted = PlantedPlume(12_000.0, SIZE / 2, SIZE / 2, 3.0, 1.0)
    area = simulate_area(51, size=SIZE, n_references=4, plumes=(planted,), clouds=False, reference_plume_share=0.0)
    late = datetime(2023, 10, 31, 7, 15, tzinfo=UTC) - area.passes[-1].observed_at_utc
    passes = tuple(replace(p, observed_at_utc=p.observed_at_utc + late, relative_orbit=106) for p in area.passes)
    passes = (*passes[:-1], replace(passes[-1], platform="sentinel-2b"))
    days = store_area(root, "gas_field", replace(area, passes=passes))
    assert days[-1] == case.observed_on
    wind = store_wind(root, days[-1], planted.wind_u_m_s, planted.wind_v_m_s)
    options = ["--pixels-path", f"{root}/pixels/area=gas_field/date={days[-1]}", "--wind-path", wind]
    job.run(job.parse_arguments([*options, "--plumes-path", f"{root}/plumes"]))
    source = passes[-1].place.longitude_latitude(planted.row, planted.col)
    return root, replace(case, longitude=float(source[0]), latitude=float(source[1]))


def validate(root: str, case: PublishedCase, *failures: dict[str, Any]) -> dict[str, Any]:
    return validate_case(root, case, CaseNote(), failures, StoredPixels.of_cases(root, [case]))


def test_a_stored_area_that_holds_the_site_gives_the_result(stored: tuple[str, PublishedCase]) -> None:
    root, case = stored
    row = validate(root, case)
    assert (row["outcome"], row["area"], row["status"]) == ("detected", "gas_field", "accepted"), row
    assert row["emission_kg_h_low"] < 12_000 < row["emission_kg_h_high"] and row["distance_km"] < 0.3
    assert row["n_references"] == 4 and row["detection_limit_kg_h"] > 0 and "missing" not in row
    [written] = storage.read_table(VALIDATION, f"{root}/validation").to_pylist()
    assert written["case"] == KORPEZHE and written["emission_kg_h"] == row["emission_kg_h"]
    assert written["published"] == [
        {
            "team": "IMEO", "emission_kg_h": 7204.0, "emission_kg_h_low": 4465.0, "emission_kg_h_high": 9943.0,
            "probability": None,
        }
    ]  # fmt: skip


def test_a_repetition_writes_the_same(stored: tuple[str, PublishedCase]) -> None:
    root, case = stored
    path = Path(f"{root.removeprefix('file://')}/validation/case={KORPEZHE}/data.parquet")
    validate(root, case)
    before = path.read_bytes()
    validate(root, case)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"platform": "sentinel-2a"},
        {"relative_orbit": 63},
        {"longitude": 54.5},
        {"observed_on": "2023-10-30"},
        {"platform": "landsat-8"},
    ],
)
def test_pixels_of_another_pass_place_or_date_are_not_the_case_s(
    stored: tuple[str, PublishedCase], change: dict[str, Any]
) -> None:
    root, case = stored
    found, _ = StoredPixels.of_cases(root, [case]).find(case)
    assert found is not None and found.area == "gas_field" and found.clear_share == 1.0
    other = replace(case, **change)
    assert StoredPixels.of_cases(root, [case, other]).find(other) == (None, [])


def test_a_detection_that_failed_is_said(stored: tuple[str, PublishedCase]) -> None:
    root, case = stored
    failure = FailedScene(f"area=gas_field/date={case.observed_on}", "detection", "InputError", "cut off")
    row = validate(root, case, vars(failure))
    assert row["outcome"] == "failed" and "cut off" in row["missing"] and "plume_id" not in row


def test_a_bucket_serves_as_well(stored: tuple[str, PublishedCase], s3_root: str) -> None:
    root, case = stored
    for file in storage.list_files(root):
        storage.write_bytes(storage.join(s3_root, file.removeprefix(f"{root}/")), storage.read_bytes(file))
    assert validate(s3_root, case)["outcome"] == "detected"
    assert partitions_of_cases(s3_root, [KORPEZHE]) == [f"area=gas_field/date={case.observed_on}"]


def test_pixels_that_cannot_be_read_are_said_and_stop_no_other_area(
    stored: tuple[str, PublishedCase], tmp_path: Path
) -> None:
    root, case = stored
    shutil.copytree(root.removeprefix("file://"), tmp_path / "storage")
    broken = tmp_path / "storage" / "pixels" / "area=a_broken_one" / f"date={case.observed_on}" / "data.parquet"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no parquet")
    assert validate(str(tmp_path / "storage"), case)["outcome"] == "detected"
    shutil.rmtree(tmp_path / "storage" / "pixels" / "area=gas_field")
    row = validate(str(tmp_path / "storage"), case)
    assert row["outcome"] == "failed" and "area=a_broken_one" in row["missing"]


def test_a_site_under_cloud_is_not_counted_as_missed(stored: tuple[str, PublishedCase], tmp_path: Path) -> None:
    """The plume is elsewhere, and around the site nothing is clear."""
    root, case = stored
    shutil.copytree(root.removeprefix("file://"), tmp_path / "storage")
    folder = tmp_path / "storage" / "pixels" / "area=gas_field" / f"date={case.observed_on}"
    far = replace(case, latitude=case.latitude + 0.0105)  # 1.2 km
    rows = storage.read_table(PIXELS, str(folder)).select(PIXELS.schema.names)
    near = pc.greater(rows["latitude"], case.latitude + 0.005)
    is_clear = pc.and_(rows["is_clear"], pc.invert(near))
    assert validate(str(tmp_path / "storage"), far)["outcome"] == "not_detected"
    rows = rows.set_column(rows.schema.get_field_index("is_clear"), "is_clear", is_clear)
    storage.write_partition(
        PIXELS, str(tmp_path / "storage" / "pixels"), {"area": "gas_field", "date": case.observed_on}, rows
    )
    row = validate(str(tmp_path / "storage"), far)
    assert row["outcome"] == "skipped_cloud" and "within 0.5 km of the site" in row["missing"]


def test_without_earlier_dates_it_says_how_many_are_stored(
    stored: tuple[str, PublishedCase], job: ModuleType, tmp_path: Path
) -> None:
    root, case = stored
    shutil.copytree(root.removeprefix("file://"), tmp_path / "storage")
    for earlier in (tmp_path / "storage" / "pixels" / "area=gas_field").iterdir():
        if not earlier.name.endswith(case.observed_on):
            shutil.rmtree(earlier)
    paths = [f"--{table}-path={tmp_path}/storage/{table}" for table in ("pixels", "plumes", "wind")]
    job.run(job.parse_arguments(paths))
    row = validate(str(tmp_path / "storage"), case)
    assert row["outcome"] == "no_reference" and "at most 30 days before (0 are stored)" in row["missing"]


def test_an_empty_storage_says_what_is_missing_of_every_case(storage_root: str) -> None:
    notes = {case.case_id: {"missing": "nothing is fetched, as asked"} for case in read_cases()}
    rows = validate_cases(storage_root, notes, [])
    assert len(rows) == 55 and partitions_of_cases(storage_root, list(notes)) == []
    by_id = {row["case"]: row for row in storage.read_table(VALIDATION, f"{storage_root}/validation").to_pylist()}
    assert by_id[EHRENBERG]["outcome"] == "no_input"
    assert by_id[EHRENBERG]["missing"] == (
        "pixels of sentinel-2b on 2021-10-19 in an area that holds the site, and of earlier dates, at most 30 days "
        "before; nothing is fetched, as asked"
    )
    page = storage.read_bytes(f"{storage_root}/{PAGE}").decode()
    assert "55 cases (no_input 55)" in page and page.count("<tr>") > 55
