"""Sentinel Hub, on services.sentinel-hub.com or on the Copernicus Data Space: its Catalog, and how its APIs are asked.

The client is sentinelhub-py's, made patient as the project is: it has one session (a token) for all of a process, its
pauses and repetitions are bounded, and nothing of it is written anywhere.
"""

from __future__ import annotations

import json
import logging
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from threading import Lock
from typing import Any, ClassVar

import pystac
import requests
from sentinelhub import CRS, DataCollection, Geometry, SentinelHubCatalog, SentinelHubDownloadClient, SentinelHubSession
from sentinelhub import SHConfig as HubConfig
from sentinelhub.download.models import DownloadRequest
from sentinelhub.download.rate_limit import SentinelHubRateLimit
from sentinelhub.exceptions import DownloadFailedException, OutOfRequestsException, SHRateLimitWarning
from urllib3.util import Retry

from plumewatch.catalogues.processing_units import UnitsLedger, account_name, next_month
from plumewatch.errors import (
    ConfigurationError,
    InputError,
    PlumewatchError,
    QuotaUsedUp,
    ServiceError,
    reading,
    redact,
)
from plumewatch.geodesy import split_at_180
from plumewatch.http import MAX_MESSAGE, PatientAdapter, no_answer
from plumewatch.keys import is_file_name
from plumewatch.missing_settings import missing_hub_account
from plumewatch.rasters.access import AS_IS, Access
from plumewatch.settings import Settings

MAIN_URL = "https://services.sentinel-hub.com"
COPERNICUS_URL = "https://sh.dataspace.copernicus.eu"
TOKEN_URLS = {
    MAIN_URL: f"{MAIN_URL}/auth/realms/main/protocol/openid-connect/token",
    COPERNICUS_URL: "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token",
}
"""Where the tokens of the two services come from."""
COLLECTION = "sentinel-2-l2a"
TIMEOUT_S = (10.0, 120.0)  # to connect, between two pieces of an answer: a request of 2500 x 2500 px takes its time
RATE_LIMIT_TRIES = 5  # so often a request that comes too early is sent in all
LONGEST_PAUSE_S = 60.0  # the limits are by the minute; one that asks for more is left to the task's own retries
PAUSE_S = 5.0  # where a service that is asked too often names none
RETRIED_STATUS = (500, 502, 503, 504)  # of those of `http` all but 429, whose Retry-After is in milliseconds here
SPENT_HEADER = "X-ProcessingUnits-Spent"
QUOTA_CODE, QUOTA_TEXT = "INSUFFICIENT_PROCESSING_UNITS", "nsufficient processing units"
"""By these the service's 403 for a month that is used up is known from one for want of a permission."""
PRODUCT_SUFFIX = ".SAFE"  # the Copernicus Data Space ends its ids by it
ITEM = "an item of Sentinel Hub's Catalog"

log = logging.getLogger(__name__)
warnings.simplefilter("ignore", SHRateLimitWarning)  # `_BoundedRateLimit` tells of it


class SentinelHub:
    """The collection sentinel-2-l2a of one account, for one area; belongs to one thread."""

    access: Access = AS_IS  # it has no files to open: its pixels are made by the Process API

    def __init__(self, settings: Settings, area: str, retries: int | None = None) -> None:
        """`retries`: fewer than usual of what a busy service refuses.

        Raises ConfigurationError where there is no account, or nobody says where its tokens come from."""
        self.config = _config(settings)
        self.area = area
        account = account_name(self.url, self.config.sh_client_id)
        self.ledger = UnitsLedger(settings.storage_root, account, settings.sh_monthly_units)
        self.client = HubClient(self.config, retries)
        # By its own URL too: that of a collection goes before the configuration's.
        self.data_collection = DataCollection.SENTINEL2_L2A.define_from(f"plumewatch {self.url}", service_url=self.url)
        self._catalog = SentinelHubCatalog(config=self.config)
        self._catalog.client = self.client

    @property
    def url(self) -> str:
        """The service."""
        return str(self.config.sh_base_url)

    @property
    def collection(self) -> str:
        """Its collection of surface reflectance."""
        return COLLECTION

    def check_account(self) -> None:
        """Ask what the collection is, for nothing: the account and the service go together, or one of them says why.

        Raises ServiceError, QuotaUsedUp, InputError where they don't.
        """
        with asking(self.url, "a Catalog API"):
            self._catalog.get_collection(self.data_collection)

    def search_items(self, geometry: Any, start: date, end: date) -> Iterator[dict[str, Any]]:
        """Yield the items that meet a geometry (shapely, WGS 84) from `start` to `end`, both included (UTC).

        What the search has cost is noted in the ledger. Raises ServiceError, QuotaUsedUp where the month is used up,
        and InputError where the answer isn't a Catalog's.
        """
        place = Geometry(split_at_180(geometry), CRS.WGS84)
        times = (f"{start.isoformat()}T00:00:00Z", f"{end.isoformat()}T23:59:59Z")
        before = self.client.spent_units, self.client.n_requests
        try:
            with asking(self.url, "a Catalog API"):
                for item in self._catalog.search(self.data_collection, geometry=place, time=times):
                    if not isinstance(item, dict):
                        raise InputError(redact(self.url), f"an item that is a {type(item).__name__}", "a Catalog API")
                    yield with_product_name(item)
        finally:
            spent, n_requests = self.client.spent_units - before[0], self.client.n_requests - before[1]
            if spent:
                self.ledger.note(self.area, "search", spent, n_requests)

    def item_href(self, item: dict[str, Any]) -> str:
        """Return where an item is kept."""
        return f"{self._catalog.service_url}/collections/{self.collection}/items/{item.get('id')}"

    def read_item(self, href: str) -> pystac.Item:
        """Return the item at `href`: of it the id is asked for, of this account's service.

        Raises ServiceError, QuotaUsedUp and InputError as `search_items` does.
        """
        item_id = href.rstrip("/").rsplit("/", 1)[-1]
        if not is_file_name(item_id):
            raise InputError(redact(href), f"id {item_id!r}", "an id that files can be named by")
        with asking(self.url, ITEM):
            content = self._catalog.get_feature(self.data_collection, item_id)
        with reading(redact(href), ITEM, "not a STAC item"):
            return pystac.Item.from_dict(with_product_name(content), href=self.item_href(content), migrate=False)


