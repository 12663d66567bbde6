"""Sentinel Hub's Statistical API as the engine of zones: planted fields over real HTTP, and answers as recorded."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from plumewatch import http, storage
from plumewatch.catalogues import hub_client
from plumewatch.errors import ParameterError
from plumewatch.settings import Settings
from plumewatch.tables import PROCESSING_UNITS, ZONAL_STATISTICS
from plumewatch.zones.hub_month import count_by_hub
from plumewatch.zones.hub_question import BINS

EPSG, WEST, NORTH, CELL_M = 32640, 500_000.0, 2_700_000.0, 20.0
DAYS = ("2025-08-03", "2025-08-08", "2025-08-13")
MONTH = "2025-08"
ZONES = {"1": (100.0, 700.0, 1500.0, 1900.0), "2": (1495.0, 25.0, 2235.0, 685.0), "10": (25.0, 45.0, 485.0, 405.0)}
STATISTICS = ["mean", "median", "min", "max", "std", "count", "sum", "p10"]


def ndvi(x: Any, day: str) -> Any:
    """What is planted: linear in place, another slope each day."""
    return 0.1 + 0.2 * DAYS.index(day) + (x - WEST) / 1e4


def is_cloud(x: Any, day: str) -> Any:
    """Cloud in the west on the second day, everywhere on the third."""
    return np.full(np.shape(x), DAYS.index(day) == 2) | ((DAYS.index(day) == 1) & (x < WEST + 1000.0))


def cells(shape: Any, size_m: float = CELL_M) -> np.ndarray:
    """Eastings of the centres of the cells in a shape."""
    west, south, east, north = shape.bounds
    x = np.arange(np.floor(west / size_m), np.ceil(east / size_m)) * size_m + size_m / 2
    y = np.arange(np.floor(south / size_m), np.ceil(north / size_m)) * size_m + size_m / 2
    xs, ys = np.meshgrid(x, y)
    return xs[shapely.contains_xy(shape, xs, ys)]


def zone(name: str) -> Any:
    west, south, east, north = ZONES[name]
    return shapely.box(WEST + west, NORTH - north, WEST + east, NORTH - south)


@dataclass
class StatisticalApi:
    """The service, and what goes wrong in it."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    """By day what is said in its place, one each time it is asked for."""
    refused: tuple[int, bytes] | None = None
    refuse_after: int = 10**6
    broken: list[int] = field(default_factory=list)
    """Which of the requests get an answer that isn't one."""

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        aggregation, bounds = asked["aggregation"], asked["input"]["bounds"]
        assert (
            aggregation["aggregationInterval"] == {"of": "P1D"} and aggregation["resx"] == aggregation["resy"] == CELL_M
        )
        assert bounds["properties"]["crs"].endswith(f"/{EPSG}") and all(edge % CELL_M == 0 for edge in bounds["bbox"])
        x = cells(shapely.geometry.shape(bounds["geometry"]))
        first, last = (aggregation["timeRange"][end][:10] for end in ("from", "to"))
        outputs = re.findall(r'id: "(\w+)"', aggregation["evalscript"])
        n_box = round((bounds["bbox"][2] - bounds["bbox"][0]) * (bounds["bbox"][3] - bounds["bbox"][1]) / CELL_M**2)
        found = []
        for day in DAYS:
            if first <= day < last:
                interval = {
                    "interval": {"from": f"{day}T00:00:00Z", "to": f"{day[:-2]}{int(day[-2:]) + 1:02d}T00:00:00Z"}
                }
                if faults := self.faults.get(day):
                    found.append({**interval, **faults.pop(0)})
                    continue
                is_seen = "seen" in outputs
                clear = x if is_seen else x[~is_cloud(x, day)]
                made = {name: self.output(asked, name, clear, day, n_box) for name in outputs if name != "dataMask"}
                found.append({**interval, "outputs": made})
        return {"data": found, "status": "OK"}

    def output(self, asked: dict[str, Any], name: str, x: Any, day: str, n_box: int) -> dict[str, Any]:
        values = np.ones(len(x)) if name == "seen" else ndvi(x, day)
        calculations = asked["calculations"].get(name) or asked["calculations"]["default"]
        counts = {"sampleCount": n_box, "noDataCount": n_box - len(x)}
        numbers = (values.min(), values.max(), values.mean(), values.std()) if len(x) else ("NaN",) * 4
        stats: dict[str, Any] = {**dict(zip(("min", "max", "mean", "stDev"), numbers, strict=True)), **counts}
        if len(x) and (wanted := calculations["statistics"]["default"].get("percentiles")):
            stats["percentiles"] = {f"{k:.1f}": np.percentile(values, k) for k in wanted["k"]}
        band: dict[str, Any] = {"stats": stats}
        if histogram := calculations.get("histograms"):
            edges = np.linspace(histogram["default"]["lowEdge"], histogram["default"]["highEdge"], BINS + 1)
            n, _ = np.histogram(values, edges)
            bins = [
                {"lowEdge": a, "highEdge": b, "count": int(c)} for a, b, c in zip(edges[:-1], edges[1:], n, strict=True)
            ]
            band["histogram"] = {"bins": bins, "overflowCount": 0, "underflowCount": 0}
        return {"bands": {"B0": band}}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatisticalApi]:
    service = StatisticalApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/token"):
                return self.say(200, json.dumps({"access_token": "t", "expires_in": 600}).encode())
            assert self.path.endswith("statistics") and self.headers["Authorization"] == "Bearer t"
            service.asked.append(json.loads(body))
            if service.refused and len(service.asked) > service.refuse_after:
                return self.say(*service.refused)
            if len(service.asked) in service.broken:
                return self.say(200, b'{"status": "FAILED"}')
            return self.say(200, json.dumps(service.answer(service.asked[-1])).encode())

        def say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            length = str(len(body))
            told = {"Content-Type": "application/json", "Content-Length": length, "X-ProcessingUnits-Spent": "0.25"}
            for name, value in told.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(hub_client, "REQUESTS_PER_S", 1000.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        server.shutdown()


@pytest.fixture
def settings(api: StatisticalApi, tmp_path: Path) -> Settings:
    account = {"sh_client_id": f"c{api.url}", "sh_client_secret": "s", "sh_base_url": api.url}
    return Settings(str(tmp_path / "storage"), sh_token_url=f"{api.url}/token", **account)


@pytest.fixture
def zones_path(tmp_path: Path) -> str:
    path = tmp_path / "fields.gpkg"
    geopandas.GeoDataFrame({"id": list(ZONES)}, geometry=[zone(n) for n in ZONES], crs=EPSG).to_file(path)
    return str(path)


def rows(settings: Settings) -> list[dict[str, Any]]:
    return storage.read_table(ZONAL_STATISTICS, settings.table_root("zonal_statistics")).to_pylist()


def values(settings: Settings, zone_id: str, scene_id: str | None) -> dict[str, float | None]:
    found = [
        r for r in rows(settings) if (r["zone_id"], r["scene_id"], r["band_or_index"]) == (zone_id, scene_id, "ndvi")
    ]
    return {r["statistic"]: r["value"] for r in found} | {
        name: found[0][name] for name in ("count_clear", "count_total", "clear_fraction")
    }


def expected(of_days: list[str], name: str) -> dict[str, float]:
    """Statistics of the clear cells of some days together, by numpy."""
    x = cells(zone(name))
    clear = np.concatenate([ndvi(x, day)[~is_cloud(x, day)] for day in of_days])
    return {
        "mean": clear.mean(), "median": np.median(clear), "min": clear.min(), "max": clear.max(), "std": clear.std(),
        "count": len(clear), "sum": clear.sum(), "p10": np.percentile(clear, 10), "count_clear": len(clear),
        "count_total": len(x) * len(of_days), "clear_fraction": len(clear) / (len(x) * len(of_days)),
    }  # fmt: skip


def test_a_month_of_zones_is_what_its_pixels_say(settings: Settings, zones_path: str, api: StatisticalApi) -> None:
    found = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    assert found.zones == 3 and found.failed == [] and found.rows == len(rows(settings)) == 3 * 4 * len(STATISTICS)
    for name in ZONES:
        for day in DAYS[:2]:
            if is_cloud(cells(zone(name)), day).all():
                continue
            got = values(settings, name, f"sentinel_hub_{day}")
            assert expected([day], name) == pytest.approx(got, rel=1e-6), (name, day)
        clouded = values(settings, name, f"sentinel_hub_{DAYS[2]}")
        assert {clouded[s] for s in STATISTICS} == {None} and clouded["clear_fraction"] == 0
        month, truth = values(settings, name, None), expected(list(DAYS), name)
        for statistic, value in truth.items():
            by_bins = statistic in ("median", "p10")
            assert month[statistic] == pytest.approx(value, **({"abs": 0.002} if by_bins else {"rel": 1e-6})), statistic
    assert len(api.asked) == 6 and {a["input"]["data"][0]["type"] for a in api.asked} == {"sentinel-2-l2a"}
    ledger = storage.read_table(PROCESSING_UNITS, settings.table_root("processing_units")).to_pylist()
    assert sum(row["spent_units"] for row in ledger) == pytest.approx(6 * 0.25)


@pytest.mark.parametrize(
    "fault", [{"error": {"type": "EXECUTION_ERROR"}}, {"error": "TIMEOUT"}, "NaN"], ids=["error", "text", "NaN"]
)
def test_an_error_within_a_good_answer_is_asked_again_and_then_a_failure_by_name(
    settings: Settings, zones_path: str, api: StatisticalApi, fault: Any
) -> None:
    if fault == "NaN":  # numbers are said to be there, and are none
        stats = {"min": "NaN", "max": "NaN", "mean": "NaN", "stDev": "NaN", "sampleCount": 100, "noDataCount": 1}
        fault = {"outputs": {"ndvi": {"bands": {"B0": {"stats": stats}}}}}
    api.faults[DAYS[0]] = [fault]
    assert count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS).failed == [] and len(api.asked) == 7
    assert values(settings, "1", None)["count_clear"] == expected(list(DAYS), "1")["count_clear"]
    api.faults[DAYS[0]] = [fault, fault]
    again = replace(settings, storage_root=settings.storage_root + "2")
    [failure] = count_by_hub(again, zones_path, MONTH, ["ndvi"], STATISTICS).failed
    assert (
        failure.scene_id == f"zones=fields/1/{DAYS[0]}"
        and f"1 on {DAYS[0]}" in failure.message
        and failure.is_retryable
    )
    told = Counter((row["zone_id"], row["scene_id"]) for row in rows(again))
    assert ("1", f"sentinel_hub_{DAYS[0]}") not in told and ("1", f"sentinel_hub_{DAYS[1]}") in told
    month, truth = values(again, "1", None), expected(list(DAYS[1:]), "1")
    for name in ("mean", "std", "count_clear", "count_total"):  # the month is that of its other days
        assert month[name] == pytest.approx(truth[name], rel=1e-6), name
    healed = count_by_hub(again, zones_path, MONTH, ["ndvi"], STATISTICS)
    assert healed.failed == [] and healed.is_over({"area": None, "scene_id": failure.scene_id})
    assert values(again, "1", None)["count_clear"] == expected(list(DAYS), "1")["count_clear"]


