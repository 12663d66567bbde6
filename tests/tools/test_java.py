"""Java is found where it is, fetched where it isn't, and its absence is one clear line. Nothing is downloaded here."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from plumewatch import spark_runtime

from tools import java
from tools.java import AttemptFailed, JavaNotFound, find_java, present_java


def install(home: Path, version: str) -> Path:
    """A program that answers like a Java of this version."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-21' >&2\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java, except for what a test installs."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(spark_runtime.shutil, "which", lambda _: None)
    monkeypatch.setattr(spark_runtime, "CACHE", tmp_path / "cache")
    return tmp_path


def refuse() -> None:
    raise AttemptFailed("no network")


@pytest.mark.parametrize(("version", "is_found"), [("17.0.14", True), ("21.0.6", True), ("11.0.2", False)])
def test_only_versions_that_spark_runs_on_count(
    machine: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_found: bool
) -> None:
    home = install(machine / "jdk", version)
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert present_java() == (home if is_found else None)


def test_one_of_the_cache_is_used_where_the_machine_has_an_old_one(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(install(machine / "old", "8.0.1")))
    home = install(machine / "cache" / "java" / "jdk-17", "17.0.1")
    assert find_java() == home


def test_the_next_way_is_tried_when_one_fails(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = machine / "cache" / "java" / "jdk-21"
    monkeypatch.setattr(java, "unpack_debian_package", refuse)
    monkeypatch.setattr(java, "fetch_by_install_jdk", lambda: install(home, "21.0.6"))
    assert find_java() == home


def test_where_every_way_fails_the_message_says_what_to_install(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "unpack_debian_package", refuse)
    monkeypatch.setattr(java, "fetch_by_install_jdk", refuse)
    with pytest.raises(JavaNotFound, match=r"Java 17 or 21: install openjdk-17-jre-headless.*no network; no network"):
        find_java()


def test_the_jars_are_resolved_once_whoever_asks_for_them_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    resolved: list[Path] = []

    def resolve(folder: Path) -> None:
        resolved.append(folder)
        time.sleep(0.2)
        folder.mkdir()
        (folder / "one.jar").touch()

    monkeypatch.setattr(spark_runtime, "jars_folder", lambda: tmp_path / "spark" / "jars-1")
    monkeypatch.setattr(spark_runtime, "_resolve_jars", resolve)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(spark_runtime.jars) for _ in range(2)]
    assert [one.result() for one in both] == [[tmp_path / "spark" / "jars-1" / "one.jar"]] * 2 and len(resolved) == 1