def with_product_name(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item whose properties hold the product's name, which this Catalog uses as id.

    From it everybody reads tile and relative orbit, and here the processing baseline, which the Catalog doesn't state.
    """
    name = str(item.get("id")).removesuffix(PRODUCT_SUFFIX)
    properties = {"s2:product_uri": f"{name}{PRODUCT_SUFFIX}", **(item.get("properties") or {})}
    if baseline := re.search(r"_N(\d\d)(\d\d)_", name):
        properties.setdefault("s2:processing_baseline", f"{baseline[1]}.{baseline[2]}")
    return {**item, "properties": properties}


def token_url(settings: Settings) -> str:
    """Return where tokens come from. Raises ConfigurationError where nobody says it."""
    base_url = settings.sh_base_url.rstrip("/")
    if found := settings.sh_token_url or TOKEN_URLS.get(base_url):
        return found
    raise ConfigurationError(
        f"SH_BASE_URL={redact(base_url)}: set SH_TOKEN_URL too; known without: {', '.join(TOKEN_URLS)}"
    )


def _config(settings: Settings) -> HubConfig:
    """The client's configuration; by its defaults, as it would else write a file into the home folder."""
    if reason := missing_hub_account(settings):
        raise ConfigurationError(reason)
    return HubConfig(
        use_defaults=True,
        sh_client_id=settings.sh_client_id,
        sh_client_secret=settings.sh_client_secret,
        sh_base_url=settings.sh_base_url.rstrip("/"),
        sh_token_url=token_url(settings),
        max_retries=RATE_LIMIT_TRIES,
        max_download_attempts=1,  # our own session has tried again by then
    )


class HubClient(SentinelHubDownloadClient):
    """The client of sentinelhub-py with the project's patience; counts what is spent."""

    _sessions: ClassVar[dict[tuple[str, str, str], SentinelHubSession]] = {}
    _sessions_lock: ClassVar[Lock] = Lock()

    def __init__(self, config: HubConfig, retries: int | None = None) -> None:
        super().__init__(config=config, default_retry_time=PAUSE_S)
        self.rate_limit = _BoundedRateLimit()
        self.spent_units, self.n_requests = 0.0, 0
        self._retries = retries
        self._http = _http_session(retries)

    def get_session(self) -> SentinelHubSession:
        """Return the one session of this account in this process."""
        key = (self.config.sh_token_url, self.config.sh_client_id, self.config.sh_client_secret)
        with self._sessions_lock:
            if key not in self._sessions:
                self._sessions[key] = HubSession(self.config, self._retries)
            return self._sessions[key]

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        answer = self._send(request)
        if answer.status_code == requests.codes.unauthorized and request.use_session:
            self._sessions.clear()  # the token was withdrawn before its time; a new one, once
            answer = self._send(request)
        return answer

    def _send(self, request: DownloadRequest) -> requests.Response:
        answer = self._http.request(
            request.request_type.value,
            str(request.url),
            json=request.post_values,
            headers=self._prepare_headers(request),
            timeout=TIMEOUT_S,
        )
        self.n_requests += 1
        self.spent_units += _number(answer.headers.get(SPENT_HEADER))
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


class _HubAdapter(PatientAdapter):
    """Repeats what a service that has trouble refuses, but not what comes too early: the client waits for that."""

    @staticmethod
    def _patience(retries: int | None) -> Any:
        patience: Retry = PatientAdapter._patience(retries)
        return patience.new(status_forcelist=RETRIED_STATUS, respect_retry_after_header=False)


class _BoundedRateLimit(SentinelHubRateLimit):
    """Waits as long as the service asks for (milliseconds), and not at all where that is too long for a task."""

    def update(self, headers: dict[str, Any], *, default: float) -> None:
        """Heed the pause that an answer of status 429 asks for."""
        try:
            pause_s = float(headers.get(self.RETRY_HEADER, default)) / 1000.0
        except ValueError:
            pause_s = default / 1000.0
        if not pause_s <= LONGEST_PAUSE_S:
            raise OutOfRequestsException(f"it asks for a pause of {pause_s:.0f} s, allowed: {LONGEST_PAUSE_S:.0f} s")
        log.info("Sentinel Hub asks for a pause of %.1f s", pause_s)
        self.next_download_time = max(time.monotonic() + pause_s, self.next_download_time)


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


def _number(text: str | None) -> float:
    try:
        return max(float(text or 0.0), 0.0)
    except ValueError:
        return 0.0


def time_range(observed_at: datetime, margin_s: float) -> tuple[datetime, datetime]:
    """Return the whole seconds around a time by which the service is asked for just that acquisition."""
    whole = observed_at.replace(microsecond=0)
    later = whole if whole == observed_at else whole + timedelta(seconds=1)
    return whole - timedelta(seconds=margin_s), later + timedelta(seconds=margin_s)
