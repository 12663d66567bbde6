from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread
from planted import Planted, planted_columns, soundings_of
from plumewatch.oco2.detection import DetectedPeak, detect_peaks
from plumewatch.oco2.flux import compute_cross_sectional_flux_kt_h
from plumewatch.oco2.pictures import draw_peak
from plumewatch.pages.wording import without_rate_text
from plumewatch.tables import OBSERVATIONS, PEAKS, WIND

TRUTH = Planted(500, 3.0, 8.0)
TO_250_M = 25**0.08  # the power law from 10 m to plume height


def columns(**change: Any) -> dict[str, Any]:
    """An orbit along 20 E from 30 S northwards with one plume, wind (5, 1) m/s, 980 hPa and 20 kg/m2."""
    made = planted_columns(np.random.default_rng(7), 1000, [TRUTH])
    n = len(made["xco2"])
    return made | {name: np.broadcast_to(value, n).astype(float) for name, value in change.items()}


def only_accepted(table: pa.Table, **options: Any) -> DetectedPeak:
    found = [peak for peak in detect_peaks(table, **options).peaks if peak.row["status"] == "accepted"]
    assert len(found) == 1
    return found[0]


def test_row_holds_what_was_planted() -> None:
    peak = only_accepted(soundings_of(columns()))
    row = PEAKS.from_pylist([peak.row]).to_pylist()[0]
    assert row["orbit"] == 11522 and peak.month == "2016-08" and row["emission_status"] == "ok"
    assert row["latitude"] == pytest.approx(-30 + 500 / 111.195, abs=0.03) and row["longitude"] == pytest.approx(
        20, abs=0.06
    )
    started = datetime(2016, 8, 31, 11, 50, tzinfo=UTC)
    assert abs(row["observed_at_utc"] - started - timedelta(seconds=500 / 6.75)) < timedelta(seconds=1)
    assert str(row["peak_id"]).startswith("2016083111511") and row["background_ppm"] == pytest.approx(402, abs=0.4)
    assert row["wind_across_track_m_s"] == pytest.approx(5.0 * TO_250_M, abs=0.01)  # the track runs north
    assert row["wind_v_m_s"] == pytest.approx(TO_250_M, abs=0.01)
    assert row["wind_source"] == "granule 10 m to 250 m by a power law"
    assert row["surface_pressure_hpa"] == pytest.approx(980) and row["tcwv_kg_m2"] == pytest.approx(20)
    expected = float(compute_cross_sectional_flux_kt_h(row["amplitude_ppm_km"], 980, 20, row["wind_across_track_m_s"]))
    assert row["emission_kt_h"] == pytest.approx(expected, rel=1e-6)
    assert row["emission_kt_h_low"] < row["emission_kt_h"] < row["emission_kt_h_high"]
    wind = peak.details["wind"] if peak.details else {}
    assert wind["height_m"] == 250 and wind["power_law_exponent"] == 0.08 and wind["from_heights_m"] == [10]
    assert wind["original"] == {"product": "granule", "height_m": 10, "wind_u_m_s": 5.0, "wind_v_m_s": 1.0}
    assert wind["used"]["wind_u_m_s"] == row["wind_u_m_s"] and wind["other_products"] == []


@pytest.mark.parametrize(
    ("status", "u", "v"),
    [("wind_too_weak", 1.0, 1.0), ("wind_along_track", 1.0, 6.0), ("ok", 3.0, 4.0), ("ok", 1.6, 0.0)],
)
def test_emission_is_null_unless_the_wind_carries_it_across(status: str, u: float, v: float) -> None:
    change = {"Meteorology/windspeed_u_met": u, "Meteorology/windspeed_v_met": v}
    row = only_accepted(soundings_of(columns(**change))).row
    assert row["emission_status"] == status
    for name in ("emission_kt_h", "emission_kt_h_low", "emission_kt_h_high"):
        assert (row[name] is None) == (status != "ok")


def without(table: pa.Table, name: str, where: Any) -> pa.Table:
    """The table with nulls in a column."""
    values = pa.array(table[name].to_numpy(), mask=np.broadcast_to(where, table.num_rows))
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def test_missing_winds_are_bridged_nearby_and_named_where_there_are_none() -> None:
    table = soundings_of(columns())
    some = without(table, "wind_u_m_s", np.arange(table.num_rows) % 3 > 0)
    assert only_accepted(some).row["emission_status"] == "ok"
    # a component without the other one is no wind
    half = soundings_of(columns(**{"Meteorology/windspeed_u_met": np.where(np.arange(table.num_rows) % 2, 5.0, 90.0)}))
    row = only_accepted(without(half, "wind_v_m_s", np.arange(table.num_rows) % 2 == 0)).row
    assert row["wind_u_m_s"] == pytest.approx(5 * TO_250_M)
    none = only_accepted(without(table, "wind_v_m_s", True)).row
    assert none["emission_status"] == "no_wind" and none["wind_across_track_m_s"] is none["wind_source"] is None
    no_pressure = only_accepted(without(table, "surface_pressure_hpa", True)).row
    assert no_pressure["emission_status"] == "no_wind" and no_pressure["wind_u_m_s"] == pytest.approx(5 * TO_250_M)
    assert (without_rate_text(none), without_rate_text(no_pressure)) == ("no_wind", "no_surface_pressure")


