"""A small made-up world with known plumes and peaks: what the demonstration and the end-to-end tests run on."""

from __future__ import annotations

from plumewatch.simulation.world import build_world

__all__ = ["build_world"]
