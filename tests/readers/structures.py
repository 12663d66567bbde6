"""Files that are well formed and say what nobody expects: structures drawn by hypothesis, in the form of a good file.

`made_like(path, content)` is a strategy for the content of a file of the kind of `path`, whose good content is given:
JSON with other values, tables with other columns, types and rows, NetCDF with other variables and attributes, rasters
of another kind, grid and place, vectors of other geometries, and text of any form.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from hypothesis import reject
from hypothesis import strategies as st
from mutated_files import ODD_VALUES, find_places
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

Draw = Any
MOST_ROWS = 30
ODD_NUMBERS = (0.0, -1.0, 1e308, -1e-308, float("nan"), float("inf"), 1e20, 2.0**53, 90.0, 181.0)
NUMBERS = st.one_of(st.sampled_from(ODD_NUMBERS), st.floats(), st.integers(-(2**63), 2**63 - 1).map(float))
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        "", "NaN", "null", "0", "-9999", "1e999", "../x", "2025-08-21", "2025-08-21T06:48:00Z", "0001-01-01", "ppm",
        "m s-1", "days since 0000-00-00", "EPSG:4326", "coal", "co2", "=1+1", "a;b", '"',
    ]),
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.one_of(st.sampled_from(ODD_VALUES), st.integers(), st.floats(), TEXTS, st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)


def made_like(path: Path, content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for other contents of the file, whose good one is given."""
    made = {
        ".parquet": _parquet, ".nc": _netcdf, ".nc4": _netcdf, ".tif": _raster, ".gpkg": _vectors, ".shp": _vectors,
        ".json": _json, ".geojson": _json, ".csv": _lists,
    }.get(path.suffix, _text)  # fmt: skip
    return made(content, path.suffix)


@st.composite
def _json(draw: Draw, content: bytes, suffix: str) -> bytes:
    document = json.loads(content)
    if draw(st.integers(0, 9)) == 0:
        return json.dumps(draw(JSON_VALUES)).encode()
    for _ in range(draw(st.integers(1, 3))):
        places: list[tuple[Any, Any]] = []
        find_places(document, places)
        if not places:
            break
        holder, key = draw(st.sampled_from(range(len(places))).map(places.__getitem__))
        what = draw(st.integers(0, 5))
        if what == 0:
            del holder[key]
        elif what == 1 and isinstance(holder, list):
            holder.append(holder[key])
        elif what == 2:
            holder[key] = [holder[key]]
        else:
            holder[key] = copy.deepcopy(draw(JSON_VALUES))  # drawn ones are given again
    return json.dumps(document).encode()


@st.composite
def _lists(draw: Draw, content: bytes, suffix: str) -> bytes:
    text = content.decode()
    delimiter = ";" if text.splitlines()[0].count(";") > text.splitlines()[0].count(",") else ","
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    header, body = rows[0], rows[1:]
    names = draw(st.permutations(range(len(header)))) if draw(st.booleans()) else list(range(len(header)))
    names = [n for n in names if draw(st.integers(0, 15))]
    rows = [draw(st.sampled_from(body)) for _ in range(draw(st.integers(0, MOST_ROWS)))]
    lines = [[header[n] for n in names], *([row[n] if n < len(row) else "" for n in names] for row in rows)]
    for _ in range(draw(st.integers(0, 3)) if rows and names else 0):
        line = lines[draw(st.integers(1, len(rows)))]
        if draw(st.integers(0, 9)) == 0:
            line[draw(st.integers(0, len(line))) :] = draw(st.lists(TEXTS, max_size=2))
        elif line:
            line[draw(st.integers(0, len(line) - 1))] = draw(st.one_of(TEXTS, NUMBERS.map(str)))
    out = io.StringIO()
    other = draw(st.sampled_from([delimiter] * 6 + [",", ";", "\t", "|"]))
    csv.writer(out, delimiter=other, lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"]))).writerows(lines)
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "latin-1"]))
    return out.getvalue().encode(encoding, errors="replace")


OTHER_TYPES = (
    pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.string(), pa.large_string(), pa.bool_(), pa.binary(),
    pa.date32(), pa.timestamp("ns"), pa.timestamp("us", tz="Europe/Vienna"), pa.time64("us"), pa.decimal128(20, 3),
    pa.null(), pa.list_(pa.int32()), pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.string()),
)  # fmt: skip