def test_a_zone_of_which_no_day_can_be_computed_keeps_its_rows(
    settings: Settings, zones_path: str, api: StatisticalApi
) -> None:
    count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    stored = sorted(map(str, rows(settings)))
    api.faults = {day: [{"error": "TIMEOUT"}] * 4 for day in DAYS}
    found = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS, start_from="10")
    assert [failure.scene_id for failure in found.failed] == ["zones=fields/10"] and found.zones == 0
    assert "no day of 10 could be computed" in found.failed[0].message and sorted(map(str, rows(settings))) == stored


def test_a_second_answer_about_one_day_that_is_none_costs_that_day_alone(
    settings: Settings, zones_path: str, api: StatisticalApi
) -> None:
    api.faults[DAYS[0]], api.broken = [{"error": "TIMEOUT"}], [2]
    found = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    assert [failure.scene_id for failure in found.failed] == [f"zones=fields/1/{DAYS[0]}"] and found.zones == 3
    assert values(settings, "1", None)["count_clear"] == expected(list(DAYS[1:]), "1")["count_clear"]


def test_a_month_that_is_used_up_keeps_what_was_counted_and_says_where_to_go_on(
    settings: Settings, zones_path: str, api: StatisticalApi
) -> None:
    whole = replace(settings, storage_root=settings.storage_root + "2")
    count_by_hub(whole, zones_path, MONTH, ["ndvi"], STATISTICS)
    api.asked.clear()
    api.refuse_after, api.refused = (
        3,
        (403, b'{"error": {"code": "INSUFFICIENT_PROCESSING_UNITS", "message": "no more"}}'),
    )
    stopped = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    assert "go on then with start_from fields:2" in str(stopped.used_up) and stopped.zones == 1
    assert {row["zone_id"] for row in rows(settings)} == {"1"}
    api.refused = None
    assert count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS, start_from="2").zones == 2

    def by_place(row: dict[str, Any]) -> str:
        return str(list(row.values()))

    assert sorted(rows(settings), key=by_place) == sorted(rows(whole), key=by_place)
    api.asked.clear()
    api.broken, api.refuse_after, api.refused = [1], 1, (403, b'{"error": {"code": "INSUFFICIENT_PROCESSING_UNITS"}}')
    stopped = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    assert stopped.used_up and [failure.scene_id for failure in stopped.failed] == ["zones=fields/1"]


