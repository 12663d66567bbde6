"""From rows of the pixel table to passes: those of each pass, checked, laid out on the area's grid."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch.constants import MOST_USUAL_REFLECTANCE
from plumewatch.errors import InputError
from plumewatch.geodesy import TRUE_GRID, compute_distortion
from plumewatch.methane.grid_place import GridPlace, distance_deg, find_grid_place, median_distance_deg
from plumewatch.methane.passes import DEFAULT_PIXEL_SIZE_M, OTHER_BANDS, Pass
from plumewatch.methane.retrieval import air_mass_factors, check_platform, compute_air_mass_factor
from plumewatch.methane.smoothing import Mask
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.models import Grid
from plumewatch.orbits import orbit_of_pass

REFLECTANCES = (1e-4, 6.5535)  # one step of the stored integers, and the largest of 16 bits
SCL_WATER = 6  # scene classification of Sen2Cor
MOST_CELLS_A_ROW, MOST_EMPTY_CELLS = 50, 16_000_000  # a window mostly empty is a wrong row or column index
EMPTY_CELLS_A_ROW = 5_000  # fewer empty ones around few pixels

COLUMNS = (
    "scene_id", "platform", "observed_at_utc", "relative_orbit", "epsg", "pixel_size_m", "row", "col", "longitude",
    "latitude", "b11", "b12", "scl", "is_clear", "solar_zenith_deg", "view_zenith_deg",
)  # fmt: skip
"""What of the pixel table the detection needs."""

MAX_OFFSET_PX = 0.5  # pixels that lie further off belong to another grid
MAX_END_OFFSET_PX = 10.0  # of the pixels at the window's ends, which a fit to the others may miss by a little
CHECKED_POINTS = 512  # of a pass, whose places are compared with those of a grid
LEAST_PIXELS = 50  # fewer don't tell the scale of their grid, and hold no plume
PASS_KEYS = ("platform", "relative_orbit")
NEVER_NULL = ("scene_id", "platform", "row", "col", "longitude", "latitude")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PassFacts:
    """What is the same for all pixels of a pass."""

    platform: str
    relative_orbit: int | None
    observed_at_utc: datetime | None
    scene_ids: tuple[str, ...]
    air_mass_factor: float
    view_zenith_deg: float
    epsg: int | None
    pixel_size_m: float
    place: GridPlace


def split_passes(pixels: pa.Table) -> list[pa.Table]:
    """Return the rows of each pass (platform and relative orbit) of one area and date, in the order of those two.

    A scene that states no orbit belongs to the pass of its platform that was nearest in time, within half an orbit;
    where times are unknown to the only one.
    """
    if all(len(pixels[name].unique()) == 1 for name in PASS_KEYS):
        return [pixels]
    scenes = pixels.group_by([*PASS_KEYS, "scene_id"]).aggregate([("observed_at_utc", "min")]).to_pylist()
    return [rows_of_scenes(pixels, of_pass) for of_pass in scenes_of_passes(scenes)]


def scenes_of_passes(scenes: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the scenes (platform, relative_orbit and scene_id as stored, observed_at_utc_min) of each pass."""
    passes: dict[tuple[str | None, int | None], list[Mapping[str, Any]]] = {}
    for scene in scenes:
        passes.setdefault((scene["platform"], _orbit_of(scene, scenes)), []).append(scene)
    order = sorted(passes, key=lambda key: (key[0] or "", -1 if key[1] is None else key[1]))
    return [passes[key] for key in order]


