"""A standalone Spark cluster on loopback: master and workers are plain processes that know the project as a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from plumewatch import spark_runtime

from tools.checkout import CHECKOUT, project_environment
from tools.ports import choose_ports

MASTER, WORKER = ("org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker")
EXECUTOR_MEMORY = "1g"
PATIENCE_S = 300.0  # for a start of a JVM on a machine that has much else to do
AT_WORK = "Running task"  # what an executor writes into its log when it begins a task


def install_wheel(folder: Path) -> Path:
    """Build the project's wheel, install it beside the packages of this environment, and return that Python.

    The new environment sees the other packages, but not the checkout.
    """
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "include"):
        (source / name).symlink_to(CHECKOUT / name)
    uv = [str(Path(sys.executable).parent / "uv")]
    quiet = {"check": True, "capture_output": True, "env": {**os.environ, "VIRTUAL_ENV": ""}}
    build = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, **quiet)
    [wheel] = folder.glob("*.whl")
    subprocess.run([*uv, "venv", "--offline", "-p", sys.executable, str(folder / "python")], **quiet)
    python = folder / "python" / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--offline", "--no-deps", "-p", str(python), str(wheel)], **quiet)
    packages = next((folder / "python" / "lib").glob("python3*/site-packages"))
    shared = next(Path(sys.prefix, "lib").glob("python3*/site-packages"))
    (packages / "shared.pth").write_text(f"{shared}\n")  # .pth files of that folder, as the checkout's, aren't followed
    return python


class SparkCluster:
    """A master and some workers of one core each; `with` ends all their processes."""

    def __init__(self, folder: Path, python: Path, environment: Mapping[str, str]) -> None:
        """Logs and work go below `folder`; `python` is the workers', `environment` holds what they need, as AWS_*."""
        self._folder = folder
        self._port, ui = choose_ports(7077, 18080)
        self.url = f"spark://127.0.0.1:{self._port}"
        java = spark_runtime.require_java().resolve().parents[1]
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "PLUMEWATCH_", "AWS_", "AIRFLOW"))}
        self._own = {
            **project_environment(java, clean),
            **environment,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_DAEMON_JAVA_OPTS": " ".join(spark_runtime.FAST_START),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_CONF_DIR": str(folder / "conf"),
        }
        self._own["PATH"] = f"{python.parent}:{java / 'bin'}:{os.defpath}"
        self._python = python
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "conf").mkdir(parents=True)
        options = {"spark.executor.extraJavaOptions": " ".join(spark_runtime.FAST_START)}
        self.configure(options)
        self._start("master", MASTER, "--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(ui))

    def configure(self, options: Mapping[str, str]) -> None:
        """Write the cluster's spark-defaults.conf, which holds for the drivers that start from now on."""
        lines = [f"{name} {value}\n" for name, value in options.items()]
        (self._folder / "conf" / "spark-defaults.conf").write_text("".join(lines))

    def start_worker(self, name: str, *, is_pinned: bool = False) -> None:
        """Start a worker, and wait until the master knows it.

        Spark's one core is one task at a time, whose JVM and Python may keep more busy; pinned, `worker-N` and all that
        it starts have the machine's Nth processor alone.
        """
        host = f"127.0.0.{1 + int(name.rpartition('-')[2])}"  # one of its own: a task isn't done twice on one host
        work = ["--cores", "1", "--memory", EXECUTOR_MEMORY, "--work-dir", str(self._folder / name)]
        command = [WORKER, "--host", host, "--webui-port", "0", *work, self.url]
        self._start(name, *command, on=_processor(name) if is_pinned else None, SPARK_LOCAL_IP=host)
        self.wait_for(lambda: "Successfully registered with master" in self._log(name).read_text(), name)

    def driver_environment(self) -> dict[str, str]:
        """Return the environment of a job on this cluster: its driver sees the checkout, its workers don't."""
        return {
            **self._own,
            "PYTHONPATH": str(CHECKOUT / "include"),
            "PYSPARK_PYTHON": str(self._python),
            "PLUMEWATCH_SPARK": self.url,
            "PLUMEWATCH_SPARK_EXECUTOR_MEMORY": EXECUTOR_MEMORY,
        }

    def executor_logs(self, name: str) -> list[Path]:
        """Return the logs of a worker's executors, of all jobs so far."""
        return sorted(self._folder.glob(f"{name}/app-*/*/stderr"))

    def processes_of(self, name: str) -> list[psutil.Process]:
        """Return a worker and all that it started: its executors, and their Python workers."""
        worker = psutil.Process(self._processes[name].pid)
        return [worker, *worker.children(recursive=True)]

    def kill(self, name: str) -> None:
        """`kill -9` a worker with all that it started."""
        for process in self.processes_of(name):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._processes.pop(name).wait()

    def wait_for(self, is_so: Callable[[], bool], name: str, process: subprocess.Popen[str] | None = None) -> None:
        """Wait until something is so; AssertionError names what it waited for, and whether a process ended before."""
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            assert process is None or process.poll() is None, f"{name}: the job ended before"
            assert time.monotonic() < until, f"{name}: not within {PATIENCE_S:.0f} s"
            time.sleep(0.02)

    def __enter__(self) -> SparkCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.kill(name)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _start(self, name: str, *command: str, on: int | None = None, **environment: str) -> None:
        program = [] if on is None else ["taskset", "--cpu-list", str(on)]
        program += [str(spark_runtime.spark_home() / "bin" / "spark-class")]
        with self._log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [*program, *command],
                env=self._own | environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _processor(name: str) -> int:
    processors = sorted(os.sched_getaffinity(0))
    return processors[(int(name.rpartition("-")[2]) - 1) % len(processors)]


@contextmanager
def spark_cluster(
    folder: Path, environment: Mapping[str, str], workers: int, *, is_pinned: bool = False
) -> Iterator[SparkCluster]:
    """A cluster with its workers up, named `worker-1` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wheel").mkdir()
    with SparkCluster(folder, install_wheel(folder / "wheel"), environment) as cluster:
        for number in range(workers):
            cluster.start_worker(f"worker-{number + 1}", is_pinned=is_pinned)
        yield cluster
