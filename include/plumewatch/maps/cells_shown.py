"""Cells that a map lays under all else: XCO2 of a month, and what gridded inventories state of a gas.

Of both what is stored: `soundings` of a month, `sources` of an inventory. How much goes to a browser has a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from plumewatch import storage
from plumewatch.gases import CH4, CO2, Gas
from plumewatch.maps.geojson import PLACE_DIGITS, rounded
from plumewatch.maps.map_style import STYLES
from plumewatch.oco2.month_cells import CELL_DEG, NEEDED, compute_month_cells
from plumewatch.orbits import QUALITY, good_soundings
from plumewatch.pages.wording import digits_text
from plumewatch.tables import SOUNDINGS, SOURCES

Floats = NDArray[np.float64]

MAX_CELLS = 20_000  # of an inventory, the strongest: 0.5 MB; the globe has 64,800 cells of XCO2 at most, 2 MB
DIGITS = 2  # decimals of a value
TONNES_A_KT = 1000.0
USUAL_PERCENTILES = (2.0, 98.0)  # of XCO2: beyond them, cells of few soundings would take all colours
FORM = 1
"""Of what `read_cells` returns: another number has a site's files of cells written anew."""
KEPT_MONTHS = 4  # whose XCO2 is kept, 2 MB each: a slider goes back and forth
COLOURS = ("#440154", "#443983", "#31688e", "#21918c", "#35b779", "#90d743", "#fde725")
"""From low to high: viridis of matplotlib, which isn't loaded for seven colours."""


@dataclass(frozen=True)
class CellLayer:
    """Cells that a map can show of a gas."""

    name: str
    """In requests and names of files."""
    label: str
    """For people."""
    is_monthly: bool = False
    """Whether each key has its own; else they are the same for all keys."""

    def file_name(self, key: str | None) -> str:
        """Return what the file of its cells is called on a site; `key` where each has its own."""
        return f"{key}.{self.name}.json" if self.is_monthly else f"{self.name}.json"


XCO2 = CellLayer("xco2", "XCO2 of the month", is_monthly=True)
EDGAR, ODIAC = CellLayer("edgar", "EDGAR inventory"), CellLayer("odiac", "ODIAC inventory")
_READING = Lock()
LAYERS = {CH4.name: (EDGAR,), CO2.name: (XCO2, EDGAR, ODIAC)}
"""By the name of the gas."""


def gas_offered(gas: Gas, keys: Sequence[str]) -> dict[str, Any]:
    """Return what a map of many keys offers of a gas: its keys, and its cells, whether or not something is stored of
    them: it says so if asked for."""
    cells = [asdict(layer) for layer in LAYERS[gas.name]]
    return {"name": gas.name, "title": gas.title, "keys": keys, "cells": cells}


def read_cells(gas: Gas, layer: CellLayer, key: str | None, storage_root: str) -> dict[str, Any]:
    """Return the cells of a layer as a map takes them.

    `cells` are columns (`columns.in_columns`): centre `lon`, `lat` in degrees, `value` in `unit`, and what `told` names
    with its label and unit; `size` is width and height of a cell in degrees, `stops` the colours by value, `text` says
    what is shown, or that nothing is stored. `key` is the month, of a layer that is monthly.
    """
    if layer.is_monthly:
        made = made_at(layer, key, storage_root)
        with _READING:  # who asks for the same meanwhile has it then
            return (_kept_xco2 if made else _xco2)(str(key), storage_root, made)
    return _inventory(gas, layer, storage_root)


def made_at(layer: CellLayer, key: str | None, storage_root: str) -> datetime | None:
    """Return when what the cells are made of was last written (UTC), None where nobody tells."""
    return storage.modified_at(storage.join(_partition(layer, key, storage_root), storage.MANIFEST))


def _partition(layer: CellLayer, key: str | None, storage_root: str) -> str:
    table, keys = (SOUNDINGS, {"month": str(key)}) if layer.is_monthly else (SOURCES, {"inventory": layer.name})
    return storage.partition_path(storage.join(storage_root, table.name), keys)


def unreadable(layer: CellLayer) -> dict[str, Any]:
    """Return what stands in place of cells whose files can't be read."""
    return _nothing(layer.label, "What it is made of can't be read.")


