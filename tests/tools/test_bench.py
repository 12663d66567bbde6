"""The benchmarks' own parts: what they compare with works, and a missed limit is no success."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tools import bench

sys.path.insert(0, str(bench.FOLDER))

from figures import Figure
from orbits import MONTH, simulate_orbit, write_month
from plumewatch import storage
from plumewatch.oco2.evaluation.seed_step import first_guess, fit_line_and_gaussian, select, whole_step
from plumewatch.oco2.granules.seed_csv import SEED_COLUMNS
from plumewatch.oco2.granules.soundings import list_orbits
from plumewatch.tables import SOUNDINGS


def figure(ratio: float, limit: str | None) -> Figure:
    return Figure("it", 1.0, "s", 2.0, "another", ratio, limit)


@pytest.mark.parametrize(
    ("ratio", "limit", "ok"), [(2.0, ">= 2", True), (1.9, ">= 2", False), (1.2, "<= 1.15", False), (0.1, None, True)]
)
def test_a_figure_is_ok_by_its_limit(ratio: float, limit: str | None, ok: bool) -> None:
    line = json.loads(figure(ratio, limit).to_json())
    assert line["ok"] is ok and line["ratio"] == ratio and line["baseline"] == 2.0


@pytest.mark.parametrize(("only", "n"), [(None, 4), ("oco2", 4), ("oco2.scan", 1), ("oco", 0), ("methane", 0)])
def test_only_takes_a_name_or_its_first_part(only: str | None, n: int) -> None:
    names = bench.chosen(only)
    assert len([name for name in names if name.startswith("oco2")]) == n


def test_what_needs_a_demonstration_or_a_server_runs_by_name_alone() -> None:
    assert not set(bench.BY_NAME_ALONE) & set(bench.chosen(None)) and set(bench.BY_NAME_ALONE) < set(bench.BENCHMARKS)
    assert bench.chosen("airflow") == ["airflow.overhead"] and bench.chosen("storage.requests") == ["storage.requests"]


def test_every_benchmark_is_a_function_of_its_module() -> None:
    for module, function in bench.BENCHMARKS.values():
        assert f"\ndef {function}() -> Iterator[Figure]:" in (bench.FOLDER / f"{module}.py").read_text()


@pytest.mark.parametrize(
    ("line", "code", "ok"),
    [('{"ok": true}', 0, True), ('{"ok": false}', 0, False), ('{"ok": true}', 1, False)],
)
def test_a_missed_limit_and_a_crash_are_no_success(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    line: str,
    code: int,
    ok: bool,
) -> None:
    def run(command: Any, **_: Any) -> Any:
        return bench.subprocess.CompletedProcess(command, code, stdout=line + "\n")

    monkeypatch.setattr(bench.subprocess, "run", run)
    monkeypatch.setattr(bench, "find_java", lambda: None)
    monkeypatch.setattr(bench, "CHECKOUT", tmp_path)
    monkeypatch.setattr(bench, "TABLE", tmp_path / "build" / "bench.md")
    assert bench.main(["--only", "oco2.scan"]) == (0 if ok else 1)
    assert line in capsys.readouterr().out
    assert ("| False |" in bench.TABLE.read_text()) is not ok


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "oco7"])
    assert "oco2.scan" in capsys.readouterr().err


def test_simulated_orbits_have_the_soundings_they_should() -> None:
    full, sparse = simulate_orbit(3, 0.9), simulate_orbit(3, 0.08)
    assert 62_000 < full.num_rows < 66_000 and 5_000 < sparse.num_rows < 6_500
    assert full.equals(simulate_orbit(3, 0.9))
    ids = full["sounding_id"].to_numpy()
    assert len(np.unique(ids)) == len(ids) and set(ids % 10) == set(range(1, 9))


def test_a_month_is_a_partition_with_a_file_a_day(tmp_path: Path) -> None:
    n = write_month(tmp_path / "soundings", 30, 0.02)
    [partition] = storage.list_partitions(SOUNDINGS, f"file://{tmp_path}/soundings")
    assert partition.keys == {"month": MONTH} and len(storage.partition_files(partition)) == 3
    assert storage.read_table(SOUNDINGS, f"file://{tmp_path}/soundings").num_rows == n
    orbits = list_orbits(f"file://{tmp_path}/soundings")
    assert len(orbits) == 30 and max(len(orbit.files) for orbit in orbits) == 2


def test_the_seeds_step_finds_a_peak_and_nothing_on_flat_ground() -> None:
    """Its fit, converged on arrays, gives back what was planted."""
    rng = np.random.default_rng(1)
    distance = np.sort(rng.uniform(0, 400, 1600))
    frame = pd.DataFrame(dict.fromkeys(SEED_COLUMNS, np.ones(1600)) | {"distance": distance})
    flat = 400 + rng.normal(0, 0.3, 1600)
    frame["xco2"] = flat + 3.0 * np.exp(-0.5 * ((distance - distance[800]) / 8.0) ** 2)
    window = select(frame, 800)
    assert window is not None and window["x"].abs().max() <= 100
    arrays = (window[name].to_numpy() for name in ("x", "xco2", "xco2_uncert"))
    slope, _, amplitude, sigma = fit_line_and_gaussian(*arrays, first_guess(window, 800))
    assert abs(sigma) == pytest.approx(8.0, rel=0.1) and slope == pytest.approx(0.0, abs=0.01)
    assert amplitude / sigma / np.sqrt(2 * np.pi) == pytest.approx(3.0, rel=0.1)
    assert whole_step(frame, 800) is not None
    assert whole_step(frame.assign(xco2=flat), 800) is None
    assert select(frame[::8].reset_index(drop=True), 100) is None
