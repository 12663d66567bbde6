"""Requests that write wait for each other, where Airflow's database is SQLite, in which one can write at a time.

Airflow notes what a user does in the event loop itself (`log_action`). If the thread of another request has written and
not committed yet, that note waits for the commit, and the commit for the loop: the server answered nobody for a minute,
until SQLite gave up, and the user's click failed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from plumewatch_airflow.emissions_view import PREFIX

READING = ("GET", "HEAD", "OPTIONS")


class OneWriteAtATime:
    """ASGI middleware; requests for our own pages pass, which only read Airflow's database."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._write = asyncio.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, one that may write after those that came before it."""
        if scope["type"] != "http" or _only_reads(scope):
            await self._app(scope, receive, send)
            return
        messages = [await receive()]  # to the end of its body: whoever sends slowly keeps nobody waiting
        while messages[-1].get("more_body"):
            messages.append(await receive())

        async def received() -> Any:
            return messages.pop(0) if messages else await receive()

        async with self._write:
            await self._app(scope, received, send)


def _only_reads(scope: Any) -> bool:
    """Whether a request writes nothing into Airflow's database: one of our pages, or too long for an address."""
    route = str(scope["path"]).removeprefix(scope.get("root_path", ""))
    return scope["method"] in READING or route.startswith(f"{PREFIX}/") or route.endswith("/list")


class PlumewatchSqliteWrites(AirflowPlugin):
    """What Airflow finds in the folder of plugins."""

    name = "plumewatch_sqlite_writes"
    fastapi_root_middlewares: list[Any] = (
        [{"middleware": OneWriteAtATime, "args": [], "kwargs": {}, "name": "One write at a time"}]
        if conf.get("database", "sql_alchemy_conn").startswith("sqlite")
        else []
    )
