"""Where things are in the checkout, and the environment that every process of the project runs in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = CHECKOUT / ".cache"
DEMO = CHECKOUT / ".demo"
LOCAL_AIRFLOW = CHECKOUT / ".airflow"
BIN = CHECKOUT / ".venv" / "bin"


def project_environment(java_home: Path | None, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the inherited environment with the project's programs first and every cache inside the checkout."""
    environment = dict(inherited)
    # Without bytecode each Airflow process takes twice as long to start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    path = [str(BIN), environment.get("PATH", os.defpath)]
    if java_home:
        path.insert(0, str(java_home / "bin"))
        environment["JAVA_HOME"] = str(java_home)
    without_proxy = {"127.0.0.1", "localhost", *filter(None, environment.get("NO_PROXY", "").split(","))}
    environment |= {
        "PATH": os.pathsep.join(path),
        "XDG_CACHE_HOME": str(CACHE / "xdg"),
        "MPLCONFIGDIR": str(CACHE / "matplotlib"),
        "PYTHONUNBUFFERED": "1",
        # Matrices are small here and processes many: more threads only wait for each other, five times as long.
        "OMP_NUM_THREADS": inherited.get("OMP_NUM_THREADS", "1"),
        # Sedona counts its users over the network unless told otherwise.
        "DO_NOT_TRACK": "1",
        "NO_PROXY": ",".join(sorted(without_proxy)),
        "no_proxy": ",".join(sorted(without_proxy)),
    }
    return environment


def kept_secrets(path: Path, new: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of a file; where there is no such file yet, the new ones are kept in it."""
    if not path.exists():
        write_privately(path, json.dumps(dict(new)))
    return dict(json.loads(path.read_text()))


def write_privately(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
