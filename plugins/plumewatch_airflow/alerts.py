"""One digest of a run's failures, to the channels of PLUMEWATCH_ALERTS.

A channel is a function from (digest, settings) to None in CHANNELS; another one is one function and one entry.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseNotifier
from plumewatch.errors import ConfigurationError, ServiceError
from plumewatch.http import TIMEOUT_S, http_session
from plumewatch.settings import Settings

from plumewatch_airflow.connections import load_settings

log = logging.getLogger("plumewatch.alert")


@dataclass(frozen=True)
class Digest:
    """What an alert says."""

    dag_id: str
    """The DAG whose run has failures."""
    run_id: str
    """The run."""
    key: str
    """The partition key that the run was for."""
    failures: Sequence[dict[str, Any]]
    """Rows of failed_scenes."""
    failed_tasks: Sequence[str]
    """Tasks that failed for another reason than a scene."""

    @property
    def title(self) -> str:
        """One line: how much failed, and where."""
        failed = f"failed scenes: {len(self.failures)}, failed tasks: {len(self.failed_tasks)}"
        return f"Plumewatch: {self.dag_id} for {self.key}: {failed}"

    @property
    def text(self) -> str:
        """The title, then one line a failure."""
        lines = [
            f"- {f['area'] or '-'} {f['scene_id']} ({f['stage']}, attempt {f['attempts']}, "
            f"{'retryable' if f['is_retryable'] else 'final'}): {f['error_class']}: {f['message']}"
            for f in self.failures
        ]
        lines += [f"- task {task}: see its log" for task in self.failed_tasks]
        return "\n".join([f"{self.title} (run {self.run_id})", *lines])


def to_log(digest: Digest, settings: Settings) -> None:
    """The task's own log."""
    log.error("ALERT %s", digest.text)


def to_smtp(digest: Digest, settings: Settings) -> None:
    """E-mail by the connection smtp_default."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    SmtpNotifier(
        to=_recipient("smtp", settings), subject=digest.title, html_content=f"<pre>{html.escape(digest.text)}</pre>"
    ).notify({})


def to_slack(digest: Digest, settings: Settings) -> None:
    """A channel of the workspace of slack_default."""
    from airflow.providers.slack.notifications.slack import SlackNotifier

    SlackNotifier(text=digest.text, channel=_recipient("slack", settings)).notify({})


def to_sns(digest: Digest, settings: Settings) -> None:
    """A topic of Amazon SNS by aws_default."""
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    SnsNotifier(target_arn=_recipient("sns", settings), message=digest.text, subject=digest.title[:100]).notify({})


def to_webhook(digest: Digest, settings: Settings) -> None:
    """A POST of JSON with `title` and `text`."""
    import requests

    url = _recipient("webhook", settings)
    try:
        with http_session() as session:
            answer = session.post(url, json={"title": digest.title, "text": digest.text}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise ServiceError(f"webhook: {type(error).__name__}") from None  # its text holds the URL, which is a secret
    if not answer.ok:
        raise ServiceError(f"webhook: HTTP {answer.status_code}", answer.status_code)


CHANNELS: dict[str, Callable[[Digest, Settings], None]] = {
    "log": to_log,
    "smtp": to_smtp,
    "slack": to_slack,
    "sns": to_sns,
    "webhook": to_webhook,
}


class DigestNotifier(BaseNotifier):
    """Sends a digest to every channel of the settings; a channel that fails doesn't keep the others from sending."""

    template_fields = ()

    def __init__(self, digest: Digest) -> None:
        super().__init__()
        self.digest = digest

    def notify(self, context: Any) -> None:
        """Send; raises the first channel's error after all have been tried."""
        settings, errors = load_settings(), []
        for channel in settings.alerts:
            try:
                CHANNELS[channel](self.digest, settings)
            except Exception as error:  # noqa: BLE001 - whatever a channel raises, the others must still be tried
                log.error("alert channel %s failed: %s: %s", channel, type(error).__name__, error)
                errors.append(error)
        if errors:
            raise errors[0]


def _recipient(channel: str, settings: Settings) -> str:
    if not settings.alert_to:
        raise ConfigurationError(f"PLUMEWATCH_ALERTS has {channel} but PLUMEWATCH_ALERT_TO is empty")
    return settings.alert_to
