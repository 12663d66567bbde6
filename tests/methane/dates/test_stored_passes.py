"""Passes out of the pixel table: each partition read once, no more kept than needed, laid on the target's window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.methane.dates.stored_passes import StoredPasses, on_window
from plumewatch.methane.evaluation.scenes import simulate_area
from plumewatch.methane.grid_place import GridPlace, find_grid_place
from plumewatch.methane.pass_rows import grid_pass
from plumewatch.methane.passes import Pass
from plumewatch.tables import PIXELS

SIZE, DAYS_BACK = 24, 30
DAYS = ("2025-06-20", "2025-07-19", "2025-07-30", "2025-08-02", "2025-08-05", "2025-08-30")
Rows = Callable[[Pass], pa.Table]


@pytest.fixture(scope="module")
def one() -> Pass:
    return simulate_area(5, size=SIZE, n_references=0, clouds=False).passes[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, one: Pass, pixel_rows: Rows) -> str:
    """One area of six dates."""
    path = f"{tmp_path_factory.mktemp('stored')}/pixels"
    for day in DAYS:
        storage.write_partition(PIXELS, path, {"area": "a", "date": day}, pixel_rows(one))
    return path


def stored(root: str, targets: tuple[str, ...] = DAYS, **more: int) -> StoredPasses:
    return StoredPasses(root, "a", targets, DAYS_BACK, **more)


def same(one: Pass, other: Pass) -> bool:
    return all(_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.name != "place")


def _equal(one: object, other: object) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    return np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other


def test_earlier_dates_are_those_of_the_window_nearest_first(root: str) -> None:
    passes = stored(root)
    assert passes.earlier("2025-08-02") == ["2025-07-30", "2025-07-19"]
    assert passes.earlier("2025-07-20") == ["2025-07-19", "2025-06-20"]  # 30 days are in, the date itself is out
    assert passes.earlier("2025-07-21") == ["2025-07-19"] and passes.earlier("2025-06-20") == []


def test_a_partition_is_read_once_as_target_and_as_reference(root: str) -> None:
    passes = stored(root)
    for target in DAYS[1:5]:
        passes.start(target)
        for day in [target, *passes.earlier(target)]:
            (only,) = passes.read(day).passes
            assert only.n_pixels == SIZE**2
    assert passes.dates_read == ["2025-07-19", "2025-06-20", "2025-07-30", "2025-08-02", "2025-08-05"]
    assert passes.rows_read == 5 * SIZE**2


def test_what_no_later_target_needs_is_forgotten(root: str) -> None:
    passes = stored(root)
    for day in DAYS[:5]:
        passes.read(day)
    passes.start("2025-08-18")
    assert passes.kept == ["2025-07-19", "2025-07-30", "2025-08-02", "2025-08-05"]
    passes.start("2025-08-19")
    assert passes.kept == ["2025-07-30", "2025-08-02", "2025-08-05"]
    passes.start("2025-10-01")
    assert passes.kept == []


def test_without_references_nothing_is_kept_beyond_its_date(root: str) -> None:
    passes = StoredPasses(root, "a", DAYS, 0)
    for day in DAYS:
        passes.start(day)
        passes.read(day)
        assert passes.kept == [day] and passes.earlier(day) == []


def test_memory_is_bounded_and_the_earliest_go_first(root: str) -> None:
    unbounded = stored(root)
    unbounded.read(DAYS[0])
    n_bytes = next(iter(unbounded._kept.values())).n_bytes
    assert n_bytes >= SIZE**2 * (4 + 4 + 2 + 1)
    passes = stored(root, max_bytes=2 * n_bytes)
    for day in DAYS[1:4]:
        passes.read(day)
    assert passes.kept == ["2025-07-30", "2025-08-02"]
    assert passes.read("2025-07-19").passes and passes.kept == ["2025-07-30", "2025-08-02"]  # given, and not kept


def test_a_failure_is_not_kept(root: str, tmp_path: Path, one: Pass, pixel_rows: Rows) -> None:
    folder = tmp_path / "area=a" / f"date={DAYS[0]}"
    folder.mkdir(parents=True)
    (folder / "data.parquet").write_bytes(b"no parquet")
    passes = StoredPasses(str(tmp_path), "a", DAYS, DAYS_BACK)
    for _ in range(2):
        with pytest.raises(InputError, match="not readable as Parquet"):
            passes.read(DAYS[0])
    assert passes.kept == [] and passes.dates_read == []
    storage.write_partition(PIXELS, str(tmp_path), {"area": "a", "date": DAYS[0]}, pixel_rows(one))
    assert passes.read(DAYS[0]).n_passes == 1


@pytest.mark.parametrize("name", ["2025-8-2", "20250802", "2025-02-30"])
def test_a_folder_that_is_no_date_is_named(root: str, name: str) -> None:
    passes = stored(root, (name, *DAYS))
    with pytest.raises(InputError, match=rf"area=a/date={name}: date={name}; allowed: date=YYYY-MM-DD"):
        passes.start(name)
    assert passes.earlier("2025-08-02") == ["2025-07-30", "2025-07-19"]


WINDOWS = {
    "the same": (0, 0, SIZE, SIZE),
    "within": (5, 3, 10, 12),
    "around": (-4, -2, SIZE + 9, SIZE + 5),
    "across a corner": (10, -6, 20, 15),
    "across the other corner": (-3, 20, 9, 30),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
def test_a_pass_moved_onto_a_window_has_its_own_pixels_there_and_no_others(
    one: Pass, pixel_rows: Rows, window: tuple[int, int, int, int]
) -> None:
    rows = pixel_rows(one).filter(pa.array(np.random.default_rng(2).random(SIZE**2) < 0.9))
    whole = grid_pass(rows)
    row0, col0, height, width = window
    onto = _window(whole.place, row0, col0, height, width)
    moved = on_window(whole, onto)
    assert moved is not None and moved.shape == (height, width) and moved.place in (onto, whole.place)
    assert same(moved, _padded(whole, row0, col0, height, width))
    assert same(on_window(whole, whole.place), whole)


def _padded(one: Pass, row0: int, col0: int, height: int, width: int) -> Pass:
    """The pass cut out of a far larger image that is empty elsewhere."""

    def cut(field: np.ndarray, empty: float) -> np.ndarray:
        far = np.pad(field, 2 * SIZE, constant_values=empty)
        return far[2 * SIZE + row0 :, 2 * SIZE + col0 :][:height, :width]

    scene_index = cut(one.scene_index, -1)
    return replace(
        one, scene_index=scene_index, n_pixels=int((scene_index >= 0).sum()), is_usable=cut(one.is_usable, False),
        b11=cut(one.b11, np.nan), b12=cut(one.b12, np.nan),
        other_bands={name: cut(band, np.nan) for name, band in one.other_bands.items()},
    )  # fmt: skip


def _window(place: GridPlace, row0: int, col0: int, height: int, width: int) -> GridPlace:
    """The same cells, counted from another corner."""
    rows, cols = (a.ravel() for a in np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    longitude, latitude = place.longitude_latitude(rows + row0, cols + col0)
    return find_grid_place(rows + row0, cols + col0, longitude, latitude)


def test_another_grid_is_refused(one: Pass) -> None:
    shifted = replace(one.place, longitude0=one.place.longitude0 + 0.01)
    with pytest.raises(InputError, match=r"there: pixels 43\.\d cells off the target's grid"):
        on_window(one, shifted, "there")
    elsewhere = replace(one.place, row0=one.place.row0 + 1000)
    assert on_window(one, elsewhere) is None


@pytest.mark.parametrize(("size_m", "is_allowed"), [(20.0, True), (20.005, True), (None, True), (10.0, False)])
def test_cells_of_another_size_are_refused(one: Pass, size_m: float | None, is_allowed: bool) -> None:
    if is_allowed:
        assert same(on_window(one, one.place, "there", size_m), one)
        return
    with pytest.raises(InputError, match="there: pixel_size_m 20; allowed: 10 as on the target date"):
        on_window(one, one.place, "there", size_m)


@pytest.mark.parametrize("shape", [(1, SIZE), (SIZE, 1), (1, 1)])
def test_a_window_of_one_row_or_column(one: Pass, pixel_rows: Rows, shape: tuple[int, int]) -> None:
    rows = pixel_rows(one)
    row, col = (rows[name].to_numpy() - getattr(one.place, f"{name}0") for name in ("row", "col"))
    narrow = grid_pass(rows.filter(pa.array((row < shape[0]) & (col < shape[1]))))
    assert narrow.shape == shape and same(on_window(narrow, narrow.place), narrow)
    moved = on_window(one, narrow.place)
    assert moved.shape == shape and np.array_equal(moved.b11, narrow.b11)
    if max(shape) > 1:
        with pytest.raises(InputError, match="cells off the target's grid"):
            on_window(narrow, replace(narrow.place, longitude0=narrow.place.longitude0 + 0.001))


def test_of_two_passes_the_good_one_is_given_and_the_other_named(
    one: Pass, pixel_rows: Rows, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pixel_rows(one)
    other = rows.set_column(
        rows.schema.get_field_index("relative_orbit"), "relative_orbit", pa.array([7] * len(rows), pa.int16())
    )
    bad = other.set_column(rows.schema.get_field_index("latitude"), "latitude", pa.array([100.0] * len(rows)))
    storage.write_partition(PIXELS, str(tmp_path), {"area": "a", "date": DAYS[0]}, pa.concat_tables([bad, rows]))
    passes = StoredPasses(str(tmp_path), "a", DAYS, DAYS_BACK)
    for _ in range(2):
        day = passes.read(DAYS[0])
        (good,), (refused,) = day.passes, day.refused
        assert same(good, grid_pass(rows)) and day.n_passes == 2
        assert (refused.platform, refused.relative_orbit, refused.scene_id) == (one.platform, 7, one.scene_ids[0])
        assert "latitude 100" in str(refused.error) and refused.error.__traceback__ is None
    assert passes.dates_read == [DAYS[0]] and "Traceback" not in caplog.text


def test_a_folder_that_is_no_date_is_refused_without_references_too(root: str) -> None:
    with pytest.raises(InputError, match="date=2025-8-2; allowed: date=YYYY-MM-DD"):
        StoredPasses(root, "a", DAYS, 0).start("2025-8-2")


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        ({"SCENE": 200.0}, "cells of 20 m that are copies of pixels of 200 m (SCENE)"),
        ({"SCENE": 60}, "copies of pixels of 60 m"), ({"SCENE": "30.0"}, "copies of pixels of 30 m"),
        ({"SCENE": 20.0}, None), ({"SCENE": 21.0}, None), ({"SCENE": 10.0}, None), ({"another": 200.0}, None),
        ({}, None),
        ([200.0], "source_pixel_m as metres by scene"), ({"SCENE": None}, "source_pixel_m as metres by scene"),
        ("200", "source_pixel_m as metres by scene"),
    ],
)  # fmt: skip
def test_copies_of_coarser_pixels_are_not_searched(
    tmp_path: Path, one: Pass, pixel_rows: Rows, stated: object, text: str | None
) -> None:
    scene = one.scene_ids[0]
    sizes = {name.replace("SCENE", scene): v for name, v in stated.items()} if isinstance(stated, dict) else stated
    keys = {"area": "a", "date": DAYS[0]}
    storage.write_partition(PIXELS, str(tmp_path), keys, pixel_rows(one), extra={"source_pixel_m": sizes})
    if text is None:
        assert len(stored(str(tmp_path)).read(DAYS[0]).passes) == 1
        return
    with pytest.raises(InputError) as error:
        stored(str(tmp_path)).read(DAYS[0])
    assert text.replace("SCENE", scene) in str(error.value) and f"date={DAYS[0]}" in str(error.value)
