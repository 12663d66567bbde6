"""Failures of a date: which may heal, and what heals them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.failures import FailureBook, day_of_failure, pass_name
from plumewatch.methane.dates.noting import dates_went_through, failure_of, noted
from plumewatch.models import FailedScene

DAG, KEY = "manual", "2025-08-20"
DATE = f"area=a/date={KEY}"
OF_B = pass_name("sentinel-2b", 63)
ERRORS = {
    ServiceError("away", 503): True, ServiceError("away"): True, OSError("disk"): True, TimeoutError("slow"): True,
    ConnectionResetError("gone"): True, MemoryError(): True, EndpointConnectionError(endpoint_url="http://s3"): True,
    ServiceError("no", 404): False, InputError("f", "x", "y"): False, ConfigurationError("no"): False,
    ValueError("odd"): False, IndexError("odd"): False, ZeroDivisionError("odd"): False, KeyError("odd"): False,
    pa.ArrowInvalid("odd"): False, PermissionError("no"): False, NotADirectoryError("a file"): False,
    NoCredentialsError(): False,
}  # fmt: skip


@pytest.mark.parametrize(("error", "is_retryable"), ERRORS.items(), ids=[type(error).__name__ for error in ERRORS])
def test_only_what_another_try_may_heal_is_retryable(error: Exception, is_retryable: bool) -> None:
    failure = failure_of(error, "a", KEY, OF_B)
    assert (failure.is_retryable, failure.error_class) == (is_retryable, type(error).__name__)
    assert (failure.area, failure.scene_id, failure.stage) == ("a", f"{DATE}/{OF_B}", "detection")


def test_names_tell_their_date() -> None:
    names = [DATE, f"{DATE}/{OF_B}", f"{DATE}/method=multi_pass/plume_details", "data.parquet"]
    assert [day_of_failure(name) for name in names] == [KEY] * 3 + [""]
    assert pass_name(None, None) == "platform=unknown/relative_orbit=unknown"


def test_an_exception_is_noted_and_what_follows_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[FailedScene] = []
    for error in (InputError("f", "x", "y"), IndexError("odd")):
        with noted(failures, "a", KEY):
            raise error
    with noted(failures, "a", KEY):
        pass
    assert [failure.error_class for failure in failures] == ["InputError", "IndexError"]
    assert caplog.text.count("Traceback") == 1


def left_open(root: str, failed: set[str], *, read: bool = True, published: bool = True, method: str = "m") -> set[str]:
    """Heal a date after another run and return the names that are still open."""
    at = {("a", KEY)}
    again = [failure_of(ValueError("odd"), "a", KEY, name.removeprefix(DATE).removeprefix("/")) for name in failed]
    book = FailureBook(root, DAG, "another run")
    book.settle(KEY, again, dates_went_through(at if read else set(), at if published else set(), method))
    return {row["scene_id"].removeprefix(DATE) for row in book.open_rows(KEY)}


@pytest.fixture
def failed_before(tmp_path: object) -> str:
    root = str(tmp_path)
    parts = ["", OF_B, f"{OF_B}/method=m", "method=m/plume_details", "method=other/plume_details"]
    failures = [failure_of(ValueError("odd"), "a", KEY, part) for part in parts]
    FailureBook(root, DAG, "run").settle(KEY, [*failures, failure_of(ValueError("odd"), "b", KEY)])
    return root


B = {"area=b/date=2025-08-20"}
OTHERS = B | {"/method=other/plume_details"}


def test_what_went_through_is_healed_but_not_for_other_methods_and_areas(failed_before: str) -> None:
    assert left_open(failed_before, set()) == OTHERS


def test_what_fails_again_stays_open(failed_before: str) -> None:
    again = {f"/{OF_B}", "/method=m/plume_details"}
    assert left_open(failed_before, {DATE + name for name in again}) == OTHERS | again


def test_what_was_only_read_heals_nothing_that_is_written(failed_before: str) -> None:
    assert left_open(failed_before, set(), published=False) == OTHERS | {f"/{OF_B}/method=m", "/method=m/plume_details"}


def test_what_was_not_looked_at_stays_open(failed_before: str) -> None:
    assert len(left_open(failed_before, set(), read=False, published=False)) == 6
