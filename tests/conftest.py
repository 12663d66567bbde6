"""Fixtures that several folders of tests share. Sockets reach loopback only (pyproject.toml)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
TESTS = CHECKOUT / "tests"
for folder in (CHECKOUT, TESTS):  # `tools` is run from the checkout and never installed; fixtures lie beside this file
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Tests read no settings of the machine they run on.
for name in [
    n for n in os.environ if n.startswith(("PLUMEWATCH_", "AWS_", "SH_", "SENTINEL_", "EARTHDATA_", "AIRFLOW_"))
]:
    if name not in ("PLUMEWATCH_TEST_DATA", "AWS_CA_BUNDLE"):
        del os.environ[name]
os.environ["PLUMEWATCH_SPARK"] = "local[2]"

pytest_plugins = ["airflow_fixtures", "hub_fixtures", "hub_order_service", "sensor_services"]


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real S3 server (versitygw) on loopback; its settings as AWS_* variables."""
    from tools.ports import choose_ports, wait_for_answer
    from tools.s3_server import S3_PORT, S3Server, present_versitygw
    from tools.supervisor import Supervisor

    if present_versitygw() is None:
        pytest.skip("no versitygw on the PATH or in .cache/bin: `make demo STORAGE=s3` builds it where Go is present")
    folder = tmp_path_factory.mktemp("s3")
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    server = S3Server(folder / "buckets", choose_ports(S3_PORT + worker)[0])
    with Supervisor(folder, grace_s=5.0) as supervisor:
        supervisor.start(server.service())
        wait_for_answer(server.health_url, "s3-server", supervisor)
        yield dict(server.client_environment())


@pytest.fixture
def s3_root(s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty prefix in a bucket of the S3 server."""
    import re

    import fsspec

    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    if not fs.exists("tests"):
        fs.mkdir("tests")
    return f"s3://tests/{re.sub('[^A-Za-z0-9]', '-', request.node.name)}"


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage root, on a disk and on S3."""
    return f"file://{tmp_path}/store" if request.param == "folder" else request.getfixturevalue("s3_root")
