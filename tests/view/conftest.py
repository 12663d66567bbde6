"""What the tests of the view share: a storage with plumes, Airflow's own logins, and the app as Airflow mounts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "maps"))
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from airflow_fixtures import HOME, free_port
from chromium import Tab, browser
from operations_rows import fill_operations
from view_in_browser import answers
from view_rows import fill_storage

BOOT_S = 240.0


@pytest.fixture
def view_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings point to a storage of the test's own."""
    root = f"file://{tmp_path / 'storage'}"
    fill_storage(root)
    (tmp_path / "no_areas").mkdir()
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", root)
    monkeypatch.setenv("PLUMEWATCH_AREAS", str(tmp_path / "no_areas"))
    return root


@pytest.fixture(scope="session")
def client(dagbag: Any) -> Iterator[Callable[..., Any]]:
    """A function from a role (None: nobody is logged in) to a client of the app, with the login in its cookie."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi import FastAPI
    from plumewatch_airflow.emissions_view import PREFIX, PlumewatchEmissions
    from starlette.testclient import TestClient

    manager = create_auth_manager()
    manager.init()
    airflow = FastAPI()
    [mounted] = PlumewatchEmissions.fastapi_apps
    airflow.mount(mounted["url_prefix"], mounted["app"])

    def make(role: str | None = None) -> Any:
        cookies = {}
        if role:
            cookies["_token"] = manager.generate_jwt(SimpleAuthManagerUser(username=f"the {role}", role=role))
        return TestClient(airflow, base_url=f"http://airflow.test{PREFIX}", cookies=cookies)

    yield make


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser."""
    from chromium import find_chromium

    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on the PATH (Debian: apt install chromium)")
    return program


@pytest.fixture(scope="session")
def airflow(chromium: str, dagbag: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Airflow's API server with a viewer and an operator: its URL, and the storage that its view shows."""
    folder = tmp_path_factory.mktemp("view")
    root = f"file://{folder / 'storage'}"
    fill_storage(root)
    fill_operations(root)
    (folder / "areas").mkdir()
    (folder / "passwords.json").write_text(json.dumps({"operator": "operator pw", "viewer": "viewer pw"}))
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "operator:op,viewer:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__INSTANCE_NAME": "a test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests alone, " * 3,
        "PLUMEWATCH_STORAGE_ROOT": root,
        "PLUMEWATCH_AREAS": str(folder / "areas"),
        "PLUMEWATCH_STAC_API": "http://127.0.0.1:9/stac",  # where nobody answers
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **settings}, cwd=HOME, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + BOOT_S
        while not answers(url):
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield url, root
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def new_tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Tab]]:
    """A function that opens a tab in which nobody is logged in."""
    with browser(tmp_path_factory.mktemp("chromium")) as open_tab:
        yield open_tab
