"""Rows of detections and sources for the job that matches them."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import shapely
from plumewatch.geodesy import destination
from plumewatch.matching.candidates import PAIRS
from plumewatch.matching.detections import DETECTIONS
from plumewatch.tables import PEAKS, PLUMES

from tools.checkout import CHECKOUT

KT_H = 8760.0 * 1000.0  # tonnes a year that are 1 kt/h
JOB = CHECKOUT / "spark_jobs" / "match_sources.py"


def source(source_id: str, lon: float, lat: float, emission_t_y: float, gas: str = "co2") -> dict:
    return {
        "source_id": source_id,
        "name": source_id,
        "kind": "power_plant",
        "fuel": "coal",
        "gas": gas,
        "emission_t_y": emission_t_y,
        "emission_t_y_sigma": emission_t_y / 5,
        "year": 2018,
        "longitude": lon,
        "latitude": lat,
    }


def peak(
    peak_id: int,
    lon: float,
    lat: float,
    u: float | None,
    v: float | None,
    status: str = "accepted",
    kt_h: float | None = 2.0,
) -> dict:
    row = dict.fromkeys(PEAKS.schema.names)
    at = datetime.strptime(str(peak_id)[:12], "%Y%m%d%H%M").replace(tzinfo=UTC)
    row |= {"peak_id": peak_id, "orbit": 1, "observed_at_utc": at, "longitude": lon, "latitude": lat, "status": status}
    row |= {"wind_u_m_s": u, "wind_v_m_s": v, "emission_status": "ok" if kt_h else "no_wind"}
    return row | {
        "emission_kt_h": kt_h,
        "emission_kt_h_low": kt_h and kt_h / 2,
        "emission_kt_h_high": kt_h and kt_h * 2,
    }


def plume(
    plume_id: str,
    lon: float,
    lat: float,
    status: str = "accepted",
    speed: float | None = 4.0,
    when: datetime | None = None,
) -> dict:
    row = dict.fromkeys(PLUMES.schema.names)
    row |= {
        "plume_id": plume_id,
        "scene_id": "S2",
        "observed_at_utc": when,
        "reference_scene_ids": [],
        "status": status,
    }
    row |= {"longitude": lon, "latitude": lat, "wind_speed_10m_m_s": speed, "wind_from_deg": speed and 270.0}
    return row | {
        "emission_kg_h": 5000.0,
        "emission_kg_h_low": 3000.0,
        "emission_kg_h_high": 8000.0,
        "emission_status": "ok",
        "geometry": shapely.Point(lon, lat).buffer(0.01).wkb,
    }


def detection(
    lon=10.0, lat=50.0, u=5.0, v=0.0, rate=1.0, low=None, high=None, name="d", probability=None, **more
) -> pa.Table:
    values = [name, lon, lat, u, v, rate, rate and (low or rate * 0.8), rate and (high or rate * 1.2), probability]
    row = dict.fromkeys(DETECTIONS.names) | dict(zip(DETECTIONS.names[:9], values, strict=True)) | more
    return pa.Table.from_pylist([row], schema=DETECTIONS)


def pairs(*sources: tuple, name="d") -> pa.Table:
    """Sources as (id, longitude, latitude, tonnes a year)."""
    columns = list(zip(*sources, strict=True)) if sources else [[], [], [], []]
    values = [[name] * len(sources), columns[0], ["combined"] * len(sources), *columns[1:]]
    return pa.table({n: list(x) for n, x in zip(PAIRS.names, values, strict=True)}, schema=PAIRS)


def at(distance_km: float, bearing_deg: float, lon=10.0, lat=50.0) -> tuple[float, float]:
    to = destination(lon, lat, bearing_deg, distance_km)
    return float(to[0]), float(to[1])
