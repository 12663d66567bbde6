"""`make demo`: the main job on a simulated world, by a real backfill, found against planted.

Exit code 0 only if all that was planted strongly was found and matched, nothing unplanted was accepted as nearly
certain, the others are as few as the stated rates allow, and exactly the runs with planted bad files are red.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.compute as pc
from plumewatch import storage
from plumewatch.catalogues.processing_units import used_units
from plumewatch.gases import CH4, CO2
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import SEARCHED
from plumewatch.tables import (
    COMBINED,
    MATCHES,
    OBSERVATIONS,
    PEAKS,
    PIXELS,
    PLUMES,
    PROCESSING_UNITS,
    SOUNDINGS,
    SOURCES,
)

from tools.airflow_client import FINISHED, AirflowClient, AirflowError, Run, TaskRun
from tools.checkout import CHECKOUT, DEMO
from tools.comparison import Comparison, Found, Row, compare_peaks, compare_plumes, compare_red_runs
from tools.java import JavaNotFound, find_java
from tools.local_airflow import LocalAirflow, wait_for_dags
from tools.places import PORTS, Place, demo_place, remember_demo
from tools.ports import choose_ports
from tools.s3_server import BUCKET, S3ServerMissing, find_versitygw
from tools.supervisor import AlreadyRunning, Service, ServiceFailed, Supervisor
from tools.up import PORT, CannotStart, prepare_spark

INGEST, EXTRACTION, INVENTORIES = "sentinel2_daily_ingest", "oco2_monthly_extraction", "inventory_refresh"
HUB_AREA = "hassi_messaoud"
"""The area whose scenes come by Sentinel Hub's Process API, as the others' come as files by a STAC API."""
DAG_IDS = (INVENTORIES, EXTRACTION, "co2_detection_and_matching", INGEST, "methane_detection_and_matching")
TIMEOUT_S = 1200.0
POLL_S = 1.0
QUIET_POLLS = 3
"""So often in a row nothing may be open before all is done: an event takes the scheduler a moment to become a run."""
MAX_ACTIVE_RUNS = 2
PEAK_TRACK_KM = 600.0  # the false alarm probability of a peak is per 600 km of track
GROUND_SPEED_KM_S = 6.75  # of OCO-2's ground track: 40,008 km in 98.8 minutes
PLUME_PIXELS = 500 * 500  # the false plume rate is per 500 x 500 pixels
WORLD = ("--sentinel-hub", HUB_AREA)
LOGS = f"{DEMO.relative_to(CHECKOUT)}/logs (servers) and {DEMO.relative_to(CHECKOUT)}/airflow/logs (tasks)"


class DemoFailed(Exception):
    """The runs did not end."""


class Clock:
    """Where the time goes: seconds by what was done in them."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()
        self.parts: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Book the time since the last lap under `name`."""
        now = time.monotonic()
        self.parts[name] = self.parts.get(name, 0.0) + now - self._last
        self._last = now

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"[{self.total_s:5.0f} s] {text}", flush=True)

    @property
    def total_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started


def run_demo(seed: int, storage_kind: str) -> int:
    """Run the demonstration and return its exit code."""
    clock = Clock()
    if storage_kind == "s3":
        find_versitygw()
    prepare_spark()
    clock.lap("Spark's jars and classes")
    with Supervisor(DEMO, say=clock.say) as supervisor:
        wipe(DEMO)
        place, airflow = prepare_place(storage_kind)
        truth = boot(place, airflow, supervisor, seed, clock)
        remember_demo(storage_kind, seed, place.ports)
        red, tasks, runs = process(airflow.client, supervisor.check, truth, clock)
        problems = report(truth, place.environment["PLUMEWATCH_STORAGE_ROOT"], red)
        clock.lap("comparison")
        _say_where_time_went(clock, runs, tasks)
    _say_where_maps_are(storage_kind)
    if problems:
        print("\nFAILED:\n" + "\n".join(f"  - {problem}" for problem in problems))
        print(f"The logs are in {LOGS}. The runs in Airflow's UI: make up DEMO=1")
        return 1
    print("\nAll that was planted strongly was found and matched. Next:")
    print("  open one of the maps above in a browser")
    print("  make up DEMO=1   these runs in Airflow's UI")
    print("  README, The first real run: what to do for places of your own")
    return 0


def prepare_place(storage_kind: str, ports: Sequence[int] = PORTS) -> tuple[Place, LocalAirflow]:
    """Return what is to run in the demonstration's folder; its settings become this process's own."""
    place = demo_place(find_java(), storage_kind, ports=ports)
    os.environ.update({k: v for k, v in place.environment.items() if k.startswith(("PLUMEWATCH_", "AWS_"))})
    return place, place.airflow(choose_ports(PORT)[0])


def wipe(folder: Path) -> None:
    """Remove the last demonstration; the lock and the logs of this one stay."""
    for child in folder.iterdir():
        if child.is_file() and child.name != "supervisor.lock":
            child.unlink()
        elif child.is_dir() and child.name != "logs":
            shutil.rmtree(child)


def boot(
    place: Place, airflow: LocalAirflow, supervisor: Supervisor, seed: int, clock: Clock, options: Sequence[str] = WORLD
) -> dict[str, Any]:
    """Build the world while Airflow's database is made, start everything, and return the truth."""
    clock.say(f"Building world {seed}, and Airflow's database ...")
    world = DEMO / "world"
    build = [sys.executable, "-m", "plumewatch.simulation", "--output", str(world), "--seed", str(seed), *options]
    building = supervisor.run(Service("world", build, place.environment))
    migrating = supervisor.run(airflow.migration())
    supervisor.wait("world", building)
    clock.lap("the world")
    place.start(airflow, migrating, supervisor, clock.say)
    wait_for_dags(airflow.client, supervisor.check, set(DAG_IDS))
    clock.lap("the servers' start")
    return dict(json.loads((world / "truth.json").read_text()))


