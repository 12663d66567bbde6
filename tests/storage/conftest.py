"""Lets the tests import `stored_rows`, and gives them a place on a disk and on S3."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty storage root."""
    return f"file://{tmp_path}/store" if request.param == "folder" else request.getfixturevalue("s3_root")
