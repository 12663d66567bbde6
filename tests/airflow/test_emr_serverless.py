"""Jobs on EMR Serverless: what is asked of the service, what comes back, and that no worker waits meanwhile."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import fsspec
import pytest
from airflow.sdk.exceptions import AirflowException
from airflow_fixtures import CHECKOUT, free_port, server_process
from emr_service import DIES, REFUSES, SOME_BAD
from plumewatch import storage
from plumewatch.settings import Settings
from plumewatch.tables import SOURCES
from plumewatch_airflow.emr import run_on_emr

ROLE = "arn:aws:iam::123456789012:role/plumewatch-jobs"
GOOD = "2016-08"
CODE = "s3://tests/code"
DAG = "co2_detection_and_matching"


@pytest.fixture(scope="module")
def service(s3_server: dict[str, str]) -> Iterator[Any]:
    """A client of the service; it and the bucket are in the environment."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        paths = {"PYTHONPATH": f"{CHECKOUT / 'include'}:{os.environ.get('PYTHONPATH', '')}"}
        endpoint = {"AWS_ENDPOINT_URL_EMR_SERVERLESS": f"http://127.0.0.1:{port}"}
        for name, value in (s3_server | paths | endpoint).items():
            patch.setenv(name, value)
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        if not fs.exists("tests"):
            fs.mkdir("tests")
        with server_process([sys.executable, str(CHECKOUT / "tests" / "emr_service.py"), str(port)], port, 60):
            yield boto3.client("emr-serverless")


@pytest.fixture
def application(service: Any, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An application, and the settings that send jobs to it, with a storage of the test's own."""
    made = service.create_application(releaseLabel="emr-7.0.0", type="SPARK", clientToken="test", name="plumewatch")
    settings = {
        "PLUMEWATCH_STORAGE_ROOT": s3_root,
        "PLUMEWATCH_SPARK": "emr_serverless",
        "PLUMEWATCH_EMR_APPLICATION": made["applicationId"],
        "PLUMEWATCH_EMR_ROLE": ROLE,
        "PLUMEWATCH_EMR_CODE": CODE,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    sources = storage.join(s3_root, SOURCES.name)
    storage.write_partition(SOURCES, sources, {"inventory": "combined"}, SOURCES.empty())
    return made["applicationId"]


def runs_of(service: Any, application: str) -> list[dict[str, Any]]:
    """The job runs of an application, in the order of their names."""
    try:
        listed = service.list_job_runs(applicationId=application)["jobRuns"]
    except service.exceptions.ResourceNotFoundException:  # moto's word for none
        return []
    runs = [service.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"] for run in listed]
    return sorted(runs, key=lambda run: run["name"])


def test_each_job_is_sent_once_and_its_task_waits_outside_of_a_worker(
    service: Any, application: str, run_dag: Any, states_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`begin` has two jobs: it is called again after each, and sends none of them twice."""
    with caplog.at_level(logging.INFO):
        run = run_dag(DAG, GOOD, methods=["scan", "curve_fit_seed"])
    states = states_of(run)
    assert states["begin"] == states["match_sources"] == ["success"]
    jobs = runs_of(service, application)
    assert [job["name"].split()[1] for job in jobs] == ["detect_co2_peaks", "detect_co2_peaks", "match_sources"]
    assert caplog.text.count("detect_co2_peaks: {'rows_read'") == 3, "the first is told again beside the second"
    first, match = jobs[0]["jobDriver"]["sparkSubmit"], jobs[2]["jobDriver"]["sparkSubmit"]
    assert match["entryPoint"] == f"{CODE}/spark_jobs/match_sources.py"
    assert f"--conf spark.archives={CODE}/environment.tar.gz#environment" in first["sparkSubmitParameters"]
    assert "--conf spark.executorEnv.PYSPARK_PYTHON=./environment/bin/python3" in first["sparkSubmitParameters"]
    logs = jobs[0]["configurationOverrides"]["monitoringConfiguration"]["s3MonitoringConfiguration"]["logUri"]
    assert logs == f"{CODE}/logs/" and f"{logs}applications/{application}/jobs/{jobs[0]['jobRunId']}" in caplog.text
    assert jobs[0]["executionRole"] == ROLE
    assert "read 11, written 10, skipped 0, failed 0" in caplog.text, "what both jobs say is counted"
    assert storage.list_files(storage.join(os.environ["PLUMEWATCH_STORAGE_ROOT"], ".spark_jobs")) == []


@pytest.mark.parametrize(
    ("key", "state", "told"),
    [
        (SOME_BAD, "success", "read 5, written 4, skipped 0, failed 1"),
        (REFUSES, "failed", "match_sources ended with exit code 1: no such table"),
        (DIES, "failed", "Job failed: out of memory"),
    ],
)
def test_what_a_job_says_is_what_its_task_does(
    service: Any, application: str, run_dag: Any, dagbag: Any, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, key: str, state: str, told: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(dagbag.dags[DAG].task_dict["match_sources"], "retries", 0)
    with caplog.at_level(logging.INFO):
        run = run_dag(DAG, key)
    [task] = [ti for ti in run.get_task_instances() if ti.task_id == "match_sources"]
    assert str(task.state) == state
    assert told in caplog.text
    assert len(runs_of(service, application)) == 1


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PLUMEWATCH_EMR_ROLE", "", "needs PLUMEWATCH_EMR_ROLE"),
        ("PLUMEWATCH_STORAGE_ROOT", "LOCAL", "EMR Serverless can't read"),
    ],
)
def test_what_the_service_lacks_is_named_and_nothing_is_sent(
    service: Any, application: str, run_dag: Any, states_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, name: str, value: str, told: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value.replace("LOCAL", f"file://{tmp_path}"))
    storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": "combined"}, SOURCES.empty())
    assert states_of(run_dag(DAG, GOOD))["match_sources"] == ["failed"]
    assert told in caplog.text
    assert runs_of(service, application) == []


def test_a_task_that_does_more_than_bears_repetition_waits_in_place(application: str) -> None:
    """Such as `write_pixels`; a job that dies is told with what the service says of it."""
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="write_pixels", map_index=-1, try_number=1, task=None,
        xcom_push=lambda **_: None,
    )  # fmt: skip
    context = {"ti": ti, "run_id": "r", "task": None}
    settings = Settings.load()
    code, line = run_on_emr(settings, "rasters_to_pixels", ["--month", GOOD], context)
    assert code == 0 and json.loads(line)["rows_written"] == 5
    assert storage.list_files(storage.join(settings.storage_root, ".spark_jobs")) == []
    with pytest.raises(AirflowException, match="is FAILED without an answer: Job failed: out of memory; logs: s3://"):
        run_on_emr(settings, "rasters_to_pixels", ["--month", DIES], context)