@st.composite
def _parquet(draw: Draw, content: bytes, suffix: str) -> bytes:
    rows = pq.read_table(io.BytesIO(content))
    some = [draw(st.integers(0, len(rows) - 1)) for _ in range(draw(st.integers(0, MOST_ROWS)))]
    rows = rows.take(pa.array(some, pa.int64()))
    changed = {n for n in range(rows.num_columns) if draw(st.integers(0, 5)) == 0}
    columns: dict[str, Any] = {}
    for n, name in enumerate(rows.column_names):
        what = draw(st.integers(0, 4)) if n in changed else -1
        if what == 0:
            continue
        columns[name] = rows[name] if what < 0 else _other_column(draw, rows[name], what)
    if draw(st.integers(0, 9)) == 0:
        columns[draw(TEXTS)] = pa.array(range(len(rows)))
    out = io.BytesIO()
    try:
        table = pa.table(columns)
        compression = draw(st.sampled_from(["zstd", "snappy", "gzip", "none"]))
        pq.write_table(table, out, compression=compression, row_group_size=draw(st.integers(1, 50)))
    except (pa.ArrowException, NotImplementedError):  # what Parquet has no form for
        reject()
    return out.getvalue()


def _other_column(draw: Draw, column: pa.ChunkedArray, what: int) -> Any:
    n = len(column)
    if what == 1:
        return pa.nulls(n, column.type)
    if what == 2 and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return pa.array([draw(NUMBERS) for _ in range(n)], pa.float64())
    if what == 3:
        return pa.array([draw(TEXTS) for _ in range(n)], pa.string())
    kind = draw(st.sampled_from(OTHER_TYPES))
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException:
        return pa.nulls(n, kind)


DTYPES = ("i1", "u1", "i4", "u8", "f2", "f4", "f8", "S4", "?")


@st.composite
def _netcdf(draw: Draw, content: bytes, suffix: str) -> bytes:
    held = io.BytesIO(content)
    with h5py.File(held, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
            try:
                _change_variable(draw, file, name)
            except (TypeError, ValueError, OSError, RuntimeError, KeyError):  # what HDF5 has no form for
                reject()
    return held.getvalue()


def _change_variable(draw: Draw, file: h5py.File, name: str) -> None:
    what, dataset = draw(st.integers(0, 5)), file[name]
    attributes, shape = dict(dataset.attrs), dataset.shape
    if what == 0:
        del file[name]
    elif what == 1:
        del file[name]
        file.create_group(name)
    elif what == 2:
        told = draw(
            st.sampled_from(["units", "_FillValue", "scale_factor", "add_offset", "valid_range", "missing_value"])
        )
        dataset.attrs[told] = draw(st.one_of(NUMBERS, TEXTS, st.lists(NUMBERS, max_size=3).map(np.array)))
    elif what == 3 and dataset.dtype.kind in "iuf" and dataset.size:
        values = dataset[...].ravel()
        with np.errstate(all="ignore"):
            values[draw(st.integers(0, len(values) - 1)) :] = np.array(draw(NUMBERS)).astype(dataset.dtype)
        dataset[...] = values.reshape(shape)
    else:
        del file[name]
        other = [draw(st.integers(0, 5)) for _ in range(draw(st.integers(0, 3)))] if what == 4 else shape
        made = file.create_dataset(name, shape=tuple(other), dtype=draw(st.sampled_from(DTYPES)))
        for key, value in attributes.items():
            if key.isidentifier() and not key.isupper():  # dimension scales are HDF5's own
                made.attrs[key] = value


RASTER_TYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64", "complex64")
PLACES = ("EPSG:4326", "EPSG:32640", "EPSG:3857", "EPSG:32701", "EPSG:4978", None)


@st.composite
def _raster(draw: Draw, content: bytes, suffix: str) -> bytes:
    with MemoryFile(content) as held, held.open() as good:
        profile, pixels, descriptions = good.profile, good.read(), good.descriptions
        scales, offsets = good.scales, good.offsets
    changed = draw(
        st.sets(
            st.sampled_from(["dtype", "size", "bands", "crs", "place", "nodata", "values", "said"]),
            min_size=1,
            max_size=3,
        )
    )
    if "dtype" in changed:
        profile["dtype"] = draw(st.sampled_from(RASTER_TYPES))
    if "size" in changed:
        pixels = pixels[:, : draw(st.integers(1, pixels.shape[1])), : draw(st.integers(1, pixels.shape[2]))]
    if "bands" in changed:
        pixels = np.concatenate([pixels] * draw(st.integers(1, 3)))[: draw(st.integers(1, 5))]
    if "crs" in changed:
        profile["crs"] = draw(st.sampled_from(PLACES))
    if "place" in changed:
        profile["transform"] = Affine(*(draw(NUMBERS) if draw(st.booleans()) else v for v in profile["transform"][:6]))
    if "nodata" in changed:
        profile["nodata"] = draw(st.sampled_from([None, 0, 1, 255, 5, -9999, float("nan")]))
    if "values" in changed:
        pixels = np.full(pixels.shape, draw(NUMBERS))
    profile |= {
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "driver": "GTiff",
        "tiled": False,
    }
    for name in ("blockxsize", "blockysize", "interleave"):
        profile.pop(name, None)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), MemoryFile() as held:
            warnings.simplefilter("ignore")
            with held.open(**profile) as made:
                made.write(pixels.astype(profile["dtype"]))
                n = len(pixels)
                if "said" in changed:
                    made.scales = [draw(NUMBERS) for _ in range(n)]
                    made.offsets = [draw(NUMBERS) for _ in range(n)]
                    made.descriptions = [draw(TEXTS).replace("\0", "") for _ in range(n)]
                elif n == len(descriptions):
                    made.descriptions, made.scales, made.offsets = descriptions, scales, offsets
            return bytes(held.read())
    except (RasterioError, ValueError, TypeError, OverflowError, UnicodeError):  # what GeoTIFF has no form for
        reject()


