"""Unit costs times volumes: pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

S_OF_HOUR, DAYS_OF_MONTH, DAYS_OF_YEAR, HOURS_OF_DAY = 3600.0, 30.4, 365.0, 24.0
TASKS_AT_A_TIME = 4
"""Scenes that an ingest run fetches at once (`max_active_tis_per_dagrun` of `fetch_scene`)."""

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    unit: str
    value: float


def rows(costs: Numbers, volumes: Numbers) -> list[Row]:
    """Return what a service needs a day.

    A square of side a lies in ((a + tile) / step)^2 tiles on average: so many scenes has each overpass of an area.
    """
    v, c = volumes, costs
    passes = v["areas"] / v["revisit_days"]
    scenes = passes * ((v["area_side_km"] + v["tile_km"]) / v["tile_step_km"]) ** 2
    mpx = (v["area_side_km"] * 1000 / v["pixel_m"]) ** 2 / 1e6
    pixels = passes * mpx
    soundings = v["soundings_a_day"]
    fetch_h = scenes * c["fetch_core_s_scene"] / S_OF_HOUR
    pixels_h = pixels * c["pixels_core_s_mpx"] / S_OF_HOUR
    methane_h = pixels * c["methane_core_s_mpx"] / S_OF_HOUR
    extract_h = soundings * c["extract_core_s_million"] / 1e6 / S_OF_HOUR
    peaks_h = 2 * soundings * c["peaks_core_s_million"] / 1e6 / S_OF_HOUR  # once for the wind around them, once with it
    of_month = (c["tasks_of_month"] + DAYS_OF_MONTH) / DAYS_OF_MONTH
    tasks = scenes + c["tasks_of_day"] + of_month + c["tasks_of_watch_a_day"]
    tasks_h = tasks * c["start_core_s_task"] / S_OF_HOUR
    scenes_gb = scenes * mpx * c["scene_bytes_px"] / 1e3
    pixels_gb = pixels * c["pixel_bytes"] / 1e3
    found_gb = passes * c["details_mb_pass"] / 1e3 + c["map_mb"] / 1e3
    soundings_gb = soundings * c["sounding_bytes"] / 1e9
    stored_gb = scenes_gb + pixels_gb + found_gb + soundings_gb
    core_h = fetch_h + pixels_h + methane_h + extract_h + peaks_h + tasks_h
    requests = scenes * c["s3_requests_scene"] + passes * (c["s3_requests_pixels"] + c["s3_requests_methane"])
    return [
        Row("areas", "", v["areas"]),
        Row("overpasses of areas", "a day", passes),
        Row("scenes fetched", "a day", scenes),
        Row("pixels, rows of `pixels`", "million a day", pixels),
        Row("OCO-2 orbits", "a day", v["orbits_a_day"]),
        Row("soundings, rows of `soundings`", "a day", soundings),
        Row("searches of catalogues", "thousand requests a day", v["areas"] * c["searches_a_day_area"] / 1e3),
        Row("read from catalogues of Sentinel-2", "GB a day", scenes * c["read_mb_scene"] / 1e3),
        Row("read from NASA's archive", "GB a day", v["granule_mb"] / 1e3),
        Row("stored: `scenes`", "GB a day", scenes_gb),
        Row("stored: `pixels`", "GB a day", pixels_gb),
        Row("stored: details and maps", "GB a day", found_gb),
        Row("stored: `soundings`", "GB a day", soundings_gb),
        Row("stored in all", "TB a year", stored_gb * DAYS_OF_YEAR / 1e3),
        Row("fetching scenes", "core hours a day", fetch_h),
        Row("rasters to pixels", "core hours a day", pixels_h),
        Row("methane: search and details", "core hours a day", methane_h),
        Row("CO2: extraction and peaks", "core hours a day", extract_h + peaks_h),
        Row("starts of Airflow's tasks", "core hours a day", tasks_h),
        Row("cores that are busy all day", "cores", core_h / HOURS_OF_DAY),
        Row("requests to S3", "thousand a day", requests / 1e3),
        Row("Airflow task instances", "a day", tasks),
        Row("of them in one mapped task", "a day", scenes),
        Row("that task, so many at a time: 4", "hours", scenes * c["fetch_slot_s_scene"] / TASKS_AT_A_TIME / S_OF_HOUR),
    ]
