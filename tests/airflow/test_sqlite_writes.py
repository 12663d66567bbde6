"""Airflow's API server with SQLite: what a user does and what tasks report at that moment are both written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
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


class Report:
    """What a task says: it is written, and the request ends when the test lets it."""

    def __init__(self) -> None:
        self.is_written, self.may_end = threading.Event(), threading.Event()


def api(database: Path, report: Report, root_path: str = "") -> FastAPI:
    """An app that writes as Airflow's does: tasks' reports in threads, with a commit at the end, users' in the loop."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE said (what TEXT)")
        connection.execute("PRAGMA journal_mode=WAL")
    app = FastAPI(root_path=root_path)
    app.state.database = database

    async def log_action() -> None:
        with closing(sqlite3.connect(database, timeout=BUSY_S)) as connection:
            connection.execute("INSERT INTO said VALUES ('unpaused')")
            connection.commit()

    @app.patch("/execution/run")
    def run(connection: Session) -> None:
        connection.execute("INSERT INTO said VALUES ('started')")
        report.is_written.set()
        report.may_end.wait(5 * BUSY_S)

    @app.patch("/api/v2/dags", dependencies=[Depends(log_action)])
    def unpause(what: dict[str, bool]) -> dict[str, bool]:
        return what

    @app.post("/plumewatch/data/ch4/review")
    async def review() -> None: ...

    @app.get("/health")
    async def health() -> None: ...

    _, middlewares = plugins_manager.get_fastapi_plugins()
    for one in middlewares:
        app.add_middleware(one["middleware"], *one["args"], **one["kwargs"])
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://airflow")


async def begun(report: Report, answer: Coroutine[Any, Any, httpx.Response]) -> asyncio.Task[httpx.Response]:
    """A request that has written and not committed."""
    task = asyncio.create_task(answer)
    while not (report.is_written.is_set() or task.done()):
        await asyncio.sleep(0.01)
    return task


def test_a_click_while_a_task_reports_is_written_after_it(dagbag: Any, tmp_path: Path) -> None:
    database, report = tmp_path / "airflow.db", Report()

    async def at_once() -> list[httpx.Response]:
        async with client_of(api(database, report)) as client:
            first = await begun(report, client.patch("/execution/run"))
            second = asyncio.create_task(client.patch("/api/v2/dags", json={"is_paused": False}))
            third = await client.get("/health")
            report.may_end.set()
            return [await first, await second, third]

    answers = asyncio.run(at_once())
    assert [one.status_code for one in answers] == [200, 200, 200] and answers[1].json() == {"is_paused": False}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT what FROM said").fetchall() == [("started",), ("unpaused",)]


@pytest.mark.parametrize("root_path", ["", "/airflow"])
def test_our_own_pages_which_write_elsewhere_do_not_wait(dagbag: Any, tmp_path: Path, root_path: str) -> None:
    report = Report()

    async def beside() -> tuple[int, bool]:
        async with client_of(api(tmp_path / "airflow.db", report, root_path)) as client:
            first = await begun(report, client.patch(f"{root_path}/execution/run"))
            answer = await client.post(f"{root_path}/plumewatch/data/ch4/review")
            is_first_at_work = not first.done()
            report.may_end.set()
            await first
            return answer.status_code, is_first_at_work

    assert asyncio.run(beside()) == (200, True)


def test_who_sends_slowly_keeps_nobody_waiting(dagbag: Any, tmp_path: Path) -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def beside() -> int:
        async with client_of(api(tmp_path / "airflow.db", Report())) as client:
            slow = asyncio.create_task(client.patch("/api/v2/dags", content=drip()))
            await asyncio.sleep(0.1)
            answer = await asyncio.wait_for(client.patch("/api/v2/dags", json={"is_paused": True}), 20)
            slow.cancel()
            return int(answer.status_code)

    assert asyncio.run(beside()) == 200
