"""The steps of the monthly extraction: what a run of a month does in each of its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plumewatch import storage
from plumewatch.errors import ConfigurationError
from plumewatch.failed_scenes import record_failed_scenes
from plumewatch.models import FailedScene
from plumewatch.observations import write_observations
from plumewatch.oco2.catalog import GranuleRef, log_left_out, read_listing
from plumewatch.oco2.granule import check_granule
from plumewatch.settings import Settings

GRANULES = "granules"
"""Folder below the storage root where granules wait for their extraction."""
SEARCH = "search"
"""Stage of files that the listing refuses."""
CMR = "cmr"
NO_ORBIT = 0
"""Stands for the whole month in `observations` where there is no granule, so no orbit; OCO-2 counts orbits from 1."""


@dataclass(frozen=True)
class MonthListing:
    """What the granules' folder has for one run."""

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


def list_month(settings: Settings, month: str) -> MonthListing:
    """Return the granules of a month (YYYY-MM) in the folder or prefix PLUMEWATCH_GRANULES."""
    if settings.granules == CMR:
        raise ConfigurationError(
            "PLUMEWATCH_GRANULES: 'cmr' needs the download that this version lacks; "
            "allowed: a folder or s3:// prefix of OCO-2 Lite files"
        )
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


def stage_granule(settings: Settings, month: str, path: str) -> str:
    """Check a granule and copy it to where the extraction finds it; return its path there.

    Raises InputError where the file isn't a whole, known Lite file. One that is there already is left.
    """
    staged = storage.join(staging_folder(settings, month), path.rsplit("/", 1)[-1])
    if not storage.exists(staged):
        check_granule(path)
        storage.write_bytes(staged, storage.read_bytes(path))
    return staged


def has_staged(settings: Settings, month: str) -> bool:
    """Whether a granule of the month waits for its extraction."""
    return bool(storage.list_files(staging_folder(settings, month)))


def unstage(settings: Settings, month: str) -> None:
    """Remove the copies of a month after their extraction; the originals stay where they are."""
    storage.delete(staging_folder(settings, month))
