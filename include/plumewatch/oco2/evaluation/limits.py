"""What the peak finder has to reach in the real noise of orbit 11522."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plumewatch.limit_check import Check, at_least, at_most, within
from plumewatch.oco2.evaluation.planted import Figures

# Share of 600-km tracks with a false alarm; recall by height (ppm); recall over the matched filter's; median error of
# the amplitude by height; share of 68 % intervals that hold the truth.
MOST_ALARMS = 0.02
LEAST_RECALL = {0.8: 0.45, 1.2: 0.80, 2.0: 0.97, 4.0: 1.0}
LEAST_RATIO = 0.95
MOST_ERROR = {2.0: 0.09, 4.0: 0.05}
HELD = (0.60, 0.76)


def checks(alarms: float, figures: Mapping[tuple[float | None, float | None], Figures]) -> Iterator[Check]:
    """Compare the figures with the limits."""
    yield at_most("false alarms a track", alarms, MOST_ALARMS)
    for height, least in LEAST_RECALL.items():
        yield at_least(f"recall at {height} ppm", figures[height, None].recall, least)
    for height, most in MOST_ERROR.items():
        yield at_most(f"error of the amplitude at {height} ppm", figures[height, None].error, most)
    of_all = figures[None, None]
    yield at_least("recall over the filter's, all heights", of_all.ratio, LEAST_RATIO)
    yield within("68 % intervals that hold", of_all.held, HELD)
    yield Check("rows a plume", of_all.rows_a_plume, "exactly 1", of_all.rows_a_plume == 1.0)
