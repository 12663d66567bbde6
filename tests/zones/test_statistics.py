"""The arithmetic of zones: which cells, which statistics, which indices."""

from __future__ import annotations

import numpy as np
import pytest
import rasterstats
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plumewatch.errors import InputError
from plumewatch.zonal_names import INDEX_BANDS
from plumewatch.zones import statistics
from plumewatch.zones.cells import find_zone_cells
from plumewatch.zones.indices import compute_index, constants_with, index_constants, require_bands
from plumewatch.zones.statistics import compute_statistics

NAMES = ("mean", "median", "min", "max", "std", "sum", "count", "p10", "p97.5")
RNG = np.random.default_rng(3)
CORNER = Affine(30.0, 0.0, 500_000.0, 0.0, -25.0, 4_500_000.0)  # cells that aren't square


def shapes(n: int, size: int) -> list[shapely.Geometry]:
    """Discs that overlap one another and the raster's edge, with a hole, with several parts, with 100,000 corners."""
    corners = RNG.uniform((500_000.0, 4_500_000.0 - size * 25.0), (500_000.0 + size * 30.0, 4_500_000.0), (n, 2))
    discs = [shapely.Point(x, y).buffer(r) for (x, y), r in zip(corners, RNG.uniform(20.0, 900.0, n), strict=True)]
    many = discs[-1].segmentize(discs[-1].length / 100_000)
    return [discs[0].difference(discs[0].centroid.buffer(15.0)), shapely.union_all(discs[1:4]), *discs[2:-1], many]


