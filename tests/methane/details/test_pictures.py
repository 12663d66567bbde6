"""A picture says what was found, stays small and shows what runs out of the area; the raster lies in its place."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.figure import Figure
from PIL import Image
from plumewatch.gases import CH4
from plumewatch.maps.content import MapRows, map_content
from plumewatch.maps.map_file import MAX_PICTURE_BYTES
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.cut_offs import compute_cut_off
from plumewatch.methane.details.enhancement_raster import enhancement_cog
from plumewatch.methane.details.facts import references_text
from plumewatch.methane.details.picture_window import frame_picture
from plumewatch.methane.details.pictures import draw_plume, plume_figure
from plumewatch.methane.details.scene_content import MethodRows, scene_content
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.methane.mask_window import window_around
from plumewatch.methane.pass_rows import grid_pass
from plumewatch.methane.pass_search import PassResult, search_pass
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.pages.wording import place_text, rate_text
from plumewatch.statuses import ACCEPTED, SURFACE_CHANGE
from plumewatch.tables import ANOMALIES, MATCHES, PIXELS, PLUMES, SOURCES
from plumewatch.wind.at_point import WindAtPoint
from pyproj import Transformer
from rio_cogeo.cogeo import cog_validate

SIZE = 150
WIND = WindAtPoint(2.6, 1.5, 10.0)


@pytest.fixture(scope="module")
def result() -> PassResult:
    plume = PlantedPlume(9000.0, 90.0, 40.0, WIND.wind_u_m_s, WIND.wind_v_m_s)
    area = simulate_area(41, size=SIZE, n_references=3, plumes=(plume,), clouds=False, reference_plume_share=0.0)
    limits = plume_thresholds()
    wind_of = lambda longitude, latitude: WIND  # noqa: E731
    return search_pass("here", area.passes[-1], area.passes[-2::-1], wind_of, "multi_pass", ForestSettings(), limits)


@pytest.fixture(scope="module")
def plume(result: PassResult) -> Plume:
    return next(p for p in result.plumes if p.candidate.status == ACCEPTED)


def with_mask(plume: Plume, mask: np.ndarray, status: str = ACCEPTED) -> Plume:
    return replace(plume, candidate=replace(plume.candidate, mask=mask, status=status))


def drawn(plume: Plume, result: PassResult, target: Pass | None = None) -> tuple[Image.Image, bytes]:
    assert result.detection is not None
    png = draw_plume(plume, target or result.target, result.detection, result.references)
    return Image.open(io.BytesIO(png)), png


def texts(plume: Plume, result: PassResult) -> str:
    assert result.detection is not None
    figure: Figure = plume_figure(plume, result.target, result.detection, result.references)
    return "\n".join(t.get_text() for part in (figure, *figure.axes) for t in part.texts)


def test_a_picture_says_what_was_found(plume: Plume, result: PassResult) -> None:
    said = texts(plume, result)
    e = plume.emission
    assert e is not None
    for word in (
        f"Methane: {rate_text(CH4, e.emission_kg_h)}, "
        f"{rate_text(CH4, e.low_kg_h)} to {rate_text(CH4, e.high_kg_h)} (68 %)",
        "Accepted, probability",
        "Sentinel-2A, 2025-08-",
        "07:15 UTC",
        place_text(plume.longitude, plume.latitude),
        "wind 3.0 m/s from 240°",
        "3 references (2025-08-",
        "N\n↑",
        "m",
    ):
        assert word in said


def test_a_plume_reads_the_same_on_its_picture_its_map_and_the_page_of_its_scene(
    plume: Plume, result: PassResult
) -> None:
    table = PLUMES.from_pylist([{k: v for k, v in plume.table_row.items() if k in PLUMES.schema.names}])
    rows = MapRows(table.append_column("area", [["here"]]), MATCHES.empty(), SOURCES.empty())
    [shown] = map_content(CH4, "2025-08-31", rows)["detections"]
    scene_id, row = plume.table_row["scene_id"], {"row": 0, "col": 0, "score": 0.5, "cluster": -1}
    anomaly = row | {"scene_id": scene_id, "longitude": plume.longitude, "latitude": plume.latitude}
    methods = [MethodRows("multi_pass", table)]
    [method] = scene_content("here", "2025-08-31", scene_id, ANOMALIES.from_pylist([anomaly]), methods)["methods"]
    [candidate] = method["candidates"]
    facts = dict(shown["facts"])
    said, told = texts(plume, result), f"{candidate['facts']} {candidate['place']}"
    assert (method["rate"], method["interval"]) == (shown["rate_text"], shown["interval_text"])
    assert method["best"] == facts["probability"]
    for text in (f"{shown['rate_text']}, {shown['interval_text']}", shown["certainty_text"], facts["place"]):
        assert text in said and text in told
    assert f"{facts['methane']} of methane" in told and f"of methane on {facts['extent']}" in said
    assert f"wind {facts['wind']}" in said and shown["time"] in said


def test_a_refused_one_says_why_and_gives_no_rate_as_a_fact(plume: Plume, result: PassResult) -> None:
    said = texts(with_mask(plume, plume.candidate.mask, SURFACE_CHANGE), result)
    assert "Refused: it changed as ground or cloud do" in said and "If it were methane: " in said


def test_without_wind_it_has_a_table_of_rates(plume: Plume, result: PassResult) -> None:
    said = texts(replace(plume, wind=None, emission=None), result)
    assert "Methane: no rate (no wind)" in said and "rate per wind speed" in said
    assert [line.split(":")[0] for line in said.splitlines() if "m/s:" in line] == ["2 m/s", "4 m/s", "6 m/s", "8 m/s"]


@pytest.mark.parametrize("where", ["edge", "gap", "free"])
def test_what_is_cut_off_is_said(plume: Plume, result: PassResult, where: str) -> None:
    assert result.detection is not None
    mask = np.zeros(result.target.shape, bool)
    mask[60:70, (SIZE - 9 if where == "edge" else 60) : (SIZE if where == "edge" else 75)] = True
    valid = result.detection.valid.copy()
    if where == "gap":
        valid[60:70, 75:90] = False
    said = texts(with_mask(plume, mask), replace(result, detection=replace(result.detection, valid=valid)))
    assert ("Cut off by the edge of the area:" in said) == (where == "edge")
    assert ("Cut off by pixels that were not seen:" in said) == (where == "gap")
    assert "hatched: not searched" in said or where == "free"


@pytest.mark.parametrize("box", [(70, 75, 60, 65), (5, 145, 70, 74), (0, 150, 0, 150), (0, 4, 0, 4), (149, 150, 0, 1)])
def test_pictures_of_any_extent_are_whole_and_small(
    plume: Plume, result: PassResult, box: tuple[int, int, int, int]
) -> None:
    mask = np.zeros(result.target.shape, bool)
    mask[box[0] : box[1], box[2] : box[3]] = True
    image, png = drawn(with_mask(plume, mask), result)
    assert image.size == (840, 700) and len(png) <= MAX_PICTURE_BYTES
    assert drawn(with_mask(plume, mask), result)[1] == png


def test_an_area_20_km_wide_is_drawn_in_cells(plume: Plume, result: PassResult) -> None:
    big = np.kron(plume.candidate.mask, np.ones((7, 7), bool))
    window = frame_picture(big, 20.0, 200)
    assert window.block > 1 and window.cells <= 200
    assert window.coarse(window.cut(big, False)).sum() * window.block**2 == big.sum()


def test_a_picture_of_nothing_but_noise_is_small_too(plume: Plume, result: PassResult) -> None:
    assert result.detection is not None
    rng, mask = np.random.default_rng(3), np.zeros(result.target.shape, bool)
    mask[20:130, 20:130] = True
    noise = rng.normal(0.0, 0.1, mask.shape).astype(np.float32)
    scene = rng.uniform(0.1, 0.5, mask.shape).astype(np.float32)
    noisy = replace(result, detection=replace(result.detection, enhancement_mol_m2=noise))
    _, png = drawn(with_mask(plume, mask), noisy, replace(result.target, b12=scene))
    assert len(png) <= MAX_PICTURE_BYTES


def test_nothing_known_in_the_mask_is_still_a_picture(plume: Plume, result: PassResult) -> None:
    assert result.detection is not None
    nothing = replace(
        result.detection,
        enhancement_mol_m2=np.full(result.target.shape, np.nan, np.float32),
        valid=np.zeros(result.target.shape, bool),
        noise_mol_m2={},
    )
    scene = np.full(result.target.shape, np.nan, np.float32)
    image, _ = drawn(plume, replace(result, detection=nothing), replace(result.target, b12=scene))
    assert image.size == (840, 700)


@settings(max_examples=60, deadline=None)
@example(np.ones((1, 1), bool), 20.0, 10)
@given(
    arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=90)).filter(lambda mask: mask.any()),
    st.sampled_from([10.0, 20.0, 60.0]),
    st.integers(10, 300),
)
def test_the_window_holds_the_plume(mask: np.ndarray, pixel_size_m: float, max_cells: int) -> None:
    window = frame_picture(mask, pixel_size_m, max_cells)
    assert 1 <= window.cells <= max_cells and window.cut(mask, False).sum() == mask.sum()
    rows, cols = np.nonzero(mask)
    left, right, bottom, top = window.extent
    assert left < cols.min() <= cols.max() < right and top < rows.min() <= rows.max() < bottom
    assert len(window.rows) == window.cells and window.rows.mean() == pytest.approx((top + bottom) / 2)
    assert window.coarse(window.cut(mask, False)).sum() * window.block**2 == pytest.approx(mask.sum())


def test_cut_off_of_a_plume_in_a_corner() -> None:
    mask, everywhere = np.zeros((12, 12), bool), np.ones((12, 12), bool)
    mask[:3, :3] = True
    assert compute_cut_off(mask, everywhere, everywhere).at_edge == 0.5
    inner, cloud = np.roll(mask, (3, 3), (0, 1)), everywhere.copy()
    assert compute_cut_off(inner, everywhere, everywhere).text == ""
    cloud[3:6, 6] = False
    cut = compute_cut_off(inner, everywhere, cloud)
    assert (cut.at_edge, cut.at_gap) == (0.0, 0.25) and cut.is_at_gap and not cut.is_at_edge
    assert compute_cut_off(inner, cloud, cloud).is_at_edge


def on_utm_grid(result: PassResult, epsg: int | None) -> Pass:
    """The pass of a pixel table whose cells of 20 m lie on the grid of UTM zone 40."""
    row, col = (index.ravel() for index in np.indices(result.target.shape))
    x, y = 300_000.0 + 20.0 * col + 10.0, 4_300_000.0 - 20.0 * row - 10.0
    longitude, latitude = Transformer.from_crs("EPSG:32640", "EPSG:4326", always_xy=True).transform(x, y)
    n = row.size
    nulls = dict.fromkeys(PIXELS.schema.names)
    columns = {name: pa.nulls(n, PIXELS.schema.field(name).type) for name in nulls} | {
        "scene_id": pa.array(["S"] * n),
        "platform": pa.array(["sentinel-2a"] * n),
        "epsg": pa.array([epsg] * n, pa.int32()),
        "row": row.astype(np.int32),
        "col": col.astype(np.int32),
        "longitude": longitude,
        "latitude": latitude,
        "b11": result.target.b11.ravel(),
        "b12": result.target.b12.ravel(),
        "is_clear": np.ones(n, bool),
        "scl": np.full(n, 5, np.uint8),
        "solar_zenith_deg": np.full(n, 30.0, np.float32),
        "view_zenith_deg": np.zeros(n, np.float32),
    }
    return grid_pass(PIXELS.from_columns(columns))


@pytest.mark.parametrize(("grid", "epsg"), [("utm", 32640), ("utm", None), ("degrees", None), ("degrees", 32640)])
def test_the_raster_is_a_valid_cog_in_its_place(
    plume: Plume, result: PassResult, tmp_path: Path, grid: str, epsg: int | None
) -> None:
    assert result.detection is not None
    target = on_utm_grid(result, epsg) if grid == "utm" else replace(result.target, epsg=epsg)
    path = tmp_path / "plume.tif"
    path.write_bytes(enhancement_cog(plume, target, result.detection))
    is_valid, errors, warnings = cog_validate(str(path), strict=True, quiet=True)
    assert is_valid and not errors and not warnings
    window = window_around(plume.candidate.mask, 30)  # 600 m
    with rasterio.open(path) as raster:
        assert raster.crs.to_epsg() == (32640 if grid == "utm" or epsg else 4326)
        values = raster.read(1)
        np.testing.assert_array_equal(values, result.detection.enhancement_mol_m2[window])
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.profile["compress"] == "zstd"
        assert np.isnan(raster.nodata) and raster.descriptions == ("enhancement_mol_m2",)
        if grid == "utm":
            assert (raster.transform.a, raster.transform.b, raster.transform.e) == pytest.approx((20.0, 0.0, -20.0))
        to_grid = Transformer.from_crs("EPSG:4326", raster.crs, always_xy=True)
        for row, col in ((0, 0), (0, values.shape[1] - 1), (values.shape[0] - 1, 0), (20, 30)):
            place = target.place.longitude_latitude(window[0].start + row, window[1].start + col)
            at_col, at_row = ~raster.transform @ to_grid.transform(*(float(a) for a in place))
            assert (at_row - 0.5, at_col - 0.5) == pytest.approx((row, col), abs=0.1)


def test_references_are_counted_and_dated() -> None:
    assert references_text(()) == "no reference: compared with its own surroundings"
