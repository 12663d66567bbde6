"""The files of the table soundings are plain enough for other readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from lite_granules import northward_track
from planted import soundings_of
from plumewatch import storage
from plumewatch.tables import SOUNDINGS


def test_spark_reads_what_extraction_writes(spark: Any, tmp_path: Path) -> None:
    """Its reader refuses some of the encodings that Arrow can write."""
    rows = soundings_of(northward_track(300.0))
    storage.write_parquet(SOUNDINGS, f"file://{tmp_path}/a.parquet", rows)
    read = spark.read.parquet(f"file://{tmp_path}/a.parquet").toArrow()
    assert read["sounding_id"].to_pylist() == rows["sounding_id"].to_pylist()
    assert pc.sum(read["longitude"]) == pc.sum(rows["longitude"])
    assert read["xco2_ppm"].to_pylist() == rows["xco2_ppm"].to_pylist()
    assert storage.read_parquet(SOUNDINGS, f"file://{tmp_path}/a.parquet").equals(rows)
