"""The rows that a site shows as one, kept in three files: one more key is read alone, the others as they were kept.

They hold what the tables do, and so lie beside the site's folder, which is public.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plumewatch import storage
from plumewatch.errors import InputError, reading
from plumewatch.gases import Gas
from plumewatch.maps.content import MapRows
from plumewatch.maps.stored_rows import read_map_rows
from plumewatch.models import Area

FOLDER = ".site_rows"
KEYS = "keys.json"
"""Which keys the tables beside it hold; written last."""

log = logging.getLogger(__name__)

Tables = Mapping[str, pa.Table]


def read_rows_together(
    gas: Gas, keys: Sequence[str], changed: Collection[str] | None, storage_root: str, areas: Sequence[Area]
) -> MapRows:
    """Return what `read_map_rows` does of the keys, and keep it.

    Read anew are the keys that changed (None: all), and those that weren't kept; of the others what was kept. What
    can't be read of that, or is of another version of the tables, is read anew as a whole.
    """
    folder = storage.join(storage_root, FOLDER, gas.name)
    column = {"detections": gas.key_column, "matches": "period", "observations": "key"}
    with storage.lock(folder):
        there, kept = ([], {}) if changed is None else _read(folder, column)
        stay = [key for key in keys if key in there and key not in (changed or ())]
        rows = read_map_rows(gas, [key for key in keys if key not in stay], storage_root, areas)
        found = {name: getattr(rows, name) for name in column}
        if stay:
            if any(kept[name].schema != table.schema for name, table in found.items()):
                rows = read_map_rows(gas, keys, storage_root, areas)
                found = {name: getattr(rows, name) for name in column}
            else:
                found = {name: _joined(kept[name], column[name], stay, table) for name, table in found.items()}
        storage.delete(storage.join(folder, KEYS))
        for name, table in found.items():
            pq.write_table(table, into := io.BytesIO(), compression="zstd")
            storage.write_bytes(storage.join(folder, f"{name}.parquet"), into.getvalue())
        storage.write_json(storage.join(folder, KEYS), list(keys))
    return replace(rows, **found)


def _joined(kept: pa.Table, column: str, stay: Sequence[str], anew: pa.Table) -> pa.Table:
    is_kept = pc.is_in(kept[column], value_set=pa.array(stay, pa.string()))
    return pa.concat_tables([kept.filter(is_kept), anew])


def _read(folder: str, names: Collection[str]) -> tuple[list[str], Tables]:
    """The keys that are kept, and their tables; none where they can't be read."""
    if not storage.exists(storage.join(folder, KEYS)):
        return [], {}
    try:
        with reading(folder, "what a site's rows were kept as"):
            keys = storage.read_json(storage.join(folder, KEYS))
            files = {name: storage.read_bytes(storage.join(folder, f"{name}.parquet")) for name in names}
            return list(keys), {name: pq.read_table(io.BytesIO(content)) for name, content in files.items()}
    except (InputError, FileNotFoundError) as error:
        log.warning("%s: read anew from the tables", error)
        return [], {}
