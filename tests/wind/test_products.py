"""GEOS-FP and ERA5 from services on loopback: the planted wind comes back, and what fails is said and costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import netCDF4
import numpy as np
import pyarrow as pa
import pytest
import wind_services as services
from plumewatch import http, storage
from plumewatch.errors import InputError, ServiceError
from plumewatch.failures import FailedScene
from plumewatch.settings import Settings
from plumewatch.tables import WIND
from plumewatch.wind.at_point import winds_at
from plumewatch.wind.dap2 import parse_dods
from plumewatch.wind.product import WindRequest, requests_at, requests_of_day
from plumewatch.wind.providers import PRODUCTS, fetch_wind
from wind_services import DAY, Answers, planted, served

BOTH = "geos_fp,era5"
HOUR = timedelta(hours=1)
NOON = DAY + 12 * HOUR
OMAN = (56.0, 22.0, 56.1, 22.1)
POINTS = [(29.1, -26.3), (-104.9, 40.2), (179.95, 62.1), (-179.9, -16.4), (0.05, 51.4), (-0.1, 5.0)]
"""Over both hemispheres, the antimeridian, where each grid has its seam, and Greenwich."""

OTHER = ",".join(f"{name}[67930:1:67931][400:1:408][700:1:706]" for name in services.GEOS_HEIGHTS)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat without a pause."""
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)


@pytest.fixture
def geos_fp() -> Iterator[Answers]:
    with served(services.geos_fp(DAY + 47.5 * HOUR)) as answers:
        yield answers


@pytest.fixture
def era5() -> Iterator[Answers]:
    with served(services.era5("2025-09-01")) as answers:
        yield answers


def settings(root: str, wind: str, geos_fp: Answers | None = None, era5: Answers | None = None) -> Settings:
    closed = "http://127.0.0.1:9/closed"
    urls = {"geos_fp_url": geos_fp.url if geos_fp else closed, "era5_url": era5.url if era5 else closed}
    return Settings(root, wind=wind, **urls)


def stored(root: str, product: str | None = None) -> pa.Table:
    return storage.read_table(WIND, storage.join(root, "wind"), where={"product": product} if product else None)


def hours_of(rows: pa.Table) -> set[float]:
    return {(at - DAY) / HOUR for at in rows["observed_at_utc"].to_pylist()}


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


def failure_of(where: Settings, at: datetime = NOON) -> FailedScene:
    """What one request fails by; without a place for failures the same is raised."""
    failures: list[FailedScene] = []
    fetch_wind(where, requests_at([29.1], [-26.3], [at]), failures.append)
    [failure] = failures
    with pytest.raises((ServiceError, InputError)):
        fetch_wind(where, requests_at([29.1], [-26.3], [at]))
    assert failure.stage == "wind" and stored(where.storage_root).num_rows == 0
    return failure


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (403, False), (404, False)])
def test_a_service_that_refuses_is_named_with_its_status(
    product: str, status: int, is_retryable: bool, geos_fp: Answers, era5: Answers, storage_root: str
) -> None:
    for answers in (geos_fp, era5):
        answers.refusals = [status] * 20
    failure = failure_of(settings(storage_root, product, geos_fp, era5))
    assert (failure.error_class, failure.http_status, failure.is_retryable) == ("ServiceError", status, is_retryable)
    assert f"HTTP {status}" in failure.message and failure.scene_id == f"{product} 2025-08-31"


@pytest.mark.parametrize("product", ["geos_fp", "era5"])
def test_an_answer_that_is_cut_off_or_none_at_all_can_be_tried_again(
    product: str, geos_fp: Answers, era5: Answers, storage_root: str
) -> None:
    geos_fp.cut_off = era5.cut_off = True
    failure = failure_of(settings(storage_root, product, geos_fp, era5))
    assert failure.is_retryable and failure.http_status is None
    assert failure_of(settings(storage_root, product)).is_retryable


@pytest.mark.parametrize(
    "page", [b"<html><body><h2>GrADS Data Server - error</h2>nccs is busy</body></html>", b'Error { message = "no"; };']
)
def test_an_error_page_with_status_200_is_no_data(page: bytes, storage_root: str) -> None:
    with served(Answers(lambda path, query: page)) as geos_fp:
        failure = failure_of(settings(storage_root, "geos_fp", geos_fp))
        assert failure.is_retryable and "not a DAP2 answer" in failure.message and "<" not in failure.message
        assert "not JSON" in failure_of(settings(storage_root, "era5", era5=geos_fp)).message


def test_a_broken_chunk_is_named(era5: Answers, storage_root: str) -> None:
    whole = era5.answer
    era5.answer = lambda path, query: (
        (whole(path, query) or b"")[:1000] if path.endswith(".0.0") else whole(path, query)
    )
    failure = failure_of(settings(storage_root, "era5", era5=era5))
    assert failure.is_retryable and "1000 bytes that can't be unpacked" in failure.message


