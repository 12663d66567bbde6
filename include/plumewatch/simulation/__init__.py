"""A small made-up world with known plumes and peaks: what the demonstration and the end-to-end tests run on.

Builds on: the floor, storage, wind; never on what it is to test. Start reading: world.py.
"""

from __future__ import annotations

from plumewatch.simulation.world import build_world

__all__ = ["build_world"]
