"""Lets the tests import `written_plumes`, and runs the job for them on one world of two areas."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from plumewatch.methane.evaluation.scenes import simulate_area

sys.path.insert(0, str(Path(__file__).parent))

from written_plumes import PLUME, SIZE, Run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, store_area: Callable, store_wind: Callable) -> dict:
    """Two areas of five dates each; the first holds a plume on its last date."""
    root = f"file://{tmp_path_factory.mktemp('methane') / 'storage'}"
    field = simulate_area(51, size=SIZE, n_references=4, plumes=(PLUME,), clouds=False, reference_plume_share=0.0)
    desert = simulate_area(52, size=SIZE, n_references=4, clouds=False)
    days = {"field": store_area(root, "field", field), "desert": store_area(root, "desert", desert)}
    wind = store_wind(root, days["field"][-1], PLUME.wind_u_m_s, PLUME.wind_v_m_s)
    source = field.passes[-1].place.longitude_latitude(PLUME.row, PLUME.col)
    return {"root": root, "days": days, "wind": wind, "source": source}


@pytest.fixture
def run(job: ModuleType, spark: object, world: dict, tmp_path: Path) -> Run:
    """Run the job on the world; outputs go below `tmp_path / out`."""

    def run_job(*more: str, pixels: str | None = None, wind: bool = True) -> object:
        arguments: Namespace = job.parse_arguments(
            ["--pixels-path", pixels or f"{world['root']}/pixels", "--plumes-path", f"{tmp_path}/out/plumes"]
            + (["--wind-path", world["wind"]] if wind else [])
            + list(more)
        )
        return job.run(arguments)

    return run_job
