"""Each job on a cluster of two workers, of which one is killed in the middle: the tables are those of one machine."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import psutil
import pytest
from detections_and_sources import source
from jobs import load_job
from lite_granules import KM_PER_DEGREE, NAME, START, write_lite
from methane_tables import write_area, write_wind
from planted import Planted, planted_columns
from plumewatch import storage
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.tables import PIXELS, SOURCES
from sentinel2_scenes import write_stacked
from spark_cluster import AT_WORK, SparkCluster, spark_cluster

from tools.checkout import CHECKOUT
from tools.equality import differences, read_contents

SIZE, DATE = 2300, "2025-08-21"  # 7 tasks of the raster job
DAYS = 6  # granules
PLUME = PlantedPlume(8_000.0, 32.0, 20.0, 2.5, 1.5)
ENOUGH_S = 300.0
RASTERS = "rasters_to_pixels"
OPTIONS = {
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    # A task that takes twice as long as the others is done twice: what the workers write must bear that.
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.4",
    "spark.speculation.multiplier": "2",
    "spark.speculation.minTaskRuntime": "2s",
}


class Jobs:
    """The process that runs the jobs on the cluster, and the same on one machine."""

    def __init__(self, cluster: SparkCluster, root: str, disk: str, said: Path) -> None:
        self.cluster, self.root, self.disk, self._said, self._is_at_work = cluster, root, disk, said, False
        environment = cluster.driver_environment()
        environment["PYTHONPATH"] += "".join(f":{folder}" for folder in (CHECKOUT, CHECKOUT / "tests" / "benchmarks"))
        command = [sys.executable, str(Path(__file__).with_name("job_runner.py"))]
        with said.open("w") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def begin(self, name: str, **paths: str) -> None:
        if self._is_at_work:  # on the job of a test that failed
            self.end()
        self._is_at_work = True
        self.process.stdin.write(json.dumps([name, *arguments(self.root, paths)]) + "\n")
        self.process.stdin.flush()

    def end(self) -> dict[str, int]:
        is_said, _, _ = select.select([self.process.stdout], [], [], ENOUGH_S)
        answer = self.process.stdout.readline() if is_said else ""
        self._is_at_work = False
        assert answer, self.said()[-4000:]
        return json.loads(answer)

    def here(self, name: str, **paths: str) -> Any:
        """On one machine, from its disk to its disk."""
        job = load_job(name)
        return job.run(job.parse_arguments(arguments(self.disk, paths)))

    def said(self) -> str:
        return self._said.read_text()

    def lost_executors(self) -> int:
        return self.said().count("Lost executor")


def arguments(root: str, options: dict[str, str]) -> list[str]:
    """Options of a job whose paths lie below a root."""
    named = [(f"--{name.replace('_', '-')}", name.endswith("_path"), value) for name, value in options.items()]
    return [text for flag, is_path, value in named for text in (flag, f"{root}/{value}" if is_path else value)]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with what the jobs read."""
    folder = tmp_path_factory.mktemp("disk")
    _write_inputs(folder)
    return str(folder)


@pytest.fixture(scope="module")
def root(s3_server: dict[str, str], disk: str) -> Iterator[str]:
    """A prefix of a bucket with the same."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.items():
            patch.setenv(name, value)
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        if not fs.exists("tests"):
            fs.mkdir("tests")
        root = "tests/cluster"
        fs.put(f"{disk}/", root, recursive=True)
        yield f"s3://{root}"


@pytest.fixture(scope="module")
def cluster(root: str, s3_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("cluster"), s3_server, workers=2) as cluster:
        cluster.configure(OPTIONS)
        yield cluster


@pytest.fixture(scope="module")
def jobs(cluster: SparkCluster, root: str, disk: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    jobs = Jobs(cluster, root, disk, tmp_path_factory.mktemp("said") / "log")
    yield jobs
    jobs.process.kill()
    jobs.process.wait()


def _write_inputs(folder: Path) -> None:
    b11 = np.add.outer(np.arange(SIZE) % 50, np.arange(SIZE) % 70).astype(np.uint16)
    write_stacked(folder / "scenes", b11, b11, np.full(b11.shape, 5, np.uint8), date=DATE)
    rng = np.random.default_rng(7)
    peaks = [Planted(300.0, 4.0, 8.0), Planted(700.0, 5.0, 6.0)]
    for day in range(DAYS):
        at = START - timedelta(days=day)
        columns = planted_columns(rng, 1000.0, peaks, orbit=11522 - day, start=at, longitude=20.0 + day)
        write_lite(folder / "granules" / NAME.replace("160831", f"{at:%y%m%d}"), columns)
    plants = [source(f"plant{day}", 20.0 + day, -30.0 + 700.0 / KM_PER_DEGREE, 2e7) for day in range(DAYS)]
    storage.write_partition(SOURCES, f"{folder}/sources", {"inventory": "combined"}, SOURCES.from_pylist(plants))
    for number in range(4):
        area = simulate_area(number, size=64, n_references=3, plumes=(PLUME,) if number % 2 else ())
        days = write_area(folder / "seen", f"area{number}", area)
    place = area.passes[-1].place
    write_wind(folder, days[-1], np.array([[place.longitude0, float(place.longitude_latitude(0, 0)[1])]]))


STEPS = {
    RASTERS: {"scenes_path": "scenes", "pixels_path": "pixels"},
    "granules_to_soundings": {"granules_path": "granules", "soundings_path": "soundings"},
    "detect_co2_peaks": {
        "soundings_path": "soundings", "peaks_path": "peaks", "details_path": "peak_details",
    },
    "detect_methane_plumes": {
        "pixels_path": "seen/pixels", "plumes_path": "plumes", "wind_path": "wind", "details_path": "plume_details",
    },
    "match_sources": {"detections_path": "peaks", "gas": "co2", "sources_path": "sources", "matches_path": "matches"},
}  # fmt: skip
"""In the order in which they feed each other."""
PARTITION = f"pixels/area=dune/date={DATE}"


def has_begun(jobs: Jobs, name: str, victim: str) -> Callable[[], bool]:
    """Whether a worker is at work on the job: of the raster job, when a first file is there and others are missing."""
    before = _tasks_begun(jobs.cluster, victim)
    folder = f"{jobs.root}/{PARTITION}"
    if name == RASTERS:
        return lambda: bool(storage.list_files(folder, ".parquet")) and _tasks_begun(jobs.cluster, victim) > before
    return lambda: _tasks_begun(jobs.cluster, victim) > before


def _tasks_begun(cluster: SparkCluster, victim: str) -> int:
    return sum(log.read_text(errors="replace").count(AT_WORK) for log in cluster.executor_logs(victim))


def different(jobs: Jobs) -> list[str]:
    """Tables of the cluster that aren't those of one machine."""
    lines = differences(read_contents(jobs.root), read_contents(jobs.disk))
    return [line for line in lines if line.startswith("DIFFERENT")]


