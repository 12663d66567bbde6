"""Reads changed and made files by the library's own readers, in processes of their own with a limit of memory.

    python tests/readers/trials.py FOLDER [--cases 1000] [--made 400] [--seed 20] [--only NAME]

writes FOLDER/READER.json: what came of each reader's files; with include, tests, tests/readers, tests/oco2 and
tests/wind on the PYTHONPATH. Of the cases of a reader so many are made (structures.py), and the others are a good file
with bytes changed (mutated_files.py). A process that hangs, or that a library crashes, costs the case that it was at,
and another one goes on with the next; what wasn't read or refused by name is kept as FOLDER/READER/NUMBER.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from mutated_files import mutated, mutated_json
from plumewatch.errors import PlumewatchError
from structures import made_like

MEMORY_BYTES = 2 << 30
TIME_S = 30
MOST_DEATHS = 20  # of processes of one reader
OUT_OF_MEMORY = ("(MemoryError", "bad_alloc")  # pyarrow itself asks before it takes what a page says to need
GOOD = ("read", "refused")
HANG, KILLED, UNNAMED = "hang", "killed", "unnamed"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """One kind of file, and who reads it."""

    write: Callable[[Path], Path]
    """Writes a good one, with what belongs to it, into a folder."""
    read: Callable[[Path], object]
    """Reads it, given its path, as the library does."""
    called: Callable[[Path], str] = str
    """What messages call it, where that is not by its name or folder."""
    refers: Callable[[Path], Sequence[str]] = lambda path: ()
    """Other files that a changed one may name, and whose faults are told by their names."""


@dataclass(frozen=True)
class Plan:
    """What each reader is given."""

    n_cases: int
    """Files."""
    n_made: int
    """Of these, drawn by hypothesis; as many as it finds different ones."""
    seed: int
    """A case is the same for the same seed and number."""


class _Trials:
    """The cases of one reader, from one of them on."""

    def __init__(self, reader: Reader, plan: Plan, folder: Path, first: int) -> None:
        self._reader, self._plan, self._folder, self._first = reader, plan, folder, first
        shutil.rmtree(folder / "files", ignore_errors=True)
        (folder / "files").mkdir(parents=True)
        self._path = reader.write(folder / "files")
        self._good = self._path.read_bytes()
        reader.read(self._path)

    def run(self) -> None:
        n_made = self._try_made() if self._plan.n_made else 0
        for number in range(max(n_made, self._first), self._plan.n_cases):
            rng = random.Random(f"{self._plan.seed} {number}")
            is_json = self._path.suffix == ".json" and number % 4
            self._try(number, mutated_json(self._good, rng) if is_json else mutated(self._good, rng))

    def _try_made(self) -> int:
        """Try made files and return how many there were; those before the first are drawn and left."""
        n_made = 0

        @seed(self._plan.seed)
        @settings(max_examples=self._plan.n_made, phases=[Phase.generate], database=None, deadline=None,
                  suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet)  # fmt: skip
        @given(made_like(self._path, self._good))
        def try_one(content: bytes) -> None:
            nonlocal n_made
            if self._first <= n_made < self._plan.n_cases:
                self._try(n_made, content)
            n_made += 1

        try_one()
        return n_made

    def _try(self, number: int, content: bytes) -> None:
        self._path.write_bytes(content)
        (self._folder / "last").write_text(f"{number} {self._path}")
        began = time.perf_counter()
        signal.alarm(TIME_S)
        outcome, said = self._outcome()
        signal.alarm(0)
        if outcome not in GOOD:
            (self._folder / str(number)).write_bytes(content)
        line = {"number": number, "outcome": outcome, "said": said[:2000], "seconds": time.perf_counter() - began}
        with (self._folder / "outcomes").open("a") as out:
            out.write(json.dumps(line) + "\n")

    def _outcome(self) -> tuple[str, str]:
        try:
            self._reader.read(self._path)
        except PlumewatchError as error:
            said, path = str(error), self._path
            names = (path.name, str(self._folder), self._reader.called(path), *self._reader.refers(path))
            is_named = any(name in said for name in names)
            return "refused" if is_named and not any(word in said for word in OUT_OF_MEMORY) else UNNAMED, said
        except Exception as error:
            log.exception("%s", self._path)
            return f"raw {type(error).__name__}", f"{error}\n{traceback.format_exc()[-1500:]}"
        return "read", ""


def try_reader(name: str, reader: Reader, plan: Plan, results: Path) -> None:
    """Give a reader its files, and write what came of them."""
    folder = results / name
    folder.mkdir(parents=True)
    most_mb, first = 0.0, 0
    for _ in range(MOST_DEATHS):
        status, grown_mb = _in_process(reader, plan, folder, first)
        most_mb = max(most_mb, grown_mb)
        if status == 0:
            break
        last = folder / "last"
        if os.WIFEXITED(status) or not last.exists():  # a fault of the trials, not of a file
            raise SystemExit(f"{name}: its process ended with status {status}")
        number, _, file = last.read_text().partition(" ")
        last.unlink()
        shutil.copy(file, folder / number)
        first, by = int(number) + 1, os.WTERMSIG(status)
        outcome = HANG if by == signal.SIGALRM else KILLED
        line = {"number": int(number), "outcome": outcome, "said": f"signal {by}", "seconds": TIME_S}
        with (folder / "outcomes").open("a") as out:
            out.write(json.dumps(line) + "\n")
    (results / f"{name}.json").write_text(json.dumps(_summed_up(folder) | {"most_mb": round(most_mb)}))
    shutil.rmtree(folder / "files")


def _summed_up(folder: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "outcomes").read_text().splitlines()]
    examples: dict[str, str] = {}
    for line in lines:
        examples.setdefault(line["outcome"], f"case {line['number']}: {line['said']}")
    outcomes = Counter(line["outcome"] for line in lines)
    return {"outcomes": outcomes, "examples": examples, "slowest_s": max(line["seconds"] for line in lines)}


def _in_process(reader: Reader, plan: Plan, folder: Path, first: int) -> tuple[int, float]:
    """Go through the cases from `first` on in a process; return its status, and by how many MB it grew."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before_kb = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
        code = 1
        try:
            _Trials(reader, plan, folder, first).run()
            code = 0
        except BaseException:  # noqa: BLE001 - the process ends without its parent's handlers
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    return status, max(0, usage.ru_maxrss - before_kb) / 1024


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--made", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only")
    asked = parser.parse_args()
    from readers import READERS

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    plan = Plan(asked.cases, asked.made, asked.seed)
    for name, reader in READERS.items():
        if asked.only in (None, name):
            began = time.monotonic()
            try_reader(name, reader, plan, asked.folder)
            print(f"{name}: {asked.cases} files, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
