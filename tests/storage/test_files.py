"""Files: writes that fail, schemes and buckets that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plumewatch import storage
from plumewatch.errors import ConfigurationError


def test_a_failed_write_leaves_the_former_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    storage.write_json(str(file), {"a": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        storage.write_json(str(file), {"a": 2})
    monkeypatch.undo()
    assert json.loads(file.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_scheme_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'gs'"):
        storage.exists("gs://bucket/x")
