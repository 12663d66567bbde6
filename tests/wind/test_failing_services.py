"""GEOS-FP and ERA5 from services that fail or lie: it is said of which and why, and costs nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import wind_services as services
from fetched_wind import BOTH, NOON, settings, stored
from plumewatch import http
from plumewatch.errors import InputError, ServiceError
from plumewatch.models import FailedScene
from plumewatch.settings import Settings
from plumewatch.wind.dap2 import parse_dods
from plumewatch.wind.product import requests_at
from plumewatch.wind.providers import fetch_wind
from wind_services import DAY, Answers, served

OTHER = ",".join(f"{name}[67930:1:67931][400:1:408][700:1:706]" for name in services.GEOS_HEIGHTS)


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
