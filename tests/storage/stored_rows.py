"""Rows of small tables, to be stored."""

from __future__ import annotations

import pyarrow as pa
from plumewatch.tables import OBSERVATIONS, SOURCES


def sources(*names: str, emission: float = 1.0) -> pa.Table:
    row = {
        "kind": "city",
        "gas": "co2",
        "emission_t_y": emission,
        "emission_t_y_sigma": 0.5,
        "year": 2018,
        "longitude": 1.0,
        "latitude": 2.0,
    }
    return SOURCES.from_pylist([{**row, "source_id": name, "name": name} for name in names])


def observations(area: str, n: int) -> pa.Table:
    return OBSERVATIONS.from_pylist(
        [
            {"area": area, "scene_id": f"s{i}", "outcome": "searched", "detected": False, "stage": "detection"}
            for i in range(n)
        ]
    )
