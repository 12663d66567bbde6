"""The house keeps its rules: which room may import which, what is pure, how large things are, one DAG a file."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tools.checkout import CHECKOUT

LIBRARY = CHECKOUT / "include" / "plumewatch"
MAX_LINES = 350  # of a Python module: what still fits a head
MAX_MODULES = 26  # of one level of a folder of the library, its __init__ included

# Rooms from the floor up: a room may import itself and what stands above it in this list. A flat file of the library
# is a room of its own; a folder's flat files are one, and so is each folder in it.
ROOMS = (
    "__init__", "constants", "keys", "errors", "geodesy", "statuses", "models", "table", "tables", "gases", "reference",
    "sun", "orbits", "sensors", "limit_check", "zonal_names", "meanwhile", "progress", "netcdf", "storage", "settings",
    "slow_answers", "public_hosts", "http", "failures", "missing_settings", "hand_offs", "observations",
    "reviews", "told", "silence", "jobs",
    "area_files", "area_names", "area_geometry", "areas", "spark_runtime", "spark_session", "rasters", "catalogues",
    "wind",
    "inventory.rows", "inventory", "pages", "news", "sentinel2", "sentinel2.completeness", "at_hand", "hub_orders",
    "zones",
    "methane", "methane.blocks", "methane.details", "sensor_scenes", "methane.dates", "methane.cases",
    "methane.evaluation",
    "oco2", "oco2.archive", "oco2.granules", "oco2.orbits", "oco2.evaluation",
    "matching", "matching.periods", "matching.evaluation", "learning", "evidence", "maps", "simulation", "__main__",
)  # fmt: skip
FLOOR = set(ROOMS[: ROOMS.index("storage")])
PURE = {
    "__init__", "constants", "keys", "errors", "geodesy", "statuses", "models", "table", "tables", "gases", "reference",
    "sun", "orbits", "sensors", "limit_check", "zonal_names", "netcdf", "pages", "methane", "methane.blocks",
    "methane.evaluation", "oco2",
    "oco2.evaluation", "matching", "matching.evaluation", "sentinel2",
}  # fmt: skip
# Pure modules of rooms that read or write.
PURE_MODULES = {
    "evidence.candidates", "evidence.passes", "evidence.posterior", "evidence.reported", "evidence.rule",
    "evidence.sights", "evidence.source_page", "evidence.time_series",
    "methane.cases.page", "methane.cases.published", "methane.dates.plan", "methane.dates.task",
    "methane.details.enhancement_raster", "methane.details.facts", "methane.details.figure_png",
    "methane.details.picture_window", "methane.details.pictures", "maps.columns", "maps.content",
    "inventory.hourly_rate", "learning.emission_model", "learning.features", "learning.planted_windows",
    "learning.windows",
    "maps.detections_shown", "maps.geojson", "maps.report_page", "maps.reports_shown", "maps.sources_shown",
    "maps.tracks_shown",
    "oco2.archive.file_head", "oco2.archive.versions",
    "rasters.cog", "rasters.plain_numbers", "rasters.regrid", "sensor_scenes.event",
    "wind.at_point", "wind.interpolation", "wind.profile",
    "wind.rows", "zones.cells", "zones.hexagons", "zones.indices", "zones.service_statistics",
    "zones.statistics", "zones.zone",
}  # fmt: skip
# Modules of pure rooms that read or write all the same. A new one is a decision, made here.
READS_OR_WRITES = {
    "sentinel2.date_plans", "sentinel2.day_search", "sentinel2.ingest",
    "sentinel2.item_bands", "sentinel2.pixel_files", "sentinel2.pixel_plan",
    "sentinel2.presence",
    "sentinel2.process_api", "sentinel2.replaced", "sentinel2.scene_cost", "sentinel2.scene_index",
    "sentinel2.scene_windows",
    "sentinel2.search", "sentinel2.stack", "sentinel2.stored_scene",
    "methane.evaluation.pictures", "methane.evaluation.sahara",
}  # fmt: skip
REACHES_OUT = {
    "requests",
    "urllib",
    "urllib3",
    "fsspec",
    "s3fs",
    "boto3",
    "botocore",
    "socket",
    "random",
    "pystac_client",
}
MAY_READ_ENVIRONMENT = {"settings", "spark_session", "spark_runtime", "simulation.serve", "storage.buckets"}
PLUGIN_KNOWS = {
    "settings", "keys", "tables", "gases", "statuses", "storage", "errors", "models", "failures", "observations",
    "reviews", "evidence", "jobs", "maps", "hand_offs", "news", "silence", "told", "area_names", "areas", "http",
    "missing_settings", "zonal_names", "progress", "sensors",
}  # fmt: skip
SHARED_TASKS = {"ingest"}  # of the plugin: tasks of several DAGs, which import science inside as DAG files do
DAGS_KNOW = {"errors", "settings", "missing_settings", "tables", "gases", "keys", "hand_offs"}


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def library_name(path: Path) -> str:
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")


BY_NAME = {library_name(path): path for path in modules(LIBRARY)}


@cache
def imported(path: Path, *, top_level_only: bool = False) -> frozenset[str]:
    """Full names of what a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def roots(names: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@cache
def library_imports(name: str) -> frozenset[str]:
    """Modules of the library that a module imports itself, by their names below `plumewatch`."""
    found = set()
    for full in imported(BY_NAME[name]):
        inner = full.removeprefix("plumewatch.") if full.startswith("plumewatch.") else ""
        while inner and inner not in BY_NAME:
            inner = inner.rpartition(".")[0]
        found |= {inner} - {"", name}
    return frozenset(found)


@cache
def reached(name: str) -> frozenset[str]:
    """All modules of the library that a module imports, itself or through others."""
    found, left = {name}, [name]
    while left:
        new = library_imports(left.pop()) - found
        found |= new
        left += new
    return frozenset(found)


def room(name: str) -> str:
    return name if name in ROOMS else name.rpartition(".")[0]


def is_pure(name: str) -> bool:
    is_in_pure_room = room(name) in PURE and name not in READS_OR_WRITES and not name.endswith("__main__")
    return is_in_pure_room or name in PURE_MODULES


def test_there_is_something_to_check() -> None:
    assert len(BY_NAME) > 100 and sum(map(is_pure, BY_NAME)) > 60 and max(len(reached(name)) for name in BY_NAME) > 30
    assert len(modules(CHECKOUT / "dags")) == 15 and len(modules(CHECKOUT / "spark_jobs")) == 7
    assert {room(name) for name in BY_NAME} == set(ROOMS), "a room is missing from the order, or stands in it unused"
    assert set(BY_NAME) >= READS_OR_WRITES | PURE_MODULES


@pytest.mark.parametrize("name", BY_NAME)
def test_no_import_goes_back_up_and_none_in_circles(name: str) -> None:
    own = ROOMS.index(room(name))
    assert [other for other in library_imports(name) if ROOMS.index(room(other)) > own] == []
    assert [other for other in library_imports(name) if name in reached(other)] == []


@pytest.mark.parametrize("name", BY_NAME)
def test_library_knows_neither_airflow_nor_spark(name: str) -> None:
    forbidden = {"airflow", "plumewatch_airflow", "include", "dags", "spark_jobs", "tests", "tools"}
    if name not in ("spark_session", "spark_runtime"):
        forbidden |= {"pyspark", "sedona"}
    assert not roots(imported(BY_NAME[name])) & forbidden


@pytest.mark.parametrize("name", filter(is_pure, BY_NAME))
def test_pure_modules_reach_no_storage_network_or_chance_whatever_they_import(name: str) -> None:
    for other in reached(name):
        assert room(other) not in ("storage", "settings", "http"), f"through {other}"
        assert not roots(imported(BY_NAME[other])) & REACHES_OUT, f"through {other}"
        text = BY_NAME[other].read_text(encoding="utf-8")
        assert ".now(" not in text and "time.time(" not in text and "default_rng()" not in text, f"through {other}"


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - MAY_READ_ENVIRONMENT))
def test_the_environment_is_read_in_few_places(name: str) -> None:
    text = BY_NAME[name].read_text(encoding="utf-8")
    assert "os.environ" not in text and "getenv" not in text


