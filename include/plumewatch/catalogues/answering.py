"""Whether a catalogue answers at all: for whoever asks what a search would find, and wants to know now."""

from __future__ import annotations

import requests

from plumewatch.catalogues.odata import is_odata
from plumewatch.http import http_session

TIMEOUT_S = (5.0, 10.0)
"""To connect, to answer."""


def why_unreachable(url: str) -> str | None:
    """Return why a STAC API doesn't answer, None where it does."""
    try:
        with http_session(retries=0) as session:
            asked = f"{url.rstrip('/').removesuffix('/Products')}/Products?$top=1" if is_odata(url) else url
            answer = session.get(asked, timeout=TIMEOUT_S)
        if answer.status_code != requests.codes.ok:
            return f"HTTP {answer.status_code}"
        if is_odata(url):
            return None if "value" in answer.json() else "an answer that isn't OData"
        return None if "stac_version" in answer.json() else "an answer that isn't STAC"
    except requests.JSONDecodeError:
        return "an answer that isn't JSON"
    except requests.RequestException as error:
        return f"cannot be reached ({type(error).__name__})"
