"""Slices of a key's detections matched where they are read: pairs, scores and rows stay in the worker.

The driver writes a key's detections in slices, in the order of their ids. A first round counts, slice by slice, which
sources they are from; with the sums each slice is matched, into a part of the partition's file; a third joins parts. A
key of one slice, as nearly all are, needs one round.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.matching.candidates import Candidates, ListedSources, find_candidates
from plumewatch.matching.hourly import HourlyRates
from plumewatch.matching.match import match_candidates, seen_of_sources
from plumewatch.matching.periods.emissions import EmissionReader, OrbitFilesByKey
from plumewatch.matching.rule import matching_rule
from plumewatch.models import FailedScene
from plumewatch.storage.parquet import MANIFEST_WITHIN, ROW_GROUP_ROWS, encoding
from plumewatch.storage.partitions import DATA_FILE, Origin
from plumewatch.table import floats
from plumewatch.tables import MATCHES

ROWS_AT_ONCE = 2_000  # detections whose pairs are held in memory

SEEN = pa.schema([("key", pa.string()), ("source", pa.int64()), ("seen", pa.int64())])
"""How many detections of a slice are from a source (its row), as `seen_of_sources`."""
DONE = pa.schema([("key", pa.string()), ("rows", pa.int64()), ("counts", pa.string()), ("failures", pa.string())])
"""What was written of a slice: rows, detections by status (JSON), and orbits whose soundings can't be read (JSON)."""


@dataclass(frozen=True)
class MatchTask:
    """Some detections of a key."""

    key: str
    detections: str
    """File with rows of DETECTIONS, by id."""
    part: str | None
    """File to be written; None where the key has no others, and its partition is written."""
    inputs: Sequence[str]
    """The paths that the matches are made from."""

    def to_json(self) -> str:
        """As text, the form in which tasks go to the workers."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class PeriodMatcher:
    """What every slice is matched with; goes to the workers."""

    gas: str
    listed: ListedSources
    max_distance_km: float
    hourly: HourlyRates | None = None
    """Rates at the hour; the mean of the year where None."""
    seen: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """Of each key of several slices how many of its detections are from each source."""
    orbits: OrbitFilesByKey | None = None
    """Where the soundings of peaks are, for the inversion of their sources' plumes; none where None."""
    matches_path: str = ""
    """The table's root."""

    def count_seen(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Do the first round of the tasks in the column `task` of each batch: a mapInArrow to SEEN."""
        for task in _tasks(batches):
            seen = self._seen(_read(task.detections))
            source = np.flatnonzero(seen)
            keys = pa.repeat(task.key, len(source))
            yield pa.RecordBatch.from_arrays([keys, pa.array(source), pa.array(seen[source])], schema=SEEN)

    def match(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Match the detections of the tasks in the column `task` of each batch: a mapInArrow to DONE."""
        emissions = None if self.orbits is None else EmissionReader(self.orbits)
        for task in _tasks(batches):
            detections = _read(task.detections)
            seen = self._seen(detections) if task.part is None else self.seen.get(task.key)
            parts, failures = [MATCHES.empty()], list[FailedScene]()
            for rows, pairs, factor in self._slices(detections):
                found = match_candidates(rows, pairs, self.gas, factor, seen)
                parts.append(found if emissions is None else emissions.added(found, rows, self.listed, failures.append))
            matches = pa.concat_tables(parts)
            counts = Counter(matches.filter(pc.equal(matches["rank"], 1))["status"].to_pylist())
            if task.part is None:
                origin = matches_origin(self.gas, self.max_distance_km, task.inputs, counts)
                keys = {"gas": self.gas, "period": task.key}
                storage.write_partition(MATCHES, self.matches_path, keys, matches, **origin)
            else:
                storage.write_bytes(task.part, storage.parquet_bytes(MATCHES, matches))
            told = json.dumps([asdict(failure) for failure in failures])
            row = {"key": task.key, "rows": len(matches), "counts": json.dumps(counts), "failures": told}
            yield pa.RecordBatch.from_pylist([row], schema=DONE)

    def pairs(self, detections: pa.Table) -> Candidates:
        """Return the candidates of DETECTIONS."""
        place = floats(detections["longitude"]), floats(detections["latitude"])
        return find_candidates(*place, self.listed, self.max_distance_km)

    def _seen(self, detections: pa.Table) -> NDArray[np.int64]:
        seen = np.zeros(len(self.listed), np.int64)
        for rows, pairs, factor in self._slices(detections):
            seen += seen_of_sources(rows, pairs, self.gas, factor)
        return seen

    def _slices(self, detections: pa.Table) -> Iterator[tuple[pa.Table, Candidates, NDArray[np.float64] | None]]:
        for start in range(0, len(detections), ROWS_AT_ONCE):
            rows = detections.slice(start, ROWS_AT_ONCE)
            pairs = self.pairs(rows)
            factor = None
            if self.hourly is not None:
                at = rows["observed_at_utc"].to_numpy().astype("datetime64[us]")[pairs.detection]
                factor = self.hourly.factors(pairs.source, pairs.of_source(self.listed.longitude), at)
            yield rows, pairs, factor


def matches_origin(gas: str, max_distance_km: float, inputs: Sequence[str], counts: Mapping[str, int]) -> Origin:
    """Return what the manifest of a key says, beside its rows."""
    settings = {"max_distance_km": max_distance_km, "calibration": matching_rule(gas).version}
    return {"inputs": inputs, "settings": settings, "counts": dict(sorted(counts.items()))}


def slice_bytes(detections: pa.Table) -> bytes:
    """Return rows of DETECTIONS as the file of a task."""
    buffer = io.BytesIO()
    pq.write_table(detections, buffer)
    return buffer.getvalue()


def join_parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join files of matches into a partition, as the column `task` of each batch says (`join_task`): a mapInArrow."""
    for batch in batches:
        for text in batch.column("task").to_pylist():
            task = json.loads(text)
            with tempfile.TemporaryDirectory() as folder:
                whole = Path(folder, DATA_FILE)
                packed = encoding(MATCHES, MATCHES.schema)
                with pq.ParquetWriter(whole, MATCHES.schema, **packed) as writer:
                    for path in task["parts"]:
                        writer.write_table(_read(path), row_group_size=ROW_GROUP_ROWS)
                    writer.add_key_value_metadata({MANIFEST_WITHIN: task["manifest"]})
                storage.upload(whole, storage.join(task["partition"], DATA_FILE))
            storage.settle_manifest(task["partition"])
            yield pa.RecordBatch.from_pylist([{"key": task["key"], "rows": 0, "counts": "{}", "failures": "[]"}], DONE)


def join_task(key: str, parts: Sequence[str], partition: str, rows: int, **origin: Unpack[Origin]) -> str:
    """Return a task of `join_parts`, as JSON."""
    manifest = storage.manifest_bytes([DATA_FILE], rows, **origin).decode()
    return json.dumps({"key": key, "parts": list(parts), "partition": partition, "manifest": manifest})


def _tasks(batches: Iterable[pa.RecordBatch]) -> Iterator[MatchTask]:
    for batch in batches:
        for text in batch.column("task").to_pylist():
            fields: dict[str, Any] = json.loads(text)
            yield MatchTask(**fields)


def _read(path: str) -> pa.Table:
    return pq.read_table(io.BytesIO(storage.read_bytes(path)))