def _xco2(month: str, storage_root: str, made: datetime | None) -> dict[str, Any]:
    """The same as long as the month isn't written anew (`made`)."""
    cells = compute_month_cells(_soundings(month, storage_root))
    title, whose = f"XCO2 of {month}", STYLES[CO2.name].attribution
    if not cells.xco2_ppm.size:
        return _nothing(title, f"No good sounding is stored of {month}.")
    low, high = np.percentile(cells.xco2_ppm, USUAL_PERCENTILES).tolist()
    columns = {
        "lon": cells.longitude,
        "lat": cells.latitude,
        "value": cells.xco2_ppm.round(DIGITS),
        "spread": cells.spread_ppm.round(DIGITS),
        "soundings": cells.n_soundings,
        "days": cells.n_days,
    }
    n, n_cells = int(cells.n_soundings.sum()), len(cells.n_days)
    return {
        "title": title,
        "text": f"Mean of {n:,} good soundings in {_cells_text(n_cells, CELL_DEG)}; elsewhere there is none.",
        "unit": "ppm",
        "size": [CELL_DEG, CELL_DEG],
        **_colours(f"{title}, ppm", np.linspace(low, high, len(COLOURS)), f"≤ {low:.1f}", f"≥ {high:.1f}"),
        "cells": _columns(columns),
        "told": [["soundings", "soundings", ""], ["on days", "days", ""], ["standard deviation", "spread", " ppm"]],
        "facts": [["month", month], ["data", whose]],
        "attribution": [whose],
    }


_kept_xco2 = lru_cache(maxsize=KEPT_MONTHS)(_xco2)


def _soundings(month: str, storage_root: str) -> Iterator[pa.Table]:
    """The good soundings of a month, piece by piece."""
    for partition in storage.list_partitions(SOUNDINGS, storage.join(storage_root, SOUNDINGS.name), {"month": month}):
        for rows in storage.iter_partition(SOUNDINGS, partition, (*NEEDED, QUALITY)):
            yield good_soundings(rows)


def _inventory(gas: Gas, layer: CellLayer, storage_root: str) -> dict[str, Any]:
    columns = ["longitude", "latitude", "emission_t_y", "year", "provenance", "licence"]
    where = {"inventory": layer.name}
    rows = storage.read_table(
        SOURCES,
        storage.join(storage_root, SOURCES.name),
        [*columns, "cell_width_deg", "cell_height_deg"],
        where,
        (pc.field("gas") == gas.name) & (pc.field("emission_t_y") > 0.0) & (pc.field("cell_width_deg") > 0.0),
    ).sort_by([("emission_t_y", "descending"), ("longitude", "ascending"), ("latitude", "ascending")])
    title = f"{layer.label}, {gas.name.upper()}"
    if not rows.num_rows:
        return _nothing(title, f"Nothing is stored of it: no grid of {gas.name.upper()} that states its cells' size.")
    shown = rows.slice(0, MAX_CELLS)
    lon, lat, emission = (shown[name].to_numpy() for name in ("longitude", "latitude", "emission_t_y"))
    value = emission / TONNES_A_KT
    first = {name: column[0].as_py() for name, column in zip(shown.column_names, shown.columns, strict=True)}
    size = [rounded(first["cell_width_deg"]), rounded(first["cell_height_deg"])]
    most = f"the {MAX_CELLS:,} strongest of " if rows.num_rows > MAX_CELLS else ""
    low, high = (digits_text(float(end)) for end in (value[-1], value[0]))
    said, whose = f"{title}, {first['year']}", first["provenance"] or layer.label
    licence = [["licence", first["licence"]]] if first["licence"] else []
    return {
        "title": said,
        "text": f"Emission of {first['year']} by {whose}: {most}{_cells_text(rows.num_rows, size[0])}, "
        f"from {low} kt a year on; weaker ones are not shown.",
        "unit": "kt a year",
        "size": size,
        **_colours(f"{said}, kt a year", np.geomspace(value[-1], value[0], len(COLOURS)), low, high),
        "cells": _columns(
            {"lon": lon.round(PLACE_DIGITS), "lat": lat.round(PLACE_DIGITS), "value": value.round(DIGITS)}
        ),
        "told": [],
        "facts": [["year", str(first["year"])], ["from", whose], *licence],
        "attribution": [whose.split(",")[0] + (f" ({first['licence']})" if licence else "")],
    }


def _nothing(title: str, text: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {name: [] for name in ("told", "facts", "attribution", "stops")}
    return {"title": title, "text": text, **nothing, "unit": "", "legend": None, "size": [0, 0], "cells": _columns({})}


def _cells_text(n: int, size_deg: float) -> str:
    return f"{n:,} cell{'' if n == 1 else 's'} of {size_deg:g}°"


def _colours(title: str, values: Floats, low: str, high: str) -> dict[str, Any]:
    """The colours of values that rise, for the map and for its legend; of one value that doesn't, one colour."""
    rising, which = np.unique(values.round(PLACE_DIGITS)[::-1], return_index=True)  # of equal ones the highest colour
    colours = [COLOURS[::-1][n] for n in which]
    stops = [[value, colour] for value, colour in zip(rising.tolist(), colours, strict=True)]
    return {"stops": stops, "legend": {"title": title, "low": low, "high": high, "colours": colours}}


def _columns(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    n = len(next(iter(columns.values()), ()))
    return {"n": n, "columns": {name: {"each": values.tolist()} for name, values in columns.items()}}