def wind_rows(u: float, v: float, height_m: float, product: str = "era5") -> pa.Table:
    at = datetime(2016, 8, 31, 11, 0, tzinfo=UTC)
    rows = WIND.from_pylist(
        [
            {
                "observed_at_utc": at + timedelta(hours=h), "longitude": lon, "latitude": lat,
                "wind_u_m_s": u, "wind_v_m_s": v, "height_m": height_m,
            }
            for h in (0, 3) for lon in (19.0, 20.0, 21.0) for lat in (-27.0, -26.0, -25.0, -24.0)
        ]
    )  # fmt: skip
    return rows.append_column("product", pa.repeat(pa.scalar(product), rows.num_rows))


def test_wind_files_come_first() -> None:
    table = soundings_of(columns())
    wind = pa.concat_tables([wind_rows(-6.0, 0.0, 100.0), wind_rows(-9.0, 0.0, 500.0)])
    known = only_accepted(table, read_wind=lambda track, search: wind)
    u = -6 - 3 * np.log(2.5) / np.log(5)
    assert known.row["wind_u_m_s"] == pytest.approx(u)
    assert known.row["wind_across_track_m_s"] == pytest.approx(-u, abs=0.01)
    assert known.row["wind_source"] == "era5 at 250 m"
    details = known.details["wind"] if known.details else {}
    assert details["from_heights_m"] == [100, 500] and details["power_law_exponent"] is None
    assert details["original"] == {"product": "era5", "height_m": 100, "wind_u_m_s": -6.0, "wind_v_m_s": 0.0}
    far = only_accepted(table, read_wind=lambda track, search: wind.slice(0, 0))
    assert far.row["wind_u_m_s"] == pytest.approx(5 * TO_250_M) and far.row["wind_source"].startswith("granule 10 m")


def test_a_product_below_plume_height_is_carried_up_and_costs_certainty() -> None:
    table = soundings_of(columns())

    def width(height_m: float) -> float:
        # the same wind at 250 m, whatever the height that states it
        u = 8.0 * (height_m / 250) ** 0.08
        row = only_accepted(table, read_wind=lambda track, search: wind_rows(u, 0.0, height_m)).row
        assert row["wind_u_m_s"] == pytest.approx(8.0)
        return row["emission_kt_h_high"] - row["emission_kt_h"]

    assert width(250.0) < width(100.0) < width(10.0)


def test_two_products_tell_how_well_the_wind_is_known() -> None:
    table = soundings_of(columns())

    def row(other_u: float) -> dict[str, Any]:
        wind = pa.concat_tables([wind_rows(8.0, 0.0, 250.0), wind_rows(other_u, 0.0, 250.0, "geos_fp")])
        found = only_accepted(table, read_wind=lambda track, search: wind)
        assert found.details and found.details["wind"]["other_products"][0]["wind_u_m_s"] == pytest.approx(other_u)
        return found.row

    agree, differ = row(7.9), row(2.0)
    assert agree["wind_u_m_s"] == differ["wind_u_m_s"] == pytest.approx(8.0)  # the first by name
    assert differ["emission_kt_h"] == agree["emission_kt_h"]
    assert differ["emission_kt_h_high"] > agree["emission_kt_h_high"]
    against = row(-8.0)  # the opposite direction is no agreement
    assert against["emission_kt_h_high"] > differ["emission_kt_h_high"] and against["emission_kt_h_low"] == 0.0


def test_observation_of_an_orbit() -> None:
    observations = detect_peaks(soundings_of(columns())).observations
    rows = OBSERVATIONS.from_pylist(
        [
            row | {"observed_at_utc": datetime.fromisoformat(row["observed_at_utc"]), "track": row["track"].encode()}
            for row in observations
        ]
    ).to_pylist()
    assert len(rows) == 1
    row = rows[0]
    assert row["orbit"] == 11522 and row["outcome"] == "searched" and row["detected"] and row["stage"] == "detection"
    assert row["area"] is row["scene_id"] is row["source_id"] is None
    assert row["wind_speed_m_s"] == pytest.approx(np.hypot(5, 1)) and row["clear_fraction"] > 0.9
    emission = only_accepted(soundings_of(columns())).row["emission_kt_h"]
    assert 0 < row["detection_limit"] < emission
    json.dumps(observations)


