"""What the tests of the view share: a storage with plumes, Airflow's own logins, and the app as Airflow mounts it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "maps"))
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from view_rows import fill_storage


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
