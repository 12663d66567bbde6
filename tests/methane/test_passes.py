"""Rows of the pixel table become arrays that know where they lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from plumewatch.errors import InputError
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.methane.evaluation.scenes import simulate_area
from plumewatch.methane.pass_rows import grid_pass, split_passes
from plumewatch.methane.passes import OTHER_BANDS, Pass
from plumewatch.models import Grid
from plumewatch.tables import PIXELS
from pyproj import Transformer

MakeRows = Callable[[Pass], pa.Table]


@pytest.fixture(scope="module")
def scene() -> Pass:
    return simulate_area(1, size=60, n_references=1, clouds=False).passes[-1]


def replaced(rows: pa.Table, **columns: object) -> pa.Table:
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))
    return rows


def test_rows_come_back_as_they_were_in_any_order(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    shuffled = rows.take(np.random.default_rng(0).permutation(rows.num_rows))
    back = grid_pass(shuffled)
    np.testing.assert_array_equal(back.b12, scene.b12)
    assert (back.platform, back.scene_ids, back.n_pixels) == (scene.platform, scene.scene_ids, 3600)
    assert back.air_mass_factor == pytest.approx(scene.air_mass_factor, abs=1e-4)
    assert (back.epsg, back.pixel_size_m, back.clear_fraction) == (32640, 20.0, 1.0)


TWICE = {
    "the newer product": ("S2A_40SBH_20250830_0_L2A", "S2A_40SBH_20250830_1_L2A", {}, True),
    "the newer product, though cloudy": ("a_0", "a_1", {"is_clear": False}, True),
    "the older product, where the newer has no data": ("a_0", "a_1", {"b11": float("nan")}, False),
    "the clear row of one scene": ("a_0", "a_0", {"is_clear": False}, False),
    "the larger value of one scene": ("a_0", "a_0", {}, True),
}


@pytest.mark.parametrize("case", TWICE.values(), ids=TWICE)
@pytest.mark.parametrize("seed", range(3))
def test_of_a_cell_twice_one_row_counts_whatever_their_order(
    scene: Pass, pixel_rows: MakeRows, case: tuple, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    first_id, second_id, of_second, is_second = case
    first = replaced(pixel_rows(scene), scene_id=[first_id] * 3600).slice(0, 3500)
    second = replaced(first, scene_id=[second_id] * 3500, b12=(first["b12"].to_numpy() + 0.1).astype("f4"))
    second = replaced(second, **{name: pa.array([value] * 3500, first[name].type) for name, value in of_second.items()})
    both = pa.concat_tables([second, first, replaced(pixel_rows(scene).slice(3500), scene_id=[first_id] * 100)])
    back = grid_pass(both.take(np.random.default_rng(seed).permutation(both.num_rows)), "there")
    expected = scene.b12.ravel().copy()
    expected[:3500] += np.float32(0.1 if is_second else 0.0)
    np.testing.assert_array_equal(back.b12.ravel(), expected)
    assert back.n_pixels == 3600 and "there: 3500 rows of cells that are there twice" in caplog.text


def test_places_follow_utm_over_a_wide_area(scene: Pass, pixel_rows: MakeRows) -> None:
    to_degrees = Transformer.from_crs("EPSG:32640", "EPSG:4326", always_xy=True)
    row, col = (index.ravel() * 60 for index in np.indices((60, 60)))  # 72 km
    lon, lat = to_degrees.transform(680_000 + 20.0 * col, 4_300_000 - 20.0 * row)
    rows = replaced(pixel_rows(scene), row=row.astype(np.int32), col=col.astype(np.int32), longitude=lon, latitude=lat)
    place = grid_pass(rows).place
    some_row, some_col = np.array([7, 1801, 3540]), np.array([3539, 1799, 12])
    truth = to_degrees.transform(680_000 + 20.0 * some_col, 4_300_000 - 20.0 * some_row)
    assert great_circle_distance_km(*truth, *place.longitude_latitude(some_row, some_col)).max() < 0.00005


def test_place_over_the_antimeridian(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    east = (rows["longitude"].to_numpy() - 54.2 + 180.0 + 180.0) % 360.0 - 180.0
    place = grid_pass(replaced(rows, longitude=east)).place
    longitude, _ = place.longitude_latitude([30, 30], [0, 59])
    assert longitude[0] > 179.99 and longitude[1] < -179.99


def test_columns_that_may_be_absent_are_not_needed(scene: Pass, pixel_rows: MakeRows) -> None:
    optional = ["observed_at_utc", "relative_orbit", "epsg", "pixel_size_m"]
    rows = PIXELS.conform(pixel_rows(scene).drop_columns(optional))
    (only,) = split_passes(rows)
    back = grid_pass(only)
    assert (back.observed_at_utc, back.relative_orbit, back.epsg, back.pixel_size_m) == (None, None, None, 20.0)


def test_water_and_missing_bands_are_not_usable(scene: Pass, pixel_rows: MakeRows) -> None:
    scl, b11 = np.full(3600, 5, np.uint8), scene.b11.ravel().copy()
    scl[:10], b11[10:15], b11[15:20], b11[20:25] = 6, np.nan, 1e-30, 1e30
    b11[25] = 1e-4  # one step
    usable = grid_pass(replaced(pixel_rows(scene), scl=scl, b11=b11)).is_usable.ravel()
    assert not usable[:25].any() and usable[25:].all()


def test_further_bands_come_along_where_they_have_values(scene: Pass, pixel_rows: MakeRows) -> None:
    red = np.arange(3600, dtype=np.float32)
    without = set(pixel_rows(scene).column_names) & set(OTHER_BANDS)
    rows = pixel_rows(scene).drop_columns(sorted(without))
    assert dict(grid_pass(rows).other_bands) == {}
    some = pa.array(red, mask=red < 60)
    rows = rows.append_column("b04", some).append_column("b08", pa.nulls(3600, pa.float32()))
    (name,) = (back := grid_pass(rows).other_bands)
    assert name == "b04" and back["b04"].shape == (60, 60)
    assert np.isnan(back["b04"][0]).all() and back["b04"].ravel()[60:].tolist() == red[60:].tolist()


def test_passes_of_one_day_are_kept_apart(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    other = replaced(rows, platform=["sentinel-2c"] * 3600, relative_orbit=np.full(3600, 106, np.int16))
    passes = [grid_pass(part) for part in split_passes(pa.concat_tables([other, rows]))]
    assert [(p.platform, p.relative_orbit, p.n_pixels) for p in passes] == [
        ("sentinel-2a", 63, 3600),
        ("sentinel-2c", 106, 3600),
    ]


@pytest.mark.parametrize(
    "others, minutes, expected",
    [
        ((), 0, [(None, 3600)]),
        ((63,), 0, [(63, 7200)]), ((63,), None, [(63, 7200)]), ((63,), 20, [(63, 7200)]),
        ((63,), 100, [(None, 3600), (63, 3600)]),
        ((63, 106), 1, [(63, 7200), (106, 3600)]), ((63, 106), 95, [(63, 3600), (106, 7200)]),
        ((63, 106), None, [(None, 3600), (63, 3600), (106, 3600)]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_a_scene_without_an_orbit_belongs_to_the_pass_of_its_time(
    scene: Pass, pixel_rows: MakeRows, others: tuple[int, ...], minutes: int | None, expected: list, is_first: bool
) -> None:
    """Orbit 106 flies 100 minutes after orbit 63; the scene without an orbit so many after orbit 63."""
    rows, utc = pixel_rows(scene), pa.timestamp("us", tz="UTC")
    start = np.datetime64("2025-08-30T07:00", "us")

    def of(scene_id: str, orbit: int | None, after: int | None) -> pa.Table:
        time = pa.scalar(None if after is None else int((start + np.timedelta64(after, "m")).astype(int)), utc)
        columns = {"scene_id": pa.array([scene_id] * 3600), "relative_orbit": pa.array([orbit] * 3600, pa.int16())}
        return replaced(rows, **columns, observed_at_utc=pa.repeat(time, 3600))

    parts = [of(f"s{orbit}", orbit, {63: 0, 106: 100}[orbit]) for orbit in others]
    parts.insert(0 if is_first else len(parts), of("s", None, minutes))
    found = split_passes(pa.concat_tables(parts))
    assert [(pc.max(part["relative_orbit"]).as_py(), part.num_rows) for part in found] == expected


def test_a_scene_without_an_orbit_joins_none_of_another_platform(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    unsaid = pa.nulls(3600, pa.int16())
    other = replaced(rows, platform=["sentinel-2c"] * 3600, relative_orbit=unsaid)
    assert [part.num_rows for part in split_passes(pa.concat_tables([rows, other]))] == [3600, 3600]


def test_a_pixel_without_place_is_refused(scene: Pass, pixel_rows: MakeRows) -> None:
    latitude = pixel_rows(scene)["latitude"].to_pylist()
    latitude[7] = None
    with pytest.raises(InputError, match="there: null in latitude"):
        grid_pass(replaced(pixel_rows(scene), latitude=latitude), source="there")


def test_rows_without_a_platform_are_named_beside_others(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    at = rows.schema.get_field_index("platform")
    nameless = rows.set_column(at, rows.schema.field(at), pa.nulls(rows.num_rows, rows.schema.field(at).type))
    bad, good = split_passes(pa.concat_tables([rows, nameless]))
    assert grid_pass(good).n_pixels == scene.n_pixels
    with pytest.raises(InputError, match="null in platform"):
        grid_pass(bad)


@pytest.mark.parametrize("platform", ["LANDSAT_8", "landsat-7", "sentinel-3a", "Sentinel-2A"])
@pytest.mark.parametrize(
    "others", [{}, {"b11": np.full(3600, np.nan, np.float32)}, {"pixel_size_m": np.full(3600, 90.0)}]
)
def test_a_platform_whose_bands_are_not_known_is_refused_by_that_name(
    scene: Pass, pixel_rows: MakeRows, platform: str, others: dict
) -> None:
    rows = replaced(pixel_rows(scene), platform=[platform] * 3600, **others)
    with pytest.raises(
        InputError, match=rf"there: platform '{platform}'; allowed: landsat-8, landsat-9, sentinel-2a, .*sentinel-2c"
    ):
        grid_pass(rows, source="there")


def test_outline_is_one_polygon_around_the_cells(scene: Pass) -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:20, 5:25] = True
    mask[20, 25] = True  # touches by a corner
    mask[40:44, 5:9] = True  # apart
    outline = scene.place.polygon(mask)
    cell = (20.0 / 111_195.0) ** 2 / np.cos(np.radians(38.5))
    assert outline.geom_type == "Polygon" and outline.is_valid
    assert outline.area / cell == pytest.approx(mask.sum(), rel=0.03)
    rows, cols = np.nonzero(mask)
    assert shapely.contains_xy(outline, *scene.place.longitude_latitude(rows, cols)).all()
    rows, cols = np.nonzero(~mask)
    assert shapely.contains_xy(outline, *scene.place.longitude_latitude(rows, cols)).mean() < 0.01


def on(rows: pa.Table, crs: str, west: float, north: float, size: float, stated: float | None = None) -> pa.Table:
    """The rows on a grid of `size` metres in a CRS, whose places it gives them."""
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    row, col = (rows[name].to_numpy() for name in ("row", "col"))
    lon, lat = to_degrees.transform(west + size * (col + 0.5), north - size * (row + 0.5))
    pixel_size = np.full(rows.num_rows, size if stated is None else stated, np.float32)
    return replaced(rows, longitude=lon, latitude=lat, pixel_size_m=pixel_size)


NOT_TRUE = {
    "web mercator at 60 N": ("EPSG:3857", 600_000, 8_400_000, 20.0, None),
    "mercator at 45 S": ("EPSG:3395", 600_000, -5_600_000, 20.0, None),
    "cylinders of equal area at 60 N": ("EPSG:6933", 600_000, 6_300_000, 20.0, None),
    "north 10 degrees off": ("EPSG:3035", 2_900_000, 2_100_000, 20.0, None),
    "polar stereographic, far from its meridian": ("EPSG:3413", 2_000_000, -500_000, 20.0, None),
    "pixels of 40 m that say 20 m": ("EPSG:32640", 500_000, 4_200_000, 40.0, 20.0),
    "pixels of 20 m that say 25 m": ("EPSG:32640", 500_000, 4_200_000, 20.0, 25.0),
}


@pytest.mark.parametrize("case", NOT_TRUE.values(), ids=NOT_TRUE)
def test_pixels_that_are_not_what_they_say_are_refused(scene: Pass, pixel_rows: MakeRows, case: tuple) -> None:
    with pytest.raises(InputError, match=r"there: pixels of .* lengths .* times .*allowed: lengths true to 2%"):
        grid_pass(on(pixel_rows(scene), *case), "there")


@pytest.mark.parametrize("scale, kind", [(100, "f4"), (100, "f8"), (10_000, "f4"), (10_000, "u2"), (10_000, "i4")])
@pytest.mark.parametrize("bands", [("b11",), ("b12",), ("b11", "b12")])
def test_reflectance_of_another_scale_is_no_cloud_but_refused(
    scene: Pass, pixel_rows: MakeRows, scale: float, kind: str, bands: tuple[str, ...]
) -> None:
    rows = pixel_rows(scene)
    scaled = {name: (rows[name].to_numpy() * scale).astype(kind) for name in bands}
    with pytest.raises(
        InputError, match=rf"there: {bands[0]} of \d+.* in the median; allowed: reflectance as a fraction"
    ):
        grid_pass(replaced(rows, **scaled), "there")


@pytest.mark.parametrize("brightness", [0.0, 0.02, 0.9, 1.9])
def test_dark_and_bright_passes_are_taken(scene: Pass, pixel_rows: MakeRows, brightness: float) -> None:
    bands = dict.fromkeys(("b11", "b12"), np.full(3600, brightness, np.float32))
    assert grid_pass(replaced(pixel_rows(scene), **bands)).n_pixels == 3600


@pytest.mark.parametrize("n_known", [0, 1, 3599])
def test_a_table_that_never_says_what_is_clear_is_refused(scene: Pass, pixel_rows: MakeRows, n_known: int) -> None:
    rows = pixel_rows(scene)
    unsaid = replaced(rows, is_clear=pa.array([True] * n_known + [None] * (3600 - n_known), pa.bool_()))
    if n_known:
        assert grid_pass(unsaid).is_usable.sum() == n_known
        return
    with pytest.raises(InputError, match="there: null in every row of is_clear; allowed: true where"):
        grid_pass(unsaid, "there")


def test_rows_that_run_north_are_refused(scene: Pass, pixel_rows: MakeRows) -> None:
    rows = pixel_rows(scene)
    upside_down = replaced(rows, row=(59 - rows["row"].to_numpy()).astype(np.int32))
    with pytest.raises(InputError, match="a north 180 degrees off"):
        grid_pass(upside_down, "there")


@pytest.mark.parametrize(
    "case",
    [
        ("EPSG:32640", 500_000, 4_200_000, 20.0, None), ("EPSG:3857", 600_000, 200_000, 20.0, None),
        ("EPSG:2154", 700_000, 6_800_000, 30.0, None), ("EPSG:32760", 740_000, 8_100_000, 60.0, None),
        ("EPSG:32633", 600_000, 9_000_000, 20.0, None), ("EPSG:32640", 500_000, 4_200_000, 20.0, 20.2),
    ],
)  # fmt: skip
def test_pixels_of_true_lengths_are_taken(scene: Pass, pixel_rows: MakeRows, case: tuple) -> None:
    assert grid_pass(on(pixel_rows(scene), *case)).n_pixels == 3600


@pytest.mark.parametrize("size", [10.0, 5.0, 15.0, 19.0, 70.0, 250.0, float("nan")])
def test_sizes_that_the_detection_is_not_tuned_for_are_refused(scene: Pass, pixel_rows: MakeRows, size: float) -> None:
    with pytest.raises(InputError, match=r"there: pixel_size_m .*allowed: 19\.9 to 60 m, what the detection is tuned"):
        grid_pass(on(pixel_rows(scene), "EPSG:32640", 500_000, 4_200_000, 20.0, size), "there")


FAR = {"row": (60, 400, 1_000, 3_990, 20_000, 2**31 - 1), "col": (60, 3_990, 2**31 - 1)}


@pytest.mark.parametrize("name, index", [(name, index) for name, indices in FAR.items() for index in indices])
@pytest.mark.parametrize("n_times", [1, 30], ids=["a small table", "a large one"])
def test_an_index_that_leads_out_of_the_grid_is_refused(
    pixel_rows: MakeRows, scene: Pass, name: str, index: int, n_times: int
) -> None:
    """One damaged index once made a window of 16 million cells, which a search takes minutes for."""
    grid = Grid(32640, 500_000.0, 4_300_000.0, 20.0, 60 * n_times, 60)
    row, col = (place.ravel() for place in np.indices((60, 60 * n_times)))
    longitude, latitude = grid.longitude_latitude(row + 0.5, col + 0.5)
    rows = pixel_rows(scene)
    rows = pa.concat_tables([rows] * n_times)
    indices = {"row": row.astype(np.int32), "col": col.astype(np.int32)}
    good = replaced(rows, longitude=longitude, latitude=latitude, **indices)
    assert grid_pass(good, "there", grid).shape == (60, 60 * n_times)
    changed = indices[name].copy()
    changed[100] = index + (60 * n_times if name == "col" and index == 60 else 0)
    for known in (grid, None):
        with pytest.raises(InputError, match=r"there: .*; allowed: "):
            grid_pass(replaced(good, **{name: changed}), "there", known)


@pytest.mark.parametrize("n, far", [(4, 3_000), (20, 3_990), (40, 3_990), (49, 2_000), (1, 10)])
def test_few_pixels_far_apart_are_no_area(scene: Pass, pixel_rows: MakeRows, n: int, far: int) -> None:
    rows = pixel_rows(scene).slice(0, n)
    row, col = rows["row"].to_numpy().copy(), rows["col"].to_numpy().copy()
    row[-1], col[-1] = far, far
    if n == 1:
        assert grid_pass(replaced(rows, row=row, col=col)).n_pixels == 1
        return
    with pytest.raises(InputError, match=f"there: {n} pixels spread over"):
        grid_pass(replaced(rows, row=row, col=col), "there")
