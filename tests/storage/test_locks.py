"""One writer at a time: several writers' rows, locks that are held, stale or removed."""

from __future__ import annotations

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from plumewatch import storage
from plumewatch.errors import LockTimeout
from plumewatch.storage import locks
from plumewatch.storage.buckets import Buckets
from plumewatch.tables import OBSERVATIONS
from stored_rows import observations


def test_each_of_several_writers_replaces_only_its_own_rows(root: str) -> None:
    def write(area: str, n: int) -> None:
        storage.replace_rows(
            OBSERVATIONS,
            f"{root}/observations",
            {"gas": "ch4", "key": "2025-01-01"},
            observations(area, n),
            lambda rows: pc.equal(rows["area"], area),
        )

    write("a", 1)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: write(f"w{i}", 3), range(6)))
    write("a", 2)
    areas = storage.read_table(OBSERVATIONS, f"{root}/observations")["area"].to_pylist()
    assert sorted(areas) == sorted(["a"] * 2 + [f"w{i}" for i in range(6) for _ in range(3)])
    assert not storage.list_files(f"{root}/observations", storage.LOCK)


def test_who_waits_too_long_for_a_lock_is_told(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT_S", 0.1)
    with storage.lock(f"{root}/p"):
        with pytest.raises(LockTimeout, match="another writer held the lock"), storage.lock(f"{root}/p"):
            pass
        with storage.lock(f"{root}/other"):
            assert storage.exists(f"{root}/p/{storage.LOCK}")
    with storage.lock(f"{root}/p"):
        assert storage.exists(f"{root}/p/{storage.LOCK}")


def test_a_stale_lock_on_s3_is_taken_over(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_bytes(f"{s3_root}/p/.lock", b"left by a process that died")
    monkeypatch.setattr(locks, "LOCK_TIMEOUT_S", 1.0)
    monkeypatch.setattr(locks, "STALE_LOCK_AGE_S", -60.0)
    with storage.lock(f"{s3_root}/p"):
        assert storage.read_bytes(f"{s3_root}/p/.lock") != b"left by a process that died"
    assert not storage.exists(f"{s3_root}/p/.lock")


def test_a_lock_on_s3_that_is_held_for_long_is_not_stale(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "STALE_LOCK_AGE_S", 1.5)  # S3 states times in whole seconds
    monkeypatch.setattr(locks, "REFRESH_S", 0.3)
    monkeypatch.setattr(locks, "LOCK_TIMEOUT_S", 4.0)
    with storage.lock(f"{s3_root}/p"), pytest.raises(LockTimeout), storage.lock(f"{s3_root}/p"):
        pass
    assert not storage.exists(f"{s3_root}/p/.lock")


def test_a_lock_that_was_removed_before_it_was_had_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held it has removed the folder's files, between this one's look at the file and its lock on it."""
    flock, asked = fcntl.flock, []

    def flock_of_a_removed_file(file: Any, operation: int) -> None:
        if not asked:
            Path(file.name).unlink()
        asked.append(operation)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock_of_a_removed_file)
    with storage.lock(str(tmp_path)):
        assert (tmp_path / storage.LOCK).exists() and len(asked) == 2


def test_a_lock_that_a_killed_holder_left_is_had_and_goes(tmp_path: Path) -> None:
    (tmp_path / storage.LOCK).touch()
    with storage.lock(str(tmp_path)):
        assert (tmp_path / storage.LOCK).exists()
    assert not (tmp_path / storage.LOCK).exists()


def test_a_lock_whose_folder_was_made_anew_by_another_is_the_others(tmp_path: Path) -> None:
    with storage.lock(str(tmp_path)):
        (tmp_path / storage.LOCK).unlink()
        (tmp_path / storage.LOCK).touch()
    assert (tmp_path / storage.LOCK).exists()


def test_a_bucket_that_refuses_to_let_go_costs_no_work(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RELEASE_PAUSE_S", 0.0)
    refused: list[str] = []
    call = Buckets._call_s3

    async def refuse(fs: Buckets, method: str, *options: Any, **named: Any) -> Any:
        if method == "delete_object" and (named["Key"].endswith("/p/.lock") or not refused):
            refused.append(named["Key"])
            raise PermissionError("no")
        return await call(fs, method, *options, **named)

    monkeypatch.setattr(Buckets, "_call_s3", refuse)
    with storage.lock(f"{s3_root}/p"):
        storage.write_bytes(f"{s3_root}/p/done", b"work")
    assert len(refused) == locks.RELEASE_TRIES and storage.exists(f"{s3_root}/p/.lock")
    refused.clear()
    with storage.lock(f"{s3_root}/q"):
        pass
    assert len(refused) == 1 and not storage.exists(f"{s3_root}/q/.lock"), "the second try has removed it"
