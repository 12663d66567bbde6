"""A real Airflow with its database in a temporary folder; set up before Airflow is first imported."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="plumewatch-airflow-"))

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}
sys.path.insert(0, str(CHECKOUT / "plugins"))


@pytest.fixture(scope="session")
def dagbag() -> Any:
    """All DAGs of the bundle, stored in the database so that they can run."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(CHECKOUT / "dags"), bundle_path=CHECKOUT / "dags", bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return bag


@dataclass(frozen=True)
class World:
    """The simulated world, its catalogue served on loopback, and where its tables go."""

    folder: Path
    truth: dict[str, Any]
    storage_root: str


@pytest.fixture(scope="session")
def spark_server() -> Iterator[str]:
    """A Spark Connect server with Sedona, as the demonstration uses it."""
    port = free_port()
    with server_process([sys.executable, "-m", "plumewatch.spark_session", "serve", "--port", str(port)], port, 120):
        yield f"sc://127.0.0.1:{port}/;session_id={uuid.uuid4()};user_id=tests"


@pytest.fixture(scope="session")
def served_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """World number 1: its folder, its truth, and the URL of its catalogue."""
    from plumewatch.simulation import build_world

    folder = tmp_path_factory.mktemp("world")
    truth = build_world(folder, seed=1)
    port = free_port()
    command = [sys.executable, "-m", "plumewatch.simulation.serve", str(folder), "--port", str(port)]
    with server_process(command, port, 60):
        yield folder, truth, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def world(
    served_world: tuple[Path, dict[str, Any], str], tmp_path_factory: pytest.TempPathFactory, spark_server: str
) -> Iterator[World]:
    """The world with an empty storage of the module's own, and the settings by which the DAGs find both."""
    folder, truth, url = served_world
    root = tmp_path_factory.mktemp("storage")
    shutil.copytree(folder / "areas", root / "areas")
    settings = {
        "PLUMEWATCH_STORAGE_ROOT": f"file://{root}",
        "PLUMEWATCH_STAC_API": url,
        "PLUMEWATCH_WIND": str(folder / "wind"),
        "PLUMEWATCH_GRANULES": str(folder / "granules"),
        "PLUMEWATCH_INVENTORIES": str(folder / "inventories"),
        "PLUMEWATCH_SPARK": spark_server,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield World(folder, truth, f"file://{root}")


@pytest.fixture
def run_dag(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A function that runs a DAG in process, for a partition key, and returns the run."""
    import airflow.models.dagrun as dagrun

    create = dagrun.get_or_create_dagrun

    def run(dag_id: str, key: str | None = None, **conf: Any) -> Any:
        def create_with_key(**arguments: Any) -> Any:  # dag.test() has no argument for the partition key
            created = create(**arguments)
            created.partition_key = key
            arguments["session"].commit()
            return created

        monkeypatch.setattr(dagrun, "get_or_create_dagrun", create_with_key)
        dag = dagbag.dags[dag_id]
        params = [holder.params.get_param(name) for holder in (dag, *dag.tasks) for name in holder.params]
        values = [param.value for param in params]
        try:
            return dag.test(run_conf=conf)
        finally:  # a test run writes its values into the params, for all that come after
            for param, value in zip(params, values, strict=True):
                param.value = value

    return run


@pytest.fixture
def states_of() -> Callable[[Any], dict[str, list[str]]]:
    """A function from a run to the states of its task instances, by task."""

    def states(run: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for ti in sorted(run.get_task_instances(), key=lambda t: t.map_index):
            found.setdefault(ti.task_id, []).append(str(ti.state))
        return found

    return states


@pytest.fixture
def keys_handed_on() -> Callable[[Any], set[tuple[str, str | None]]]:
    """A function from a run to the (asset, partition key) pairs of its events."""

    def handed_on(run: Any) -> set[tuple[str, str | None]]:
        from airflow.models.asset import AssetEvent
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            query = select(AssetEvent).where(
                AssetEvent.source_run_id == run.run_id, AssetEvent.source_dag_id == run.dag_id
            )
            return {(event.asset.name, event.partition_key) for event in session.scalars(query)}

    return handed_on


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server_process(command: list[str], port: int, timeout_s: float) -> Iterator[None]:
    """Run a server until the block ends; ready when its port answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            assert process.poll() is None and time.monotonic() < deadline, f"{command} did not come up"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
