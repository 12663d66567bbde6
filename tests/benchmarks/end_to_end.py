"""From the search to the map by Airflow itself: one day of 20 areas, and a month of OCO-2, of the simulated world."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import Figure
from task_times import TaskTime, task_times

from tools.airflow_client import AirflowClient
from tools.checkout import DEMO
from tools.demo import (
    DAG_IDS,
    EXTRACTION,
    INGEST,
    INVENTORIES,
    MAX_ACTIVE_RUNS,
    Clock,
    boot,
    prepare_place,
    wait_for_runs,
    wipe,
)
from tools.supervisor import Supervisor
from tools.up import prepare_spark

AREAS, REFERENCES = 20, 4
SEED = 1
MAX_GROWTH = "<= 0.5"  # of the time an area takes, when there are 20 in place of one
MAX_RATIO = "<= 4"  # of a month's runs to their Spark jobs: what Airflow, the fetching and the maps add


class _Quiet(Clock):
    """Standard output is for figures."""

    def say(self, text: str) -> None:
        pass


def day_and_month() -> Iterator[Figure]:
    """The wall time of a day of 20 areas against that of one area, and of a month against its Spark jobs alone.

    In the demonstration's folder: what the last one left goes.
    """
    prepare_spark()
    with Supervisor(DEMO, say=lambda text: None) as supervisor:
        wipe(DEMO)
        place, first = prepare_place("file")
        airflow, clock = place.airflow(first.port), _Quiet()
        truth = boot(place, airflow, supervisor, SEED, clock, ("--days", str(REFERENCES + 2)))
        names = _write_areas(DEMO / "world" / "areas")
        runs = _Runs(airflow.client, supervisor.check, clock, truth)
        month = f"{truth['months'][0]}-01"
        for dag_id in DAG_IDS:
            airflow.client.pause(dag_id, False)
        runs.of(lambda: airflow.client.trigger(INVENTORIES))
        month_s, of_month = runs.of(
            lambda: runs.backfills.append(
                airflow.client.backfill(EXTRACTION, month, month, max_active_runs=1, reprocess="none")
            )
        )
        *earlier, one_day, whole_day = truth["dates"]
        runs.of(
            lambda: runs.backfills.append(
                airflow.client.backfill(
                    INGEST, earlier[0], earlier[-1], max_active_runs=MAX_ACTIVE_RUNS, reprocess="none"
                )
            )
        )
        one_s, _ = runs.of(lambda: airflow.client.trigger(INGEST, one_day, {"areas": names[:1]}))
        all_s, of_all = runs.of(lambda: airflow.client.trigger(INGEST, whole_day, {"areas": names}))
    jobs_s = sum(task.job_s for task in of_month)
    yield Figure(
        f"a day of {AREAS} areas, from search to map", all_s / AREAS, "s/area", one_s, "a day of one area",
        all_s / AREAS / one_s, MAX_GROWTH,
        f"{REFERENCES} references an area, 63,000 pixels each, local disk; {len(of_all)} tasks in {all_s:.0f} s",
    )  # fmt: skip
    yield Figure(
        "a month of OCO-2, from granules to map", month_s, "s", jobs_s, "its Spark jobs alone", month_s / jobs_s,
        MAX_RATIO, f"{len(truth['granules'])} granules of the simulated month, local disk; {len(of_month)} tasks",
    )  # fmt: skip


class _Runs:
    """What is begun is waited for to its end, with all that follows from it."""

    def __init__(
        self, client: AirflowClient, check: Callable[[], None], clock: Clock, truth: Mapping[str, Any]
    ) -> None:
        self._client, self._check, self._clock, self._truth = client, check, clock, truth
        self.backfills: list[int] = []

    def of(self, begin: Callable[[], object]) -> tuple[float, Sequence[TaskTime]]:
        """Begin runs; return the seconds until the last task of all that followed had ended, and the tasks."""
        began = datetime.now(UTC)
        begin()
        wait_for_runs(self._client, self._check, self._clock, self._truth["red_keys"], self.backfills, ())
        tasks = [task for task in task_times(DEMO / "airflow") if task.began >= began]
        return (max(task.ended for task in tasks) - began).total_seconds(), tasks


def _write_areas(folder: Path) -> list[str]:
    """Write the world's area so many times, each with a name of its own, and return the names."""
    [file] = folder.glob("*.geojson")
    content = json.loads(file.read_text())
    file.unlink()
    names = [f"field_{number:02}" for number in range(AREAS)]
    for name in names:
        content["features"][0]["properties"]["name"] = name
        (folder / f"{name}.geojson").write_text(json.dumps(content))
    return names
