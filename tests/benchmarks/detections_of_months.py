"""Made-up detections and sources of a size that no month has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from plumewatch import storage
from plumewatch.geodesy import destination
from plumewatch.tables import PEAKS, SOURCES

SEED = 15
CLUSTERS, SPREAD_KM = 400, 400.0
FIRST_ID = 2025080100000000


@dataclass(frozen=True)
class DetectionsAndSources:
    """Rows of both, with what matching needs."""

    seen: pa.Table
    listed: pa.Table

    @property
    def both(self) -> tuple[pa.Table, pa.Table]:
        """Detections, sources."""
        return self.seen, self.listed

    def write(self, root: Path) -> None:
        """Write them as tables of a storage."""
        n = len(self.seen)
        columns = {name: pa.nulls(n, kind) for name, kind in zip(PEAKS.schema.names, PEAKS.schema.types, strict=True)}
        columns |= {name: self.seen[name] for name in ("longitude", "latitude", "wind_u_m_s", "wind_v_m_s")}
        columns |= {"peak_id": pa.array(FIRST_ID + np.arange(n)), "orbit": pa.repeat(pa.scalar(1, pa.int32()), n)}
        columns |= {"status": pa.repeat("accepted", n), "emission_status": pa.repeat("ok", n)}
        columns |= {"emission_kt_h": self.seen["emission"], "sigma_km": self.seen["sigma_km"]}
        at = np.datetime64("2025-08-01T12:00", "us") + np.arange(n).astype("timedelta64[s]")
        columns["observed_at_utc"] = pa.array(at).cast(pa.timestamp("us", "UTC"))
        keys = {"method": "scan", "month": "2025-08"}
        storage.write_partition(PEAKS, f"{root}/peaks", keys, pa.table(columns))
        m = len(self.listed)
        rows = {name: pa.nulls(m, kind) for name, kind in zip(SOURCES.schema.names, SOURCES.schema.types, strict=True)}
        rows |= {name: self.listed[name] for name in ("source_id", "longitude", "latitude", "emission_t_y")}
        rows |= {"gas": pa.repeat("co2", m), "kind": pa.repeat("power_plant", m)}
        storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "own_sources"}, pa.table(rows))


def made_up(n: int, n_sources: int) -> DetectionsAndSources:
    """Return detections around sources, half of which lie in regions and half anywhere."""
    rng = np.random.default_rng(SEED)

    def anywhere(size: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.uniform(-180, 180, size), np.degrees(np.arcsin(rng.uniform(-1, 1, size)))

    half = n_sources // 2
    regions, which = anywhere(CLUSTERS), rng.integers(0, CLUSTERS, n_sources - half)
    away = SPREAD_KM * np.sqrt(rng.uniform(size=len(which)))
    near = destination(regions[0][which], regions[1][which], rng.uniform(0, 360, len(which)), away)
    lon, lat = (np.concatenate(both) for both in zip(anywhere(half), near, strict=True))
    of = rng.integers(0, n_sources, n)
    at = destination(lon[of], lat[of], rng.uniform(0, 360, n), rng.uniform(0, 100, n))
    listed = {"source_id": [f"s{i}" for i in range(n_sources)], "inventory": ["own"] * n_sources}
    listed |= {"longitude": lon, "latitude": lat, "emission_t_y": rng.uniform(1e5, 3e7, n_sources)}
    seen = {"detection_id": [f"d{i:07d}" for i in range(n)], "longitude": at[0], "latitude": at[1]}
    seen |= {"wind_u_m_s": rng.normal(0, 4, n), "wind_v_m_s": rng.normal(0, 4, n)}
    seen |= {"emission": rng.uniform(0.5, 4, n), "sigma_km": rng.uniform(2, 12, n)}
    return DetectionsAndSources(pa.table(seen), pa.table(listed))
