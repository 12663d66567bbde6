"""`make check` tells of every value that can't be read, and looks at the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import check


def test_every_value_that_cannot_be_read_is_a_line_and_the_rest_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [b"PLUMEWATCH_ALERTS=pigeon", b"EARTHDATA_TOKEN=$secret", b"no name", b"PLUMEWATCH_SPARK_CORES=many"]
    lines += [
        b"PLUMEWATCH_WIND=secret\xe4",
        b"PLUMEWATCH_INVENTORIES=\xe4",
        b"PLUMEWATCH_GRANULES=" + os.fsencode(tmp_path),
    ]
    (tmp_path / ".env").write_bytes(b"\n".join(lines))
    for module in ("plumewatch.settings", "tools.places", "tools.checks.settings", "tools.check"):
        monkeypatch.setattr(f"{module}.CHECKOUT", tmp_path)
    monkeypatch.setattr("tools.check.check_catalogues", lambda *_: iter(()))
    for name in [name for name in os.environ if name.startswith("PLUMEWATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        check.main()
    said = capsys.readouterr().out
    told = [line for line in said.splitlines() if line.startswith("problem! settings")]
    expected = [".env:2: EARTHDATA_TOKEN: a variable", ".env:3: no =", ".env:5: not UTF-8", ".env:6: not UTF-8",
                "PLUMEWATCH_SPARK_CORES: 'many'", "PLUMEWATCH_ALERTS: ['pigeon']"]  # fmt: skip
    assert len(told) == len(expected) and all(part in line for part, line in zip(expected, told, strict=True))
    assert ended.value.code == 1 and "secret" not in said
    assert f"missing  granules       {tmp_path} holds no" in said and "alerts         log" in said
