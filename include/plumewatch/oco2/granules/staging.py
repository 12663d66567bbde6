"""The steps of the monthly extraction: what a run of a month does in each of its tasks."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.gases import CO2
from plumewatch.missing_settings import EARTHDATA_TOKEN, NO_TOKEN, missing_account
from plumewatch.models import FailedScene
from plumewatch.observations import write_observations
from plumewatch.oco2.archive.cmr import search_granules
from plumewatch.oco2.archive.download import download_granule
from plumewatch.oco2.archive.earthdata import EarthdataSession
from plumewatch.oco2.archive.listing import (
    GranuleRef,
    StatedContent,
    log_left_out,
    older_of_day,
    parse_granule,
    read_listing,
)
from plumewatch.oco2.granules.granule import check_granule
from plumewatch.settings import CMR, Settings
from plumewatch.statuses import FAILED, FETCH_STAGE, NO_INPUT, SEARCH_STAGE
from plumewatch.tables import OBSERVATIONS

GRANULES = "granules"
"""Folder below the storage root where granules wait for their extraction."""
DOWNLOADS = ".downloads"
"""Folder in it for what is still being downloaded."""
OWNER_ONLY = 0o700
"""Mode of that folder where others may write beside it."""
NO_ORBIT = 0
"""Stands in `observations` for what is of no orbit, as these begin at 1: a month without granules, a failed granule."""
NOTHING = {"orbit": NO_ORBIT, "outcome": NO_INPUT, "detected": False}
"""The observation of a month that has no input."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MonthListing:
    """What there is of a month, in the granules' folder or in the archive."""

    granules: Sequence[GranuleRef]
    """The newest of each sensor and day."""
    n_superseded: int
    """Older versions of those days."""
    refused: Sequence[FailedScene]
    """Files that look like granules and cannot serve."""

    @property
    def n_files(self) -> int:
        """Files that were looked at."""
        return len(self.granules) + self.n_superseded + len(self.refused)

    def raise_if_all_refused(self) -> None:
        """Raise NothingDone where there are files and none can be used: that must not look like an empty month."""
        if self.refused and not self.granules:
            raise NothingDone(self.refused)

    def scenes(self, month: str) -> list[dict[str, Any]]:
        """Return what the tasks of a run hand on, one a granule: ids, paths and what the archive states."""
        return [
            {
                "key": month,
                "area": None,
                "scene_id": granule.name,
                "path": granule.path,
                "stated": asdict(granule.stated) if granule.stated else None,
            }
            for granule in self.granules
        ]


def record_missing_account(settings: Settings, month: str) -> str | None:
    """Return what `missing_account` says; then the month has an observation, unless more is known of it."""
    reason = missing_account(settings)
    root = settings.table_root(OBSERVATIONS.name)
    if reason and not storage.read_table(OBSERVATIONS, root, ["orbit"], {"gas": CO2.name, "key": month}).num_rows:
        _observe(settings, month, [NOTHING | {"missing_setting": EARTHDATA_TOKEN}])
    return reason


def list_month(settings: Settings, month: str) -> MonthListing:
    """Return the granules of a month (YYYY-MM): in the folder or prefix PLUMEWATCH_GRANULES, or by CMR."""
    if settings.granules == CMR:
        listing = search_granules(settings.cmr_url, month, settings.oco_sensors)
    else:
        listing = read_listing(settings.granules, month)
    log_left_out(listing)
    refused = [
        FailedScene.from_exception(r.error, scene_id=r.name, stage=SEARCH_STAGE, asset=r.path) for r in listing.refused
    ]
    return MonthListing(listing.granules, len(listing.superseded), refused)


def record_listing(settings: Settings, book: FailureBook, month: str, listing: MonthListing) -> None:
    """Write the files that were refused to failed_scenes and observations, and there that a month has no files.

    Also clears away what an earlier run of the month has staged and this listing doesn't name.
    """
    _clear_leftovers(settings, month, {granule.name for granule in listing.granules})
    book.settle(month, listing.refused)
    _observe(
        settings, month, [_failed(failure.scene_id) for failure in listing.refused] if listing.n_files else [NOTHING]
    )


def _observe(settings: Settings, month: str, rows: Sequence[Mapping[str, Any]]) -> None:
    write_observations(settings.storage_root, CO2.name, month, SEARCH_STAGE, rows, orbits=[NO_ORBIT])


def staging_folder(settings: Settings, month: str) -> str:
    """Return where the granules of a month wait for their extraction."""
    return storage.join(settings.table_root(GRANULES), f"month={month}")


