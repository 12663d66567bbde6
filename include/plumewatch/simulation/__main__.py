"""`python -m plumewatch.simulation --output DIR --seed N` builds a simulated world."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plumewatch.simulation import build_world


def main(argv: list[str] | None = None) -> int:
    """Build the world that the arguments ask for, and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.simulation", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="local folder that the world is written to")
    parser.add_argument("--seed", type=int, default=1, help="each seed gives another world (default: 1)")
    arguments = parser.parse_args(argv)
    truth = build_world(arguments.output, arguments.seed)
    print(
        f"{arguments.output}: seed {arguments.seed}, {len(truth['scenes'])} scenes of {len(truth['areas'])} areas, "
        f"{len(truth['granules'])} granules, {len(truth['plumes'])} plumes and {len(truth['peaks'])} peaks planted"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
