"""A place that the satellite sweeps over, in target or area-map mode, is one overpass: one plume there is one peak."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lite_granules import sounding_ids
from planted import Planted, noise, planted_columns, soundings_of
from plumewatch.geodesy import destination, great_circle_distance_km
from plumewatch.oco2.detection import OrbitDetections, detect_peaks
from plumewatch.oco2.overpasses import compute_overpasses
from plumewatch.oco2.track import compute_track
from plumewatch.tables import SOUNDINGS

START_S = 1_472_644_200  # 2016-08-31 11:50 UTC
SITE = (29.0, -26.0)
TARGET, AREA_MAP = 2, 4
TURN_S = 20


def sweeps(
    *,
    length_km: float = 40.0,
    n: int = 5,
    step_km: float = 1.0,
    bearing_deg: float = 0.0,
    site: tuple[float, float] = SITE,
    height_ppm: float = 4.0,
    sigma_km: float = 3.0,
    centre_km: float = 0.0,
    mode: int = TARGET,
    start_s: int = START_S,
    seed: int = 1,
    is_correlated: bool = False,
) -> pa.Table:
    """Sweeps of 100 rows of eight footprints, there and back, each a step aside, over a plume across all of them."""
    rng, rows = np.random.default_rng(seed), 100
    row, foot = (a.ravel() for a in np.meshgrid(np.arange(rows), np.arange(1, 9), indexing="ij"))
    along, aside, thirds = [], [], []
    for sweep in range(n):
        along.append((row / rows - 0.5) * length_km * (-1 if sweep % 2 else 1))
        aside.append((foot - 4.5) * 1.29 + (sweep - (n - 1) / 2) * step_km)
        thirds.append(start_s * 3 + sweep * (rows + 3 * TURN_S) + row)
    y, x, third = map(np.concatenate, (along, aside, thirds))
    xco2 = 402 + height_ppm * np.exp(-0.5 * ((y - centre_km) / sigma_km) ** 2)
    xco2 += noise(rng, y) if is_correlated else rng.normal(0, 0.5, len(y))
    longitude, latitude = destination(*destination(*site, bearing_deg, y), bearing_deg + 90.0, x)
    return table(sounding_ids(third, np.tile(foot, n)), third / 3, longitude, latitude, xco2, mode)


def table(ids: Any, time_s: Any, longitude: Any, latitude: Any, xco2: Any, mode: int) -> pa.Table:
    size = len(ids)
    flat = {"orbit": 11522, "xco2_uncertainty_ppm": 0.5, "operation_mode": mode, "wind_u_m_s": 5.0, "wind_v_m_s": 3.0}
    flat |= {"surface_pressure_hpa": 980.0, "tcwv_kg_m2": 20.0}
    values = {
        f.name: np.full(size, flat[f.name]) if f.name in flat else pa.nulls(size, f.type) for f in SOUNDINGS.schema
    }
    times = pa.array(np.rint(np.asarray(time_s) * 1e6).astype("i8")).cast(pa.timestamp("us", tz="UTC"))
    values |= {"sounding_id": ids.astype("i8"), "observed_at_utc": times, "xco2_ppm": xco2}
    return SOUNDINGS.from_columns(values | {"longitude": longitude, "latitude": latitude})


def nadir(*peaks: Planted, **track: Any) -> pa.Table:
    return soundings_of(planted_columns(np.random.default_rng(4), 600, peaks, latitude=-40.0, longitude=29.0, **track))


def accepted(found: OrbitDetections) -> list[dict[str, Any]]:
    return [peak.row for peak in found.peaks if peak.row["status"] == "accepted"]


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"length_km": 20.0},
        {"length_km": 60.0},
        {"length_km": 100.0, "sigma_km": 6.0},
        {"n": 2},
        {"n": 9, "step_km": 0.3},
        {"n": 6, "step_km": 8.0, "mode": AREA_MAP},  # wider than long
        {"bearing_deg": 90.0},
        {"bearing_deg": 200.0},
        {"bearing_deg": -12.0, "height_ppm": 2.0},
        {"centre_km": 6.0},
        {"site": (179.99, 10.0), "bearing_deg": 150.0},
        {"site": (20.0, 89.9)},
        {"site": (-100.0, 70.0), "bearing_deg": 135.0, "n": 7},
    ],
    ids=str,
)
def test_one_plume_is_one_peak_and_nothing_else(shape: dict[str, Any]) -> None:
    planted = {"height_ppm": 4.0, "sigma_km": 3.0, "centre_km": 0.0, "site": SITE, "bearing_deg": 0.0} | shape
    found = detect_peaks(sweeps(**shape))
    [row] = accepted(found)
    assert len(found.peaks) == 1 and row["emission_kt_h"] > 0
    amplitude = planted["height_ppm"] * planted["sigma_km"] * np.sqrt(2 * np.pi)
    assert row["amplitude_ppm_km"] == pytest.approx(amplitude, rel=0.12)
    truth = destination(*planted["site"], planted["bearing_deg"], planted["centre_km"])
    wide = 4 + shape.get("n", 5) * shape.get("step_km", 1.0)
    assert great_circle_distance_km(row["longitude"], row["latitude"], *truth) < wide
    [observation] = found.observations
    assert (observation["outcome"], observation["detected"]) == ("searched", True)


@pytest.mark.parametrize("is_correlated", [False, True])
@pytest.mark.parametrize("length_km", [20.0, 40.0, 60.0, 100.0])
def test_without_a_plume_there_is_no_peak(length_km: float, is_correlated: bool) -> None:
    empty = [sweeps(length_km=length_km, height_ppm=0, seed=s, is_correlated=is_correlated) for s in range(8)]
    assert sum(len(accepted(detect_peaks(table))) for table in empty) == 0


def test_the_wind_across_is_that_across_the_sweeps() -> None:
    [north], [east] = (accepted(detect_peaks(sweeps(bearing_deg=b))) for b in (0.0, 90.0))
    assert abs(north["wind_across_track_m_s"]) == pytest.approx(5 * 25**0.08, rel=0.01)
    assert abs(east["wind_across_track_m_s"]) == pytest.approx(3 * 25**0.08, rel=0.01)


def test_nadir_before_and_after_keeps_its_own_peaks_to_the_last_bit() -> None:
    line = nadir(Planted(300, 3.0, 8.0))
    place = sweeps(start_s=START_S + 300)
    both, alone = (detect_peaks(t) for t in (pa.concat_tables([place, line]), line))
    assert [p.row for p in both.peaks[:-1]] == [p.row for p in alone.peaks] and len(accepted(both)) == 2
    assert both.peaks[-1].row == detect_peaks(place).peaks[0].row
    less = {"detected": 0, "track": ""}  # which are of the place too
    assert [o | less for o in both.observations] == [o | less for o in alone.observations]
    assert len(both.observations[0]["track"]) > len(alone.observations[0]["track"])


def test_a_line_of_odd_values_takes_no_place_along() -> None:
    line = nadir().slice(0, 16)
    xco2 = line.column_names.index("xco2_ppm")
    odd = line.set_column(xco2, "xco2_ppm", pa.array([190.0] * 16, line.schema.field(xco2).type))
    both, alone = (detect_peaks(t) for t in (pa.concat_tables([sweeps(), odd]), sweeps()))
    assert [p.row for p in both.peaks] == [p.row for p in alone.peaks] and len(accepted(both)) == 1


def test_two_places_of_an_orbit_are_two_overpasses() -> None:
    places = [sweeps(), sweeps(site=(25.0, -10.0), start_s=START_S + 900, seed=2)]
    assert len(accepted(detect_peaks(pa.concat_tables(places)))) == 2
    assert [len(track) for track in compute_overpasses(pa.concat_tables(places))] == [4000, 4000]


def test_gaps_of_cloud_leave_a_place_one_place() -> None:
    whole = sweeps(n=6)
    clear = np.arange(whole.num_rows) // 800 != 2  # a sweep and its turns are lost
    assert len(compute_overpasses(whole.filter(pa.array(clear)))) == 1
    assert len(accepted(detect_peaks(whole.filter(pa.array(clear))))) == 1


@pytest.mark.parametrize("modes", [[0], [1], [3], [0, 1], [None], [0, None, 1, 3]])
def test_nadir_and_glint_are_the_line_that_they_were(modes: list[int | None]) -> None:
    line = nadir(Planted(300, 3.0, 8.0))
    mode = pa.array([modes[i * len(modes) // line.num_rows] for i in range(line.num_rows)], pa.int8())
    told = line.set_column(line.column_names.index("operation_mode"), "operation_mode", mode)
    [track] = compute_overpasses(told)
    for field in fields(track):
        np.testing.assert_array_equal(getattr(track, field.name), getattr(compute_track(line), field.name))


def test_the_order_of_rows_does_not_matter() -> None:
    whole = pa.concat_tables([sweeps(), nadir()])
    shuffled = whole.take(np.random.default_rng(1).permutation(whole.num_rows))
    assert [p.row for p in detect_peaks(shuffled).peaks] == [p.row for p in detect_peaks(whole).peaks]


@pytest.mark.parametrize("rows", [0, 1, 8, 60])
def test_a_place_with_too_few_soundings_is_not_searched(rows: int) -> None:
    found = detect_peaks(sweeps().slice(0, rows))
    assert found.peaks == () and [o["outcome"] for o in found.observations] == ["no_input"] * (rows > 0)
