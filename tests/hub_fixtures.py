"""A Sentinel Hub on loopback over the simulated world, and settings with its account."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from plumewatch.simulation.sentinel_hub import CLIENT_ID, CLIENT_SECRET, TOKEN, Hub, make_hub_app


@dataclass(frozen=True)
class ServedHub:
    """A hub and where it is."""

    hub: Hub
    url: str

    def settings(self, storage_root: str, **changed: Any) -> Any:
        """Settings with the account of the hub."""
        from plumewatch.settings import Settings

        account = {
            "sh_client_id": CLIENT_ID,
            "sh_client_secret": CLIENT_SECRET,
            "sh_base_url": self.url,
            "sh_token_url": f"{self.url}{TOKEN}",
        }
        return Settings(storage_root, **{**account, **changed})


@pytest.fixture
def serve_hub() -> Iterator[Callable[..., ServedHub]]:
    """Serve the world of a folder as a Sentinel Hub of the test's own, by real HTTP."""
    running = []

    def serve(folder: Path, **state: Any) -> ServedHub:
        hub = Hub(folder, **state)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_hub_app(hub), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return ServedHub(hub, f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield serve
    for server, thread in running:
        server.should_exit = True
        thread.join(5)
