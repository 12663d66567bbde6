"""`make backfill`: a range of dates by Airflow's own backfill command; what it will cost is printed first.

A dry run asks a copy of Airflow's database, and so leaves nothing behind.
Exit code 0: the runs are created (or, dry, listed); 1: they can't be; 2: the arguments can't work.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from plumewatch import progress, storage
from plumewatch.areas import read_areas
from plumewatch.errors import PlumewatchError, some_of
from plumewatch.keys import AS_WRITTEN, DAY, days_between, is_key
from plumewatch.models import FailedScene
from plumewatch.oco2.archive.cmr import search_granules
from plumewatch.oco2.archive.listing import GranuleRef, read_listing
from plumewatch.sentinel2.scene_cost import bytes_text, cost_lines, count_text
from plumewatch.settings import CMR, Settings

from tools.airflow_client import AirflowError
from tools.checkout import CHECKOUT, DEMO, LOCAL_AIRFLOW
from tools.checks.settings import say_unknown_names
from tools.java import present_java
from tools.local_airflow import LocalAirflow
from tools.places import Place, user_environment, user_place
from tools.supervisor import is_supervised
from tools.up import PORT, read_state

INGEST = "sentinel2_daily_ingest"
BY_MONTH = EXTRACTION, ZONES = "oco2_monthly_extraction", "zonal_statistics_monthly"
DETECTIONS = {INGEST: "methane_detection_and_matching", EXTRACTION: "co2_detection_and_matching"}
MAX_ACTIVE_RUNS = {INGEST: 2, EXTRACTION: 1, ZONES: 1}
BY_ITSELF = (
    "runs by itself when {asset} arrive, and Airflow refuses backfills of such DAGs: backfill {feeder}; "
    "for what is stored already trigger redetect with from, to and gas"
)
REFUSED = {
    DETECTIONS[INGEST]: BY_ITSELF.format(asset="the pixels of a day", feeder=INGEST),
    DETECTIONS[EXTRACTION]: BY_ITSELF.format(asset="the peaks of a month", feeder=EXTRACTION),
    "redetect": "is started by hand and takes the range itself: trigger it with from, to and gas",
    "multi_sensor_collection": "takes the event itself: trigger it with area and event",
    **dict.fromkeys(("sentinel2_gap_fill", "sentinel_hub_orders"), "takes the range itself: trigger it with its days"),
    "published_cases_validation": "is started by hand and has no range: trigger it with sets or case ids",
    "waiting_detections": "hands on what waits now, whatever the date: trigger it once",
    "sentinel2_late_scenes": "looks for what came late until now: trigger it once, with look_back_days",
    **dict.fromkeys(("source_model_training", "silence"), "takes what is there, whatever the date: trigger it once"),
    "inventory_refresh": "reads the inventories as they are now, whatever the date: trigger it once",
}
EXAMPLES = {
    INGEST: f"make backfill DAG={INGEST} FROM=2025-08-20 TO=2025-09-06 DRY=1",
    **{dag_id: f"make backfill DAG={dag_id} FROM=2025-07-01 TO=2025-08-01 DRY=1" for dag_id in BY_MONTH},
}
LANDSAT_8 = "Landsat 8 was launched on 2013-02-11 (USGS), Sentinel-2A on 2015-06-23 (ESA)"
FIRST_DAYS = {
    INGEST: (date(2013, 2, 11), LANDSAT_8),
    ZONES: (date(2013, 2, 1), LANDSAT_8),
    EXTRACTION: (date(2014, 9, 1), "the Lite granules of OCO-2 begin on 2014-09-06 (GES DISC, OCO2_L2_Lite_FP)"),
}
"""The first day, of months the first of one, of which a DAG's satellites have anything, and why."""
DRY_RUN = "Runs to be attempted:"  # what Airflow's command says before the runs, one a line
KEYS_SHOWN = 10

