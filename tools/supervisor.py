"""Keeps a handful of processes running and leaves none behind: not after Ctrl-C, an exception or a kill of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from tools.checkout import CHECKOUT
from tools.guard import DONE
from tools.processes import GRACE_S, end_marked, kill_marked, mark

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Pause before a service is started again; it doubles from death to death."""
STEADY_S = 60.0
"""A service that has lived so long counts as healthy: its next death is a first one again."""
EXEC_S = 0.5
"""A process whose start a signal interrupted bears its mark only once the new program runs; that takes a moment."""
DEATHS_ALLOWED = 5
"""A service that dies more often in a row is given up."""
POLL_S = 0.25
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class AlreadyRunning(Exception):
    """Another supervisor holds the folder."""


class ServiceFailed(Exception):
    """A process ended that was meant to go on, or ended with an error."""


@dataclass(frozen=True)
class Service:
    """One process that is to run until it is stopped."""

    name: str
    """Also the name of its log file."""
    command: Sequence[str]
    """Program and arguments."""
    environment: Mapping[str, str]
    """The whole environment."""


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """`with Supervisor(folder) as supervisor:` everything started inside has ended when the block has.

    Raises AlreadyRunning on entry if another one is at work in the same folder.
    """

    folder: Path
    """Logs go to `folder/logs`; one supervisor a folder."""
    say: Callable[[str], None] = lambda text: print(text, flush=True)
    """Where to tell of restarts."""
    grace_s: float = GRACE_S
    """How long the processes may take to end before they are killed."""
    _running: dict[str, _Running] = field(default_factory=dict)
    _given_up: str | None = None

    def __enter__(self) -> Supervisor:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        self._lock_file = _take_lock(self.folder)
        end_marked(str(self.folder), grace_s=0.0)  # what a killed predecessor may have left
        self._mark = f"{self.folder}#{os.getpid()}-{time.time_ns()}"
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        self._guard = _start_guard(self._mark, self.grace_s)
        self._old_handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        for number in (signal.SIGTERM, signal.SIGHUP):
            if self._old_handlers[number] is not signal.SIG_IGN:  # nohup ignores the hang-up on purpose
                signal.signal(number, _interrupt)
        self._thread = threading.Thread(target=self._tend, name="supervisor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for number in ENDING_SIGNALS:
            signal.signal(number, self._ask_for_patience)
        self.stop()
        assert self._guard.stdin
        self._guard.stdin.write(DONE)
        self._guard.stdin.close()
        self._guard.wait()
        self._lock_file.close()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)

    def start(self, *services: Service) -> None:
        """Start services; they are started again when they die."""
        with self._mutex:
            for service in services:
                self._running[service.name] = _Running(service, self.run(service), time.monotonic())

    def run(self, service: Service) -> subprocess.Popen[bytes]:
        """Start a process; where it is to end by itself, hand it to `wait`."""
        with self.log_path(service.name).open("ab") as log:
            return subprocess.Popen(
                list(service.command),
                cwd=CHECKOUT,
                env={**service.environment, **mark(self._mark, service.name)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches the supervisor alone, which ends them in order
            )

    def wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process of `run` has ended. Raises ServiceFailed if it ended with an error."""
        while process.poll() is None:
            self.check()
            time.sleep(POLL_S)
        if process.returncode:
            raise ServiceFailed(f"{name} ended with exit code {process.returncode}:\n{self.log_end(name)}")

    def check(self) -> None:
        """Raise ServiceFailed if a service had to be given up."""
        if self._given_up:
            name = self._given_up
            raise ServiceFailed(f"{name} died {DEATHS_ALLOWED + 1} times in a row:\n{self.log_end(name)}")

    def log_path(self, name: str) -> Path:
        """Return the log file of a service."""
        return self.folder / "logs" / f"{name}.log"

    def log_end(self, name: str) -> str:
        """Return the last 25 lines of a service's log, below its path."""
        text = self.log_path(name).read_text(encoding="utf-8", errors="replace") if self.log_path(name).exists() else ""
        return "\n".join([f"  {self.log_path(name)}", *(f"  | {line}" for line in text.splitlines()[-25:])])

    def stop(self) -> None:
        """End all processes: ask, wait, kill."""
        self._stopping.set()
        self._thread.join()
        time.sleep(EXEC_S)
        if killed := end_marked(self._mark, self.grace_s):
            self.say(f"killed after {self.grace_s:.0f} s: {', '.join(killed)}")
        for running in self._running.values():
            running.process.poll()
        self._running.clear()

    def _tend(self) -> None:
        while not self._stopping.wait(POLL_S):
            with self._mutex:
                for running in self._running.values():
                    self._tend_one(running)

    def _tend_one(self, running: _Running) -> None:
        name, now = running.service.name, time.monotonic()
        if running.restart_at is None and running.process.poll() is not None:
            lived_s = now - running.started
            running.deaths = 1 if lived_s > STEADY_S else running.deaths + 1
            if running.deaths > DEATHS_ALLOWED:
                self._given_up = name
                return
            pause_s = min(FIRST_PAUSE_S * 2 ** (running.deaths - 1), LONGEST_PAUSE_S)
            running.restart_at = now + pause_s
            self.say(
                f"{name} ended with exit code {running.process.returncode} after {lived_s:.0f} s: "
                f"starting it again in {pause_s:.0f} s ({self.log_path(name)})"
            )
        elif running.restart_at is not None and now >= running.restart_at:
            kill_marked(self._mark, name)  # children that outlived it
            running.process, running.started, running.restart_at = self.run(running.service), now, None

    def _ask_for_patience(self, number: int, frame: FrameType | None) -> None:
        self.say("stopping, a few seconds more ...")


def _take_lock(folder: Path) -> IO[str]:
    lock_file = (folder / "supervisor.lock").open("w")
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock_file.close()
        raise AlreadyRunning(str(folder)) from None
    return lock_file


def is_supervised(folder: Path) -> bool:
    """Return whether a supervisor is at work in the folder."""
    if not (folder / "supervisor.lock").exists():
        return False
    try:
        _take_lock(folder).close()
    except AlreadyRunning:
        return True
    return False


def _start_guard(prefix: str, grace_s: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tools.guard", prefix, str(grace_s)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
