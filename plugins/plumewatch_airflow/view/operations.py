"""The routes of the operations page: failed scenes, calendar, units, tables.

They read, and start nothing: the page asks Airflow's own API for a run of the gap fill, in the name of its user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException, Query, Request, Response
from plumewatch.gases import CH4, Gas
from plumewatch.keys import DAY, is_key
from plumewatch.maps.map_page import render_operations
from plumewatch.maps.new_areas import outlines
from plumewatch.maps.operations import (
    DAYS_SHOWN,
    MAX_FAILED,
    calendar_of_areas,
    failed_dags,
    failed_scenes,
    failure_shown,
    last_day,
    months_looked_at,
    tables_written,
    units_spent,
)
from plumewatch.maps.stored_rows import stored_keys
from sqlalchemy import select

from plumewatch_airflow.detection import areas_of
from plumewatch_airflow.params import MAX_GAP_DAYS
from plumewatch_airflow.view.access import INGEST, ReadableGas, User, View, may, readable_gases
from plumewatch_airflow.view.answers import html_page, json_answer, of_installation
from plumewatch_airflow.view.runs import base_path

GAP_FILL = "sentinel2_gap_fill"
PAGE = {
    "title": "Operations",
    "summary": "What failed, what was looked at, what is spent, how new everything is.",
    "days_shown": DAYS_SHOWN,
}
MONTHS = 12  # of CO2 in the calendar

MAX_FAILURE_DAYS = 3660
Days = Annotated[int, Query(ge=1, le=MAX_FAILURE_DAYS)]
Day = Annotated[str, Query(max_length=10)]


def page() -> Response:
    """The page itself; all that it shows it reads from the other routes."""
    return html_page(render_operations(of_installation(PAGE)))


def begin(settings: View, request: Request, user: User) -> Response:
    """The day that the page ends with at first, the last one on record, else today; and who may add areas."""
    last = last_day(settings.storage_root, today := datetime.now(UTC).date())
    may_add = may("POST", INGEST, request, user)
    return json_answer({"last": last or str(today), "is_stored": last is not None, "may_add": may_add})


def failures(settings: View, request: Request, user: User, days: Days = DAYS_SHOWN) -> Response:
    """What is failed and not healed of the DAGs whose runs the user may read, and whether he may start the gap fill.

    Of so many days before the last one on record, and of it.
    """
    dag_ids = [dag_id for dag_id in failed_dags(settings.storage_root) if may("GET", dag_id, request, user)]
    today = datetime.now(UTC).date()
    last = date.fromisoformat(last_day(settings.storage_root, today) or str(today))
    since = str(last - timedelta(days=days))
    rows = failed_scenes(settings.storage_root, dag_ids, since)
    shown = rows[:MAX_FAILED]
    links = _logs(shown)
    return json_answer(
        {
            "n": len(rows),
            "failed": [
                {**failure_shown(row), "href": href, "is_filled": _is_filled(row)}
                for row, href in zip(shown, links, strict=True)
            ],
            "gap_fill": {
                "dag_id": GAP_FILL,
                "may_start": may("POST", GAP_FILL, request, user),
                "is_paused": _is_paused(GAP_FILL),
                "max_days": MAX_GAP_DAYS,
            },
        }
    )


def calendar(gas: ReadableGas, first: Day, last: Day, settings: View) -> Response:
    """What came of each area's days, or of the orbits of the last months."""
    if gas is not CH4:
        return json_answer({"months": months_looked_at(gas, settings.storage_root, _last_months(gas, settings))})
    if not (is_key(first, DAY) and is_key(last, DAY)):
        raise HTTPException(422, "first, last: allowed: YYYY-MM-DD")
    if not 0 <= (date.fromisoformat(last) - date.fromisoformat(first)).days < MAX_GAP_DAYS:
        raise HTTPException(422, f"first, last: allowed: 1 to {MAX_GAP_DAYS} days, the first one first")
    names = [area.name for area in areas_of(gas, settings)]
    return json_answer(calendar_of_areas(settings.storage_root, first, last, names))


def areas(gas: ReadableGas, settings: View) -> Response:
    """The outlines of the areas that there are."""
    return json_answer(outlines(areas_of(gas, settings)))


def units(settings: View, request: Request, user: User) -> Response:
    """What Sentinel Hub's accounts have spent, for who may read the runs that spend it."""
    requires_access_dag("GET", DagAccessEntity.RUN, INGEST)(request, user)
    return json_answer({"units": units_spent(settings.storage_root, settings.sh_monthly_units, datetime.now(UTC))})


def tables(gases: Annotated[list[Gas], Depends(readable_gases)], settings: View) -> Response:
    """How new each table is, for who may read the detections of any gas."""
    if not gases:
        raise HTTPException(403, "your role may read no detections")
    return json_answer({"tables": tables_written(settings.storage_root)})


def _last_months(gas: Gas, settings: Any) -> list[str]:
    return stored_keys(gas, settings.storage_root)[-MONTHS:]


def _is_filled(row: Mapping[str, Any]) -> bool:
    """Whether the gap fill tries it again: a scene of an area that failed for a reason that may have gone."""
    return row["dag_id"] == INGEST and row["area"] is not None and bool(row["is_retryable"])


def _is_paused(dag_id: str) -> bool:
    with create_session() as session:
        return bool(session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)))


def _logs(rows: Iterable[Mapping[str, Any]]) -> list[str | None]:
    """Where the task or, if that isn't known, the run of each failure is in Airflow; None where that has forgotten it.

    The gap fill's failures are recorded under the name of the ingest: a run is looked for by its id.
    """
    rows = list(rows)
    run_ids = {row["run_id"] for row in rows}
    of_ours = (DagRun.dag_id.in_({row["dag_id"] for row in rows} | {GAP_FILL}), DagRun.run_id.in_(run_ids))
    with create_session() as session:
        runs: dict[tuple[str, str], str] = {}
        for of_dag, run_id in session.execute(select(DagRun.dag_id, DagRun.run_id).where(*of_ours)):
            runs[INGEST if of_dag == GAP_FILL else of_dag, run_id] = of_dag
        has_task = select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id).distinct()
        tasks = {tuple(row) for row in session.execute(has_task.where(TaskInstance.run_id.in_(run_ids)))}
    found: list[str | None] = []
    for row in rows:
        dag_id = runs.get((row["dag_id"], row["run_id"]))
        if dag_id is None:
            found.append(None)
            continue
        run = f"{base_path()}/dags/{dag_id}/runs/{quote(row['run_id'], safe='')}"
        is_task = (dag_id, row["run_id"], row["stage"]) in tasks
        found.append(f"{run}/tasks/{quote(row['stage'], safe='')}" if is_task else run)
    return found


PAGES: dict[str, Callable[..., Response]] = {"/operations": page, "/data/operations/start": begin}
"""For who may see Airflow's pages; the last names one day and nothing of it."""
DATA: dict[str, Callable[..., Response]] = {
    "/data/operations/failures": failures,
    "/data/operations/units": units,
    "/data/operations/tables": tables,
    "/data/{gas}/calendar": calendar,
    "/data/{gas}/areas": areas,
}
"""For who may read the runs of the DAGs that it tells of."""