LEFT, FAILED, COMPLETED = "none", "failed", "completed"
"""Airflow's words for which of the days or months that have run already are run again."""
REPROCESSED = {
    LEFT: "Days or months that have run already, failed ones too, are left as they are (REPROCESS=failed or =completed "
    "runs them again).",
    FAILED: "Of days or months that have run already, those whose last run failed run again.",
    COMPLETED: "Days or months that have run already run again, whether they failed or not.",
}

SQLITE_TIMEOUT_S = 30.0
"""How long a running Airflow may keep its database locked while it is copied."""


class BadArguments(Exception):
    """The arguments can't work; the message says what is allowed."""


class CannotBackfill(Exception):
    """The arguments are fine, and it can't be done all the same; the message says why."""


@dataclass(frozen=True)
class Order:
    """What is to be backfilled."""

    dag_id: str
    """sentinel2_daily_ingest or oco2_monthly_extraction."""
    first: date
    """First day; for months a first of a month."""
    last: date
    """Last day, included."""
    reprocess: str = LEFT
    """Which of the days or months that have run already are run again."""

    @property
    def n_days(self) -> int:
        """How many."""
        return len(self.days)

    @property
    def days(self) -> list[str]:
        """Days, both ends included."""
        return days_between(self.first, self.last)

    @property
    def months(self) -> list[str]:
        """Months (YYYY-MM) whose first day lies in the range."""
        first, last = (day.year * 12 + day.month - 1 for day in (self.first, self.last))
        return [f"{month // 12}-{month % 12 + 1:02d}" for month in range(first, last + 1)]


def read_order(dag_id: str, first: str, last: str, today: date, reprocess: str = LEFT) -> Order:
    """Return the order that these texts give. Raises BadArguments."""
    if dag_id in REFUSED:
        raise BadArguments(f"DAG={dag_id}: it {REFUSED[dag_id]}.")
    if dag_id not in EXAMPLES:
        raise BadArguments(f"DAG={dag_id or '(empty)'}; allowed: {', '.join(EXAMPLES)}. Example: {EXAMPLES[INGEST]}")
    if reprocess not in REPROCESSED:
        raise BadArguments(f"REPROCESS={reprocess}; allowed: {', '.join(REPROCESSED)}")
    order = Order(dag_id, _date("FROM", first, dag_id), _date("TO", last, dag_id), reprocess)
    if order.last < order.first:
        raise BadArguments(f"FROM={first} is after TO={last}; allowed: a first day that isn't after the last one")
    begin, because = FIRST_DAYS[dag_id]
    if order.first < begin:
        raise BadArguments(f"FROM={first}: nothing is older; allowed: at least {begin}, as {because}")
    if order.last > today:
        raise BadArguments(f"TO={last} is in the future; allowed: at most today, {today} (UTC)")
    if dag_id in BY_MONTH and order.first.day != 1:
        start = order.first.replace(day=1)
        raise BadArguments(f"FROM={first}: {dag_id} works by months; allowed: the first of one, such as {start}")
    return order


def _date(name: str, text: str, dag_id: str) -> date:
    if not is_key(text, DAY):
        raise BadArguments(f"{name}={text or '(empty)'}; allowed: {AS_WRITTEN[DAY]}. Example: {EXAMPLES[dag_id]}")
    return date.fromisoformat(text)


def cost_of(order: Order, settings: Settings) -> list[str]:
    """Return the lines that say what the order will cost. Raises CannotBackfill where its runs would only fail."""
    if order.dag_id == ZONES:
        return [f"{len(order.months)} months of scenes that are stored: nothing is fetched"]
    if order.dag_id == EXTRACTION and settings.granules == CMR:
        return archive_cost(order, settings)
    lines = ingest_cost(order, settings) if order.dag_id == INGEST else extraction_cost(order, settings)
    if any("processing units" in line for line in lines):
        return lines
    return [*lines, "no processing units and no quota: neither source needs an account"]


