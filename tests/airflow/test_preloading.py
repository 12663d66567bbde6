"""The scheduler loads what tasks import, so that its forks don't."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.checkout import CHECKOUT

DAILY_AND_MONTHLY = (
    "sentinel2_daily_ingest", "methane_detection_and_matching", "oco2_monthly_extraction", "co2_detection_and_matching",
)  # fmt: skip
FILES = [*(CHECKOUT / "plugins" / "plumewatch_airflow").glob("*.py"), *(
    CHECKOUT / "dags" / f"{dag_id}.py" for dag_id in DAILY_AND_MONTHLY)]  # fmt: skip
IMPORT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from plumewatch_airflow import preloading
preloading.preload()
before = set(sys.modules)
for name in json.loads(sys.argv[2]):
    __import__(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_in_functions(file: Path) -> set[str]:
    functions = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
    nodes = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
    return {str(node.module) for node in nodes if str(node.module).startswith("plumewatch.")}


def test_a_task_of_each_day_and_month_imports_nothing_anew() -> None:
    names = sorted(set().union(*map(imported_in_functions, FILES)))
    assert "plumewatch.sentinel2.ingest" in names
    command = [sys.executable, "-c", IMPORT, str(CHECKOUT / "plugins"), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("argv", "executor", "is_forking"),
    [
        (["airflow", "scheduler", "--skip-serve-logs"], "LocalExecutor", True),
        (["airflow", "scheduler"], "airflow.executors.local_executor.LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor", False),
        (["airflow", "dag-processor"], "LocalExecutor", False),
        (["airflow"], "LocalExecutor", False),
    ],
)
def test_only_a_scheduler_whose_tasks_are_its_forks(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, argv: list[str], executor: str, is_forking: bool
) -> None:
    from plumewatch_airflow.preloading import tasks_are_forks

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", executor)
    assert tasks_are_forks(argv) == is_forking


def test_airflow_finds_the_hook(dagbag: Any) -> None:
    from airflow.plugins_manager import ensure_plugins_loaded  # type: ignore[attr-defined]

    ensure_plugins_loaded()
    from airflow.listeners.listener import get_listener_manager

    hooks = get_listener_manager().hook.on_starting.get_hookimpls()
    assert any("preloading" in type(hook.plugin).__module__ for hook in hooks)
