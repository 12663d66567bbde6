"""The demonstration as a client of an Airflow that runs already: `python -m tools.container_demo URL WORLD`.

For docker-compose.demo.yaml: user admin, the password in PLUMEWATCH_UI_PASSWORD, the world's truth in its folder, the
tables by the usual settings. Exit code 0 only if what was planted was found, as `make demo`, and the interface shows
the tasks' logs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from plumewatch.settings import Settings

from tools.airflow_client import FINISHED, AirflowClient, TaskRun
from tools.demo import DAG_IDS, Clock, end_with, process, report
from tools.local_airflow import USER, wait_for_dags, wait_until_healthy

SHORTEST_LOG = 200  # characters: less is Airflow's own word on where it looked for one


def run_here(url: str, world: Path) -> int:
    """Run the DAGs over the world's dates, print found against planted, and return the exit code."""
    clock = Clock()
    client = AirflowClient(url, USER, os.environ["PLUMEWATCH_UI_PASSWORD"])
    wait_until_healthy(client, nothing_to_check, clock.say)
    wait_for_dags(client, nothing_to_check, set(DAG_IDS))
    truth = json.loads((world / "truth.json").read_text())
    red, tasks, _ = process(client, nothing_to_check, truth, clock)
    problems = [*report(truth, Settings.load().storage_root, red), *without_log(client, tasks)]
    print(f"\nTime: {clock.total_s:.0f} s in all")
    print("\nFAILED:\n" + "\n".join(f"  - {p}" for p in problems) if problems else "\nFound what was planted.")
    return 1 if problems else 0


def without_log(client: AirflowClient, tasks: Sequence[TaskRun]) -> list[str]:
    """Return what is wrong with the logs that the interface shows, of the last finished task of each DAG.

    They are written where the task runs, and read by another container.
    """
    last = {task.dag_id: task for task in tasks if task.state in FINISHED}
    logs = {task: client.log(task) for task in last.values()}
    print(f"\nLogs in the interface: {sum(map(len, logs.values()))} characters of {len(logs)} tasks, one a DAG")
    return [
        f"{task.dag_id} {task.task_id} {task.run_id}: no log in the interface: {text[:300]}"
        for task, text in logs.items()
        if len(text) < SHORTEST_LOG or "Could not read" in text
    ]


def nothing_to_check() -> None:
    """The containers' engine looks after the servers."""


if __name__ == "__main__":
    end_with(lambda: run_here(sys.argv[1], Path(sys.argv[2])))
