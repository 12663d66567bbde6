"""How Sentinel Hub's APIs are asked: sentinelhub-py's client, made patient as the project is.

It has one session (a token) for all of a process, its pauses and repetitions are bounded, and nothing of it is written
anywhere.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, ClassVar

import requests
from sentinelhub import SentinelHubDownloadClient, SentinelHubSession
from sentinelhub import SHConfig as HubConfig
from sentinelhub.download.models import DownloadRequest
from sentinelhub.download.rate_limit import SentinelHubRateLimit
from sentinelhub.exceptions import DownloadFailedException, OutOfRequestsException, SHRateLimitWarning

from plumewatch.catalogues.processing_units import Spending, next_month
from plumewatch.errors import InputError, PlumewatchError, QuotaUsedUp, ServiceError, is_trouble, redact
from plumewatch.http import MAX_MESSAGE, Pace, Patience, PatientAdapter, may_have_arrived, no_answer

TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: a request of 2500 x 2500 px takes its time
RATE_LIMIT_TRIES = 5  # so often a request that comes too early is sent in all
LONGEST_PAUSE_S = 60.0  # the limits are by the minute; one that asks for more is left to the task's own retries
PAUSE_S = 5.0  # where a service that is asked too often names none
RETRIED_STATUS = (500, 502, 503, 504)  # of those of `http` all but 429
REQUESTS_PER_S = 5.0  # 300 a minute: documentation.dataspace.copernicus.eu/Quotas.html, the free tier
SPENT_HEADER = "X-ProcessingUnits-Spent"
QUOTA_CODE, QUOTA_TEXT = "INSUFFICIENT_PROCESSING_UNITS", "nsufficient processing units"
"""By these the service's 403 for a month that is used up is known from one for want of a permission."""

log = logging.getLogger(__name__)
warnings.simplefilter("ignore", SHRateLimitWarning)  # `_BoundedRateLimit` tells of it


class HubClient(SentinelHubDownloadClient):
    """The client of sentinelhub-py with the project's patience, at one pace an account; counts what is spent."""

    _sessions: ClassVar[dict[tuple[str, str, str], SentinelHubSession]] = {}
    _paces: ClassVar[dict[tuple[str, str, str], Pace]] = {}
    _sessions_lock: ClassVar[Lock] = Lock()

    def __init__(self, config: HubConfig, retries: int | None = None) -> None:
        super().__init__(config=config, default_retry_time=PAUSE_S)
        self.rate_limit = _BoundedRateLimit()
        self.spent_units, self.n_requests, self.n_unpriced = 0.0, 0, 0
        self._account = (config.sh_token_url, config.sh_client_id, config.sh_client_secret)
        self._retries = retries
        self._http = _http_session(retries)

    def get_session(self) -> SentinelHubSession:
        """Return the one session of this account in this process."""
        with self._sessions_lock:
            if self._account not in self._sessions:
                self._sessions[self._account] = HubSession(self.config, self._retries)
            return self._sessions[self._account]

    @contextmanager
    def counting(self, spending: Spending, predicted_units: float) -> Iterator[None]:
        """Count one request, which the block makes, and its units: those predicted where nobody says what it cost.

        That is so of an answer that doesn't say it, and of a request that got none, which the service may have done.
        """
        spent_units, n_unpriced = self.spent_units, self.n_unpriced
        try:
            yield
        finally:
            spending.spent_units += self.spent_units - spent_units + predicted_units * (self.n_unpriced - n_unpriced)
            spending.n_requests += 1

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        session = self.get_session() if request.use_session else None
        answer = self._send(request)
        if answer.status_code == requests.codes.unauthorized and session is not None:
            self._forget(session)  # the token was withdrawn before its time; a new one, once
            answer = self._send(request)
        return answer

    def _forget(self, session: SentinelHubSession) -> None:
        """Have the account's next request make a session, unless another thread has done so meanwhile."""
        with self._sessions_lock:
            if self._sessions.get(self._account) is session:
                del self._sessions[self._account]

    def _send(self, request: DownloadRequest) -> requests.Response:
        headers = self._prepare_headers(request)
        with self._sessions_lock:
            pace = self._paces.setdefault(self._account, Pace(REQUESTS_PER_S))
        pace.wait()
        try:
            answer = self._http.request(
                request.request_type.value,
                str(request.url),
                json=request.post_values,
                headers=headers,
                timeout=TIMEOUT_S,
            )
        except requests.RequestException as error:
            self.n_unpriced += may_have_arrived(error)
            raise
        if answer.status_code == requests.codes.too_many_requests:
            answer.headers[SentinelHubRateLimit.RETRY_HEADER] = f"{_pause_s(answer) * 1000.0:.0f}"
        self.n_requests += 1
        tried = answer.raw.retries.history if answer.raw.retries else ()
        self.n_unpriced += sum(attempt.error is not None and may_have_arrived(attempt.error) for attempt in tried)
        spent_units = _number(answer.headers.get(SPENT_HEADER))
        self.n_unpriced += answer.ok and spent_units is None
        self.spent_units += spent_units or 0.0
        return answer


