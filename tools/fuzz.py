"""`make fuzz [N=1000] [ONLY=granule] [SEED=20]`: N broken and odd files for each reader of files that others write.

Two fifths are made by hypothesis, well formed and unexpected; the others are good files with bytes changed. Each must
be read, or refused by an error of ours that names the file, within 30 s and 2 GiB. Exit code 1 where one wasn't; it
stays in build/fuzz/READER/NUMBER, and READER.json has what was said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.checkout import CHECKOUT

FOLDER = CHECKOUT / "build" / "fuzz"
MADE = 0.4
"""Share of the files that is made, not changed."""
COLUMNS = ("reader", "cases", "read", "refused by name", "unnamed or raw", "hangs", "killed", "slowest s", "most MB")
GOOD = ("read", "refused")
PLACES = ("include", "tests", "tests/readers", "tests/oco2", "tests/wind")


def run_trials(
    folder: Path, n_cases: int, n_made: int, seed: int, only: str | None = None, *, is_shown: bool = False
) -> subprocess.CompletedProcess[str]:
    """Give all readers, or one, their files, and have what came of them written into a folder.

    What is said meanwhile, a line a reader, is shown or kept.
    """
    program = [sys.executable, str(CHECKOUT / "tests" / "readers" / "trials.py"), str(folder)]
    numbers = {"--cases": n_cases, "--made": n_made, "--seed": seed}
    options = [f"{name}={value}" for name, value in numbers.items()] + ([f"--only={only}"] if only else [])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(CHECKOUT / place) for place in PLACES)}
    kept = None if is_shown else subprocess.PIPE
    return subprocess.run([*program, *options], cwd=CHECKOUT, env=environment, stderr=kept, text=True, check=False)


def table(folder: Path) -> tuple[list[str], int]:
    """Return what came of the readers as lines of Markdown, the last for all, and how many files went wrong."""
    rows = [_row(path) for path in sorted(folder.glob("*.json"))]
    sums = [sum(column) for column in zip(*(row.counts for row in rows), strict=True)]
    rows.append(_Row("all", sums, max(row.slowest_s for row in rows), max(row.most_mb for row in rows)))
    texts = [COLUMNS, ("---",) * len(COLUMNS), *(row.texts for row in rows)]
    return [f"| {' | '.join(row)} |" for row in texts], sum(sums[3:])


@dataclass(frozen=True)
class _Row:
    name: str
    counts: Sequence[int]
    """Cases, read, refused by name, otherwise, hung, killed."""
    slowest_s: float
    most_mb: float

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.name, *(f"{n:,}" for n in self.counts), f"{self.slowest_s:.1f}", f"{self.most_mb:,.0f}")


def _row(path: Path) -> _Row:
    result = json.loads(path.read_text())
    outcomes = result["outcomes"]
    read, refused, hangs, killed = (outcomes.get(name, 0) for name in (*GOOD, "hang", "killed"))
    n_cases = sum(outcomes.values())
    counts = (n_cases, read, refused, n_cases - read - refused - hangs - killed, hangs, killed)
    return _Row(path.stem, counts, result["slowest_s"], result["most_mb"])


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="files for each reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only", help="one reader, by its name in the table")
    asked = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    began = time.monotonic()
    done = run_trials(FOLDER, asked.cases, round(MADE * asked.cases), asked.seed, asked.only, is_shown=True)
    if done.returncode or not any(FOLDER.glob("*.json")):
        sys.exit(f"not done. ONLY={asked.only}; allowed: a name in tests/readers/readers.py")
    lines, n_bad = table(FOLDER)
    print("\n".join(lines))
    print(f"{time.monotonic() - began:.0f} s; {n_bad} files weren't read or refused by name in time and memory")
    for path in sorted(FOLDER.glob("*.json")):
        for what, said in json.loads(path.read_text())["examples"].items():
            if what not in GOOD:
                print(f"{path.stem}: {what}: {said}")
    return int(n_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
