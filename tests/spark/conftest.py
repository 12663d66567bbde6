"""Lets the tests of the cluster import what other folders' tests and the benchmarks write their data with."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / folder) for folder in ("benchmarks", "oco2", "matching")]