COORDINATES = st.one_of(
    st.floats(-180, 180), st.sampled_from([0.0, 90.0, 180.0, -180.0, 1e30, float("nan"), float("inf")])
)


@st.composite
def _geometries(draw: Draw) -> Any:
    points = draw(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=4, max_size=8))
    kind = draw(st.integers(0, 7))
    try:
        if kind == 0:
            return None
        if kind == 1:
            return shapely.Point(points[0])
        if kind == 2:
            return shapely.LineString(points)
        if kind == 3:
            return shapely.Polygon()
        if kind == 4:
            return shapely.GeometryCollection([shapely.Point(points[0]), shapely.Polygon(points)])
        if kind == 5:
            return shapely.MultiPolygon([shapely.Polygon(points), shapely.Polygon(points[::-1])])
        return shapely.Polygon(points)
    except (ValueError, shapely.GEOSException):
        return None


@st.composite
def _vectors(draw: Draw, content: bytes, suffix: str) -> bytes:
    n = draw(st.integers(0, 5))
    columns = {
        name: draw(_values(n))
        for name in draw(st.lists(st.sampled_from(["id", "name", "fid2", "x"]), max_size=3, unique=True))
    }
    crs = draw(st.sampled_from([4326, 4326, 3857, 32640, None]))
    shapes = [draw(_geometries()) for _ in range(n)]
    frame = geopandas.GeoDataFrame(pd.DataFrame(columns, index=range(n)), geometry=shapes, crs=crs)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"made{suffix}"
        try:
            frame.to_file(path)
            if suffix == ".gpkg" and draw(st.integers(0, 9)) == 0:
                frame.to_file(path, layer="other")
        except Exception:  # noqa: BLE001 - whatever its writer has no form for
            reject()
        return path.read_bytes()


def _values(n: int) -> st.SearchStrategy[Sequence[Any]]:
    kinds = (st.integers(-5, 5), NUMBERS, TEXTS.map(lambda text: text.replace("\0", "")), st.booleans(), st.none())
    return st.one_of(*(st.lists(kind, min_size=n, max_size=n) for kind in kinds))


WORD = re.compile(rb"[\w.]+")


@st.composite
def _text(draw: Draw, content: bytes, suffix: str) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    made = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        words = [match.span() for match in WORD.finditer(made)] or [(0, len(made))]
        start, end = words[draw(st.integers(0, len(words) - 1))]
        what = draw(st.integers(0, 3))
        other = (
            draw(TEXTS).encode(errors="replace") if what == 0
            else str(draw(NUMBERS)).encode() if what == 1
            else bytes(made[start:end]) * 2 if what == 2
            else draw(st.binary(max_size=8))
        )  # fmt: skip
        made[start:end] = other
    return bytes(made)
