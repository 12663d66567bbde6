"""Wind or a reference that can't be read now: the date fails by name, nothing of it is published, and it heals.

Left out it would be another result: no rates, or other plumes.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from plumewatch import storage
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.methane.dates.task import AreaDates
from plumewatch.methane.dates.worker import detect_area_dates
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.models import FailedScene
from plumewatch.tables import FAILED_SCENES, PLUMES

PLUME = PlantedPlume(15_000.0, 24.0, 12.0, 3.0, 1.0)
ERRORS = (PermissionError(errno.EACCES, "refused"), OSError(errno.EIO, "broken off"))


@pytest.fixture
def root(tmp_path: Path, store_area: Callable, store_wind: Callable) -> str:
    area = simulate_area(31, size=48, n_references=3, plumes=(PLUME,), clouds=False, reference_plume_share=0.2)
    [*_, last] = store_area(str(tmp_path), "field", area)
    store_wind(str(tmp_path), last, PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    return str(tmp_path)


@pytest.fixture
def detect(job: ModuleType, root: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Run the job on the newest date, its workers in this process."""

    def in_process(bins: Sequence[Sequence[AreaDates]]) -> list[dict[str, Any]]:
        return [report for tasks in bins for task in tasks for report in detect_area_dates(task)]

    monkeypatch.setattr(job, "_detect", in_process)
    newest = sorted(p.name for p in Path(root, "pixels/area=field").iterdir())[-1].removeprefix("date=")
    paths = [f"--{name}-path={root}/{name}" for name in ("pixels", "plumes", "wind")]
    return lambda: job.run(job.parse_arguments([*paths, "--date", newest]))


def refuse(monkeypatch: pytest.MonkeyPatch, part: str, error: OSError) -> None:
    """Have the disk refuse files whose path has this part."""
    opened = LocalFileSystem._open

    def open_or_refuse(fs: LocalFileSystem, path: str, *options: Any, **named: Any) -> Any:
        if part in path:
            raise type(error)(error.errno, error.strerror, path)
        return opened(fs, path, *options, **named)

    monkeypatch.setattr(LocalFileSystem, "_open", open_or_refuse)


def open_rows(root: str) -> list[dict[str, Any]]:
    rows = storage.read_table(FAILED_SCENES, f"{root}/failed_scenes").to_pylist()
    return [row for row in rows if row["healed_at_utc"] is None]


@pytest.mark.parametrize("error", ERRORS, ids=["refused", "broken off"])
@pytest.mark.parametrize("what", ["wind", "reference"])
def test_what_cannot_be_read_now_fails_the_date_and_heals(
    root: str, detect: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, what: str, error: OSError
) -> None:
    detect()
    right = storage.read_table(PLUMES, f"{root}/plumes")
    assert right.num_rows and right["emission_kg_h"].null_count < right.num_rows
    shutil.rmtree(f"{root}/plumes")
    newest, nearest = sorted(Path(root, "pixels/area=field").iterdir(), reverse=True)[:2]
    part = "/wind/product=" if what == "wind" else f"{nearest}/"
    with monkeypatch.context() as patched:
        refuse(patched, part, error)
        with pytest.raises(NothingDone):
            detect()
    assert storage.list_partitions(PLUMES, f"{root}/plumes") == []
    [row] = open_rows(root)
    assert row["stage"] == "detection" and row["scene_id"].startswith(f"area=field/{newest.name}")
    assert part.strip("/") in row["message"], "the file is named"
    detect()
    assert storage.read_table(PLUMES, f"{root}/plumes").equals(right) and open_rows(root) == []


@pytest.mark.parametrize("broken", ["wind", "reference"])
def test_what_is_broken_is_left_out_by_name_and_heals(root: str, detect: Callable[[], Any], broken: str) -> None:
    days = sorted(Path(root, "pixels/area=field").iterdir(), reverse=True)
    folder = next(Path(root, "wind").glob("*/*")) if broken == "wind" else days[1]
    kept = (folder / "data.parquet").read_bytes()
    (folder / "data.parquet").write_bytes(b"no table")
    assert detect().failed == 1
    [row] = open_rows(root)
    assert (row["stage"] == "wind") is (broken == "wind") and storage.list_partitions(PLUMES, f"{root}/plumes")
    (folder / "data.parquet").write_bytes(kept)
    detect()
    assert open_rows(root) == []


def test_a_key_of_the_wind_of_another_area_stays_open(root: str, detect: Callable[[], Any]) -> None:
    folder = next(Path(root, "wind").glob("*/*"))
    kept = (folder / "data.parquet").read_bytes()
    (folder / "data.parquet").write_bytes(b"no table")
    detect()
    [row] = open_rows(root)
    book = FailureBook(root, "manual", "another")
    key = storage.read_table(FAILED_SCENES, f"{root}/failed_scenes")["key"][0].as_py()
    book.settle(key, [FailedScene("data.parquet", "wind", "InputError", "m", area="elsewhere")])
    (folder / "data.parquet").write_bytes(kept)
    detect()
    assert [one["area"] for one in open_rows(root)] == ["elsewhere"] and row["area"] == "field"
