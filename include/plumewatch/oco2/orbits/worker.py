"""Orbits searched for peaks: what the workers of the job do, what they say, and what that heals."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import PlumewatchError, some_of
from plumewatch.failures import Condition, Row
from plumewatch.models import FailedScene
from plumewatch.oco2.detection import DetectedPeak, detect_peaks
from plumewatch.oco2.granules.granule import BAD_QUALITY
from plumewatch.oco2.granules.soundings import OrbitFiles, OrbitReader
from plumewatch.oco2.peaks import PeakSearch
from plumewatch.oco2.pictures import draw_peak
from plumewatch.oco2.track import Track, count_left_out
from plumewatch.orbits import good_soundings
from plumewatch.statuses import FAILED, PEAKS_STAGE, WIND_STAGE
from plumewatch.tables import PEAKS, WIND
from plumewatch.wind.files import READ_AROUND, OnFailure, read_wind_files

MOST_NAMED = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OrbitTask:
    """One orbit to be searched."""

    position: int
    """Place in the order of orbits: neighbours share files and should go to one worker."""
    orbit: OrbitFiles
    """Its number and files."""
    wanted_months: tuple[str, ...]
    """Only peaks whose centre is in one of these months (YYYY-MM) are wanted."""
    method: str
    """One of detection.METHODS."""
    wind_path: str | None
    """Wind files; the soundings' own wind where None."""
    details_path: str | None
    """Where the details of accepted peaks go; nowhere where None."""

    def names(self) -> set[str]:
        """What failed_scenes calls the orbit and its files."""
        return {self.orbit.name, *(file.rsplit("/", 1)[-1] for file in self.orbit.files)}

    def to_json(self) -> str:
        """As text, the form in which tasks go to the workers."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> OrbitTask:
        """The task that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        orbit = fields.pop("orbit")
        files = OrbitFiles(orbit["orbit"], tuple(orbit["files"]), tuple(orbit["months"]), orbit["sensor"])
        return cls(orbit=files, wanted_months=tuple(fields.pop("wanted_months")), **fields)


DETECTED = PEAKS.schema.append(pa.field("month", pa.string())).append(pa.field("orbit_report", pa.string()))
"""What a worker says: its peaks in the columns of the table with the month of each, and for every orbit one row without
peak_id whose `orbit_report` (JSON) has the number of soundings and of those left out by reason, `searched_km`, the
observations, the failure if there is one, and the wind files that could not be used."""


