"""The HTTP session with which NASA's archives are asked: patient, and careful with the account's token."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from plumewatch.errors import ConfigurationError, ServiceError, redact

TRUSTED_DOMAIN = "nasa.gov"
TIMEOUT_S = (10.0, 60.0)  # to connect, to answer or to send the next bytes
RETRIES = 5  # with the backoff below: half a minute in all, what a restart of a service takes
BACKOFF_S = 1.0
RETRY_AFTER_MAX_S = 300  # a service that asks for more than that is left to the task's own retries
RETRIED_STATUS = (429, 500, 502, 503, 504)
MAX_MESSAGE = 500


class EarthdataSession(requests.Session):
    """A session that repeats what failed for a while, and shows a bearer token to NASA's hosts only.

    The token goes over HTTPS to nasa.gov and its subdomains, and to the origin `trusted_url` (scheme, host and port)
    where another catalogue than NASA's is set. Wherever a redirect leads else, signed addresses of a cloud store among
    them, it stays behind. Without a token requests are anonymous; ~/.netrc is never looked at.
    """

    def __init__(self, token: str | None = None, trusted_url: str | None = None, *, retries: int | None = None) -> None:
        super().__init__()
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigurationError("EARTHDATA_TOKEN: no token; allowed: one word of letters, digits and - . _")
        self._token, self._trusted = token, _origin(trusted_url) if trusted_url else None
        self.auth = self._with_token
        retry = Retry(
            total=RETRIES if retries is None else retries,
            backoff_factor=BACKOFF_S,
            status_forcelist=RETRIED_STATUS,
            raise_on_status=False,  # the last answer is wanted, not an exception that hides its status
            retry_after_max=RETRY_AFTER_MAX_S,
        )
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(max_retries=retry))

    def is_trusted(self, url: str) -> bool:
        """Whether the token may be sent to this address."""
        scheme, host, _ = origin = _origin(url)
        is_nasa = host == TRUSTED_DOMAIN or host.endswith(f".{TRUSTED_DOMAIN}")
        return origin == self._trusted or (scheme == "https" and is_nasa)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Decide anew at each redirect who sees the token."""
        prepared_request.headers.pop("Authorization", None)
        self._with_token(prepared_request)

    def ask(self, url: str, **arguments: Any) -> requests.Response:
        """GET an address; ServiceError where nobody answers. The status is the caller's to look at."""
        try:
            return self.get(url, timeout=TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            raise ServiceError(f"{redact(url)}: no answer: {redact(str(error))[:MAX_MESSAGE]}") from error

    def _with_token(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token and request.url and self.is_trusted(request.url):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port
