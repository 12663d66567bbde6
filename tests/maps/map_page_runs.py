"""A map of three accepted plumes and two refused ones, and how steps are run on its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapely
from browser import run_page
from map_rows import NASTY, REPORT, match, observation, plume, plume_table, source
from plumewatch.maps.content import MapRows
from plumewatch.models import Area
from plumewatch.tables import MATCHES, OBSERVATIONS, SOURCES

MAPLIBRE = Path(__file__).with_name("maplibre_stand_in.js").read_text(encoding="utf-8")
BY_RATE = "change(element('sort'), { value: 'rate' });"
LIST = """
    const listed = () => texts('.where').map((title) => title.split(' ')[1]);
    const panel = () => all('#told-body > .info')[0];
    const isOpen = () => !element('told').hidden;
"""


def rows() -> MapRows:
    """Three accepted plumes and two refused ones, further east the later they come in the list by rate."""
    plumes = [
        plume("small", 56.03, 22.0, rate=900.0) | {"probability": 0.999, "observed_at_utc": None},
        plume("none", 56.04, 22.0, rate=None) | {"probability": 0.7},
        plume("large", 56.01, 22.0, rate=23_000.0) | {"probability": 0.6},
        plume("weak", 56.06, 22.0, "too_small", rate=400.0),
        plume("cloud", 56.05, 22.0, "surface_change", rate=90_000.0),
    ]
    matches = [match("small", "b", 1, 0.9), match("large", "a", 1, 0.6, "ambiguous"), match("large", None, 2, 0.4)]
    sources = [
        source("b", 56.031, 22.0, "ch4", "Alpha " + NASTY),
        source("a", 56.011, 22.0, "ch4", "Well 9", kind="city"),
    ]
    return MapRows(
        plume_table(plumes), MATCHES.from_pylist(matches), SOURCES.from_pylist(sources),
        observations=OBSERVATIONS.from_pylist([observation("oman", "searched")]),
        areas=[Area("oman", shapely.box(55.9, 21.9, 56.1, 22.1))],
        pictures={"large": "iVBORw0="}, scene_pages={"large": "../../plume_details/page.html"},
        source_pages={"a": "../../evidence/ch4/a.html"}, reports=[REPORT],
    )  # fmt: skip


def run_steps(page: str, steps: str, *, with_map: bool = False) -> Any:
    """Run steps on a page in a browser, with WebGL or without."""
    return run_page(page, f"{LIST}{steps}", maplibre=MAPLIBRE if with_map else "")
