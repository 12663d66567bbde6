"""What `make demo` and `make up` say last: what it means and what to do next."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tools import up
from tools.airflow_client import Run
from tools.demo import ended_text

INGEST = "sentinel2_daily_ingest"


def test_a_run_that_fails_as_planted_says_so() -> None:
    red = {INGEST: ["2025-08-20"]}
    failed = ended_text(Run(INGEST, "run1", "failed", "2025-08-20"), red)
    assert failed == f"failed  {INGEST} 2025-08-20 (as it must: a bad file is planted)"
    assert ended_text(Run(INGEST, "run2", "failed", "2025-08-21"), red) == f"failed  {INGEST} 2025-08-21"
    assert ended_text(Run(INGEST, "run3", "success", "2025-08-20"), red) == f"success {INGEST} 2025-08-20"


def test_whoever_comes_to_the_ui_is_told_what_is_paused_and_how_to_end_it() -> None:
    own, demo = up.next_steps(up.LOCAL_AIRFLOW), up.next_steps(up.DEMO)
    assert "All DAGs but waiting_detections start paused" in own and "README, The first real run" in own
    assert "the last demonstration" in demo and "red ones have a bad file that was planted" in demo
    for told, folder in ((own, up.LOCAL_AIRFLOW), (demo, up.DEMO)):
        assert f"{folder}/airflow/logs (tasks)" in told and told.endswith("Stop it with: make down")
        assert max(map(len, told.replace(str(folder), "").splitlines())) <= 120


@pytest.mark.parametrize(("demo", "command"), [(False, "make up PORT="), (True, "make up DEMO=1 PORT=")])
def test_a_port_that_is_taken_is_answered_with_one_that_is_free(
    demo: bool, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCAL_AIRFLOW", "DEMO"):
        monkeypatch.setattr(up, name, tmp_path)
    monkeypatch.setattr(up, "remembered_demo", lambda: ("file", ()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(up.CannotStart, match=rf"Port {port} is taken; choose another: {command}(\d+)$") as refused:
            up.start(port, demo)
    assert up.is_free(int(str(refused.value).rpartition("=")[2]))
