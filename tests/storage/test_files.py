"""Files: writes that fail, schemes and buckets that cannot be used."""

from __future__ import annotations

import json
import logging
import threading
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


def test_a_folder_that_is_written_into_can_be_listed(tmp_path: Path) -> None:
    """As by four tasks that stack scenes of one day side by side: what is being written is renamed meanwhile."""
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            storage.write_bytes(str(tmp_path / "x.json"), b"{}")

    storage.write_bytes(str(tmp_path / "x.json"), b"{}")
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        listed = [storage.list_files(str(tmp_path), ".json") for _ in range(1000)]
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert all(str(tmp_path / "x.json") in files for files in listed)


def test_reading_a_file_of_a_bucket_is_one_request(s3_root: str, caplog: pytest.LogCaptureFixture) -> None:
    path = storage.join(s3_root, "a.bin")
    storage.write_bytes(path, b"content")
    with caplog.at_level(logging.DEBUG, "s3fs"):
        assert storage.read_bytes(path) == b"content"
    assert [record.getMessage().split()[1] for record in caplog.records if "CALL" in record.getMessage()] == [
        "get_object"
    ]
