"""The job's command line: what is refused, what is taken, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tools.checkout import CHECKOUT

JOB = CHECKOUT / "spark_jobs" / "detect_methane_plumes.py"


@pytest.mark.parametrize(
    "arguments",
    [["--date", "2025-08-20", "--end-date", "2025-08-21"], ["--date", "20 August"], ["--contamination", "0.7"],
     ["--date", "2025-02-30"], ["--date", "20250820"],
     ["--start-date", "2025-08-21", "--end-date", "2025-08-20"], ["--method", "magic"],
     *(["--eps", text] for text in ("-1", "0", "inf", "nan", "1e309", "181", "wide")),
     *(["--contamination", text] for text in ("0", "nan", "inf", "-0.1", "0.51", "few")),
     *(["--min-samples", text] for text in ("0", "-3", "1.5", "nan", "inf", "99999999999", "many")),
     *(["--batch-size", text] for text in ("0", "-1", "1e5", "inf", "99999999999", "all"))],
    ids=" ".join,
)  # fmt: skip
def test_bad_arguments_are_refused(job: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        job.parse_arguments(["--pixels-path", "a", "--plumes-path", "b", *arguments])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2 and said.startswith("detect_methane_plumes.py: error: ") and arguments[0] in said
    assert "allowed: " in said or "choose from" in said


def test_good_arguments_are_taken(job: ModuleType) -> None:
    forest = ["--eps", "1e-3", "--contamination", "0.5", "--min-samples", "1", "--batch-size", "1"]
    taken = job.parse_arguments(["--pixels-path", "a", "--plumes-path", "b", "--date", "2025-08-20", *forest])
    assert (taken.eps, taken.contamination, taken.min_samples, taken.batch_size) == (0.001, 0.5, 1, 1)
    assert taken.date == "2025-08-20"


def test_command_line_ends_with_one_line_of_json(world: dict, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(JOB), "--pixels-path", f"{world['root']}/pixels", "--date", world["days"]["desert"][-1],
         "--plumes-path", f"{tmp_path}/out/plumes"],
        capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    (line,) = finished.stdout.splitlines()
    assert set(json.loads(line)) == {"rows_read", "rows_written", "failed", "seconds"}
