"""What the map of very many detections costs the browser, beside a bare page of MapLibre with the same points.

Both pages are served on loopback and shown by headless Chromium, in turns. The figure is the processor time of
the page's main thread (TaskDuration of its DevTools), for the first view until nothing moves any more, and for pans.
How long somebody waits for the first view on this machine is said beside it.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from chromium import Tab, browser
from figures import Figure
from plumewatch.gases import CH4
from plumewatch.maps.cells_shown import gas_offered
from plumewatch.maps.columns import rows_of
from plumewatch.maps.content import MapRows, period_content
from plumewatch.maps.map_page import ASSETS, read_asset, render_served_map
from plumewatch.tables import MATCHES, PLUMES, SOURCES

NUMBERS = (10_000, 100_000)
LIMIT = "<= 1.5"  # of the first of NUMBERS; of more it is only said
ROUNDS, PANS, PAN_PX = 3, 8, 120
STEADY_S = 1.0
DAY = "2025-08-31"
BARE = """<!doctype html><link rel="stylesheet" href="assets/maplibre-gl.css"><style>body { margin: 0 }
#map { position: absolute; inset: 0 400px 0 0 }</style><div id="map"></div><script src="assets/maplibre-gl.js"></script>
<script>fetch("points.json").then((answer) => answer.json()).then((data) => {
  globalThis.map = new maplibregl.Map({ container: "map", center: [10, 20], zoom: 1, style: { version: 8,
    sources: { points: { type: "geojson", data } }, layers: [{ id: "points", type: "circle", source: "points",
      paint: { "circle-radius": ["get", "radius"], "circle-color": "#d55e00", "circle-stroke-width": 1.2 } }] } });
  map.once("idle", () => { document.documentElement.dataset.world = "ready"; });
});</script>"""
MAP = '(typeof page === "undefined" ? map : page.map)'  # of the bare page, or of the view
PAN = """new Promise((moved) => {{
  {map}.once("moveend", () => moved(true));
  {map}.panBy([{px}, 0], {{ duration: 200 }});
}})"""


def many_detections() -> Iterator[Figure]:
    """First view and pan of each number of detections."""
    for n in NUMBERS:
        with tempfile.TemporaryDirectory() as folder, _served(Path(folder), n) as url, browser(Path(folder)) as new_tab:
            times: dict[str, list[tuple[float, float, float]]] = {"index.html": [], "bare.html": []}
            for _ in range(ROUNDS):
                for page, found in times.items():
                    found.append(_measure(new_tab(), f"{url}/{page}"))
        for i, what in enumerate(("first view", "pan")):
            ours, bare = (median(one[i] for one in times[page]) for page in ("index.html", "bare.html"))
            waited = f", on screen after {median(one[2] for one in times['index.html']):.1f} s" if i == 0 else ""
            yield Figure(
                name=f"maps.view {what} of {n:,}", value=ours, unit="s of the main thread", baseline=bare,
                baseline_is="a bare page of MapLibre with the same points", ratio=ours / bare,
                limit=LIMIT if n == NUMBERS[0] else None,
                note=f"median of {ROUNDS}, {PANS} pans of {PAN_PX} px{waited}",
            )  # fmt: skip


def _measure(tab: Tab, url: str) -> tuple[float, float, float]:
    """Seconds of the main thread for the first view and for pans, and until the first view was there."""
    tab.resize(1400, 850)
    tab.call("Performance.enable", timeDomain="threadTicks")  # at work, not waiting for a busy machine
    began = time.monotonic()
    tab.go(url)
    tab.wait("document.documentElement.dataset.world", timeout_s=300)
    waited = time.monotonic() - began
    tab.listen(STEADY_S)
    first = _task_s(tab)
    for n in range(PANS):
        tab.run(PAN.format(map=MAP, px=-PAN_PX if n % 2 else PAN_PX))
    tab.listen(STEADY_S)
    return first, _task_s(tab) - first, waited


def _task_s(tab: Tab) -> float:
    metrics = {one["name"]: one["value"] for one in tab.call("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


class _served:
    """A site with so many made-up plumes, and the bare page, on a port of loopback while the block runs."""

    def __init__(self, folder: Path, n: int) -> None:
        content = period_content(CH4, [DAY], MapRows(_plumes(n), MATCHES.empty(), SOURCES.empty()))
        gases = [gas_offered(CH4, [DAY])]
        page = {"feed": "site", "title": "", "summary": "", "gases": gases, "widths": [1], "max_keys": 1}
        points = [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [d["lon"], d["lat"]]},
             "properties": {"radius": d["radius"]}}
            for d in rows_of(content["detections"])
        ]  # fmt: skip
        files: dict[str, Any] = {
            "index.html": render_served_map(page),
            "bare.html": BARE,
            "points.json": json.dumps({"type": "FeatureCollection", "features": points}),
            f"data/{CH4.name}/all.json": json.dumps(content),
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "assets").mkdir()
        for name in ASSETS:
            (folder / "assets" / name).write_bytes(read_asset(name))
        handler = partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _plumes(n: int) -> pa.Table:
    """Accepted plumes over all land and sea, of all rates and probabilities, of some months."""
    rng, start = np.random.default_rng(1), datetime(2025, 8, 1, tzinfo=UTC)
    lon, lat, rate = rng.uniform(-180, 180, n), rng.uniform(-60, 70, n), 10 ** rng.uniform(2.5, 4.7, n)
    table = pa.table(
        {
            "plume_id": [f"{i:016x}" for i in range(n)],
            "scene_id": [f"S2A_{i % 997}" for i in range(n)],
            "observed_at_utc": [start + timedelta(minutes=i) for i in range(n)],
            "longitude": lon, "latitude": lat, "area_m2": rng.uniform(1e4, 1e6, n), "ime_kg": rate / 5,
            "wind_speed_10m_m_s": rng.uniform(1, 9, n), "wind_from_deg": rng.uniform(0, 360, n),
            "emission_kg_h": rate, "emission_kg_h_low": 0.6 * rate, "emission_kg_h_high": 1.5 * rate,
            "probability": rng.uniform(0.5, 1, n), "emission_status": ["ok"] * n, "status": ["accepted"] * n,
        }
    )  # fmt: skip
    for field in PLUMES.schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(n, field.type))
    return PLUMES.conform(table).append_column("area", [[f"area {i % 200}" for i in range(n)]])
