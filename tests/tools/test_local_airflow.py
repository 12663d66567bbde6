"""Airflow on this machine, as `make up` and `make demo` start it."""

import subprocess
import sys
from pathlib import Path

from plumewatch_airflow.sqlite import CONNECT_ARGS

from tools.checkout import project_environment
from tools.local_airflow import LocalAirflow

ASK = """
import asyncio
from airflow import settings

async def waits():
    async with settings.async_engine.connect() as connection:
        waits_ms = (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar()
    await settings.async_engine.dispose()
    return waits_ms

with settings.engine.connect() as connection:
    print(connection.exec_driver_sql("PRAGMA busy_timeout").scalar())
print(asyncio.run(waits()))
"""


def test_a_write_waits_for_those_of_other_processes(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, 8080, project_environment(None), reparse_s=30)

    asked = subprocess.run(
        [sys.executable, "-c", ASK], env=airflow.environment, capture_output=True, text=True, check=True
    )

    assert [float(ms) / 1000.0 for ms in asked.stdout.split()[-2:]] == [CONNECT_ARGS["timeout"]] * 2
