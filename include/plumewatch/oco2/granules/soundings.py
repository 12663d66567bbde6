"""The table `soundings`: the files that extraction writes, and the orbits in it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError, PlumewatchError
from plumewatch.failures import orbit_name
from plumewatch.keys import MONTH, is_key
from plumewatch.models import FailedScene, OnFailure, tell_or_raise
from plumewatch.oco2.archive.listing import day_in_name, sensor_in_name
from plumewatch.oco2.granules.granule import SoundingSelection, read_granule
from plumewatch.oco2.track import COLUMNS
from plumewatch.orbits import OCO2, QUALITY, SENSOR_NAMES, sensors_of
from plumewatch.statuses import EXTRACTION_STAGE, PEAKS_STAGE
from plumewatch.tables import SOUNDINGS

OTHER_MONTH = "other_month"
DIGEST_DIGITS = 12
IDS_A_DAY, IDS_A_MONTH = 10**8, 10**10  # an id is YYYYMMDDhhmmssmf

log = logging.getLogger(__name__)


# --- extraction: what the workers of the job do


@dataclass(frozen=True)
class GranuleTask:
    """One granule to be turned into a file of the table."""

    name: str
    """File name of the granule."""
    path: str
    """Where it is."""
    month: str
    """YYYY-MM of its day: the partition that its file goes to."""
    soundings_path: str
    """Root of the table."""
    keep_bad_quality: bool
    """As in SoundingSelection."""
    modes: tuple[int, ...] | None
    """As in SoundingSelection."""
    surfaces: tuple[str, ...] | None
    """As in SoundingSelection."""

    def to_json(self) -> str:
        """As text, the form in which tasks go to the workers."""
        return json.dumps(asdict(self))


EXTRACTED = pa.schema(
    [(name, pa.string()) for name in ("name", "path", "month", "file", "dropped", "failure", "of_other_month")]
    + [(name, pa.int64()) for name in ("n_soundings", "rows")]
)
"""What a worker says of a granule: the file it wrote, what it dropped (JSON) and the ids it left out as they are of
another month (JSON), or a failed scene (JSON)."""

EXTRACTED_DDL = ", ".join(f"{f.name} {'string' if f.type == pa.string() else 'bigint'}" for f in EXTRACTED)


def extract_granules(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do the tasks in the first column of each batch (JSON of GranuleTask): the function of a mapInArrow."""
    for batch in batches:
        done = [extract_granule(json.loads(task)) for task in batch.column(0).to_pylist()]
        yield pa.RecordBatch.from_pylist(done, schema=EXTRACTED)


