"""Rows of tables that maps are made from: plumes, peaks, sources and matches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import shapely
from plumewatch.tables import MATCHES, OBSERVATIONS, PEAKS, PLUMES

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"' \u2028 @script@ 漢"
DAY = "2025-08-31"
REPORT = {
    "report_id": "r 1", "provider": "imeo_mars", "gas": "ch4", "observed_at_utc": datetime(2025, 8, 20, tzinfo=UTC),
    "longitude": 56.02, "latitude": 22.03, "emission_kg_h": 4000.0, "emission_sigma_kg_h": 1500.0, "platform": "EMIT",
    "sector": NASTY, "licence": "its terms",
}  # fmt: skip


def plume(plume_id: str, lon: float, lat: float, status: str = "accepted", rate: float | None = 5200.0) -> dict:
    row = dict.fromkeys(PLUMES.schema.names) | {
        "plume_id": plume_id,
        "scene_id": "S2A_40RKH_20250831_0_L2A",
        "observed_at_utc": datetime(2025, 8, 31, 7, 12, tzinfo=UTC),
        "reference_scene_ids": [],
        "longitude": lon,
        "latitude": lat,
        "area_m2": 250_000.0,
        "ime_kg": 1234.0,
        "status": status,
        "wind_speed_10m_m_s": 4.2,
        "wind_from_deg": 270.0,
        "emission_kg_h": rate,
        "probability": 0.97,
        "emission_status": "ok" if rate else "no_wind",
        "geometry": shapely.Point(lon, lat).buffer(0.004).wkb,
    }
    return row | {"emission_kg_h_low": rate and rate * 0.6, "emission_kg_h_high": rate and rate * 1.5}


def peak(peak_id: int, lon: float, lat: float, status: str = "accepted") -> dict:
    return dict.fromkeys(PEAKS.schema.names) | {
        "peak_id": peak_id,
        "orbit": 11522,
        "observed_at_utc": datetime(2016, 8, 31, 11, 56, tzinfo=UTC),
        "longitude": lon,
        "latitude": lat,
        "height_ppm": 2.1,
        "sigma_km": 12.0,
        "false_alarm_probability": 0.004,
        "significance": 2.6,
        "wind_u_m_s": -3.0,
        "wind_v_m_s": -4.0,
        "emission_kt_h": 13.28,
        "emission_kt_h_low": 9.0,
        "emission_kt_h_high": 18.0,
        "emission_status": "ok",
        "status": status,
    }


def source(
    source_id: str, lon: float, lat: float, gas: str, name: str = "", emission: float = 4e4, kind: str = "oil_and_gas"
) -> dict:
    return {
        "source_id": source_id,
        "name": name or source_id,
        "kind": kind,
        "fuel": "natural gas",
        "gas": gas,
        "emission_t_y": emission,
        "emission_t_y_sigma": 1.0,
        "year": 2025,
        "longitude": lon,
        "latitude": lat,
        "licence": "CC BY 4.0",
        "provenance": "a list, 2025",
    }


def match(detection_id: str, source_id: str | None, rank: int, probability: float, status: str = "confirmed") -> dict:
    row = dict.fromkeys(MATCHES.schema.names) | {"detection_id": detection_id, "source_id": source_id, "rank": rank}
    row |= {"probability": probability, "status": status, "detected_emission": 5200.0}
    return row | ({"distance_km": 0.31, "expected_emission": 4566.2, "inventory": "combined"} if source_id else {})


def observation(area: str | None, outcome: str, scene_id: str | None = None, **more: Any) -> dict:
    row = dict.fromkeys(OBSERVATIONS.schema.names) | {"area": area, "outcome": outcome, "scene_id": scene_id}
    return row | {"detected": False, "stage": "detection"} | more


def plume_table(rows: list[dict], area: str = "oman") -> pa.Table:
    """Plumes as they are read: with their area."""
    return PLUMES.from_pylist(rows).append_column("area", [[area] * len(rows)])


def peak_table(rows: list[dict]) -> pa.Table:
    return PEAKS.from_pylist(rows)
