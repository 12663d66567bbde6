"""Files of weather services over HTTP: tried again where that helps, and the reason said where it doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.util import Retry

from plumewatch.errors import ServiceError, redact

TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: NCCS cuts out of large files while one waits
RETRIES = 3  # with the backoff below: 7 s in all; a task that fails is tried again later
BACKOFF_S = 1.0
RETRIED_STATUS = (429, 500, 502, 503, 504)


@contextmanager
def http_session() -> Iterator[requests.Session]:
    """Yield a session that repeats a request that a busy service refuses or no connection is made for."""
    retry = Retry(
        total=RETRIES, backoff_factor=BACKOFF_S, status_forcelist=RETRIED_STATUS, raise_on_status=False,
    )  # fmt: skip
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
        yield session


def download(session: requests.Session, url: str) -> bytes | None:
    """Return what is at `url`, None where there is nothing (404).

    Raises ServiceError for any other answer, for none, and for one that ends before its stated length.
    """
    try:
        answer = session.get(url, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise ServiceError(f"{redact(url)}: {redact(str(error))[:500]}") from error
    if answer.status_code == requests.codes.not_found:
        return None
    if answer.status_code != requests.codes.ok:
        raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}", answer.status_code)
    return answer.content


def download_existing(session: requests.Session, url: str) -> bytes:
    """Return what is at `url`, as `download` does; nothing there is a ServiceError that is not retryable."""
    content = download(session, url)
    if content is None:
        raise ServiceError(f"{redact(url)}: HTTP {requests.codes.not_found}", requests.codes.not_found)
    return content
