"""The frame of every Spark job: arguments, log on standard error, one JSON line at the end, exit codes.

Exit codes: 0 all good; 1 nothing could be done, for a reason that one line names; 2 bad arguments; 3 some files were
bad, the good ones went through. A crash ends with 1 too, with its traceback; its last line says whether to try again.
A service that shows neither code nor output, as EMR Serverless, is asked for a file with both (`--answer-path`); where
that is written, the process itself ends with 0, as such services take any other code for a crash.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import NoReturn, TypeVar

from botocore.exceptions import BotoCoreError, NoCredentialsError

from plumewatch import storage
from plumewatch.errors import PlumewatchError, may_be_a_bug, may_heal, redact
from plumewatch.failures import Condition, FailureBook, never
from plumewatch.keys import AS_WRITTEN, DAY, MONTH, is_key
from plumewatch.models import FailedScene
from plumewatch.settings import export_aws_settings

EXIT_GOOD, EXIT_NOTHING_DONE, EXIT_BAD_ARGUMENTS, EXIT_SOME_BAD = 0, 1, 2, 3
MANUAL = "manual"
TRY_AGAIN = "may heal when tried again: "
"""Begins the line of exit 1 where a second try makes sense."""

log = logging.getLogger("plumewatch.jobs")


Number = TypeVar("Number", int, float)

KeyedFailure = tuple[str, FailedScene]
"""A failure and the partition key that it happened in."""


@dataclass(frozen=True)
class JobResult:
    """What a job did."""

    rows_read: int
    """Rows (for rasters: pixels) that were read."""
    rows_written: int
    """Rows that were written."""
    failed: int = 0
    """Files, scenes or partitions that could not be used."""

    def __add__(self, other: JobResult) -> JobResult:
        read, written = self.rows_read + other.rows_read, self.rows_written + other.rows_written
        return JobResult(read, written, self.failed + other.failed)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say under whose name failed inputs are recorded."""
    group = parser.add_argument_group("who runs it (for the table failed_scenes)")
    group.add_argument("--dag-id", default=MANUAL, help="partition dag_id (default: %(default)s)")
    group.add_argument("--run-id", default=MANUAL, help="column run_id (default: %(default)s)")
    group.add_argument("--key", help="partition key (default: the partition that failed)")
    group.add_argument("--answer-path", help="file for the exit code and the last line, where neither can be read")


def day(text: str) -> str:
    """Return an argument that is a UTC date."""
    return _key(text, DAY)


def month(text: str) -> str:
    """Return an argument that is a month."""
    return _key(text, MONTH)


def _key(text: str, form: str) -> str:
    if not is_key(text, form):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: {AS_WRITTEN[form]}")
    return text


def number(kind: Callable[[str], Number], fits: Callable[[Number], bool], allowed: str) -> Callable[[str], Number]:
    """Return the type of an argument that is a number which `fits`; `allowed` says in words which do.

    >>> number(float, lambda metres: metres > 0, "metres above 0")("20")
    20.0
    """

    def parse(text: str) -> Number:
        with suppress(ValueError):
            if fits(value := kind(text)):
                return value
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: {allowed}")

    return parse


def settle(
    arguments: argparse.Namespace,
    output_root: str,
    failures: Iterable[KeyedFailure] = (),
    keys: Iterable[str] = (),
    is_over: Condition = never,
) -> None:
    """Record failed inputs beside the output root, under the caller's name, and heal what is over.

    Each failure comes with the partition key that it happened in; `keys` are further ones that were looked at. The
    argument `--key` goes before them.
    """
    by_key: dict[str, dict[FailedScene, None]] = {arguments.key or key: {} for key in keys}
    for key, failure in failures:
        by_key.setdefault(arguments.key or key, {})[failure] = None
    book = FailureBook(storage.parent(output_root), arguments.dag_id, arguments.run_id)
    for key in sorted(by_key):
        book.settle(key, list(by_key[key]), is_over)


def main(
    parse_arguments: Callable[[list[str] | None], argparse.Namespace],
    run: Callable[[argparse.Namespace], JobResult],
) -> NoReturn:
    """Run a job from the command line and exit."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    arguments = parse_arguments(None)
    started = time.monotonic()
    try:
        _make_paths_absolute(arguments)
        export_aws_settings()
        result = run(arguments)
    except PlumewatchError as error:
        if may_be_a_bug(error):
            log.info("how it came to this:", exc_info=True)
        _end(arguments, f"{TRY_AGAIN}{error}" if error.is_retryable else str(error))
    except NoCredentialsError as error:
        allowed = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or the connection aws_default"
        _end(arguments, f"{error}; allowed: {allowed}")
    except BotoCoreError as error:  # a bucket's service is away
        _end(arguments, f"{TRY_AGAIN}{type(error).__name__}: {error}")
    except OSError as error:
        _end(arguments, f"{TRY_AGAIN if may_heal(error) else ''}{type(error).__name__}: {error}")
    except Exception:
        log.exception("the job has crashed")
        _end(arguments, f"{TRY_AGAIN}the job has crashed; the traceback is above")
    summary = json.dumps({**asdict(result), "seconds": round(time.monotonic() - started, 3)})
    print(summary, flush=True)  # noqa: T201 - the one line of standard output that callers read
    _answer(arguments, EXIT_SOME_BAD if result.failed else EXIT_GOOD, summary)


def _make_paths_absolute(arguments: argparse.Namespace) -> None:
    """Local paths are relative to where the job is called, also for workers elsewhere; addresses are read once."""
    for name, value in vars(arguments).items():
        if name.endswith("_path") and value is not None:
            many = [
                storage.absolute(storage.stated_path(path)) for path in (value if isinstance(value, list) else [value])
            ]
            setattr(arguments, name, many if isinstance(value, list) else many[0])


def _end(arguments: argparse.Namespace, reason: str) -> NoReturn:
    reason = redact(" ".join(reason.split()))
    print(reason, file=sys.stderr, flush=True)  # noqa: T201 - the one line of exit 1
    _answer(arguments, EXIT_NOTHING_DONE, reason)


def _answer(arguments: argparse.Namespace, code: int, last_line: str) -> NoReturn:
    """End with the code; where it is asked for in a file, it is there, and the process has done what it was asked."""
    if path := vars(arguments).get("answer_path"):
        storage.write_bytes(path, json.dumps({"code": code, "last_line": last_line}).encode())
        sys.exit(EXIT_GOOD)
    sys.exit(code)
