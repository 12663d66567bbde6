"""Lets the tests import `detections_and_sources`, and gives them the job and a storage to run it on."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from plumewatch import storage
from plumewatch.tables import MATCHES

sys.path.insert(0, str(Path(__file__).parent))

from detections_and_sources import JOB


@pytest.fixture(scope="session")
def job() -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("match_sources", JOB)
    module = importlib.util.module_from_spec(spec)
    sys.modules["match_sources"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(storage_root: str):
    """Writes tables below a storage root and runs the job on them."""

    class World:
        root = storage_root

        def path(self, *parts: str) -> str:
            return storage.join(storage_root, *parts)

        def write(self, table, keys: dict, rows: list[dict]) -> str:
            return storage.write_partition(table, self.path(table.name), keys, table.from_pylist(rows))

        def matches(self, gas: str, period: str) -> list[dict]:
            return storage.read_table(MATCHES, self.path("matches"), where={"gas": gas, "period": period}).to_pylist()

        def run(self, job, gas: str, detections: str, *more: str):
            arguments = [
                "--detections-path",
                self.path(detections),
                "--gas",
                gas,
                "--matches-path",
                self.path("matches"),
            ]
            sources = [] if "--sources-path" in more else ["--sources-path", self.path("sources")]
            return job.run(job.parse_arguments([*arguments, *sources, *more]))

    return World()
