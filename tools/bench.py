"""`make bench`: one JSON line a figure, with its baseline of the same run, their ratio, and whether that is ok.

A benchmark is a function in tests/benchmarks/ that yields figures, and a line in BENCHMARKS. Each runs in a process of
its own, its numerical libraries on one thread. In the end all lines are a table in build/bench.md, with the machine.
The exit code is 1 where a limit is missed or a benchmark fails.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tools.checkout import CHECKOUT, project_environment
from tools.java import JavaNotFound, find_java

# Module in tests/benchmarks/ and function, by name. ONLY= takes a name, or the part of it before the dot.
BENCHMARKS = {
    "oco2.scan": ("oco2_scan", "scan_against_the_seed"),
    "oco2.month": ("oco2_month", "month_of_orbits"),
    "oco2.granules": ("oco2_granules", "extraction"),
    "oco2.processor": ("oco2_processor", "processor_time"),
    "sentinel2.stack": ("sentinel2_stack", "stack_of_a_scene"),
    "sentinel2.zone": ("sentinel2_stack", "scene_of_another_zone"),
    "sentinel2.search": ("sentinel2_search", "search_of_areas"),
    "sentinel2.pixels": ("pixels_tile", "whole_tile"),
    "zones.polygons": ("zonal_month", "polygons"),
    "zones.hexagons": ("zonal_month", "hexagons"),
    "methane.area": ("methane_area", "search_of_an_area"),
    "methane.areas": ("methane_areas", "thousand_areas"),
    "methane.basin": ("methane_basin", "basin"),
    "matching.pairs": ("matching_pairs", "pairs"),
    "maps.view": ("map_view", "many_detections"),
    "spark.cluster": ("cluster", "two_workers"),
    "airflow.overhead": ("airflow_overhead", "overhead"),
    "end_to_end.runs": ("end_to_end", "day_and_month"),
    "storage.requests": ("s3_requests", "requests_of_tasks"),
}
BY_NAME_ALONE = ("airflow.overhead", "end_to_end.runs", "storage.requests", "spark.cluster", "maps.view")
"""Those that need a demonstration to have been run, an S3 server, Chromium, or many minutes: without ONLY= they are
left out."""
FOLDER = CHECKOUT / "tests" / "benchmarks"
TABLE = CHECKOUT / "build" / "bench.md"
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)


def chosen(only: str | None) -> list[str]:
    """Return the names of the benchmarks that ONLY= asks for."""
    if not only:
        return [name for name in BENCHMARKS if name not in BY_NAME_ALONE]
    return [name for name in BENCHMARKS if only in (name, name.split(".")[0])]


def run_benchmark(name: str) -> list[dict[str, Any]]:
    """Run a benchmark in a process of its own, print its lines, and return them; the last says so where it failed."""
    environment = project_environment(find_java()) | ONE_THREAD | {"PLUMEWATCH_SPARK": "local[2]"}
    command = [sys.executable, "-m", "tools.bench", "--here", name]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="", flush=True)
    whole = done.stdout.rpartition("\n")[0]  # one that was killed may have left half a line
    lines = [json.loads(line) for line in whole.splitlines()]
    if done.returncode:
        lines.append({"name": name, "error": f"ended with code {done.returncode}", "ok": False})
        print(json.dumps(lines[-1]), flush=True)
    return lines


def write_table(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write lines as a table in Markdown, below what the machine is."""
    columns = ("name", "value", "unit", "baseline", "baseline_is", "ratio", "limit", "ok", "note")
    rows = [[str(line.get(c, line.get("error", "") if c == "note" else "")) for c in columns] for line in lines]
    cells = [columns, ["---"] * len(columns), *([cell.replace("|", "/") for cell in row] for row in rows)]
    memory_gb = psutil.virtual_memory().total / 1e9
    machine = f"{os.cpu_count()} processors ({platform.processor() or platform.machine()}), {memory_gb:.0f} GB"
    head = f"# Figures of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n\n{machine}, {platform.platform()}\n\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "".join(f"| {' | '.join(row)} |\n" for row in cells))


def run_here(name: str) -> None:
    """Run a benchmark in this process and print its figures."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]
    module, function = BENCHMARKS[name]
    for figure in getattr(importlib.import_module(module), function)():
        print(figure.to_json(), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", help=f"one of {', '.join(BENCHMARKS)}, or what begins one")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.here:
        run_here(arguments.here)
        return 0
    names = chosen(arguments.only)
    if not names:
        parser.error(f"ONLY={arguments.only}; allowed: {', '.join(BENCHMARKS)}, or what begins one")
    try:
        lines = [line for name in names for line in run_benchmark(name)]
    except JavaNotFound as error:
        sys.exit(str(error))
    write_table(lines, TABLE)
    print(f"As a table: {TABLE.relative_to(CHECKOUT)}", file=sys.stderr)
    return int(not all(line["ok"] for line in lines))


if __name__ == "__main__":
    os.chdir(CHECKOUT)
    sys.exit(main())
