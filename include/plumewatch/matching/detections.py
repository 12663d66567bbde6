"""What matching needs of a detection, from the tables `plumes` and `peaks`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch.statuses import ACCEPTED
from plumewatch.wind.at_point import components_m_s

Floats = NDArray[np.float64]

DETECTIONS = pa.schema(
    [("detection_id", pa.string())]
    + [
        (name, pa.float64())
        for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "emission", "emission_low", "emission_high")
    ]
)
"""What matching needs of a detection; wind and emission (kt/h of CO2, kg/h of CH4) may be null."""


def detections_of_peaks(peaks: pa.Table) -> pa.Table:
    """Return the accepted rows of the table `peaks` as DETECTIONS."""
    peaks = peaks.filter(pc.equal(peaks["status"], ACCEPTED))
    emission = {f"emission{end}": peaks[f"emission_kt_h{end}"] for end in ("", "_low", "_high")}
    columns = {name: peaks[name] for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s")} | emission
    return _conform({"detection_id": peaks["peak_id"].cast(pa.string()), **columns})


def detections_of_plumes(plumes: pa.Table) -> pa.Table:
    """Return the accepted rows of the table `plumes` as DETECTIONS."""
    plumes = plumes.filter(pc.equal(plumes["status"], ACCEPTED))
    u, v = components_m_s(floats(plumes["wind_speed_10m_m_s"]), floats(plumes["wind_from_deg"]))
    columns = {
        "detection_id": plumes["plume_id"],
        "longitude": plumes["longitude"],
        "latitude": plumes["latitude"],
        "wind_u_m_s": pa.array(u, from_pandas=True),
        "wind_v_m_s": pa.array(v, from_pandas=True),
        **{f"emission{end}": plumes[f"emission_kg_h{end}"] for end in ("", "_low", "_high")},
    }
    return _conform(columns)


def with_wind(detections: pa.Table, wind_u_m_s: Floats, wind_v_m_s: Floats) -> pa.Table:
    """Return DETECTIONS with another wind where it is known (not NaN)."""
    known = pa.array(np.isfinite(wind_u_m_s) & np.isfinite(wind_v_m_s))
    for name, values in (("wind_u_m_s", wind_u_m_s), ("wind_v_m_s", wind_v_m_s)):
        column = pc.if_else(known, pa.array(values), detections[name])
        detections = detections.set_column(detections.column_names.index(name), name, column)
    return detections


def floats(column: pa.ChunkedArray | pa.Array) -> Floats:
    """Return a column as f64, null as NaN."""
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(float)


def _conform(columns: dict[str, Any]) -> pa.Table:
    return pa.table({name: columns[name] for name in DETECTIONS.names}).cast(DETECTIONS)
