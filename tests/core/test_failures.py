"""The table of failures: merged by area, scene and stage, healed, without secrets."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plumewatch import storage
from plumewatch.errors import InputError, ServiceError, may_heal, reading, redact
from plumewatch.failures import FailureBook, NothingDone, went_through
from plumewatch.models import FailedScene

DAG, KEY = "sentinel2_daily_ingest", "2025-08-24"


def failure(scene: str = "s1", stage: str = "fetch_scene", **changes: object) -> FailedScene:
    return FailedScene.from_exception(
        InputError("x.tif", "12 bytes", "a GeoTIFF"), scene_id=scene, stage=stage, area="a", **changes
    )  # type: ignore[arg-type]


def test_one_row_per_area_scene_and_stage(storage_root: str) -> None:
    book = FailureBook(storage_root, DAG, "run1")
    book.settle(KEY, [failure(), failure("s2")])
    first = book.rows(KEY)[0]
    FailureBook(storage_root, DAG, "run2").settle(KEY, [failure(attempts=3)])
    rows = book.rows(KEY)
    assert [(r["scene_id"], r["run_id"], r["attempts"]) for r in rows] == [("s1", "run2", 3), ("s2", "run1", 1)]
    assert rows[0]["first_failed_at_utc"] == first["first_failed_at_utc"] < rows[0]["last_failed_at_utc"]
    assert rows[0]["is_retryable"] is False and rows[0]["asset"] == "x.tif"


def test_healed_and_failed_again(storage_root: str) -> None:
    book = FailureBook(storage_root, DAG, "run1")
    book.settle(KEY, [failure()])
    book.settle(KEY, is_over=went_through("fetch_scene", [("a", "s1"), ("a", "never failed")]))
    [row] = book.rows(KEY)
    assert row["healed_at_utc"] is not None and book.open_rows(KEY) == []
    book.settle(KEY, [failure()])
    assert [row["healed_at_utc"] for row in book.rows(KEY)] == [None]


def test_healing_one_stage_leaves_the_other(storage_root: str) -> None:
    book = FailureBook(storage_root, DAG, "run1")
    book.settle(KEY, [failure(), failure(stage="pixels")])
    book.settle(KEY, is_over=went_through("pixels", [("a", "s1")]))
    assert [row["healed_at_utc"] is None for row in book.rows(KEY)] == [True, False]


def test_what_fails_now_is_not_over_and_nothing_is_written_for_nothing(storage_root: str) -> None:
    book = FailureBook(storage_root, DAG, "run1")
    book.settle(KEY, is_over=lambda row: True)
    assert not storage.exists(storage_root)
    book.settle(KEY, [failure(), failure("s2")])
    book.settle(KEY, [failure()], is_over=lambda row: True)
    assert [row["scene_id"] for row in book.open_rows(KEY)] == ["s1"]


def test_a_run_tells_its_own_failures_from_others(storage_root: str) -> None:
    first, second = (FailureBook(storage_root, DAG, run) for run in ("run1", "run2"))
    first.settle(KEY, [failure()])
    second.settle(KEY, [failure("s2")])
    assert [row["scene_id"] for row in second.open_rows_of_run(KEY)] == ["s2"]
    assert len(second.open_rows(KEY)) == 2


def test_nothing_done_may_heal_where_one_of_its_failures_may() -> None:
    busy = FailedScene.from_exception(ServiceError("busy", 503), scene_id="s3", stage="fetch_scene")
    assert NothingDone([failure(), busy]).is_retryable and not NothingDone([failure()]).is_retryable
    assert str(NothingDone([failure(), busy])) == "a s1: x.tif: 12 bytes; allowed: a GeoTIFF (and 1 more)"


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [(PermissionError("no"), False), (FileNotFoundError("x"), False), (ConnectionResetError("gone"), True),
     (ValueError("odd"), True), (InputError("f", "x", "y"), False), (ServiceError("busy", 503), True)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_lasting_answers_are_final_and_what_nobody_knows_may_heal(error: Exception, is_retryable: bool) -> None:
    assert FailedScene.from_exception(error, scene_id="s", stage="pixels").is_retryable is is_retryable


def test_retryable_is_what_the_service_says() -> None:
    kinds = {None: True, 404: False, 403: False, 429: True, 500: True, 503: True}
    assert {status: ServiceError("x", status).is_retryable for status in kinds} == kinds


TROUBLES = [
    MemoryError("full"),
    *(OSError(number, os.strerror(number)) for number in (
        errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EDQUOT, errno.ENOMEM, errno.EBUSY,
        errno.ETIMEDOUT, errno.ECONNRESET, errno.EAGAIN, errno.EINTR, errno.ENODEV, errno.EHOSTDOWN)),
    TimeoutError("silent"), ConnectionResetError("gone"),
]  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES, ids=repr)
def test_the_machine_s_trouble_is_not_the_file_s(trouble: Exception) -> None:
    for file in ("/data/x.parquet", "file:///data/x.parquet"):
        with pytest.raises(type(trouble)) as caught, reading(file, "a file"):
            raise trouble
        assert caught.value is trouble and may_heal(caught.value)
    expected = MemoryError if isinstance(trouble, MemoryError) else ServiceError
    with pytest.raises(expected) as remote, reading("s3://bucket/x.parquet", "a file"):
        raise trouble
    assert may_heal(remote.value)


OF_A_FILE = [
    *(OSError(number, os.strerror(number)) for number in (
        errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EOVERFLOW,
        errno.ENAMETOOLONG, errno.ELOOP)),
    OSError("Unexpected end of stream"), ValueError("x"), KeyError("x"), RecursionError("deep"), struct.error("x"),
]  # fmt: skip


@pytest.mark.parametrize("error", OF_A_FILE, ids=repr)
def test_what_a_file_is_to_blame_for_is_an_input_error(error: Exception) -> None:
    for file in ("/data/x.parquet", "s3://bucket/x.parquet"):
        with pytest.raises(InputError, match=r"x\.parquet: ") as caught, reading(file, "a file"):
            raise error
        assert caught.value.__cause__ is error


SECRET = st.text(alphabet="abcXYZ0189", min_size=12, max_size=40)


@given(SECRET)
def test_no_secret_gets_into_a_row(secret: str) -> None:
    texts = [
        f"GET https://h/x.tif?se=1&sig={secret}",
        f"Authorization: Bearer {secret}",
        f"client_secret={secret}",
        f"https://user:{secret}@h/x",
        f"?X-Amz-Signature={secret}&x=1",
        f"sc://spark:15002/;token={secret}",
        f"{{'client_secret': '{secret}'}}",
        f'"token": "{secret}"',
        f"https://h/items?key={secret}&x=1",
        f"https://h/items?subscription-key={secret}",
        f"https://h/x.tif?X-Goog-Signature={secret}",
        f"https://{secret}@h/x",
        f"https://user:a@{secret}@h/x",
        f"SH_CLIENT_SECRET={secret}",
    ]
    assert all(secret not in redact(text) for text in texts)
