"""GEOS-FP and ERA5 from services on loopback: the planted wind comes back, and nothing is asked for twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import netCDF4
import numpy as np
import pyarrow as pa
import pytest
import wind_services as services
from fetched_wind import BOTH, HOUR, NOON, hours_of, settings, stored
from plumewatch.models import FailedScene
from plumewatch.wind.at_point import winds_at
from plumewatch.wind.product import WindRequest, requests_at, requests_of_day
from plumewatch.wind.providers import PRODUCTS, fetch_wind
from wind_services import DAY, Answers, planted, served

OMAN = (56.0, 22.0, 56.1, 22.1)
POINTS = [(29.1, -26.3), (-104.9, 40.2), (179.95, 62.1), (-179.9, -16.4), (0.05, 51.4), (-0.1, 5.0)]
"""Over both hemispheres, the antimeridian, where each grid has its seam, and Greenwich."""


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_the_planted_wind_comes_back_at_places_and_times(
    product: str, geos_fp: Answers, era5: Answers, storage_root: str
) -> None:
    lon, lat = (np.array(c) for c in zip(*POINTS, strict=True))
    times = [NOON + n * timedelta(minutes=7) for n in range(len(POINTS))]
    written = fetch_wind(settings(storage_root, product, geos_fp, era5), requests_at(lon, lat, times))
    assert [w.rsplit("/", 2)[1:] for w in written] == [[f"product={product}", "date=2025-08-31"]]
    rows = stored(storage_root)
    assert rows["longitude"].to_numpy().min() >= -180 and rows["longitude"].to_numpy().max() < 180
    for height in PRODUCTS[product].heights_m:
        found = winds_at(rows, lon, lat, times, height)
        for n, at in enumerate(times):
            u, v = planted(lon[n], lat[n], (at - DAY) / HOUR, height)
            assert (found.wind_u_m_s[n], found.wind_v_m_s[n]) == pytest.approx((u, v), abs=2e-3)


def test_only_what_is_needed_is_asked_for(geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    at = requests_at([29.1], [-26.3], [DAY + timedelta(hours=11, minutes=50)])
    fetch_wind(settings(storage_root, "geos_fp", geos_fp), at)
    assert len(geos_fp.asked) == 3 and hours_of(stored(storage_root, "geos_fp")) == {11.5, 12.5}
    assert stored(storage_root, "geos_fp").num_rows < 2 * 2 * 100
    fetch_wind(settings(storage_root, "era5", era5=era5), at)
    chunks = [path for path in era5.asked if path.endswith(".0.0")]
    assert len(chunks) == len(set(chunks)) == 4 * 2 and hours_of(stored(storage_root, "era5")) == {11.0, 12.0}


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_what_is_stored_is_not_fetched_again(product: str, geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    where = settings(storage_root, product, geos_fp, era5)
    first = [WindRequest(OMAN, NOON, NOON + HOUR)]
    fetch_wind(where, first)
    rows = stored(storage_root)
    geos_fp.asked.clear(), era5.asked.clear()
    assert fetch_wind(where, first) == []
    assert geos_fp.asked == era5.asked == [] and stored(storage_root).equals(rows)
    # Another place and a further hour are fetched; what was there stays.
    fetch_wind(where, [*first, *requests_at([-103.2], [31.5], [NOON]), WindRequest(OMAN, NOON, NOON + 2 * HOUR)])
    more = stored(storage_root)
    kept = more.filter(pa.compute.is_in(more["observed_at_utc"], rows["observed_at_utc"].combine_chunks()))
    assert more.num_rows > rows.num_rows and set(map(repr, rows.to_pylist())) <= set(map(repr, kept.to_pylist()))
    assert len(set(map(repr, more.to_pylist()))) == more.num_rows


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_places_and_hours_apart_add_up(product: str, geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    where = settings(storage_root, product, geos_fp, era5)
    here, there = requests_at([29.1, 29.1], [-26.3, -26.3], [NOON, NOON + 5 * HOUR]), requests_at([103], [37], [NOON])
    fetch_wind(where, here)
    rows = stored(storage_root)
    assert len(hours_of(rows)) == (4 if product == "geos_fp" else 2)
    fetch_wind(where, there)
    both = stored(storage_root)
    assert set(map(repr, rows.to_pylist())) < set(map(repr, both.to_pylist()))
    for request in (*here, *there):
        found = winds_at(both, [request.bounds[0]], [request.bounds[1]], [request.start])
        expected = planted(request.bounds[0], request.bounds[1], (request.start - DAY) / HOUR, 10.0)[0]
        assert found.wind_u_m_s[0] == pytest.approx(float(expected), abs=2e-3)


def test_a_day_has_all_its_hours(geos_fp: Answers, storage_root: str) -> None:
    fetch_wind(settings(storage_root, "geos_fp", geos_fp), requests_of_day(DAY.date(), [OMAN]))
    assert hours_of(stored(storage_root)) == {n - 0.5 for n in range(25)}
    assert len(geos_fp.asked) == 3


def test_a_seam_in_the_bounds_is_joined(geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    over = WindRequest((179.8, -17.0, -179.7, -16.0), NOON, NOON)
    for product in ("geos_fp", "era5"):
        fetch_wind(settings(storage_root, product, geos_fp, era5), [over])
        lon = np.unique(stored(storage_root, product)["longitude"].to_numpy() % 360)
        assert lon[0] == pytest.approx(178.8, abs=0.32) and lon[-1] == pytest.approx(181.3, abs=0.32)
        assert np.ptp(np.diff(lon)) < 1e-9


def test_the_next_product_is_asked_for_what_the_first_lacks(era5: Answers, storage_root: str) -> None:
    early, late = NOON, DAY + 30.2 * HOUR
    requests = requests_at([29.1, 29.1], [-26.3, -26.3], [early, late])
    with served(services.geos_fp(DAY + 20.5 * HOUR)) as geos_fp:
        failures: list[FailedScene] = []
        fetch_wind(settings(storage_root, BOTH, geos_fp, era5), requests, failures.append)
    assert failures == []
    assert hours_of(stored(storage_root, "geos_fp")) == {11.5, 12.5}
    assert hours_of(stored(storage_root, "era5")) == {30.0, 31.0}
    # Nothing is asked again of either.
    geos_fp.asked.clear(), era5.asked.clear()
    fetch_wind(settings(storage_root, BOTH, geos_fp, era5), requests)
    assert geos_fp.asked == era5.asked == []


def test_a_day_that_no_product_has_yet_is_said_and_crashes_nothing(
    storage_root: str, caplog: pytest.LogCaptureFixture
) -> None:
    later = requests_at([29.1], [-26.3], [DAY + 80 * HOUR])
    with served(services.geos_fp(DAY)) as geos_fp, served(services.era5("2025-08-25")) as era5:
        where, failures = settings(storage_root, BOTH, geos_fp, era5), list[FailedScene]()
        assert fetch_wind(where, later) == []
        assert "missing from geos_fp, era5 for 1 places and times: 2025-09-03 08:00" in caplog.text
        fetch_wind(where, later, failures.append)
        assert not [path for path in era5.asked if path.endswith(".0.0")]
    assert [(f.stage, f.error_class, f.is_retryable, f.scene_id) for f in failures] == [
        ("wind", "NoWindYet", True, "geos_fp, era5 2025-09-03")
    ]
    assert stored(storage_root).num_rows == 0


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_a_missing_hour_is_no_row_and_comes_later(product: str, storage_root: str) -> None:
    request = requests_at([29.1], [-26.3], [NOON + timedelta(minutes=20)])
    hole = NOON + timedelta(minutes=30) if product == "geos_fp" else NOON
    make = {"geos_fp": lambda gone: services.geos_fp(DAY + 30 * HOUR, missing=gone),
            "era5": lambda gone: services.era5("2025-09-01", missing=gone)}[product]  # fmt: skip
    failures: list[FailedScene] = []
    with served(make((hole,))) as answers:
        fetch_wind(settings(storage_root, product, answers, answers), request, failures.append)
    other = 11.5 if product == "geos_fp" else 13.0
    assert hours_of(stored(storage_root)) == {other} and [f.error_class for f in failures] == ["NoWindYet"]
    with served(make(())) as answers:
        fetch_wind(settings(storage_root, product, answers, answers), request, failures.append)
    assert len(hours_of(stored(storage_root))) == 2 and len(failures) == 1


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_a_busy_service_is_asked_again(product: str, geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    answers = {"geos_fp": geos_fp, "era5": era5}[product]
    answers.refusals = [503, 429]
    fetch_wind(settings(storage_root, product, geos_fp, era5), requests_at([29.1], [-26.3], [NOON]))
    assert stored(storage_root).num_rows and answers.asked[0] == answers.asked[1] == answers.asked[2]


def test_times_are_those_of_the_calendar(geos_fp: Answers) -> None:
    """The hours are counted from the beginning that the server states, not from its count of days."""
    [product] = [PRODUCTS["geos_fp"]]
    at = datetime(2018, 3, 1, 6, 30, tzinfo=UTC)
    rows = product.read(geos_fp.url, product.wanted(requests_at([29.1], [-26.3], [at])))
    assert set(rows["observed_at_utc"].to_pylist()) == {at}
    u, _ = planted(29.0625, -26.25, (at - DAY) / HOUR, 10.0)
    row = next(r for r in rows.to_pylist() if (r["longitude"], r["latitude"], r["height_m"]) == (29.0625, -26.25, 10.0))
    assert row["wind_u_m_s"] == pytest.approx(float(u), rel=1e-5)


def test_the_service_of_these_tests_speaks_as_another_client_understands(geos_fp: Answers) -> None:
    """netCDF's own DAP client reads the same places, times and wind."""
    with netCDF4.Dataset(f"{geos_fp.url}/tavg1_2d_slv_Nx") as dataset:
        assert dataset["u50m"].shape == (len(dataset["time"]), 721, 1152)
        first = netCDF4.num2date(dataset["time"][0], dataset["time"].units)
        assert first.isoformat(timespec="seconds") == "2017-12-01T00:30:00"
        assert (dataset["lat"][400], dataset["lon"][700]) == (10.0, 38.75)
        index = round((NOON - services.FIRST) / HOUR - 0.5)
        u, _ = planted(38.75, 10.0, 11.5, 50.0)
        assert float(dataset["u50m"][index, 400, 700]) == pytest.approx(float(u), rel=1e-6)
