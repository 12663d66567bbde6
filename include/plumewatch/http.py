"""HTTP with one patience for all services: what is tried again, how often, how long, and the reason where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from plumewatch.errors import ServiceError, redact

TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: NCCS cuts out of large files while one waits
RETRIES = 5  # with the backoff below: half a minute in all, what a restart of a service takes
BACKOFF_S = 1.0
RETRY_AFTER_MAX_S = 300  # a service that asks for more than that is left to the task's own retries
RETRIED_STATUS = (429, 500, 502, 503, 504)
MAX_BYTES = 512 * 2**20  # a chunk of ERA5 is 4 MB unpacked, GEOS-FP's whole globe 332 MB a day; an endless answer ends
PIECE_BYTES = 2**20
MAX_MESSAGE = 500


def retry_policy(retries: int | None = None) -> Retry:
    """Return what every request of the project is repeated by; RETRIES times unless told otherwise.

    Whatever its verb: a search by POST changes nothing, and an alert twice is better than none.
    """
    return Retry(
        total=RETRIES if retries is None else retries,
        backoff_factor=BACKOFF_S,
        status_forcelist=RETRIED_STATUS,
        allowed_methods=None,
        raise_on_status=False,  # the last answer is wanted, not an exception that hides its status
        retry_after_max=RETRY_AFTER_MAX_S,
    )


def make_patient(session: requests.Session, retries: int | None = None) -> None:
    """Let a session repeat a request that a busy service refuses, or that no connection is made for."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry_policy(retries)))


@contextmanager
def http_session() -> Iterator[requests.Session]:
    """Yield a patient session."""
    with requests.Session() as session:
        make_patient(session)
        yield session


def ask(session: requests.Session, url: str, **arguments: Any) -> requests.Response:
    """GET an address; ServiceError where nobody answers. The status is the caller's to look at."""
    try:
        return session.get(url, timeout=TIMEOUT_S, **arguments)
    except requests.RequestException as error:
        raise no_answer(url, error) from error


def no_answer(url: str, error: requests.RequestException) -> ServiceError:
    """Return the error for a service that didn't answer, or not to the end."""
    return ServiceError(f"{redact(url)}: no answer: {redact(str(error))[:MAX_MESSAGE]}")


def download(session: requests.Session, url: str) -> bytes | None:
    """Return what is at `url`, None where there is nothing (404).

    Raises ServiceError for any other answer, for none, for one that ends before its stated length, and for one that
    goes on beyond what any product has.
    """
    content = bytearray()
    with ask(session, url, stream=True) as answer:
        if answer.status_code == requests.codes.not_found:
            return None
        if answer.status_code != requests.codes.ok:
            raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}", answer.status_code)
        try:
            for piece in answer.iter_content(PIECE_BYTES):
                content += piece
                if len(content) > MAX_BYTES:
                    raise ServiceError(f"{redact(url)}: more than {MAX_BYTES} bytes")
        except requests.RequestException as error:
            raise no_answer(url, error) from error
    return bytes(content)


def download_existing(session: requests.Session, url: str) -> bytes:
    """Return what is at `url`, as `download` does; nothing there is a ServiceError that is not retryable."""
    content = download(session, url)
    if content is None:
        raise ServiceError(f"{redact(url)}: HTTP {requests.codes.not_found}", requests.codes.not_found)
    return content
