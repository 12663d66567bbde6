"""Missing settings in a run: a line in the task's log each time, one alert, and a green run."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.told import forget_told, note_told, read_told

from plumewatch_airflow.alerts import Notice
from plumewatch_airflow.channels import AlertNotifier
from plumewatch_airflow.connections import load_settings

log = logging.getLogger("plumewatch.missing")


def tell_missing(setting: str, key: str, reason: str | None) -> bool:
    """Say in the log, and once by alert, that a setting is missing; return whether it is.

    `reason` says what is missing, what that costs and what to do; None: the setting is there. An alert that reaches not
    all channels is told again by the next run, and doesn't turn this one red. It is noted when it has been sent: two
    runs at once may both tell, and one that is killed in between leaves it to the next.
    """
    context, root = get_current_context(), load_settings().storage_root
    if reason is None:
        forget_told(root, setting)
        return False
    log.warning("MISSING %s: %s", setting, reason)
    notice = Notice(context["dag"].dag_id, context["run_id"], key, setting, reason)
    if not read_told(root, setting):
        try:
            AlertNotifier(notice).notify(context)
        except Exception:  # noqa: BLE001 - the notifier has said which channel failed, and why
            return True
        now = datetime.now(UTC).isoformat(timespec="seconds")
        note_told(root, setting, told={"at_utc": now, "run": notice.run_id, "text": notice.text})
    return True


def skip_without(setting: str, key: str, reason: str | None) -> None:
    """Skip the task where a setting is missing, as `tell_missing` tells; it stands inside `summarised`."""
    if tell_missing(setting, key, reason):
        raise AirflowSkipException(reason)
