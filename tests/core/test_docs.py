"""README and docs/ can't rot unseen: their links, the files and tables they name."""

from __future__ import annotations

import ast
import re

import pytest
from plumewatch.table import Table
from plumewatch.tables import TABLES

from tools.checkout import CHECKOUT

PAGES = {path.name: path for path in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))}
ROOTS = (CHECKOUT, CHECKOUT / "include" / "plumewatch", CHECKOUT / "spark_jobs", *(
    folder for folder in (CHECKOUT / "include" / "plumewatch").iterdir() if folder.is_dir()))  # fmt: skip


SAYING = {"followed", "watched", "side_by_side", "progress_logged", "Progress"}
"""What says how far a step is."""


def text_of(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text_of(name))
    assert [link for link in links if not (PAGES[name].parent / link).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_files_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|yaml|json|sh))`", text_of(name))) - OLD_TOOLS - WRITTEN
    assert sorted(file for file in named if not any((root / file).exists() for root in ROOTS)) == []


WRITTEN = {"_manifest.json", "composite.json", "card.json", "current.json"}
OLD_TOOLS = {
    "01_extract_nc4_to_csv.py",
    "02_find_peak_in_all_files.py",
    "config.py",
    "_manifest.json",
    "composite.json",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_docs_name_every_column_and_partition(table: Table) -> None:
    [(partitions, columns)] = re.findall(
        rf"^\| `{table.name}` \| ([^|]*) \| (.*) \|$", text_of("tables.md"), re.MULTILINE
    )
    assert tuple(partitions.split(", ")) == table.partitions
    told = set(re.findall(r"`(\w+)`", columns))
    assert set(table.schema.names) - told == set()


def test_the_docs_name_every_line_of_progress() -> None:
    told, found = text_of("progress.md"), dict[str, str]()
    folders = ("include/plumewatch", "plugins", "spark_jobs", "tools")
    for path in (path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            for what in node.args[:3] if name in SAYING else ():
                if isinstance(what, ast.Constant) and isinstance(what.value, str):
                    found.setdefault(what.value, path.name)
    assert len(found) > 20 and {what: file for what, file in found.items() if what not in told} == {}


def test_the_docs_name_every_room() -> None:
    table = text_of("house.md").split("## Rooms")[1].split("Beside the library")[0]
    told = set(re.findall(r"`(\w+)/?`", table))
    library = CHECKOUT / "include" / "plumewatch"
    rooms = {p.stem for p in library.glob("*.py")} | {p.parent.name for p in library.glob("*/__init__.py")}
    assert rooms - {"__init__"} - told == set()


def test_the_readme_is_one_screen() -> None:
    assert len(text_of("README.md").splitlines()) <= 125
