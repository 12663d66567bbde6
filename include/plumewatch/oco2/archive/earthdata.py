"""The HTTP session with which NASA's archives are asked: patient, and careful with the account's token."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from plumewatch.errors import ConfigurationError
from plumewatch.http import make_patient

TRUSTED_DOMAIN = "nasa.gov"
MOST_BYTES = 1 << 31  # of a file of which nobody states the size; Lite files have some 60 MB


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
        make_patient(self, retries, most_bytes=MOST_BYTES)

    def is_trusted(self, url: str) -> bool:
        """Whether the token may be sent to this address."""
        scheme, host, _ = origin = _origin(url)
        is_nasa = host == TRUSTED_DOMAIN or host.endswith(f".{TRUSTED_DOMAIN}")
        return origin == self._trusted or (scheme == "https" and is_nasa)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Decide anew at each redirect who sees the token."""
        prepared_request.headers.pop("Authorization", None)
        self._with_token(prepared_request)

    def _with_token(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token and request.url and self.is_trusted(request.url):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port
