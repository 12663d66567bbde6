"""Wind that comes after its day was ingested: it is fetched once it is there, and the day gets its rates then."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

from plumewatch import storage
from plumewatch.areas import log_unreadable, read_areas
from plumewatch.gases import CH4
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.sentinel2.completeness.late_scenes import LateScenes
from plumewatch.settings import Settings
from plumewatch.statuses import SEARCHED
from plumewatch.tables import OBSERVATIONS
from plumewatch.wind.product import NoWindYet, WindRequest, requests_of_day
from plumewatch.wind.providers import fetch_wind, missing_wind

Place = tuple[str, str]
"""Day and area."""

log = logging.getLogger(__name__)


def find_late_wind(
    settings: Settings, key: str, names: Sequence[str], look_back_days: int, late: LateScenes
) -> list[str]:
    """Bring the wind that searched days lacked, and add those that have it now to `late.days`, to be ingested again.

    Looked at are `look_back_days` days up to `key`, which is included, of the areas called `names`, of all where empty.
    Returns the days. What a product can't answer is added to `late.search.failed`; that it has no wind yet isn't.
    """
    wanted = _of_searched_places(settings, key, names, look_back_days)
    lacking = set(missing_wind(settings, list(wanted.values())))
    waiting = {place: request for place, request in wanted.items() if request in lacking}
    by_day = [(day, list(places)) for day, places in groupby(sorted(waiting), key=lambda place: place[0])]
    for _, places in followed(by_day, "wind that days lack", "days"):
        failures: list[FailedScene] = []
        fetch_wind(settings, [waiting[place] for place in places], failures.append)
        told = [(key, failure) for failure in failures if failure.error_class != NoWindYet.__name__]
        late.search.failed += told
        if any(failure.is_retryable for _, failure in told):
            log.warning("wind of later days isn't asked for in this run: a service doesn't answer")
            break
    left = set(missing_wind(settings, list(waiting.values())))
    came = sorted(place for place, request in waiting.items() if request not in left)
    for day, area in came:
        late.days.setdefault(day, set()).add(area)
    return sorted({day for day, _ in came})


def _of_searched_places(
    settings: Settings, key: str, names: Sequence[str], look_back_days: int
) -> dict[Place, WindRequest]:
    """The wind of each day and area that was searched for plumes."""
    days = {str(date.fromisoformat(key) - timedelta(days=n)) for n in range(look_back_days + 1)}
    root, where = settings.table_root(OBSERVATIONS.name), {"gas": CH4.name, "key": days}
    rows = storage.read_table(OBSERVATIONS, root, ["key", "area", "outcome"], where=where).to_pylist()
    areas = {area.name: area for area in read_areas(*settings.area_folders, on_failure=log_unreadable)}
    found = {}
    for day, name in sorted({(row["key"], row["area"]) for row in rows if row["outcome"] == SEARCHED}):
        if name in areas and (not names or name in names):
            [found[day, name]] = requests_of_day(date.fromisoformat(day), [areas[name].geometry.bounds])
    return found
