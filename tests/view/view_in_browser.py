"""What the tests in a browser share: how somebody logs in to Airflow, and whom a page has asked."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests
from chromium import Tab

FRAME = "document.querySelector('iframe').contentDocument"
ENTRY = "document.querySelector('a[href=\"/plugin/emissions\"]')"


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/api/v2/version", timeout=5).ok
    except requests.ConnectionError:
        return False


def log_in(tab: Tab, url: str, user: str) -> None:
    """By the form that a person fills."""
    tab.resize(1300, 800)
    tab.go(url)
    tab.wait("document.querySelector('input[type=password]')")
    for name, text in (("username", user), ("password", f"{user} pw")):
        tab.run(f"document.querySelector('input[name={name}]').focus()")
        tab.type(text)
    tab.wait("!document.querySelector('button[type=submit]').disabled")
    tab.run("document.querySelector('button[type=submit]').click()")
    tab.wait(ENTRY)
    tab.errors.clear()  # before the login Airflow's own page asks what it may not know


def hosts(tab: Tab) -> set[str | None]:
    """Whom the page has asked for anything."""
    return {urlsplit(one).hostname for one in tab.requested if one.startswith("http")}
