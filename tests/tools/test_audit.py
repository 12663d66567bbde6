"""The report on packages: what is known of them, and that it says what isn't."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tools import audit
from tools.audit import CannotAsk, faults_in, pins, report
from tools.checkout import CHECKOUT

KNOWN = {"name": "requests", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
GOOD = {"name": "numpy", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited: own (1)"}
PINNED = {"requests": "2.0", "numpy": "2.0", "own": "1"}


def answering(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have uv give these answers, by what it is asked for; return what it was asked."""
    asked: list[str] = []

    def uv(arguments: Sequence[str], text: str = "", good: Sequence[int] = (0,)) -> str:
        if arguments[0] == "pip":
            asked.append(f"newest of {text.split()}")
            answer = answers["newest"]
        else:
            lines = audit.REPORT.with_suffix(".txt").read_text().split()
            asked.append(f"faults of {len(lines)}")
            answer = json.dumps({"dependencies": answers["probe" if len(lines) == 1 else "faults"]})
        if isinstance(answer, CannotAsk):
            raise answer
        return answer

    audit.REPORT.parent.mkdir(exist_ok=True)
    monkeypatch.setattr(audit, "_uv", uv)
    return asked


def test_faults_and_newer_versions_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering({"probe": [KNOWN], "faults": [KNOWN, GOOD, UNKNOWN], "newest": "requests==2.3\nnumpy==2.0\n"},
                      monkeypatch)  # fmt: skip
    text, n_faults = report(PINNED, {"requests": "2.0", "numpy": "2.0"})
    assert n_faults == 1 and "Known faults: 1, in 2 that the index knows." in text and "Not known there: own." in text
    assert "| requests 2.0 | PYSEC-1 | 2.1 |" in text and "| requests | 2.0 | 2.3 |" in text
    assert "Of the 2 direct ones 1 have" in text
    assert asked == ["faults of 1", "faults of 3", "newest of ['requests', 'numpy']"]


def test_an_index_without_advisories_is_asked_for_one_package_and_said_to_know_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unheard = {"name": "requests", "skip_reason": "Dependency not found on PyPI"}
    asked = answering({"probe": [unheard], "newest": CannotAsk("no route")}, monkeypatch)
    text, n_faults = report(PINNED, {"requests": "2.0"})
    assert n_faults == 0 and asked[0] == "faults of 1" and len(asked) == 2
    assert "Known faults: NOT KNOWN, of none of them" in text and "Newer versions: NOT KNOWN (no route)" in text


def test_every_package_of_the_lock_is_looked_at() -> None:
    text = (CHECKOUT / "requirements.lock").read_text()
    pinned = pins(text)
    assert len(pinned) == sum(line[:1].isalnum() for line in text.splitlines()) > 200
    direct = pins("".join(path.read_text() + "\n" for path in audit.DIRECT))
    assert {"apache-airflow", "pyspark", "hypothesis"} <= set(direct) <= set(pinned)
    assert all(pinned[name] == version for name, version in direct.items())
    assert faults_in(json.dumps({"dependencies": [GOOD]})) == ([], [])
