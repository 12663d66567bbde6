"""Soundings that aren't used are counted by reason, and named with their orbit and file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from planted import Planted, planted_columns, soundings_of
from plumewatch import storage
from plumewatch.oco2.granules.soundings import OrbitFiles, OrbitReader
from plumewatch.oco2.orbits.worker import OrbitTask, detect_orbit, name_left_out, sum_left_out
from plumewatch.tables import SOUNDINGS

MONTH, ORBIT = "2016-08", 11500
N = 3552
HOSTILE: dict[str, tuple[str, Any, str]] = {
    "bad quality": ("xco2_quality_flag", 1, "bad_quality"),
    "unknown quality": ("xco2_quality_flag", None, "bad_quality"),
    "a quality that is none": ("xco2_quality_flag", -1, "bad_quality"),
    "fill of quality": ("xco2_quality_flag", 127, "bad_quality"),
    "a quality of older files": ("xco2_quality_flag", 2, "bad_quality"),
    "ids": ("sounding_id", None, "no_id"),
    "times": ("observed_at_utc", None, "no_time"),
    "longitudes": ("longitude", float("nan"), "no_place"),
    "latitudes": ("latitude", 95.0, "no_place"),
    "no xco2": ("xco2_ppm", None, "no_xco2"),
    "fill values": ("xco2_ppm", -999999.0, "implausible"),
    "xco2 as a fraction": ("xco2_ppm", 4e-4, "implausible"),
    "pressure in Pa": ("surface_pressure_hpa", 100000.0, "implausible_surface_pressure_hpa"),
    "water": ("tcwv_kg_m2", -999.0, "implausible_tcwv_kg_m2"),
    "wind": ("wind_u_m_s", 9999.0, "implausible_wind"),
}


def searched(path: Path, column: str, values: Any) -> tuple[OrbitTask, list[dict[str, Any]], dict[str, Any]]:
    """The task, the peaks and the report of an orbit with a plume, in which a column is as given."""
    start = datetime(2016, 8, 30, 10, tzinfo=UTC)
    plume = [Planted(500, 4.0, 8.0)]
    rows = soundings_of(planted_columns(np.random.default_rng(1), 1000, plume, orbit=ORBIT, start=start))
    at = rows.schema.get_field_index(column)
    changed = pa.array(values(rows[column].to_pylist()), rows.schema.field(at).type)
    storage.write_parquet(SOUNDINGS, str(path), rows.set_column(at, rows.schema.field(at), changed))
    task = OrbitTask(0, OrbitFiles(ORBIT, (str(path),), (MONTH,)), (MONTH,), "scan", None, None)
    *peaks, report = detect_orbit(task, OrbitReader())
    return task, peaks, {"sensor": "oco2", "orbit": ORBIT, **json.loads(report["orbit_report"])}


@pytest.mark.parametrize("column, value, reason", HOSTILE.values(), ids=HOSTILE)
def test_rows_of_bad_values_are_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, value: Any, reason: str
) -> None:
    task, peaks, report = searched(tmp_path / "30.parquet", column, lambda old: [value] * 3 + old[3:])
    assert report["failure"] is None and [peak["status"] for peak in peaks].count("accepted") == 1
    assert report["n_soundings"] == N and sum_left_out([report, report]) == {reason: 6}
    with caplog.at_level("INFO"):
        name_left_out([task], [report])
    [record] = caplog.records
    assert record.message == (f"orbit {ORBIT}: left out or unknown of {N} soundings: {reason} 3; {tmp_path}/30.parquet")
    assert record.levelname == ("INFO" if reason == "bad_quality" else "WARNING")


def test_a_plume_of_bad_quality_is_none(tmp_path: Path) -> None:
    _, peaks, report = searched(tmp_path / "x.parquet", "xco2_quality_flag", lambda old: [1] * len(old))
    assert peaks == [] and report["failure"] is None and sum_left_out([report]) == {"bad_quality": N}


def test_good_soundings_need_no_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task, peaks, report = searched(tmp_path / "x.parquet", "wind_u_m_s", lambda old: [None, *old[1:]])
    with caplog.at_level("INFO"):
        name_left_out([task], [report])
    assert caplog.text == "" and sum_left_out([report]) == {} and len(peaks) == 1
