"""The monthly extraction with granules of NASA's archive: downloaded, extracted, deleted; skipped without a token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from earthdata_archive import TOKEN, Archive, serve_archive
from plumewatch import http, storage
from plumewatch.failures import FailureBook
from plumewatch.oco2.archive import download
from plumewatch.tables import SOUNDINGS

EXTRACTION = "oco2_monthly_extraction"
pytestmark = pytest.mark.airflow


@pytest.fixture
def archive(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """The granules of the world's first month in the archive; the last is a page in place of the file."""
    for module in (http, download):
        monkeypatch.setattr(module, "BACKOFF_S", 0.0)
    with serve_archive() as served:
        monkeypatch.setenv("PLUMEWATCH_GRANULES", "cmr")
        monkeypatch.setenv("PLUMEWATCH_CMR_URL", served.url)
        for path in sorted(
            (Path(world.folder) / "granules").rglob(f"oco2_LtCO2_{month_of(world)[2:].replace('-', '')}*")
        ):
            content = path.read_bytes()
            served.add(path.name, content, is_page=not content.startswith(b"\x89HDF"))
        assert sum(stored.is_page for stored in served.objects.values()) == 1 < len(served.objects)
        yield served


def month_of(world: Any) -> str:
    [month] = world.truth["red_keys"][EXTRACTION]
    return str(month)


def granules_in(world: Any) -> Counter[str]:
    rows = storage.read_table(SOUNDINGS, f"{world.storage_root}/soundings", ["granule"], {"month": month_of(world)})
    return Counter(rows["granule"].to_pylist())


def staged(world: Any) -> set[str]:
    return {path.rsplit("/", 1)[-1] for path in storage.list_files(f"{world.storage_root}/granules")}


def test_without_a_token_the_month_is_skipped_by_name(
    world: Any, archive: Archive, run_dag: Callable[..., Any], keys_handed_on: Callable[..., Any], states_of: Any
) -> None:
    run = run_dag(EXTRACTION, month_of(world))
    states = states_of(run)
    assert run.state == "success" and keys_handed_on(run) == set()
    assert states.pop("report_failures") == ["success"] and {s for of in states.values() for s in of} == {"skipped"}
    assert (
        archive.asked == [] and len(FailureBook(world.storage_root, EXTRACTION, "any run").rows(month_of(world))) == 0
    )


def test_a_month_is_downloaded_with_the_connection_s_token_and_cleared_away(
    world: Any,
    archive: Archive,
    run_dag: Callable[..., Any],
    keys_handed_on: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "of-the-environment")
    monkeypatch.setenv("AIRFLOW_CONN_EARTHDATA", f'{{"conn_type": "generic", "password": "{TOKEN}"}}')
    month = month_of(world)
    good = {name for name, stored in archive.objects.items() if not stored.is_page}
    [page] = set(archive.objects) - good
    run = run_dag(EXTRACTION, month)
    assert run.state == "failed" and ("plumewatch_peaks", month) in keys_handed_on(
        run
    )  # red for the page, and the others went on
    assert set(granules_in(world)) == good and staged(world) == set()
    failures = {row["scene_id"]: row for row in FailureBook(world.storage_root, EXTRACTION, "any run").rows(month)}
    assert set(failures) == {page} and "NASA GESDISC DATA ARCHIVE" in failures[page]["message"]
    assert failures[page]["is_retryable"] is False and failures[page]["stage"] == "fetch_granule"
    assert {headers["authorization"] for headers in archive.downloads()} == {f"Bearer {TOKEN}"}


def test_a_granule_that_fails_later_keeps_its_soundings_and_downloads_are_kept_on_demand(
    world: Any, archive: Archive, run_dag: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    month = month_of(world)
    archive.objects = {name: stored for name, stored in archive.objects.items() if not stored.is_page}
    assert run_dag(EXTRACTION, month).state == "success"
    before = granules_in(world)
    lost = sorted(archive.objects)[0]
    archive.objects[lost].status = 403
    run = run_dag(EXTRACTION, month, keep_granules=True)
    assert run.state == "failed" and granules_in(world) == before and lost in before
    manifest = storage.read_manifest(f"{world.storage_root}/soundings/month={month}")
    assert manifest is not None and manifest["kept_stored"] == [lost]
    assert staged(world) == set(archive.objects) - {lost}
    [row] = [r for r in FailureBook(world.storage_root, EXTRACTION, "any run").rows(month) if r["scene_id"] == lost]
    assert (row["http_status"], row["healed_at_utc"]) == (403, None)
