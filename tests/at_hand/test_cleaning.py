"""`python -m plumewatch clean`: days of long ago, and what writers left that died; nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.__main__ import main
from plumewatch.at_hand import cleaning
from plumewatch.table import Table
from plumewatch.tables import ANOMALIES, OBSERVATIONS, SOUNDINGS

CELL = {"scene_id": "S2A_x", "row": 1, "col": 2, "longitude": 5.9, "latitude": 31.6, "score": -0.5, "cluster": 0}


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(arguments)
    return code, out.getvalue()


@pytest.fixture
def stored(root: str) -> str:
    """A storage root with days and months before and after March 2024, and what isn't removed by age."""

    def write(table: Table, **keys: str) -> None:
        storage.write_partition(table, storage.join(root, table.name), keys, table.empty())

    for day in ("2024-02-29", "2024-03-01"):
        write(ANOMALIES, area="dune", date=day)
        write(OBSERVATIONS, gas="ch4", key=day)
        for name in ("S2A.json", "S2A.tif"):
            storage.write_bytes(storage.join(root, f"scenes/area=dune/date={day}", name), b"{}")
    storage.write_bytes(storage.join(root, "scenes/area=dune/items.parquet"), b"index")
    for month in ("2024-02", "2024-03"):
        write(SOUNDINGS, month=month)
    return root


def test_nothing_goes_unless_it_is_said(stored: str) -> None:
    before = storage.list_files(stored)
    code, out = run("--root", stored, "clean", "--before", "2024-03-01")
    assert code == 0 and storage.list_files(stored) == before
    assert "scenes: 1 days or months, 4 B, 2024-02-29 to 2024-02-29" in out and "--yes removes it" in out


def test_what_ended_before_the_day_goes_and_results_stay(stored: str) -> None:
    before = set(storage.list_files(stored))
    assert run("--root", stored, "clean", "--before", "2024-03-01", "--yes")[0] == 0
    gone = {path.removeprefix(f"{stored}/") for path in before - set(storage.list_files(stored))}
    assert {path.split("/")[0] for path in gone} == {"scenes", "anomalies", "soundings"}
    assert all("2024-02" in path or path == "scenes/area=dune/items.parquet" for path in gone)  # no item can be indexed
    assert len(gone) == 2 + 1 + 2 + 2
    assert storage.list_partitions(ANOMALIES, f"{stored}/anomalies")[0].keys["date"] == "2024-03-01"


def test_some_folders_alone(stored: str) -> None:
    run("--root", stored, "clean", "soundings", "--before", "2024-04-15", "--yes")
    assert storage.list_partitions(SOUNDINGS, f"{stored}/soundings") == []
    assert len(storage.list_files(f"{stored}/scenes")) == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["plumes"], "plumes: not removed by age; allowed: scenes, pixels"), ([], "are still compared with")],
)
def test_results_and_what_is_needed_are_refused(stored: str, arguments: list[str], told: str) -> None:
    code, out = run("--root", stored, "clean", *arguments, "--before", "2100-01-01", "--yes")
    assert code == 1 and told in out and len(storage.list_files(stored)) == 17


def test_what_a_dead_writer_left_goes_after_an_hour(tmp_path: Path) -> None:
    folder = Path(storage.write_partition(SOUNDINGS, f"{tmp_path}/soundings", {"month": "2024-02"}, SOUNDINGS.empty()))
    for name, age_s in (
        ("part-1.parquet", 7200),
        ("part-2.parquet", 60),
        (".part-3.parquet.x1", 7200),
        ("notes.txt", 7200),
    ):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    assert "left by writers that died: 2 files" in run("--root", str(tmp_path), "clean", "--yes")[1]
    assert {p.name for p in folder.iterdir()} == {"_manifest.json", "data.parquet", "part-2.parquet", "notes.txt"}


