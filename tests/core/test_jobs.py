"""How a job ends: one line for what a disk, a bucket or an argument answers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from plumewatch import jobs
from plumewatch.settings import Settings


def end(capsys: pytest.CaptureFixture[str], run: Callable[[argparse.Namespace], jobs.JobResult], path: str) -> str:
    """The lines on standard error of a job that ends with 1."""
    with pytest.raises(SystemExit) as ended:
        jobs.main(lambda _: argparse.Namespace(soundings_path=path), run)
    assert ended.value.code == jobs.EXIT_NOTHING_DONE
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError("Access Denied"), "PermissionError: Access Denied"),
        (ConnectionResetError("reset"), f"{jobs.TRY_AGAIN}ConnectionResetError: reset"),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:9/bucket/table"),
            f"{jobs.TRY_AGAIN}EndpointConnectionError: Could not connect to the endpoint URL:"
            ' "http://127.0.0.1:9/bucket/table"',
        ),
    ],
)
def test_what_the_storage_refuses_is_one_line(capsys: pytest.CaptureFixture[str], error: Exception, line: str) -> None:
    def run(_: argparse.Namespace) -> jobs.JobResult:
        raise error

    assert end(capsys, run, "soundings") == f"{line}\n"


def test_storage_of_another_kind_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = end(capsys, lambda _: sys.exit(5), "gs://bucket/soundings")
    assert said.startswith("gs://bucket/soundings: storage of kind 'gs'; allowed: a folder, file:///folder or s3://")
    assert said.count("\n") == 1


def test_no_credentials_is_one_line_that_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: argparse.Namespace) -> jobs.JobResult:
        raise NoCredentialsError

    said = end(capsys, run, "soundings")
    assert said.startswith("Unable to locate credentials; allowed: AWS_ACCESS_KEY_ID") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("file:///data/my%20files", "/data/my files"),
        ("file://localhost/data/a%23b%3Fc", "/data/a#b?c"),
        ("file:///data/%C3%BC", "/data/\u00fc"),
        ("file:///data/100%25", "/data/100%"),
        ("file:///data/a b#c?d", "file:///data/a b#c?d"),
        ("/data/my%20files", "/data/my%20files"),
        ("/data/a b#c?d[e]*\u00fc", "/data/a b#c?d[e]*\u00fc"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b"),
    ],
)
def test_an_address_of_a_file_is_decoded_once_and_a_path_never(given: str, meant: str) -> None:
    seen = []

    def run(arguments: argparse.Namespace) -> jobs.JobResult:
        seen.extend([arguments.soundings_path, *arguments.areas_path])
        return jobs.JobResult(0, 0)

    with pytest.raises(SystemExit):
        jobs.main(lambda _: argparse.Namespace(soundings_path=given, areas_path=[given]), run)
    assert seen == [meant, meant]
    assert Settings(storage_root=given).storage_root == meant


@pytest.mark.parametrize(
    ("result", "code", "line"),
    [
        (jobs.JobResult(3, 2), jobs.EXIT_GOOD, '"rows_written": 2'),
        (jobs.JobResult(3, 2, 1), jobs.EXIT_SOME_BAD, '"failed": 1'),
        (OSError("busy"), jobs.EXIT_NOTHING_DONE, "OSError: busy"),
    ],
)
def test_an_answer_that_is_asked_for_in_a_file_is_the_exit_code_and_the_last_line(
    tmp_path: Path, result: jobs.JobResult | OSError, code: int, line: str
) -> None:
    """The process has then done what it was asked, and ends with 0."""

    def run(_: argparse.Namespace) -> jobs.JobResult:
        if isinstance(result, OSError):
            raise result
        return result

    with pytest.raises(SystemExit) as ended:
        jobs.main(lambda _: argparse.Namespace(answer_path=str(tmp_path / "answer.json")), run)
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert ended.value.code == 0 and answer["code"] == code and line in answer["last_line"]
