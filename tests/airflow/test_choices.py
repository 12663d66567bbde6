"""What forms and commands offer is what the library knows: lists that stand in two places are equal."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from plumewatch.areas import read_areas
from plumewatch.gases import CH4, CO2, GASES
from plumewatch.methane.cases.published import read_cases
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.settings import ALERT_CHANNELS, Settings

from tools.checkout import CHECKOUT

JOBS = CHECKOUT / "spark_jobs"
METHODS = [method for gas in GASES.values() for method in gas.methods]
FORMS = {
    "sentinel2_daily_ingest": "areas", "oco2_monthly_extraction": "keep_granules",
    "methane_detection_and_matching": "methods", "co2_detection_and_matching": "methods",
}  # fmt: skip


def offered(dagbag: Any, dag_id: str, param: str) -> dict[str, Any]:
    """The schema of a parameter of the trigger form."""
    return dagbag.dags[dag_id].params.get_param(param).schema


def test_sets_of_cases_are_those_of_the_published_ones_in_their_order(dagbag: Any) -> None:
    known = list(dict.fromkeys(case.set for case in read_cases()))
    assert offered(dagbag, "published_cases_validation", "sets")["examples"] == known


def test_redetect_offers_every_gas_and_every_method(dagbag: Any) -> None:
    assert offered(dagbag, "redetect", "gas")["enum"] == ["both", *GASES]
    methods = offered(dagbag, "redetect", "methods")
    assert methods["items"]["enum"] == methods["examples"] == METHODS


def test_every_channel_of_the_settings_can_send(dagbag: Any) -> None:
    from plumewatch_airflow.channels import CHANNELS

    assert set(CHANNELS) == set(ALERT_CHANNELS) and len(ALERT_CHANNELS) == len(set(ALERT_CHANNELS))


def test_each_method_is_shown_with_its_gas(dagbag: Any) -> None:
    shown = offered(dagbag, "redetect", "methods")["values_display"]
    assert list(shown) == METHODS and shown["scan"] == "scan (co2)" and shown["multi_pass"] == "multi_pass (ch4)"


def test_what_comes_late_is_looked_for_as_far_back_as_references_of_a_day_are_taken(dagbag: Any) -> None:
    days = plume_thresholds().references.max_days_back
    assert dagbag.dags["sentinel2_late_scenes"].params["look_back_days"] == days
    assert f"empty: {days} days" in offered(dagbag, "sentinel2_gap_fill", "from")["description_md"]


@pytest.mark.parametrize("dag_id", FORMS)
def test_the_first_param_says_where_the_key_is(dagbag: Any, dag_id: str) -> None:
    assert next(iter(dagbag.dags[dag_id].params)) == FORMS[dag_id]
    assert "*Advanced Options*, *Partition Key*" in offered(dagbag, dag_id, FORMS[dag_id])["description_md"]


@pytest.mark.parametrize(
    ("dag_id", "gas", "key"),
    [
        ("methane_detection_and_matching", CH4, "as 2025-08-24; without one today. Allowed is YYYY-MM-DD;"),
        ("co2_detection_and_matching", CO2, "as 2025-08; without one this month. Allowed is YYYY-MM;"),
    ],
)
def test_the_form_of_a_detection_says_which_keys_and_methods_there_are(
    dagbag: Any, dag_id: str, gas: Any, key: str
) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    schema = offered(dagbag, dag_id, "methods")
    assert key in schema["description_md"] and schema["examples"] == list(gas.methods)
    param = dagbag.dags[dag_id].params.get_param("methods")
    assert deepcopy(param).resolve(list(gas.methods)) == list(gas.methods)
    with pytest.raises(ParamValidationError, match="'goats' is not one of"):
        deepcopy(param).resolve(["goats"])


def write_area(file: Path, name: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    square = {"type": "Polygon", "coordinates": [[[54, 38], [54.1, 38], [54.1, 38.1], [54, 38.1], [54, 38]]]}
    file.write_text(json.dumps({"type": "Feature", "properties": {"name": name}, "geometry": square}))


def areas_schema(monkeypatch: pytest.MonkeyPatch, **values: object) -> dict[str, Any]:
    """The schema of the field for areas with these settings."""
    from plumewatch_airflow.params import areas_param

    for name, value in values.items():
        monkeypatch.setenv(f"PLUMEWATCH_{name.upper()}", str(value))
    return areas_param().schema


def test_the_areas_of_the_bundle_are_offered_where_nothing_is_set(dagbag: Any) -> None:
    assert offered(dagbag, "sentinel2_daily_ingest", "areas")["examples"] == ["korpezhe"]


def test_the_areas_that_are_offered_are_those_that_a_run_finds(
    tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_area(tmp_path / "world" / "one.geojson", "one")
    write_area(tmp_path / "storage" / "areas" / "two.geojson", "two")
    schema = areas_schema(monkeypatch, areas=tmp_path / "world", storage_root=f"file://{tmp_path}/storage")
    known = [area.name for area in read_areas(*Settings.load().area_folders)]
    assert schema["examples"] == known == ["one", "two"]
    write_area(tmp_path / "storage" / "areas" / "one.geojson", "one")  # a run refuses two of one name
    assert areas_schema(monkeypatch)["examples"] == ["two"]


def test_areas_of_dotenv_are_offered(tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_area(tmp_path / "mine" / "one.geojson", "one")
    (tmp_path / ".env").write_text(f"PLUMEWATCH_AREAS={tmp_path}/mine # mine\n")
    monkeypatch.setattr("plumewatch.settings.CHECKOUT", tmp_path)
    assert areas_schema(monkeypatch)["examples"] == ["one"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("bad.geojson", b"<html>"),
        ("bad.json", b""),
        ("bad.gpkg", b"SQLite format 3\0"),
        ("bad.shp", b""),
        ("bad.geojson", b"\xff\xfe"),
        ("bad.geojson", b"[" * 100_000),
    ],
)
def test_a_broken_file_is_named_in_the_form_and_breaks_no_dag(
    file: str, content: bytes, tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_area(tmp_path / "one.geojson", "one")
    (tmp_path / file).write_bytes(content)
    (tmp_path / "bad.dbf").write_bytes(content)
    schema = areas_schema(monkeypatch, areas=tmp_path)
    assert schema["examples"] == ["one"]
    assert f"Not read (make check says why): {tmp_path}/{file}." in schema["description_md"].replace("\\", "")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("PLUMEWATCH_ALERTS=pigeon", "PLUMEWATCH_ALERTS"),
        ("PLUMEWATCH_SPARK_CORES=many", "PLUMEWATCH_SPARK_CORES"),
        ("EARTHDATA_TOKEN=$TOKEN", ".env:1: EARTHDATA_TOKEN"),
        ("PLUMEWATCH_AREAS", ".env:1: no ="),
        ("PLUMEWATCH-AREAS=/areas", ".env:1: a name 'PLUMEWATCH-AREAS'"),
    ],
)
def test_settings_that_no_run_can_read_break_no_dag(
    line: str, told: str, tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(line)
    monkeypatch.setattr("plumewatch.settings.CHECKOUT", tmp_path)
    schema = areas_schema(monkeypatch)
    assert schema["examples"] == [] and told in schema["description_md"].replace("\\", "")


def test_areas_in_a_bucket_are_typed_and_not_asked_for(
    tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_area(tmp_path / "one.geojson", "one")
    schema = areas_schema(monkeypatch, areas=tmp_path, storage_root="s3://bucket/x")  # sockets are refused here
    assert "examples" not in schema  # with it, Airflow's form takes nothing but what it offers
    told = "Known are one; beside them those of s3://bucket/x/areas, which aren't listed here"
    assert "One a line" in schema["description_md"] and told in schema["description_md"]


def test_what_a_form_names_is_no_markdown(tmp_path: Path, dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_a_", "*b*", "<c>", "[d](e)", "`f`"):
        (tmp_path / f"{name}.json").touch()
    told = areas_schema(monkeypatch, areas=tmp_path)["description_md"]
    for shown in (r"\_a\_.json", r"\*b\*.json", r"\<c\>.json", r"\[d\](e).json", r"\`f\`.json"):
        assert shown in told


@pytest.mark.parametrize("names", [None, [], [""], ["", " "]])
def test_a_field_left_blank_chooses_nothing(names: list[str] | None, dagbag: Any) -> None:
    from plumewatch_airflow.params import typed

    assert typed(names) == [] and typed([" one", "", "two\r"]) == ["one", "two"]


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({"from": "2025-08-24", "to": "2025-08-23"}, "from 2025-08-24 to 2025-08-23; allowed: a first day that isn't"),
        ({"gas": "ch4", "methods": ["scan"]}, "methods scan with gas ch4; allowed: multi_pass, single_pass, isolation"),
        ({"gas": "ch4", "methods": ["single_pass", "curve_fit_seed"]}, "methods curve_fit_seed with gas ch4; allowed"),
        ({"gas": "co2", "methods": ["multi_pass"]}, "methods multi_pass with gas co2; allowed: scan, curve_fit_seed"),
        ({"gas": "co2", "methods": ["isolation_forest", "single_pass"]}, "methods isolation_forest, single_pass with"),
        ({"gas": "ch4", "methods": ["single_pass"]}, None),
        ({"gas": "co2", "methods": ["scan"]}, None),
        ({"methods": METHODS}, None),
        ({"methods": None}, None),
        ({"to": "2025-08-01"}, None),
    ],
)
def test_redetect_refuses_what_its_form_cannot(
    params: dict[str, Any], refused: str | None, dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException
    from plumewatch_airflow import summary

    check = dagbag.dags["redetect"].task_dict["check_params"].python_callable
    asked = {"from": "2025-08-01", "to": "2025-08-02", "gas": "both", "methods": [], **params}
    for names in (check.__globals__, vars(summary)):
        monkeypatch.setitem(names, "get_current_context", lambda: {"params": asked})
    if refused is None:
        check()
    else:
        with pytest.raises(AirflowFailException, match=re.escape(refused)):
            check()


def test_redetect_refuses_at_once_and_in_one_task(
    run_dag: Any, storage_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMEWATCH_STORAGE_ROOT", storage_root)
    run = run_dag("redetect", None, **{"from": "2025-08-02", "to": "2025-08-01"})
    assert {ti.task_id: str(ti.state) for ti in run.get_task_instances()} == {
        "check_params": "failed",
        "redetect_methane": "upstream_failed",
        "redetect_co2": "upstream_failed",
        "report_failures": "failed",
    }


@pytest.mark.parametrize(
    ("name", "option", "known", "others"),
    [
        ("detect_methane_plumes", "--method", CH4.methods, ["--pixels-path", "a", "--plumes-path", "b"]),
        ("detect_co2_peaks", "--method", CO2.methods, ["--soundings-path", "a", "--peaks-path", "b"]),
        ("match_sources", "--gas", GASES, ["--detections-path", "a", "--sources-path", "b", "--matches-path", "c"]),
    ],
    ids=["methane", "co2", "matching"],
)
def test_jobs_take_what_the_gases_know_and_nothing_else(
    name: str,
    option: str,
    known: Any,
    others: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = importlib.util.spec_from_file_location(name, JOBS / f"{name}.py")
    assert spec and spec.loader
    job = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, job)  # where its dataclasses look for it
    spec.loader.exec_module(job)
    for value in known:
        assert getattr(job.parse_arguments([*others, option, value]), option.strip("-")) == value
    with pytest.raises(SystemExit):
        job.parse_arguments([*others, option, "no_such"])
    said = capsys.readouterr().err.partition("choose from")[2]
    assert sorted(re.findall(r"\w+", said)) == sorted(known)
