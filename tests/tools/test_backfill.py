"""`make backfill` says what it will cost, hands over to Airflow, and names what is wrong with its arguments."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from earthdata_archive import serve_archive
from plumewatch.catalogues.catalogue import Catalogue
from plumewatch.errors import InputError, ServiceError
from plumewatch.missing_settings import NO_HUB_ACCOUNT
from plumewatch.models import Area
from plumewatch.sentinel2 import scene_cost
from plumewatch.settings import Settings
from shapely.geometry import box

from tools import backfill, places
from tools.airflow_client import AirflowError
from tools.backfill import EXTRACTION, INGEST, ZONES, BadArguments, CannotBackfill, Order, read_order
from tools.checkout import CHECKOUT

TODAY = date(2025, 10, 15)
DAYS = Order(INGEST, date(2025, 8, 20), date(2025, 8, 24))
MONTHS = Order(EXTRACTION, date(2024, 12, 1), date(2025, 2, 3))


def area(name: str, **values: Any) -> Area:
    return Area(name=name, geometry=box(50.0, 30.0, 50.05, 30.05), file=f"{name}.geojson", **values)


def settings(**values: object) -> Settings:
    return Settings(**{"storage_root": "storage", "stac_api": "http://default", **values})  # type: ignore[arg-type]


def test_an_order_is_read() -> None:
    order = read_order(INGEST, "2025-08-20", "2025-08-24", TODAY)
    assert order == DAYS and order.n_days == 5
    assert read_order(ZONES, "2024-12-01", "2025-02-03", TODAY).months == ["2024-12", "2025-01", "2025-02"]
    assert read_order(EXTRACTION, "2024-12-01", "2025-02-03", TODAY).months == ["2024-12", "2025-01", "2025-02"]
    assert read_order(INGEST, "2025-10-15", "2025-10-15", TODAY).n_days == 1
    for dag_id, (first, _) in backfill.FIRST_DAYS.items():
        assert read_order(dag_id, str(first), "2025-10-15", TODAY).first == first


@pytest.mark.parametrize(
    ("dag_id", "first", "last", "message"),
    [
        ("methane_detection_and_matching", "2025-08-20", "2025-08-24", "backfill sentinel2_daily_ingest.*redetect"),
        ("co2_detection_and_matching", "2025-08-01", "2025-08-24", "backfill oco2_monthly_extraction.*redetect"),
        ("redetect", "2025-08-20", "2025-08-24", "trigger it with from, to and gas"),
        ("inventory_refresh", "2025-08-20", "2025-08-24", "trigger it once"),
        ("ingest", "2025-08-20", "2025-08-24", "DAG=ingest; allowed: sentinel2_daily_ingest, oco2_monthly_extraction"),
        ("", "2025-08-20", "2025-08-24", r"DAG=\(empty\); allowed: .* Example: make backfill"),
        (INGEST, "", "2025-08-24", r"FROM=\(empty\); allowed: YYYY-MM-DD"),
        (INGEST, "2025-08-20", "24.8.2025", "TO=24.8.2025; allowed: YYYY-MM-DD"),
        (INGEST, "2025-08-32", "2025-08-24", "FROM=2025-08-32"),
        (INGEST, "2025-08-24", "2025-08-20", "FROM=2025-08-24 is after TO=2025-08-20"),
        (INGEST, "2025-10-01", "2025-10-16", "in the future; allowed: at most today, 2025-10-15"),
        (
            INGEST,
            "1025-08-20",
            "2025-08-24",
            "FROM=1025-08-20: nothing is older; allowed: at least 2013-02-11, .*Landsat 8",
        ),
        (INGEST, "2013-02-10", "2025-08-24", "allowed: at least 2013-02-11, as Landsat 8 was launched on 2013-02-11"),
        (ZONES, "1900-01-01", "2025-08-24", "allowed: at least 2013-02-01, as Landsat 8 was launched on 2013-02-11"),
        (EXTRACTION, "2014-08-01", "2025-08-24", "allowed: at least 2014-09-01, as the Lite granules .* 2014-09-06"),
        (EXTRACTION, "2025-08-15", "2025-09-01", "the first of one, such as 2025-08-01"),
    ],
)
def test_an_order_that_cannot_work_is_refused(dag_id: str, first: str, last: str, message: str) -> None:
    with pytest.raises(BadArguments, match=message):
        read_order(dag_id, first, last, TODAY)


def test_what_is_run_again_is_said_in_airflows_words() -> None:
    for word in ("none", "failed", "completed"):
        order = read_order(INGEST, "2025-08-20", "2025-08-24", TODAY, word)
        arguments = backfill.airflow_arguments(order, dry=True)
        assert arguments[arguments.index("--reprocess-behavior") + 1] == word
    for other in ("all", "", "Failed"):
        with pytest.raises(BadArguments, match=f"REPROCESS={other}; allowed: none, failed, completed"):
            read_order(INGEST, "2025-08-20", "2025-08-24", TODAY, other)


def test_every_dag_is_served_or_refused_with_its_reason() -> None:
    dag_ids = {path.stem for path in (CHECKOUT / "dags").glob("*.py")}
    assert {*backfill.EXAMPLES, *backfill.REFUSED} == dag_ids and backfill.EXAMPLES.keys() == backfill.FIRST_DAYS.keys()


def found(n: int, skipped: int = 0) -> Any:
    return SimpleNamespace(scenes=[None] * n, skipped=[None] * skipped, beyond_max_items=[])


def test_the_cost_of_days_is_what_the_catalogues_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def search(where: Area, first: date, last: date, catalogue: Catalogue) -> Any:
        asked.append((where.name, first, last, catalogue.url))
        if where.name == "failing":
            raise ServiceError("http://default: 503", 503)
        return found(12, skipped=3)

    areas = [
        area("away", stac_api="http://away"),
        area("failing"),
        area("hub", catalogue="sentinel_hub"),
        area("near"),
        area("too", stac_api="http://away"),
    ]
    probed = []
    monkeypatch.setattr(backfill, "read_areas", lambda *_, **__: areas)
    monkeypatch.setattr(scene_cost, "search_scenes", search)
    monkeypatch.setattr(
        scene_cost,
        "why_unreachable",
        lambda url: probed.append(url) or ("cannot be reached" if "away" in url else None),
    )
    assert backfill.cost_of(DAYS, settings()) == [
        "5 days x 5 areas: 5 runs",
        "  away: scenes unknown: http://away: cannot be reached",
        "  failing: scenes unknown: http://default: 503",
        f"  hub: scenes unknown: {NO_HUB_ACCOUNT}",
        "  near: 12 scenes of about 10 MB, 3 left out",
        "  too: scenes unknown: http://away: cannot be reached",
        "12 scenes, at most about 119 MB to read",
        "no processing units and no quota: neither source needs an account",
    ]
    assert probed == ["http://away", "http://default"]
    assert asked == [(name, DAYS.first, DAYS.last, "http://default") for name in ("failing", "near")]


def test_days_without_areas_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "read_areas", lambda *_, **__: [])
    with pytest.raises(CannotBackfill, match="no areas in"):
        backfill.cost_of(DAYS, settings())


def test_the_bytes_of_a_scene_are_whole_blocks() -> None:
    tiny = Area(name="tiny", geometry=box(50.0, 30.0, 50.0001, 30.0001), file="tiny.geojson")
    block = 1024 * 1024
    assert scene_cost.bytes_of_scene(tiny) == pytest.approx((2 * 2 + 2) * block, rel=0.01)
    red = Area(name="red", geometry=tiny.geometry, file="", bands=("B04",))
    assert scene_cost.bytes_of_scene(red) == pytest.approx((2 + 2) * block, rel=0.01)
    # A degree by a degree at 30 N is 96 x 111 km: 4824 x 5543 pixels, give or take the turn of the grid.
    large = Area(name="large", geometry=box(50.0, 30.0, 51.0, 31.0), file="")
    assert scene_cost.bytes_of_scene(large) == pytest.approx(6 * (4824 + 1024) * (5543 + 1024), rel=0.03)


def test_the_cost_of_months_is_their_granules(tmp_path: Path) -> None:
    for day, n_bytes in (("241201", 3_000_000), ("241202", 2_000_000), ("250203", 7_000_000), ("250301", 1)):
        with (tmp_path / f"oco2_LtCO2_{day}_B11210Ar_250910224028s.nc4").open("wb") as file:
            file.truncate(n_bytes)
    assert backfill.cost_of(MONTHS, settings(granules=str(tmp_path))) == [
        "3 months: 3 runs",
        "  2024-12: 2 granules, 5 MB",
        "  2025-01: 0 granules, 0 MB",
        "  2025-02: 1 granule, 7 MB",
        f"12 MB to read from {tmp_path}",
        "no processing units and no quota: neither source needs an account",
    ]


def test_months_whose_folder_is_absent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        backfill.cost_of(MONTHS, settings(granules=f"{tmp_path}/none"))


def test_the_cost_of_months_of_the_archive_is_what_its_catalogue_states() -> None:
    with serve_archive() as archive:
        for day, n_bytes in (("241201", 3_000_000), ("241202", 2_000_000), ("250203", 7_000_000), ("250301", 1)):
            size = {"SizeInBytes": n_bytes}
            archive.add(f"oco2_LtCO2_{day}_B11210Ar_250910224028s.nc4", b"x", size=size)
        archive.add("oco2_LtCO2_250204_B11210Ar_250910224028s.nc4", b"x", size={"Name": "Not provided"})
        chosen = settings(granules="cmr", cmr_url=archive.url)
        assert backfill.cost_of(MONTHS, chosen) == [
            "3 months: 3 runs",
            "  2024-12: 2 granules, 5 MB",
            "  2025-01: 0 granules, 0 MB",
            "  2025-02: 2 granules, 7 MB (1 of unknown size)",
            "4 granules, 12 MB (1 of unknown size) to download from NASA's archive",
            "no quota; the download needs an Earthdata account: EARTHDATA_TOKEN is not set: months are skipped without "
            "it or the connection",
        ]
        archive.cmr_answers = [(400, {}, b"no such collection")]
        unknown = backfill.cost_of(MONTHS, replace(chosen, earthdata_token="abc"))
        assert len(unknown) == 3 and "granules unknown" in unknown[1] and "HTTP 400" in unknown[1]
        assert unknown[2].endswith("EARTHDATA_TOKEN is set") and not any("abc" in line for line in unknown)


def test_airflow_says_why_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(
        returncode=1, stdout="", stderr="Traceback ...\nAlreadyRunningBackfill: only one a Dag.\n\n"
    )
    monkeypatch.setattr(backfill.subprocess, "run", lambda *_, **__: answer)
    airflow: Any = SimpleNamespace(environment={})
    with pytest.raises(CannotBackfill, match=r"`airflow backfill create .*` failed: AlreadyRunningBackfill: only one"):
        backfill.run_airflow(airflow, backfill.airflow_arguments(DAYS, dry=False))


def airflow_with(dags: Any) -> Any:
    return SimpleNamespace(url="http://127.0.0.1:8080", client=SimpleNamespace(dags=dags))


def test_what_follows_names_the_dags_that_are_paused() -> None:
    detection = "methane_detection_and_matching"
    assert "when `make up` runs" in backfill.what_follows(DAYS, None)
    for reprocess, told in {
        "none": "are left as they are",
        "failed": "last run failed run again",
        "completed": "or not",
    }.items():
        assert told in backfill.what_follows(replace(DAYS, reprocess=reprocess), None)
    waiting = backfill.what_follows(DAYS, airflow_with(lambda: {INGEST: True, detection: True, EXTRACTION: True}))
    assert f"unpause in the UI (http://127.0.0.1:8080): {INGEST}, {detection}." in waiting
    assert "at work" in backfill.what_follows(DAYS, airflow_with(lambda: {INGEST: False, detection: False}))

    def refuse() -> None:
        raise AirflowError("503")

    assert "could not be asked (503)" in backfill.what_follows(DAYS, airflow_with(refuse))


def keys_listed(output: str) -> list[str]:
    lines = [line for line in output.splitlines() if line.startswith("|")]
    return [line.split("|")[2].strip() for line in lines if "partition_key" not in line]


def contents_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def airflow_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `make up` would keep its Airflow, and beside it where temporary folders are made."""
    folder = tmp_path / "airflow"
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for module in (backfill, places):
        monkeypatch.setattr(module, "LOCAL_AIRFLOW", folder)
    return folder


