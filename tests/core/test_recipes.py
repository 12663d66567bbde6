"""Each block of docs/recipes.md runs, on tables as the jobs write them, and gives something."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tools.checkout import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tests" / "maps"))
sys.path.insert(0, str(CHECKOUT / "tests" / "oco2"))

from map_rows import DAY, match, observation, peak, plume, source
from planted import Planted, planted_columns, soundings_of
from plumewatch import storage
from plumewatch.table import Table
from plumewatch.tables import FAILED_SCENES, MATCHES, OBSERVATIONS, PEAKS, PLUMES, SOUNDINGS, SOURCES

PAGE = (CHECKOUT / "docs" / "recipes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (.+?)$|^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SQL = [text for _, language, text in BLOCKS if language == "sql"]
PYTHON = [text for _, language, text in BLOCKS if language == "python"]
[SHELL] = [text for _, language, text in BLOCKS if language == "sh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `storage/`, in which each recipe finds something."""
    folder = tmp_path_factory.mktemp("recipes")

    def write(table: Table, keys: dict[str, str], rows: Any) -> None:
        rows = table.from_pylist(rows) if isinstance(rows, list) else rows
        storage.write_partition(table, f"{folder}/storage/{table.name}", keys, rows)

    write(PLUMES, {"method": "multi_pass", "area": "oman", "date": DAY}, [plume("a1", 56.0, 22.0)])
    write(MATCHES, {"gas": "ch4", "period": DAY}, [match("a1", "well", 1, 0.9), match("a1", None, 2, 0.1)])
    write(PEAKS, {"method": "scan", "month": "2016-08"}, [peak(2016083111565504, 29.1, -26.2)])
    write(MATCHES, {"gas": "co2", "period": "2016-08"}, [match("2016083111565504", "plant", 1, 0.9)])
    sources = [
        source("well", 56.003, 22.0, "ch4"),
        source("far", 57.0, 22.0, "ch4"),
        source("plant", 29.1, -26.2, "co2"),
    ]
    write(SOURCES, {"inventory": "combined"}, sources)
    looked = {"observed_at_utc": datetime(2025, 8, 31, 7, 12, tzinfo=UTC), "detection_limit": 900.0}
    write(OBSERVATIONS, {"gas": "ch4", "key": DAY}, [observation("oman", "searched", "S2A", **looked)])
    failed = dict.fromkeys(FAILED_SCENES.schema.names) | {"scene_id": "S2A", "stage": "fetch", "area": "oman"}
    write(FAILED_SCENES, {"dag_id": "sentinel2_daily_ingest", "key": DAY}, [failed])
    columns = planted_columns(np.random.default_rng(7), 700.0, [Planted(350.0, 4.0, 8.0)], orbit=11522)
    write(SOUNDINGS, {"month": "2016-08"}, soundings_of(columns))
    return folder


def test_there_are_recipes() -> None:
    assert len(SQL) == 5 and len(PYTHON) == 5


@pytest.mark.parametrize("query", SQL, ids=lambda text: text.splitlines()[0].removeprefix("-- "))
def test_each_query_finds_rows(query: str, folder: Path) -> None:
    with contextlib.chdir(folder), duckdb.connect() as connection:
        [row] = connection.sql(query).fetchall()
    assert row[0] is not None


@pytest.mark.parametrize("program", PYTHON, ids=lambda text: text.splitlines()[0])
def test_each_program_says_something(program: str, folder: Path, request: pytest.FixtureRequest) -> None:
    if "get_spark" in program:
        request.getfixturevalue("spark")
        program = program.replace('f"storage/', f'f"{folder}/storage/')  # the session's folder is the test run's
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "recipes.md", "exec"), {})
    said = out.getvalue()
    if "to_file" in program:
        assert (folder / "plumes.gpkg").stat().st_size > 0
    elif "detect_peaks" in program:
        assert "accepted" in said
    elif "get_spark" in program:
        assert re.findall(r"a1\W+(\w+)", said) == ["well"]
    else:
        assert "5200.0" in said


def test_the_library_needs_neither_airflow_nor_spark(folder: Path) -> None:
    [program] = [text for text in PYTHON if "detect_peaks" in text]
    refusing = "import sys\nfor name in ('airflow', 'pyspark', 'sedona'):\n    sys.modules[name] = None\n"
    ran = subprocess.run(
        [sys.executable, "-c", refusing + program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "accepted" in ran.stdout


def test_the_lines_at_a_prompt_run(folder: Path) -> None:
    here = folder / "at_a_prompt"
    here.mkdir()
    (here / ".venv").symlink_to(CHECKOUT / ".venv")
    (here / "include").symlink_to(CHECKOUT / "include")
    storage.write_bytes(f"{folder}/storage/maps/ch4/{DAY}.html", b"<html>")
    settings = os.environ | {"PLUMEWATCH_STORAGE_ROOT": f"{folder}/storage", "PYTHONPATH": str(CHECKOUT / "include")}
    ran = subprocess.run(
        ["bash", "-e", "-c", SHELL], cwd=here, env=settings, capture_output=True, text=True, check=True
    )
    assert f"{folder}/storage/maps/ch4/{DAY}.html" in ran.stdout and "5200" in ran.stdout
    assert (here / f"here/ch4/{DAY}.html").exists() and (folder / f"storage/shared/{DAY}.html").exists()
