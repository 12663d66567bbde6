"""One overpass of an area as arrays: the rows of the pixel table laid out on the area's grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import ArrayLike, NDArray

from plumewatch.errors import InputError
from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.retrieval import PLATFORMS, compute_air_mass_factor

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEFAULT_PIXEL_SIZE_M = (
    20.0  # bands 11 and 12 of Sentinel-2 (MSI user guide); what a pixel table without the column means
)
SCL_WATER = 6  # scene classification of Sen2Cor
FIT_POINTS = 4096  # pixels that a cubic of 10 terms per coordinate is fitted to
STRIP_HALF_WIDTH_PX = 0.1  # of what joins the pieces of an outline
PIXEL_SIZES_M = (5.0, 250.0)  # of what a plume can be seen in
AIR_MASS_FACTORS = (2.0, 5.0)  # of the transmittance table: the sun up to 70 degrees from the zenith
MOST_CELLS_A_ROW, MOST_EMPTY_CELLS = 50, 16_000_000  # a window mostly empty is a wrong row or column index
MAX_OFFSET_PX = 0.5  # a reference whose pixels lie further off belongs to another grid

COLUMNS = (
    "scene_id", "platform", "observed_at_utc", "relative_orbit", "epsg", "pixel_size_m", "row", "col", "longitude",
    "latitude", "b11", "b12", "scl", "is_clear", "solar_zenith_deg", "view_zenith_deg",
)  # fmt: skip
"""What of the pixel table the detection needs."""
OTHER_BANDS = ("b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a")
"""Bands that methane doesn't touch: read where the table has them, as what changes in them too is no plume."""


NEVER_NULL = ("scene_id", "platform", "row", "col", "longitude", "latitude")


@dataclass(frozen=True, eq=False)
class GridPlace:
    """Where the cells of a window of the area's grid lie, as cubic polynomials in row and column."""

    row0: int
    """Row of the window's first cell on the area's grid."""
    col0: int
    """Column of the window's first cell on the area's grid."""
    height: int
    """Rows of the window."""
    width: int
    """Columns of the window."""
    longitude0: float
    """Longitude that the fitted ones are relative to, so that an area may lie across the antimeridian."""
    coefficients: Floats
    """(10 terms, 2): longitude relative to longitude0, and latitude, in degrees."""

    def longitude_latitude(self, row: ArrayLike, col: ArrayLike) -> tuple[Floats, Floats]:
        """Return longitude and latitude in degrees of cells counted from the window's first; its centre is (0, 0)."""
        terms = _cubic_terms(np.asarray(row, dtype=float), np.asarray(col, dtype=float), self.height, self.width)
        place = terms @ self.coefficients
        return wrap_longitude(place[..., 0] + self.longitude0), place[..., 1]

    def polygon(self, mask: Mask) -> shapely.Geometry:
        """Return the outline of the cells of `mask` (height x width) in longitude and latitude, one polygon.

        Pieces that don't touch are joined by a strip a fifth of a cell wide.
        """
        edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        rows, starts = np.nonzero(edges == 1)
        ends = np.nonzero(edges == -1)[1]
        outline = _joined(shapely.union_all(shapely.box(starts - 0.5, rows - 0.5, ends - 0.5, rows + 0.5)))

        def to_degrees(points: Floats) -> Floats:
            place = _cubic_terms(points[:, 1], points[:, 0], self.height, self.width) @ self.coefficients
            return np.column_stack([place[:, 0] + self.longitude0, place[:, 1]])

        return shapely.normalize(shapely.transform(outline, to_degrees))


@dataclass(frozen=True, eq=False)
class Pass:
    """One satellite's pass over an area on one date; all arrays are height x width of the window."""

    platform: str
    """`sentinel-2a`, `sentinel-2b` or `sentinel-2c`."""
    relative_orbit: int | None
    """Relative orbit number, None where the table doesn't say."""
    observed_at_utc: datetime | None
    """Time of acquisition, None where the table doesn't say."""
    scene_ids: tuple[str, ...]
    """Scenes (tiles) that the pass is made of, sorted."""
    scene_index: NDArray[np.int16]
    """Which of `scene_ids` each cell comes from; -1 where there is no pixel."""
    b11: NDArray[np.float32]
    """Reflectance of band 11; NaN where there is none."""
    b12: NDArray[np.float32]
    """Reflectance of band 12; NaN where there is none."""
    is_usable: Mask
    """Clear, both bands positive, not water."""
    air_mass_factor: float
    """Median over the pass."""
    view_zenith_deg: float
    """Median over the pass."""
    n_pixels: int
    """Cells of this pass; a cell that is in the table twice counts once."""
    epsg: int | None
    """Projected CRS of the grid, None where the table doesn't say."""
    pixel_size_m: float
    """Cell size."""
    place: GridPlace
    """Where the cells lie."""
    other_bands: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Reflectance of further bands by name (`b04`), NaN where there is none."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.b11.shape

    @property
    def clear_fraction(self) -> float:
        """Usable pixels over all pixels of the pass."""
        return float(self.is_usable.sum() / self.n_pixels) if self.n_pixels else 0.0


