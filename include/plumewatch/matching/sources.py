"""Sources as matching takes them: each id once."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def single_sources(rows: pa.Table, said: Sequence[str]) -> tuple[pa.Table, pa.Array]:
    """Return the rows of each `source_id` once, and the ids of which rows contradict each other, which have none left.

    `said` are the columns that rows of one id have to agree in; of those that do the first one stays.

    >>> rows = pa.table({"source_id": ["a", "b", "a", "b"], "emission_t_y": [1.0, 2.0, 1.0, 3.0]})
    >>> [part.to_pylist() for part in single_sources(rows, ["emission_t_y"])]
    [[{'source_id': 'a', 'emission_t_y': 1.0}], ['b']]
    """
    at = pa.array(range(rows.num_rows), pa.int64())
    once = rows.append_column("_at", at).group_by(["source_id", *said], use_threads=False).aggregate([("_at", "min")])
    counts = once["source_id"].value_counts()
    contradicting = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    kept = rows.take(once["_at_min"].sort())
    return kept.filter(pc.invert(pc.is_in(kept["source_id"], contradicting))), contradicting
