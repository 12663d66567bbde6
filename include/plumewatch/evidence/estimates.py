"""The table `source_estimates`: times observed and seen, and the emission that all passes together speak for.

It follows from the stored `source_passes` of all keys of a gas, so that the order in which days came, or come again,
makes no difference. A source of which no pass has changed keeps its row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.evidence.passes import numbers_of
from plumewatch.evidence.posterior import compute_posterior, prior_of
from plumewatch.evidence.rule import evidence_rule
from plumewatch.gases import Gas
from plumewatch.http import side_by_side
from plumewatch.reviews import last_words, read_reviews
from plumewatch.statuses import (
    AMBIGUOUS,
    CONFIRMED,
    INCONSISTENT_RATE,
    NOT_DETECTED,
    REJECT,
    UNKNOWN_SOURCE,
    UNRATED,
)
from plumewatch.storage.partitions import DATA_FILE
from plumewatch.table import floats
from plumewatch.tables import SOURCE_ESTIMATES, SOURCE_PASSES

OF_PASS = (
    "source_id", "observed_at_utc", "visible_fraction", "detection_limit", "detection_id", "rank", "probability",
    "emission", "emission_low", "emission_high", "status",
)  # fmt: skip
THREADS = 8  # that wait for a bucket; on a disk reading is short


def read_source_passes(
    storage_root: str,
    gas: Gas,
    columns: Collection[str] | None = OF_PASS,
    keep: Callable[[pa.Table], pa.Table] | None = None,
    source_id: str | None = None,
) -> pa.Table:
    """Return what passes saw of the sources of a gas, of all keys (columns of `source_passes`): of all, or of one.

    `keep` says of the rows of each key which ones; no others are held in memory.
    """
    wanted = list(SOURCE_PASSES.schema.names if columns is None else columns)
    of_source = None if source_id is None else pc.field("source_id") == source_id

    def read(file: str) -> pa.Table:
        rows = storage.read_parquet(SOURCE_PASSES, file, wanted, of_source)
        return rows if keep is None else keep(rows)

    files = [file.path for file in files_of_passes(storage_root, gas)]
    found = side_by_side(read, files, "passes over sources read", "days or months", threads=THREADS)
    return pa.concat_tables([SOURCE_PASSES.empty().select(wanted), *found])


def files_of_passes(storage_root: str, gas: Gas) -> list[storage.StoredFile]:
    """Return the file of each key of `source_passes` of a gas, in one listing, however many years there are."""
    folder = storage.join(storage_root, SOURCE_PASSES.name, f"gas={gas.name}")
    return [file for file in storage.stored_files(folder) if file.path.endswith(f"/{DATA_FILE}")]


def rejected_by_people(storage_root: str, gas: Gas) -> frozenset[str]:
    """Return the ids of detections that people have rejected."""
    said = last_words(read_reviews(storage_root, gas.name))
    return frozenset(said.filter(pc.equal(said["verdict"], REJECT))["detection_id"].to_pylist())


def passes_that_saw(passes: pa.Table, rejected: frozenset[str] = frozenset()) -> NDArray[np.bool_]:
    """Return which rows of SOURCE_PASSES saw their source: it is the most probable one of their detection. Pure.

    Detections that people have `rejected`, or that are rather of a source in no inventory, saw none.
    """
    is_out = pc.is_in(passes["detection_id"], value_set=pa.array(sorted(rejected), pa.string()))
    is_unknown = pc.fill_null(pc.equal(passes["status"], UNKNOWN_SOURCE), True)
    is_first = pc.and_(pc.equal(passes["rank"], 1), pc.greater(passes["probability"], 0.0))
    is_seen = pc.and_(pc.fill_null(is_first, False), pc.invert(pc.or_(is_out, is_unknown)))
    return np.asarray(is_seen.to_numpy(), dtype=bool)


def estimate_sources(gas: Gas, passes: pa.Table, sources: pa.Table, rejected: frozenset[str] = frozenset()) -> pa.Table:
    """Return SOURCE_ESTIMATES: one row a source that was observed, in the gas's unit of emissions. Pure.

    `times_seen` counts the passes with a detection of which this source is the most probable one. `status` compares the
    emission with the inventory's: `confirmed` where the source was seen and the inventory's emission lies in the
    interval of 95 % (twice as wide, in logs, as that of 68 %), `inconsistent_rate` where it was seen and it doesn't,
    `ambiguous` where no detection is its own but some may be, `not_detected` where nothing was ever seen of it,
    `unrated` where no inventory states how much it emits. Sources that `sources` no longer hold have no row.
    """
    listed = sources.sort_by("source_id")
    known = pc.is_in(passes["source_id"], value_set=listed["source_id"].combine_chunks())
    passes = passes.filter(known)
    ids = pc.unique(passes["source_id"]).sort().to_pylist()
    listed = listed.filter(pc.is_in(listed["source_id"], value_set=pa.array(ids, pa.string())))
    inventory, sigma = (floats(listed[name]) * gas.units_per_t_y for name in ("emission_t_y", "emission_t_y_sigma"))
    prior = prior_of(gas.name, inventory, sigma)
    numbers = numbers_of(passes, ids, rejected)
    posterior = compute_posterior(gas.name, prior, numbers)
    n, source = len(ids), numbers.source
    is_seen = passes_that_saw(passes, rejected)
    seen = np.bincount(source[is_seen], minlength=n)
    may_be = np.bincount(source[numbers.probability > 0], minlength=n)
    first, last = _first_and_last(passes["observed_at_utc"], source, is_seen, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(inventory > 0, posterior.median / inventory, np.nan)
        above = 2.0 * np.log(posterior.high / posterior.median)
        below = 2.0 * np.log(posterior.median / posterior.low)
        is_off = (np.log(ratio) > below) | (-np.log(ratio) > above)
    status = np.select(
        [may_be == 0, ~np.isfinite(ratio), seen == 0, is_off],
        [NOT_DETECTED, UNRATED, AMBIGUOUS, INCONSISTENT_RATE],
        CONFIRMED,
    )
    columns: dict[str, Any] = {
        "source_id": pa.array(ids, pa.string()),
        "times_observed": pa.array(np.bincount(source, minlength=n).astype(np.int32)),
        "times_seen": pa.array(seen.astype(np.int32)),
        "emission": posterior.median,
        "emission_low": posterior.low,
        "emission_high": posterior.high,
        "inventory_emission": pa.array(inventory, from_pandas=True),
        "ratio": pa.array(ratio, from_pandas=True),
        "first_seen": first,
        "last_seen": last,
        "status": pa.array(status.tolist(), pa.string()),
    }
    return SOURCE_ESTIMATES.from_columns(columns)


def write_source_estimates(
    storage_root: str,
    gas: Gas,
    passes: pa.Table,
    sources: pa.Table,
    rejected: frozenset[str],
    kept: pa.Table | None = None,
) -> pa.Table:
    """Write `source_estimates` of a gas from what is stored of its passes, and return it.

    `kept` are rows of sources of which no pass has changed; then `passes` are all those of the others.
    """
    estimates = estimate_sources(gas, passes, sources, rejected)
    if kept is not None:
        estimates = SOURCE_ESTIMATES.conform(pa.concat_tables([kept, estimates]))
    counts = {c["values"]: c["counts"] for c in estimates["status"].value_counts().to_pylist()}
    storage.write_partition(
        SOURCE_ESTIMATES,
        storage.join(storage_root, SOURCE_ESTIMATES.name),
        {"gas": gas.name},
        estimates,
        settings={"calibration": evidence_rule().version},
        counts=counts,
    )
    return estimates


def _first_and_last(
    times: pa.ChunkedArray, source: NDArray[np.intp], is_seen: NDArray[np.bool_], n: int
) -> tuple[pa.Array, pa.Array]:
    """When each source was seen first and last, null where never."""
    known = is_seen & times.is_valid().to_numpy(zero_copy_only=False)
    micros = times.cast(pa.int64()).fill_null(0).to_numpy()[known]
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, np.iinfo(np.int64).min)
    np.minimum.at(first, source[known], micros)
    np.maximum.at(last, source[known], micros)
    never = np.bincount(source[known], minlength=n) == 0
    stamps = [pa.array(np.where(never, 0, ends), mask=never).cast(pa.timestamp("us", "UTC")) for ends in (first, last)]
    return stamps[0], stamps[1]