@pytest.mark.parametrize("path", modules(CHECKOUT / "plugins"), ids=lambda p: p.stem)
def test_plugin_knows_no_science(path: Path) -> None:
    names = imported(path, top_level_only=path.stem in SHARED_TASKS)
    assert {i.split(".")[1] for i in names if i.startswith("plumewatch.")} <= PLUGIN_KNOWS


@pytest.mark.parametrize("path", modules(CHECKOUT / "dags"), ids=lambda p: p.stem)
def test_dag_files_hold_one_dag_and_import_no_science_at_the_top(path: Path) -> None:
    top = imported(path, top_level_only=True)
    assert {i.split(".")[1] for i in top if i.startswith("plumewatch.")} <= DAGS_KNOW
    assert not roots(top) & {"numpy", "scipy", "sklearn", "pyarrow", "shapely", "yaml", "pyspark", "pandas"}
    assert f"\ndef {path.stem}(" in path.read_text(encoding="utf-8")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 130  # about 120, and what a formatter adds


@pytest.mark.parametrize("path", modules(CHECKOUT / "spark_jobs"), ids=lambda p: p.stem)
def test_spark_jobs_take_everything_by_argument(path: Path) -> None:
    assert not roots(imported(path)) & {"airflow", "plumewatch_airflow"}
    assert "os.environ" not in path.read_text(encoding="utf-8")


