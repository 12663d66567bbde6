"""`make audit`: known faults of the pinned packages, and newer versions of the direct ones, as build/audit.md.

Faults come from the package index's own advisories (PyPI's JSON API), asked by pip-audit, which runs in an environment
of its own. An index that has none, such as a mirror, is found out by one package, and the report says that nothing is
known. Exit code 1 where a fault is known.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tools.checkout import BIN, CACHE, CHECKOUT

PIP_AUDIT = "pip-audit==2.10.1"
LOCK = CHECKOUT / "requirements.lock"
DIRECT = (CHECKOUT / "requirements.txt", CHECKOUT / "requirements-dev.txt")
REPORT = CHECKOUT / "build" / "audit.md"
PROBE = "requests"
"""A package of which any index with advisories knows something."""
TIMEOUT_S = 300.0
PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[^]]*])?==([^\s;#]+)", re.MULTILINE)


class CannotAsk(Exception):
    """Why something isn't known."""


@dataclass(frozen=True)
class Fault:
    """An advisory on a pinned package."""

    package: str
    """Name and version."""
    advisory: str
    """Its id."""
    mended_in: str
    """Versions."""


def pins(text: str) -> dict[str, str]:
    """Return the versions that a requirements file pins, by the packages' names."""
    return {match[1].lower().replace("_", "-"): match[3] for match in PIN.finditer(text)}


def known_faults(pinned: Mapping[str, str]) -> tuple[list[Fault], list[str]]:
    """Return the advisories on packages, and the packages of which the index knows nothing.

    CannotAsk where it has no advisories at all, or can't be asked.
    """
    if PROBE in pinned and faults_in(_pip_audit({PROBE: pinned[PROBE]}))[1]:
        raise CannotAsk("the package index that is reached from here has no advisories")
    return faults_in(_pip_audit(pinned))


def faults_in(answer: str) -> tuple[list[Fault], list[str]]:
    """Return what an answer of pip-audit says: advisories, and packages that it could not look up."""
    dependencies = json.loads(answer)["dependencies"]
    unknown = sorted(one["name"] for one in dependencies if "skip_reason" in one)
    faults = [
        Fault(f"{one['name']} {one['version']}", fault["id"], ", ".join(fault["fix_versions"]) or "no version yet")
        for one in dependencies
        for fault in one.get("vulns", ())
    ]
    return faults, unknown


def newest_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the newest version of each package that runs on the project's Python. CannotAsk without an index."""
    command = (
        "pip",
        "compile",
        "--quiet",
        "--no-deps",
        "--no-header",
        "--no-annotate",
        "--python-version",
        "3.11",
        "-",
    )
    return pins(_uv(command, "\n".join(names)))


def report(pinned: Mapping[str, str], direct: Mapping[str, str]) -> tuple[str, int]:
    """Return the report in Markdown, and how many faults are known."""
    lines = [
        f"# Packages, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "",
        f"{len(pinned)} are pinned in requirements.lock.",
    ]
    faults: list[Fault] = []
    try:
        faults, unknown = known_faults(pinned)
        lines += ["", f"Known faults: {len(faults)}, in {len(pinned) - len(unknown)} that the index knows."]
        if unknown:
            lines.append(f"Not known there: {', '.join(unknown)}.")
        if faults:
            lines += ["", "| package | advisory | mended in |", "|---|---|---|"]
            lines += [f"| {fault.package} | {fault.advisory} | {fault.mended_in} |" for fault in faults]
    except CannotAsk as error:
        lines += ["", f"Known faults: NOT KNOWN, of none of them ({error})."]
    try:
        newest = newest_versions(list(direct))
        older = [(name, version, newest[name]) for name, version in direct.items() if newest.get(name) != version]
        lines += ["", f"Of the {len(direct)} direct ones {len(older)} have a newer version:"]
        lines += ["", "| package | pinned | newest |", "|---|---|---|"] if older else []
        lines += [f"| {' | '.join(row)} |" for row in older]
    except (CannotAsk, KeyError) as error:
        lines += ["", f"Newer versions: NOT KNOWN ({error})."]
    return "\n".join(lines) + "\n", len(faults)


def _pip_audit(pinned: Mapping[str, str]) -> str:
    lines = "\n".join(f"{name}=={version}" for name, version in pinned.items())
    file = REPORT.with_suffix(".txt")
    file.write_text(lines)
    try:
        options = ("-r", str(file), "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")
        return _uv(("tool", "run", "--quiet", "--from", PIP_AUDIT, "pip-audit", *options), good=(0, 1))
    finally:
        file.unlink()


def _uv(arguments: Sequence[str], text: str = "", good: Sequence[int] = (0,)) -> str:
    environment = {**os.environ, "UV_CACHE_DIR": str(CACHE / "uv"), "UV_TOOL_DIR": str(CACHE / "uv-tools")}
    command = [str(BIN / "uv"), *arguments]
    try:
        done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CannotAsk(f"no answer within {TIMEOUT_S:.0f} s") from error
    if done.returncode not in good or not done.stdout.strip():
        raise CannotAsk((done.stderr.strip().splitlines() or ["no answer"])[-1][:300])
    return done.stdout


def main() -> int:
    """Write the report and print it."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    direct = pins("\n".join(path.read_text(encoding="utf-8") for path in DIRECT))
    text, n_faults = report(pins(LOCK.read_text(encoding="utf-8")), direct)
    REPORT.write_text(text)
    print(text + f"\nAs a file: {Path(REPORT).relative_to(CHECKOUT)}")
    return int(n_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
