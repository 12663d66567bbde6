"""Linters and compose-go read the Dockerfiles and the compose files, and refuse what is wrong in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tools.checkout import CACHE, CHECKOUT

WORK = CACHE / "containers"
CANNOT = 3  # of tools/containers/lint.sh: a program can't be had here

DEFECTS = {
    "misspelt key": ("    mem_limit: 2g\n", "    memory_limit: 2g\n", "memory_limit"),
    "no such service": ("      s3: {condition: service_healthy}", "      s4: {condition: service_healthy}", "s4"),
    "no such volume": ('volumes: ["database:/var', 'volumes: ["databases:/var', "databases"),
    "bad port": ('"127.0.0.1:${PORT:-8080}:8080"', '"127.0.0.1:http:8080"', "http"),
    "not a duration": ("stop_grace_period: 1m ", "stop_grace_period: soon ", "soon"),
    "not a number": ("pids_limit: 1000", "pids_limit: many", "pids_limit"),
    "circle": ("    hostname: spark-master\n", "    hostname: spark-master\n    depends_on: [spark-worker]\n", "cycle"),
}


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """Lint all files, or skip where the programs for it can't be had; return what the compose files need to load."""
    script = ["bash", "tools/containers/lint.sh", str(WORK)]
    run = subprocess.run(script, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if run.returncode == CANNOT:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    lines = (WORK / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def loaded(folder: Path, compose: str, secrets: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (folder / "docker-compose.yaml").write_text(compose)
    command = [WORK / "compose-check", "docker-compose.yaml"]
    environment = {"PATH": os.environ["PATH"], **secrets}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_compose_file_without_a_defect_is_loaded(tmp_path: Path, secrets: dict[str, str]) -> None:
    run = loaded(tmp_path, (CHECKOUT / "docker-compose.yaml").read_text(), secrets)
    assert run.returncode == 0 and '"spark-worker"' in run.stdout, run.stderr


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_of_a_compose_file_is_refused_by_name(defect: str, tmp_path: Path, secrets: dict[str, str]) -> None:
    right, wrong, named = DEFECTS[defect]
    text = (CHECKOUT / "docker-compose.yaml").read_text()
    assert text.count(right) >= 1
    run = loaded(tmp_path, text.replace(right, wrong, 1), secrets)
    assert run.returncode == 1 and named in run.stderr


def test_a_defect_of_a_dockerfile_is_refused(tmp_path: Path, secrets: dict[str, str]) -> None:
    text = (CHECKOUT / "Dockerfile").read_text()
    (tmp_path / "Dockerfile").write_text(text.replace("USER 50000:50000", "USER root"))
    command = [WORK / "venv" / "bin" / "hadolint", "Dockerfile"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "DL3002" in run.stdout
