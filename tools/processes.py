"""Finding and ending the processes that a supervisor started, wherever they went.

Airflow's tasks and Spark's workers move into process groups of their own and outlive their parents, so a process group
isn't enough. Every supervised process, and all that it starts, carries a mark in its environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psutil

MARK = "PLUMEWATCH_SUPERVISED_BY"
GRACE_S = 20.0
"""How long processes may take to end by themselves before they are killed."""
ORPHAN_S = 3.0
"""How long a child may outlive its parent before it is asked to end as well."""
POLL_S = 0.1


def mark(prefix: str, service: str) -> Mapping[str, str]:
    """Return the environment variables that mark a service's processes."""
    # setproctitle, which Airflow uses, would otherwise write its title over the memory that shows the environment.
    return {MARK: f"{prefix}#{service}", "SPT_NOENV": "1"}


def marked_processes(prefix: str, service: str | None = None) -> list[psutil.Process]:
    """Return the living processes whose mark starts with `prefix`; of one service only, where it is named."""
    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARK, "")
        except psutil.Error:  # gone meanwhile, a zombie, or another user's: none of ours
            continue
        if value.startswith(f"{prefix}#") and (service is None or value.endswith(f"#{service}")):
            found.append(process)
    return found


def end_marked(prefix: str, grace_s: float = GRACE_S) -> list[str]:
    """End all marked processes: TERM to those at the top, who end their children; KILL after `grace_s`.

    Returns the names of the services that had to be killed.
    """
    deadline = time.monotonic() + grace_s
    asked = set(tops(marked_processes(prefix)))
    for process in asked:
        signal_quietly(process, psutil.Process.terminate)
    orphan_since: dict[psutil.Process, float] = {}
    while (alive := marked_processes(prefix)) and time.monotonic() < deadline:
        for process in set(tops(alive)) - asked:
            if time.monotonic() - orphan_since.setdefault(process, time.monotonic()) > ORPHAN_S:
                signal_quietly(process, psutil.Process.terminate)
                asked.add(process)
        time.sleep(POLL_S)
    return kill_marked(prefix)


def kill_marked(prefix: str, service: str | None = None) -> list[str]:
    """Kill all marked processes, or those of one service; return the names of the services that were still there."""
    killed = set()
    while alive := marked_processes(prefix, service):  # again and again: one may start another while it is killed
        for process in alive:
            killed.add(service_of(process))
            signal_quietly(process, psutil.Process.kill)
        time.sleep(POLL_S)
    return sorted(killed)


def tops(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those whose parent isn't among the processes."""
    pids = {process.pid for process in processes}
    found = []
    for process in processes:
        with suppress(psutil.Error):  # gone meanwhile
            if process.ppid() not in pids:
                found.append(process)
    return found


def signal_quietly(process: psutil.Process, send: Callable[[psutil.Process], None]) -> None:
    """Send a signal to a process that may be gone by now."""
    with suppress(psutil.NoSuchProcess):
        send(process)


def service_of(process: psutil.Process) -> str:
    """Return the name of the service that started the process."""
    try:
        return process.environ().get(MARK, "").rpartition("#")[2]
    except psutil.Error:  # gone meanwhile
        return f"process {process.pid}"
