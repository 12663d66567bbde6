"""What Sentinel Hub's Statistical API, and its batch, are asked of zones: scripts, days, cells, statistics.

Two requests a zone: the bands and indices of its clear cells, and its cells that were seen at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import shapely
from pyproj import CRS
from sentinelhub import DataCollection, SentinelHubRequest, SentinelHubStatistical

from plumewatch.catalogues.processing_units import predict_units
from plumewatch.errors import InputError
from plumewatch.geodesy import utm_epsg
from plumewatch.sentinel2.bands import CLEAR_CLASSES, SCENE_CLASSIFICATION
from plumewatch.sentinel2.evalscript import DATA_MASK, FIRST_LINE, FLOAT32
from plumewatch.zonal_names import INDEX_BANDS, bands_of
from plumewatch.zones.indices import index_constants
from plumewatch.zones.outlines import shapes_in
from plumewatch.zones.service_statistics import SEEN, percents_of

MOST_PX = 2500  # a side, docs.sentinel-hub.com/api/latest/reference
DAYS_SEEN = 15  # of a month at most, by two satellites on orbits that overlap: what is set aside for
BINS = 1000  # of a histogram: of an index 0.002, of reflectance 0.0018
EVI_RANGE, INDEX_RANGE, REFLECTANCE_RANGE = (-3.0, 3.0), (-1.0, 1.0), (-0.2, 1.6)
"""Of the histogram's bins; EVI has three times as many, as it is a quotient without limits."""
CLEAR = "clear"
WGS84 = CRS.from_epsg(4326)


class Question(NamedTuple):
    """One of the two requests."""

    what: str
    """CLEAR or SEEN."""
    script: str
    """Evalscript."""
    n_bands: int
    """Bands that count for the price."""
    calculations: dict[str, Any]
    """What is computed of each output."""

    def units(self, width: int, height: int) -> float:
        """Return the processing units of a month of a zone in a box of so many cells."""
        return predict_units(width, height, self.n_bands, is_32_bit=True, n_samples=DAYS_SEEN)


class Place(NamedTuple):
    """Where a zone is asked for."""

    epsg: int
    """UTM zone."""
    shape: Any
    """Its outline there."""
    bounds: tuple[float, float, float, float]
    """Around it, on multiples of a cell's size."""
    width: int
    """Cells."""
    height: int
    """Cells."""


def questions(names: Sequence[str], statistics: Sequence[str]) -> Iterator[Question]:
    """Yield the two requests of a zone: the bands and indices `names` of its clear cells, and its cells."""
    percents = percents_of(statistics)
    yield Question(CLEAR, clear_script(names), len(_bands(names)) + 1, calculations(names, percents))
    yield Question(SEEN, seen_script(), 1, {"default": {"statistics": {"default": {}}}})


def days_of(month: str) -> tuple[str, str]:
    """Return the first day of a month (YYYY-MM), and the first of the next one.

    >>> days_of("2025-12")
    ('2025-12-01', '2026-01-01')
    """
    first = date.fromisoformat(f"{month}-01")
    return first.isoformat(), (first + timedelta(days=31)).replace(day=1).isoformat()


def place_of(zone_id: str, outline: Any, size_m: float, epsg: int | None = None) -> Place:
    """Return where a zone (shapely, in degrees) is asked for; InputError for a point, or a side of too many cells.

    The UTM zone is `epsg`, else that of the largest piece's middle; the box's edges are multiples of a cell's size, as
    those of the products are.
    """
    if not outline.area:
        raise InputError(zone_id, f"a {outline.geom_type}", "polygons: points by the engine spark")
    epsg = utm_zone(outline) if epsg is None else epsg
    [shape] = shapes_in([outline], WGS84, CRS.from_epsg(epsg))
    west, south, east, north = (
        turn(edge / size_m) * size_m
        for turn, edge in zip((math.floor, math.floor, math.ceil, math.ceil), shape.bounds, strict=True)
    )
    width, height = round((east - west) / size_m), round((north - south) / size_m)
    if max(width, height) > MOST_PX:
        raise InputError(zone_id, f"{width} x {height} cells of {size_m:g} m", f"at most {MOST_PX} a side")
    shape = shapely.make_valid(shape, method="structure", keep_collapsed=False)  # without lines where pieces touch
    return Place(epsg, shape, (west, south, east, north), width, height)


