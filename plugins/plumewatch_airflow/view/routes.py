"""The routes of the view: page, vendored files, content of keys, details, history, verdicts; operations.py has more.

Every route wants a login (`access.LoggedIn`, of the whole app), files too; what is read of a gas wants the right to
read the DAG that detects it. A request names keys and detections, never paths: both are looked up first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from plumewatch import storage
from plumewatch.errors import ParameterError, PlumewatchError, is_trouble, redact
from plumewatch.evidence.page_files import pages_there, source_page_path
from plumewatch.evidence.source_page import POLICY as SOURCE_POLICY
from plumewatch.gases import Gas
from plumewatch.maps.cells_shown import LAYERS, gas_offered, read_cells
from plumewatch.maps.content import period_content
from plumewatch.maps.map_page import ASSETS, read_asset, render_served_map
from plumewatch.maps.plume_layers import draw_layer, plume_layers
from plumewatch.maps.source_history import read_source_history
from plumewatch.maps.stored_rows import StoredDetection, find_detection, read_map_rows, review_texts, stored_keys
from plumewatch.reviews import append_review, heed_in_matches, read_reviews
from plumewatch.settings import Settings

from plumewatch_airflow.detection import areas_of, draw_maps
from plumewatch_airflow.view import new_areas, operations
from plumewatch_airflow.view.access import (
    LoggedIn,
    MaySeePages,
    ReadableGas,
    User,
    View,
    listed_key,
    may_trigger,
    name_of,
    own_json,
    readable_gases,
    reviewed_gas,
)
from plumewatch_airflow.view.answers import CSP, HEADERS, html_page, json_answer, of_installation
from plumewatch_airflow.view.runs import key_of_run, run_links

WIDTHS = (1, 7, 30)  # keys that are shown at a time, if asked for
MAX_KEYS_AT_FIRST = 60  # so many are all shown when the page opens, of more the last ones
PAGE = {"feed": "airflow", "title": "Emissions", "summary": "Reading what is stored ..."}
ASSET_HEADERS = {
    CSP: "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'self'",  # of the world's worker
    "Cache-Control": "private, max-age=3600",
}

Key = Annotated[str, Query(max_length=10)]
Name = Annotated[str, Query(max_length=200)]

log = logging.getLogger("plumewatch.view")


def make_app() -> FastAPI:
    """Return the app that Airflow mounts."""
    app = FastAPI(dependencies=[LoggedIn], docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(PlumewatchError, _not_read)
    app.add_exception_handler(OSError, _not_read)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.middleware("http")(_with_headers)
    for path, route in (PAGES | operations.PAGES).items():
        app.get(path, dependencies=[MaySeePages], response_model=None)(route)
    for path, route in (DATA | operations.DATA).items():
        app.get(path, response_model=None)(route)
    for path, post in (POSTS | new_areas.POSTS).items():
        app.post(path, response_model=None)(post)
    return app


def page(settings: View) -> Response:
    """The page itself; all that it shows it reads from the other routes, and tiles where the settings say."""
    return html_page(render_served_map(of_installation(PAGE), settings.map_tiles, settings.map_tiles_attribution))


def asset(name: str) -> Response:
    """A vendored file."""
    if name not in ASSETS:
        raise HTTPException(404, "no such file")
    return Response(read_asset(name), media_type=ASSETS[name][1], headers=ASSET_HEADERS)


def begin(gases: Annotated[list[Gas], Depends(readable_gases)], settings: View) -> Response:
    """Which keys there are, of the gases whose detections the user may see."""
    listed = [gas_offered(gas, stored_keys(gas, settings.storage_root)) for gas in gases]
    if not listed:
        raise HTTPException(403, "your role may read no detections")
    return json_answer({"gases": listed, "widths": WIDTHS, "max_keys": MAX_KEYS_AT_FIRST})


def run(dag_id: Name, run_id: Name, request: Request, user: User) -> Response:
    """Which gas and key a run of Airflow is of."""
    return json_answer(key_of_run(dag_id, run_id, request, user))


def content(gas: ReadableGas, first: Key, last: Key, settings: View) -> Response:
    """What the map shows of the keys from `first` to `last`."""
    listed = stored_keys(gas, settings.storage_root)
    if first not in listed or last not in listed or first > last:
        raise HTTPException(404, f"nothing is stored under these keys of {gas.name}")
    keys = listed[listed.index(first) : listed.index(last) + 1]
    return json_answer(
        period_content(gas, keys, read_map_rows(gas, keys, settings.storage_root, areas_of(gas, settings)))
    )


def cells(gas: ReadableGas, kind: Name, settings: View, key: Key = "") -> Response:
    """The cells of a kind, to be laid under all else: of the month `key`, or the same for all."""
    layer = next((one for one in LAYERS[gas.name] if one.name == kind), None)
    if layer is None:
        raise HTTPException(404, "no such cells")
    month = listed_key(gas, key, settings) if layer.is_monthly else None
    return json_answer(read_cells(gas, layer, month, settings.storage_root))


def history(gas: ReadableGas, source_id: Name, settings: View) -> Response:
    """What is known of a source."""
    found = read_source_history(gas, source_id, settings.storage_root)
    if found is None:
        raise HTTPException(404, "no such source")
    link = {"text": "All passes over it", "href": f"data/{gas.name}/source?{urlencode({'source_id': source_id})}"}
    return json_answer({**found, "links": [link] if _source_page(gas, source_id, settings) else []})


def source(gas: ReadableGas, source_id: Name, settings: View) -> Response:
    """The page of a source: all that speaks for what it emits."""
    path = _source_page(gas, source_id, settings)
    if path is None:
        raise HTTPException(404, "no page of such a source")
    headers = {CSP: f"{SOURCE_POLICY}; frame-ancestors 'self'; sandbox"}
    return Response(storage.read_bytes(path), media_type="text/html", headers=headers)


def detection(gas: ReadableGas, key: str, id: Name, settings: View, request: Request, user: User) -> Response:
    """What the panel tells of a detection."""
    found = _found(gas, key, id, settings)
    query = str(request.url.include_query_params()).partition("?")[2]
    links = [{"text": "Scene (STAC item)", "href": f"data/{gas.name}/{key}/scene?{query}"}] if found.item else []
    return json_answer(
        {
            **{name: found.told[name] for name in ("facts", "matches")},
            "outline": found.told["geometry"],
            "sector": found.told["sector"],
            "picture": f"data/{gas.name}/{key}/picture?{query}" if found.picture else None,
            "layers": [
                {"label": one.label, "href": f"data/{gas.name}/{key}/layer?name={one.name}&{query}"}
                for one in plume_layers(gas, found.row, settings.storage_root)
            ],
            "links": [*run_links(gas, key), *links],
            "reviews": found.reviews,
            "may_review": may_trigger(request, user, gas),
        }
    )


def picture(gas: ReadableGas, key: str, id: Name, settings: View) -> Response:
    """The picture of a detection."""
    found = _found(gas, key, id, settings)
    if found.picture is None:
        raise HTTPException(404, "no picture")
    return Response(storage.read_bytes(found.picture), media_type="image/png")


def layer(gas: ReadableGas, key: str, id: Name, name: Name, settings: View) -> Response:
    """A raster of a detection, to be laid on the map."""
    found = _found(gas, key, id, settings)
    drawn = draw_layer(plume_layers(gas, found.row, settings.storage_root), name)
    if drawn is None:
        raise HTTPException(404, "no such layer")
    return json_answer(drawn)


def scene(gas: ReadableGas, key: str, id: Name, settings: View) -> Response:
    """The STAC item of a detection's scene."""
    found = _found(gas, key, id, settings)
    if found.item is None:
        raise HTTPException(404, "no item")
    return Response(storage.read_bytes(found.item), media_type="application/json")


