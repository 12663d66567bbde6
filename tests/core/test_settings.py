"""Settings come from the environment and `.env`, and keep their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from plumewatch import settings
from plumewatch.settings import Settings


def test_a_token_is_read_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    assert Settings.load().earthdata_token is None
    (tmp_path / ".env").write_text("EARTHDATA_TOKEN=from-the-file\n")
    assert Settings.load().earthdata_token == "from-the-file"
    monkeypatch.setenv("EARTHDATA_TOKEN", " secret-token \n")
    loaded = Settings.load()
    assert loaded.earthdata_token == "secret-token" and "secret-token" not in repr(loaded)


def test_names_in_the_environment() -> None:
    assert settings.environment_name("storage_root") == "PLUMEWATCH_STORAGE_ROOT"
    assert settings.environment_name("earthdata_token") == "EARTHDATA_TOKEN"
