"""Wind from files: Parquet with the columns of the table `wind`, in whatever folders (`layouts`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.geodesy import wrap_longitude
from plumewatch.keys import is_file_name
from plumewatch.models import OnFailure, tell_or_raise
from plumewatch.statuses import WIND_STAGE
from plumewatch.tables import WIND
from plumewatch.wind.grids import MARGIN_DEG, Bounds, width_deg
from plumewatch.wind.interpolation import MAX_AGE_HOURS
from plumewatch.wind.layouts import UNNAMED_PRODUCT, WindFile, list_wind_files
from plumewatch.wind.product import WindRequest
from plumewatch.wind.rows import is_usable

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Longitudes and latitudes in degrees."""

WIND_FILE = replace(WIND, further={"product": pa.string()})
"""What a user's file may hold; in the storage the product is in the folders alone."""
READ_AROUND = timedelta(hours=2 * MAX_AGE_HOURS)  # both ends of the longest gap that is interpolated

log = logging.getLogger(__name__)


def read_wind_files(
    path: str,
    start: datetime,
    end: datetime,
    *,
    bounds: Sequence[Bounds] = (),
    points: Points | None = None,
    on_failure: OnFailure | None = None,
) -> pa.Table:
    """Return the rows from `start` to `end` (UTC, included) in or near the bounds or points; without either, all.

    `path` is a folder or prefix of Parquet files, or one file. Rows within 1 degree of the bounds and points come too,
    as interpolation needs them. The result has the columns of the table `wind` and `product`. A file that cannot be
    used raises InputError; with `on_failure` it is reported there and the others are read, unless access to it is
    refused or a bucket doesn't deliver it: that always raises. Rows without a time, a
    place, a height or a plausible wind (`at_point.is_usable`) are left out.
    """
    condition = in_time(start, end)

    def rows_of(file: str) -> pa.Table:
        usable = usable_rows(file, condition)
        return usable.filter(pa.array(_is_near(usable, bounds, points)))

    return gather_rows(path, start, end, rows_of, on_failure)


def gather_rows(
    path: str, start: datetime, end: datetime, rows_of: Callable[[str], pa.Table], on_failure: OnFailure | None
) -> pa.Table:
    """Return what `rows_of` gives for each file that may hold rows from `start` to `end`, as read_wind_files does."""
    days = [str(start.date() + timedelta(days=n)) for n in range((end.date() - start.date()).days + 1)]
    tables = []
    for file in list_wind_files(path, days, lambda error, asset: _report(error, asset, on_failure)):
        try:
            tables.append((file.path, _with_product(rows_of(file.path), file)))
        except InputError as error:
            _report(error, file.path, on_failure)
    if not tables:
        return WIND.empty().append_column("product", pa.array([], pa.string()))
    return _once_each(path, tables).sort_by([(name, "ascending") for name in ("product", *WIND.sort_by)])