def detect_orbits(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the column `task` of each batch (JSON of OrbitTask): the function of a mapInArrow."""
    reader = OrbitReader()
    for batch in batches:
        for task in batch.column("task").to_pylist():
            rows = detect_orbit(OrbitTask.from_json(task), reader)
            yield pa.RecordBatch.from_pylist(rows, schema=DETECTED)


def detect_orbit(task: OrbitTask, reader: OrbitReader) -> list[dict[str, Any]]:
    """Search one orbit, write the details of its accepted peaks, and return its rows of DETECTED."""
    report: dict[str, Any] = {
        "n_soundings": 0,
        "searched_km": 0.0,
        "observations": [],
        "failure": None,
        "wind_failures": [],
        "left_out": {},
    }
    wind_failures: list[FailedScene] = []
    rows: list[dict[str, Any]] = []
    try:
        soundings = reader.read(task.orbit)
        good = good_soundings(soundings)
        report["left_out"] = {BAD_QUALITY: soundings.num_rows - good.num_rows, **count_left_out(good)}
        found = detect_peaks(good, task.method, _wind_reader(task.wind_path, wind_failures.append))
    except Exception as error:  # what is odd in one orbit must not take the others along
        if not isinstance(error, PlumewatchError | OSError):
            log.exception("%s", task.orbit.name)
        failure = FailedScene.from_exception(error, scene_id=task.orbit.name, stage=PEAKS_STAGE)
        report["failure"] = asdict(failure)
        report["observations"] = [{"orbit": task.orbit.orbit, "sensor": task.orbit.sensor, "outcome": FAILED,
                                   "detected": False, "observed_at_utc": None}]  # fmt: skip
    else:
        wanted = [peak for peak in found.peaks if peak.month in task.wanted_months]
        for peak in wanted:
            _write_details(task, peak)
        rows = [{**peak.row, "month": peak.month} for peak in wanted]
        report |= {"n_soundings": soundings.num_rows, "observations": found.observations}
        report["searched_km"] = found.searched_km
        report["wind_failures"] = [asdict(failure) for failure in wind_failures]
    return [*rows, {"orbit": task.orbit.orbit, "sensor": task.orbit.sensor, "orbit_report": json.dumps(report)}]


def orbits_went_through(tasks: Iterable[OrbitTask], wind_path: str | None) -> Condition:
    """Return the condition for what is over of orbits, of their files, and of wind files below `wind_path`.

    Of wind files those of the months of the orbits; one that doesn't say its date counts for all.
    """
    tasks = list(tasks)
    names = {name for task in tasks for name in task.names()}
    months = {month for task in tasks for month in task.orbit.months}

    def is_over(row: Row) -> bool:
        if row["stage"] == WIND_STAGE:
            asset = row["asset"] or ""
            day = storage.keys_in_path(WIND, asset).get("date")
            return wind_path is not None and asset.startswith(wind_path) and (day is None or day[:7] in months)
        return row["stage"] == PEAKS_STAGE and row["area"] is None and row["scene_id"] in names

    return is_over


def details_folder(details_path: str, method: str, month: str) -> str:
    """Return the folder of the details of a partition of `peaks`."""
    return storage.partition_path(details_path, {"method": method, "month": month})


def _write_details(task: OrbitTask, peak: DetectedPeak) -> None:
    if peak.details is None or task.details_path is None:
        return
    base = storage.join(details_folder(task.details_path, task.method, peak.month), peak.details["peak_id"])
    storage.write_json(f"{base}.json", peak.details)
    storage.write_bytes(f"{base}.png", draw_peak(peak.details))


def _wind_reader(wind_path: str | None, on_failure: OnFailure) -> Callable[[Track, PeakSearch], pa.Table] | None:
    """The function that reads the wind around the peaks of a track, None without a path.

    Without a file that cannot be used the soundings' own wind serves; the peak says which it was.
    """
    if not wind_path:
        return None

    def read(track: Track, search: PeakSearch) -> pa.Table:
        at = [peak.index for peak in search.peaks]
        first, last = (datetime.fromtimestamp(float(t), UTC) for t in (track.time_s[at].min(), track.time_s[at].max()))
        points = track.longitude[at], track.latitude[at]
        return read_wind_files(wind_path, first - READ_AROUND, last + READ_AROUND, points=points, on_failure=on_failure)

    return read


def reports(detected: pa.Table) -> list[Mapping[str, Any]]:
    """Return the orbit reports among rows of DETECTED, by sensor and number, each with these as `sensor`, `orbit`."""
    rows = detected.filter(detected["orbit_report"].is_valid()).select(["sensor", "orbit", "orbit_report"])
    in_order = rows.sort_by([("sensor", "ascending"), ("orbit", "ascending")]).to_pylist()
    return [{"sensor": row["sensor"], "orbit": row["orbit"], **json.loads(row["orbit_report"])} for row in in_order]


def name_left_out(tasks: Iterable[OrbitTask], orbits: Iterable[Mapping[str, Any]]) -> None:
    """Name in the log the orbits of which soundings were left out, with their files, and how many for which reason.

    Those whose quality isn't good are no news in a table that was asked to keep them.
    """
    of_key = {task.orbit.key: task.orbit for task in tasks}
    for report in orbits:
        if counts := {reason: n for reason, n in report["left_out"].items() if n}:
            level = logging.INFO if set(counts) == {BAD_QUALITY} else logging.WARNING
            orbit, n_soundings = of_key[report["sensor"], report["orbit"]], report["n_soundings"]
            said = ", ".join(f"{reason} {n}" for reason, n in counts.items())
            where = some_of(orbit.files, MOST_NAMED)
            log.log(level, "%s: left out or unknown of %d soundings: %s; %s", orbit.name, n_soundings, said, where)


def sum_left_out(orbits: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many soundings of some orbits were left out, by reason."""
    total: Counter[str] = sum((Counter(report["left_out"]) for report in orbits), Counter())
    return dict(sorted(total.items()))