def stage_granule(settings: Settings, month: str, path: str, stated: Mapping[str, Any] | None = None) -> str:
    """Bring a granule, checked, to where the extraction finds it, and return its path there.

    `path` is a file, copied, or an address in NASA's archive, downloaded and compared with what the archive `stated`.
    One that is there already is left; in place of one of the folder that is bad an older one of its day is staged.
    Raises InputError where it isn't a whole, known Lite file, ServiceError where the archive doesn't deliver it,
    ConfigurationError without a token for it.
    """
    is_address = path.startswith(("https://", "http://"))
    name = (urlsplit(path).path if is_address else path).rsplit("/", 1)[-1]
    staged = storage.join(staging_folder(settings, month), name)
    if storage.exists(staged):
        return staged
    if is_address:
        storage.upload(_downloaded(settings, path, name, stated), staged)
    else:
        try:
            check_granule(path)
        except InputError:
            _stage_older(settings, month, path)
            raise
        storage.write_bytes(staged, storage.read_bytes(path))
    return staged


def _stage_older(settings: Settings, month: str, path: str) -> None:
    """Stage an older granule of the same day in place of one that can't be used, where the user's folder has one."""
    for older in older_of_day(read_listing(settings.granules, month), parse_granule(path).sensor_day):
        try:
            check_granule(older.path)
        except InputError as error:
            log.warning("%s", error)
            continue
        log.warning("%s serves in place of %s", older.name, path)
        storage.write_bytes(storage.join(staging_folder(settings, month), older.name), storage.read_bytes(older.path))
        return


def _downloaded(settings: Settings, url: str, name: str, stated: Mapping[str, Any] | None) -> Path:
    if not settings.earthdata_token:
        raise ConfigurationError(NO_TOKEN)
    with EarthdataSession(settings.earthdata_token, settings.cmr_url) as session:
        content = StatedContent(**stated) if stated else None
        local = download_granule(session, url, downloads_folder(settings) / name, content)
    try:
        check_granule(str(local))
    except InputError:
        local.unlink()
        raise
    return local


def downloads_folder(settings: Settings) -> Path:
    """Return where downloads grow: a retry on the same machine goes on with what is there.

    On the disk of the storage root, or, where that is a bucket, in the machine's folder for temporary files.
    """
    root = settings.table_root(GRANULES)
    if storage.is_local(root):
        return Path(storage.filesystem(root)[1]) / DOWNLOADS
    folder = Path(tempfile.gettempdir()) / f"plumewatch-downloads-{os.getuid()}"
    folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    found = folder.lstat()  # others may write beside it, and could have made it
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != OWNER_ONLY:
        raise ConfigurationError(f"{folder}: others can write to it; allowed: a folder of this user's with mode 700")
    return folder


def record_not_staged(settings: Settings, month: str, names: Collection[str]) -> list[str]:
    """Return which of the named granules did not make it to the staging folder; each is an observation `failed`."""
    staged = {path.rsplit("/", 1)[-1] for path in storage.list_files(staging_folder(settings, month))}
    missing = sorted(set(names) - staged)
    rows = [_failed(name) for name in missing]
    write_observations(settings.storage_root, CO2.name, month, FETCH_STAGE, rows, orbits=[NO_ORBIT])
    return missing


def _failed(granule: str) -> dict[str, Any]:
    return {"orbit": NO_ORBIT, "scene_id": granule, "outcome": FAILED, "detected": False}


def unstage(settings: Settings, month: str) -> None:
    """Remove what was staged of a month, after its extraction; originals in a user's folder stay where they are."""
    if _is_ours(settings, month):
        storage.delete(staging_folder(settings, month))


def _clear_leftovers(settings: Settings, month: str, names: Collection[str]) -> None:
    """Remove what lies in the staging folder under other names: the extraction takes all that is there."""
    if _is_ours(settings, month):
        for path in storage.list_files(staging_folder(settings, month)):
            if path.rsplit("/", 1)[-1] not in names:
                storage.delete(path)


def _is_ours(settings: Settings, month: str) -> bool:
    """Whether only granules that were staged lie in the staging folder, and none of a user's own."""
    return settings.granules == CMR or not _is_inside(staging_folder(settings, month), settings.granules)


def _is_inside(folder: str, other: str) -> bool:
    """Whether `folder` is `other`, or below or above it."""
    one, two = (f"{storage.filesystem(path)[1].rstrip('/')}/" for path in (folder, other))
    return storage.is_local(folder) == storage.is_local(other) and (one.startswith(two) or two.startswith(one))
