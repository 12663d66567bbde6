"""Fixtures that several folders of tests share. Sockets reach loopback only (pyproject.toml)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# Tests read no settings of the machine they run on.
for name in [n for n in os.environ if n.startswith(("PLUMEWATCH_", "AWS_", "SH_", "AIRFLOW_"))]:
    if name not in ("PLUMEWATCH_TEST_DATA", "AWS_CA_BUNDLE"):
        del os.environ[name]
os.environ["PLUMEWATCH_SPARK"] = "local[2]"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real satellite data and inventories, outside the project."""
    folder = Path(os.environ.get("PLUMEWATCH_TEST_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (PLUMEWATCH_TEST_DATA)")
    return folder


@pytest.fixture
def storage_root(tmp_path: Path) -> str:
    """An empty storage root of one test."""
    return f"file://{tmp_path / 'storage'}"


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """A real Spark session with Sedona, shared by all tests."""
    from plumewatch.spark_session import get_spark

    session = get_spark("tests")
    yield session
    session.stop()