@pytest.mark.parametrize("number", range(len(STEPS)), ids=list(STEPS))
def test_a_worker_is_killed_in_the_middle(jobs: Jobs, spark: object, number: int) -> None:
    name = list(STEPS)[number]
    victim = f"worker-{1 + number % 2}"  # the other one has stayed up since the job before
    lost = jobs.lost_executors()
    jobs.begin(name, **STEPS[name])
    jobs.cluster.wait_for(has_begun(jobs, name, victim), name, jobs.process)
    jobs.cluster.kill(victim)
    jobs.cluster.start_worker(victim)
    result = jobs.end()
    assert jobs.lost_executors() == lost + 1, "the job was over before"
    here = jobs.here(name, **STEPS[name])
    assert result == {"rows_read": here.rows_read, "rows_written": here.rows_written, "failed": 0}
    assert result["rows_written"] > 0
    assert different(jobs) == []


def test_a_task_that_is_done_twice_leaves_each_file_once(jobs: Jobs, spark: object) -> None:
    """A worker's Python stands still in the middle, its tasks are done by the other one, and then it goes on."""
    root, victim = jobs.root, "worker-1"
    storage.delete(f"{root}/pixels")
    jobs.begin(RASTERS, **STEPS[RASTERS])

    def pythons() -> list[psutil.Process]:
        return [p for p in jobs.cluster.processes_of(victim) if "python" in p.name()]

    begun = has_begun(jobs, RASTERS, victim)
    jobs.cluster.wait_for(lambda: begun() and bool(pythons()), RASTERS, jobs.process)
    stopped = pythons()
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        result = jobs.end()
        written = storage.modified_times(f"{root}/{PARTITION}")
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
    assert stopped and result["rows_written"] == SIZE * SIZE
    _wait_until_idle(stopped)
    manifest = storage.read_manifest(f"{root}/{PARTITION}")
    names = {Path(file).name for file in storage.list_files(f"{root}/{PARTITION}", ".parquet")}
    assert names == set(manifest["files"]) and set(written) == set(storage.modified_times(f"{root}/{PARTITION}"))
    rows = storage.read_table(PIXELS, f"{root}/pixels")
    assert rows.num_rows == SIZE * SIZE
    cells = rows["row"].to_numpy().astype(np.int64) * SIZE + rows["col"].to_numpy()
    assert len(np.unique(cells)) == SIZE * SIZE
    assert different(jobs) == []


def _wait_until_idle(processes: list[psutil.Process]) -> None:
    """Wait until what was stopped has ended, or has done nothing for a second."""
    until = time.monotonic() + ENOUGH_S
    before = None
    while (now := [p.cpu_times() for p in processes if p.is_running() and p.status() != "zombie"]) != before:
        assert time.monotonic() < until
        before = now
        time.sleep(1.0)


def test_the_workers_know_the_project_as_a_wheel(jobs: Jobs) -> None:
    """None of their processes has the checkout on its path."""
    for victim in ("worker-1", "worker-2"):
        for process in jobs.cluster.processes_of(victim):
            with suppress(psutil.NoSuchProcess):
                assert str(CHECKOUT / "include") not in process.environ().get("PYTHONPATH", "")