def _joined(shape: shapely.Geometry) -> shapely.Geometry:
    """Return one polygon: pieces are joined to the largest one by strips along their shortest connections."""
    pieces = sorted(shapely.get_parts(shape), key=lambda piece: (-piece.area, piece.bounds))
    whole = pieces.pop(0)
    while pieces:
        nearest = min(range(len(pieces)), key=lambda i: whole.distance(pieces[i]))
        piece = pieces.pop(nearest)
        strip = shapely.shortest_line(whole, piece)
        if not strip.length:  # they touch at a corner
            strip = strip.centroid
        whole = shapely.union_all([whole, piece, strip.buffer(STRIP_HALF_WIDTH_PX)])
    return whole


def split_passes(pixels: pa.Table) -> list[pa.Table]:
    """Return the rows of each pass (platform and relative orbit) of one area and date, in the order of those two."""
    keys = pixels.select(["platform", "relative_orbit"]).group_by(["platform", "relative_orbit"]).aggregate([])
    order = sorted(
        keys.to_pylist(),
        key=lambda k: (k["platform"] or "", -1 if k["relative_orbit"] is None else k["relative_orbit"]),
    )
    if len(order) == 1:
        return [pixels]
    return [_rows_of(pixels, key["platform"], key["relative_orbit"]) for key in order]


def _rows_of(pixels: pa.Table, platform: str, relative_orbit: int | None) -> pa.Table:
    orbit = pixels["relative_orbit"]
    same_orbit = pa.compute.is_null(orbit) if relative_orbit is None else pa.compute.equal(orbit, relative_orbit)
    return pixels.filter(pa.compute.and_kleene(pa.compute.equal(pixels["platform"], platform), same_orbit))


