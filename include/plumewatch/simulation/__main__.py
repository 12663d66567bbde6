"""`python -m plumewatch.simulation --output DIR --seed N` builds a simulated world."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plumewatch.simulation import build_world
from plumewatch.simulation.sentinel2_plan import AREAS, MOST_DAYS, daily_areas


def main(argv: list[str] | None = None) -> int:
    """Build the world that the arguments ask for, and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.simulation", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="local folder that the world is written to")
    parser.add_argument("--seed", type=int, default=1, help="each seed gives another world (default: 1)")
    parser.add_argument(
        "--sentinel-hub", action="append", default=[], metavar="AREA", choices=[area.name for area in AREAS],
        help="an area that is to be searched in Sentinel Hub, not in the STAC API",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=int, choices=range(1, MOST_DAYS + 1), metavar=f"1..{MOST_DAYS}",
        help="one area, seen on each of so many days, in place of the two that are seen on eight",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    areas = daily_areas(arguments.days) if arguments.days else AREAS
    truth = build_world(arguments.output, arguments.seed, arguments.sentinel_hub, areas)
    print(
        f"{arguments.output}: seed {arguments.seed}, {len(truth['scenes'])} scenes of {len(truth['areas'])} areas, "
        f"{len(truth['granules'])} granules, {len(truth['plumes'])} plumes and {len(truth['peaks'])} peaks planted"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
