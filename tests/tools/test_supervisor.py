"""Whatever happens to a supervisor, none of the processes it started stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import supervisor as supervisor_module
from tools.checkout import CHECKOUT
from tools.processes import end_marked, marked_processes
from tools.supervisor import AlreadyRunning, Service, ServiceFailed, Supervisor, is_supervised

# A service as awkward as Airflow and Spark are: its child leaves for a session of its own and doesn't listen to TERM.
AWKWARD = """
import os, signal, subprocess, sys, time
child = "import signal, time; signal.signal(15, signal.SIG_IGN); print('child ready', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(600)
"""
SUPERVISING = """
import sys, time
from pathlib import Path
from tools.supervisor import Service, Supervisor
import os
with Supervisor(Path(sys.argv[1]), grace_s=1.0) as supervisor:
    print("entered", flush=True)
    for number in range(3):
        supervisor.start(Service(f"awkward-{number}", (sys.executable, "-c", sys.argv[2]), dict(os.environ)))
        print(f"started {number}", flush=True)
    print("working", flush=True)
    if sys.argv[3] == "raise":
        raise RuntimeError("work failed")
    time.sleep(600)
"""
GRACE_S = 1.0


def _service(code: str, name: str = "service") -> Service:
    return Service(name, (sys.executable, "-c", code), dict(os.environ))


def _wait(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "supervised"
    end_marked(str(tmp_path / "supervised"), grace_s=0.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(supervisor_module, "POLL_S", 0.05)


def _start_supervising(folder: Path, then: str = "sleep") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUPERVISING, str(folder), AWKWARD, then]
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A shell makes its background jobs ignore Ctrl-C, and their children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _read_until(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout
    for text in process.stdout:
        if text.strip() == line:
            return
    raise AssertionError(f"{line!r} never came")


def test_stop_ends_children_that_left_the_session_and_ignore_term(folder: Path) -> None:
    said: list[str] = []
    with Supervisor(folder, said.append, GRACE_S) as supervisor:
        supervisor.start(_service(AWKWARD, "awkward"))
        _wait(lambda: "child ready" in supervisor.log_path("awkward").read_text())
        assert len(marked_processes(str(folder))) == 2
    assert marked_processes(str(folder)) == []
    assert said == ["killed after 1 s: awkward"]


@pytest.mark.parametrize("moment", ["entered", "started 0", "started 2", "working"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(folder: Path, moment: str, number: signal.Signals) -> None:
    process = _start_supervising(folder)
    _read_until(process, moment)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert marked_processes(str(folder)) == []


def test_an_exception_leaves_nothing_behind(folder: Path) -> None:
    process = _start_supervising(folder, then="raise")
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert marked_processes(str(folder)) == []


def test_killing_the_supervisor_itself_leaves_nothing_behind(folder: Path) -> None:
    process = _start_supervising(folder)
    _read_until(process, "working")
    _wait(lambda: len(marked_processes(str(folder))) == 6)
    process.kill()
    process.communicate(timeout=10)
    _wait(lambda: marked_processes(str(folder)) == [], timeout_s=10.0)


def test_a_service_that_dies_is_started_again_without_its_old_children(folder: Path, quick: None) -> None:
    said: list[str] = []
    with Supervisor(folder, said.append, GRACE_S) as supervisor:
        supervisor.start(_service(AWKWARD, "awkward"))
        _wait(lambda: len(marked_processes(str(folder))) == 2)
        first = marked_processes(str(folder))
        parent = min(first, key=lambda process: process.create_time())
        parent.kill()
        _wait(lambda: len(marked_processes(str(folder))) == 2 and not set(first) & set(marked_processes(str(folder))))
        supervisor.check()
    assert said[0].startswith("awkward ended with exit code -9 after ")
    assert "starting it again" in said[0]


def test_a_service_that_keeps_dying_is_given_up_with_its_log(folder: Path, quick: None) -> None:
    said: list[str] = []
    with Supervisor(folder, said.append, GRACE_S) as supervisor:
        supervisor.start(_service("raise SystemExit('no such table')", "hopeless"))

        def given_up() -> bool:
            try:
                supervisor.check()
            except ServiceFailed as error:
                return "hopeless died 6 times in a row" in str(error) and "| no such table" in str(error)
            return False

        _wait(given_up)
    assert len(said) == 5


def test_run_and_wait_pass_on_a_failure_with_the_log(folder: Path) -> None:
    with Supervisor(folder) as supervisor:
        good = supervisor.run(_service("print('made')", "good"))
        supervisor.wait("good", good)
        assert supervisor.log_path("good").read_text() == "made\n"
        bad = supervisor.run(_service("raise SystemExit('no space left')", "bad"))
        with pytest.raises(ServiceFailed, match=r"bad ended with exit code 1:\n(.|\n)*no space left"):
            supervisor.wait("bad", bad)


def test_one_supervisor_a_folder(folder: Path) -> None:
    assert not is_supervised(folder)
    with Supervisor(folder):
        assert is_supervised(folder)
        with pytest.raises(AlreadyRunning):
            Supervisor(folder).__enter__()
    assert not is_supervised(folder)
