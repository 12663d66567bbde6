"""Who may do what in the view: Airflow's own login and roles, asked for every route, and no request from elsewhere."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag, requires_access_view
from airflow.configuration import conf
from fastapi import Depends, HTTPException, Request
from plumewatch.gases import DETECTION, GASES, Gas
from plumewatch.keys import is_key
from plumewatch.maps.stored_rows import stored_keys
from plumewatch.settings import Settings
from starlette.requests import ClientDisconnect

from plumewatch_airflow.connections import storage_settings

INGEST = "sentinel2_daily_ingest"
"""Who may start its runs may say what it fetches."""
MAX_BODY_BYTES = 20_000  # a verdict with its comment

LoggedIn = Depends(get_user)
"""Of every route: without a login the answer is 401, before anything else is looked at."""
MaySeePages = Depends(requires_access_view(AccessView.WEBSITE))
User = Annotated[Any, LoggedIn]
View = Annotated[Settings, Depends(storage_settings)]


def _permitted(request: Request, user: Any, method: Any, gas: Gas) -> None:
    """Raise 403 unless Airflow lets the user do that with the runs of the DAG that detects the gas."""
    requires_access_dag(method, DagAccessEntity.RUN, DETECTION[gas.name])(request, user)


def may_trigger(request: Request, user: Any, gas: Gas) -> bool:
    """Return whether the user may start runs of the DAG that detects the gas, and so may review its detections."""
    return may("POST", DETECTION[gas.name], request, user)


def may(method: Any, dag_id: str, request: Request, user: Any) -> bool:
    """Return whether Airflow lets the user do that with runs of a DAG."""
    try:
        requires_access_dag(method, DagAccessEntity.RUN, dag_id)(request, user)
    except HTTPException:
        return False
    return True


def readable_gas(gas: str, request: Request, user: User) -> Gas:
    """Return the gas of a request whose user may read the runs of the DAG that detects it."""
    if gas not in GASES:
        raise HTTPException(404, f"no gas of that name; allowed: {', '.join(GASES)}")
    _permitted(request, user, "GET", GASES[gas])
    return GASES[gas]


ReadableGas = Annotated[Gas, Depends(readable_gas)]


def readable_gases(request: Request, user: User) -> list[Gas]:
    """Return the gases whose detections the user may read."""
    return [gas for gas in GASES.values() if may("GET", DETECTION[gas.name], request, user)]


def reviewed_gas(gas: ReadableGas, request: Request, user: User) -> Gas:
    """Return the gas of a verdict: whoever may start the DAG that detects it may give one."""
    _permitted(request, user, "POST", gas)
    return gas


def listed_key(gas: Gas, key: str, settings: Settings) -> str:
    """Return a key of a request, if the storage lists it: no other text leads to a path."""
    if not is_key(key, gas.key_format) or key not in stored_keys(gas, settings.storage_root):
        raise HTTPException(404, f"nothing is stored under that key of {gas.name}")
    return key


def name_of(user: Any) -> str:
    """Return who a user is, as a review names him."""
    return str(user.get_name() or user.get_id())


async def own_json(request: Request, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """Return the JSON object that a page of ours has sent; anything else is refused, and what is longer.

    The cookie of a login goes along with requests of other sites' forms unless the browser keeps it (SameSite=Lax,
    which Airflow sets): so a body has to be JSON, which no form sends and a script of another site only after asking,
    and where the browser says whence a request comes, that must be here.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "allowed: application/json")
    if not _is_from_here(request):
        raise HTTPException(403, "a request of another site")
    try:
        content = json.loads(await _body(request, max_bytes))
        json.dumps(content, ensure_ascii=False).encode()  # half of a pair of UTF-16 (\ud800) is no text
    except (ValueError, RecursionError):
        raise HTTPException(422, "no JSON") from None
    if not isinstance(content, dict):
        raise HTTPException(422, "allowed: a JSON object")
    return content


async def _body(request: Request, max_bytes: int) -> bytes:
    """The body, unless it is too long: then no more of it is read."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > max_bytes:
                raise HTTPException(413, f"allowed: {max_bytes} bytes")
    except ClientDisconnect:
        raise HTTPException(400, "cut off") from None
    return body


def _is_from_here(request: Request) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    hosts = {request.headers.get("host"), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    return urlsplit(origin).netloc in hosts - {None, ""}
