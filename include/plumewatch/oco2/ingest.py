"""The steps of the monthly extraction: what a run of a month does in each of its tasks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plumewatch import storage
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.failed_scenes import record_failed_scenes
from plumewatch.models import FailedScene
from plumewatch.observations import write_observations
from plumewatch.oco2.catalog import GranuleRef, StatedContent, log_left_out, read_listing
from plumewatch.oco2.cmr import search_granules
from plumewatch.oco2.download import download
from plumewatch.oco2.earthdata import EarthdataSession
from plumewatch.oco2.granule import check_granule
from plumewatch.settings import CMR, Settings

GRANULES = "granules"
"""Folder below the storage root where granules wait for their extraction."""
DOWNLOADS = ".downloads"
"""Folder in it for what is still being downloaded."""
SEARCH = "search"
"""Stage of files that the listing refuses."""
NO_ORBIT = 0
"""Stands for the whole month in `observations` where there is no granule, so no orbit; OCO-2 counts orbits from 1."""
NO_TOKEN = (
    "granules come from NASA's archive (PLUMEWATCH_GRANULES=cmr), and there is no token: set EARTHDATA_TOKEN or the "
    "connection `earthdata`, or PLUMEWATCH_GRANULES to a folder of Lite files"
)


@dataclass(frozen=True)
class MonthListing:
    """What there is of a month, in the granules' folder or in the archive."""

    granules: Sequence[GranuleRef]
    """The newest of each day."""
    n_superseded: int
    """Older versions of those days."""
    refused: Sequence[FailedScene]
    """Files that look like granules and cannot serve."""

    @property
    def n_files(self) -> int:
        """Files that were looked at."""
        return len(self.granules) + self.n_superseded + len(self.refused)

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


def missing_account(settings: Settings) -> str | None:
    """Return why granules cannot be had for want of an account, None where they can."""
    return NO_TOKEN if settings.granules == CMR and not settings.earthdata_token else None


def list_month(settings: Settings, month: str) -> MonthListing:
    """Return the granules of a month (YYYY-MM): in the folder or prefix PLUMEWATCH_GRANULES, or by CMR."""
    if settings.granules == CMR:
        listing = search_granules(settings.cmr_url, month)
    else:
        listing = read_listing(settings.granules, month)
    log_left_out(listing)
    refused = [
        FailedScene.from_exception(r.error, scene_id=r.name, stage=SEARCH, asset=r.path) for r in listing.refused
    ]
    return MonthListing(listing.granules, len(listing.superseded), refused)


def record_listing(settings: Settings, dag_id: str, run_id: str, month: str, listing: MonthListing) -> None:
    """Write the files that were refused to failed_scenes, and a month without granules to observations."""
    record_failed_scenes(settings.storage_root, dag_id, month, run_id, listing.refused)
    rows = [] if listing.granules else [{"orbit": NO_ORBIT, "outcome": "no_input", "detected": False}]
    write_observations(settings.storage_root, "co2", month, "search", rows, orbits=[NO_ORBIT])


def staging_folder(settings: Settings, month: str) -> str:
    """Return where the granules of a month wait for their extraction."""
    return storage.join(settings.table_root(GRANULES), f"month={month}")


def stage_granule(settings: Settings, month: str, path: str, stated: Mapping[str, Any] | None = None) -> str:
    """Bring a granule, checked, to where the extraction finds it, and return its path there.

    `path` is a file, copied, or an address in NASA's archive, downloaded and compared with what the archive `stated`.
    One that is there already is left. Raises InputError where it isn't a whole, known Lite file, ServiceError where the
    archive doesn't deliver it, ConfigurationError without a token for it.
    """
    name = path.rsplit("/", 1)[-1]
    staged = storage.join(staging_folder(settings, month), name)
    if storage.exists(staged):
        return staged
    if path.startswith(("https://", "http://")):
        storage.upload(_downloaded(settings, path, name, stated), staged)
    else:
        check_granule(path)
        storage.write_bytes(staged, storage.read_bytes(path))
    return staged


def _downloaded(settings: Settings, url: str, name: str, stated: Mapping[str, Any] | None) -> Path:
    if not settings.earthdata_token:
        raise ConfigurationError(NO_TOKEN)
    with EarthdataSession(settings.earthdata_token, settings.cmr_url) as session:
        content = StatedContent(**stated) if stated else None
        local = download(session, url, downloads_folder(settings) / name, content)
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
    return Path(tempfile.gettempdir()) / f"plumewatch-downloads-{os.getuid()}"


def not_staged(settings: Settings, month: str, names: Collection[str]) -> list[str]:
    """Return which of the named granules did not make it to the staging folder."""
    staged = {path.rsplit("/", 1)[-1] for path in storage.list_files(staging_folder(settings, month))}
    return sorted(set(names) - staged)


def unstage(settings: Settings, month: str) -> None:
    """Remove what was staged of a month, after its extraction; originals in a user's folder stay where they are."""
    folder = staging_folder(settings, month)
    if settings.granules != CMR and _is_inside(folder, settings.granules):
        return  # the user's own files may lie here
    storage.delete(folder)


def _is_inside(folder: str, other: str) -> bool:
    """Whether `folder` is `other`, or below or above it."""
    one, two = (f"{storage.filesystem(path)[1].rstrip('/')}/" for path in (folder, other))
    return storage.is_local(folder) == storage.is_local(other) and (one.startswith(two) or two.startswith(one))
