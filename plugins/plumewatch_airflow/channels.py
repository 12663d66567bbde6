"""Where alerts go: the channels of PLUMEWATCH_ALERTS; the log always has them.

A channel is a function from (alert, settings) to None in CHANNELS; another one is one function and one entry.
"""

from __future__ import annotations

import base64
import html
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from airflow.sdk import BaseNotifier
from plumewatch.errors import ConfigurationError, ServiceError
from plumewatch.http import TIMEOUT_S, http_session
from plumewatch.settings import Settings

from plumewatch_airflow.connections import load_settings

LOG = "log"
SLACK_CONNECTION = "slack_default"
SNS_SUBJECT = 100  # characters at most (Amazon SNS, Publish)

log = logging.getLogger("plumewatch.alert")


@dataclass(frozen=True)
class Picture:
    """A picture that goes with an alert."""

    name: str
    """What its file is called."""
    png: bytes


class Alert(Protocol):
    """What a channel sends."""

    @property
    def title(self) -> str:
        """One line."""
        ...

    @property
    def text(self) -> str:
        """All of it."""
        ...

    @property
    def level(self) -> int:
        """Of the log: an error, or news."""
        ...

    @property
    def pictures(self) -> Sequence[Picture]:
        """What is shown beside it, by channels that can."""
        ...


def to_log(alert: Alert, settings: Settings) -> None:
    """The task's own log."""
    log.log(alert.level, "%s %s", "ALERT" if alert.level >= logging.ERROR else "NEWS", alert.text)


def to_smtp(alert: Alert, settings: Settings) -> None:
    """E-mail by the connection smtp_default, with the pictures attached."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    with _as_files(alert.pictures) as files:
        SmtpNotifier(
            to=_recipient("smtp", settings),
            subject=alert.title,
            html_content=f"<pre>{html.escape(alert.text)}</pre>",
            files=[str(file) for file in files],
        ).notify({})


def to_slack(alert: Alert, settings: Settings) -> None:
    """A channel of the workspace of slack_default; pictures follow as files, where the recipient is a channel's id."""
    from airflow.providers.slack.hooks.slack import SlackHook
    from airflow.providers.slack.notifications.slack import SlackNotifier

    channel = _recipient("slack", settings)
    SlackNotifier(slack_conn_id=SLACK_CONNECTION, text=alert.text, channel=channel).notify({})
    with _as_files(alert.pictures) as files:
        uploads: Any = [{"file": str(file), "filename": file.name} for file in files]
        if uploads:
            SlackHook(slack_conn_id=SLACK_CONNECTION).send_file_v2(channel_id=channel, file_uploads=uploads)


def to_sns(alert: Alert, settings: Settings) -> None:
    """A topic of Amazon SNS by aws_default, which has no room for pictures."""
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    topic, subject = _recipient("sns", settings), alert.title[:SNS_SUBJECT]
    SnsNotifier(target_arn=topic, message=alert.text, subject=subject).notify({})


def to_webhook(alert: Alert, settings: Settings) -> None:
    """A POST of JSON with `title`, `text` and, where there are some, `pictures` (`name`, `png_base64`)."""
    import requests

    url = _recipient("webhook", settings)
    body: dict[str, Any] = {"title": alert.title, "text": alert.text}
    if alert.pictures:
        body["pictures"] = [{"name": p.name, "png_base64": base64.b64encode(p.png).decode()} for p in alert.pictures]
    try:
        with http_session() as session:
            answer = session.post(url, json=body, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise ServiceError(f"webhook: {type(error).__name__}") from None  # its text holds the URL, which is a secret
    if not answer.ok:
        raise ServiceError(f"webhook: HTTP {answer.status_code}", answer.status_code)


@contextmanager
def _as_files(pictures: Sequence[Picture]) -> Iterator[list[Path]]:
    """Pictures as files that are gone afterwards: what mails and uploads take."""
    with tempfile.TemporaryDirectory(prefix="plumewatch-") as folder:
        files = [Path(folder) / picture.name for picture in pictures]
        for file, picture in zip(files, pictures, strict=True):
            file.write_bytes(picture.png)
        yield files


CHANNELS: dict[str, Callable[[Alert, Settings], None]] = {
    LOG: to_log,
    "smtp": to_smtp,
    "slack": to_slack,
    "sns": to_sns,
    "webhook": to_webhook,
}


class AlertNotifier(BaseNotifier):
    """Sends an alert to the log and to every channel of the settings; one that fails keeps no other from sending."""

    template_fields = ()

    def __init__(self, alert: Alert) -> None:
        super().__init__()
        self.alert = alert

    def notify(self, context: Any) -> None:
        """Send; raises the first channel's error after all have been tried."""
        settings = load_settings()
        if errors := deliver(self.alert, (LOG, *settings.alerts), settings):
            raise next(iter(errors.values()))


def deliver(alert: Alert, channels: Iterable[str], settings: Settings) -> dict[str, Exception]:
    """Send an alert to each of the channels, once; return the errors of those that failed, which the log names."""
    errors: dict[str, Exception] = {}
    for channel in dict.fromkeys(channels):
        try:
            CHANNELS[channel](alert, settings)
        except Exception as error:  # noqa: BLE001 - whatever a channel raises, the others must still be tried
            log.error("alert channel %s failed: %s: %s", channel, type(error).__name__, error)
            errors[channel] = error
    return errors


def _recipient(channel: str, settings: Settings) -> str:
    if not settings.alert_to:
        raise ConfigurationError(f"PLUMEWATCH_ALERTS has {channel} but PLUMEWATCH_ALERT_TO is empty")
    return settings.alert_to
