"""source_model_training, run whole: too few peaks are a skip that says so, enough are a model with its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plumewatch import storage
from plumewatch.tables import PEAKS, SOURCES

pytestmark = pytest.mark.airflow


def test_a_model_is_learnt_once_there_are_enough_peaks(
    tmp_path: Path, run_dag: Callable[..., Any], states_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "learning"))
    from learnt_world import world

    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", f"file://{tmp_path}")
    nothing = run_dag("source_model_training")
    assert nothing.state == "success" and states_of(nothing)["train_emission"] == ["skipped"]
    assert states_of(nothing)["train_windows"] == ["skipped"]
    peaks, known, other = world(2, 60, 0.5)
    storage.write_partition(PEAKS, f"{tmp_path}/peaks", {"method": "scan", "month": "2018-06"}, peaks)
    for name, rows in (("coco2", known), ("gppd", other)):
        storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": name}, rows)
    run = run_dag("source_model_training")
    assert run.state == "success" and states_of(run)["train_emission"] == ["success"]
    version = storage.read_json(f"{tmp_path}/models/name=peak_emission/current.json")["version"]
    card = storage.read_json(f"{tmp_path}/models/name=peak_emission/version={version}/card.json")
    assert card["learnt_from"]["peaks"] == 60 and card["judged"]["n_cells"] > 30
