"""Lets the tests import `wind_services` and `fetched_wind`, and serves GEOS-FP and ERA5 on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plumewatch import http

sys.path.insert(0, str(Path(__file__).parent))

import wind_services as services
from fetched_wind import HOUR
from wind_services import DAY, Answers, served


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat without a pause."""
    monkeypatch.setattr(http, "BACKOFF_S", 0.0)


@pytest.fixture
def geos_fp() -> Iterator[Answers]:
    with served(services.geos_fp(DAY + 47.5 * HOUR)) as answers:
        yield answers


@pytest.fixture
def era5() -> Iterator[Answers]:
    with served(services.era5("2025-09-01")) as answers:
        yield answers