class HubSession(SentinelHubSession):
    """A session that asks for its tokens as patiently as for all else, and says by name what is wrong with a client."""

    def __init__(self, config: HubConfig, retries: int | None = None) -> None:
        self._retries = retries
        super().__init__(config)

    def _collect_new_token(self) -> dict[str, Any]:
        url = str(self.config.sh_token_url)
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.sh_client_id,
            "client_secret": self.config.sh_client_secret,
        }
        try:
            with _http_session(self._retries) as session:
                answer = session.post(url, data=form, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise no_answer(url, error) from error
        if answer.status_code in (requests.codes.bad_request, requests.codes.unauthorized, requests.codes.forbidden):
            message = f"HTTP {answer.status_code}: the client is refused ({_told(answer)})"
            raise ServiceError(f"{redact(url)}: {message}: look at SH_CLIENT_ID, SH_CLIENT_SECRET", answer.status_code)
        if answer.status_code != requests.codes.ok:
            raise ServiceError(f"{redact(url)}: HTTP {answer.status_code}", answer.status_code)
        try:
            token = answer.json()
            return {"access_token": str(token["access_token"]), "expires_at": time.time() + float(token["expires_in"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"{redact(url)}: an answer without a token") from error


class _HubPatience(Patience):
    RETRY_AFTER_STATUS_CODES: frozenset[int] = (
        frozenset()
    )  # what comes too early isn't repeated here: the client waits for that


class _HubAdapter(PatientAdapter):
    """Repeats what a service, or the gateway before it, that has trouble refuses."""

    @staticmethod
    def _patience(retries: int | None, kind: type[Patience] = _HubPatience) -> Patience:
        patience = PatientAdapter._patience(retries, kind)
        patience.status_forcelist, patience.retry_after_max = RETRIED_STATUS, int(LONGEST_PAUSE_S)
        return patience


class _BoundedRateLimit(SentinelHubRateLimit):
    """Waits as long as `HubClient` found to be asked for (milliseconds), not at all where that is too long."""

    def update(self, headers: dict[str, Any], *, default: float) -> None:
        """Heed the pause that an answer of status 429 asks for."""
        pause_s = float(headers.get(self.RETRY_HEADER, default)) / 1000.0
        if not pause_s <= LONGEST_PAUSE_S:
            raise OutOfRequestsException(f"it asks for a pause of {pause_s:.0f} s, allowed: {LONGEST_PAUSE_S:.0f} s")
        log.info("Sentinel Hub asks for a pause of %.1f s", pause_s)
        self.next_download_time = max(time.monotonic() + pause_s, self.next_download_time)


def _pause_s(answer: requests.Response) -> float:
    """Return how long an answer of status 429 asks to wait, in seconds.

    Sentinel Hub's own `Retry-After` is in milliseconds (docs.sentinel-hub.com/api/latest/api/overview/rate-limiting),
    a gateway's before it in seconds or a date (RFC 9110, 10.2.3). The service is known by its error: an object that
    states 429. Of others a number up to LONGEST_PAUSE_S is in seconds, and a larger one, which couldn't be waited for,
    in milliseconds, of which PAUSE_S is waited at least.
    """
    stated = answer.headers.get(SentinelHubRateLimit.RETRY_HEADER, "").strip()
    try:
        if not re.fullmatch(r"[0-9.]{1,20}", stated):
            return max((parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds(), 0.0)
        number = float(stated)
    except (ValueError, TypeError, OverflowError):  # a date without a zone is none
        return PAUSE_S
    if _error_of(answer).get("status") == requests.codes.too_many_requests:
        return number / 1000.0
    return number if number <= LONGEST_PAUSE_S else max(number / 1000.0, PAUSE_S)


def _error_of(answer: requests.Response) -> dict[str, Any]:
    """What the service says of an error in its own form, nothing where it is another's."""
    try:
        error = answer.json().get("error")
    except (ValueError, AttributeError):
        return {}
    return error if isinstance(error, dict) else {}


def _http_session(retries: int | None) -> requests.Session:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _HubAdapter(retries))
    return session


@contextmanager
def asking(url: str, allowed: str) -> Iterator[None]:
    """Make what the client raises in the block an error of ours, which names the service.

    QuotaUsedUp where the service says that the month is used up, ServiceError where it refuses, is busy or gives no
    answer, InputError where its answer is of another form than `allowed`.
    """
    try:
        yield
    except PlumewatchError:
        raise
    except OutOfRequestsException as error:
        raise ServiceError(f"{redact(url)}: HTTP 429: asked too often ({error})", 429) from error
    except DownloadFailedException as error:
        raise _refusal(url, error.request_exception) from error
    except requests.RequestException as error:
        raise no_answer(url, error) from error
    except json.JSONDecodeError as error:  # a page of a proxy or of maintenance with status 200
        raise ServiceError(f"{redact(url)}: an answer that isn't JSON: {redact(str(error))[:200]}") from error
    except Exception as error:  # what the client makes of an answer of another form
        if is_trouble(error):  # of a bucket, where the block reads or writes there too
            raise
        raise InputError(
            redact(url), f"an answer of another form ({type(error).__name__}: {error})", allowed
        ) from error


def _refusal(url: str, error: requests.RequestException | None) -> PlumewatchError:
    answer = getattr(error, "response", None)
    if answer is None:
        return no_answer(url, error or requests.RequestException("no answer"))
    told = _told(answer)
    if answer.status_code == requests.codes.forbidden and (QUOTA_CODE in answer.text or QUOTA_TEXT in answer.text):
        until = next_month(datetime.now(UTC))
        return QuotaUsedUp(f"{redact(url)}: {told}; the account has units again from {until} on", until)
    return ServiceError(f"{redact(url)}: HTTP {answer.status_code}: {told}", answer.status_code)


def _told(answer: requests.Response) -> str:
    """What a service says of an error, without secrets: its own words, else the beginning of the page."""
    try:
        said = answer.json()
        error = said.get("error", said)
        text = error.get("message") or json.dumps(error) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        text = answer.text
    return redact(" ".join(text.split()))[:MAX_MESSAGE]


def _number(text: str | None) -> float | None:
    """The units that a header states; None where it states none that can be.

    >>> [_number(text) for text in ("0.131", "0", None, "1,5", "-3", "nan", "inf")]
    [0.131, 0.0, None, None, None, None, None]
    """
    try:
        units = float(text or "")
    except ValueError:
        return None
    return units if 0.0 <= units < math.inf else None
