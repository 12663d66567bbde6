"""The gases that are watched: how each is detected, where its detections are, in which unit, and what it is called.

A further gas, or another default method, is an entry here; nobody else spells these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plumewatch.constants import HOURS_PER_YEAR
from plumewatch.keys import DAY, MONTH
from plumewatch.table import Table
from plumewatch.tables import PEAKS, PLUMES

MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST = "multi_pass", "single_pass", "isolation_forest"
"""Methods that find methane: against earlier dates; on one date alone; as outliers and their clusters."""
SCAN, CURVE_FIT_SEED = "scan", "curve_fit_seed"
"""Methods that find CO2: the scan along the orbit; the older tool's fit, converged."""


@dataclass(frozen=True)
class Gas:
    """A gas and its detections."""

    name: str
    """Partition `gas=` of the tables, argument `--gas` of the jobs, folder of its maps."""
    title: str
    """Headline of what is detected."""
    noun: str
    """What a detection is called."""
    table: Table
    """Where detections are stored."""
    id_column: str
    """Column that tells detections apart; as text the `detection_id` of `matches`."""
    methods: tuple[str, ...]
    """How it is detected: first the default, whose detections are matched and mapped; the others are for comparison."""
    details: str
    """Folder of the details of detections below the storage root."""
    key_format: str
    """Form of the partition key of its DAGs, for strftime."""
    unit: str
    """Unit of a detection's emission."""
    large_unit: str
    """Unit from 1,000 units on."""
    units_per_t_y: float
    """Units that one tonne a year is."""

    @property
    def method(self) -> str:
        """The default method."""
        return self.methods[0]

    @property
    def units_per_kg_h(self) -> float:
        """Units that one kilogram an hour is."""
        return self.units_per_t_y * HOURS_PER_YEAR / 1000.0

    @property
    def key_column(self) -> str:
        """Partition column of the table that is the key: `date` or `month`."""
        return self.table.partitions[-1]

    def picture_of(self, detection: Mapping[str, Any]) -> str:
        """Return where the picture of a detection, a row with its partitions, is below the storage root, if anywhere.

        >>> CO2.picture_of({"method": "scan", "month": "2016-08", "peak_id": 7})
        'peak_details/method=scan/month=2016-08/7.png'
        """
        folders = "/".join(f"{name}={detection[name]}" for name in self.table.partitions)
        return f"{self.details}/{folders}/{detection[self.id_column]}.png"

    @property
    def emission_column(self) -> str:
        """Column of a detection's emission; its ends are `_low` and `_high`."""
        return f"emission_{self.unit.replace('/', '_').lower()}"


CH4 = Gas(
    name="ch4",
    title="Methane plumes",
    noun="plume",
    table=PLUMES,
    id_column="plume_id",
    methods=(MULTI_PASS, SINGLE_PASS, ISOLATION_FOREST),
    details="plume_details",
    key_format=DAY,
    unit="kg/h",
    large_unit="t/h",
    units_per_t_y=1000.0 / HOURS_PER_YEAR,
)
CO2 = Gas(
    name="co2",
    title="CO2 peaks",
    noun="peak",
    table=PEAKS,
    id_column="peak_id",
    methods=(SCAN, CURVE_FIT_SEED),
    details="peak_details",
    key_format=MONTH,
    unit="kt/h",
    large_unit="Mt/h",
    units_per_t_y=1.0 / (1000.0 * HOURS_PER_YEAR),
)
GASES = {gas.name: gas for gas in (CH4, CO2)}
DETECTION = {CH4.name: "methane_detection_and_matching", CO2.name: "co2_detection_and_matching"}
"""The DAG that detects a gas."""
