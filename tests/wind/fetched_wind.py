"""Settings that ask the services on loopback, and what was stored of their wind."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
from plumewatch import storage
from plumewatch.settings import Settings
from plumewatch.tables import WIND
from wind_services import DAY, Answers

BOTH = "geos_fp,era5"
HOUR = timedelta(hours=1)
NOON = DAY + 12 * HOUR


def settings(root: str, wind: str, geos_fp: Answers | None = None, era5: Answers | None = None) -> Settings:
    closed = "http://127.0.0.1:9/closed"
    urls = {"geos_fp_url": geos_fp.url if geos_fp else closed, "era5_url": era5.url if era5 else closed}
    return Settings(root, wind=wind, **urls)


def stored(root: str, product: str | None = None) -> pa.Table:
    return storage.read_table(WIND, storage.join(root, "wind"), where={"product": product} if product else None)


def hours_of(rows: pa.Table) -> set[float]:
    return {(at - DAY) / HOUR for at in rows["observed_at_utc"].to_pylist()}
