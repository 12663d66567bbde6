"""`make check` says of each part how it is, fails only on what the settings need, and writes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from earthdata_archive import serve_archive
from plumewatch.catalogues.answering import why_unreachable
from plumewatch.gases import CH4
from plumewatch.hand_offs import record_hand_offs
from plumewatch.missing_settings import missing_account, missing_inventories, missing_wind
from plumewatch.settings import Settings

from tools import up
from tools.checkout import CHECKOUT
from tools.checks import machine
from tools.checks.areas import check_areas
from tools.checks.finding import Finding, State, missing
from tools.checks.settings import check_alerts, check_names
from tools.checks.sources import (
    check_catalogues,
    check_earthdata,
    check_granules,
    check_inventories,
    check_wind,
)
from tools.ports import choose_ports

ANSWERS = {"/stac": (200, '{"stac_version": "1.0.0"}'), "/html": (200, "<html>"), "/json": (200, "{}")}
SQUARE = [[[50.0, 30.0], [50.01, 30.0], [50.01, 30.01], [50.0, 30.01], [50.0, 30.0]]]


class Catalogue(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, text = ANSWERS.get(self.path, (503, "maintenance"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Catalogue)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def settings(**values: object) -> Settings:
    return Settings(**{"storage_root": "storage", **values})  # type: ignore[arg-type]


def is_fatal_problem(finding: Finding) -> bool:
    return finding.state is State.PROBLEM and finding.is_fatal


@pytest.fixture
def area_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    folders = tmp_path / "bundle", tmp_path / "own"
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(Settings, "area_folders", property(lambda _: tuple(map(str, folders))))
    return folders


def write_area(path: Path, **properties: object) -> None:
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": SQUARE}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))


def test_a_folder_is_looked_at_and_not_made(tmp_path: Path) -> None:
    assert machine.check_storage(settings(storage_root=f"file://{tmp_path}")).state is State.OK
    absent = machine.check_storage(settings(storage_root=f"file://{tmp_path}/new/storage"))
    assert absent.state is State.OK and "the first run makes it" in absent.text
    assert list(tmp_path.iterdir()) == []


def test_a_storage_root_that_cannot_work_is_fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    in_the_way = machine.check_storage(settings(storage_root=f"{tmp_path}/file/storage"))
    assert is_fatal_problem(in_the_way) and f"{tmp_path}/file is a file" in in_the_way.text
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    forbidden = machine.check_storage(settings(storage_root=str(tmp_path)))
    assert is_fatal_problem(forbidden) and "isn't writable" in forbidden.text


def test_what_waits_for_its_detection_is_named(tmp_path: Path) -> None:
    chosen = settings(storage_root=f"file://{tmp_path}")
    nothing = [str(finding) for finding in machine.check_waiting(chosen)]
    assert len(nothing) == 2 and nothing[0].endswith("nothing waits for methane_detection_and_matching")
    record_hand_offs(chosen.storage_root, CH4, ["2025-08-20", "2025-08-21"], "redetect")
    methane, co2 = machine.check_waiting(chosen)
    assert methane.state is State.PROBLEM and not methane.is_fatal and co2.state is State.OK
    assert methane.text.startswith("2025-08-20, 2025-08-21 waiting since 20")
    assert "where methane_detection_and_matching is paused, unpause it" in methane.text


def test_a_storage_that_cannot_be_listed_says_nothing_of_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("s3://bucket/x")

    monkeypatch.setattr(machine, "waiting_keys", refused)
    assert list(machine.check_waiting(settings(storage_root="s3://bucket/x"))) == []


def test_a_bucket_is_listed(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_storage(settings(storage_root=s3_root)).state is State.OK
    absent = machine.check_storage(settings(storage_root="s3://no-such-bucket/x"))
    assert is_fatal_problem(absent) and "bucket does not exist" in absent.text
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = machine.check_storage(settings(storage_root=s3_root))
    assert is_fatal_problem(refused) and "wrong" not in refused.text


def test_java_is_looked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "present_java", lambda: None)
    assert is_fatal_problem(machine.check_java(settings()))
    assert machine.check_java(settings(spark="sc://host:15002")).state is State.OK


def test_what_spark_fetches_by_itself_is_missing_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.spark_runtime, "jars_folder", lambda: tmp_path / "jars")
    assert machine.check_spark(settings()).state is State.MISSING
    assert list(tmp_path.iterdir()) == []
    assert is_fatal_problem(machine.check_spark(settings(spark="yarn")))


def test_areas_are_counted_and_named(area_folders: tuple[Path, Path]) -> None:
    [nothing], _ = check_areas(settings())
    assert nothing.state is State.MISSING
    write_area(area_folders[0] / "one.geojson")
    write_area(area_folders[1] / "two.geojson", name="second")
    (area_folders[1] / "third.kml").write_text("<kml/>")
    [unread, finding], areas = check_areas(settings())
    assert unread.state is State.MISSING and "third.kml: a file of another ending" in unread.text
    assert finding.state is State.OK and re.fullmatch(
        r"2: one \([\d.]+ N [\d.]+ E, [\d.]+ x [\d.]+ km\), second \(.* km\)", finding.text
    )
    assert [area.name for area in areas] == ["one", "second"]


def test_every_area_that_cannot_be_used_is_a_problem_and_the_others_count(area_folders: tuple[Path, Path]) -> None:
    bundle, own = area_folders
    write_area(bundle / "good.geojson")
    write_area(own / "good.geojson")
    write_area(own / "degrees.geojson", crs="EPSG:4326")
    (own / "html.geojson").write_text("<html>")
    (own / "broken.gpkg").write_text("<html>")
    findings, _ = check_areas(settings())
    assert all(is_fatal_problem(finding) for finding in findings[:-1])
    texts = [finding.text for finding in findings]
    expected = [
        "broken.gpkg",
        "degrees.geojson",
        "html.geojson",
        "good is in several files",
        "2: good",
    ]
    assert len(texts) == len(expected) and all(part in text for part, text in zip(expected, texts, strict=True))


def test_properties_that_nothing_knows_are_named_and_the_area_counts(
    area_folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    write_area(area_folders[0] / "one.geojson", resolution=20, colour="red")
    write_area(area_folders[1] / "two.geojson", Name="two")
    write_area(area_folders[1] / "three.geojson", max_cloud_cover=30)
    first, second, last = check_areas(settings())[0]
    assert "one.geojson: feature 1: not used: colour, resolution; known: name," in first.text
    assert "two.geojson: feature 1: not used: Name; known: name," in second.text
    assert first.state is second.state is State.MISSING  # many a file says more of its areas: no problem
    assert last.state is State.OK and last.text.startswith("3: one")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PLUMEWATCH_STORAGE_ROTT", "PLUMEWATCH_STORAGE_ROOT"),
        ("PLUMEWATCH_STORAGE", "PLUMEWATCH_STORAGE_ROOT"),
        ("PLUMEWATCH_AREA", "PLUMEWATCH_AREAS"),
        ("plumewatch_wind", "PLUMEWATCH_WIND"),
        ("PLUMWATCH_INVENTORIES", "PLUMEWATCH_INVENTORIES"),
        ("PLUMEWATCH_INVENTORY", "PLUMEWATCH_INVENTORIES"),
        ("PLUMEWATCH_GEOSFP_URL", "PLUMEWATCH_GEOS_FP_URL"),
        ("EARTHDATA_TOKENS", "EARTHDATA_TOKEN"),
        ("PLUMEWATCH_X", None),
    ],
)
def test_a_name_that_is_no_setting_is_named_with_the_one_that_is_meant(
    name: str, meant: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.checks.settings.CHECKOUT", tmp_path)
    monkeypatch.delenv("PLUMEWATCH_SPARK", raising=False)
    assert list(check_names()) == []
    monkeypatch.setenv(name, "secret")
    [finding] = check_names()
    assert f"{name} of the environment is no setting" in finding.text and "secret" not in finding.text
    assert f"is {meant} meant?" in finding.text if meant else ".env.example lists" in finding.text
    assert is_fatal_problem(finding) == (meant is not None)
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=secret\n" + (f"{meant}=x\n" if meant else ""))
    [finding] = check_names()
    assert f"{name} of .env is no setting" in finding.text
    assert finding.state is State.PROBLEM and not finding.is_fatal  # what is meant is set, too


def test_names_that_are_others_or_known_are_none_to_speak_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.checks.settings.CHECKOUT", tmp_path)
    others = ("AWS_ENDPOINT_URL_S3", "SPARK_HOME", "EARTHDATA_USERNAME", "SH_CLIENT_ID", "PATH", "AIRFLOW_HOME", "WIND")
    for name in ("PLUMEWATCH_WIND", "PLUMEWATCH_TEST_DATA", "PLUMEWATCH_SUPERVISED_BY", *others):
        monkeypatch.setenv(name, "x")
    assert list(check_names()) == []


@pytest.mark.parametrize("demo", [False, True])
def test_make_up_says_it_too_but_not_for_the_demonstration(
    demo: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise up.CannotStart

    for name, value in (("LOCAL_AIRFLOW", tmp_path), ("DEMO", tmp_path), ("prepare_spark", stop)):
        monkeypatch.setattr(up, name, value)
    monkeypatch.setattr(up, "remembered_demo", lambda: ("file", ()))
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROTT", "x")
    with pytest.raises(up.CannotStart):
        up.start(choose_ports(20003)[0], demo)
    assert ("is PLUMEWATCH_STORAGE_ROOT meant?" in capsys.readouterr().out) != demo


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/stac", None), ("/html", "isn't JSON"), ("/json", "isn't STAC"), ("/gone", "HTTP 503")],
)
def test_a_catalogue_answers_or_not(server: str, path: str, reason: str | None) -> None:
    found = why_unreachable(server + path)
    assert found is None if reason is None else reason in str(found)


def test_each_catalogue_is_asked_once_and_may_be_away(server: str, area_folders: tuple[Path, Path]) -> None:
    [port] = choose_ports(20001)
    write_area(area_folders[0] / "own.geojson", stac_api=f"http://127.0.0.1:{port}")
    write_area(area_folders[0] / "default.geojson")
    write_area(area_folders[0] / "another.geojson")
    chosen = settings(stac_api=f"{server}/stac")
    findings = list(check_catalogues(chosen, check_areas(chosen)[1]))
    assert sorted(finding.state.value for finding in findings) == ["OK", "problem"]
    assert not any(finding.is_fatal for finding in findings)


def test_granules(tmp_path: Path) -> None:
    assert is_fatal_problem(check_granules(settings(granules=f"{tmp_path}/none")))
    assert check_granules(settings(granules=str(tmp_path))).state is State.MISSING
    for name in ("oco2_LtCO2_190601_B11210Ar_240910224028s.nc4", "oco2_LtCO2_190702_B11210Ar_240910224028s.nc4"):
        (tmp_path / name).touch()
    (tmp_path / "acos_LtCO2_190601_B11000Ar_240910224028s.nc4").touch()
    found = check_granules(settings(granules=str(tmp_path)))
    assert found.state is State.OK and "2 of 2019-06 to 2019-07" in found.text and "1 refused" in found.text


def test_granules_of_the_archive_and_the_account_for_them() -> None:
    with serve_archive() as archive:
        archive.add("oco2_LtCO2_190601_B11300Ar_260910224028s.nc4", b"x", "11.3r")
        chosen = settings(cmr_url=archive.url)
        answer = check_granules(chosen)
        assert answer.state is State.OK and "answers: 1 in the newest collection" in answer.text
        archive.cmr_answers = [(503, {}, b"maintenance")]
        away = check_granules(chosen)
        assert away.state is State.PROBLEM and not away.is_fatal and "HTTP 503" in away.text
    account = check_earthdata(chosen)
    assert account.state is State.MISSING and str(missing_account(chosen)) in account.text
    there = check_earthdata(settings(earthdata_token="abc"))
    assert there.state is State.OK and "is set (not tried)" in there.text and "abc" not in there.text
    assert "not needed" in check_earthdata(settings(granules="/folder")).text


def test_wind_files(tmp_path: Path) -> None:
    [absent] = check_wind(settings())
    [unknown] = check_wind(settings(wind="geos_fp,gfs"))
    [empty] = check_wind(settings(wind=str(tmp_path)))
    assert absent == missing("wind", str(missing_wind(settings()))) and is_fatal_problem(empty)
    assert is_fatal_problem(unknown) and "products (geos_fp, era5)" in unknown.text
    for name in ("data.PARQUET", "b.pq", "c.nc", ".hidden"):
        (tmp_path / name).touch()
    [there] = check_wind(settings(wind=str(tmp_path)))
    assert there.state is State.OK and there.text == f"2 Parquet files in {tmp_path}; not read: c.nc"


def test_inventories(tmp_path: Path) -> None:
    assert check_inventories(settings()) == missing("inventories", str(missing_inventories(settings())))
    assert is_fatal_problem(check_inventories(settings(inventories=f"{tmp_path}/none")))
    (tmp_path / "plants.csv").touch()
    unknown = check_inventories(settings(inventories=str(tmp_path)))
    assert is_fatal_problem(unknown) and "own_sources" in unknown.text
    (tmp_path / "own_sources.csv").touch()
    there = check_inventories(settings(inventories=str(tmp_path)))
    assert there.text.startswith("own") and there.text.endswith("; not read: plants.csv")


def test_alert_channels_need_a_recipient_but_the_log() -> None:
    [log, smtp] = check_alerts(settings(alerts=("log", "smtp")))
    assert log.state is State.OK and is_fatal_problem(smtp)
    [webhook] = check_alerts(settings(alerts=("webhook",), alert_to="https://u:secret@host/hook?token=abc"))
    assert webhook.state is State.OK and "secret" not in webhook.text and "abc" not in webhook.text


def run_command(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.check"]
    nowhere = "http://127.0.0.1:9"  # the catalogues that areas of the bundle name aren't asked
    away = {"HTTPS_PROXY": nowhere, "https_proxy": nowhere}
    return subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **away, **environment}, capture_output=True, text=True, check=False
    )


def test_the_command_fails_only_on_what_is_needed(tmp_path: Path) -> None:
    root = f"file://{tmp_path}/storage"
    good = run_command(PLUMEWATCH_STORAGE_ROOT=root, PLUMEWATCH_GRANULES="cmr")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "problem  catalogue" in good.stdout and "problem  granules" in good.stdout
    assert good.stdout.endswith("\nReady, but look at what is a problem above.\n")
    bad = run_command(PLUMEWATCH_STORAGE_ROOT=root, PLUMEWATCH_WIND=f"{tmp_path}/none")
    assert bad.returncode == 1 and "\nproblem! wind " in bad.stdout
    assert bad.stdout.endswith("\n1 of the problems, marked !, to solve first. The other 2 may wait.\n")
    gone = run_command(PLUMEWATCH_STORAGE_ROOT="s3://b/p", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="k")
    assert gone.returncode == 1 and "Traceback" not in gone.stderr and "problem! storage" in gone.stdout
    assert "to solve first" in gone.stdout
    misspelt = run_command(PLUMEWATCH_STORAGE_ROTT=root, PLUMEWATCH_GRANULES="cmr")
    assert misspelt.returncode == 1 and "PLUMEWATCH_STORAGE_ROOT meant?" in misspelt.stdout
    assert list(tmp_path.iterdir()) == []
