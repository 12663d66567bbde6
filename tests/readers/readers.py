"""Every reader of files that others write, with a small good file of each kind."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
import wind_services
from list_readers import LIST_READERS
from lite_granules import NAME, northward_track, write_lite
from plumewatch import storage
from plumewatch.areas import read_areas
from plumewatch.catalogues.stac import item_href, read_item
from plumewatch.catalogues.static import StaticCatalogue
from plumewatch.errors import ServiceError
from plumewatch.methane.dates.stored_passes import StoredPasses, stated_grid, stated_sources
from plumewatch.models import Area
from plumewatch.observations import stated_observations
from plumewatch.oco2.granules.granule import check_granule, read_granule
from plumewatch.oco2.granules.stored_soundings import read_stored_files
from plumewatch.rasters.scene_store import list_scenes
from plumewatch.sentinel2.pixel_files import write_pixel_file
from plumewatch.sentinel2.pixel_plan import PixelSettings, plan_partition, plan_tasks, plan_windows
from plumewatch.sentinel2.replaced import withdraw_replaced
from plumewatch.sentinel2.scene import scene_ref
from plumewatch.sentinel2.stack import fetch_scene
from plumewatch.sentinel2.stored_scene import read_scene
from plumewatch.settings import read_dotenv
from plumewatch.table import Table
from plumewatch.tables import OBSERVATIONS, PIXELS, TABLES
from plumewatch.wind import era5, geos_fp
from plumewatch.wind.files import read_wind_files
from plumewatch.wind.grids import CutOut
from raster_readers import RASTER_READERS
from sentinel2_scenes import SCENE_ID, source_item, write_raster, write_stacked
from trials import Reader
from zone_readers import ZONE_READERS

DAY, MONTH = "2025-08-21", "2025-08"
OBSERVED_AT = datetime(2025, 8, 21, 6, 48, tzinfo=UTC)
SIZE = 12
AREA = Area("dune", shapely.box(57.0004, 24.4104, 57.0016, 24.4115), crs="EPSG:32640")
FILE = re.compile(r"\.[a-z]\w{1,7}$")
LEAST_ID = 5  # characters: a shorter one stands in many a message, and counts with the colon behind it
ANSWERS = {pa.string(): "a", pa.bool_(): True, pa.binary(): b"x"}


# --- tables


def _rows(table: Table, n: int = 200) -> pa.Table:
    return table.from_pylist([{f.name: _value(f, number) for f in table.schema} for number in range(n)])


def _value(field: pa.Field, number: int) -> Any:
    if pa.types.is_timestamp(field.type):
        return OBSERVED_AT.replace(second=number % 60)
    if pa.types.is_list(field.type):
        return ["a"] if field.type.value_type == pa.string() else []
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
        return number % 100
    return f"a{number % 7}" if field.type == pa.string() else ANSWERS.get(field.type)


def _parquet(table: Table, write: Callable[[], pa.Table] | None = None) -> Reader:
    keys = {"date": DAY, "month": MONTH, "key": DAY, "period": DAY}
    numbers = [f.name for f in table.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    some = pc.field(numbers[0]) >= 0 if numbers else pc.field(table.schema.names[0]) >= ""

    def written(folder: Path) -> Path:
        of_table = {name: keys.get(name, "x") for name in table.partitions}
        rows = write() if write else _rows(table)
        return Path(storage.write_partition(table, str(folder / table.name), of_table, rows)) / "data.parquet"

    def read(path: Path) -> None:
        rows = storage.read_table(table, str(path.parent))
        storage.read_table(table, str(path.parent), table.schema.names[:3], filter=some)
        rows.to_pylist()
        if table is PIXELS:
            StoredPasses(str(path.parents[2]), "x", [DAY], 0).read(DAY)
        if table.name == "wind":
            read_wind_files(str(path.parents[2]), OBSERVED_AT.replace(hour=0), OBSERVED_AT.replace(hour=23))

    return Reader(written, read)


def _pixels() -> pa.Table:
    row, col = (index.ravel() for index in np.indices((20, 20)))
    n = len(row)
    same = {"scene_id": SCENE_ID, "platform": "sentinel-2a", "relative_orbit": 20, "epsg": 32640, "pixel_size_m": 20.0,
            "scl": 5, "is_clear": True, "solar_zenith_deg": 27.5, "view_zenith_deg": 4.0,
            "observed_at_utc": OBSERVED_AT}  # fmt: skip
    places = {"longitude": 57.0 + col * 0.000197, "latitude": 24.4 - row * 0.0001806}
    bands = {"b11": np.full(n, 0.4), "b12": np.full(n, 0.36), "b_diff": np.full(n, 0.04)}
    columns = {**places, **bands, "row": row, "col": col}
    return PIXELS.from_pylist([{**same, **{k: v[i].item() for k, v in columns.items()}} for i in range(n)])


def _manifest() -> Reader:
    grid = {"epsg": 32640, "west": 5e5, "north": 2.7e6, "resolution_m": 20.0, "width": 20, "height": 20}
    observations = [{"area": "x", "scene_id": SCENE_ID, "outcome": "searched", "clear_fraction": 1.0, "orbit": None,
                     "observed_at_utc": OBSERVED_AT.isoformat(), "detected": False}]  # fmt: skip

    def write(folder: Path) -> Path:
        rows, keys = _rows(OBSERVATIONS, 3), {"gas": "ch4", "key": DAY}
        extra = {
            "grid": grid,
            "observations": observations,
            "references": {SCENE_ID: ["a"]},
            "source_pixel_m": {SCENE_ID: 20.0},
        }
        origin = {"inputs": [f"x/{NAME}"], "settings": {"calibration": "1", "x": [1]}, "counts": {"a": 3}}
        return (
            Path(storage.write_partition(OBSERVATIONS, str(folder), keys, rows, **origin, extra=extra))
            / storage.MANIFEST
        )

    def read(path: Path) -> None:
        storage.read_table(OBSERVATIONS, str(path.parent))
        stated_observations(str(path.parent))
        stated_grid(str(path.parent))
        stated_sources(str(path.parent))
        month = path.parents[2] / "month=2016-08"
        month.mkdir(exist_ok=True)
        (month / path.name).write_bytes(path.read_bytes())
        read_stored_files(str(month.parent), "2016-08", [NAME], [], {"x": [1]})

    return Reader(write, read)


# --- scenes


def _write_source(folder: Path) -> Path:
    arrays = {"B11": np.full((SIZE, SIZE), 4000, "u2"), "B12": np.full((SIZE, SIZE), 3600, "u2"),
              "SCL": np.full((SIZE, SIZE), 5, "u1")}  # fmt: skip
    hrefs = {band: Path(write_raster(folder / f"{band}.tif", array)).name for band, array in arrays.items()}
    (folder / "item.json").write_text(json.dumps(source_item({band: f"./{name}" for band, name in hrefs.items()})))
    return folder / "item.json"


def _read_source(path: Path) -> None:
    item = path.parent / "item.json"
    found = read_item(str(item))
    content = json.loads(item.read_bytes())
    scene_ref(content, str(item))
    item_href(content, str(item), "sentinel-2-l2a")
    storage.delete(str(path.parent / "scenes"))
    fetch_scene(found, AREA, str(path.parent / "scenes"))


def _item_id(path: Path) -> str:
    """What messages call an item that says its id."""
    try:
        found = str(json.loads(path.read_bytes())["id"])
    except (ValueError, TypeError, LookupError):
        return str(path)
    return found if len(found) >= LEAST_ID else f"{found}: " if found else str(path)


def _named_in(path: Path) -> list[str]:
    """The texts in a JSON that may be names of files."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str) and ("/" in value or FILE.search(value)):
            found.append(value)
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(one)

    with contextlib.suppress(ValueError):
        walk(json.loads(path.read_bytes()))
    return found


