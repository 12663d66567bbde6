"""A month of zones as a table for people: a zone a row, as CSV, or as GeoPackage with the outlines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.zones.zone import Zones, sort_key

if TYPE_CHECKING:
    import pandas


def month_table(rows: pa.Table) -> pandas.DataFrame:
    """Return the rows of the month as one row a zone (`zone_id` is the index, in the order of the ids).

    Columns are `ndvi_mean` ..., and for each band or index `ndvi_count_clear` and `ndvi_count_total`.
    """
    month = rows.filter(pc.is_null(rows["scene_id"])).to_pandas()
    named = month.assign(column=month.band_or_index + "_" + month.statistic)
    values = named.pivot(index="zone_id", columns="column", values="value")
    for count in ("count_clear", "count_total"):
        each = month.drop_duplicates(["zone_id", "band_or_index"]).pivot(
            index="zone_id", columns="band_or_index", values=count
        )
        values = values.join(each.add_suffix(f"_{count}"))
    order = sort_key(list(values.index))
    table: pandas.DataFrame = values.loc[sorted(values.index, key=order)]
    return table


def write_csv(path: str, table: pandas.DataFrame) -> None:
    """Write a month's table as CSV (UTF-8, comma, decimal point; empty where there is no value)."""
    storage.write_bytes(path, table.to_csv().encode())


def write_geopackage(path: str, table: pandas.DataFrame, zones: Zones) -> None:
    """Write a month's table as a GeoPackage, with the zones' outlines in the system of their file."""
    import geopandas

    shapes = {zone.zone_id: zone.shape for zone in zones.zones}
    frame = geopandas.GeoDataFrame(
        table.reset_index(), geometry=[shapes.get(zone_id) for zone_id in table.index], crs=zones.crs
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "zones.gpkg"
        frame.to_file(file, layer=zones.name)
        storage.write_bytes(path, file.read_bytes())
