"""The rows of the table zonal_statistics: made of what the workers count, and published zone by zone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.failures import Condition
from plumewatch.tables import ZONAL_STATISTICS
from plumewatch.zones.months import COUNTED, MONTH
from plumewatch.zones.plan import Counting
from plumewatch.zones.zone import Zones


def rows_of(
    counted: pa.Table, numbers: Sequence[int], zones: Zones, scene_ids: Sequence[str], counting: Counting
) -> pa.Table:
    """Return what was counted of some zones (COUNTED) as rows of the table.

    Those of them that no raster reaches have rows of the month without a value.
    """
    seen = set(pc.unique(counted["zone"]).to_pylist())
    unseen = _without_value([number for number in numbers if number not in seen], counting)
    rows = pa.concat_tables([counted.cast(COUNTED), unseen]).combine_chunks()
    scene = pc.if_else(pc.equal(rows["scene"], MONTH), pa.scalar(None, pa.int32()), rows["scene"])
    clear, total = rows["count_clear"].to_numpy(), rows["count_total"].to_numpy()
    fraction = np.divide(clear, total, out=np.full(len(total), np.nan), where=total > 0)
    texts = {
        "zone_id": ([zone.zone_id for zone in zones.zones], rows["zone"]),
        "scene_id": (scene_ids, scene),
        "statistic": (counting.statistics, rows["statistic"]),
        "band_or_index": (counting.names, rows["name"]),
    }
    return ZONAL_STATISTICS.from_columns(
        {name: pa.array(values, pa.string()).take(at.combine_chunks()) for name, (values, at) in texts.items()}
        | {name: rows[name] for name in ("value", "count_clear", "count_total")}
        | {"clear_fraction": pa.array(fraction, pa.float32(), from_pandas=True)}
    )


def _without_value(numbers: Sequence[int], counting: Counting) -> pa.Table:
    zone, name, statistic = np.indices((len(numbers), len(counting.names), len(counting.statistics))).reshape(3, -1)
    n = len(zone)
    columns: dict[str, Any] = {
        "zone": np.array(numbers, np.int32)[zone], "scene": np.full(n, MONTH), "name": name, "statistic": statistic,
        "count_clear": np.zeros(n, np.int64), "count_total": np.zeros(n, np.int64),
    }  # fmt: skip
    return pa.table(
        [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in COUNTED],
        schema=COUNTED,
    )


def zone_failure_name(zones: Zones, where: str) -> str:
    """Return what the failure of a zone is called, as other files have zones of the same ids."""
    return f"zones={zones.name}/{where}"


def is_of_counted_zones(zones: Zones, not_counted: Collection[str]) -> Condition:
    """Return what tells whether a row of `failed_scenes` is of the file, and of no zone that wasn't counted now.

    The file was read whole: what it refuses is known anew, whichever of its zones were counted. Zones that were not,
    by their ids, and days of them (`zones=fields/7/2025-08-03`) stay as they are.
    """
    left, prefix = set(not_counted), zone_failure_name(zones, "")

    def is_over(row: Mapping[str, Any]) -> bool:
        name = str(row["scene_id"])
        zone = name.removeprefix(prefix)
        return row["area"] is None and name.startswith(prefix) and not {zone, zone.rpartition("/")[0]} & left

    return is_over


@dataclass(frozen=True)
class ZonePartition:
    """The partition of some zones and a month, published several times in a long run."""

    root: str
    """Of the table."""
    month: str
    """YYYY-MM."""
    zones: Zones
    """All of the file."""
    counting: Counting
    """What is counted."""
    kept: Collection[int]
    """Numbers of the zones that aren't asked for, whose stored rows stay."""

    @property
    def path(self) -> str:
        """Its folder."""
        return storage.partition_path(self.root, self._keys)

    def read(self) -> pa.Table:
        """Return the rows that are stored; none of other indices or statistics than are counted now.

        A partition is of one kind at any time, also where a run is ended. Raises InputError where some of them are to
        stay, and are of another.
        """
        manifest = storage.read_manifest(self.path)
        if manifest is None:
            return ZONAL_STATISTICS.empty()
        stated = {name: manifest.get("settings", {}).get(name) for name in self._settings}
        if self.kept and stated != self._settings:
            allowed = f"{self._settings}, or a run over all zones"
            raise InputError(self.path, f"finished zones of {stated}", allowed)
        if stated != self._settings:
            return ZONAL_STATISTICS.empty()
        return storage.read_table(ZONAL_STATISTICS, self.path).select(ZONAL_STATISTICS.schema.names)

    def write(self, counted: pa.Table, left: Collection[int], inputs: Collection[str]) -> None:
        """Replace the partition by what was counted and the stored rows of zones that are `left` or kept.

        They are read under a lock, as another run may have counted these meanwhile. A zone that isn't in the file any
        more has no rows.
        """
        stay = [self.zones.zones[number].zone_id for number in (*left, *self.kept)]
        with storage.lock(self.path):
            stored = self.read() if stay else ZONAL_STATISTICS.empty()  # a damaged one may be replaced whole
            rows = stored.filter(pc.is_in(stored["zone_id"], pa.array(stay, pa.string())))
            storage.write_partition(
                ZONAL_STATISTICS,
                self.root,
                self._keys,
                pa.concat_tables([counted, rows]),
                inputs=inputs,
                settings=self._settings,
                counts={"zones": len(self.zones.zones) - len(left), "zones_left": len(left)},
            )

    @property
    def _keys(self) -> dict[str, str]:
        return {"zones": self.zones.name, "month": self.month}

    @property
    def _settings(self) -> dict[str, Any]:
        """What makes the rows of two runs comparable."""
        counting = self.counting
        return {
            "band_or_index": list(counting.names),
            "statistics": list(counting.statistics),
            "constants": list(counting.constants),
        }
