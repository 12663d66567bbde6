"""The numbers of the methane detection, read from `reference/methane_detection.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

FILE = "methane_detection.yaml"


@dataclass(frozen=True)
class Thresholds:
    """Values of the sections of the file, by name; `thresholds()["candidates"]["min_area_m2"]`."""

    version: str
    """What manifests state as calibration."""
    sections: dict[str, dict[str, Any]]
    """Section, name, value."""

    def __getitem__(self, section: str) -> dict[str, Any]:
        return self.sections[section]


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """Return the values that ship with the library."""
    raw = yaml.safe_load(resources.files("plumewatch").joinpath("reference", FILE).read_text(encoding="utf-8"))
    version = raw.pop("version")
    return Thresholds(
        version, {s: {name: entry["value"] for name, entry in entries.items()} for s, entries in raw.items()}
    )