def rows_of_scenes(pixels: pa.Table, scenes: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the rows of these scenes."""
    names = (*PASS_KEYS, "scene_id")
    return pixels.filter(reduce(pc.or_, (_is_of(pixels, {name: one[name] for name in names}) for one in scenes)))


def _orbit_of(scene: Mapping[str, Any], scenes: Sequence[Mapping[str, Any]]) -> int | None:
    """The relative orbit that a scene states, else that of the pass which it must be a part of, None where unknown."""
    if (orbit := scene["relative_orbit"]) is not None:
        return int(orbit)
    same = [other for other in scenes if other["platform"] == scene["platform"]]
    return orbit_of_pass(
        scene["observed_at_utc_min"], ((other["relative_orbit"], other["observed_at_utc_min"]) for other in same)
    )


def _is_of(pixels: pa.Table, values: Mapping[str, Any]) -> pa.ChunkedArray:
    """Which rows have these values."""
    is_same = (
        pc.is_null(pixels[name]) if value is None else pc.fill_null(pc.equal(pixels[name], value), False)
        for name, value in values.items()
    )
    return reduce(pc.and_, is_same)


def grid_pass(rows: pa.Table, source: str = "pixels", grid: Grid | None = None) -> Pass:
    """Return the rows of one pass on the smallest window that holds them.

    `grid` is what rows and columns count on, where it is known.

    Raises InputError, naming `source`, where there is no row, a place is null, or a value is none that a pass can have.
    """
    facts = read_facts(rows, source, grid)
    place = facts.place
    row, col = (rows[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    return lay_out(rows, (row - place.row0) * place.width + col - place.col0, facts, source)


def read_facts(
    rows: pa.Table, source: str = "pixels", grid: Grid | None = None, n_pixels: int | None = None
) -> PassFacts:
    """Return what the rows of one pass say of it, on the smallest window that holds them; raises as `grid_pass`.

    `n_pixels` are those of the pass where the rows are some of them.
    """
    if not rows.num_rows:
        raise InputError(source, "no rows", "pixels of one pass")
    empty = [name for name in NEVER_NULL if rows[name].null_count]
    if empty:
        raise InputError(source, f"null in {', '.join(empty)}", "pixels with their place, scene and platform")
    _check_values(rows, source)
    solar, view = (_median(rows[name]) for name in ("solar_zenith_deg", "view_zenith_deg"))
    air_mass_factor = _checked_air_mass_factor(str(_first(rows["platform"])), solar, view, source)
    row, col = (rows[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    place = find_grid_place(row, col, rows["longitude"].to_numpy(), rows["latitude"].to_numpy(), grid)
    _check_extent(rows.num_rows if n_pixels is None else n_pixels, place, source)
    _check_ends(rows, place, source)
    if grid is not None:
        _check_grid(rows, place, source)
    size, epsg = _first(rows["pixel_size_m"]), _first(rows["epsg"])
    pixel_size_m = DEFAULT_PIXEL_SIZE_M if size is None else float(size)
    _check_lengths(rows.num_rows, place, pixel_size_m, source)
    return PassFacts(
        platform=str(_first(rows["platform"])),
        relative_orbit=_first(rows["relative_orbit"]),
        observed_at_utc=_first(rows["observed_at_utc"]),
        scene_ids=tuple(sorted(rows["scene_id"].unique().to_pylist())),
        air_mass_factor=air_mass_factor,
        view_zenith_deg=view,
        epsg=epsg,
        pixel_size_m=pixel_size_m,
        place=place,
    )


def lay_out(rows: pa.Table, cell: NDArray[np.int64], facts: PassFacts, source: str = "pixels") -> Pass:
    """Return the rows of a pass, each in its `cell` of the window of the facts' place, counted along its rows."""
    place, shape = facts.place, (facts.place.height, facts.place.width)
    if (kept := _shown(rows, cell, source)) is not None:
        rows, cell = rows.take(pa.array(kept)), cell[kept]

    def laid_out(values: NDArray, empty: float | bool) -> NDArray:
        grid = np.full(place.height * place.width, empty, dtype=values.dtype)
        grid[cell] = values
        return grid.reshape(shape)

    scenes = rows["scene_id"].combine_chunks().dictionary_encode()
    rank = np.array([facts.scene_ids.index(name) for name in scenes.dictionary.to_pylist()], np.int16)
    b11, b12 = (laid_out(rows[name].to_numpy().astype(np.float32), np.nan) for name in ("b11", "b12"))
    clear = laid_out(rows["is_clear"].to_numpy(zero_copy_only=False).astype(bool), False)
    water = laid_out(rows["scl"].to_numpy() == SCL_WATER, False)
    usable = clear & ~water & has_reflectance(b11) & has_reflectance(b12)
    scene_index = laid_out(rank[scenes.indices.to_numpy()], -1)
    return Pass(
        **vars(facts),
        scene_index=scene_index,
        b11=b11,
        b12=b12,
        is_usable=usable,
        n_pixels=int((scene_index >= 0).sum()),
        other_bands={name: laid_out(band, np.nan) for name, band in _other_bands(rows)},
    )


def has_reflectance(band: NDArray[np.float32]) -> Mask:
    """Return where a band has a value that a measurement can have."""
    with np.errstate(invalid="ignore"):
        return (band >= REFLECTANCES[0]) & (band <= REFLECTANCES[1])


def _shown(rows: pa.Table, cell: NDArray[np.int64], source: str) -> NDArray[np.intp] | None:
    """Which row shows each cell, None where no cell is there twice.

    One with both bands before one without, then the last scene id, which of two products of a tile is the newer one's;
    of the rows of one scene a clear one, then that of the largest values. So the order of the rows decides nothing.
    """
    is_shown = np.zeros(int(cell.max(initial=-1)) + 1, bool)
    is_shown[cell] = True
    n_twice = len(cell) - int(np.count_nonzero(is_shown))
    if not n_twice:
        return None
    b11, b12 = (rows[name].to_numpy() for name in ("b11", "b12"))
    is_clear = pc.fill_null(rows["is_clear"], False).to_numpy().astype(bool)
    scene = pc.rank(rows["scene_id"].combine_chunks(), tiebreaker="dense").to_numpy()
    order = np.lexsort((b12, b11, is_clear, scene, np.isfinite(b11) & np.isfinite(b12), cell))
    log.warning(
        "%s: %d rows of cells that are there twice: of each the newest product with data counts", source, n_twice
    )
    return np.sort(order[np.append(np.diff(cell[order]) > 0, True)])


def _check_values(rows: pa.Table, source: str) -> None:
    """Refuse what no pass can have; the message says what was found and what is allowed."""
    check_platform(str(_first(rows["platform"])), source)
    longitude, latitude = (rows[name].to_numpy() for name in ("longitude", "latitude"))
    for name, values, most in (("longitude", longitude, 360.0), ("latitude", latitude, 90.0)):
        wrong = ~(np.abs(values) <= most)
        if wrong.any():
            raise InputError(source, f"{name} {values[wrong][0]}", f"-{most:g} to {most:g} degrees in every row")
    for name in ("b11", "b12"):
        usual = _median(rows[name])
        if usual > MOST_USUAL_REFLECTANCE:
            allowed = (
                f"reflectance as a fraction (0.25), not in percent or times 10000: at most {MOST_USUAL_REFLECTANCE:g}"
            )
            raise InputError(source, f"{name} of {usual:g} in the median", allowed)
    if rows["is_clear"].null_count == rows.num_rows:
        raise InputError(source, "null in every row of is_clear", "true where the ground is seen, else false")
    size = _first(rows["pixel_size_m"])
    least, most = plume_thresholds().pixels.sizes_m
    if size is not None and not least <= size <= most:
        raise InputError(source, f"pixel_size_m {size:g}", f"{least:g} to {most:g} m, what the detection is tuned for")


def _checked_air_mass_factor(platform: str, solar_zenith_deg: float, view_zenith_deg: float, source: str) -> float:
    """Return the air mass factor of a pass; one that the table of transmittance doesn't hold, NaN too, is refused."""
    factor = float(compute_air_mass_factor(solar_zenith_deg, view_zenith_deg))
    least, most = air_mass_factors(platform)  # 5 and 3.92: the sun up to 70 degrees from the zenith
    if not least <= factor <= most:
        found = f"solar_zenith_deg {solar_zenith_deg:.1f}, view_zenith_deg {view_zenith_deg:.1f}"
        raise InputError(source, found, f"an air mass factor from {least:g} to {most:g} of {platform}")
    return factor


def _check_grid(rows: pa.Table, place: GridPlace, source: str) -> None:
    """Refuse pixels that lie elsewhere than the grid says that they are stated to be on."""
    some = pa.array(np.unique(np.linspace(0, rows.num_rows - 1, CHECKED_POINTS).astype(np.int64)))
    row, col, longitude, latitude = (rows[n].take(some).to_numpy() for n in ("row", "col", "longitude", "latitude"))
    there = place.longitude_latitude(row - place.row0, col - place.col0)
    below = place.longitude_latitude(row - place.row0 + 1, col - place.col0)
    off = median_distance_deg((longitude, latitude), there) / median_distance_deg(below, there)
    if not off <= MAX_OFFSET_PX:
        raise InputError(source, f"pixels {off:.1f} cells off the grid of its manifest", "pixels on that grid")


def _check_ends(rows: pa.Table, place: GridPlace, source: str) -> None:
    """Refuse a window that reaches as far as it does for a pixel that lies elsewhere: a wrong row or column index."""
    row, col = rows["row"].to_numpy(), rows["col"].to_numpy()
    ends = pa.array([find(index) for index in (row, col) for find in (np.argmin, np.argmax)])
    row, col, longitude, latitude = (rows[n].take(ends).to_numpy() for n in ("row", "col", "longitude", "latitude"))
    there = place.longitude_latitude(row - place.row0, col - place.col0)
    below = place.longitude_latitude(row - place.row0 + 1, col - place.col0)
    off = distance_deg((longitude, latitude), there) / distance_deg(below, there)
    worst = int(np.argmax(off))
    if not off[worst] <= MAX_END_OFFSET_PX:
        found = f"row {row[worst]}, col {col[worst]} at a place {off[worst]:.0f} cells from it"
        raise InputError(source, found, "pixels on one grid")


def _check_lengths(n_rows: int, place: GridPlace, pixel_size_m: float, source: str) -> None:
    """Refuse pixels whose places say that they are larger or smaller than stated, or that rows don't run south."""
    if n_rows < LEAST_PIXELS:
        return
    found = compute_distortion(place.longitude_latitude, place.height - 1, place.width - 1, pixel_size_m)
    if not found.is_allowed:
        stated = f"pixels of {pixel_size_m:g} m on a grid that has {found}"
        raise InputError(source, stated, f"{TRUE_GRID}, as in the UTM zone of the area")


def _check_extent(n_rows: int, place: GridPlace, source: str) -> None:
    """Refuse a window that is mostly empty."""
    empty = min(MOST_EMPTY_CELLS, EMPTY_CELLS_A_ROW * n_rows)
    if place.height * place.width > empty + MOST_CELLS_A_ROW * n_rows:
        found = f"{n_rows} pixels spread over {place.height} x {place.width} cells"
        raise InputError(source, found, "pixels of one area")


def _other_bands(rows: pa.Table) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the further bands that have values."""
    for name in OTHER_BANDS:
        if name in rows.column_names and rows[name].null_count < rows.num_rows:
            yield name, rows[name].to_numpy().astype(np.float32)


def _first(column: pa.ChunkedArray) -> Any:
    values = column.drop_null()
    return values[0].as_py() if len(values) else None


def _median(column: pa.ChunkedArray) -> float:
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")
