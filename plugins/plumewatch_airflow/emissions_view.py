"""Airflow's UI has the map of all keys: an entry of its menu, and a tab on each run, which opens at the run's key; and
an entry for who runs it: what failed, what was looked at, what is spent.

The app behind it is made when it is first asked for: only the API server is, and other processes load plugins too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/plumewatch"
"""Where Airflow mounts the app."""


@lru_cache
def view_app() -> Any:
    """Return the app, of which there is one."""
    from plumewatch_airflow.view.routes import make_app

    return make_app()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await view_app()(scope, receive, send)


def _href(below: str = "") -> str:
    return f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{PREFIX}/{below}"


class PlumewatchEmissions(AirflowPlugin):
    """What Airflow finds in the folder of plugins."""

    name = "plumewatch_emissions"
    fastapi_apps: list[Any] = [{"app": _app, "name": "Plumewatch emissions", "url_prefix": PREFIX}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares them
        {"name": "Emissions", "href": _href(), "destination": "nav", "url_route": "emissions", "nav_top_level": True},
        {
            "name": "Operations",
            "href": _href("operations"),
            "destination": "nav",
            "url_route": "operations",
            "nav_top_level": True,
        },
        {
            "name": "Emissions",
            "href": _href("?dag={DAG_ID}&run={RUN_ID}"),
            "destination": "dag_run",
            "url_route": "emissions_of_run",
        },
    ]
