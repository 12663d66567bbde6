"""One writer at a time in a folder: flock on a disk, a conditional PUT on S3."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from plumewatch.errors import LockTimeout
from plumewatch.meanwhile import meanwhile
from plumewatch.storage.files import filesystem, is_local

LOCK = ".lock"
STALE_LOCK_AGE_S = 120.0
REFRESH_S = STALE_LOCK_AGE_S / 4  # so often the holder of a lock on S3 says that it is still at work
POLL_S, S3_POLL_S = 0.05, 0.5  # a look at a lock on S3 is two requests
LOCK_TIMEOUT_S = 300.0
RELEASE_TRIES, RELEASE_PAUSE_S = 3, 1.0
REFUSALS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""What S3 servers call the answer to a PUT whose condition doesn't hold."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def lock(path: str, timeout_s: float | None = None) -> Iterator[None]:
    """Hold a folder's lock: flock on a disk, gone with its process; a conditional PUT on S3, taken over when stale.

    Its file goes when it is let go; that of a holder who was killed goes with the next one's. Raises LockTimeout where
    others hold it for so long, LOCK_TIMEOUT_S where None.
    """
    timeout_s = LOCK_TIMEOUT_S if timeout_s is None else timeout_s
    fs, inner = filesystem(path)
    holder = _flock(Path(inner), timeout_s) if is_local(path) else _s3_lock(fs, f"{inner}/{LOCK}", timeout_s)
    with holder:
        yield


@contextlib.contextmanager
def _flock(folder: Path, timeout_s: float) -> Iterator[None]:
    import fcntl

    deadline = time.monotonic() + timeout_s
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = (folder / LOCK).open("w")
        except FileNotFoundError:  # the holder has just removed the folder
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _wait_for_lock(str(folder), deadline, POLL_S)
                continue
            if not _is_still_there(file, folder / LOCK):  # its holder has removed it: it locks nobody out
                continue
            try:
                yield
            finally:
                if _is_still_there(file, folder / LOCK):
                    (folder / LOCK).unlink()
            return


def _is_still_there(file: IO[str], path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


@contextlib.contextmanager
def _s3_lock(fs: Any, key: str, timeout_s: float) -> Iterator[None]:
    token = os.urandom(16).hex().encode()
    deadline = time.monotonic() + timeout_s
    while not _take_s3_lock(fs, key, token):
        _wait_for_lock(f"s3://{key}", deadline, S3_POLL_S)
    try:
        with meanwhile(partial(_refresh, fs, key, token), REFRESH_S):
            yield
    finally:
        _let_go(fs, key, token)


def _let_go(fs: Any, key: str, token: bytes) -> None:
    """Remove a lock, but one that was stale and belongs to whoever took it over.

    Where the bucket refuses, what was done under the lock stands; the next one who wants it waits until it is stale.
    """
    for tries_left in reversed(range(RELEASE_TRIES)):
        try:
            if fs.cat_file(key) == token:
                fs.rm_file(key)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("s3://%s: not let go (%s); it is stale after %.0f s", key, error, STALE_LOCK_AGE_S)
        if tries_left:
            time.sleep(RELEASE_PAUSE_S)


def _refresh(fs: Any, key: str, token: bytes) -> None:
    """Write a lock anew, so that it isn't taken over as stale; one that was is left alone."""
    try:
        if fs.cat_file(key) == token:
            fs.pipe_file(key, token)
    except OSError as error:
        log.warning("s3://%s: not kept fresh (%s)", key, error)


def _take_s3_lock(fs: Any, key: str, token: bytes) -> bool:
    bucket, _, name = key.partition("/")
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=name, Body=token, IfNoneMatch="*")
        return True
    except OSError as error:
        if not _is_held(error):
            raise
        try:
            held = fs.info(key)
        except FileNotFoundError:
            return False
    if time.time() - held["LastModified"].timestamp() < STALE_LOCK_AGE_S:
        return False
    try:
        fs.call_s3("put_object", Bucket=bucket, Key=name, Body=token, IfMatch=held["ETag"])
        return True
    except OSError as error:
        if not _is_held(error):
            raise
        return False  # another writer took the stale lock over first


def _is_held(error: OSError) -> bool:
    """Whether S3 refused a conditional PUT for its condition (412, 409), and not for another reason."""
    answer = getattr(error.__cause__, "response", None) or {}
    code = str(answer.get("Error", {}).get("Code", ""))
    return isinstance(error, FileExistsError) or code in REFUSALS


def _wait_for_lock(what: str, deadline: float, poll_s: float) -> None:
    if time.monotonic() > deadline:
        raise LockTimeout(f"{what}: another writer held the lock until the end of our patience")
    time.sleep(poll_s)
