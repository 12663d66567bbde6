"""The wind of a month's peaks, brought into the storage: only around the peaks and only for their hours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from plumewatch import storage
from plumewatch.errors import PlumewatchError, redact
from plumewatch.failures import FailureBook, Row
from plumewatch.gases import SCAN
from plumewatch.models import FailedScene
from plumewatch.settings import Settings
from plumewatch.statuses import ACCEPTED, WIND_STAGE
from plumewatch.tables import PEAKS, WIND
from plumewatch.wind.product import WindRequest, requests_at
from plumewatch.wind.providers import fetch_wind

CANDIDATES = ".candidates"


@contextmanager
def candidates_folder(settings: Settings, key: str) -> Iterator[str]:
    """Yield a root for peaks that still lack their wind, which no reader of `peaks` may see; it goes afterwards."""
    folder = storage.join(settings.storage_root, CANDIDATES, key)
    try:
        yield storage.join(folder, PEAKS.name)
    finally:
        storage.delete(folder)


def fetch_peak_wind(
    settings: Settings, peaks_path: str, months: Collection[str], book: FailureBook, key: str
) -> tuple[int, int]:
    """Bring the wind around the accepted peaks of the months (YYYY-MM) into the table `wind`.

    `peaks_path` is the root of peaks that were found, without wind so far, in the form of the table `peaks`.

    What fails is a row of failed_scenes under `key` (stage `wind`), each source once; nothing is raised
    for a wind that can't be had: a peak takes the wind of its granule then. Returns how many partitions were written
    and how many sources failed.
    """
    failures: dict[str, FailedScene] = {}

    def note(failure: FailedScene) -> None:
        failures.setdefault(failure.scene_id, failure)

    written: list[str] = []
    try:
        written = fetch_wind(settings, requests_of_peaks(peaks_path, months), note)
    except (PlumewatchError, OSError) as error:
        note(FailedScene.from_exception(error, scene_id=redact(str(settings.wind)), stage=WIND_STAGE))
    stored = settings.table_root(WIND.name)

    def is_over(row: Row) -> bool:  # of the sources alone: what is stored the search for peaks reads
        return row["stage"] == WIND_STAGE and not (row["asset"] or "").startswith(stored)

    book.settle(key, list(failures.values()), is_over)
    return len(written), len(failures)


def requests_of_peaks(peaks_path: str, months: Collection[str]) -> list[WindRequest]:
    """Return a request for the place and time of each accepted peak of the months."""
    columns = ["longitude", "latitude", "observed_at_utc", "status"]
    where = {"method": SCAN, "month": months}
    peaks = storage.read_table(PEAKS, peaks_path, columns, where=where).to_pylist()
    accepted = [peak for peak in peaks if peak["status"] == ACCEPTED]
    return requests_at(*([peak[name] for peak in accepted] for name in columns[:3]))