def test_a_zone_that_fails_keeps_its_stored_rows_and_only_what_was_counted_is_over(
    settings: Settings, zones_path: str, api: StatisticalApi
) -> None:
    before = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS)
    stored = rows(settings)
    api.asked.clear()
    api.broken = [1]
    found = count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS, start_from="2")
    assert [failure.scene_id for failure in found.failed] == ["zones=fields/2"] and found.zones == 1
    assert sorted(map(str, rows(settings))) == sorted(map(str, stored))
    names = ("1", "2", f"2/{DAYS[0]}", "10", f"10/{DAYS[0]}", "gone")
    over = [name for name in names if found.is_over({"area": None, "scene_id": f"zones=fields/{name}"})]
    assert over == ["10", f"10/{DAYS[0]}", "gone"]
    assert all(before.is_over({"area": None, "scene_id": f"zones=fields/{name}"}) for name in names)


def test_zones_that_it_cannot_count_are_failures_by_name(
    settings: Settings, tmp_path: Path, api: StatisticalApi
) -> None:
    path, far = str(tmp_path / "odd.gpkg"), zone("1").buffer(30_000)
    shapes = [zone("1"), zone("2").centroid, far]
    geopandas.GeoDataFrame({"id": ["good", "point", "wide"]}, geometry=shapes, crs=EPSG).to_file(path)
    found = count_by_hub(settings, path, MONTH, ["ndvi"], ["mean"])
    assert found.zones == 1 and {row["zone_id"] for row in rows(settings)} == {"good"}
    assert [f.scene_id for f in found.failed] == ["zones=odd/point", "zones=odd/wide"]
    assert "polygons" in found.failed[0].message and "at most 2500 a side" in found.failed[1].message
    geopandas.GeoDataFrame({"own": ["a"]}, geometry=shapes[:1], crs=EPSG).to_file(path, layer="second")
    count_by_hub(settings, path, MONTH, ["ndvi"], ["mean"], layer="second", zone_id_column="own")
    of_layer = storage.partition_path(settings.table_root("zonal_statistics"), {"zones": "odd_second", "month": MONTH})
    assert set(storage.read_table(ZONAL_STATISTICS, of_layer)["zone_id"].to_pylist()) == {"a"}
    assert found.is_over({"area": None, "scene_id": "zones=odd/x"}) and not found.is_over(
        {"area": "a", "scene_id": "x"}
    )


def test_what_cannot_be_asked_is_refused_before_units_are_spent(
    settings: Settings, zones_path: str, api: StatisticalApi
) -> None:
    with pytest.raises(ParameterError, match="nothing to count; allowed: ndvi, evi"):
        count_by_hub(settings, zones_path, MONTH, [], STATISTICS)
    with pytest.raises(ParameterError, match="start_from 7: no such zone; allowed: 1, 2, 10"):
        count_by_hub(settings, zones_path, MONTH, ["ndvi"], STATISTICS, start_from="7")
    assert api.asked == []