def extract_granule(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the soundings of one granule into the partition of its month and return its row of EXTRACTED.

    The file's name holds a digest of its content: a repetition gives the same name, another content never replaces what
    a reader may be reading. A Lite file is one UTC day; a sounding of another month belongs to another granule, and
    `find_lost` says whether there is one.
    """
    granule = GranuleTask(**task)
    answer: dict[str, Any] = {"name": granule.name, "path": granule.path, "month": granule.month}
    answer |= {"file": None, "failure": None, "of_other_month": "[]"}
    try:
        selection = SoundingSelection(granule.keep_bad_quality, granule.modes, granule.surfaces)
        read = read_granule(granule.path, selection)
    except (PlumewatchError, OSError) as error:
        failure = FailedScene.from_exception(error, scene_id=granule.name, stage=EXTRACTION_STAGE, asset=granule.path)
        return answer | {"n_soundings": 0, "rows": 0, "dropped": "{}", "failure": json.dumps(asdict(failure))}
    in_month = _is_in_month(read.soundings["observed_at_utc"], granule.month)
    rows, dropped = read.soundings, dict(read.dropped)
    if not in_month.all():
        rows = rows.filter(pa.array(in_month))
        answer["of_other_month"] = json.dumps(read.soundings["sounding_id"].to_numpy()[~in_month].tolist())
        dropped[OTHER_MONTH] = read.soundings.num_rows - rows.num_rows
    answer["file"] = _write_file(
        storage.partition_path(granule.soundings_path, {"month": granule.month}), granule.name, rows
    )
    return answer | {"n_soundings": read.n_soundings, "rows": rows.num_rows, "dropped": json.dumps(dropped)}


def find_lost(soundings_path: str, answer: Mapping[str, Any]) -> FailedScene | None:
    """Return a failure of a granule (a row of EXTRACTED) whose soundings of another month no stored granule has.

    Another sensor's soundings of the same ids are others.
    """
    left_out = np.array(json.loads(answer["of_other_month"]), np.int64)
    if not len(left_out):
        return None
    months = [f"{text[:4]}-{text[4:]}" for text in np.unique(left_out // IDS_A_MONTH).astype(str)]
    try:
        ids = storage.read_table(SOUNDINGS, soundings_path, ["sounding_id", "sensor"], {"month": months})
        stored = ids.filter(_is_of(ids, sensor_in_name(answer["name"])))["sounding_id"].to_numpy()
    except InputError as error:
        log.warning("%s", error)
        stored = np.zeros(0, np.int64)
    if not (n_lost := int(np.count_nonzero(~np.isin(left_out, stored)))):
        return None
    lost = InputError(
        answer["path"],
        f"{n_lost} of {answer['n_soundings']} soundings are of {' and '.join(months)}, where no granule has them; "
        "they are not stored",
        f"soundings of {answer['month']}, the month of its name, or a granule of their own day, extracted before",
    )
    return FailedScene.from_exception(lost, scene_id=answer["name"], stage=EXTRACTION_STAGE, asset=answer["path"])


def keep_each_once(folder: str, files: Mapping[str, str]) -> dict[str, tuple[str | None, int]]:
    """Write anew those files (by granule) of a partition's folder that repeat soundings of another one of them.

    A sounding stays in the granule of its own UTC day, else in that of the earliest name. One of another sensor that
    has the same id, as both count the time, is no repetition: both stay. Returns by granule the new file, None where
    nothing is left, and how many soundings it lost; granules that lost none are absent.
    """
    of_sensor: dict[str, dict[str, str]] = {}
    for name, file in files.items():
        of_sensor.setdefault(sensor_in_name(name), {})[name] = file
    return {name: new for some in of_sensor.values() for name, new in _keep_each_once(folder, some).items()}


def _keep_each_once(folder: str, files: Mapping[str, str]) -> dict[str, tuple[str | None, int]]:
    """The same for files of one sensor."""
    names = sorted(files)
    paths = [storage.join(folder, files[name]) for name in names]
    ids = [storage.read_parquet(SOUNDINGS, path, ["sounding_id"])["sounding_id"].to_numpy() for path in paths]
    together = np.concatenate([np.zeros(0, np.int64), *ids])
    in_order = np.sort(together)  # numpy's unique counts by hashes, which takes 60 times as long
    if (in_order[1:] != in_order[:-1]).all():
        return {}
    granule = np.repeat(np.arange(len(names)), [len(of_file) for of_file in ids])
    days = np.array([int(f"{day:%Y%m%d}") if (day := day_in_name(name)) else 0 for name in names])
    is_of_other_day = together // IDS_A_DAY != days[granule]
    order = np.lexsort((granule, is_of_other_day, together))
    keep = np.ones(len(together), bool)
    keep[order[1:]] = together[order[1:]] != together[order[:-1]]
    changed: dict[str, tuple[str | None, int]] = {}
    for index in np.unique(granule[~keep]):
        name, kept = names[index], keep[granule == index]
        rows = storage.read_parquet(SOUNDINGS, paths[index]).filter(pa.array(kept))
        changed[name] = (_write_file(folder, name, rows), int(np.count_nonzero(~kept)))
        log.warning("%s: %d soundings that another granule of the month has too, left out", name, changed[name][1])
    return changed


def _write_file(folder: str, granule: str, rows: pa.Table) -> str | None:
    """Write the soundings of a granule under a name that holds a digest of them; None where there are none."""
    if not rows.num_rows:
        return None
    content = storage.parquet_bytes(SOUNDINGS, rows)
    name = f"{granule.rsplit('.', 1)[0]}-{hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]}.parquet"
    storage.write_part(folder, name, content)
    return name


def _is_in_month(observed_at_utc: pa.ChunkedArray, month: str) -> NDArray[np.bool_]:
    """Whether each time is in a UTC month, YYYY-MM."""
    time_us = observed_at_utc.cast(pa.int64()).to_numpy()
    return time_us.astype("datetime64[us]").astype("datetime64[M]") == np.datetime64(month, "M")


# --- orbits


OrbitKey = tuple[str, int]
"""A sensor and a number: the same number of another sensor is another orbit."""


@dataclass(frozen=True)
class OrbitFiles:
    """Where the soundings of one orbit are."""

    orbit: int
    """Orbit number, as its sensor counts."""
    files: tuple[str, ...]
    """Parquet files that hold some of them."""
    months: tuple[str, ...]
    """Months (YYYY-MM) that hold some of them."""
    sensor: str = OCO2
    """Whose orbit it is."""

    @property
    def key(self) -> OrbitKey:
        """Sensor and number."""
        return self.sensor, self.orbit

    @property
    def name(self) -> str:
        """How failures name it."""
        return orbit_name(self.orbit, self.sensor)


def list_orbits(
    soundings_path: str, months: Collection[str] | None = None, on_failure: OnFailure | None = None
) -> list[OrbitFiles]:
    """Return the orbits with soundings in some months (without: in any month present), each with all its files.

    By sensor and number. An orbit that crosses midnight of a month's end has files in both months. Reads two columns of
    the files. A file, folder or manifest that cannot be read raises InputError; with `on_failure` it is reported there
    and left out. Soundings without an orbit number or of an unknown sensor belong to none, and are reported alike.
    """
    root = storage.table_root(SOUNDINGS, soundings_path)
    if months is None:
        months = list_months(soundings_path, on_failure)
    near = sorted({str(np.datetime64(month, "M") + n) for month in months for n in (-1, 0, 1)})
    orbits: dict[OrbitKey, dict[str, str]] = {}
    for partition in storage.list_partitions(SOUNDINGS, root, {"month": near}, _strays(on_failure)):
        for file in _files_of(partition, on_failure):
            for key in _orbits_of(file, on_failure):
                orbits.setdefault(key, {})[file] = partition.keys["month"]
    return [
        OrbitFiles(orbit, tuple(sorted(files)), tuple(sorted(set(files.values()))), sensor)
        for (sensor, orbit), files in sorted(orbits.items())
        if set(files.values()) & set(months)
    ]


def list_months(
    soundings_path: str, on_failure: OnFailure | None = None, where: storage.Where | None = None
) -> list[str]:
    """Return the months (YYYY-MM) that are present, of those that fit `where`.

    Soundings outside of such a folder raise InputError; with `on_failure` they are reported there and left out.
    """
    found = []
    for partition in storage.list_partitions(SOUNDINGS, soundings_path, where, _strays(on_failure)):
        if is_key(partition.keys["month"], MONTH):
            found.append(partition.keys["month"])
        else:
            error = InputError(partition.path, f"month {partition.keys['month']!r}", "month=YYYY-MM")
            _report(error, partition.path, on_failure)
    return found


def _strays(on_failure: OnFailure | None) -> Callable[[InputError], None]:
    return lambda error: _report(error, error.file, on_failure)


def _files_of(partition: storage.Partition, on_failure: OnFailure | None) -> list[str]:
    try:
        return storage.partition_files(partition)
    except (InputError, OSError) as error:
        _report(error, storage.join(partition.path, storage.MANIFEST), on_failure)
        return []


def _orbits_of(file: str, on_failure: OnFailure | None) -> list[OrbitKey]:
    try:
        rows = storage.read_parquet(SOUNDINGS, file, ["orbit", "sensor"])
    except (InputError, OSError) as error:
        _report(error, file, on_failure)
        return []
    if n_without := rows["orbit"].null_count:
        _report(InputError(file, f"{n_without} soundings without an orbit", "a number"), file, on_failure)
    pairs = rows.filter(rows["orbit"].is_valid()).group_by(["orbit", "sensor"]).aggregate([]).to_pylist()
    if unknown := sorted({pair["sensor"] for pair in pairs} - {None, *SENSOR_NAMES}):
        found = f"soundings of the sensor {', '.join(map(repr, unknown))}"
        _report(InputError(file, found, f"{', '.join(SENSOR_NAMES)}, or none for {OCO2}"), file, on_failure)
    return [(pair["sensor"] or OCO2, pair["orbit"]) for pair in pairs if pair["sensor"] not in unknown]


def _is_of(soundings: pa.Table, sensor: str) -> pa.ChunkedArray:
    """Whether each is of a sensor."""
    return pc.equal(sensors_of(soundings), sensor)


def _report(error: InputError | OSError, asset: str, on_failure: OnFailure | None) -> None:
    tell_or_raise(error, asset, PEAKS_STAGE, on_failure)


def months_touched(soundings_path: str, month: str) -> list[str]:
    """Return the months whose peaks depend on the soundings of `month`: itself, and those that share an orbit.

    What cannot be read is a warning here: the detection of the months names it.
    """

    def warn(failure: FailedScene) -> None:
        log.warning("%s: %s", failure.scene_id, failure.message)

    shared = {other for orbit in list_orbits(soundings_path, [month], warn) for other in orbit.months}
    return sorted(shared | {month})


class OrbitReader:
    """Reads orbits one after the other, keeping the files of the last: neighbours in time share them."""

    def __init__(self) -> None:
        self._kept: dict[str, pa.Table] = {}

    def read(self, orbit: OrbitFiles) -> pa.Table:
        """Return the soundings of an orbit, whatever their quality, with the columns that detection needs."""
        self._kept = {file: self._kept[file] for file in orbit.files if file in self._kept}
        for file in orbit.files:
            if file not in self._kept:
                self._kept[file] = storage.read_parquet(SOUNDINGS, file, (*COLUMNS, QUALITY))
        return pa.concat_tables(
            t.filter(pc.and_(pc.equal(t["orbit"], orbit.orbit), _is_of(t, orbit.sensor))) for t in self._kept.values()
        )
