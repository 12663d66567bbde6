"""`.env.example` lists exactly the settings that there are, with the defaults that they have."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from plumewatch import settings
from plumewatch.settings import Settings, read_dotenv

from tools.checkout import CHECKOUT

EXAMPLE = CHECKOUT / ".env.example"


def listed() -> dict[str, str]:
    """The settings of the file, as if each line were switched on."""
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def test_every_setting_is_listed_and_nothing_else() -> None:
    names = {settings.environment_name(field.name) for field in fields(Settings)}
    assert {name for name in listed() if not name.startswith("AWS_")} == names


def test_a_plain_copy_changes_nothing() -> None:
    assert read_dotenv(EXAMPLE) == {}


def test_the_defaults_are_those_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)  # whose .env doesn't exist
    for name in listed():
        monkeypatch.delenv(name, raising=False)
    default = Settings.load()
    lines = [f"{name}={value}" for name, value in listed().items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    assert Settings.load() == default
