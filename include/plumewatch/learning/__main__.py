"""Measure what can be learnt from inventories: `python -m plumewatch.learning --test-data FOLDER`.

Emission from real peaks, 34 months as the older tool published them, judged by cells that weren't learnt, beside the
flux alone; then windows of soundings that hold a planted peak, in the noise of the real orbit 11522 and in a simulated
one, beside the scan.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pyarrow import csv

from plumewatch import progress
from plumewatch.inventory.coco2 import read_coco2
from plumewatch.inventory.gppd import read_gppd
from plumewatch.learning.emission_model import judge_model, judged_lines
from plumewatch.learning.features import examples_of
from plumewatch.learning.planted_windows import judge_in_other_noise, judge_planted, planted_windows
from plumewatch.learning.published_peaks import read_published_peaks
from plumewatch.learning.windows import window_lines
from plumewatch.oco2.evaluation.noise import NoiseSource, RealNoise, SimulatedNoise

PEAKS, COCO2, GPPD = (
    "oco2/peaks_and_invent/*.csv", "inventory/coco2_ps_catalogue_v1.1.csv", "inventory/gppd_v130_rebuilt.csv",
)  # fmt: skip
SOUNDINGS = "oco2/orbit11522/soundings_dist300_800.csv"
PLUME_KM = (465.0, 640.0)  # where that orbit crosses the plumes of the Highveld


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m plumewatch.learning", description=__doc__)
    parser.add_argument("--test-data", type=Path, required=True, help="folder with the published peaks and inventories")
    parser.add_argument("--per-cell", type=int, default=10, help="planted peaks of each height and width (%(default)s)")
    arguments = parser.parse_args()
    progress.shown()
    _emission(arguments.test_data)
    _windows(arguments.test_data, arguments.per_cell)


def _emission(folder: Path) -> None:
    files = sorted(map(str, folder.glob(PEAKS)))
    if not files or not all((folder / file).is_file() for file in (COCO2, GPPD)):
        print(f"left out: emission from real peaks, for lack of {PEAKS}, {COCO2} or {GPPD} in {folder}")
        return
    peaks = read_published_peaks(files)
    print(f"Emission from real peaks: {peaks.num_rows} peaks of {len(files)} months, learnt from CoCO2")
    examples = examples_of(peaks, read_coco2(str(folder / COCO2)), {"gppd": read_gppd(str(folder / GPPD))})
    print("\n".join(judged_lines(judge_model(examples))), flush=True)


def _windows(folder: Path, per_cell: int) -> None:
    print("Windows with a planted peak of 0.8 to 4 ppm, and half as many tracks without one")
    sources: list[NoiseSource] = [SimulatedNoise()]
    if (folder / SOUNDINGS).is_file():
        rows = csv.read_csv(folder / SOUNDINGS, parse_options=csv.ParseOptions(delimiter=";"))
        distance, xco2 = (rows[name].to_numpy() for name in ("distance", "xco2"))
        sources.insert(0, RealNoise.of("real noise (orbit 11522)", distance, xco2, PLUME_KM))
    else:
        print(f"left out: real noise, for lack of {SOUNDINGS} in {folder}")
    planted = [planted_windows(source, per_cell) for source in sources]
    for source, windows in zip(sources, planted, strict=True):
        print(f"{source.name}: " + "\n".join(window_lines(judge_planted(windows))), flush=True)
    if len(planted) > 1:
        print("learnt in simulated noise, judged in real noise: ", end="")
        print("\n".join(window_lines(judge_in_other_noise(planted[1], planted[0]))), flush=True)


if __name__ == "__main__":
    main()
