"""Published cases: what the table says, and how a result is set beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.compute as pc
import pytest
import shapely
from plumewatch import storage
from plumewatch.areas import grid_of, read_areas
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.failures import FailedScene, FailureBook
from plumewatch.methane.cases import scenes as case_scenes
from plumewatch.methane.cases.page import compute_scores, render_cases
from plumewatch.methane.cases.published import (
    Estimate,
    PublishedCase,
    compare_case,
    parse_estimates,
    read_cases,
    select_cases,
)
from plumewatch.methane.cases.scenes import CaseNote, case_area, search_cases, write_case_areas
from plumewatch.methane.cases.validation import PAGE, StoredPixels, partitions_of_cases, validate_case, validate_cases
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.sentinel2.scene import SceneRef
from plumewatch.sentinel2.search import FoundScenes
from plumewatch.settings import Settings
from plumewatch.tables import PIXELS, VALIDATION
from pyproj import Transformer
from pystac import Asset, Item

EHRENBERG, KORPEZHE = "ehrenberg_20211019T181359", "korpezhe_20231031T071029"
SIZE = 130
AT = datetime(2021, 10, 19, 18, 14, tzinfo=UTC)


def case_of(case_id: str) -> PublishedCase:
    [case] = [case for case in read_cases() if case.case_id == case_id]
    return case


def observation(outcome: str = "searched", **values: Any) -> dict[str, Any]:
    return {
        "outcome": outcome, "scene_id": "S2B_11SQT", "observed_at_utc": AT, "clear_fraction": 0.9,
        "wind_speed_m_s": 3.0, "detection_limit": 1100.0,
    } | values  # fmt: skip


def plume(case: PublishedCase, east_m: float = 0.0, **values: Any) -> dict[str, Any]:
    longitude = case.longitude + east_m / 92_600.0  # metres of a degree at 33.6 north
    return {
        "plume_id": f"plume-{east_m:g}", "status": "accepted", "probability": 0.9, "longitude": longitude,
        "latitude": case.latitude, "emission_kg_h": 6000.0, "emission_kg_h_low": 4000.0, "emission_kg_h_high": 9000.0,
        "emission_status": "ok", "geometry": shapely.to_wkb(shapely.Point(longitude, case.latitude).buffer(1e-3)),
        "observed_at_utc": AT,
    } | values  # fmt: skip


def test_the_table_holds_what_was_published() -> None:
    cases = read_cases()
    assert len(cases) == len({case.case_id for case in cases}) == 55
    is_metered = [case.metered_kg_h is not None for case in cases]
    assert is_metered == sorted(is_metered, reverse=True) and sum(is_metered) == 34
    assert all(case.source and case.licence and case.provenance for case in cases)
    assert "2018-11-11" not in {case.observed_on for case in cases}
    first = cases[0]
    assert (first.case_id, first.platform, first.tile, first.relative_orbit) == (EHRENBERG, "sentinel-2b", "11SQT", 84)
    assert first.metered_kg_h == 7175.7 and first.observed_at_utc == datetime(2021, 10, 19, 18, 13, 59, tzinfo=UTC)
    assert first.estimates[0] == Estimate("Kayrros", 6790.0)
    assert first.estimates[-1] == Estimate("MARS-S2L", 6491.0, 4524.0, 8458.0, 0.9986)
    assert sum(not case.is_sentinel2 for case in cases) == 10
    imeo = case_of(KORPEZHE)
    assert imeo.estimates == (Estimate("IMEO", 7204.0, 4465.0, 9943.0),) and imeo.wind_speed_10m_m_s == 4.22
    assert imeo.l1c_product and imeo.l1c_product.startswith("S2B_MSIL1C_20231031T071029") and imeo.metered_kg_h is None


def test_teams_score_as_their_papers_say() -> None:
    """Detections of n and mean error as computed from the publications: MARS-S2L 6 of 9 and 18 %, and so on."""
    rows = [compare_case(case, None, []) for case in read_cases()]
    scores = {s.team: (s.detected, s.released, round(s.mean_error_percent or 0.0)) for s in compute_scores(rows)}
    assert scores == {
        "Plumewatch": (0, 0, 0), "MARS-S2L": (6, 9, 18), "Varon": (5, 5, 34), "Kayrros": (6, 9, 38),
        "UPV": (4, 5, 42), "SRON": (3, 4, 38), "Orbio": (4, 4, 27), "GHGSat": (3, 4, 88), "Maxar": (2, 4, 253),
        "NJU": (0, 4, 0),
    }  # fmt: skip
    assert {s.team: (s.false_alarms, s.empty) for s in compute_scores(rows)}["MARS-S2L"] == (0, 4)


def test_estimates_are_read_or_refused_by_name() -> None:
    assert parse_estimates("Orbio:555[296-707]|SRON:failed") == (
        Estimate("Orbio", 555.0, 296.0, 707.0), Estimate("SRON", None),
    )  # fmt: skip
    with pytest.raises(InputError, match="Orbio 555"):
        parse_estimates("Orbio 555")


def test_cases_are_chosen_by_set_id_and_number() -> None:
    assert {case.set for case in select_cases(["imeo"], [], None)} == {"imeo"}
    assert [case.case_id for case in select_cases([], [KORPEZHE], None)] == [KORPEZHE]
    assert [case.case_id for case in select_cases(["imeo"], [EHRENBERG], 1)] == [EHRENBERG]
    assert len(select_cases([], [], None)) == 55
    with pytest.raises(ConfigurationError, match=r"atlantis; known: stanford2021, stanford2022"):
        select_cases(["atlantis"], [], None)


def test_the_plume_at_the_site_is_the_case_s_and_others_are_elsewhere() -> None:
    case = case_of(EHRENBERG)
    refused = plume(case, 50.0, status="surface_change", probability=0.95)
    row = compare_case(case, observation(), [plume(case, 4000.0), refused, plume(case, 300.0)])
    assert (row["outcome"], row["plume_id"], row["n_plumes_elsewhere"]) == ("detected", "plume-300", 1)
    assert row["distance_km"] == pytest.approx(0.3, rel=0.01)
    assert row["error_percent"] == pytest.approx(100 * (6000 / 7175.7 - 1))
    assert row["detection_limit_kg_h"] == 1100.0 and row["published"][0]["team"] == "Kayrros"
    VALIDATION.from_pylist([row])


def test_a_plume_that_covers_the_site_is_its_own_wherever_it_begins() -> None:
    case = case_of(EHRENBERG)
    outline = shapely.box(case.longitude - 0.001, case.latitude - 0.001, case.longitude + 0.02, case.latitude + 0.001)
    row = compare_case(case, observation(), [plume(case, 1500.0, geometry=shapely.to_wkb(outline))])
    assert row["outcome"] == "detected" and row["distance_km"] > 1.4


def test_a_refused_candidate_keeps_its_reason_and_gives_no_rate() -> None:
    case = case_of(EHRENBERG)
    row = compare_case(case, observation(), [plume(case, 100.0, status="surface_change", probability=0.1)])
    assert (row["outcome"], row["status"], row["probability"]) == ("not_detected", "surface_change", 0.1)
    assert "emission_kg_h" not in row and row["n_plumes_elsewhere"] == 0


@pytest.mark.parametrize("outcome", ["skipped_cloud", "no_reference", "failed"])
def test_a_pass_that_was_not_searched_says_nothing_of_a_plume(outcome: str) -> None:
    row = compare_case(case_of(EHRENBERG), observation(outcome), [])
    assert row["outcome"] == outcome and "status" not in row


def test_landsat_stays_in_with_an_outcome_of_its_own() -> None:
    row = compare_case(case_of("ehrenberg_20211021T181037"), None, [])
    assert row["outcome"] == "not_sentinel2" and "landsat-8" in row["missing"]


def test_scores_count_what_was_judged() -> None:
    seen, missed = case_of(EHRENBERG), case_of("ehrenberg_20211022T182419")
    empty, cloudy = case_of("casa_grande_20221128T181711"), case_of("ehrenberg_20211029T181459")
    rows = [
        compare_case(seen, observation(), [plume(seen)]),
        compare_case(missed, observation(), []),
        compare_case(empty, observation(), [plume(empty)]),
        compare_case(cloudy, observation("skipped_cloud"), []),
    ]
    ours = compute_scores(rows)[0]
    assert (ours.detected, ours.released, ours.false_alarms, ours.empty) == (1, 2, 1, 1)
    assert ours.median_error_percent == pytest.approx(16.4, abs=0.05)  # 6000 against 7175.7
    page = render_cases([row | {"case": str(n)} for n, row in enumerate(VALIDATION.from_pylist(rows).to_pylist())])
    assert "Metered releases seen: 1 of 2, median |error| 16 %." in page and "<script" not in page
    assert "False alarms: 1 of 1 passes" in page and "MARS-S2L 6,491 (4,524 to 8,458), p 1.00" in page


def test_a_page_shows_texts_as_texts() -> None:
    [row] = VALIDATION.from_pylist([compare_case(case_of(EHRENBERG), None, [])]).to_pylist()
    assert "<b>" not in render_cases([row | {"case": "a", "missing": "<b>"}])


@pytest.mark.parametrize("name", sorted({case.area for case in read_cases()}))
def test_an_area_is_500_cells_a_side_around_its_site_in_the_zone_of_its_tile(name: str) -> None:
    area, first = case_area(name), next(case for case in read_cases() if case.area == name)
    grid = grid_of(area)
    to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{grid.epsg}", always_xy=True)
    outline = shapely.transform(area.geometry, to_utm.transform, interleaved=False)
    inside = [
        round(span / grid.resolution_m)
        for span in (outline.bounds[2] - outline.bounds[0], outline.bounds[3] - outline.bounds[1])
    ]
    assert inside == [500, 500] and grid.resolution_m == 20.0
    tiles = {case.tile[:2] for case in read_cases() if case.area == name and case.is_sentinel2 and case.tile}
    assert not tiles or f"{grid.epsg - 32600:02d}" in tiles
    for case in (case for case in read_cases() if case.area == name):
        x, y = to_utm.transform(case.longitude, case.latitude)
        assert outline.buffer(-4000.0).contains(shapely.Point(x, y)), case.case_id
    assert area.geometry.contains(shapely.Point(first.longitude, first.latitude))


def test_areas_are_written_for_the_jobs_apart_from_the_areas_of_interest(storage_root: str) -> None:
    settings = Settings(storage_root)
    path = write_case_areas(settings, ["case_korpezhe", "case_ehrenberg", "case_korpezhe"])
    written = read_areas(path)
    assert [area.name for area in written] == ["case_ehrenberg", "case_korpezhe"]
    assert grid_of(written[1]) == grid_of(case_area("case_korpezhe"))
    assert not path.startswith(settings.area_folders[1])


def ref(scene_id: str, at: datetime, platform: str = "sentinel-2b", orbit: int | None = 84) -> SceneRef:
    outline = case_area("case_ehrenberg").geometry
    return SceneRef(scene_id, f"http://c/{scene_id}", at, platform, orbit, "11SQT", 1.0, (5, 0), 0, "", outline)


def test_scenes_of_the_pass_and_of_the_days_before_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    refs = (ref("before", AT - timedelta(days=5)), ref("other_orbit", AT, orbit=127), ref("the_pass", AT))

    def search(area: Any, first: Any, last: Any, api: str) -> FoundScenes:
        asked.append((area.name, str(first), str(last), api))
        return FoundScenes(refs if str(last) == "2021-10-19" else refs[:2])

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    settings = Settings("/nowhere", stac_api="http://catalogue")
    landsat = "ehrenberg_20211021T181037"
    found = search_cases(settings, [], [EHRENBERG, landsat, "ehrenberg_20211022T182419"], None, True)
    assert asked[0] == ("case_ehrenberg", "2021-09-19", "2021-10-19", "http://catalogue") and len(asked) == 2
    assert {s.scene_id: bool(s.wind_at_utc) for s in found.scenes.values()} == {
        "before": False, "other_orbit": False, "the_pass": True,
    }  # fmt: skip
    assert found.notes[EHRENBERG] == CaseNote(("the_pass",)) and found.notes[landsat] == CaseNote()
    assert "no scene of sentinel-2b on 2021-10-22 (it has none of that day)" in str(
        found.notes["ehrenberg_20211022T182419"].missing
    )


def test_a_catalogue_that_is_not_there_is_asked_once_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def search(*arguments: Any) -> FoundScenes:
        asked.append(arguments)
        raise ServiceError("http://catalogue: no answer")

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    found = search_cases(Settings("/nowhere"), ["imeo"], [], None, True)
    assert len(asked) == 1 and not found.failed and not found.scenes
    assert {note.missing for note in found.notes.values()} == {
        "the catalogue doesn't answer (http://catalogue: no answer)"
    }


def test_a_catalogue_that_refuses_is_a_failure_of_each_case(monkeypatch: pytest.MonkeyPatch, storage_root: str) -> None:
    def search(*_: Any) -> FoundScenes:
        raise ServiceError("http://catalogue: 403", 403)

    monkeypatch.setattr(case_scenes, "search_scenes", search)
    found = search_cases(Settings(storage_root), [], [EHRENBERG, KORPEZHE], None, True)
    assert [failure.scene_id for failure in found.failed] == [EHRENBERG, KORPEZHE]
    book = FailureBook(storage_root, "dag", "run")
    found.record(book, "2026-01-01")
    rows = validate_cases(
        storage_root, {c: {"missing": None} for c in found.notes}, book.open_rows_of_run("2026-01-01")
    )
    assert {row["outcome"] for row in rows} == {"failed"} and "403" in rows[0]["missing"]


@pytest.mark.parametrize(
    ("assets", "bands"),
    [
        (("swir16", "swir22"), ("B11", "B12")),
        (("red", "nir08", "nir", "swir16", "swir22"), ("B04", "B8A", "B11", "B12")),
    ],
)
def test_bands_that_methane_leaves_are_fetched_where_the_catalogue_has_them(
    monkeypatch: pytest.MonkeyPatch, assets: tuple[str, ...], bands: tuple[str, ...]
) -> None:
    item = Item("a", None, None, AT, {}, assets={key: Asset(f"{key}.tif") for key in assets})
    stacked = []
    monkeypatch.setattr(case_scenes, "read_item", lambda href: item)
    monkeypatch.setattr(case_scenes, "fetch_scene", lambda *arguments: stacked.append(arguments) or "path")
    assert case_scenes.fetch_case_scene(Settings("/storage"), "case_korpezhe", "http://c/a") == "path"
    [(_, area, scenes)] = stacked
    assert area.bands == bands and area.name == "case_korpezhe" and scenes == "/storage/scenes"


def test_a_run_fetches_no_more_scenes_than_airflow_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_scenes, "search_scenes", lambda *_: FoundScenes((ref("the_pass", AT), ref("next", AT))))
    monkeypatch.setattr(case_scenes, "MAX_SCENES", 1)
    found = search_cases(Settings("/nowhere"), [], [EHRENBERG], None, True)
    assert not found.scenes and "at most 1 scenes" in str(found.notes[EHRENBERG].missing)


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
        {"sensor": "landsat"},
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
    assert sum(row["outcome"] == "not_sentinel2" for row in by_id.values()) == 10
    page = storage.read_bytes(f"{storage_root}/{PAGE}").decode()
    assert "55 cases (no_input 45, not_sentinel2 10)" in page and page.count("<tr>") > 55