def test_detection_limit_grows_with_wind_and_noise() -> None:
    def limit(table: pa.Table) -> float:
        return detect_peaks(table).observations[0]["detection_limit"]

    calm = limit(soundings_of(columns()))
    windy = limit(soundings_of(columns(**{"Meteorology/windspeed_u_met": 10.0})))
    assert windy == pytest.approx(2 * calm, rel=1e-3)
    noisy = columns()
    noisy["xco2"] = noisy["xco2"] + np.random.default_rng(1).normal(0, 1.5, len(noisy["xco2"]))
    assert limit(soundings_of(noisy)) > 1.5 * calm


def test_an_orbit_too_short_to_search_is_said_to_be() -> None:
    found = detect_peaks(soundings_of(planted_columns(np.random.default_rng(1), 15)))
    assert found.peaks == ()
    row = found.observations[0]
    assert row["outcome"] == "no_input" and row["detection_limit"] is None and row["clear_fraction"] == 0


def test_months_of_an_orbit_that_crosses_midnight_of_the_month_s_end() -> None:
    start = datetime(2016, 8, 31, 23, 58, 46, tzinfo=UTC)  # midnight is at the plume
    made = planted_columns(np.random.default_rng(7), 1000, [Planted(505, 3.0, 8.0)], start=start)
    found = detect_peaks(soundings_of(made))
    accepted = [peak for peak in found.peaks if peak.row["status"] == "accepted"]
    assert [peak.month for peak in accepted] == ["2016-09"]
    assert [(row["observed_at_utc"][:7], row["detected"]) for row in found.observations] == [
        ("2016-08", False),
        ("2016-09", True),
    ]


def test_details_are_what_the_picture_needs() -> None:
    peak = only_accepted(soundings_of(columns()))
    details = json.loads(json.dumps(peak.details))
    assert details["peak_id"] == str(peak.row["peak_id"]) and details["method"] == "scan"
    soundings = details["soundings"]
    assert len({len(values) for values in soundings.values()}) == 1
    assert all(isinstance(i, str) and len(i) == 16 for i in soundings["sounding_id"])
    along = {name: np.array(values) for name, values in details["along"].items()}
    assert along["distance_km"][0] <= min(soundings["distance_km"]) < -100 and (np.diff(along["distance_km"]) > 0).all()
    integral = np.trapezoid(along["enhancement_ppm"], along["distance_km"])
    assert integral == pytest.approx(peak.row["amplitude_ppm_km"], rel=0.1)
    enhancement = np.array(soundings["model_ppm"]) - np.array(soundings["background_ppm"])
    assert enhancement.max() == pytest.approx(peak.row["height_ppm"], rel=0.02)
    observed = np.array(soundings["xco2_ppm"]) - np.array(soundings["background_ppm"])
    assert soundings["enhancement_ppm"] == pytest.approx(observed.tolist())
    assert set(soundings["surface_pressure_hpa"]) == {980.0} and set(soundings["xco2_uncertainty_ppm"]) == {0.5}
    picture = draw_peak(details)
    assert picture == draw_peak(details)
    pixels = imread(io.BytesIO(picture))
    assert pixels.shape[0] > 300 and pixels.shape[1] > 800 and len(np.unique(pixels.reshape(-1, 4), axis=0)) > 50


def test_picture_without_wind() -> None:
    details = only_accepted(without(soundings_of(columns()), "wind_u_m_s", True)).details
    assert draw_peak(json.loads(json.dumps(details))).startswith(b"\x89PNG")


def test_rejected_peaks_have_no_details() -> None:
    made = planted_columns(np.random.default_rng(23), 900, [Planted(-10, 15.0, 12.0)])  # its middle is off the track
    found = detect_peaks(soundings_of(made)).peaks
    assert "shoulders_empty" in {p.row["status"] for p in found}
    assert all(p.row["status"] != "accepted" and p.details is None for p in found)


def test_seed_method_gives_rows_too() -> None:
    found = detect_peaks(soundings_of(columns()), "curve_fit_seed")
    rows = PEAKS.from_pylist([peak.row for peak in found.peaks]).to_pylist()
    accepted = [row for row in rows if row["status"] == "accepted"]
    assert len(accepted) >= 2 and len({row["peak_id"] for row in accepted}) == len(accepted)
    assert all(row["false_alarm_probability"] <= 0.02 for row in accepted)
    assert all(row["amplitude_ppm_km_low"] <= row["amplitude_ppm_km"] <= row["amplitude_ppm_km_high"] for row in rows)
