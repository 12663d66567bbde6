"""What matching needs of a detection, from the tables `plumes` and `peaks`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch.geodesy import wrap_longitude
from plumewatch.statuses import ACCEPTED
from plumewatch.table import floats
from plumewatch.tables import TIME
from plumewatch.wind.at_point import components_m_s
from plumewatch.wind.profile import is_plausible

MOST_LONGITUDE, MOST_LATITUDE = 360.0, 90.0  # degrees: longitudes are written from -180 or from 0

Floats = NDArray[np.float64]

DETECTIONS = pa.schema(
    [("detection_id", pa.string())]
    + [
        (name, pa.float64())
        for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "emission", "emission_low", "emission_high")
    ]
    + [(name, pa.float64()) for name in ("probability", "sigma_km", "crossing")]
    + [("observed_at_utc", TIME), ("orbit", pa.int32()), ("sensor", pa.string())]
)
"""What matching needs of a detection; all but id and place may be null. The emission is in kt/h of CO2 or kg/h of CH4.
Of peaks `sigma_km` is the width along the track and `crossing` the sine of the angle between track and wind; `orbit`
and `sensor` tell where its soundings are."""


def detections_of_peaks(peaks: pa.Table) -> pa.Table:
    """Return the accepted rows of the table `peaks` as DETECTIONS."""
    peaks = peaks.filter(pc.equal(peaks["status"], ACCEPTED))
    emission = {f"emission{end}": peaks[f"emission_kt_h{end}"] for end in ("", "_low", "_high")}
    columns = {name: peaks[name] for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s")} | emission
    columns["probability"] = _stated_probability(peaks)
    columns |= {name: peaks[name] for name in ("sigma_km", "observed_at_utc", "orbit")}
    speed, across = np.hypot(floats(peaks["wind_u_m_s"]), floats(peaks["wind_v_m_s"])), peaks["wind_across_track_m_s"]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.minimum(np.abs(floats(across)) / speed, 1.0)
    columns["crossing"] = pa.array(crossing, from_pandas=True)
    columns["sensor"] = peaks["sensor"] if "sensor" in peaks.column_names else pa.nulls(len(peaks), pa.string())
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
        "probability": _stated_probability(plumes),
        "observed_at_utc": plumes["observed_at_utc"],
    }
    return _conform(columns)


def _stated_probability(detections: pa.Table) -> pa.ChunkedArray | pa.Array:
    """That each is a plume; null where the table, an older one, doesn't say."""
    has_column = "probability" in detections.column_names
    return detections["probability"] if has_column else pa.nulls(detections.num_rows, pa.float64())


def with_wind(detections: pa.Table, wind_u_m_s: Floats, wind_v_m_s: Floats) -> pa.Table:
    """Return DETECTIONS with another wind where it is known (not NaN)."""
    known = pa.array(np.isfinite(wind_u_m_s) & np.isfinite(wind_v_m_s))
    for name, values in (("wind_u_m_s", wind_u_m_s), ("wind_v_m_s", wind_v_m_s)):
        column = pc.if_else(known, pa.array(values), detections[name])
        detections = detections.set_column(detections.column_names.index(name), name, column)
    return detections


def placed(rows: pa.Table, id_column: str) -> tuple[pa.Table, str | None]:
    """Return the rows that have an id and lie on Earth, longitudes from -180 to 180, and what the others have instead.

    >>> placed(pa.table({"id": ["a", "b"], "longitude": [331.0, 0.0], "latitude": [1.0, 91.0]}), "id")[1]
    '1 row without id or place, the first id b, longitude 0.0, latitude 91.0'
    """
    lon, lat = floats(rows["longitude"]), floats(rows["latitude"])
    is_good = (np.abs(lon) <= MOST_LONGITUDE) & (np.abs(lat) <= MOST_LATITUDE)
    is_good &= rows[id_column].is_valid().to_numpy()
    found = None
    if not is_good.all():
        first = int(np.argmin(is_good))
        n, name = int((~is_good).sum()), rows[id_column][first].as_py()
        found = f"{n} row{'s' * (n > 1)} without id or place, the first {id_column} {name}"
        found += f", longitude {lon[first]}, latitude {lat[first]}"
    at = rows.column_names.index("longitude")
    rows = rows.set_column(at, "longitude", pa.array(np.where(is_good, wrap_longitude(lon), 0.0)))
    return rows.filter(pa.array(is_good)), found


def once_each(detections: pa.Table) -> pa.Table:
    """Return DETECTIONS by id, each once: of two that differ the first by its values, so that their order says nothing.

    A wind that can't be is unknown.
    """
    rows = detections.sort_by([(name, "ascending") for name in detections.column_names])
    ids = rows["detection_id"].to_numpy(zero_copy_only=False).astype(str)
    rows = rows.filter(pa.array(np.append(np.ones(min(len(ids), 1), bool), ids[1:] != ids[:-1])))
    is_wind = pa.array(is_plausible(floats(rows["wind_u_m_s"]), floats(rows["wind_v_m_s"])))
    for name in ("wind_u_m_s", "wind_v_m_s"):
        known = pc.if_else(is_wind, rows[name], pa.scalar(None, pa.float64()))
        rows = rows.set_column(rows.column_names.index(name), name, known)
    return rows


def _conform(columns: dict[str, Any]) -> pa.Table:
    n = len(columns["detection_id"])
    return pa.table({name: columns.get(name, pa.nulls(n)) for name in DETECTIONS.names}).cast(DETECTIONS)
