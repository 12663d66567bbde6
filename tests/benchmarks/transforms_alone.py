"""Tasks of DAG runs in one process that has loaded all, one after the other: the seconds of their code, S3 requests.

`transforms_alone.py RUNS [LOG]`: RUNS is JSON, DAG and key of each. They run by `dag.test`; only functions of tasks
count. Spark jobs run in this process, on the server of the settings. LOG is the access log of the S3 server.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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

REQUEST = re.compile(r" s3_(\w+) ")


@dataclass
class Taken:
    """What all instances of a task took."""

    n: int = 0
    seconds: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)
    """By what was asked for, such as GetObject."""


taken: dict[str, Taken] = {}
"""By `dag_id.task_id`."""


def main(runs: list[tuple[str, str | None]], log: Path | None) -> None:
    """Run all, and print what they took as a line of JSON."""
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
    for dag_id, key in runs:
        _test(_timed(bag.dags[dag_id], log), key)
    print(json.dumps({name: vars(of_task) for name, of_task in taken.items()}))


def _timed(dag: Any, log: Path | None) -> Any:
    """Have the functions of the DAG's tasks say how long they take, and what they ask of the S3 server."""
    for task in dag.tasks:
        if hasattr(task, "python_callable"):
            task.python_callable = _timing(f"{dag.dag_id}.{task.task_id}", task.python_callable, log)
    return dag


def _timing(name: str, function: Callable[..., Any], log: Path | None) -> Callable[..., Any]:
    if hasattr(function, "is_timed"):
        return function

    @wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        of_task, began_at = taken.setdefault(name, Taken()), log.stat().st_size if log else 0
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            of_task.n += 1
            of_task.seconds += time.perf_counter() - started
            if log:
                of_task.requests.update(REQUEST.findall(log.read_text(encoding="utf-8")[began_at:]))

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
    from plumewatch.errors import PlumewatchError
    from plumewatch.jobs import EXIT_GOOD, EXIT_NOTHING_DONE, EXIT_SOME_BAD

    job = jobs[Path(command[1]).stem]
    try:
        result = job.run(job.parse_arguments(command[2:]))
    except PlumewatchError as error:
        return EXIT_NOTHING_DONE, "", str(error)
    return EXIT_SOME_BAD if result.failed else EXIT_GOOD, json.dumps(asdict(result)), ""


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