def ingest_cost(order: Order, settings: Settings) -> list[str]:
    """Return days, areas, and what the catalogues have of them."""
    unusable: list[FailedScene] = []
    areas = read_areas(*settings.area_folders, on_failure=unusable.append)
    if not areas and not unusable:
        raise CannotBackfill(f"no areas in {' or '.join(settings.area_folders)}: put a GeoJSON there")
    lines = [f"{count_text(order.n_days, 'day')} x {count_text(len(areas), 'area')}: {count_text(order.n_days, 'run')}"]
    lines += [f"  {failure.area or failure.scene_id}: its search will fail: {failure.message}" for failure in unusable]
    return [*lines, *cost_lines(areas, order.first, order.last, settings)]


def extraction_cost(order: Order, settings: Settings) -> list[str]:
    """Return the months, and the granules that are there of them."""
    granules = read_listing(settings.granules).granules
    lines = [count_text(len(order.months), "month") + f": {count_text(len(order.months), 'run')}"]
    total = 0
    for month in order.months:
        of_month = [granule.path for granule in granules if granule.month == month]
        size = sum(fs.size(inner) for fs, inner in map(storage.filesystem, of_month))
        total += size
        lines.append(f"  {month}: {count_text(len(of_month), 'granule')}, {bytes_text(size)}")
    return [*lines, f"{bytes_text(total)} to read from {settings.granules}"]


def archive_cost(order: Order, settings: Settings) -> list[str]:
    """Return the months, and the granules that NASA's catalogue has of them."""
    lines = [count_text(len(order.months), "month") + f": {count_text(len(order.months), 'run')}"]
    granules: list[GranuleRef] = []
    try:
        for month in progress.followed(order.months, "search", "months"):
            of_month = search_granules(settings.cmr_url, month, settings.oco_sensors).granules
            granules += of_month
            lines.append(f"  {month}: {_stated_size(of_month)}")
        lines.append(f"{_stated_size(granules)} to download from NASA's archive")
    except PlumewatchError as error:  # those that follow would say the same
        lines.append(f"  granules unknown: {error}")
    account = "is set" if settings.earthdata_token else "is not set: months are skipped without it or the connection"
    return [*lines, f"no quota; the download needs an Earthdata account: EARTHDATA_TOKEN {account}"]


def _stated_size(granules: Sequence[GranuleRef]) -> str:
    """Number and size, as far as the catalogue states it."""
    stated = [granule.stated.most_bytes for granule in granules if granule.stated]
    unknown = f" ({len(granules) - len(stated)} of unknown size)" if len(stated) < len(granules) else ""
    return f"{count_text(len(granules), 'granule')}, {bytes_text(sum(stated))}{unknown}"


def airflow_arguments(order: Order, dry: bool) -> list[str]:
    """Return the arguments of Airflow's command."""
    return [
        "backfill", "create", "--dag-id", order.dag_id, "--from-date", str(order.first), "--to-date", str(order.last),
        "--max-active-runs", str(MAX_ACTIVE_RUNS[order.dag_id]), "--reprocess-behavior", order.reprocess,
        *(["--dry-run"] if dry else []),
    ]  # fmt: skip


def create(order: Order, dry: bool) -> None:
    """Have Airflow create the runs, or list them. Raises CannotBackfill with Airflow's reason."""
    place = user_place(present_java())
    is_running = is_supervised(LOCAL_AIRFLOW)
    if dry:
        with copy_of(place) as copied:
            told = ask_airflow(copied, order, dry, is_running)
        print("\n".join([told, *left_text(order, told)]), flush=True)
        return
    state = read_state(LOCAL_AIRFLOW) or {}
    airflow = place.airflow(int(state["url"].rpartition(":")[2]) if is_running and "url" in state else PORT)
    print(ask_airflow(airflow, order, dry, is_running), flush=True)
    print(what_follows(order, airflow if is_running else None))


