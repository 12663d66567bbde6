"""What a run of a month does with granules: listed, brought, staged, and cleared away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from earthdata_archive import TOKEN, Archive, serve_archive
from lite_granules import northward_track, write_lite
from plumewatch import http, storage
from plumewatch.errors import ConfigurationError, InputError, ServiceError
from plumewatch.failures import FailureBook, NothingDone
from plumewatch.missing_settings import missing_account
from plumewatch.models import FailedScene
from plumewatch.oco2.archive import download
from plumewatch.oco2.granules.staging import (
    MonthListing,
    downloads_folder,
    list_month,
    record_listing,
    record_not_staged,
    stage_granule,
    staging_folder,
    unstage,
)
from plumewatch.settings import CMR, Settings
from plumewatch.tables import OBSERVATIONS

MONTH = "2016-08"
FIRST, SECOND = (f"oco2_LtCO2_16080{day}_B11210Ar_240910224028s.nc4" for day in (1, 2))


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    for module in (http, download):
        monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    with serve_archive() as served:
        yield served


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    columns = northward_track(5000)
    for name in ("xco2", "Meteorology/windspeed_u_met", "Retrieval/psurf"):  # noise hardly compresses: some 200 kB
        columns[name] = np.random.default_rng(1).normal(400, 1, len(columns[name]))
    return write_lite(tmp_path / "made" / FIRST, columns).read_bytes()


@pytest.fixture
def settings(archive: Archive, storage_root: str) -> Settings:
    return Settings(storage_root=storage_root, granules=CMR, cmr_url=archive.url, earthdata_token=TOKEN)


def stage_month(settings: Settings) -> list[str]:
    return [stage_granule(settings, MONTH, s["path"], s["stated"]) for s in list_month(settings, MONTH).scenes(MONTH)]


def test_a_month_of_the_archive_is_staged(archive: Archive, settings: Settings, content: bytes) -> None:
    archive.add(FIRST, content)
    archive.add(SECOND, content)
    first, second = list_month(settings, MONTH).scenes(MONTH)
    assert (first["key"], first["area"], first["scene_id"]) == (MONTH, None, FIRST)
    assert first["stated"]["least_bytes"] == len(content)
    assert record_not_staged(settings, MONTH, [FIRST, SECOND]) == [FIRST, SECOND]
    staged = stage_granule(settings, MONTH, first["path"], first["stated"])
    assert staged == storage.join(staging_folder(settings, MONTH), FIRST) and storage.read_bytes(staged) == content
    assert record_not_staged(settings, MONTH, [FIRST, SECOND]) == [SECOND]
    stage_granule(settings, MONTH, second["path"], second["stated"])
    n_asked = len(archive.asked)
    stage_month(replace(settings, earthdata_token="not asked for"))  # staged already
    assert [path for path, _ in archive.asked[n_asked:] if path.startswith("/data/")] == []
    unstage(settings, MONTH)
    assert storage.list_files(staging_folder(settings, MONTH)) == []


def test_on_s3_a_download_grows_on_the_machine_and_goes_on_there(
    archive: Archive, s3_root: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    settings = Settings(storage_root=s3_root, granules=CMR, cmr_url=archive.url, earthdata_token=TOKEN)
    archive.add(FIRST, content, cuts=[100_000, 0, 0, 0])
    with pytest.raises(ServiceError, match="broken off"):
        stage_month(settings)
    part = downloads_folder(settings) / f"{FIRST}.download" / "part"
    assert part.is_relative_to(tmp_path / "tmp") and 0 < part.stat().st_size <= 100_000
    [staged] = stage_month(settings)
    assert storage.read_bytes(staged) == content and staged.startswith(s3_root)
    assert archive.downloads()[-1]["range"].startswith("bytes=") and list(downloads_folder(settings).iterdir()) == []


def test_a_download_that_is_no_granule_is_refused_and_not_kept(
    archive: Archive, settings: Settings, content: bytes
) -> None:
    archive.add(FIRST, content[: len(content) // 2])  # so it lies in the archive: the sizes agree
    with pytest.raises(InputError, match="damaged or truncated"):
        stage_month(settings)
    assert storage.list_files(settings.storage_root) == []


def test_a_refused_account_is_no_staged_granule(archive: Archive, settings: Settings, content: bytes) -> None:
    archive.add(FIRST, content)
    with pytest.raises(ServiceError, match="EARTHDATA_TOKEN is refused") as caught:
        stage_month(replace(settings, earthdata_token="expired"))
    assert caught.value.http_status == 401 and record_not_staged(settings, MONTH, [FIRST]) == [FIRST]


def test_a_missing_token_is_named(archive: Archive, settings: Settings, content: bytes) -> None:
    without = replace(settings, earthdata_token=None)
    assert "EARTHDATA_TOKEN" in str(missing_account(without)) and missing_account(settings) is None
    assert missing_account(replace(without, granules="/folder")) is None
    archive.add(FIRST, content)
    with pytest.raises(ConfigurationError, match="there is no token"):
        stage_month(without)
    assert archive.downloads() == []


def test_files_of_a_user_are_copied_and_stay(storage_root: str, content: bytes, tmp_path: Path) -> None:
    original = tmp_path / "own" / FIRST
    original.parent.mkdir()
    original.write_bytes(content)
    settings = Settings(storage_root=storage_root, granules=str(tmp_path / "own"))
    assert [storage.read_bytes(path) for path in stage_month(settings)] == [content]
    unstage(settings, MONTH)
    assert original.read_bytes() == content and storage.list_files(storage_root) == []


@pytest.mark.parametrize("inside", ["granules", "granules/month=2016-08", ""])
def test_files_of_a_user_stay_also_where_granules_are_staged(storage_root: str, content: bytes, inside: str) -> None:
    settings = Settings(storage_root=storage_root, granules=storage.join(storage_root, inside).rstrip("/"))
    original = storage.join(storage_root, "granules", f"month={MONTH}", FIRST)
    storage.write_bytes(original, content)
    assert stage_month(settings) == [original]
    unstage(settings, MONTH)
    assert storage.read_bytes(original) == content


def test_what_an_earlier_run_has_staged_and_nobody_lists_goes(
    archive: Archive, settings: Settings, content: bytes
) -> None:
    archive.add(FIRST, content)
    for name in (FIRST, SECOND):
        storage.write_bytes(storage.join(staging_folder(settings, MONTH), name), content)
    record_listing(settings, FailureBook(settings.storage_root, "dag", "run"), MONTH, list_month(settings, MONTH))
    assert [Path(f).name for f in storage.list_files(staging_folder(settings, MONTH))] == [FIRST]
    own = replace(settings, granules=staging_folder(settings, MONTH))
    storage.write_bytes(storage.join(staging_folder(settings, MONTH), "notes.txt"), b"x")
    record_listing(own, FailureBook(own.storage_root, "dag", "run"), MONTH, list_month(own, MONTH))
    assert len(storage.list_files(staging_folder(settings, MONTH))) == 2


def test_an_address_with_a_query_is_staged_under_its_name(archive: Archive, settings: Settings, content: bytes) -> None:
    archive.add(FIRST, content)
    staged = stage_granule(settings, MONTH, f"{archive.url}/data/{FIRST}?a=b/c")
    assert staged == storage.join(staging_folder(settings, MONTH), FIRST)


def test_an_older_granule_is_staged_where_the_newest_is_bad(storage_root: str, content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    older, oldest = (FIRST.replace("240910", day) for day in ("230910", "220910"))
    for name, data in ((FIRST, b"<html>"), (older, content), (oldest, content)):
        (folder / name).write_bytes(data)
    settings = Settings(storage_root=storage_root, granules=str(folder))
    with pytest.raises(InputError, match="an HTML page"):
        stage_month(settings)
    assert [Path(f).name for f in storage.list_files(staging_folder(settings, MONTH))] == [older]


def test_a_folder_for_downloads_that_others_can_write_to_is_refused(
    s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = Settings(storage_root=s3_root, granules=CMR)
    folder = downloads_folder(settings)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="others can write to it"):
        downloads_folder(settings)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="others can write to it"):
        downloads_folder(settings)


def test_a_granule_that_failed_is_an_observation_until_it_is_there(settings: Settings) -> None:
    book = FailureBook(settings.storage_root, "dag", "run")
    refused = FailedScene("oco3_x.nc4", "search", "InputError", "OCO-3")

    def outcomes() -> list[tuple]:
        table = storage.read_table(OBSERVATIONS, storage.join(settings.storage_root, "observations"))
        return [(r["orbit"], r["scene_id"], r["outcome"], r["stage"]) for r in table.to_pylist()]

    record_listing(settings, book, MONTH, MonthListing([], 0, []))
    assert outcomes() == [(0, None, "no_input", "search")]
    record_listing(settings, book, MONTH, MonthListing([], 0, [refused]))
    assert outcomes() == [(0, "oco3_x.nc4", "failed", "search")]
    record_listing(settings, book, MONTH, MonthListing([], 1, []))
    record_not_staged(settings, MONTH, [SECOND, FIRST])
    assert outcomes() == [(0, name, "failed", "fetch") for name in sorted([FIRST, SECOND])]
    storage.write_bytes(storage.join(staging_folder(settings, MONTH), FIRST), b"x")
    record_not_staged(settings, MONTH, [FIRST, SECOND])
    assert outcomes() == [(0, SECOND, "failed", "fetch")]


def test_a_month_of_refused_files_alone_is_no_empty_month() -> None:
    refused = FailedScene("oco3_x.nc4", "search", "InputError", "OCO-3")
    with pytest.raises(NothingDone, match=r"oco3_x\.nc4: OCO-3") as caught:
        MonthListing([], 0, [refused]).raise_if_all_refused()
    assert not caught.value.is_retryable
    MonthListing([], 0, []).raise_if_all_refused()