def test_locks_what_lay_aside_and_what_was_never_published_go(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_partition(SOUNDINGS, f"{root}/soundings", {"month": "2024-02"}, SOUNDINGS.empty())
    storage.write_part(f"{root}/soundings/month=2024-03", "part-1.parquet", b"of a writer that was killed")
    left = (
        "soundings/month=2024-02/.lock",
        "maps/ch4/.2024-02-29.html.a1b2c3_d.aside",
        "scenes/area=dune/.S2A.tif.4711.aside",
    )
    kept = ("maps/ch4/2024-02-29.html", "areas/.env.template", ".told/EARTHDATA_TOKEN.json", "scenes/area=dune/S2A.tif")
    for path in (*left, *kept):
        storage.write_bytes(storage.join(root, path), b"x")
    assert "left by writers that died: 0 files" in run("--root", root, "clean")[1], "all are too young"
    monkeypatch.setattr(cleaning, "LEFT_AFTER", timedelta(seconds=-60))
    with storage.lock(f"{root}/plumes"):
        assert "left by writers that died: 6 files" in run("--root", root, "clean", "--yes")[1]
        assert storage.exists(f"{root}/plumes/.lock"), "somebody holds it"
    there = {path.removeprefix(f"{root}/") for path in storage.list_files(root)}
    is_fresh = root.startswith("s3")  # a lock on S3 is left when it is stale
    assert there == {*kept, *("soundings/month=2024-02/" + name for name in ("_manifest.json", "data.parquet")),
                     *left[: int(is_fresh)]}  # fmt: skip


def test_a_day_is_a_day(stored: str) -> None:
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as told:
        main(["--root", stored, "clean", "--before", "March"])
    assert "allowed: a day, YYYY-MM-DD" in told.getvalue()


def test_only_what_is_called_as_a_day_goes(tmp_path: Path) -> None:
    kept = (
        "anomalies/area=dune/date=2024-02-29 (copy)/data.parquet",
        "anomalies/area=dune/date=2024-02/data.parquet",
        "scenes/area=dune/notes_of_date=2024-02-29/notes.txt",
        "scenes/area=update=2020-01-01/date=2024-03-01/S2A.tif",
        "scenes_xy/area=dune/date=2024-02-29/S2A.tif",
        "soundings/month=2024-02.bak/data.parquet",
    )
    root = f"{tmp_path}/date=2020-01-01/month=2020-01"
    for path in (*kept, "scenes/area=update=2020-01-01/date=2024-02-29/S2A.tif"):
        storage.write_bytes(storage.join(root, path), b"x")
    code, out = run("--root", root, "clean", "--before", "2024-03-01", "--yes")
    assert code == 0 and "scenes: 1 days or months, 1 B, 2024-02-29 to 2024-02-29" in out
    assert sorted(
        path.removeprefix(f"{root}/") for path in storage.list_files(root) if not path.endswith(".lock")
    ) == sorted(kept)


def test_of_a_link_to_a_day_the_link_goes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "archive" / "2024-02-29"
    elsewhere.mkdir(parents=True)
    (elsewhere / "S2A.tif").write_bytes(b"x")
    (area := tmp_path / "root" / "scenes" / "area=dune").mkdir(parents=True)
    (area / "date=2024-02-29").symlink_to(elsewhere)
    assert run("--root", str(tmp_path / "root"), "clean", "--before", "2024-03-01", "--yes")[0] == 0
    assert not (area / "date=2024-02-29").is_symlink() and (elsewhere / "S2A.tif").exists()


def test_a_manifest_that_never_came_is_written_from_the_file(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = (OBSERVATIONS, f"{root}/observations", {"gas": "ch4", "key": "2025-08-01"})
    path = storage.write_partition(*place, OBSERVATIONS.empty(), inputs=["old"])
    manifest = storage.read_bytes(f"{path}/{storage.MANIFEST}")
    storage.write_partition(*place, OBSERVATIONS.empty(), inputs=["new"])
    storage.write_bytes(f"{path}/{storage.MANIFEST}", manifest)
    assert "manifests" not in run("--root", root, "clean")[1], "it may still come"
    monkeypatch.setattr(cleaning, "LEFT_AFTER", timedelta(seconds=-60))
    code, out = run("--root", root, "clean")
    assert code == 0 and "didn't come to write: 1;" in out and "--yes removes it and writes the manifests." in out
    assert storage.read_bytes(f"{path}/{storage.MANIFEST}") == manifest
    assert run("--root", root, "clean", "--yes")[0] == 0
    assert (storage.read_manifest(path) or {})["inputs"] == ["new"]
    assert "manifests" not in run("--root", root, "clean")[1]
