"""What the choice of references is worth: plumes in place on earlier dates, and fewer or more dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from plumewatch.methane.evaluation.ground import DESERT
from plumewatch.methane.evaluation.measure import Setting, Trial
from plumewatch.methane.evaluation.recall import EMPTY_PX, false_rate, recall
from plumewatch.methane.evaluation.seeds import judging_seed

SHARES = (0.0, 0.5)  # of the earlier dates on which the source emits too
SHARED_KG_H = (1500.0, 2000.0, 3000.0)
COUNTS = (1, 2, 4, 12)
COUNTED_KG_H = 2000.0


def shared_settings(share: float, count: int) -> Iterator[Setting]:
    """Return areas with a plume whose source emits on a share of the earlier dates too; equal seeds for all shares."""
    for number in range(count):
        rate = SHARED_KG_H[number % len(SHARED_KG_H)]
        yield Setting(judging_seed("reference plumes", number), DESERT, rate, reference_plume_share=share)


def counted_settings(n_references: int, n_empty: int, n_planted: int) -> Iterator[Setting]:
    """Return areas without and with a plume of 2 t/h that have so many earlier dates."""
    for number in range(n_empty):
        seed = judging_seed("fewer references", number)
        yield Setting(seed, DESERT, size=EMPTY_PX, n_references=n_references)
    for number in range(n_empty, n_empty + n_planted):
        seed = judging_seed("fewer references", number)
        yield Setting(seed, DESERT, COUNTED_KG_H, n_references=n_references)


def shared_lines(by_share: Mapping[float, Sequence[Trial]]) -> list[str]:
    """Return a table of recall by the share of dates with a plume in place."""
    lines = ["earlier dates with the source emitting  plumes  recall (1.5, 2 and 3 t/h)"]
    return lines + [f"{share:38.0%} {len(some):7} {recall(some):7.2f}" for share, some in by_share.items()]


def counted_lines(by_count: Mapping[int, Sequence[Trial]]) -> list[str]:
    """Return a table of false plumes and recall by the number of references."""
    lines = ["references  areas of 500 x 500 px  false per area  plumes of 2 t/h  recall"]
    for count, trials in by_count.items():
        empty = [trial for trial in trials if not trial.setting.emission_kg_h]
        planted = [trial for trial in trials if trial.setting.emission_kg_h]
        lines.append(f"{count:10} {len(empty):22} {false_rate(empty):15.2f} {len(planted):16} {recall(planted):7.2f}")
    return lines
