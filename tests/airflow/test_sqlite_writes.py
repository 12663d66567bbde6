"""Airflow's API server with SQLite: what a user does and what tasks report at that moment are both written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import httpx
from airflow import plugins_manager
from fastapi import Depends, FastAPI, Request

BUSY_S = 3.0
"""How long SQLite waits for another writer."""


def session(request: Request) -> Iterator[sqlite3.Connection]:
    database = request.app.state.database
    with closing(sqlite3.connect(database, timeout=BUSY_S, check_same_thread=False)) as connection:
        yield connection
        connection.commit()


Session = Annotated[sqlite3.Connection, Depends(session)]


def api(database: Path, has_written: threading.Event) -> FastAPI:
    """An app that writes as Airflow's does: tasks' reports in threads, with a commit at the end, users' in the loop."""
    app = FastAPI()
    app.state.database = database

    async def log_action() -> None:
        with closing(sqlite3.connect(database, timeout=BUSY_S)) as connection:
            connection.execute("INSERT INTO said VALUES ('unpaused')")
            connection.commit()

    @app.patch("/execution/run")
    def report(connection: Session) -> None:
        connection.execute("INSERT INTO said VALUES ('started')")
        has_written.set()
        threading.Event().wait(0.2)

    @app.patch("/api/v2/dags", dependencies=[Depends(log_action)])
    def unpause(what: dict[str, bool]) -> dict[str, bool]:
        return what

    @app.get("/health")
    async def health() -> None: ...

    return app


def with_middlewares(app: FastAPI) -> FastAPI:
    _, middlewares = plugins_manager.get_fastapi_plugins()
    for one in middlewares:
        app.add_middleware(one["middleware"], *one["args"], **one["kwargs"])
    return app


def test_a_click_while_a_task_reports_is_written_after_it(dagbag: Any, tmp_path: Path) -> None:
    database, has_written = tmp_path / "airflow.db", threading.Event()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE said (what TEXT)")
        connection.execute("PRAGMA journal_mode=WAL")
    app = with_middlewares(api(database, has_written))

    async def at_once() -> list[Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            first = asyncio.create_task(client.patch("/execution/run"))
            while not (has_written.is_set() or first.done()):
                await asyncio.sleep(0.01)
            second = client.patch("/api/v2/dags", json={"is_paused": False})
            return list(await asyncio.gather(first, second, client.get("/health")))

    answers = asyncio.run(at_once())
    assert [one.status_code for one in answers] == [200, 200, 200] and answers[1].json() == {"is_paused": False}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT what FROM said").fetchall() == [("started",), ("unpaused",)]


def test_who_sends_slowly_keeps_nobody_waiting(dagbag: Any, tmp_path: Path) -> None:
    app = with_middlewares(api(tmp_path / "airflow.db", threading.Event()))
    sqlite3.connect(tmp_path / "airflow.db").execute("CREATE TABLE said (what TEXT)")

    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def beside() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow") as client:
            slow = asyncio.create_task(client.patch("/api/v2/dags", content=drip()))
            await asyncio.sleep(0.1)
            answer = await asyncio.wait_for(client.patch("/api/v2/dags", json={"is_paused": True}), 20)
            slow.cancel()
            return int(answer.status_code)

    assert asyncio.run(beside()) == 200
