"""Reads changed files by the library's own readers, each reader in a process of its own with a limit of memory.

    python tests/readers/trials.py FOLDER   # writes FOLDER/READER.json: what came of each reader's files

with include, tests, tests/readers, tests/oco2 and tests/wind on the PYTHONPATH.

A process that a library crashes, or that is stopped as it hangs, leaves `{"died": ...}` and the number of its file.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mutated_files import mutated, mutated_json
from plumewatch.errors import PlumewatchError

N_FILES = 200
MEMORY_BYTES = 2 << 30
TIME_S = 30
OUT_OF_MEMORY = ("(MemoryError", "bad_alloc")  # pyarrow itself asks before it takes what a page says to need


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


def try_reader(reader: Reader, folder: Path, seed: int = 20) -> dict[str, object]:
    """Return how many changed files were read, refused by name, and otherwise, with the first messages of each."""
    folder.mkdir(parents=True)
    path = reader.write(folder)
    good, rng, outcomes = path.read_bytes(), random.Random(seed), Counter[str]()
    examples: dict[str, str] = {}
    reader.read(path)
    slowest_s = 0.0
    for number in range(N_FILES):
        is_json = path.suffix == ".json" and number % 4
        path.write_bytes(mutated_json(good, rng) if is_json else mutated(good, rng))
        (folder.parent / "last").write_text(str(number))
        began = time.perf_counter()
        signal.alarm(TIME_S)
        try:
            reader.read(path)
            outcome, said = "read", ""
        except PlumewatchError as error:
            said = str(error)
            is_named = any(name in said for name in (path.name, str(folder), reader.called(path)))
            outcome = "refused" if is_named and not any(word in said for word in OUT_OF_MEMORY) else "unnamed"
        except Exception as error:
            log.exception("%s", path)
            outcome, said = f"raw {type(error).__name__}", str(error)
        signal.alarm(0)
        slowest_s = max(slowest_s, time.perf_counter() - began)
        outcomes[outcome] += 1
        examples.setdefault(outcome, f"file {number}: {said[:300]}")
    return {"outcomes": dict(outcomes), "examples": examples, "slowest_s": slowest_s, "cpu_s": time.process_time()}


def _try_in_process(name: str, reader: Reader, results: Path) -> None:
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
        code = 1
        try:
            result = try_reader(reader, results / name / "files")
            (results / f"{name}.json").write_text(json.dumps(result))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        last = results / name / "last"
        at = last.read_text() if last.exists() else "none"
        died = {"died": f"signal {os.WTERMSIG(status)}, status {status}, at file {at}"}
        (results / f"{name}.json").write_text(json.dumps(died))


if __name__ == "__main__":
    from readers import READERS

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for name, reader in READERS.items():
        _try_in_process(name, reader, Path(sys.argv[1]))
