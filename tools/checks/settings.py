"""The settings themselves: values that can't be read, names that nothing knows, and who is told of failures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from plumewatch.errors import redact
from plumewatch.settings import OTHER_NAMES, Settings, environment_name, read_dotenv

from tools.checkout import CHECKOUT
from tools.checks.finding import Finding, ok, problem
from tools.processes import MARK

OURS = "PLUMEWATCH_"
KNOWN = [*(environment_name(field.name) for field in fields(Settings)), *OTHER_NAMES.values()]
NO_SETTINGS = ("PLUMEWATCH_TEST_DATA", "PLUMEWATCH_UI_PASSWORD", "PLUMEWATCH_IMAGE", MARK)
"""What the tests, the compose files and the supervisor use."""
LIKE_OURS, LIKE_ANOTHER = 0.6, 0.85
"""How alike (difflib's ratio) a name behind the prefix, or a name without it, is to the setting that is meant."""
CHANNEL_CONNECTIONS = {"smtp": "smtp_default", "sns": "aws_default", "slack": "slack_default"}


def check_values() -> tuple[Settings, list[Finding]]:
    """The settings as far as they can be read, and each value that can't be."""
    findings: list[Finding] = []
    settings = Settings.load(lambda e: findings.append(problem("settings", f"{e} (below, the default stands for it)")))
    return settings, findings


def check_names() -> Iterator[Finding]:
    """Names in the environment and in `.env` that look like settings and are none."""
    in_file = read_dotenv(CHECKOUT / ".env", on_problem=lambda _: None)  # `check_values` tells of them
    found = {**in_file, **os.environ}
    for name in sorted(found.keys() - {*KNOWN, *NO_SETTINGS}):
        meant = nearest_setting(name)
        if meant or name.upper().startswith(OURS):
            where = ".env" if name in in_file else "the environment"
            hint = f"is {meant} meant?" if meant else ".env.example lists those that there are"
            # Nothing else stops a run that would go to the default, an empty storage for instance.
            is_fatal = meant is not None and not found.get(meant)
            yield problem("settings", f"{name} of {where} is no setting, and has no effect; {hint}", is_fatal=is_fatal)


def say_unknown_names() -> None:
    """Print what `check_names` finds: for commands that work all the same."""
    for finding in check_names():
        print(finding, flush=True)


def nearest_setting(name: str) -> str | None:
    """Return the setting that a name is likely to stand for; None where it is like none.

    >>> nearest_setting("PLUMEWATCH_STORAGE_ROTT"), nearest_setting("PLUMWATCH_WIND"), nearest_setting("PLUMEWATCH_X")
    ('PLUMEWATCH_STORAGE_ROOT', 'PLUMEWATCH_WIND', None)
    """
    upper = name.upper()
    if upper.startswith(OURS):
        near = get_close_matches(upper.removeprefix(OURS), [k.removeprefix(OURS) for k in KNOWN], 1, LIKE_OURS)
        return next((known for known in KNOWN if near and known.removeprefix(OURS) == near[0]), None)
    return next(iter(get_close_matches(upper, KNOWN, 1, LIKE_ANOTHER)), None)


def check_alerts(settings: Settings) -> Iterator[Finding]:
    """Each alert channel; nothing is sent."""
    for channel in settings.alerts:
        connection = CHANNEL_CONNECTIONS.get(channel)
        if channel == "log":
            yield ok("alerts", "log: in the log of each run's report_failures")
        elif not settings.alert_to:
            yield problem("alerts", f"{channel}: PLUMEWATCH_ALERT_TO is not set; set the recipient")
        else:
            needs = f", by Airflow's connection {connection} (not looked at here)" if connection else ""
            yield ok("alerts", f"{channel}: to {redact(settings.alert_to)}{needs}")
