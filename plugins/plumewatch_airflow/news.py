"""What is told beside failures: detections that are news, and where nothing comes any more. Each is told once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from plumewatch import storage
from plumewatch.gases import CH4, CO2, DETECTION, Gas
from plumewatch.news import News, find_news
from plumewatch.settings import Settings
from plumewatch.silence import silent_areas, silent_months
from plumewatch.told import note_told, read_told

from plumewatch_airflow.channels import LOG, Picture, deliver
from plumewatch_airflow.connections import load_settings

LINES_SHOWN, PICTURES_SHOWN = 20, 3  # of one alert
MAX_PICTURE_BYTES = 1_000_000  # what mail servers and webhooks take three of
STUCK_AFTER = timedelta(hours=20)  # this is asked once a day
NEWS, SILENCE = "news", "silence"
INGESTS = {CH4.name: "sentinel2_daily_ingest", CO2.name: "oco2_monthly_extraction"}

log = logging.getLogger("plumewatch.task")


@dataclass(frozen=True)
class Message:
    """An alert that isn't of a failure: a title, some lines, and pictures."""

    title: str
    """One line."""
    lines: Sequence[str]
    """The first LINES_SHOWN of them are sent."""
    pictures: Sequence[Picture] = ()
    """What is shown beside it."""
    level: int = logging.INFO
    """Of the log."""

    @property
    def text(self) -> str:
        """The title and the lines."""
        left = len(self.lines) - LINES_SHOWN
        more = [f"- and {left} more"] if left > 0 else []
        return "\n".join([self.title, *(f"- {line}" for line in self.lines[:LINES_SHOWN]), *more])


def tell_news(gas: Gas, key: str, map_path: str) -> int:
    """Tell the channels of the detections of a key that are news by the settings, and return how many those are.

    What a channel was told of isn't told to it again, so that a run that is tried again, or made again, is no news.
    Raises a channel's error after all have been tried.
    """
    settings = load_settings()
    if not settings.news:
        return 0
    least = settings.news_ch4_kg_h if gas is CH4 else settings.news_co2_kt_h
    since = datetime.now(UTC) - timedelta(days=settings.news_days)
    found = find_news(settings.storage_root, gas, key, settings.news, least, since)
    by_id = {news.detection_id: news for news in found}

    def message(ids: Sequence[str]) -> Message:
        some = [by_id[one] for one in ids]
        are = f"{gas.noun} of {key} is" if len(some) == 1 else f"{gas.noun}s of {key} are"
        title = f"Plumewatch: {len(some)} {are} news"
        return Message(title, [*(news.line(gas) for news in some), f"map: {map_path}"], _pictures(some))

    _tell_once((NEWS, gas.name, key), list(by_id), message, settings)
    return len(found)


def tell_silence(is_paused: Callable[[str], bool], unended: Callable[[str], int], ended: Callable[[str], int]) -> int:
    """Tell the channels where nothing comes any more, and return how many places and runs that is.

    `is_paused` says whether a DAG is; of one that is nothing is expected. `unended` counts a DAG's runs that wait or
    are at work, `ended` the others. What was told is told again only when it has healed in between.
    """
    settings, today = load_settings(), datetime.now(UTC).date()
    root, silent = settings.storage_root, dict[str, str]()
    if not is_paused(INGESTS[CH4.name]):
        areas = silent_areas(root, _area_names(settings), round(settings.silent_days), today)
        silent |= {f"area {name}": why for name, why in areas.items()}
    if not is_paused(INGESTS[CO2.name]):
        silent |= {f"month {month}": why for month, why in silent_months(root, today).items()}
    silent |= _stuck(root, unended, ended)

    def message(names: Sequence[str]) -> Message:
        title = f"Plumewatch: silence of {len(names)}, {today}"
        return Message(title, [f"{name}: {silent[name]}" for name in names], level=logging.ERROR)

    _tell_once((SILENCE,), list(silent), message, settings)
    return len(silent)


def _stuck(root: str, unended: Callable[[str], int], ended: Callable[[str], int]) -> dict[str, str]:
    """DAGs with runs that have not ended, and of which none has for a day: backfills that are stuck."""
    before, now = read_told(root, "waiting_runs"), datetime.now(UTC)
    stuck, noted = dict[str, str](), dict[str, Any]()
    for dag_id in (*INGESTS.values(), *DETECTION.values()):
        n, n_ended, was = unended(dag_id), ended(dag_id), before.get(dag_id, {})
        since = datetime.fromisoformat(was["since"]) if n and was.get("ended") == n_ended else now
        noted[dag_id] = {"ended": n_ended, "since": since.isoformat(timespec="seconds")}
        if now - since >= STUCK_AFTER:
            stuck[f"runs of {dag_id}"] = f"{n} wait or run, none has ended since {since:%Y-%m-%d %H:%M} UTC"
    note_told(root, "waiting_runs", told=noted)
    return stuck


def _tell_once(
    subject: tuple[str, ...], ids: Sequence[str], message: Callable[[Sequence[str]], Message], settings: Settings
) -> None:
    """Send each channel what it wasn't told of yet, note what it was, and raise the first error at the end."""
    told: dict[str, list[str]] = read_told(settings.storage_root, *subject)
    errors: dict[str, Exception] = {}
    for channel in dict.fromkeys((LOG, *settings.alerts)):
        new = [one for one in ids if one not in told.get(channel, ())]
        failed = deliver(message(new), [channel], settings) if new else {}
        errors |= failed
        told[channel] = [one for one in ids if one in told.get(channel, ()) or (one in new and not failed)]
    note_told(settings.storage_root, *subject, told=told)
    if errors:
        raise next(iter(errors.values()))


def _pictures(found: Sequence[News]) -> list[Picture]:
    pictures: list[Picture] = []
    for news in found:
        if len(pictures) < PICTURES_SHOWN and storage.exists(news.picture):
            png = storage.read_bytes(news.picture)
            if len(png) <= MAX_PICTURE_BYTES:
                pictures.append(Picture(f"{news.detection_id}.png", png))
    return pictures


def _area_names(settings: Settings) -> list[str]:
    from plumewatch.areas import log_unreadable, read_areas

    return [area.name for area in read_areas(*settings.area_folders, on_failure=log_unreadable)]
