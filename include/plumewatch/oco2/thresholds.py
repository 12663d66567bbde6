"""The numbers of the peak finder, read from `reference/oco2_peaks.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

FILE = "oco2_peaks.yaml"


@dataclass(frozen=True)
class Thresholds:
    """Values of the sections of the file, by name; `thresholds()["scan"]["min_sigma_km"]`."""

    version: str
    """What manifests state as calibration, together with the version of the null distribution."""
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