def process(
    client: AirflowClient, check: Callable[[], None], truth: Row, clock: Clock, reprocess: str = "none"
) -> tuple[dict[str, list[str]], list[TaskRun], list[Run]]:
    """Run the DAGs over the world's dates; return the keys of red runs by DAG, the task instances and the runs.

    Runs that had ended before are no part of it.
    """
    before = {(run.dag_id, run.run_id) for run in client.runs() if run.is_finished}
    for dag_id in DAG_IDS:
        client.pause(dag_id, False)
    client.trigger(INVENTORIES)
    before |= {(run.dag_id, run.run_id) for run in wait_for_runs(client, check, clock, truth["red_keys"], [], before)}
    clock.lap(INVENTORIES)
    dates, months = truth["dates"], truth["months"]
    clock.say(f"Backfill of {EXTRACTION} for {', '.join(months)} and of {INGEST} from {dates[0]} to {dates[-1]}")
    backfills = [
        client.backfill(EXTRACTION, f"{months[0]}-01", f"{months[-1]}-01", max_active_runs=1, reprocess=reprocess),
        client.backfill(INGEST, dates[0], dates[-1], max_active_runs=MAX_ACTIVE_RUNS, reprocess=reprocess),
    ]
    runs = wait_for_runs(client, check, clock, truth["red_keys"], backfills, before)
    clock.lap("the runs")
    for dag_id in DAG_IDS:
        client.pause(dag_id)  # so that `make up DEMO=1` shows these runs and starts none for today
    red: dict[str, list[str]] = {}
    for run in runs:
        if run.state == "failed":
            red.setdefault(run.dag_id, []).append(run.partition_key or run.run_id)
    return red, client.task_runs(), runs


