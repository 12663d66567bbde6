"""A month of 2.5 million soundings through the job detect_co2_peaks in local[2], and half of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure
from jobs import JOBS, load_job
from orbits import write_month
from plumewatch.spark_session import get_spark

ORBITS, SHARE = 450, 0.08  # 5,500 soundings an orbit
MAX_GROWTH = "<= 1.15"  # of the time a sounding takes when there are twice as many
TURNS = ("warm-up", "half", "whole", "half")
WARM_UP_ORBITS = 10


def month_of_orbits() -> Iterator[Figure]:
    """Soundings a second, without and with the start of Spark, and how the time grows with the soundings."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        sizes = {"whole": ORBITS, "half": ORBITS // 2, "warm-up": WARM_UP_ORBITS}
        n = {name: write_month(Path(folder, name, "soundings"), orbits, SHARE) for name, orbits in sizes.items()}
        job = load_job("detect_co2_peaks")
        get_spark("bench")
        best: dict[str, float] = {}
        for name in TURNS:
            started = time.perf_counter()
            result = job.run(job.parse_arguments(_arguments(Path(folder, name))))
            if result.failed or result.rows_read != n[name]:
                raise RuntimeError(f"{name}: {result}; {n[name]} soundings expected")
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - started)
        with_start_s = _as_command(Path(folder, "whole"))
    note = f"{n['whole']} soundings of {ORBITS} orbits, local[2]"
    rate, with_start = n["whole"] / best["whole"], n["whole"] / with_start_s
    half_rate = n["half"] / best["half"]
    half = f"half a month, {n['half']} soundings"
    yield Figure(
        "a month's peaks, start-up excluded", rate, "soundings/s", half_rate, half, half_rate / rate, MAX_GROWTH, note
    )
    yield Figure(
        "a month's peaks, as a command",
        with_start,
        "soundings/s",
        rate,
        "start-up excluded",
        with_start / rate,
        None,
        note,
    )


def _arguments(root: Path) -> list[str]:
    return ["--soundings-path", f"file://{root}/soundings", "--peaks-path", f"file://{root}/peaks"]


def _as_command(root: Path) -> float:
    """Time in s of the job as a process of its own."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, str(JOBS / "detect_co2_peaks.py"), *_arguments(root)],
        check=True,
        capture_output=True,
        env={**os.environ, "PLUMEWATCH_SPARK": "local[2]"},
    )
    return time.perf_counter() - started
