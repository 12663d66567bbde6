"""Rows of the table `wind` as arrays: those that say a wind, in an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from plumewatch.wind.profile import is_plausible, is_plausible_height

Floats = NDArray[np.float64]

MICROSECONDS_PER_HOUR = 3_600_000_000
NUMBERS = ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s", "height_m")
POLE_DEG = 90.0


@dataclass(frozen=True)
class WindRows:
    """One value a row."""

    time: Floats
    """Hours since 1970."""
    lon: Floats
    lat: Floats
    u: Floats
    v: Floats
    height: Floats
    product: NDArray[np.str_]

    @classmethod
    def from_table(cls, wind: pa.Table) -> WindRows:
        """Rows that say a wind, in an order of their own: what comes out doesn't depend on the order of the file."""
        number = {n: wind[n].to_numpy().astype(float) for n in NUMBERS}
        time = hours_since_1970(wind["observed_at_utc"])
        product = (
            np.asarray(wind["product"].to_pylist(), dtype=str)
            if "product" in wind.column_names
            else np.full(len(time), "")
        )
        rows = cls(
            time,
            number["longitude"],
            number["latitude"],
            number["wind_u_m_s"],
            number["wind_v_m_s"],
            number["height_m"],
            product,
        )
        order = np.lexsort((rows.v, rows.u, rows.lon, rows.lat, rows.time))
        return rows.take(order[is_usable(wind)[order]])

    def take(self, which: NDArray[np.generic] | slice) -> WindRows:
        """Some of the rows."""
        return WindRows(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def is_usable(wind: pa.Table) -> NDArray[np.bool_]:
    """Return which rows of the table `wind` say a wind: a time, a place, a height near the ground, no fill value."""
    lon, lat, u, v, height = (wind[n].to_numpy().astype(float) for n in NUMBERS)
    has_place = np.isfinite(lon) & (np.abs(lat) <= POLE_DEG) & is_plausible_height(height)
    return has_place & is_plausible(u, v) & np.isfinite(hours_since_1970(wind["observed_at_utc"]))


def hours_since_1970(times: Sequence[datetime] | pa.Array | pa.ChunkedArray | NDArray[np.datetime64]) -> Floats:
    """Return hours since 1970, NaN for a null."""
    if isinstance(times, np.ndarray) and times.dtype.kind == "M":
        column = pa.array(times.astype("datetime64[us]"))
    else:
        column = (
            times
            if isinstance(times, pa.Array | pa.ChunkedArray)
            else pa.array(list(times), pa.timestamp("us", tz="UTC"))
        )
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) / MICROSECONDS_PER_HOUR
