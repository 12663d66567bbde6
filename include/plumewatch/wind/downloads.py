"""Files of weather services over HTTP: tried again where that helps, and the reason said where it doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.util import Retry

from plumewatch.errors import ServiceError, redact

TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: NCCS cuts out of large files while one waits
RETRIES = 3  # with the backoff below: 6 s in all; a task that fails is tried again later
BACKOFF_S = 1.0
RETRY_AFTER_MAX_S = 300  # a service that asks for more than that is left to the task's own retries
RETRIED_STATUS = (429, 500, 502, 503, 504)
MAX_BYTES = 512 * 2**20  # a chunk of ERA5 is 4 MB unpacked, GEOS-FP's whole globe 332 MB a day; an endless answer ends
PIECE_BYTES = 2**20


@contextmanager
def http_session() -> Iterator[requests.Session]:
    """Yield a session that repeats a request that a busy service refuses or no connection is made for."""
    retry = Retry(
        total=RETRIES, backoff_factor=BACKOFF_S, status_forcelist=RETRIED_STATUS, raise_on_status=False,
        retry_after_max=RETRY_AFTER_MAX_S,
    )  # fmt: skip
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
        yield session


def download(session: requests.Session, url: str) -> bytes | None:
    """Return what is at `url`, None where there is nothing (404).

    Raises ServiceError for any other answer, for none, for one that ends before its stated length, and for one that
    goes on beyond what any product has.
    """
    content = bytearray()
    try:
        with session.get(url, timeout=TIMEOUT_S, stream=True) as answer:
            if answer.status_code == requests.codes.not_found:
                return None
            if answer.status_code != requests.codes.ok:
                raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}", answer.status_code)
            for piece in answer.iter_content(PIECE_BYTES):
                content += piece
                if len(content) > MAX_BYTES:
                    raise ServiceError(f"{redact(url)}: more than {MAX_BYTES} bytes")
    except requests.RequestException as error:
        raise ServiceError(f"{redact(url)}: {redact(str(error))[:500]}") from error
    return bytes(content)


def download_existing(session: requests.Session, url: str) -> bytes:
    """Return what is at `url`, as `download` does; nothing there is a ServiceError that is not retryable."""
    content = download(session, url)
    if content is None:
        raise ServiceError(f"{redact(url)}: HTTP {requests.codes.not_found}", requests.codes.not_found)
    return content
