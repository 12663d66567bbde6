"""HTTP with one patience for all services: what is tried again, how often, how long, and the reason where it fails.

A request that gets no answer is not begun again after PATIENCE_S, whether a host refuses, cannot be found or is silent.
Within `one_patience_per_host` a host has that patience once for all that is asked of it. An answer that has begun goes
on at LOWEST_BYTES_S, and ends within MAX_BYTES, in each session that `make_patient` was given.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Lock, local
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, InvalidHeader, MaxRetryError, ProxyError, ReadTimeoutError, SSLError
from urllib3.util import Retry

from plumewatch.errors import ServiceError, redact
from plumewatch.progress import watched
from plumewatch.public_hosts import PublicHosts, guarding
from plumewatch.slow_answers import TooSlow, watching

TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: NCCS cuts out of large files while one waits
SEARCH_TIMEOUT_S = (10.0, 30.0)  # a page of a catalogue comes within seconds
RETRIES = 5  # with the backoff below: half a minute in all, what a restart of a service takes
BACKOFF_S = 1.0
PATIENCE_S = 30.0  # for a host that gives no answer: an attempt that would begin later isn't made
RETRY_AFTER_MAX_S = 300  # a service that asks for more than that is left to the task's own retries
RETRIED_STATUS = (429, 500, 502, 503, 504)
MAX_BYTES = 512 * 2**20  # a chunk of ERA5 is 4 MB unpacked, GEOS-FP's whole globe 332 MB a day; an endless answer ends
PIECE_BYTES = 2**20
MAX_MESSAGE = 500
THREADS = 10  # that search at once, as many connections as requests keeps to a host; Pace bounds what they begin

One = TypeVar("One")
Answer = TypeVar("Answer")


SILENT = (ConnectTimeoutError, ReadTimeoutError, ProxyError, SSLError)
"""No connection (refused, unknown name and broken network too), or no word over it: the host's matter, not the
request's. One that breaks a connection may do so for a reason in the request."""

_spent: ContextVar[dict[str, str | None] | None] = ContextVar("_spent", default=None)
"""Hosts that have cost their patience: why one is silent, None for one that answers and refuses."""


def _without_paths(record: logging.LogRecord) -> bool:
    """Take paths and queries out of what urllib3 says of tries: hooks and signed addresses have their secrets there."""
    if isinstance(record.args, tuple):
        record.args = tuple("/..." if isinstance(a, str) and a.startswith("/") else a for a in record.args)
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_paths)


class Patience(Retry):
    """Repeats as Retry does, but what gets no answer only as long as its time lasts."""

    ends_at = float("inf")

    def get_retry_after(self, response: Any) -> float | None:
        """As Retry does; None where what a service asks for is neither a number of seconds nor a date."""
        try:
            return super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None

    def new(self, **changes: Any) -> Patience:
        """As Retry does, with the same end."""
        again = super().new(**changes)
        again.ends_at = self.ends_at
        return again

    def increment(self, method: str | None = None, url: str | None = None, *arguments: Any, **named: Any) -> Patience:
        """As Retry does; what gets no answer isn't tried again once the patience has ended."""
        again, error = super().increment(method, url, *arguments, **named), named.get("error")
        if error is not None and time.monotonic() + again.get_backoff_time() >= self.ends_at:
            raise MaxRetryError(named["_pool"], str(url), error) from error
        return again


class Pace:
    """Lets at most so many requests a second begin, whichever thread they are of."""

    def __init__(self, per_s: float) -> None:
        self.per_s, self._next, self._lock = per_s, 0.0, Lock()

    def wait(self) -> None:
        """Return when the next request may begin."""
        with self._lock:
            now = time.monotonic()
            begins = max(now, self._next)
            self._next = begins + 1.0 / self.per_s
        time.sleep(begins - now)


class TooLong(requests.RequestException):
    """An answer that goes on beyond what any product has."""


