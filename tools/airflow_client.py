"""Airflow's REST API, as far as the demonstration and the commands need it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests

PAGE = 100  # the API's own maximum, [api] maximum_page_limit
TIMEOUT_S = 60.0
PATIENCE_S = 30.0
"""How long a server that doesn't answer is asked again: the supervisor restarts it meanwhile."""
RETRY_PAUSE_S = 1.0
FINISHED = ("success", "failed")
LOGIN = "/auth/token"


class AirflowError(Exception):
    """The API refused a request or can't be reached."""


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str
    state: str
    """queued, running, success or failed."""
    partition_key: str | None

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.state in FINISHED


@dataclass(frozen=True)
class TaskRun:
    """One task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    pid: int | None
    """Its process on the executor's machine."""
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class AirflowClient:
    """Talks to one API server as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # loopback is never reached through a proxy
        self._session.headers["Connection"] = "close"  # a server that is started again doesn't know the old ones

    def health(self) -> dict[str, str]:
        """Return the state of each part of Airflow; empty while the API server doesn't answer."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5)
            answer.raise_for_status()
            parts = answer.json()
        except requests.RequestException:
            return {}
        return {name: part.get("status") or "unknown" for name, part in parts.items() if part}

    def dags(self) -> dict[str, bool]:
        """Return the DAG ids, and whether each is paused."""
        return {dag["dag_id"]: dag["is_paused"] for dag in self._pages("/api/v2/dags", "dags")}

    def import_errors(self) -> dict[str, str]:
        """Return the DAG files that don't load, with their stack traces."""
        return {e["filename"]: e["stack_trace"] for e in self._pages("/api/v2/importErrors", "import_errors")}

    def pause(self, dag_id: str, is_paused: bool = True) -> None:
        """Keep the DAG's runs from starting, or let them start."""
        self.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": is_paused})

    def trigger(self, dag_id: str, partition_key: str | None = None, params: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand; return its id."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": dict(params or {})}
        return str(self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, start: str, end: str, *, max_active_runs: int, reprocess: str) -> int:
        """Create a backfill over the dates from start to end, both included; return its id.

        `reprocess`: none, failed or completed: which of the runs that exist already are run again.
        """
        body = {
            "dag_id": dag_id,
            "from_date": f"{start}T00:00:00Z",
            "to_date": f"{end}T00:00:00Z",
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
            "dag_run_conf": {},
        }
        return int(self.request("POST", "/api/v2/backfills", body)["id"])

    def is_backfill_complete(self, backfill_id: int) -> bool:
        """Return whether all runs of the backfill have ended."""
        return self.request("GET", f"/api/v2/backfills/{backfill_id}")["completed_at"] is not None

    def runs(self, dag_id: str = "~") -> list[Run]:
        """Return the runs of a DAG, or of all."""
        return [_run(run) for run in self._pages(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs")]

    def task_runs(self, dag_id: str = "~", run_id: str = "~") -> list[TaskRun]:
        """Return the task instances of a run, or of all."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='~')}/taskInstances"
        return [_task_run(task) for task in self._pages(path, "task_instances")]

    def pending_partitions(self) -> int:
        """Return how many partitioned runs wait for events or for the scheduler to create them."""
        answer = self.request("GET", "/ui/partitioned_dag_runs?has_created_dag_run_id=false")
        return len(answer["partitioned_dag_runs"])

    def log(self, task: TaskRun) -> str:
        """Return a task instance's log, of its last try, as lines."""
        path = f"/api/v2/dags/{task.dag_id}/dagRuns/{quote(task.run_id)}/taskInstances/{task.task_id}/logs"
        entries = self.request("GET", f"{path}/{task.try_number}?map_index={task.map_index}&full_content=true")[
            "content"
        ]
        return "\n".join(entry if isinstance(entry, str) else str(entry.get("event", "")) for entry in entries)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request and return its JSON. Raises AirflowError with the API's own words."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._session.request(method, self.url + path, json=body, timeout=TIMEOUT_S)
            except requests.RequestException as error:
                # A POST that reached a dying server may have had its effect.
                reason, is_final = str(error), method == "POST"
            else:
                if answer.ok:
                    return answer.json() if answer.content else None
                if answer.status_code == 401 and path != LOGIN:  # no token yet, or it has run out
                    token = self.request("POST", LOGIN, self._credentials)["access_token"]
                    self._session.headers["Authorization"] = f"Bearer {token}"
                    continue
                # 503: SQLite was locked.
                reason, is_final = f"{answer.status_code} {answer.text[:1000]}", answer.status_code != 503
            if is_final or time.monotonic() > deadline:
                raise AirflowError(f"{method} {path}: {reason}")
            time.sleep(RETRY_PAUSE_S)

    def _pages(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = self.request("GET", f"{path}?limit={PAGE}&offset={offset}")
            yield from answer[name]
            offset += PAGE
            if offset >= answer["total_entries"]:
                return


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _run(run: Mapping[str, Any]) -> Run:
    return Run(run["dag_id"], run["dag_run_id"], run["state"], run["partition_key"])


def _task_run(task: Mapping[str, Any]) -> TaskRun:
    return TaskRun(
        dag_id=task["dag_id"],
        run_id=task["dag_run_id"],
        task_id=task["task_id"],
        map_index=task["map_index"],
        state=task["state"],
        try_number=task["try_number"],
        pid=task["pid"],
        scheduled_at=_time(task["scheduled_when"]),
        started_at=_time(task["start_date"]),
        ended_at=_time(task["end_date"]),
    )
