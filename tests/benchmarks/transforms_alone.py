"""Every task of a demonstration in one process that has loaded all, one after the other: the seconds of their code.

`transforms_alone.py AIRFLOW_DB`: the runs that this database has, in their order, by `dag.test`; only the tasks'
functions are timed. Spark jobs run in this process, on the server of the settings.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

from jobs import load_job

from tools.checkout import CHECKOUT

os.environ |= {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{os.environ['AIRFLOW_HOME']}/airflow.db",
    "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
}
sys.path.insert(0, str(CHECKOUT / "plugins"))
JOBS = (
    "rasters_to_pixels", "detect_methane_plumes", "match_sources", "granules_to_soundings", "detect_co2_peaks",
)  # fmt: skip

taken: dict[str, float] = {}
"""Seconds by task."""


def main(database: str) -> None:
    """Run all, and print the seconds as a line of JSON."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb
    from plumewatch_airflow import preloading, spark

    logging.disable(logging.CRITICAL)
    preloading.preload()
    jobs = {name: load_job(name) for name in JOBS}
    spark._run = lambda command: _run_here(jobs, command)
    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(CHECKOUT / "dags"), bundle_path=CHECKOUT / "dags", bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    for dag_id, key in _runs(Path(database)):
        _test(_timed(bag.dags[dag_id]), key)
    print(json.dumps({"seconds": sum(taken.values()), "by_task": taken}))


def _runs(database: Path) -> list[tuple[str, str | None]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT dag_id, partition_key FROM dag_run ORDER BY start_date").fetchall()


def _timed(dag: Any) -> Any:
    """Have the functions of the DAG's tasks say how long they take."""
    for task in dag.tasks:
        if hasattr(task, "python_callable"):
            task.python_callable = _timing(task.task_id, task.python_callable)
    return dag


def _timing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, "is_timed"):
        return function

    @wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            taken[name] = taken.get(name, 0.0) + time.perf_counter() - started

    timed.is_timed = True  # type: ignore[attr-defined]
    return timed


def _test(dag: Any, key: str | None) -> None:
    """Run a DAG for a key, which `dag.test` has no argument for."""
    import airflow.models.dagrun as dagrun

    create = dagrun.get_or_create_dagrun

    def create_with_key(**arguments: Any) -> Any:
        created = create(**arguments)
        created.partition_key = key
        arguments["session"].commit()
        return created

    dagrun.get_or_create_dagrun = create_with_key
    try:
        dag.test()
    finally:
        dagrun.get_or_create_dagrun = create


def _run_here(jobs: dict[str, Any], command: list[str]) -> tuple[int, str, str]:
    """Run a Spark job in this process, and return what its process would have said."""
    from dataclasses import asdict

    from plumewatch.errors import PlumewatchError
    from plumewatch.jobs import EXIT_GOOD, EXIT_NOTHING_DONE, EXIT_SOME_BAD

    job = jobs[Path(command[1]).stem]
    try:
        result = job.run(job.parse_arguments(command[2:]))
    except PlumewatchError as error:
        return EXIT_NOTHING_DONE, "", str(error)
    return EXIT_SOME_BAD if result.failed else EXIT_GOOD, json.dumps(asdict(result)), ""


if __name__ == "__main__":
    main(sys.argv[1])
