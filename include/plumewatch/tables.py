"""The one place of schemas: every table under the storage root, its partitions, columns and units.

The unit is the end of a column's name. Partition columns are not in the files: they are the folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from plumewatch.table import Table

TIME = pa.timestamp("us", tz="UTC")
F8, F4, I1, I2, I4, I8 = pa.float64(), pa.float32(), pa.int8(), pa.int16(), pa.int32(), pa.int64()
S, U1, B = pa.string(), pa.uint8(), pa.bool_()

FURTHER_BANDS = ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09")


def _schema(columns: Mapping[str, pa.DataType], metadata: dict[bytes, bytes] | None = None) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()], metadata=metadata)


def _geoparquet(column: str, geometry_types: Sequence[str]) -> dict[bytes, bytes]:
    """Metadata by which a GeoParquet 1.1 reader knows the column; without `crs` it is longitude and latitude."""
    geo = {
        "version": "1.1.0",
        "primary_column": column,
        "columns": {column: {"encoding": "WKB", "geometry_types": list(geometry_types)}},
    }
    return {b"geo": json.dumps(geo, sort_keys=True).encode()}


_PUBLISHED = pa.struct(
    [("team", S), *((name, F8) for name in ("emission_kg_h", "emission_kg_h_low", "emission_kg_h_high", "probability"))]
)
"""What one team published of a case; a rate of 0: it saw nothing, null: it could not look."""

PIXELS = Table(
    "pixels",
    ("area", "date"),
    _schema(
        {
            "scene_id": S, "platform": S, "observed_at_utc": TIME, "relative_orbit": I2, "epsg": I4, "pixel_size_m": F4,
            "row": I4, "col": I4, "longitude": F8, "latitude": F8, "b11": F4, "b12": F4, "b_diff": F4, "scl": U1,
            "cloud_probability_percent": U1, "is_clear": B, "solar_zenith_deg": F4, "view_zenith_deg": F4,
        }
    ),
    sort_by=("platform", "relative_orbit", "row", "col"),
    is_small=False,
    optional=frozenset({"observed_at_utc", "relative_orbit", "epsg", "pixel_size_m", "cloud_probability_percent"}),
    further=dict.fromkeys(FURTHER_BANDS, F4),
)  # fmt: skip

SOUNDINGS = Table(
    "soundings",
    ("month",),
    _schema(
        {
            "sounding_id": I8, "observed_at_utc": TIME, "orbit": I4, "longitude": F8, "latitude": F8, "xco2_ppm": F4,
            "xco2_uncertainty_ppm": F4, "xco2_quality_flag": I1, "operation_mode": I1, "footprint": I1,
            "wind_u_m_s": F4, "wind_v_m_s": F4, "surface_pressure_hpa": F4,
            "surface_pressure_apriori_hpa": F4, "tcwv_kg_m2": F4, "tcwv_apriori_kg_m2": F4,
            "tcwv_uncertainty_kg_m2": F4, "altitude_m": F4, "land_water_indicator": I1, "land_fraction_percent": F4,
            "granule": S, "sensor": S,
        }
    ),
    sort_by=("sounding_id",),
    is_small=False,
    repeating=frozenset({
        "orbit", "xco2_quality_flag", "operation_mode", "footprint", "land_water_indicator",
        "land_fraction_percent", "granule", "sensor",
    }),
    optional=frozenset({"surface_pressure_apriori_hpa", "tcwv_apriori_kg_m2", "tcwv_uncertainty_kg_m2", "sensor"}),
)  # fmt: skip

PEAKS = Table(
    "peaks",
    ("method", "month"),
    _schema(
        {
            "peak_id": I8, "orbit": I4, "observed_at_utc": TIME, "longitude": F8, "latitude": F8, "height_ppm": F8,
            "amplitude_ppm_km": F8, "amplitude_ppm_km_low": F8, "amplitude_ppm_km_high": F8, "sigma_km": F8,
            "background_ppm": F8, "slope_ppm_km": F8, "correlation": F8, "false_alarm_probability": F8,
            "significance": F8, "n_soundings": I4, "wind_u_m_s": F8, "wind_v_m_s": F8, "wind_across_track_m_s": F8,
            "surface_pressure_hpa": F8, "tcwv_kg_m2": F8, "emission_kt_h": F8, "emission_kt_h_low": F8,
            "emission_kt_h_high": F8, "emission_status": S, "status": S, "wind_source": S, "probability": F4,
            "sensor": S,
        }
    ),
    sort_by=("observed_at_utc", "peak_id", "status"),
    optional=frozenset({"wind_source", "probability", "sensor"}),
)  # fmt: skip

WIND = Table(
    "wind",
    ("product", "date"),
    _schema(
        {"observed_at_utc": TIME, "longitude": F8, "latitude": F8, "wind_u_m_s": F8, "wind_v_m_s": F8, "height_m": F8}
    ),
    sort_by=("observed_at_utc", "height_m", "latitude", "longitude"),
    may_be_flat=True,
)

PLUMES = Table(
    "plumes",
    ("method", "area", "date"),
    _schema(
        {
            "plume_id": S, "scene_id": S, "observed_at_utc": TIME, "reference_scene_ids": pa.list_(S), "longitude": F8,
            "latitude": F8, "area_m2": F8, "n_pixels": I4, "enhancement_mean_mol_m2": F8, "enhancement_max_mol_m2": F8,
            "ime_kg": F8, "wind_speed_10m_m_s": F8, "wind_from_deg": F8, "emission_kg_h": F8, "emission_kg_h_low": F8,
            "emission_kg_h_high": F8, "emission_status": S, "probability": F4, "status": S, "geometry": pa.binary(),
            "is_cut": B,  # by the end of the area or by pixels that weren't seen: mass and rate are lower bounds
        },
        _geoparquet("geometry", ["Polygon", "MultiPolygon"]),
    ),
    sort_by=("scene_id", "plume_id"),
    optional=frozenset({"observed_at_utc", "is_cut"}),
)  # fmt: skip

ANOMALIES = Table(
    "anomalies",
    ("area", "date"),
    _schema({"scene_id": S, "row": I4, "col": I4, "longitude": F8, "latitude": F8, "score": F8, "cluster": I4}),
    sort_by=("scene_id", "row", "col"),
)

OBSERVATIONS = Table(
    "observations",
    ("gas", "key"),
    _schema(
        {
            "area": S, "orbit": I4, "scene_id": S, "source_id": S, "observed_at_utc": TIME, "outcome": S,
            # of what the satellite saw of the area, and what it saw of the area
            "clear_fraction": F8, "covered_fraction": F8, "wind_speed_m_s": F8, "detection_limit": F8, "detected": B,
            "stage": S,
            # the setting for want of which nobody asked: then nothing is known of the input
            "missing_setting": S,
            # whose orbit it is, and where its soundings lie: WKB, a MultiLineString in degrees
            "sensor": S, "track": pa.binary(),
        }
    ),
    sort_by=("area", "orbit", "scene_id", "source_id", "stage", "sensor"),
    optional=frozenset(
        {"area", "orbit", "scene_id", "source_id", "covered_fraction", "stage", "missing_setting", "sensor", "track"}
    ),
)  # fmt: skip

SOURCES = Table(
    "sources",
    ("inventory",),
    _schema(
        {
            "source_id": S, "name": S, "kind": S, "fuel": S, "gas": S, "emission_t_y": F8, "emission_t_y_sigma": F8,
            "year": I2, "longitude": F8, "latitude": F8, "owner": S, "licence": S, "provenance": S,
            "alternatives": S,  # what other lists say of the same emitter
            "cell_width_deg": F8, "cell_height_deg": F8,  # of a grid cell, around its place
        }
    ),
    sort_by=("source_id",),
    may_be_flat=True,
    optional=frozenset({"owner", "licence", "provenance", "alternatives", "cell_width_deg", "cell_height_deg"}),
)  # fmt: skip

REPORTED_PLUMES = Table(
    "reported_plumes",
    ("provider",),
    _schema(
        {
            "report_id": S, "gas": S, "observed_at_utc": TIME, "longitude": F8, "latitude": F8, "emission_kg_h": F8,
            "emission_sigma_kg_h": F8, "platform": S, "sector": S, "licence": S,
        }
    ),
    sort_by=("report_id",),
    optional=frozenset({"emission_sigma_kg_h"}),
)  # fmt: skip

REVIEWS = Table(
    "reviews",
    ("gas",),
    _schema(
        {
            "detection_id": S, "longitude": F8, "latitude": F8, "observed_at_utc": TIME, "verdict": S, "comment": S,
            "by": S, "at": TIME,
        }
    ),
    sort_by=("detection_id", "at", "by"),
    optional=frozenset({"observed_at_utc", "comment"}),
)  # fmt: skip

SOURCE_PASSES = Table(
    "source_passes",
    ("gas", "key"),
    _schema(
        {
            "source_id": S, "area": S, "orbit": I4, "sensor": S, "scene_id": S, "observed_at_utc": TIME,
            "longitude": F8, "latitude": F8,  # of the detection
            "distance_km": F8,  # of the detection from the source; without one, of where the plume crosses the orbit
            "visible_fraction": F8, "detection_limit": F8, "wind_speed_m_s": F8, "wind_from_deg": F8,
            "detection_id": S, "rank": I2, "probability": F8, "emission": F8, "emission_low": F8, "emission_high": F8,
            "status": S,
            "learnt_emission": F8,  # what a model of source_model_training says of a peak's source
            "window_probability": F8,  # and another one: that the soundings around a peak hold one
        }
    ),
    sort_by=("source_id", "observed_at_utc", "area", "orbit", "detection_id"),
    optional=frozenset({"learnt_emission", "window_probability"}),
)  # fmt: skip

SOURCE_ESTIMATES = Table(
    "source_estimates",
    ("gas",),
    _schema(
        {
            "source_id": S, "times_observed": I4, "times_seen": I4, "emission": F8, "emission_low": F8,
            "emission_high": F8, "inventory_emission": F8, "ratio": F8, "first_seen": TIME, "last_seen": TIME,
            "status": S,
        }
    ),
    sort_by=("source_id",),
    optional=frozenset({"status"}),
)  # fmt: skip

SOURCE_CANDIDATES = Table(
    "source_candidates",
    ("gas",),
    _schema(
        {
            "candidate_id": S, "longitude": F8, "latitude": F8, "times_seen": I4, "emission": F8, "emission_low": F8,
            "emission_high": F8, "probability": F8, "first_seen": TIME, "last_seen": TIME,
            "detection_ids": pa.list_(S), "times_observed": I4,
        }
    ),
    sort_by=("candidate_id",),
    optional=frozenset({"first_seen", "last_seen", "detection_ids", "times_observed"}),
)  # fmt: skip

COMBINED = "combined"
"""Value of the partition `inventory=` of `sources` that all inventories together make, each emitter once."""

MATCHES = Table(
    "matches",
    ("gas", "period"),
    _schema(
        {
            "detection_id": S, "source_id": S, "inventory": S, "rank": I2, "probability": F8, "distance_km": F8,
            "along_wind_km": F8, "across_wind_km": F8, "expected_emission": F8, "detected_emission": F8, "ratio": F8,
            "plume_model_emission": F8, "plume_model_emission_low": F8, "plume_model_emission_high": F8, "status": S,
            "false_detection_probability": F8, "is_answer": B, "share": F8,
        }
    ),
    sort_by=("detection_id", "rank"),
    optional=frozenset(
        {f"plume_model_emission{part}" for part in ("", "_low", "_high")}
        | {"false_detection_probability", "is_answer", "share"}
    ),
)  # fmt: skip

FAILED_SCENES = Table(
    "failed_scenes",
    ("dag_id", "key"),
    _schema(
        {
            "run_id": S, "area": S, "scene_id": S, "asset": S, "stage": S, "error_class": S, "http_status": I4,
            "message": S, "attempts": I2, "first_failed_at_utc": TIME, "last_failed_at_utc": TIME,
            "healed_at_utc": TIME, "is_retryable": B,
        }
    ),
    sort_by=("area", "scene_id", "stage"),
)  # fmt: skip

PROCESSING_UNITS = Table(
    "processing_units",
    ("account", "month"),
    _schema(
        {
            "begun_at_utc": TIME, "area": S, "scene_id": S, "predicted_units": F8,
            "spent_units": F8,  # null while it is asked for, and where its process has died: then the predicted count
            "n_requests": I4, "is_refused": B,
        }
    ),
    sort_by=("begun_at_utc", "area", "scene_id"),
)  # fmt: skip

SCENE_GAPS = Table(
    "scene_gaps",
    ("date",),
    _schema(
        {
            "area": S, "scene_id": S, "reason": S, "message": S,  # no scene_id: the area's whole day
            "is_due": B, "run_id": S, "first_missed_at_utc": TIME, "filled_at_utc": TIME,  # due: the run fetches it
        }
    ),
    sort_by=("area", "scene_id"),
)  # fmt: skip

VALIDATION = Table(
    "validation",
    ("case",),
    _schema(
        {
            "set": S, "site": S, "longitude": F8, "latitude": F8, "platform": S, "observed_on": S,
            "observed_at_utc": TIME, "area": S, "scene_id": S, "outcome": S, "missing": S, "plume_id": S, "status": S,
            "probability": F8, "distance_km": F8, "emission_kg_h": F8, "emission_kg_h_low": F8,
            "emission_kg_h_high": F8, "emission_status": S, "error_percent": F8, "detection_limit_kg_h": F8,
            "n_plumes_elsewhere": I4, "n_references": I4, "clear_fraction": F8, "wind_speed_10m_m_s": F8,
            "metered_kg_h": F8, "published": pa.list_(_PUBLISHED), "published_wind_speed_10m_m_s": F8, "note": S,
            "source": S, "licence": S,
        }
    ),
    sort_by=("observed_on",),
)  # fmt: skip

ZONAL_STATISTICS = Table(
    "zonal_statistics",
    ("zones", "month"),
    _schema(
        {
            "zone_id": S, "scene_id": S, "statistic": S, "band_or_index": S,  # no scene_id: the whole month
            "value": F8, "count_clear": I8, "count_total": I8, "clear_fraction": F4,
        }
    ),
    sort_by=("zone_id", "scene_id", "band_or_index", "statistic"),
)  # fmt: skip

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PIXELS, SOUNDINGS, PEAKS, WIND, PLUMES, ANOMALIES, OBSERVATIONS, SOURCES, MATCHES,
        FAILED_SCENES, SCENE_GAPS, PROCESSING_UNITS, VALIDATION,
        ZONAL_STATISTICS, REPORTED_PLUMES, REVIEWS,
        SOURCE_PASSES, SOURCE_ESTIMATES, SOURCE_CANDIDATES,
    )
}  # fmt: skip