class _Bounded(requests.Response):
    """An answer of at most `most_bytes`, unpacked; a host that gives it too slowly is noted as silent."""

    most_bytes: int

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: Any = False) -> Iterator[Any]:
        """As requests does, which builds content, text and JSON on it; TooLong where it goes on."""
        n_bytes = 0
        try:
            for piece in super().iter_content(chunk_size, decode_unicode):
                n_bytes += len(piece)
                if n_bytes > self.most_bytes:
                    raise TooLong(f"more than {self.most_bytes} bytes", request=self.request, response=self)
                yield piece
        except requests.ConnectionError as error:
            if (spent := _spent.get()) is not None and isinstance(_cause(error), SILENT):
                spent[_host(str(self.url))] = _reason(error)
            raise

    def json(self, **arguments: Any) -> Any:
        """As requests does without simplejson, which it prefers where that is installed, and which refuses NaN."""
        try:
            return json.loads(self.content, **arguments)
        except json.JSONDecodeError as error:
            raise requests.JSONDecodeError(error.msg, error.doc, error.pos) from error


class PatientAdapter(HTTPAdapter):
    """Sends requests with the project's patience, at a pace, and heeds what it knows of their hosts.

    Several threads may send by it: each request has a patience of its own, which requests reads from `max_retries`.
    """

    def __init__(
        self,
        retries: int | None = None,
        pace: Pace | None = None,
        most_bytes: int | None = None,
        guard: PublicHosts | None = None,
    ) -> None:
        """`most_bytes`: of an answer; MAX_BYTES unless told otherwise. `guard`: what may be asked at all."""
        self._retries, self._pace, self._of_thread, self._most_bytes = retries, pace, local(), most_bytes
        self._guard = guard
        super().__init__(max_retries=self._patience(retries))

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        """As the base class; its connections watch what comes, and whom they have reached."""
        pool = super().get_connection_with_tls_context(*arguments, **named)
        kind = watching(pool.ConnectionCls)
        pool.ConnectionCls = kind if self._guard is None else guarding(kind, self._guard)
        return pool

    def build_response(self, request: requests.PreparedRequest, answer: Any) -> requests.Response:
        """As the base class, with an answer that ends."""
        bounded = _Bounded()
        vars(bounded).update(vars(super().build_response(request, answer)))
        bounded.most_bytes = MAX_BYTES if self._most_bytes is None else self._most_bytes
        return bounded

    @property
    def max_retries(self) -> Retry:
        """The patience of the request that this thread sends."""
        return self._of_thread.retries

    @max_retries.setter
    def max_retries(self, retries: Retry) -> None:
        self._of_thread.retries = retries

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        """Send; what is known to be silent fails at once, what is known to refuse is asked once.

        A redirection is sent by it too, and so looked at by its guard.
        """
        if self._guard is not None:
            self._guard.check_address(str(request.url))
        spent, host = _spent.get(), _host(str(request.url))
        if self._pace and not (spent and spent.get(host)):
            self._pace.wait()
        if spent is None:
            self.max_retries = self._patience(self._retries)
            return super().send(request, *arguments, **named)
        if reason := spent.get(host):
            raise requests.ConnectionError(reason, request=request)
        self.max_retries = self._patience(0 if host in spent else self._retries)
        try:
            answer = super().send(request, *arguments, **named)
        except requests.RequestException as error:
            spent[host] = _reason(error) if isinstance(_cause(error), SILENT) else None
            raise
        if answer.status_code in RETRIED_STATUS:
            spent[host] = None
        else:
            spent.pop(host, None)
        return answer

    @staticmethod
    def _patience(retries: int | None, kind: type[Patience] = Patience) -> Patience:
        """Whatever the verb: a search by POST changes nothing, and an alert twice is better than none."""
        patience = kind(
            total=RETRIES if retries is None else retries,
            backoff_factor=BACKOFF_S,
            status_forcelist=RETRIED_STATUS,
            allowed_methods=None,
            raise_on_status=False,  # the last answer is wanted, not an exception that hides its status
            retry_after_max=RETRY_AFTER_MAX_S,
        )
        patience.ends_at = time.monotonic() + PATIENCE_S
        return patience


@contextmanager
def one_patience_per_host() -> Iterator[None]:
    """Within the block a host costs its patience once: then, if it was silent, all requests to it fail at once.

    The reason is the same then. One that answered, but only to refuse for now (RETRIED_STATUS), is asked once a
    request until it does better. An outer block goes on in an inner one.
    """
    token = _spent.set({} if _spent.get() is None else _spent.get())
    try:
        yield
    finally:
        _spent.reset(token)


