"""What failed: a row where it fails, healed where it goes through later; `docs/failures.md` tells the whole story.

One way in: a `FailureBook` of a run, whose `settle` records failures and heals what is over. A row is one area, scene
and stage in the partition of a DAG and key; every DAG that handles the scene merges into it. What heals a row is said
by a condition on it: `went_through` names what was done, `not_seen_again` is what a whole run says at its end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import PlumewatchError
from plumewatch.models import FailedScene
from plumewatch.orbits import OCO2
from plumewatch.tables import FAILED_SCENES

Row = Mapping[str, Any]
Condition = Callable[[Row], bool]
Scene = tuple[str | None, str]
"""Area (None for OCO-2) and scene id."""

log = logging.getLogger(__name__)


class NothingDone(PlumewatchError):
    """Everything that was asked failed; retryable where one of the failures is."""

    def __init__(self, failures: Sequence[FailedScene]) -> None:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        super().__init__(f"{failures[0].where}: {failures[0].message}{more}")
        self.is_retryable = any(failure.is_retryable for failure in failures)


def partition_name(area: str, day: str) -> str:
    """Return how failures name a partition of pixels."""
    return f"area={area}/date={day}"


def pass_name(platform: str | None, relative_orbit: int | None) -> str:
    """Return how failures name a pass of a partition, `unknown` for what the table doesn't say.

    >>> pass_name("sentinel-2b", 63)
    'platform=sentinel-2b/relative_orbit=63'
    """
    orbit = "unknown" if relative_orbit is None else relative_orbit
    return f"platform={platform or 'unknown'}/relative_orbit={orbit}"


def day_of_failure(name: str) -> str:
    """Return the date in the name of a failure, nothing for the name of a file.

    >>> day_of_failure("area=hassi/date=2025-08-20/platform=sentinel-2b/relative_orbit=63")
    '2025-08-20'
    """
    return name.partition("/date=")[2].partition("/")[0]


def orbit_name(orbit: int, sensor: str = OCO2) -> str:
    """Return how failures name an orbit of a sensor.

    >>> orbit_name(11522), orbit_name(11522, "oco3")
    ('orbit 11522', 'oco3 orbit 11522')
    """
    return f"orbit {orbit}" if sensor == OCO2 else f"{sensor} orbit {orbit}"


def never(row: Row) -> bool:
    """The condition that heals nothing."""
    return False


def went_through(stage: str, scenes: Iterable[Scene]) -> Condition:
    """Return the condition for rows of scenes that a stage has done now."""
    done = {(area, scene_id, stage) for area, scene_id in scenes}
    return lambda row: identity_of(row) in done


def not_seen_again(run_id: str, areas: Collection[str] | None, but_stages: Collection[str] = ()) -> Condition:
    """Return the condition for what earlier runs left open, and `run_id`, which looked at all again, did not find.

    `areas` narrows to what was looked at (None: all); rows without an area always count. `but_stages` are left alone:
    their scenes are settled one by one, or not all of them were looked at.
    """

    def is_over(row: Row) -> bool:
        looked_at = areas is None or row["area"] is None or row["area"] in areas
        return row["run_id"] != run_id and row["stage"] not in but_stages and looked_at

    return is_over


@dataclass(frozen=True)
class FailureBook:
    """The table `failed_scenes` as one run writes it."""

    storage_root: str
    """Where the table is."""
    dag_id: str
    """Partition."""
    run_id: str
    """The run that fails or heals."""
    attempts: int = 1
    """Which try of the task it is."""

    def settle(self, key: str, failures: Sequence[FailedScene] = (), is_over: Condition = never) -> None:
        """Record `failures` under a key, naming each in the log, and mark open rows that are over as healed.

        A scene that failed before keeps the time of its first failure; a healed one is open again. What fails now is
        not over, whatever the condition says. Nothing is written where nothing changes.
        """
        for failure in failures:
            log.error("FAILED %s %s: %s: %s", failure.stage, failure.where, failure.error_class, failure.message)
        if not failures and not any(map(is_over, self.open_rows(key))):
            return
        now = datetime.now(UTC)
        failed_now = {failure.identity for failure in failures}

        def change(existing: pa.Table) -> pa.Table:
            rows = {identity_of(row): row for row in existing.to_pylist()}
            for identity, row in rows.items():
                if row["healed_at_utc"] is None and identity not in failed_now and is_over(row):
                    row["healed_at_utc"] = now
            for failure in failures:
                row = _row(failure, self.run_id, rows.get(failure.identity), now)
                rows[failure.identity] = row | {"attempts": max(failure.attempts, self.attempts)}
            return FAILED_SCENES.from_pylist(list(rows.values()))

        storage.change_rows(FAILED_SCENES, self._root, {"dag_id": self.dag_id, "key": key}, change)

    def rows(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a key, healed ones included."""
        where = {"dag_id": self.dag_id, "key": key}
        return storage.read_table(FAILED_SCENES, self._root, FAILED_SCENES.schema.names, where=where).to_pylist()

    def open_rows(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a key that nothing has healed, of whatever run."""
        return [row for row in self.rows(key) if row["healed_at_utc"] is None]

    def open_rows_of_run(self, key: str) -> list[dict[str, Any]]:
        """Return what this run has recorded and not healed."""
        return [row for row in self.open_rows(key) if row["run_id"] == self.run_id]

    @property
    def _root(self) -> str:
        return storage.join(self.storage_root, FAILED_SCENES.name)


def identity_of(row: Row) -> tuple[str | None, str, str]:
    """Return what tells a row from the others of its partition: area, scene and stage."""
    return row["area"], row["scene_id"], row["stage"]


def _row(failure: FailedScene, run_id: str, former: Row | None, now: datetime) -> dict[str, Any]:
    return {
        "run_id": run_id,
        **vars(failure),
        "first_failed_at_utc": former["first_failed_at_utc"] if former else now,
        "last_failed_at_utc": now,
        "healed_at_utc": None,
    }