@contextmanager
def copy_of(place: Place) -> Iterator[LocalAirflow]:
    """Yield an Airflow in a folder that is gone afterwards, with a copy of the place's database if there is one."""
    database = place.folder / "airflow" / "airflow.db"
    # SQLite reads a database in WAL mode by two files beside it, and would leave them there if nobody has it open.
    how = "mode=ro" if database.with_name("airflow.db-wal").exists() else "immutable=1"
    with TemporaryDirectory(prefix="plumewatch-") as folder:
        airflow = replace(place, folder=Path(folder)).airflow(PORT)
        if database.exists():
            source = sqlite3.connect(f"{database.as_uri()}?{how}", uri=True, timeout=SQLITE_TIMEOUT_S)
            with closing(source), closing(sqlite3.connect(airflow.home / database.name)) as copy:
                source.backup(copy)
        yield airflow


def left_text(order: Order, told: str) -> list[str]:
    """Return a line on days or months that have run already, where what Airflow's dry run tells lacks some."""
    keys = order.months if order.dag_id in BY_MONTH else order.days
    left = [key for key in keys if key not in told.partition(DRY_RUN)[2]]
    return [f"{some_of(left, KEYS_SHOWN)}: left. {REPROCESSED[order.reprocess]}"] if left else []


def ask_airflow(airflow: LocalAirflow, order: Order, dry: bool, is_running: bool) -> str:
    """Return what Airflow's command prints. Raises CannotBackfill with its reason."""
    if not is_running:  # nobody keeps the database up to date with the DAG files
        if is_supervised(DEMO):
            print("This is your own Airflow. In the demonstration, which is up: Trigger, Backfill.", flush=True)
        print("Airflow isn't running: reading the DAG files ...", flush=True)
        run_airflow(airflow, ["db", "migrate"])
        run_airflow(airflow, ["dags", "reserialize"])
    return run_airflow(airflow, airflow_arguments(order, dry))


def run_airflow(airflow: LocalAirflow, arguments: Sequence[str]) -> str:
    """Run an Airflow command and return what it prints. Raises CannotBackfill with the last line of its error."""
    command = [sys.executable, "-m", "airflow", *arguments]
    environment = {**airflow.environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    run = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()] or ["no message"]
        raise CannotBackfill(f"`airflow {' '.join(arguments)}` failed: {lines[-1].strip()}")
    return run.stdout.strip()


def what_follows(order: Order, airflow: LocalAirflow | None) -> str:
    """Return what happens with the runs now: a DAG that is paused lets them wait."""
    kept, dags = REPROCESSED[order.reprocess], [order.dag_id]
    dags += [DETECTIONS[order.dag_id]] if order.dag_id in DETECTIONS else []
    if airflow is None:
        return f"Created. The runs start when `make up` runs, unpaused: {', '.join(dags)}. {kept}"
    try:
        paused = [dag_id for dag_id, is_paused in airflow.client.dags().items() if is_paused]
    except AirflowError as error:
        return f"Created; whether the DAGs are paused could not be asked ({error}). {kept}"
    if waiting := [dag_id for dag_id in dags if dag_id in paused]:
        return f"Created. Paused, so unpause in the UI ({airflow.url}): {', '.join(waiting)}. {kept}"
    follows = f", and {dags[1]} follows by itself" if dags[1:] else ""
    return f"Created; they are at work{follows}: {airflow.url}. {kept}"


def main() -> None:
    """`--dag D --from YYYY-MM-DD --to YYYY-MM-DD [--reprocess failed|completed] [--dry-run]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dag", "from", "to"):
        parser.add_argument(f"--{name}", required=True, metavar=name.upper())
    parser.add_argument("--reprocess", default=LEFT)
    parser.add_argument("--dry-run", action="store_true")
    arguments = vars(parser.parse_args())
    progress.shown()
    try:
        today = datetime.now(UTC).date()
        order = read_order(arguments["dag"], arguments["from"], arguments["to"], today, arguments["reprocess"])
        say_unknown_names()
        os.environ.update(user_environment(present_java()))
        os.chdir(CHECKOUT)
        print("\n".join(cost_of(order, Settings.load())) + "\n", flush=True)
        create(order, arguments["dry_run"])
    except BadArguments as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (CannotBackfill, PlumewatchError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted.")


if __name__ == "__main__":
    main()
