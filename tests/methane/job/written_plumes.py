"""What the job has written below a test's folder, and the plume that it is to find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plumewatch import storage
from plumewatch.methane.evaluation.scenes import PlantedPlume
from plumewatch.tables import PLUMES

SIZE = 130
PLUME = PlantedPlume(12_000.0, 70.0, 40.0, 3.0, 1.0)
Run = Callable[..., object]


def rows_in(path: Path, method: str = "multi_pass") -> list[dict]:
    return storage.read_table(PLUMES, f"{path}/out/plumes", where={"method": method}).to_pylist()


def sure_plumes(path: Path) -> list[dict]:
    return [row for row in rows_in(path) if row["status"] == "accepted" and row["probability"] > 0.9]


def manifest(path: Path, area: str, day: str, method: str = "multi_pass") -> dict:
    found = storage.read_manifest(f"{path}/out/plumes/method={method}/area={area}/date={day}")
    assert found is not None
    return found
