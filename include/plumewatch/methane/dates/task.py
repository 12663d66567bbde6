"""What a worker has to do: the dates of one area, by one method, from one table into others."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.blocks.windows import Blocks


@dataclass(frozen=True)
class AreaDates:
    """What a worker has to do: dates of one area, in their order."""

    area: str
    """Partition of the table pixels."""
    dates: tuple[str, ...]
    """Partitions of the table pixels, YYYY-MM-DD, ascending."""
    pixels_root: str
    """Root of the table pixels: earlier dates are looked for there."""
    plumes_path: str
    """Root of the table plumes."""
    method: str
    """multi_pass, single_pass or isolation_forest."""
    wind_path: str | None
    """Rows of wind; None: no rates."""
    details_path: str | None
    """Root of the details; None: not written."""
    anomalies_path: str | None
    """Root of the table anomalies; None: not written."""
    forest: ForestSettings
    """Parameters of isolation_forest."""
    blocks: Blocks = field(default_factory=Blocks)
    """How passes too large for one worker are cut."""

    @classmethod
    def from_json(cls, text: str) -> AreaDates:
        """Return the task that `to_json` wrote."""
        values = json.loads(text)
        parts = {
            "dates": tuple(values["dates"]),
            "forest": ForestSettings(**values["forest"]),
            "blocks": Blocks(**values["blocks"]),
        }
        return cls(**values | parts)

    def to_json(self) -> str:
        """Return the task as text."""
        return json.dumps(asdict(self), sort_keys=True)

    def keys(self, day: str) -> dict[str, str]:
        """Return the partition of plumes and details of a date."""
        return {"method": self.method, "area": self.area, "date": day}
