"""The routes by which an area is drawn or uploaded: its cost first, then it is kept. For who may start the ingest."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from plumewatch.errors import InputError
from plumewatch.keys import DAY, is_key
from plumewatch.maps.new_areas import MAX_BYTES, NewAreas, keep, outlines, price, read_new_areas
from plumewatch.settings import Settings

from plumewatch_airflow.params import MAX_GAP_DAYS
from plumewatch_airflow.view.access import INGEST, User, View, name_of, own_json
from plumewatch_airflow.view.answers import json_answer

MAX_BODY_BYTES = MAX_BYTES * 4 // 3 + 10_000  # in base64, and what is said beside it


def may_add(request: Request, user: User) -> Any:
    """Raise 403 unless the user may start runs that would fetch an area; return who that is."""
    requires_access_dag("POST", DagAccessEntity.RUN, INGEST)(request, user)
    return user


Adding = Annotated[Any, Depends(may_add)]


async def cost(request: Request, settings: View, user: Adding) -> Response:
    """What the areas of a file are, and what their scenes cost from `first` to `last`; nothing is kept."""
    said = await own_json(request, MAX_BODY_BYTES)
    first, last = _days(said)

    def priced(settings: Settings) -> dict[str, Any]:
        new = _new(said, settings)
        return {"lines": price(new, first, last, settings), "outlines": outlines(new.areas)}

    return json_answer(await run_in_threadpool(_told, priced, settings))


async def add(request: Request, settings: View, user: Adding) -> Response:
    """Keeps the areas of a file below `areas/` of the storage root: the next search finds them."""
    said = await own_json(request, MAX_BODY_BYTES)
    note = f"added on the operations page by {name_of(user)}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"

    def kept(settings: Settings) -> dict[str, Any]:
        new = _new(said, settings)
        path = keep(new, settings, note)
        return {"names": [area.name for area in new.areas], "path": path.removeprefix(settings.storage_root).strip("/")}

    return json_answer(await run_in_threadpool(_told, kept, settings))


def _told(work: Callable[[Settings], dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """What the work gives; what is wrong with a file, with its reason."""
    try:
        return work(settings)
    except InputError as error:
        raise HTTPException(422, str(error)[:1000]) from error


def _new(said: dict[str, Any], settings: Settings) -> NewAreas:
    name, content = said.get("file"), said.get("content")
    if not isinstance(name, str) or not isinstance(content, str):
        raise HTTPException(422, "file, content: allowed: a name, and the file in base64")
    try:
        return read_new_areas(name, base64.b64decode(content, validate=True), settings)
    except binascii.Error:
        raise HTTPException(422, "content: allowed: base64") from None


def _days(said: dict[str, Any]) -> tuple[date, date]:
    texts = said.get("first"), said.get("last")
    if not all(isinstance(text, str) and is_key(text, DAY) for text in texts):
        raise HTTPException(422, "first, last: allowed: YYYY-MM-DD")
    first, last = (date.fromisoformat(str(text)) for text in texts)
    if not 0 <= (last - first).days < MAX_GAP_DAYS:
        raise HTTPException(422, f"first, last: allowed: 1 to {MAX_GAP_DAYS} days, the first one first")
    return first, last


POSTS: dict[str, Callable[..., Any]] = {"/data/operations/area/cost": cost, "/data/operations/area": add}
"""For who may start runs of the ingest."""
