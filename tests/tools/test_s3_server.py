"""The local S3 server keeps the one promise that locks are built on: of several conditional writers one wins."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from tools import s3_server
from tools.s3_server import BUCKET, S3Server, S3ServerMissing, find_versitygw, present_versitygw

N_WRITERS = 12


def test_a_conditional_put_has_one_winner(s3_root: str) -> None:
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    bucket, _, prefix = s3_root.removeprefix("s3://").partition("/")

    def put(writer: int) -> bool:
        try:
            fs.call_s3("put_object", Bucket=bucket, Key=f"{prefix}/key", Body=str(writer).encode(), IfNoneMatch="*")
        except FileExistsError:
            return False
        except OSError as error:
            assert "PreconditionFailed" in str(error) or "pre-conditions" in str(error), error
            return False
        return True

    with ThreadPoolExecutor(N_WRITERS) as pool:
        won = list(pool.map(put, range(N_WRITERS)))
    assert won.count(True) == 1
    assert fs.cat_file(f"{bucket}/{prefix}/key") == str(won.index(True)).encode()


def test_the_bucket_is_there_from_the_start(s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    assert fsspec.filesystem("s3", skip_instance_cache=True).exists(BUCKET)


def test_credentials_are_generated_kept_and_private(tmp_path: Path) -> None:
    first, again, other = (S3Server(tmp_path / name, 7070).client_environment() for name in ("a", "a", "b"))
    assert first == again and first["AWS_SECRET_ACCESS_KEY"] != other["AWS_SECRET_ACCESS_KEY"]
    assert stat.S_IMODE((tmp_path / "a-credentials.json").stat().st_mode) == 0o600


def test_without_the_program_and_without_go_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_server, "BINARY", tmp_path / "versitygw")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert present_versitygw() is None
    with pytest.raises(S3ServerMissing, match="install Go"):
        find_versitygw()


def test_a_program_on_the_path_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "versitygw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_versitygw() == program
