"""Make `reference/oco2_null_distribution.yaml`: `python -m plumewatch.oco2.evaluation.calibration [--strips N]`.

Scans simulated strips of 600 km without a source, of all gaps, backgrounds and noises that the judge has, but of the
training world, whose seeds never meet those of judging, and fits the law of the largest statistic: one for all, as
noise reaches 5.0, 5.1 and 5.1 in 2 % of calm, coastal and vegetated strips.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from plumewatch.oco2.evaluation.judged_strips import STRIP_KM, TRAINING, World
from plumewatch.oco2.evaluation.surroundings import SimulatedStripNoise
from plumewatch.oco2.null_distribution import FILE, NullDistribution
from plumewatch.oco2.rows import Rows
from plumewatch.oco2.scan import Scan

Floats = NDArray[np.float64]

STRIPS = 6000
VERSION = "oco2-null-6"
SCALED_AT = 0.98  # quantile of the largest z at which straight and slanted templates are made alike
TAIL = (0.95, 0.998)  # quantiles of the largest statistic between which the Gumbel law is fitted
TAIL_POINTS = 50
ROUNDING = 4

log = logging.getLogger(__name__)


def calibrate(n_strips: int) -> NullDistribution:
    """Return the law of the largest statistic in 600 km over strips without a source."""
    world = World(TRAINING, (), (SimulatedStripNoise(),))
    largest = np.array([Scan.of(Rows.of(judged.track), 1.0).largest for judged in world.empty_strips(n_strips)])
    straight, slanted = np.quantile(largest, SCALED_AT, axis=0)
    scale = round(float(slanted / straight), ROUNDING)
    return NullDistribution(VERSION, scale, *_fit_gumbel((largest / (1.0, scale)).max(axis=1)))


def _fit_gumbel(largest: Floats) -> tuple[float, float]:
    """Location and scale of the line through the tail of the Gumbel plot."""
    low, high = (-np.log(-np.log(probability)) for probability in TAIL)
    reduced = np.linspace(low, high, TAIL_POINTS)
    scale, location = np.polyfit(reduced, np.quantile(largest, np.exp(-np.exp(-reduced))), 1)
    return float(location), float(scale)


def write_calibration(distribution: NullDistribution, n_strips: int, output: Path) -> None:
    """Write the file that `null_distribution` reads."""
    command = f"python -m plumewatch.oco2.evaluation.calibration --strips {n_strips}"
    source = f"{command}: simulated strips of {STRIP_KM:.0f} km"
    names = ("slanted_scale", "location", "scale")
    content = {"version": distribution.version} | {
        name: {"value": round(getattr(distribution, name), ROUNDING), "unit": "1", "source": source} for name in names
    }
    head = f"# What the peak finder's statistic reaches without a source; made by `{command}`.\n"
    output.write_text(head + yaml.safe_dump(content, sort_keys=False, width=120), encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strips", type=int, default=STRIPS, help="simulated strips (default: %(default)s)")
    default = Path(__file__).parents[2] / "reference" / FILE
    parser.add_argument("--output", type=Path, default=default, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    distribution = calibrate(arguments.strips)
    write_calibration(distribution, arguments.strips, arguments.output)
    log.info("location %.3f, scale %.3f: %s", distribution.location, distribution.scale, arguments.output)


if __name__ == "__main__":
    main()
