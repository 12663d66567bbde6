"""`kill -9` in the middle of the job: a partition is whole or absent, and a repetition gives the right table."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from known_pixels import JOB, image, pixels
from plumewatch import storage
from plumewatch.tables import PIXELS
from sentinel2_scenes import write_stacked

SIZE = 2300  # 7 tasks: when the first has written its file, the others are still to come
PATIENCE_S = 300.0  # for a start of Spark on a machine that has much else to do
DAEMON = "pyspark.daemon"  # in the command line of Python workers, and of the processes that they descend from
PARTITION = "pixels/area=dune/date=2025-08-21"


def stack(scenes: Path, version: int) -> np.ndarray:
    """Stack a large scene of few different numbers, and return B11 as digital numbers."""
    b11 = np.add.outer(np.arange(SIZE) % 50, np.arange(SIZE) % 70).astype(np.uint16) + 1000 * version
    scl = np.full(b11.shape, 5, np.uint8)
    write_stacked(scenes, b11, b11, scl, properties={"file:checksum": str(version)})
    return b11


@contextmanager
def job_at_work(root: Path) -> Iterator[subprocess.Popen[str]]:
    """The job as a process of its own, from when it has written one new file."""
    folder = root / PARTITION
    before = set(folder.glob("*.parquet"))
    command = [sys.executable, str(JOB), "--scenes-path", str(root / "scenes"), "--pixels-path", str(root / "pixels")]
    with subprocess.Popen([*command, "--cloud-dilation-m", "0"], stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + PATIENCE_S
            while set(folder.glob("*.parquet")) <= before:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def the_workers(job: psutil.Process) -> list[psutil.Process]:
    """The Python workers: processes that a daemon of Spark has made of itself. Some are at work, some wait for it."""
    daemons = []
    for process in job.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended, a zombie too
            if DAEMON in " ".join(process.cmdline()):
                daemons.append(process)
    return [p for p in daemons if p.parent() in daemons]


def the_jvm(job: psutil.Process) -> list[psutil.Process]:
    """Spark's driver and executor in one."""
    return [p for p in job.children() if p.name() == "java"]


def itself(job: psutil.Process) -> list[psutil.Process]:
    """The process that Airflow started."""
    return [job]


@pytest.mark.parametrize("victim", [the_workers, the_jvm, itself])
def test_the_partition_is_whole_or_absent(
    run: Callable, scenes: Path, tmp_path: Path, victim: Callable[[psutil.Process], list[psutil.Process]]
) -> None:
    is_replaced = victim is the_jvm  # else it is written for the first time
    former = stack(scenes, 1)
    if is_replaced:
        run()
    b11 = stack(scenes, 2) if is_replaced else former
    with job_at_work(tmp_path) as process:
        victims = victim(psutil.Process(process.pid))
        for each in victims:
            each.kill()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert victims and process.returncode != 0
    if victim is the_workers:
        assert "may heal when tried again" in said.splitlines()[-1]
    there = pixels(tmp_path)
    if is_replaced:
        np.testing.assert_array_equal(image(there, "b11", (SIZE, SIZE)), (former / 1e4).astype(np.float32))
    else:
        assert there.num_rows == 0 and storage.list_partitions(PIXELS, str(tmp_path / "pixels")) == []
    run()
    found = pixels(tmp_path)
    assert found.num_rows == SIZE * SIZE
    np.testing.assert_array_equal(image(found, "b11", (SIZE, SIZE)), (b11 / 1e4).astype(np.float32))
    assert {p.name for p in (tmp_path / PARTITION).iterdir()} >= {storage.MANIFEST}
    assert not (tmp_path / PARTITION / "_writing").exists()
