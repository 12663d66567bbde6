"""What forms and commands offer is what the library knows: lists that stand in two places are equal."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import Any

import pytest
from plumewatch.gases import CH4, CO2, GASES
from plumewatch.methane.cases.published import read_cases
from plumewatch.settings import ALERT_CHANNELS, Settings

from tools.checkout import CHECKOUT

JOBS = CHECKOUT / "spark_jobs"
METHODS = [method for gas in GASES.values() for method in gas.methods]


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
    from plumewatch_airflow.alerts import CHANNELS

    assert set(CHANNELS) == set(ALERT_CHANNELS) and len(ALERT_CHANNELS) == len(set(ALERT_CHANNELS))


def test_areas_are_offered_from_where_the_settings_look_for_them(dagbag: Any) -> None:
    from plumewatch_airflow.params import AREAS_FOLDER

    assert str(AREAS_FOLDER) == Settings("/storage").area_folders[0]


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