def grid_pass(rows: pa.Table, onto: GridPlace | None = None, source: str = "pixels") -> Pass:
    """Return the rows of one pass on the smallest window that holds them, or on the window `onto`.

    Raises InputError, naming `source`, where there is no row, a place is null, or the cells are not those of `onto`.
    """
    if not rows.num_rows:
        raise InputError(source, "no rows", "pixels of one pass")
    empty = [name for name in NEVER_NULL if rows[name].null_count]
    if empty:
        raise InputError(source, f"null in {', '.join(empty)}", "pixels with their place, scene and platform")
    _check_values(rows, source)
    row, col = (rows[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    place = onto or _fit_place(row, col, rows["longitude"].to_numpy(), rows["latitude"].to_numpy())
    inside = (
        (row >= place.row0) & (row < place.row0 + place.height) & (col >= place.col0) & (col < place.col0 + place.width)
    )
    if onto is not None:
        _check_place(rows, row, col, inside, onto, source)
    cell = ((row - place.row0) * place.width + col - place.col0)[inside]
    shape = (place.height, place.width)

    def laid_out(values: NDArray, empty: float | bool) -> NDArray:
        grid = np.full(place.height * place.width, empty, dtype=values.dtype)
        grid[cell] = values[inside]
        return grid.reshape(shape)

    scenes = rows["scene_id"].combine_chunks().dictionary_encode()
    names = scenes.dictionary.to_pylist()
    rank = np.argsort(np.argsort(names)).astype(np.int16)
    b11, b12 = (laid_out(rows[name].to_numpy().astype(np.float32), np.nan) for name in ("b11", "b12"))
    clear = laid_out(rows["is_clear"].to_numpy(zero_copy_only=False).astype(bool), False)
    water = laid_out(rows["scl"].to_numpy() == SCL_WATER, False)
    solar, view = (_median(rows[name]) for name in ("solar_zenith_deg", "view_zenith_deg"))
    size, epsg = _first(rows["pixel_size_m"]), _first(rows["epsg"])
    with np.errstate(invalid="ignore"):
        usable = clear & ~water & (b11 > 0) & (b12 > 0) & np.isfinite(b11) & np.isfinite(b12)
    scene_index = laid_out(rank[scenes.indices.to_numpy()], -1)
    return Pass(
        platform=str(_first(rows["platform"])),
        relative_orbit=_first(rows["relative_orbit"]),
        observed_at_utc=_first(rows["observed_at_utc"]),
        scene_ids=tuple(sorted(names)),
        scene_index=scene_index,
        b11=b11,
        b12=b12,
        is_usable=usable,
        air_mass_factor=float(1 / np.cos(np.radians(solar)) + 1 / np.cos(np.radians(view))),
        view_zenith_deg=view,
        n_pixels=int((scene_index >= 0).sum()),
        epsg=epsg,
        pixel_size_m=DEFAULT_PIXEL_SIZE_M if size is None else float(size),
        place=place,
        other_bands={name: laid_out(band, np.nan) for name, band in _other_bands(rows)},
    )


def _check_values(rows: pa.Table, source: str) -> None:
    """Refuse what no pass of Sentinel-2 can have; the message says what was found and what is allowed."""
    longitude, latitude = (rows[name].to_numpy() for name in ("longitude", "latitude"))
    for name, values, most in (("longitude", longitude, 360.0), ("latitude", latitude, 90.0)):
        wrong = ~(np.abs(values) <= most)
        if wrong.any():
            raise InputError(source, f"{name} {values[wrong][0]}", f"-{most:g} to {most:g} degrees in every row")
    size = _first(rows["pixel_size_m"])
    if size is not None and not PIXEL_SIZES_M[0] <= size <= PIXEL_SIZES_M[1]:
        raise InputError(source, f"pixel_size_m {size}", f"{PIXEL_SIZES_M[0]:g} to {PIXEL_SIZES_M[1]:g} m")
    platform = str(_first(rows["platform"]))
    if platform not in PLATFORMS:
        raise InputError(source, f"platform {platform!r}", ", ".join(PLATFORMS))
    zeniths = {name: _median(rows[name]) for name in ("solar_zenith_deg", "view_zenith_deg")}
    factor = float(compute_air_mass_factor(*zeniths.values())) if np.all(np.isfinite([*zeniths.values()])) else np.nan
    if not AIR_MASS_FACTORS[0] <= factor <= AIR_MASS_FACTORS[1]:
        found = ", ".join(f"{name} {value:.1f}" for name, value in zeniths.items())
        raise InputError(source, found, f"an air mass factor from {AIR_MASS_FACTORS[0]:g} to {AIR_MASS_FACTORS[1]:g}")
    cells = [
        int(pa.compute.max(rows[name]).as_py()) - int(pa.compute.min(rows[name]).as_py()) + 1 for name in ("row", "col")
    ]
    if cells[0] * cells[1] > MOST_EMPTY_CELLS + MOST_CELLS_A_ROW * rows.num_rows:
        raise InputError(
            source, f"{rows.num_rows} pixels spread over {cells[0]} x {cells[1]} cells", "pixels of one area"
        )


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


def _cubic_terms(row: Floats, col: Floats, height: int, width: int) -> Floats:
    """Return the 10 terms of a cubic in row and column, both scaled to about -1 to 1."""
    scale = max(height, width) / 2
    r, c = (row - height / 2) / scale, (col - width / 2) / scale
    one = np.ones(np.broadcast(r, c).shape)
    return np.stack([one, r, c, r * r, r * c, c * c, r**3, r * r * c, r * c * c, c**3], axis=-1)


def _fit_place(row: NDArray[np.int64], col: NDArray[np.int64], longitude: Floats, latitude: Floats) -> GridPlace:
    """Fit the polynomials: within 100 km a cubic follows UTM to better than a centimetre."""
    row0, col0 = int(row.min()), int(col.min())
    height, width = int(row.max()) - row0 + 1, int(col.max()) - col0 + 1
    some = np.unique(np.linspace(0, len(row) - 1, FIT_POINTS).astype(np.int64))
    longitude0 = float(longitude[0])
    place = np.column_stack([wrap_longitude(longitude[some] - longitude0), latitude[some]])
    terms = _cubic_terms((row[some] - row0).astype(float), (col[some] - col0).astype(float), height, width)
    coefficients = np.linalg.lstsq(terms, place, rcond=None)[0].astype(np.float64)
    return GridPlace(row0, col0, height, width, longitude0, coefficients)


def _check_place(rows: pa.Table, row: NDArray, col: NDArray, inside: Mask, onto: GridPlace, source: str) -> None:
    """Refuse pixels that lie elsewhere than the window says: the area's grid was changed between the dates."""
    if not inside.any():
        raise InputError(source, "no pixel in the window of the target date", "dates of one area on one grid")
    some = np.flatnonzero(inside)
    some = some[np.unique(np.linspace(0, len(some) - 1, FIT_POINTS // 8).astype(np.int64))]
    longitude, latitude = (rows[name].to_numpy()[some] for name in ("longitude", "latitude"))
    r, c = (row[some] - onto.row0).astype(float), (col[some] - onto.col0).astype(float)
    there, next_cell = onto.longitude_latitude(r, c), onto.longitude_latitude(r + 1, c)
    cell = np.median(np.abs(next_cell[1] - there[1]))
    off = np.hypot(wrap_longitude(longitude - there[0]) * np.cos(np.radians(latitude)), latitude - there[1])
    if np.median(off) > MAX_OFFSET_PX * cell:
        raise InputError(
            source, f"pixels {np.median(off) / cell:.1f} cells off the target's grid", "dates of one area on one grid"
        )
