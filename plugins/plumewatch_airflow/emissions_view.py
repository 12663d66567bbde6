"""Airflow's UI has the map of all keys: an entry of its menu, and a tab on each run, which opens at the run's key; and
an entry for who runs it: what failed, what was looked at, what is spent.

The app behind it is made when it is first asked for: only the API server is, and other processes load plugins too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/plumewatch"
"""Where Airflow mounts the app."""
LINES = {"icon": "#3f3f46", "icon_dark_mode": "#e4e4e7"}
"""The colours of the menu's texts; a picture doesn't take them from the page."""
STACK = "M2 21h20M5 21v-8h4v8M7 9c0-4 4-2 5-4s3-2 5-1 3 2 5 1"
PULSE = "M2 12h4l3 8 5-16 3 8h5"


@lru_cache
def view_app() -> Any:
    """Return the app, of which there is one."""
    from plumewatch_airflow.view.routes import make_app

    return make_app()


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await view_app()(scope, receive, send)


def _href(below: str = "") -> str:
    return f"{urlsplit(conf.get('api', 'base_url', fallback='')).path.rstrip('/')}{PREFIX}/{below}"


def _icons(path: str) -> dict[str, str]:
    """Return an entry's icon for a light and a dark menu: lines in a square of 24, as thick as those of Airflow's."""
    lines = f'<path fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" d="{path}"/>'
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" stroke="{}">' + lines + "</svg>"
    drawn = {name: quote(svg.format(colour)) for name, colour in LINES.items()}
    return {name: f"data:image/svg+xml,{picture}" for name, picture in drawn.items()}


class PlumewatchEmissions(AirflowPlugin):
    """What Airflow finds in the folder of plugins."""

    name = "plumewatch_emissions"
    fastapi_apps: list[Any] = [{"app": _app, "name": "Plumewatch emissions", "url_prefix": PREFIX}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012 - as Airflow declares them
        {
            "name": "Emissions",
            "href": _href(),
            "destination": "nav",
            "url_route": "emissions",
            "nav_top_level": True,
            **_icons(STACK),
        },
        {
            "name": "Operations",
            "href": _href("operations"),
            "destination": "nav",
            "url_route": "operations",
            "nav_top_level": True,
            **_icons(PULSE),
        },
        {
            "name": "Emissions",
            "href": _href("?dag={DAG_ID}&run={RUN_ID}"),
            "destination": "dag_run",
            "url_route": "emissions_of_run",
            **_icons(STACK),
        },
    ]
