"""The world of one seed, built once for all tests of this folder, which only read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plumewatch.simulation import build_world

SEED = 1


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and truth."""
    folder = tmp_path_factory.mktemp("world")
    return folder, build_world(folder, SEED)
