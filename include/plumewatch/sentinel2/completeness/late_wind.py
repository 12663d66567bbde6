"""Wind that comes after its day was searched: it is fetched once it is there, and the day gets its rates then.

A day lacks its wind where its observations have none. So it is found by the next look if a run died in between, and
also if somebody else brought the wind. What has been handed over with that wind isn't handed over with it again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.errors import PlumewatchError
from plumewatch.gases import CH4
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.sentinel2.completeness.late_scenes import FOLDER, LateScenes, remembered
from plumewatch.settings import Settings
from plumewatch.statuses import SEARCHED, WIND_STAGE
from plumewatch.tables import OBSERVATIONS, WIND
from plumewatch.wind.product import NoWindYet, WindRequest, requests_of_day
from plumewatch.wind.providers import fetch_wind, missing_wind

Requests = dict[str, WindRequest]
"""By area."""

log = logging.getLogger(__name__)


def find_late_wind(
    settings: Settings, key: str, names: Sequence[str], look_back_days: int, late: LateScenes
) -> list[str]:
    """Bring the wind that searched days lacked, and add those that have it now to `late`, to be ingested again.

    Looked at are `look_back_days` days up to `key`, which is included, of the areas called `names`, of all where empty.
    Returns the days. What goes wrong is added to `late.search.failed`; that a product has no wind yet isn't. After a
    service that doesn't answer the other days are left to the next look.
    """
    if not settings.wind:
        return []
    came: list[str] = []
    try:
        days = _without_wind(settings, key, names, look_back_days)
        for day, requests in followed(days, "wind that days lack", "days"):
            failures: list[FailedScene] = []
            if lacking := missing_wind(settings, list(requests.values())):
                fetch_wind(settings, lacking, failures.append)
                lacking = missing_wind(settings, lacking)
            if _hand_over(settings, late, day, [area for area, one in requests.items() if one not in lacking]):
                came.append(day)
            told = [failure for failure in failures if failure.error_class != NoWindYet.__name__]
            late.search.failed += [(key, failure) for failure in told]
            if any(failure.is_retryable for failure in told):
                log.warning("wind of other days isn't asked for in this run: a service doesn't answer")
                break
    except PlumewatchError as error:  # late scenes go on
        log.exception("wind that days lack")
        late.search.failed.append((key, FailedScene.from_exception(error, scene_id=WIND.name, stage=WIND_STAGE)))
    return came


def _hand_over(settings: Settings, late: LateScenes, day: str, areas: Sequence[str]) -> bool:
    """Add a day of areas that have its wind, unless they had the same at an earlier look; return whether any is new."""
    of_day = storage.list_partitions(WIND, settings.table_root(WIND.name), {"date": day})
    # A manifest that says the same isn't written anew when the day after it brings its first hour again.
    stored = str([str(storage.modified_at(storage.join(one.path, storage.MANIFEST))) for one in of_day])
    is_new = False
    for area in areas:
        path = storage.join(settings.storage_root, FOLDER, WIND.name, f"{area}.json")
        before = late.wind.get(path) or remembered(path)
        if before.get(day) != (day, stored):
            late.days.setdefault(day, set()).add(area)
            late.wind[path] = {**before, day: (day, stored)}
            is_new = True
    return is_new


def _without_wind(
    settings: Settings, key: str, names: Sequence[str], look_back_days: int
) -> list[tuple[str, Requests]]:
    """The wind of each day and area that was searched for plumes without one."""
    days = {str(date.fromisoformat(key) - timedelta(days=n)) for n in range(look_back_days + 1)}
    columns, where = ["key", "area", "outcome", "wind_speed_m_s"], {"gas": CH4.name, "key": days}
    rows = storage.read_table(OBSERVATIONS, settings.table_root(OBSERVATIONS.name), columns, where=where).to_pylist()
    areas = {area.name: area for area in read_areas(*settings.area_folders, on_failure=log_unreadable)}
    places = sorted({(r["key"], r["area"]) for r in rows if r["outcome"] == SEARCHED and r["wind_speed_m_s"] is None})
    return [
        (day, {name: requests_of_day(date.fromisoformat(day), [areas[name].geometry.bounds])[0] for _, name in of_day})
        for day, of_day in groupby(
            [(day, name) for day, name in places if name in areas and (not names or name in names)],
            key=lambda place: place[0],
        )
    ]
