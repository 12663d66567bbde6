"""Planetary Computer: its STAC API is open, its rasters want a signature that holds for a limited time.

Source: https://planetarycomputer.microsoft.com/docs/concepts/sas/, and Microsoft's package planetary-computer.
"""

from __future__ import annotations

import json
import re
from datetime import UTC
from threading import Lock
from typing import TYPE_CHECKING

from plumewatch.errors import ServiceError, redact
from plumewatch.http import download_existing, http_session
from plumewatch.rasters.access import Access
from plumewatch.rasters.reading import SIGNED

if TYPE_CHECKING:
    from planetary_computer.sas import SASToken

HOST = "planetarycomputer.microsoft.com"
REQUESTS_PER_S = 10.0
"""At its STAC API, which has shut out who searched too much (issue 427 of microsoft/PlanetaryComputer)."""
BLOB = re.compile(r"^https?://(?P<account>[^./?]+)\.blob\.core\.windows\.net(?::\d+)?/(?P<container>[^/?]+)/", re.I)
KEY_HEADER = "Ocp-Apim-Subscription-Key"
REFUSED = (401, 403)
LEAST_S = 60.0  # a signature that holds for less is replaced before the reading, as planetary-computer does


class SignedAccess(Access):
    """Signs addresses of Azure's blob storage just before they are read, with a token for each container."""

    def __init__(self, sas_url: str, subscription_key: str | None = None) -> None:
        """`sas_url` gives the tokens (PC_SDK_SAS_URL); with a key (PC_SDK_SUBSCRIPTION_KEY) it gives more of them."""
        self._sas_url, self._key = sas_url.rstrip("/"), subscription_key
        self._tokens: dict[str, SASToken] = {}
        self._lock = Lock()  # bands are read side by side, and ask for one token

    def signed(self, href: str) -> str:
        """Return the address with a signature that holds for a minute at least; what is no blob, or signed, as it is.

        Raises ServiceError where the service gives none.
        """
        url = self._token_url(href)
        if url is None:
            return href
        with self._lock:
            token = self._tokens.get(url)
            if token is None or token.ttl() < LEAST_S:
                token = self._tokens[url] = self._ask(url)
        return f"{href}{'&' if '?' in href else '?'}{token.token}"

    def renew(self, href: str, refused: str) -> bool:
        """Forget the container's token, unless there is a newer one: bands are read side by side."""
        url = self._token_url(href)
        with self._lock:
            if url in self._tokens and refused.endswith(self._tokens[url].token):
                del self._tokens[url]
        return url is not None

    def _token_url(self, href: str) -> str | None:
        blob = None if SIGNED.search(href) else BLOB.match(href)
        return f"{self._sas_url}/{blob['account']}/{blob['container']}" if blob else None

    def _ask(self, url: str) -> SASToken:
        from planetary_computer.sas import SASToken  # takes as long to import as all else that a search needs

        with http_session() as session:
            session.headers.update({KEY_HEADER: self._key} if self._key else {})
            try:
                content = download_existing(session, url)
            except ServiceError as error:
                if self._key and error.http_status in REFUSED:
                    raise ServiceError(f"{error}: PC_SDK_SUBSCRIPTION_KEY isn't accepted", error.http_status) from error
                raise
        try:
            token = SASToken(**json.loads(content))
        except (ValueError, TypeError, RecursionError):  # pydantic's too, which quotes the token
            raise ServiceError(f"{redact(url)}: an answer that is no token for signatures") from None
        token.expiry = token.expiry if token.expiry.tzinfo else token.expiry.replace(tzinfo=UTC)
        return token
