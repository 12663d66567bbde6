"""The Spark jobs as modules, for a session that has started already, and as programs whose memory is measured."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
import time
from types import ModuleType

import psutil

from tools.checkout import CHECKOUT

JOBS = CHECKOUT / "spark_jobs"
SAMPLED_S, SAMPLING_SHARE = 0.1, 0.05
"""Time between two looks, and how much of one processor they may take from what they look at."""


def load_job(name: str) -> ModuleType:
    """Return a job's module by the name of its file."""
    spec = importlib.util.spec_from_file_location(name, JOBS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no job {name} in {JOBS}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where a dataclass of the job looks for its module
    spec.loader.exec_module(module)
    return module


def peak_memory(command: list[str]) -> int:
    """Run a job and return the most resident memory (bytes) that it and all its processes had at once."""
    peak, is_over = 0, threading.Event()

    def sample(root: psutil.Process) -> None:
        nonlocal peak
        took_s = 0.0
        while not is_over.wait(max(SAMPLED_S, took_s / SAMPLING_SHARE)):
            now, started = 0, time.thread_time()
            try:
                processes = (root, *root.children(recursive=True))
            except psutil.NoSuchProcess:  # it has just ended
                return
            for process in processes:
                try:
                    now += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak, took_s = max(peak, now), time.thread_time() - started

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        sampler = threading.Thread(target=sample, args=(psutil.Process(process.pid),))
        sampler.start()
        said, _ = process.communicate()
        is_over.set()
        sampler.join()
    if process.returncode or json.loads(said.splitlines()[-1])["failed"]:
        raise RuntimeError(f"exit code {process.returncode}: {said}")
    return peak
