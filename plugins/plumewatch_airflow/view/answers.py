"""What every answer of the view says of itself, and how JSON and pages are given."""

from __future__ import annotations

import json
from typing import Any

from airflow.configuration import conf
from fastapi import Response

CSP = "Content-Security-Policy"
HEADERS = {
    CSP: "default-src 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
"""Of every answer; pages and files have their own instead of some."""


def json_answer(content: Any) -> Response:
    """Return plain values as JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, media_type="application/json")


def html_page(text: str) -> Response:
    """Return a page. It states its own policy, by which its program runs; who may frame it only a header can say."""
    return Response(text, media_type="text/html", headers={CSP: f"{policy_of(text)}; frame-ancestors 'self'"})


def of_installation(content: dict[str, Any]) -> dict[str, Any]:
    """Return a page's content with the name of the installation in its title, as Airflow's own pages have it."""
    name = conf.get("api", "instance_name", fallback="")
    return {**content, "title": f"{content['title']} · {name}" if name else content["title"]}


def policy_of(page_text: str) -> str:
    """Return the policy that a page states of itself."""
    return page_text.split('http-equiv="Content-Security-Policy" content="', 1)[1].split('"', 1)[0]