def _stored(suffix: str) -> Reader:
    def write(folder: Path) -> Path:
        bands = np.full((SIZE, SIZE), 4000, "u2"), np.full((SIZE, SIZE), 3600, "u2"), np.full((SIZE, SIZE), 5, "u1")
        return write_stacked(folder / "scenes", *bands, cloud=np.full((SIZE, SIZE), 3, "u1")) / f"{SCENE_ID}{suffix}"

    def read(path: Path) -> None:
        root = path.parents[2]
        [paths] = list_scenes(str(root))
        withdraw_replaced(str(root), paths.folder)
        scene = read_scene(paths)
        if not scene.has_methane_bands:  # the job leaves it out
            return
        partition, _ = plan_partition([scene], None)
        windows = [(window, True) for window in plan_windows(partition)]
        for task in plan_tasks(partition, windows[:4], None, f"{root}/pixels", PixelSettings((4, 5, 6, 7), 60.0)):
            answer = write_pixel_file(json.loads(task))
            for failure in json.loads(answer["failures"] or "[]"):
                raise ServiceError(failure["message"])

    return Reader(write, read)


# --- granules, areas, settings


def _read_granule(path: Path) -> None:
    check_granule(str(path))
    read_granule(str(path))


def _dotenv() -> Reader:
    lines = ["# settings", "PLUMEWATCH_STORAGE_ROOT=/data/x  # where", 'export PLUMEWATCH_WIND="geos_fp,era5"',
             "PLUMEWATCH_SPARK='local[2]'", "PLUMEWATCH_ALERTS=log"]  # fmt: skip

    def write(folder: Path) -> Path:
        (folder / ".env").write_text("\n".join(lines))
        return folder / ".env"

    return Reader(write, read_dotenv)