FOLDERS = sorted({library_name(path.parent / "__init__.py") for path in modules(LIBRARY)} - {"__init__"})


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_says_what_it_builds_on(folder: str) -> None:
    text = " ".join(BY_NAME[folder].read_text(encoding="utf-8").split())
    assert "Start reading:" in text
    [told] = re.findall(r"Builds on: (.*?)[.;] ", text)
    own = {other for name in BY_NAME if room(name) == folder for other in library_imports(name)}
    assert told.startswith("the floor")
    assert {room(other) for other in own} - FLOOR - {folder} == set(told.split(", ")[1:])


def test_modules_fit_a_head_and_folders_a_glance() -> None:
    """Prints what it counts, for `make test ARGS="tests/core/test_house.py -k glance -rP"`."""
    code = [p for folder in ("include", "plugins", "dags", "spark_jobs", "tools") for p in modules(CHECKOUT / folder)]
    lines = {
        str(p.relative_to(CHECKOUT)): len(p.read_text().splitlines()) for p in [*code, *modules(CHECKOUT / "tests")]
    }
    levels = {str(f.relative_to(LIBRARY)): len(list(f.glob("*.py"))) for f in LIBRARY.rglob("*") if f.is_dir()}
    arrows = [(one, other) for one in BY_NAME for other in library_imports(one)]
    back_up = [arrow for arrow in arrows if ROOMS.index(room(arrow[1])) > ROOMS.index(room(arrow[0]))]
    circles = [arrow for arrow in arrows if arrow[0] in reached(arrow[1])]
    print(f"{len(BY_NAME)} modules, {len(arrows)} imports: {len(back_up)} back up, {len(circles)} in circles")
    print("longest modules:", sorted(((n, file) for file, n in lines.items()), reverse=True)[:3])
    print("fullest levels:", sorted(((n, folder) for folder, n in levels.items()), reverse=True)[:3])
    print("lines of code without tests:", sum(lines[str(p.relative_to(CHECKOUT))] for p in code))
    assert {file: n for file, n in lines.items() if n > MAX_LINES} == {}
    assert {folder: n for folder, n in levels.items() if n > MAX_MODULES} == {}
    assert back_up == circles == []


def test_tests_are_no_package() -> None:
    assert not list((CHECKOUT / "tests").rglob("__init__.py"))
