"""Rows of tables from which the evidence is taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from plumewatch.tables import MATCHES, OBSERVATIONS, PEAKS, PLUMES, SOURCE_PASSES, SOURCES

SEEN = datetime(2025, 8, 20, 7, 14, tzinfo=UTC)


def rows_of(table: Any, rows: list[dict[str, Any]], **usual: Any) -> pa.Table:
    return table.from_pylist([dict.fromkeys(table.schema.names) | usual | row for row in rows])


def sources(*rows: dict[str, Any], gas: str = "ch4") -> pa.Table:
    usual = {"name": "Field", "kind": "oil_and_gas", "gas": gas, "emission_t_y": 8760.0, "emission_t_y_sigma": None,
             "longitude": 54.2, "latitude": 38.5, "year": 2020}  # fmt: skip
    return rows_of(SOURCES, list(rows), **usual)


def observation(**row: Any) -> pa.Table:
    usual = {
        "area": "field", "scene_id": "scene", "observed_at_utc": SEEN, "outcome": "searched", "clear_fraction": 0.8,
        "covered_fraction": 1.0, "wind_speed_m_s": 4.0, "detection_limit": 1500.0, "detected": True,
    }  # fmt: skip
    return rows_of(OBSERVATIONS, [row], **usual)


def plume(plume_id: str, **row: Any) -> pa.Table:
    usual = {"scene_id": "scene", "observed_at_utc": SEEN, "longitude": 54.2, "latitude": 38.5, "status": "accepted",
             "probability": 0.9, "emission_kg_h": 2000.0, "emission_kg_h_low": 1400.0, "emission_kg_h_high": 2800.0,
             "wind_speed_10m_m_s": 4.0, "wind_from_deg": 90.0}  # fmt: skip
    return rows_of(PLUMES, [{"plume_id": plume_id, **row}], **usual)


def peak(peak_id: int, **row: Any) -> pa.Table:
    usual = {"orbit": 1, "sensor": "oco2", "observed_at_utc": SEEN, "longitude": 54.2, "latitude": 38.5,
             "status": "accepted", "emission_kt_h": 4.0, "emission_kt_h_low": 3.0, "emission_kt_h_high": 5.3,
             "wind_u_m_s": 5.0, "wind_v_m_s": 0.0}  # fmt: skip
    return rows_of(PEAKS, [{"peak_id": peak_id, **row}], **usual)


def match(detection_id: str, source_id: str | None, probability: float, rank: int = 1, **row: Any) -> dict[str, Any]:
    return {"detection_id": detection_id, "source_id": source_id, "probability": probability, "rank": rank,
            "status": "confirmed", "false_detection_probability": 0.0, "distance_km": 0.3, **row}  # fmt: skip


def matches(*rows: dict[str, Any]) -> pa.Table:
    return rows_of(MATCHES, list(rows))


def passes(*rows: dict[str, Any]) -> pa.Table:
    return rows_of(SOURCE_PASSES, list(rows))