def _once_each(path: str, tables: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    """Return one row of each product, hour, place and height, of files that hold several the newest file's.

    Where the others tell another wind, the log says so; so it does of rows of one file, of which the last count.
    """
    rows = pa.concat_tables([table for _, table in tables])
    told = rows.to_pandas()
    keys = ["product", "observed_at_utc", "longitude", "latitude", "height_m"]
    if not told.duplicated(keys).any():
        return rows
    written_s = [at.timestamp() if (at := storage.modified_at(file)) else 0.0 for file, _ in tables]
    told["file"] = np.repeat(np.arange(len(tables)), [table.num_rows for _, table in tables])
    told["written_s"] = np.array(written_s)[told["file"]]
    told = told.sort_values("written_s", kind="stable")
    is_last = ~told.duplicated(keys, keep="last")
    is_other = ~told.duplicated([*keys, "wind_u_m_s", "wind_v_m_s"], keep="last") & ~is_last
    is_within = is_other & told.duplicated([*keys, "file"], keep="last")  # a later row of the same file is another
    for number, n in told.loc[is_within, "file"].value_counts(sort=False).items():
        log.warning("wind: %s: %d rows are contradicted by later rows of this file, which count", tables[number][0], n)
    if n_other := int((is_other & ~is_within).sum()):
        log.warning("wind: %s: %d rows are contradicted by those of a newer file, which count", path, n_other)
    return rows.take(pa.array(told.index[is_last].to_numpy()))


def _with_product(rows: pa.Table, file: WindFile) -> pa.Table:
    """Return the rows with the product that the folder names, else the file itself in a column of that name."""
    product = pa.repeat(pa.scalar(file.product), rows.num_rows)
    if "product" in rows.column_names:
        stated = rows["product"].combine_chunks().fill_null(file.product)
        names, rows = stated.unique().to_pylist(), rows.drop_columns(["product"])
        if odd := [name for name in names if not is_file_name(name)]:
            raise InputError(file.path, f"product {odd[0]!r}", "names that a folder product=... can have")
        if file.product == UNNAMED_PRODUCT:
            product = stated
        elif set(names) - {file.product}:
            log.warning("wind: %s says product %s; its folder counts", file.path, ", ".join(map(str, names)))
    return rows.append_column("product", product)


def in_time(start: datetime, end: datetime) -> pc.Expression:
    """Return the condition that rows are from `start` to `end`."""
    at, kind = pc.field("observed_at_utc"), WIND.schema.field("observed_at_utc").type
    return (at >= pa.scalar(start, kind)) & (at <= pa.scalar(end, kind))


def usable_rows(file: str, condition: pc.Expression | None = None) -> pa.Table:
    """Return the rows of a file that say a wind, with `product` where it has such a column.

    InputError where it cannot be used.
    """
    names = [*WIND_FILE.schema.names, *WIND_FILE.further]
    rows = storage.read_parquet(WIND_FILE, file, names if condition is None else None, filter=condition)
    usable = rows.filter(pa.array(is_usable(rows)))
    if usable.num_rows < rows.num_rows:
        said = "wind: %s: %d of %d rows say no wind near the ground: %s"
        log.warning(said, file, rows.num_rows - usable.num_rows, rows.num_rows, _ranges(rows))
    at = usable.column_names.index("longitude")
    wrapped = pa.array(wrap_longitude(usable["longitude"].to_numpy()), usable.schema.field(at).type)
    return usable.set_column(at, usable.schema.field(at), wrapped)


def _ranges(rows: pa.Table) -> str:
    """What the rows of a file say, from the least to the most."""
    names = ("wind_u_m_s", "wind_v_m_s", "height_m")
    ends = {name: pc.min_max(rows[name]).as_py() for name in names}
    return ", ".join(f"{name} {end['min']} to {end['max']}" for name, end in ends.items())


def copy_wind(
    source_path: str, storage_root: str, day: date, bounds: Sequence[Bounds], on_failure: OnFailure | None = None
) -> list[str]:
    """Copy the wind of a day around the bounds into the storage's table `wind`; return the partitions that it wrote.

    The hours before and after the day that an interpolation at its ends needs go into the partitions of the
    neighbouring days. In each partition only the rows of these hours near these bounds are replaced. A file that cannot
    be used raises InputError; with `on_failure` it is reported there and the others are copied.
    """
    start = datetime.combine(day, time(), UTC) - READ_AROUND
    end = datetime.combine(day + timedelta(days=1), time(), UTC) + READ_AROUND
    rows = read_wind_files(source_path, start, end, bounds=bounds, on_failure=on_failure)
    written = []
    for product in sorted(set(rows["product"].to_pylist())):
        of_product = rows.filter(pc.equal(rows["product"], product)).drop_columns(["product"])
        dates = pc.strftime(of_product["observed_at_utc"], "%Y-%m-%d")
        for key in sorted(set(dates.to_pylist())):
            written.append(
                storage.replace_rows(
                    WIND,
                    storage.join(storage_root, WIND.name),
                    {"product": product, "date": key},
                    of_product.filter(pc.equal(dates, key)),
                    owns=lambda existing: _is_between(existing, start, end, bounds),
                )
            )
    return written


def has_wind_around(rows: pa.Table, request: WindRequest) -> bool:
    """Return whether any of some rows of the table `wind` is where and when a request needs it."""
    when = request.start - READ_AROUND, request.end + READ_AROUND
    return bool(pc.any(_is_between(rows, *when, [request.bounds])).as_py())


def _report(error: InputError | OSError, asset: str, on_failure: OnFailure | None) -> None:
    tell_or_raise(error, asset, WIND_STAGE, on_failure)


def _is_between(rows: pa.Table, start: datetime, end: datetime, bounds: Sequence[Bounds]) -> pa.Array:
    at = rows["observed_at_utc"]
    kind = at.type
    in_time = pc.and_(pc.greater_equal(at, pa.scalar(start, kind)), pc.less_equal(at, pa.scalar(end, kind)))
    return pc.and_(in_time, pa.array(_is_near(rows, bounds, None)))


def _is_near(rows: pa.Table, bounds: Sequence[Bounds], points: Points | None) -> NDArray[np.bool_]:
    """Which rows are within the margin of some bounds or point; all where neither is given."""
    lon, lat = rows["longitude"].to_numpy(), rows["latitude"].to_numpy()
    if not bounds and points is None:
        return np.ones(len(lon), bool)
    near = np.zeros(len(lon), bool)
    for west, south, east, north in bounds:
        width = width_deg(west, east)
        offset = (wrap_longitude(lon) - (west - MARGIN_DEG)) % 360.0
        in_width = (offset <= width + 2 * MARGIN_DEG) | (width + 2 * MARGIN_DEG >= 360.0)
        near |= in_width & (lat >= south - MARGIN_DEG) & (lat <= north + MARGIN_DEG)
    if points is not None:
        near |= np.isin(cells_of(lon, lat), cells_around(*points))
    return near


def cells_around(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the 1-degree cells of the points and the eight around each, once each, sorted."""
    steps = (-1, 0, 1)
    return np.unique(np.concatenate([cells_of(lon, lat, east, north) for east in steps for north in steps]))


def cells_of(lon: NDArray[np.float64], lat: NDArray[np.float64], east: int = 0, north: int = 0) -> NDArray[np.int64]:
    """Return the 1-degree cell of each point, or the one so many cells east and north of it."""
    column = (np.floor(np.asarray(lon) / MARGIN_DEG) + east) % (360 / MARGIN_DEG)
    return ((np.floor(np.asarray(lat) / MARGIN_DEG) + north) * 1000 + column).astype(np.int64)