async def review(gas: Annotated[Gas, Depends(reviewed_gas)], request: Request, settings: View, user: User) -> Response:
    """Keep a person's verdict on a detection; matches and the map of its key heed it at once, the month's
    report with the next map that a DAG draws."""
    from fastapi.concurrency import run_in_threadpool

    said = await own_json(request)
    texts = {name: said.get(name, "") for name in ("key", "id", "verdict", "comment")}
    if unknown := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise HTTPException(422, f"{unknown[0]}: allowed: a text")
    reviews = await run_in_threadpool(_keep, gas, settings, name_of(user), **texts)
    return json_answer({"reviews": reviews})


def _keep(gas: Gas, settings: Settings, by: str, key: str, id: str, verdict: str, comment: str) -> list[str]:
    found = _found(gas, key, id, settings)
    try:
        append_review(
            settings.storage_root,
            gas.name,
            str(found.row[gas.id_column]),
            longitude=found.row["longitude"],
            latitude=found.row["latitude"],
            observed_at_utc=found.row["observed_at_utc"],
            verdict=verdict,
            by=by,
            at=datetime.now(UTC),
            comment=comment,
        )
    except ParameterError as error:
        raise HTTPException(422, str(error)) from error
    heed_in_matches(settings.storage_root, gas, key)
    draw_maps(gas, [key], with_reports=False)
    return review_texts(read_reviews(settings.storage_root, gas.name), str(found.row[gas.id_column]))


def _found(gas: Gas, key: str, name: str, settings: Settings) -> StoredDetection:
    found = find_detection(gas, listed_key(gas, key, settings), name, settings.storage_root)
    if found is None:
        raise HTTPException(404, "no such detection")
    return found


def _source_page(gas: Gas, source_id: str, settings: Settings) -> str | None:
    """Return where the page of a source is, if the storage lists it: no other text leads to a path."""
    path = source_page_path(gas, source_id)
    return storage.join(settings.storage_root, path) if path in pages_there(settings.storage_root, gas) else None


async def _with_headers(request: Request, call_next: Any) -> Response:
    try:
        answer = cast(Response, await call_next(request))
    except Exception as error:
        if not is_trouble(error):
            raise
        answer = await _not_read(request, error)  # a bucket out of reach
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _not_read(request: Request, error: Exception) -> Response:
    """What can't be read is told, as the log of a task would: without secrets."""
    log.warning("%s: %s", request.url.path, redact(str(error)))
    return JSONResponse({"detail": redact(str(error))[:1000]}, 503)


async def _not_valid(request: Request, error: Exception) -> Response:
    """A request of another form; what it holds isn't repeated."""
    places = [".".join(map(str, one["loc"])) for one in cast(RequestValidationError, error).errors()]
    return JSONResponse({"detail": f"not allowed: {', '.join(places)}"}, 422)


PAGES: dict[str, Callable[..., Response]] = {
    "/": page, "/assets/{name}": asset, "/data/start": begin, "/data/run": run,
}  # fmt: skip
"""For who may see Airflow's pages; what the last two tell is asked for gas by gas, and of the run's DAG."""
DATA: dict[str, Callable[..., Response]] = {
    "/data/{gas}/content": content,
    "/data/{gas}/cells": cells,
    "/data/{gas}/history": history,
    "/data/{gas}/source": source,
    "/data/{gas}/{key}/detection": detection,
    "/data/{gas}/{key}/picture": picture,
    "/data/{gas}/{key}/scene": scene,
    "/data/{gas}/{key}/layer": layer,
}
"""For who may read the runs of the DAG that detects the gas."""
POSTS: dict[str, Callable[..., Any]] = {"/data/{gas}/review": review}
"""For who may start them."""