def wait_for_runs(
    client: AirflowClient,
    check: Callable[[], None],
    clock: Clock,
    red_keys: Mapping[str, Sequence[str]],
    backfills: Sequence[int],
    before: Collection[tuple[str, str]],
) -> list[Run]:
    """Wait until all runs have ended and none is to come; tell of each that ends, and which of `red_keys` must fail.

    Returns those that aren't of `before` (DAG and run ids).
    """
    deadline = time.monotonic() + TIMEOUT_S
    told = set(before)
    quiet = 0
    while True:
        check()
        runs = client.runs()
        for run in runs:
            if run.is_finished and (run.dag_id, run.run_id) not in told:
                told.add((run.dag_id, run.run_id))
                clock.say(ended_text(run, red_keys))
        is_open = not all(run.is_finished for run in runs) or client.pending_partitions() > 0
        is_open = is_open or not all(client.is_backfill_complete(b) for b in backfills)
        quiet = 0 if is_open else quiet + 1
        if quiet >= QUIET_POLLS:
            return [run for run in runs if (run.dag_id, run.run_id) not in before]
        if time.monotonic() > deadline:
            open_tasks = [t for t in client.task_runs() if t.state not in (*FINISHED, "skipped", None)]
            waiting = "\n".join(f"  {t.dag_id} {t.run_id} {t.task_id}: {t.state}" for t in open_tasks)
            raise DemoFailed(
                f"not done after {TIMEOUT_S:.0f} s; still open:\n{waiting or '  nothing that has started'}"
            )
        time.sleep(POLL_S)


def ended_text(run: Run, red_keys: Mapping[str, Sequence[str]]) -> str:
    """Return what is told of a run that has ended; one that fails as it must isn't to look like a fault."""
    is_planted = run.state == "failed" and run.partition_key in red_keys.get(run.dag_id, ())
    return f"{run.state:7} {run.dag_id} {run.partition_key or ''}{' (as it must: a bad file is planted)' * is_planted}"


def report(truth: Row, root: str, red: dict[str, list[str]]) -> list[str]:
    """Print what was found against what was planted; return what is wrong."""
    plumes = _rows(PLUMES, root, {"method": CH4.method})
    peaks = _rows(PEAKS, root, {"method": CO2.method})
    names = {row["source_id"]: row["name"] for row in _rows(SOURCES, root, {"inventory": COMBINED})}
    methane = compare_plumes(truth["plumes"], plumes, _first_sources(root, CH4.name, names), _expected_plumes(root))
    co2 = compare_peaks(truth["peaks"], peaks, _first_sources(root, CO2.name, names), _expected_peaks(root))
    _print_comparison("Methane plumes (t/h)", methane, lambda f: f.planted["emission_kg_h"] / 1000, _plume_rate)
    _print_comparison("CO2 peaks (kt/h)", co2, lambda f: f.planted["emission_kt_h"], _peak_rate)
    scenes = storage.read_table(PROCESSING_UNITS, storage.join(root, PROCESSING_UNITS.name))
    print(f"\n{HUB_AREA} by Sentinel Hub: {len(scenes)} scenes, {used_units(scenes):.2f} processing units")
    differences = compare_red_runs(red, truth["red_keys"])
    named = ", ".join(f"{dag_id} {key}" for dag_id, keys in sorted(red.items()) for key in sorted(keys))
    print(f"\nRed runs (a bad file is planted in some, which must fail and stop nothing else): {named or 'none'}")
    return [*methane.problems, *co2.problems, *differences]


def _rows(table: Any, root: str, where: dict[str, str]) -> list[dict[str, Any]]:
    return storage.read_table(table, storage.join(root, table.name), where=where).to_pylist()


def _first_sources(root: str, gas: str, names: dict[str, str]) -> dict[str, str | None]:
    return {
        row["detection_id"]: names.get(row["source_id"])
        for row in _rows(MATCHES, root, {"gas": gas})
        if row["rank"] == 1
    }


def _expected_plumes(root: str) -> float:
    """Unplanted plumes to expect: the stated rate x what was searched."""
    rate = plume_thresholds().expected_false_plumes.multi_pass_desert
    observed = _rows(OBSERVATIONS, root, {"gas": CH4.name})
    searched = {(row["area"], row["key"]) for row in observed if row["outcome"] == SEARCHED}
    partitions = storage.list_partitions(PIXELS, storage.join(root, PIXELS.name))
    of_searched = [p.path for p in partitions if (p.keys["area"], p.keys["date"]) in searched]
    pixels = sum((storage.read_manifest(path) or {})["rows"] for path in of_searched)
    return float(rate * pixels / PLUME_PIXELS)


def _expected_peaks(root: str) -> float:
    """Unplanted peaks to expect: 2 % per 600 km of track."""
    rows = storage.read_table(SOUNDINGS, storage.join(root, SOUNDINGS.name), ["orbit", "observed_at_utc"])
    spans = rows.group_by("orbit").aggregate([("observed_at_utc", "min"), ("observed_at_utc", "max")])
    seconds = pc.divide(pc.microseconds_between(spans["observed_at_utc_min"], spans["observed_at_utc_max"]), 1e6)
    return 0.02 * float(pc.sum(seconds).as_py() or 0.0) * GROUND_SPEED_KM_S / PEAK_TRACK_KM