def utm_zone(outline: Any) -> int:
    """Return the EPSG code of the UTM zone of the middle of the largest piece (pieces: both sides of 180 degrees)."""
    middle = max(shapely.get_parts(outline), key=shapely.area).centroid
    return utm_epsg(middle.x, middle.y)


def aggregation(script: str, first: str, after: str, size_m: float) -> dict[str, Any]:
    """Return what is added up: each day from `first` to before `after` (YYYY-MM-DD), cells of a size."""
    found: dict[str, Any] = SentinelHubStatistical.aggregation(
        evalscript=script,
        time_interval=(f"{first}T00:00:00Z", f"{after}T00:00:00Z"),
        aggregation_interval="P1D",
        resolution=(size_m, size_m),
    )
    return found


def input_data(collection: DataCollection) -> list[Any]:
    """Return what it is made of: surface reflectance without the offset of the products' processing baseline."""
    return [SentinelHubRequest.input_data(collection, other_args={"processing": {"harmonizeValues": True}})]


def _bands(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(band for name in names for band in bands_of(name)))


def clear_script(names: Sequence[str]) -> str:
    """Return the evalscript of bands and indices, an output each, of the cells that are clear.

    >>> "ndvi: [(s.B08 - s.B04) / (s.B08 + s.B04 + 1e-10)]" in clear_script(["ndvi"])
    True
    """
    c, bands = index_constants(), _bands(names)
    values = []
    for name in names:
        of_index = [f"s.{band}" for band in bands_of(name)]
        if name == "evi":
            nir, red, blue = of_index
            k = c.evi
            below = f"{nir} + {k.C1:g} * {red} - {k.C2:g} * {blue} + {k.L:g} + {c.all.eps:g}"
            values.append(f"{name}: [{k.G:g} * ({nir} - {red}) / ({below})]")
        elif name in INDEX_BANDS:
            one, other = of_index
            values.append(f"{name}: [({one} - {other}) / ({one} + {other} + {c.all.eps:g})]")
        else:
            values.append(f"{name}: [{of_index[0]}]")
    inputs = ", ".join(f'"{band}"' for band in (*bands, SCENE_CLASSIFICATION, DATA_MASK))
    units = ", ".join(f'"{unit}"' for unit in (*("REFLECTANCE" for _ in bands), "DN", "DN"))
    outputs = ", ".join(f'{{id: "{name}", bands: 1, sampleType: "{FLOAT32}"}}' for name in names)
    is_clear = f"[{', '.join(map(str, CLEAR_CLASSES))}].includes(s.{SCENE_CLASSIFICATION})"
    return f"""{FIRST_LINE}
function setup() {{
  return {{input: [{{bands: [{inputs}], units: [{units}]}}], output: [{outputs}, {{id: "{DATA_MASK}", bands: 1}}]}};
}}
function evaluatePixel(s) {{
  return {{{", ".join(values)}, {DATA_MASK}: [s.{DATA_MASK} && {is_clear} ? 1 : 0]}};
}}
"""


def seen_script() -> str:
    """Return the evalscript of the cells that were seen at all."""
    output = f'{{id: "{SEEN}", bands: 1, sampleType: "UINT8"}}, {{id: "{DATA_MASK}", bands: 1}}'
    return f"""{FIRST_LINE}
function setup() {{
  return {{input: ["{SCENE_CLASSIFICATION}", "{DATA_MASK}"], output: [{output}]}};
}}
function evaluatePixel(s) {{
  return {{{SEEN}: [1], {DATA_MASK}: [s.{DATA_MASK}]}};
}}
"""


def calculations(names: Sequence[str], percents: Sequence[float]) -> dict[str, Any]:
    """What is computed of each output: statistics, percentiles, and the histogram that a month's are had from."""
    found: dict[str, Any] = {}
    for name in names:
        low, high = EVI_RANGE if name == "evi" else INDEX_RANGE if name in INDEX_BANDS else REFLECTANCE_RANGE
        n_bins = 3 * BINS if name == "evi" else BINS
        statistics = {"default": {"percentiles": {"k": list(percents), "interpolation": "linear"}}} if percents else {}
        histogram = {"default": {"nBins": n_bins, "lowEdge": low, "highEdge": high}}
        found[name] = {"statistics": statistics or {"default": {}}, "histograms": histogram}
    return found