def make_patient(
    session: requests.Session,
    retries: int | None = None,
    pace: Pace | None = None,
    most_bytes: int | None = None,
    guard: PublicHosts | None = None,
) -> None:
    """Let a session repeat a request that a busy service refuses, or that no connection is made for.

    RETRIES times unless told otherwise, and where there is a pace at that. Its answers have MAX_BYTES or `most_bytes`.
    With a guard it asks what that allows alone.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, PatientAdapter(retries, pace, most_bytes, guard))


def side_by_side(
    ask: Callable[[One], Answer], things: Iterable[One], what: str, unit: str, threads: int = THREADS
) -> list[Answer]:
    """Return what `ask` makes of each, in their order, by threads that share the patience of their caller.

    How far they are is said as `what`, by number of `unit`. What one raises is raised, and what isn't begun by then
    isn't begun any more.
    """
    with ThreadPoolExecutor(threads) as pool:
        asked = [pool.submit(copy_context().run, ask, thing) for thing in things]
        try:
            with watched(what, len(asked), unit, lambda: sum(answer.done() for answer in asked)):
                for answer in as_completed(asked):
                    answer.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return [answer.result() for answer in asked]


@contextmanager
def http_session(retries: int | None = None, guard: PublicHosts | None = None) -> Iterator[requests.Session]:
    """Yield a patient session, which repeats a request RETRIES times unless told otherwise; arguments as above."""
    with requests.Session() as session:
        make_patient(session, retries, guard=guard)
        yield session


def ask(session: requests.Session, url: str, **arguments: Any) -> requests.Response:
    """GET an address; ServiceError where nobody answers. The status is the caller's to look at."""
    try:
        return session.get(url, timeout=TIMEOUT_S, **arguments)
    except requests.RequestException as error:
        raise no_answer(url, error) from error


def no_answer(url: str, error: requests.RequestException) -> ServiceError:
    """Return the error for a service that didn't answer, or not to the end."""
    if isinstance(error, TooLong):
        return ServiceError(f"{redact(url)}: {error}")
    return ServiceError(f"{redact(url)}: no answer: {redact(_reason(error))[:MAX_MESSAGE]}")


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _reason(error: requests.RequestException) -> str:
    """What went wrong at last, without the names of those who passed it on."""
    cause = _cause(error)
    if isinstance(getattr(cause, "__cause__", None), TooSlow):
        cause = cause.__cause__
    arguments = getattr(cause, "args", ()) or (cause,)
    return str(arguments[-1])


def _cause(error: requests.RequestException) -> Any:
    """What urllib3 said; of a request that was repeated, of its last attempt."""
    said = error.args[0] if error.args else error
    return getattr(said, "reason", None) or said


def may_have_arrived(error: Any) -> bool:
    """Return whether what got no answer (an error of requests or urllib3) may have been done by the service all the
    same: a connection was there."""
    said = _cause(error) if isinstance(error, requests.RequestException) else error
    return not isinstance(said, ConnectTimeoutError | ProxyError | SSLError)


def download(session: requests.Session, url: str) -> bytes | None:
    """Return what is at `url`, None where there is nothing (404).

    Raises ServiceError for any other answer, for none, for one that ends before its stated length, and for one that
    goes on beyond what any product has.
    """
    with ask(session, url, stream=True) as answer:
        if answer.status_code == requests.codes.not_found:
            return None
        if answer.status_code != requests.codes.ok:
            raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}", answer.status_code)
        try:
            return b"".join(answer.iter_content(PIECE_BYTES))
        except requests.RequestException as error:
            raise no_answer(url, error) from error


def download_existing(session: requests.Session, url: str) -> bytes:
    """Return what is at `url`, as `download` does; nothing there is a ServiceError that is not retryable."""
    content = download(session, url)
    if content is None:
        raise ServiceError(f"{redact(url)}: HTTP {requests.codes.not_found}", requests.codes.not_found)
    return content