def _plume_rate(row: Row) -> str:
    low, rate, high = (row[f"emission_kg_h{part}"] for part in ("_low", "", "_high"))
    return "no wind" if rate is None else f"{rate / 1000:5.1f} ({low / 1000:.1f} to {high / 1000:.1f})"


def _peak_rate(row: Row) -> str:
    low, rate, high = (row[f"emission_kt_h{part}"] for part in ("_low", "", "_high"))
    return row["emission_status"] if rate is None else f"{rate:5.1f} ({low:.1f} to {high:.1f})"


def _print_comparison(title: str, comparison: Comparison, planted_rate: Any, rate: Any) -> None:
    print(f"\n{title}\n  {'planted at':34} {'when':10} {'planted':>7}  {'found, 68 % interval':22} first-ranked source")
    for found in comparison.found:
        print(f"  {_line(found, planted_rate(found), rate)}")
    print(
        f"  unplanted accepted: {len(comparison.unplanted)}; expected at the stated rate: "
        f"{comparison.expected_unplanted:.2f}, 99 % Poisson bound: {comparison.unplanted_bound}"
    )


def _line(found: Found, planted_rate: float, rate: Any) -> str:
    when = found.planted.get("date") or found.planted["observed_at_utc"][:10]
    outcome = rate(found.detection) if found.detection else ("MISSED" if found.must_be_found else "too faint")
    return f"{found.planted['source_name'][:34]:34} {when:10} {planted_rate:7.2f}  {outcome:22} {found.matched or '-'}"


def _say_where_time_went(clock: Clock, runs: Sequence[Run], tasks: Sequence[TaskRun]) -> None:
    print(f"\nTime: {clock.total_s:.0f} s in all")
    for name, seconds in clock.parts.items():
        print(f"  {seconds:6.1f} s  {name}")
    print(f"  of the runs, summed over tasks ({len(tasks)} task instances of {len(runs)} runs, up to four at a time):")
    by_task: dict[str, list[float]] = {}
    waited = 0.0
    for task in tasks:
        if task.started_at and task.ended_at:
            by_task.setdefault(f"{task.dag_id}.{task.task_id}", []).append(
                (task.ended_at - task.started_at).total_seconds()
            )
            if task.scheduled_at:
                waited += (task.started_at - task.scheduled_at).total_seconds()
    for name, each in sorted(by_task.items(), key=lambda item: -sum(item[1]))[:8]:
        print(f"  {sum(each):6.1f} s  {name} x {len(each)}")
    print(f"  {waited:6.1f} s  waiting for the scheduler and a free slot")


def _say_where_maps_are(storage_kind: str) -> None:
    if storage_kind == "s3":
        print(f"\nMaps: s3://{BUCKET}/demo/maps/ (as files below {DEMO / 's3' / BUCKET / 'demo' / 'maps'})")
        return
    maps = DEMO / "storage" / "maps"
    print(f"\nMaps, to be opened in a browser: {maps.relative_to(CHECKOUT)}/")
    for file in sorted(maps.rglob("*.html")):
        print(f"  {file.relative_to(CHECKOUT)}")


def end_with(work: Callable[[], int]) -> NoReturn:
    """Do the work and exit with its code; where it can't be done, with the reason."""
    try:
        sys.exit(work())
    except AlreadyRunning:
        sys.exit("A demonstration, or `make up DEMO=1`, is at work: end it first (make down).")
    except (CannotStart, JavaNotFound, S3ServerMissing, ServiceFailed, AirflowError, DemoFailed) as error:
        sys.exit(f"\n{error}\nThe logs are in {LOGS}.")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; everything is stopped.")


def main() -> None:
    """`--seed N --storage file|s3`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--storage", choices=("file", "s3"), default="file")
    arguments = parser.parse_args()
    end_with(lambda: run_demo(arguments.seed, arguments.storage))


if __name__ == "__main__":
    main()