def split(values: np.ndarray, zone: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The values of zones as those of two dates: every third is of the first."""
    parts = []
    for of_part in (np.arange(len(values)) % 3 == 0, np.arange(len(values)) % 3 != 0):
        parts.append((values[of_part], np.bincount(zone[of_part], minlength=6)))
    return parts


@given(
    st.lists(st.integers(0, 5), max_size=60),
    arrays(np.float32, 60, elements=st.floats(-1e6, 1e6, width=32)),
)
def test_statistics_are_those_of_numpy_zone_by_zone(zone: list[int], values: np.ndarray) -> None:
    of_zone = np.array(sorted(zone), np.int32)
    values = values[: len(zone)]
    found = compute_statistics(split(values, of_zone), NAMES)
    for number in range(6):
        own = values[of_zone == number].astype(np.float64)
        assert found["count"][number] == len(own)
        if not len(own):
            assert all(np.isnan(found[name][number]) for name in NAMES if name != "count")
            continue
        expected = {
            "mean": own.mean(), "median": np.median(own), "min": own.min(), "max": own.max(), "std": own.std(),
            "sum": own.sum(), "p10": np.percentile(own, 10), "p97.5": np.percentile(own, 97.5),
        }  # fmt: skip
        scale = np.abs(own).max()
        for name, value in expected.items():
            assert found[name][number] == pytest.approx(value, rel=1e-9, abs=1e-9 * scale), name


def test_large_zones_are_counted_as_small_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([1, 0, 1501, 2, 4000, 0])
    values = RNG.normal(size=counts.sum()).astype(np.float32)
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(statistics, "LARGE", least)
        found.append(compute_statistics([(values, counts), (values[:1], np.array([0, 0, 0, 1, 0, 0]))], NAMES))
    for name in NAMES:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_zones_and_their_statistics_agree_with_rasterstats() -> None:
    raster = RNG.uniform(0.01, 1.0, (70, 90)).astype(np.float32)
    zones = shapes(25, 80)
    cells = find_zone_cells(zones, CORNER, raster.shape)
    found = compute_statistics([(raster.ravel()[cells.cell], cells.sizes)], ("mean", "median", "std", "count"))
    expected = rasterstats.zonal_stats(
        zones, raster, affine=CORNER, nodata=-1.0, stats=["mean", "median", "std", "count"]
    )
    assert sum(one["count"] for one in expected) > 5000
    for number, one in enumerate(expected):
        assert found["count"][number] == one["count"]
        for name in ("mean", "median", "std"):
            if one["count"]:
                assert found[name][number] == pytest.approx(one[name], rel=1e-6), (number, name)


def test_each_zone_has_the_cells_that_it_has_alone() -> None:
    """Points that share a cell with others, and neighbours whose level edge runs through centres."""
    zones = [
        shapely.Point(2.3, 2.3), shapely.Point(2.6, 2.7), shapely.box(1, 1, 4, 4), shapely.Point(4.2, 4.0),
        shapely.box(5, 0.5, 9, 3.5), shapely.box(5, 3.5, 9, 6.5), shapely.box(0.5, 5, 2.5, 7),
    ]  # fmt: skip
    corner = Affine(1, 0, 0, 0, -1, 10)
    together = find_zone_cells(zones, corner, (10, 10))
    for i, zone in enumerate(zones):
        cells = together.cell[together.starts[i] : together.starts[i + 1]]
        assert cells.tolist() == find_zone_cells([zone], corner, (10, 10)).cell.tolist(), i
        assert len(cells) > 0


def test_a_cell_may_be_in_several_zones_and_a_point_is_in_the_cell_around_it() -> None:
    wide, inner = shapely.box(0, 0, 4, 4), shapely.box(1, 1, 3, 3)
    cells = find_zone_cells(
        [inner, shapely.Polygon(), wide, shapely.Point(3.5, 0.5)], Affine(1, 0, 0, 0, -1, 4), (4, 4)
    )
    assert cells.sizes.tolist() == [4, 0, 16, 1]
    assert cells.cell[cells.starts[3]] == 15


def test_points_share_their_cell_with_each_other_and_with_the_polygon_beside_them() -> None:
    field, beside = shapely.box(0, 2, 1.8, 4), shapely.Point(1.9, 3.5)  # outside of it, in its cell
    plots = shapely.MultiPoint([(1.1, 3.9), (1.2, 3.8), (3.5, 0.5), (9.0, 9.0)])
    cells = find_zone_cells([beside, field, plots, shapely.Point(4.0, 1.0)], Affine(1, 0, 0, 0, -1, 4), (4, 4))
    of_zones = [cells.cell[cells.zone == number].tolist() for number in range(4)]
    assert of_zones == [[1], [0, 1, 4, 5], [1, 15], []]


@pytest.mark.parametrize("name", INDEX_BANDS)
def test_an_index_follows_its_equation_and_is_nan_without_data(name: str) -> None:
    bands = {band: np.float32([0.5, 0.6, np.nan]) - i / 5 for i, band in enumerate(INDEX_BANDS[name])}
    found = compute_index(name, bands, index_constants())
    one, other = (np.float64(bands[band][:2]) for band in INDEX_BANDS[name][:2])
    if name == "evi":
        expected = 2.5 * (one - other) / (one + 6 * other - 7.5 * np.float64(bands["B02"][:2]) + 1)
    else:
        expected = (one - other) / (one + other)
    assert found[:2] == pytest.approx(expected, rel=1e-6) and np.isnan(found[2])


def test_constants_are_set_by_name_and_dark_ground_divides_by_nothing() -> None:
    dark = {"B08": np.zeros(1, np.float32), "B04": np.zeros(1, np.float32)}
    assert compute_index("ndvi", dark, index_constants())[0] == 0.0
    assert np.isnan(compute_index("ndvi", dark, constants_with(["eps=0"]))[0])
    assert constants_with(["G=2", "C1=5"]).evi.C1 == 5.0
    for odd in ("G", "G=x", "X=1", "L=inf"):
        with pytest.raises(ValueError):
            constants_with([odd])


def test_a_missing_band_is_named() -> None:
    with pytest.raises(InputError, match=r"a\.tif.*evi needs B02.*bands"):
        require_bands("evi", ["B04", "B08"], "a.tif")
