"""What is required is what is imported: by the library in pyproject.toml, by the whole project in requirements.txt."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions

import pytest

from tools.checkout import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = {"plumewatch", "plumewatch_airflow", "tools"}
AIRFLOW = "apache-airflow"  # with its providers one package of many distributions, looked up by module
PROVIDER = re.compile(r"airflow\.providers\.(amazon|slack|smtp|standard)\b")
# Used without an import: fsspec's file system for s3://, a program that simulation.serve starts, and what names the
# version of Sedona's jar.
LIBRARY_USES = {"s3fs", "rustac", "apache-sedona"}
AIRFLOW_USES = {"asyncpg", "psycopg2-binary"}  # where its database is PostgreSQL


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=! ;]", name)[0]).lower()


def imported_modules(folders: Iterable[str]) -> set[str]:
    """Full names of the modules that the files of some folders import from elsewhere."""
    found = set()
    for path in (path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    return {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, *OWN}}


def distributions(modules: Iterable[str]) -> set[str]:
    """Names of the distributions that the modules are of."""
    by_root, found = packages_distributions(), set()
    for module in modules:
        root = module.split(".")[0]
        if root == "airflow":
            provider = PROVIDER.match(module)
            assert provider or ".providers" not in module, module
            found.add(f"{AIRFLOW}-providers-{provider[1]}" if provider else AIRFLOW)
        else:
            names = {normalised(name) for name in by_root[root]}
            names = names & {normalised(root)} or names  # several may share a folder: pyspark, pystac
            assert len(names) == 1, f"{root}: {names}"
            found |= names
    return found


def test_the_library_requires_what_it_imports() -> None:
    optional = [name for names in PROJECT["optional-dependencies"].values() for name in names]
    required = [normalised(name) for name in (*PROJECT["dependencies"], *optional)]
    assert len(required) == len(set(required)) > 20
    library = distributions(imported_modules(["include/plumewatch"]))
    assert set(required) == library | LIBRARY_USES


def test_the_project_requires_what_it_imports() -> None:
    lines = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [normalised(line) for line in lines if line and not line.startswith("#")]
    project = distributions(imported_modules(["include/plumewatch", "plugins", "dags", "spark_jobs", "tools"]))
    assert len(required) == len(set(required)) and set(required) == project | LIBRARY_USES | AIRFLOW_USES


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_has_its_reason(file: str) -> None:
    lines = [line for line in (CHECKOUT / file).read_text(encoding="utf-8").splitlines() if line]
    named = [line for line in lines if not line.startswith("#")]
    assert len(named) >= 5 and [line for line in named if not re.fullmatch(r"[\w\[\]-]+==\S+ +# \S.*", line)] == []