def test_another_grid_is_refused(geos_fp: Answers, era5: Answers, storage_root: str) -> None:
    def changed(answers: Answers, old: bytes, new: bytes) -> None:
        whole = answers.answer
        answers.answer = lambda path, query: (whole(path, query) or b"").replace(old, new)

    changed(geos_fp, b'grads_size "1152"', b'grads_size "576"')
    changed(era5, b'"chunks": [1, 721, 1440]', b'"chunks": [24, 721, 1440]')
    for product, found in (("geos_fp", "576"), ("era5", "(24, 721, 1440)")):
        failure = failure_of(settings(storage_root, product, geos_fp, era5))
        assert failure.error_class == "InputError" and not failure.is_retryable and found in failure.message


def test_an_answer_for_other_places_is_refused(geos_fp: Answers, storage_root: str) -> None:
    """As from a cache between that mixes up two requests."""
    whole = geos_fp.answer
    geos_fp.answer = lambda path, query: whole(path, OTHER if "u10m" in query else query)
    failure = failure_of(settings(storage_root, "geos_fp", geos_fp))
    assert failure.is_retryable and "other places or times" in failure.message


def test_a_collection_without_its_beginning_is_refused(geos_fp: Answers, storage_root: str) -> None:
    whole = geos_fp.answer
    geos_fp.answer = lambda path, query: (whole(path, query) or b"").replace(b"00:30z01dec2017", b"soon")
    failure = failure_of(settings(storage_root, "geos_fp", geos_fp))
    assert failure.error_class == "InputError" and "soon" in failure.message


def test_a_failing_product_costs_nothing_where_the_next_one_answers(
    era5: Answers, storage_root: str, caplog: Any
) -> None:
    failures: list[FailedScene] = []
    fetch_wind(settings(storage_root, BOTH, era5=era5), requests_at([29.1], [-26.3], [NOON]), failures.append)
    assert failures == [] and set(stored(storage_root)["product"].to_pylist()) == {"era5"}
    assert "wind: geos_fp: http://127.0.0.1:9/closed" in caplog.text


def test_a_dods_answer_is_checked_to_its_last_byte() -> None:
    content = services.geos_fp(DAY).answer("x/tavg1_2d_slv_Nx.dods", "u10m[0:1:1][0:1:2][5:1:9]")
    arrays = parse_dods(content or b"", "x")
    assert arrays["u10m"].shape == (2, 3, 5) and arrays["lon"].tolist() == services.LONGITUDES[5:10].tolist()
    for length in (len(content or b"") - 1, 300):
        with pytest.raises(ServiceError, match=r"ends inside|not a DAP2"):
            parse_dods((content or b"")[:length], "x")


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


def changed(answers: Answers, old: bytes, new: bytes) -> None:
    whole = answers.answer
    answers.answer = lambda path, query: (whole(path, query) or b"").replace(old, new)


@pytest.mark.parametrize(
    ("product", "old", "new"),
    [
        ("geos_fp", b"Attributes {", b"Attributes "),
        ("geos_fp", b'grads_size "721"', b'grads_size "many"'),
        ("geos_fp", b'grads_mapping "linear";\n        String grads_size "', b'grads_size "99999999999'),
        ("geos_fp", b"Float64 time[", b"Float64 tide["),
        ("geos_fp", b"Float64 time[", b"Byte time["),
        ("geos_fp", b"time = 1]", b"time = 0]"),
        ("geos_fp", b"time = 1]", b"time = 4294967296][x = 4294967296]"),
        ("era5", b'"valid_time_stop_era5t": "2025-09-01"', b'"valid_time_stop_era5t": "soon"'),
        ("era5", b'"shape": [1323648', b'"shape": [5'),
        ("era5", b'"shape": [1323648, 721, 1440]', b'"shape": []'),
        ("era5", b'"valid_time_start"', b'"valid_time_start'),
    ],
)
def test_a_service_that_lies_is_named_and_the_next_product_is_asked(
    product: str, old: bytes, new: bytes, geos_fp: Answers, era5: Answers, storage_root: str
) -> None:
    changed({"geos_fp": geos_fp, "era5": era5}[product], old, new)
    failure = failure_of(settings(storage_root, product, geos_fp, era5))
    assert failure.error_class in ("ServiceError", "InputError") and "can't be read" not in failure.message
    both = "geos_fp,era5" if product == "geos_fp" else "era5,geos_fp"
    assert fetch_wind(settings(storage_root, both, geos_fp, era5), requests_at([29.1], [-26.3], [NOON]))


def test_what_nobody_expected_of_a_service_is_an_error_of_it(
    geos_fp: Answers, storage_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plumewatch.wind.geos_fp.parse_das", lambda answer, source: {}["lost"])
    failure = failure_of(settings(storage_root, "geos_fp", geos_fp))
    assert failure.error_class == "ServiceError" and "an answer that can't be read (KeyError" in failure.message


def test_an_endless_answer_is_stopped(geos_fp: Answers, storage_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 500)
    assert "more than 500 bytes" in failure_of(settings(storage_root, "geos_fp", geos_fp)).message


def test_a_pause_that_a_service_asks_for_has_an_end() -> None:
    with http.http_session() as session:
        assert session.get_adapter("https://x").max_retries.retry_after_max == 300
