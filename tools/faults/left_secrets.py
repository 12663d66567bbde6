"""Secrets that came out: in logs, Airflow's database, tables, items, maps, whatever a run leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

NAMES = re.compile(r"SECRET|TOKEN|PASSWORD$|_KEY$|FERNET")
SHORTEST = 8  # of a value that is looked for: a shorter one stands anywhere
SIGNED = (b"X-Amz-Signature=", b"X-Amz-Credential=")
"""What a signed URL bears."""
KEPT_IN = ("secrets.json", "passwords.json", "s3-credentials.json")
"""Files that are there to hold them, readable by their owner alone."""


def secrets_in(environment: Mapping[str, str]) -> dict[str, bytes]:
    """Return the secrets among settings by their names; URLs of token endpoints and ids aren't."""
    return {
        name: value.encode()
        for name, value in environment.items()
        if NAMES.search(name) and not value.startswith("http") and len(value) >= SHORTEST
    }


def find_secrets(folder: Path, secrets: Mapping[str, bytes]) -> Sequence[str]:
    """Return a line for each file below a folder that holds one of the secrets, or a signed URL."""
    wanted = {**secrets, **{f"a signed URL ({mark.decode()}...)": mark for mark in SIGNED}}
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in KEPT_IN:
            content = path.read_bytes()
            lines += [f"{path}: {name}" for name, value in wanted.items() if value in content]
    return lines
