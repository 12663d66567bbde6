"""Pictures of some hits, misses and false alarms of the evaluation, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from plumewatch.methane.evaluation.measure import Trial, footprint, search, simulate_setting
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.statuses import ACCEPTED

OF_EACH_KIND = 6
SMOOTHED_PX = 1.5
SCALE_MOL_M2 = 0.15  # of the colours, either way
DOTS_PER_INCH = 90


def choose_trials(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    """Return some trials of each kind, evenly taken: the plume found, the visible plume missed, something false."""
    planted = [trial for trial in trials if trial.setting.emission_kg_h and trial.is_visible]
    kinds = {
        "hit": [trial for trial in planted if trial.hits],
        "miss": [trial for trial in planted if not trial.hits],
        "false": [trial for trial in trials if trial.false_plumes],
    }
    return {kind: some[:: max(1, -(-len(some) // OF_EACH_KIND))] for kind, some in kinds.items()}


def draw_pictures(trials: Sequence[Trial], folder: Path, limits: PlumeThresholds) -> list[Path]:
    """Simulate and search the chosen trials again and write a PNG of each into the folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind, chosen in choose_trials(trials).items():
        for trial in chosen:
            files.append(folder / f"{kind}_{trial.setting.ground}_{trial.setting.seed}.png")
            _figure(kind, trial, limits).savefig(files[-1], dpi=DOTS_PER_INCH)
    return files


def _figure(kind: str, trial: Trial, limits: PlumeThresholds) -> Figure:
    """Return band 11 and the smoothed enhancement with the truth's outline (blue) and the candidates' (black, grey)."""
    area, wind = simulate_setting(trial.setting)
    result = search(area, wind, limits)
    target = area.passes[-1]
    figure = Figure(figsize=(12, 6), layout="constrained")
    ground, gas = figure.subplots(1, 2)
    low, high = np.nanpercentile(target.b11, (1, 99))
    ground.imshow(np.where(target.is_usable, target.b11, np.nan), cmap="gray", vmin=low, vmax=high)
    ground.set_title("band 11; white: screened as cloud or shadow")
    if result.detection is not None:
        seen = np.nan_to_num(result.detection.enhancement_mol_m2)
        smoothed = ndimage.gaussian_filter(seen, SMOOTHED_PX)
        image = gas.imshow(smoothed, cmap="RdBu_r", vmin=-SCALE_MOL_M2, vmax=SCALE_MOL_M2)
        figure.colorbar(image, ax=gas, label="enhancement, mol/m2", shrink=0.8)
    truth = footprint(area.column_mol_m2)
    for axes in (ground, gas):
        if truth.any():
            axes.contour(truth, levels=[0.5], colors="tab:blue", linewidths=1.0)
        for plume in result.plumes:
            is_accepted = plume.candidate.status == ACCEPTED
            axes.contour(plume.candidate.mask, levels=[0.5], colors="black" if is_accepted else "0.6", linewidths=0.8)
        axes.set_axis_off()
    for plume in result.plumes:
        text = f"{plume.candidate.probability or 0:.2f} {plume.candidate.status}"
        gas.text(plume.col, plume.row, text, fontsize=7, clip_on=True)
    planted = f"{trial.setting.emission_kg_h / 1000:.1f} t/h" if trial.setting.emission_kg_h else "no plume"
    figure.suptitle(
        f"{kind}: {planted} in {trial.wind_m_s:.1f} m/s, {trial.setting.ground}, {trial.platform},"
        f" {trial.setting.n_references} references, seed {trial.setting.seed}; blue: where the planted methane is"
    )
    return figure