def _area(ending: str) -> Reader:
    shape, properties = shapely.box(54, 38, 54.1, 38.1), {"name": "a", "bands": "B11,B12", "max_items": 2}
    feature = {"type": "Feature", "properties": properties,
               "geometry": shapely.geometry.mapping(shape)}  # fmt: skip

    def write(folder: Path) -> Path:
        path = folder / f"a.{ending}"
        if ending == "json":
            path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
        else:
            geopandas.GeoDataFrame([properties], geometry=[shape], crs=4326).to_file(path)
        return path

    return Reader(write, lambda path: read_areas(str(path.parent)))


def _static_catalogue() -> Reader:
    """A branch of a static catalogue, with its extent and an item."""
    extent = {"spatial": {"bbox": [[56, 24, 58, 25]]}, "temporal": {"interval": [[f"{DAY}T00:00:00Z", None]]}}
    links = [{"rel": "item", "href": "./item.json"}, {"rel": "child", "href": "./branch.json"}]
    branch = {"type": "Collection", "stac_version": "1.0.0", "id": "a", "extent": extent, "links": links}

    def write(folder: Path) -> Path:
        (folder / "item.json").write_text(json.dumps(source_item({})))
        (folder / "branch.json").write_text(json.dumps(branch))
        return folder / "branch.json"

    def read(path: Path) -> None:
        list(StaticCatalogue(str(path), "a").search_items(AREA.geometry, OBSERVED_AT.date(), OBSERVED_AT.date()))

    return Reader(write, read, lambda path: str(path.parent), _named_in)


# --- answers of wind services: one of the answers that a reader asks for is a changed file

BLOCK = CutOut(500, 503, 700, 703)
NOON = wind_services.DAY.replace(hour=12)
MIDDLE = NOON.replace(hour=11, minute=30)  # of an hour, as GEOS-FP has its means


def _service(module: Any, answers: wind_services.Answers, changed: str, at: datetime) -> Reader:
    """`changed` is how the address of the changed answer ends; the file holds that answer."""

    @cache
    def answer(url: str) -> bytes | None:
        path, _, query = url.removeprefix("http://host/").partition("?")
        return answers.answer(path, query)

    def write(folder: Path) -> Path:
        asked: list[str] = []
        _connect(module, lambda url: asked.append(url) or answer(url))
        module.read_wind("http://host/store", {BLOCK: [at]})
        address = next(url for url in asked if changed in url)
        name = folder / f"answer{'.json' if address.endswith(('.zattrs', '.zarray')) else ''}"
        name.write_bytes(answer(address) or b"")
        return name

    def read(path: Path) -> None:
        _connect(module, lambda url: path.read_bytes() if changed in url else answer(url))
        module.read_wind("http://host/store", {BLOCK: [at]}).to_pylist()

    return Reader(write, read, called=lambda path: "http://host/store")


def _calm_era5() -> wind_services.Answers:
    """Chunks that pack to little, and are unpacked fast."""
    return wind_services.era5("2025-09-01", lambda lon, lat, hours, height: (0 * lat, 0 * lat))


def _connect(module: Any, answer: Callable[[str], bytes | None]) -> None:
    module.download_existing = lambda session, url: answer(url)
    module.download = lambda session, url: answer(url)


READERS = {
    **{f"{name}.parquet": _parquet(table) for name, table in TABLES.items() if table is not PIXELS},
    "pixels.parquet": _parquet(PIXELS, _pixels),
    "manifest": _manifest(),
    "item": Reader(_write_source, _read_source, _item_id, _named_in),
    "source tif": Reader(lambda folder: _write_source(folder).with_name("B11.tif"), _read_source),
    "stored item": _stored(".json"),
    "stored tif": _stored(".tif"),
    "stored scl": _stored("_scl.tif"),
    "granule": Reader(lambda folder: write_lite(folder / NAME, northward_track(30)), _read_granule),
    **LIST_READERS,
    **{f"area {ending}": _area(ending) for ending in ("json", "gpkg", "shp")},
    "settings": _dotenv(),
    **ZONE_READERS,
    **RASTER_READERS,
    "static catalogue": _static_catalogue(),
    "GEOS-FP attributes": _service(geos_fp, wind_services.geos_fp(NOON), ".das", MIDDLE),
    "GEOS-FP values": _service(geos_fp, wind_services.geos_fp(NOON), "u10m[", MIDDLE),
    "ERA5 attributes": _service(era5, _calm_era5(), "store/.zattrs", NOON),
    "ERA5 array": _service(era5, _calm_era5(), "10m_u_component_of_wind/.zarray", NOON),
    "ERA5 chunk": _service(era5, _calm_era5(), "100m_v_component_of_wind/1", NOON),
}
"""By the name of their kind."""
