"""What may befall a working installation."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tools.airflow_client import AirflowClient, AirflowError
from tools.checkout import DEMO
from tools.demo import INGEST
from tools.faults.spoiled_s3 import ANSWERS, KINDS, Trouble
from tools.processes import marked_processes, signal_quietly, tops

TROUBLE_S = 15.0
"""How long a bucket is out of order."""
TROUBLE_SHARE = 0.1
"""Of its requests that go wrong meanwhile."""
WORKER = "LocalExecutor"
"""What the title of an executor's worker says; one without work says that it is idle."""
IDLE = "<idle>"
FILLING = bytes(2**20)


@dataclass(frozen=True)
class Field:
    """What is struck."""

    client: AirflowClient
    days: Sequence[str]
    """Those that are worked on."""
    trouble: Path
    """The file that spoils the bucket."""
    disk: Path | None
    """The S3 server's, small enough to be filled; None where none could be mounted."""
    random: random.Random


@dataclass(frozen=True)
class Strike:
    """One kind of fault."""

    name: str
    begin: Callable[[Field], str | None]
    """Do it; return what was done, or None where there was nothing to strike: it is tried again a moment later."""
    end: Callable[[Field], None] | None = None
    """What is to be done after TROUBLE_S."""


def strikes(has_disk: bool) -> list[Strike]:
    """Return all kinds; a full disk where there is one that may be filled."""
    kinds = [
        Strike("kill -9 of a task", lambda field: _kill_one(field, _tasks())),
        Strike("kill -9 of a worker at work", lambda field: _kill_one(field, _workers(is_idle=False))),
        Strike("kill -9 of the idle workers", lambda field: _kill_all(_workers(is_idle=True))),
        *(
            Strike(f"kill -9 of the {name}", partial(_kill_service, name))
            for name in ("scheduler", "dag-processor", "triggerer", "api-server", "s3-server")
        ),
        Strike("kill -9 of Spark's driver", partial(_kill_service, "spark")),
        Strike("kill -9 of a Python worker of Spark", lambda field: _kill_one(field, _below(_service("spark")))),
        *(Strike(f"S3: {kind} for {TROUBLE_SHARE:.0%}", partial(_spoil, [kind]), _mend) for kind in KINDS),
        Strike(f"S3: all of these for {TROUBLE_SHARE:.0%}", partial(_spoil, KINDS), _mend),
        Strike("the same days by a second backfill", _backfill_again),
        Strike("one day by two more runs", _trigger_twice),
    ]
    return [*kinds, Strike("the S3 server's disk is full", _fill, _empty)] if has_disk else kinds


def _service(name: str) -> list[psutil.Process]:
    return tops(marked_processes(str(DEMO), name))


def _below(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.Error):
            found += [child for child in process.children(recursive=True) if "pyspark" in _title(child)]
    return found


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # gone meanwhile
        return ""


def _workers(is_idle: bool) -> list[psutil.Process]:
    of_scheduler = marked_processes(str(DEMO), "scheduler")
    titles = {process: _title(process) for process in of_scheduler}
    return [p for p, title in titles.items() if WORKER in title and (IDLE in title) == is_idle]


def _tasks() -> Iterator[psutil.Process]:
    for worker in _workers(is_idle=False):
        with suppress(psutil.Error):
            yield from worker.children()


def _kill_one(field: Field, processes: Sequence[psutil.Process] | Iterator[psutil.Process]) -> str | None:
    found = sorted(processes, key=lambda process: process.pid)
    return _kill_all([field.random.choice(found)]) if found else None


def _kill_all(processes: Sequence[psutil.Process]) -> str | None:
    titles = [f"{process.pid} {_title(process)[:80]}" for process in processes]
    for process in processes:
        signal_quietly(process, psutil.Process.kill)
    return "; ".join(titles) or None


def _kill_service(name: str, field: Field) -> str | None:
    return _kill_all(_service(name))


def _spoil(kinds: Sequence[str], field: Field) -> str:
    Trouble(tuple(kinds), TROUBLE_SHARE).begin(field.trouble)
    return f"for {TROUBLE_S:.0f} s: {', '.join(ANSWERS.get(kind, kind) for kind in kinds)}"


def _mend(field: Field) -> None:
    Trouble.end(field.trouble)


def _fill(field: Field) -> str:
    assert field.disk
    with (field.disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(FILLING)
        except OSError as error:  # others write at the same time: only this says that it is full
            if error.errno != errno.ENOSPC:
                raise
    return f"for {TROUBLE_S:.0f} s"


def _empty(field: Field) -> None:
    assert field.disk
    (field.disk / "filler").unlink()


def _backfill_again(field: Field) -> str:
    try:
        field.client.backfill(INGEST, field.days[0], field.days[-1], max_active_runs=2, reprocess="completed")
    except AirflowError as error:
        return f"refused: {error}"
    return f"{field.days[0]} to {field.days[-1]}"


def _trigger_twice(field: Field) -> str | None:
    day = field.random.choice(list(field.days))
    begun = []
    for _ in range(2):
        with suppress(AirflowError):  # SQLite is locked
            begun.append(field.client.trigger(INGEST, day))
    return f"{day}: {', '.join(begun)}" if begun else None
