"""The house keeps its rules: who may import what, where the environment and the clock are read, one DAG a file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARY = CHECKOUT / "include" / "plumewatch"

NUMERIC = {"numpy", "scipy", "sklearn", "pyarrow", "shapely", "yaml"}
LEAVES = {"errors", "models", "constants", "geodesy"}
# Modules that read or write; every other module of a science package is pure. A new one is a decision, made here.
READS_OR_WRITES = {
    "areas", "failed_scenes", "jobs", "observations", "settings", "spark_runtime", "spark_session", "storage", "tables",
    "sentinel2.catalog", "sentinel2.ingest", "sentinel2.pixel_files", "sentinel2.rasters", "sentinel2.scene_store",
    "sentinel2.stack", "sentinel2.stored_scene",
    "methane.case_scenes", "methane.case_validation", "methane.date_failures", "methane.date_outputs",
    "methane.details", "methane.stored_passes", "methane.evaluation.pictures", "methane.evaluation.sahara",
    "oco2.catalog", "oco2.granule", "oco2.ingest", "oco2.orbit_tasks", "oco2.peak_wind", "oco2.soundings",
    "oco2.cmr", "oco2.download", "oco2.earthdata", "oco2.stored_soundings",
}  # fmt: skip
READING_PACKAGES = {"simulation", "maps", "wind", "inventory"}
MAY_READ_ENVIRONMENT = {"settings", "spark_session", "spark_runtime", "simulation.serve"}


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
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
    return names


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def library_name(path: Path) -> str:
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")


def test_there_is_something_to_check() -> None:
    assert (
        len(modules(LIBRARY)) > 30
        and len(modules(CHECKOUT / "dags")) == 7
        and len(modules(CHECKOUT / "spark_jobs")) == 5
    )


@pytest.mark.parametrize("path", modules(LIBRARY), ids=library_name)
def test_library_knows_neither_airflow_nor_spark(path: Path) -> None:
    forbidden = {"airflow", "plumewatch_airflow", "include", "dags", "spark_jobs", "tests"}
    if library_name(path) not in ("spark_session", "spark_runtime"):
        forbidden |= {"pyspark", "sedona"}
    assert not roots(imported(path)) & forbidden


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_leaves_import_nothing_of_the_library_but_leaves(name: str) -> None:
    ours = {i.split(".")[1] for i in imported(LIBRARY / f"{name}.py") if i.startswith("plumewatch.")}
    assert ours <= LEAVES


@pytest.mark.parametrize("path", modules(LIBRARY), ids=library_name)
def test_only_reading_modules_reach_storage_network_clock_and_environment(path: Path) -> None:
    name = library_name(path)
    text = path.read_text(encoding="utf-8")
    if name not in MAY_READ_ENVIRONMENT:
        assert "os.environ" not in text and "getenv" not in text
    if name in READS_OR_WRITES or name.split(".")[0] in READING_PACKAGES or name.endswith("__main__"):
        return
    assert not roots(imported(path)) & {"requests", "urllib", "urllib3", "fsspec", "s3fs", "boto3", "socket", "random"}
    assert not {n for n in imported(path) if n.startswith("plumewatch.storage")}
    assert ".now(" not in text and "time.time(" not in text and "default_rng()" not in text


@pytest.mark.parametrize("path", modules(CHECKOUT / "plugins"), ids=lambda p: p.stem)
def test_plugin_knows_no_science(path: Path) -> None:
    allowed = {
        "settings",
        "tables",
        "storage",
        "errors",
        "models",
        "failed_scenes",
        "observations",
        "jobs",
        "maps",
        "areas",
    }
    assert {i.split(".")[1] for i in imported(path) if i.startswith("plumewatch.")} <= allowed


@pytest.mark.parametrize("path", modules(CHECKOUT / "dags"), ids=lambda p: p.stem)
def test_dag_files_hold_one_dag_and_import_no_science_at_the_top(path: Path) -> None:
    top = imported(path, top_level_only=True)
    assert not {i for i in top if i.startswith("plumewatch.") and i.split(".")[1] not in ("settings", "tables")}
    assert not roots(top) & (NUMERIC | {"pyspark", "pandas"})
    assert f"\ndef {path.stem}(" in path.read_text(encoding="utf-8")
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 135  # about 120, and what a formatter adds


@pytest.mark.parametrize("path", modules(CHECKOUT / "spark_jobs"), ids=lambda p: p.stem)
def test_spark_jobs_take_everything_by_argument(path: Path) -> None:
    assert not roots(imported(path)) & {"airflow", "plumewatch_airflow"}
    assert "os.environ" not in path.read_text(encoding="utf-8")


def test_tests_are_no_package() -> None:
    assert not list((CHECKOUT / "tests").rglob("__init__.py"))
