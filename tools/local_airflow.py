"""Airflow on this machine, in one folder: SQLite, LocalExecutor, its four processes under the supervisor."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.airflow_client import AirflowClient
from tools.checkout import CHECKOUT, kept_secrets, write_privately
from tools.supervisor import Service, ServiceFailed

USER = "admin"
PARALLELISM = 4
"""Tasks at a time: each takes 80 MB and most of them wait for Spark or the network."""
MOST_SCENES = 10_000
"""Of a day: over more the ingest's mapped task isn't spread, and its run fails."""
PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
BOOT_TIMEOUT_S = 300.0
DAGS_TIMEOUT_S = 120.0
POLL_S = 0.5
NAME = "Plumewatch"


def secrets_of(home: Path) -> dict[str, str]:
    """Return the generated secrets of an Airflow home; made on first use, readable by its owner alone."""
    new = {
        "password": secrets.token_urlsafe(9),
        "jwt": secrets.token_urlsafe(48),
        "session": secrets.token_urlsafe(32),
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    return kept_secrets(home / "secrets.json", new)


class LocalAirflow:
    """Airflow in the folder `home`, on one port of 127.0.0.1."""

    def __init__(
        self,
        home: Path,
        port: int,
        environment: Mapping[str, str],
        *,
        reparse_s: int,
        name: str = NAME,
        dags: Path = CHECKOUT / "dags",
    ) -> None:
        """`environment` is what DAGs and tasks see; `reparse_s`: how often DAG files are read anew; `name` is shown."""
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        self.password = secrets_of(home)["password"]
        self.client = AirflowClient(self.url, USER, self.password)
        self.environment = {**environment, **self._settings(port, reparse_s, dags), "AIRFLOW__API__INSTANCE_NAME": name}

    def _settings(self, port: int, reparse_s: int, dags: Path) -> dict[str, str]:
        generated = secrets_of(self.home)
        passwords = self.home / "passwords.json"
        write_privately(passwords, json.dumps({USER: self.password}))
        settings = {
            "CORE__EXECUTOR": "plumewatch_airflow.executor.MendedLocalExecutor",
            "CORE__PARALLELISM": str(PARALLELISM),
            "CORE__LOAD_EXAMPLES": "False",
            # A task is mapped over the scenes of a day: of 10,000 areas all over the world some 4,500, and Airflow's
            # own limit is 1,024 (docs/scaling.md).
            "CORE__MAX_MAP_LENGTH": str(MOST_SCENES),
            "CORE__DAGS_FOLDER": str(dags),
            "CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
            "CORE__FERNET_KEY": generated["fernet"],
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "plumewatch_airflow.sqlite.CONNECT_ARGS",
            "DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "plumewatch_airflow.sqlite.CONNECT_ARGS",
            "API__HOST": "127.0.0.1",
            "API__PORT": str(port),
            "API__BASE_URL": self.url,
            "API__SECRET_KEY": generated["session"],
            "API_AUTH__JWT_SECRET": generated["jwt"],
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self.home / "bundles"),
            "DAG_PROCESSOR__REFRESH_INTERVAL": str(reparse_s),
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": str(reparse_s),
            # The scheduler looks for work more often than its default of a second: tasks here are short.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            # A killed worker sends no more heartbeats (every 5 s): its task is tried again after a minute, not five.
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            # One whose worker was killed before it began is queued anew after so long (default 600 s).
            "SCHEDULER__TASK_QUEUED_TIMEOUT": "300",
            # What a killed scheduler had queued is looked for when the next one starts, which doesn't think the first
            # one dead yet (30 s), and then so often (default 300 s).
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
            # A worker that misses the end of its task looks again after this many seconds (default 5).
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
        return {"AIRFLOW_HOME": str(self.home), **{f"AIRFLOW__{name}": value for name, value in settings.items()}}

    def migration(self) -> Service:
        """Return the process that creates or upgrades the database."""
        return self._service("migrate", "db", "migrate")

    def services(self) -> list[Service]:
        """Return Airflow's four processes.

        Logs are read from the folder, so that no server is needed that serves them to other machines.
        """
        return [
            self._service("api-server", "api-server"),
            self._service("scheduler", "scheduler", "--skip-serve-logs"),
            self._service("dag-processor", "dag-processor"),
            self._service("triggerer", "triggerer", "--skip-serve-logs"),
        ]

    def _service(self, name: str, *arguments: str) -> Service:
        return Service(name, (sys.executable, "-m", "airflow", *arguments), self.environment)


def wait_until_healthy(client: AirflowClient, check: Callable[[], None], say: Callable[[str], None]) -> None:
    """Wait for all parts, telling of each; `check` raises where it is of no use any more.

    Raises ServiceFailed after BOOT_TIMEOUT_S.
    """
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    healthy: list[str] = []
    while len(healthy) < len(PARTS):
        states = client.health()
        now_healthy = [part for part in PARTS if states.get(part) == "healthy"]
        if len(now_healthy) > len(healthy):
            say(f"Airflow: {', '.join(now_healthy)} up")
        healthy = now_healthy
        check()
        if time.monotonic() > deadline:
            missing = [part for part in PARTS if part not in healthy]
            raise ServiceFailed(f"Airflow isn't up after {BOOT_TIMEOUT_S:.0f} s; missing: {', '.join(missing)}")
        time.sleep(POLL_S)


def wait_for_dags(client: AirflowClient, check: Callable[[], None], dag_ids: set[str]) -> None:
    """Wait until the DAG processor has read these DAGs. Raises ServiceFailed with the first error of a DAG file."""
    deadline = time.monotonic() + DAGS_TIMEOUT_S
    while missing := dag_ids - client.dags().keys():
        check()
        for file, trace in client.import_errors().items():
            raise ServiceFailed(f"{file} doesn't load:\n{trace}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"DAGs not found after {DAGS_TIMEOUT_S:.0f} s: {', '.join(sorted(missing))}")
        time.sleep(POLL_S)
