"""What the tests of maps share: rows beside this file, and a storage with a date of methane."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from map_page_runs import rows, run_steps
from map_rows import DAY, NASTY, match, plume, source
from plumewatch import storage
from plumewatch.gases import CH4
from plumewatch.maps.content import map_content
from plumewatch.maps.map_file import MAX_PICTURE_BYTES
from plumewatch.maps.map_page import render_map
from plumewatch.tables import MATCHES, PLUMES, SOURCES


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """Run steps on the map of `rows` in a browser, with WebGL or without."""
    return partial(run_steps, render_map(map_content(CH4, DAY, rows())))


@pytest.fixture
def plumes_stored(storage_root: str) -> str:
    """A storage root with a date of methane in two areas, and a picture."""

    def write(table, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(storage_root, table.name), keys, table.from_pylist(rows))

    rows = [plume("a1", 56.0, 22.0), plume("a2", 56.01, 22.0, "too_small"), plume("a3", 56.02, 22.01, rate=None)]
    write(PLUMES, {"method": "multi_pass", "area": "oman", "date": "2025-08-31"}, rows)
    write(
        PLUMES,
        {"method": "multi_pass", "area": "permian", "date": "2025-08-31"},
        [plume("b1", -103.2, 31.9, rate=900.0)],
    )
    write(PLUMES, {"method": "single_pass", "area": "oman", "date": "2025-08-31"}, [plume("other", 56.0, 22.0)])
    matches = [match("a1", "well", 1, 0.9), match("a1", None, 2, 0.1), match("b1", None, 1, 1.0, "unknown_source")]
    write(MATCHES, {"gas": "ch4", "period": "2025-08-31"}, matches)
    sources = [
        source("well", 56.003, 22.0, "ch4", NASTY),
        source("far", 57.0, 22.0, "ch4"),
        source("plant", 56.0, 22.0, "co2"),
    ]
    write(SOURCES, {"inventory": "combined"}, sources)
    details = storage.join(storage_root, "plume_details/method=multi_pass/area=oman/date=2025-08-31")
    storage.write_bytes(storage.join(details, "a1.png"), b"\x89PNG small")
    storage.write_bytes(storage.join(details, "a3.png"), b"\x89PNG" + bytes(MAX_PICTURE_BYTES))
    return storage_root