def test_a_dry_run_lists_the_keys_without_a_running_airflow_and_leaves_nothing(
    airflow_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backfill.create(Order(EXTRACTION, date(2025, 8, 1), date(2025, 9, 20)), dry=True)
    assert keys_listed(capsys.readouterr().out) == ["2025-08", "2025-09"]
    assert not airflow_folder.exists() and list((airflow_folder.parent / "temporary").iterdir()) == []


def test_what_has_run_is_left_or_run_again_as_the_order_says(
    airflow_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(EXTRACTION, date(2025, 7, 1), date(2025, 9, 20))
    backfill.create(replace(order, last=date(2025, 8, 31)), dry=False)
    assert "Created. The runs start when" in capsys.readouterr().out
    database = airflow_folder / "airflow" / "airflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        for month, state in (("2025-07", "success"), ("2025-08", "failed")):
            connection.execute("UPDATE dag_run SET state = ? WHERE partition_key = ?", (state, month))
    run, before = backfill.run_airflow, contents_of(airflow_folder)
    only_backfill: Any = lambda airflow, words: run(airflow, words) if words[0] == "backfill" else ""  # noqa: E731
    monkeypatch.setattr(backfill, "run_airflow", only_backfill)  # the copy is up to date as it is
    for reprocess, expected in {
        "none": ["2025-09"],
        "failed": ["2025-08", "2025-09"],
        "completed": ["2025-07", "2025-08", "2025-09"],
    }.items():
        backfill.create(replace(order, reprocess=reprocess), dry=True)
        assert keys_listed(capsys.readouterr().out) == expected
    assert contents_of(airflow_folder) == before and list((airflow_folder.parent / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--dag", "redetect", "--from", "2025-08-20", "--to", "2025-08-24"), 2, "DAG=redetect: it is started by hand"),
        (("--dag", EXTRACTION, "--from", "2025-08-02", "--to", "2025-08-24"), 2, "works by months"),
        (("--dag", EXTRACTION, "--from", "2025-08-01", "--to", "2025-08-24"), 1, "no such folder"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments: tuple[str, ...], exit_code: int, message: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools.backfill", *arguments, "--dry-run"],
        cwd=CHECKOUT,
        env={**os.environ, "PLUMEWATCH_GRANULES": "/no/such/folder"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (exit_code, "", 1), run.stderr
    assert message in run.stderr


def test_what_has_run_already_is_named_where_a_dry_run_leaves_it() -> None:
    told = "- from_date = 2025-08-20\nRuns to be attempted:\n| 2025-08-21 | 2025-08-22 | 2025-08-24 |"
    (line,) = backfill.left_text(DAYS, told)
    assert line.startswith("2025-08-20, 2025-08-23: left. ") and "REPROCESS=failed or =completed" in line
    (line,) = backfill.left_text(DAYS, "Runs to be attempted:\n")
    assert line.count("2025-08-2") == 5
    every = "Runs to be attempted:\n" + " ".join(map(str, DAYS.days))
    assert backfill.left_text(DAYS, every) == []
