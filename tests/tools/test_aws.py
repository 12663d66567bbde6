"""What is put on AWS, and what it is allowed there: the archive of `tools.pack`, and the policies of docs/aws."""

from __future__ import annotations

import inspect
import json
import logging
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from airflow.providers.amazon.aws.operators import emr as operators
from airflow.providers.amazon.aws.triggers import emr as triggers
from botocore.session import get_session
from botocore.validate import ParamValidator
from plumewatch import storage
from plumewatch.failures import FailureBook
from plumewatch.models import FailedScene
from plumewatch.settings import ALERT_CHANNELS, EMR_SERVERLESS, Settings
from plumewatch.storage.buckets import Buckets
from plumewatch.tables import SOURCES
from plumewatch_airflow.emr import job_driver

from tools import pack
from tools.checkout import CHECKOUT
from tools.checks.finding import State
from tools.checks.machine import check_java, check_spark, check_transport

POLICIES = CHECKOUT / "docs" / "aws"
ALLOWED_BY = {
    "head_object": "s3:GetObject", "get_object": "s3:GetObject", "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject", "upload_part": "s3:PutObject", "copy_object": "s3:GetObject",
    "complete_multipart_upload": "s3:PutObject", "delete_object": "s3:DeleteObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "delete_objects": "s3:DeleteObject", "list_objects_v2": "s3:ListBucket", "head_bucket": "s3:ListBucket",
}  # fmt: skip
"""Which action of a policy allows a request (AWS, Service Authorization Reference for Amazon S3)."""


def statements(file: str) -> list[dict[str, Any]]:
    return json.loads((POLICIES / file).read_text())["Statement"]


def actions(file: str) -> set[str]:
    listed = [statement["Action"] for statement in statements(file)]
    return {action for some in listed for action in ([some] if isinstance(some, str) else some)}


GRANTS = ("airflow-policy.json", "job-policy.json", "job-trust.json", "key-policy.json")
OF_BUCKET = ("bucket-encryption.json", "bucket-policy.json", "lifecycle.json", "public-access.json")


def test_each_document_is_a_grant_or_a_setting_of_the_bucket() -> None:
    assert {path.name for path in POLICIES.glob("*.json")} == {*GRANTS, *OF_BUCKET}
    text = (CHECKOUT / "docs" / "clusters.md").read_text()
    assert all(f"aws/{name}" in text for name in (*GRANTS, *OF_BUCKET))


@pytest.mark.parametrize("file", GRANTS)
def test_a_policy_is_one_as_aws_reads_it_and_allows_no_more_than_it_names(file: str) -> None:
    policy = json.loads((POLICIES / file).read_text())
    assert policy.keys() == {"Version", "Statement"} and policy["Version"] == "2012-10-17"
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids) and all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    for statement in policy["Statement"]:
        whom = {"Principal"} if file == "job-trust.json" else {"Resource"}
        assert statement.keys() - {"Condition"} == {"Sid", "Effect", "Action"} | whom
        assert statement["Effect"] == "Allow"
        resources = statement.get("Resource", [])
        for resource in [resources] if isinstance(resources, str) else resources:
            assert re.fullmatch(r"arn:aws:[a-z0-9-]+:[A-Z]*:[A-Z]*:[A-Za-z0-9_/*-]+", resource)
            assert resource.partition("/")[0].count("*") == 0, "a whole service, or all buckets"
    assert not any("*" in action for action in actions(file))


def test_each_action_on_jobs_is_one_that_the_operator_or_its_trigger_asks_for() -> None:
    asked = inspect.getsource(operators.EmrServerlessStartJobOperator) + inspect.getsource(triggers)
    asked += (CHECKOUT / "plugins" / "plumewatch_airflow" / "emr.py").read_text()
    known = get_session().get_service_model("emr-serverless").operation_names
    of_jobs = {action.partition(":")[2] for action in actions("airflow-policy.json") if action.startswith("emr-")}
    assert of_jobs <= set(known)
    for action in of_jobs:
        assert re.sub("(?<!^)([A-Z])", r"_\1", action).lower() in asked, action
    needed = {"GetApplication", "StartApplication", "StartJobRun", "GetJobRun", "CancelJobRun"}
    assert of_jobs == needed and "iam:PassRole" in actions("airflow-policy.json")


def test_what_the_storage_asks_of_a_bucket_is_allowed_and_nothing_else(
    s3_root: str, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.DEBUG, logger="s3fs"):
        for _ in range(2):
            storage.write_partition(SOURCES, f"{s3_root}/sources", {"inventory": "own"}, SOURCES.empty())
        assert storage.list_partitions(SOURCES, f"{s3_root}/sources")
        assert storage.read_table(SOURCES, f"{s3_root}/sources").num_rows == 0
        book = FailureBook(s3_root, "manual", "manual")
        book.settle("2025-08-21", [FailedScene.from_exception(OSError("no"), scene_id="s", stage="pixels", area="a")])
        storage.write_part(f"{s3_root}/pixels", "a.parquet", pa.BufferOutputStream().getvalue().to_pybytes())
        storage.write_json(f"{s3_root}/a.json", {})
        assert storage.exists(f"{s3_root}/a.json") and storage.is_file(f"{s3_root}/a.json")
        assert storage.modified_at(f"{s3_root}/a.json") and storage.read_json(f"{s3_root}/a.json") == {}
        _upload(f"{s3_root}/large", tmp_path / "large")
        _upload_that_breaks_off(f"{s3_root}/broken", tmp_path / "broken", monkeypatch)
        with storage.local_copy(f"{s3_root}/a.json", beside=(".md",)) as local:
            assert local.read_bytes()
        with storage.lock(f"{s3_root}/locked"):
            pass
        assert storage.list_files(s3_root) and storage.modified_times(s3_root)
        storage.delete(s3_root)
    asked = set(re.findall(r"CALL: (\w+)", caplog.text))
    assert {"abort_multipart_upload", "upload_part", "list_objects_v2", "delete_objects", "head_object"} <= asked
    needed = {ALLOWED_BY[request] for request in asked}
    for file in ("airflow-policy.json", "job-policy.json"):
        assert {action for action in actions(file) if action.startswith("s3:")} == needed, (file, asked)


LARGE = 101 * 2**20  # s3fs sends files of 100 MiB and more in parts


def _upload(path: str, local: Path) -> None:
    """A file so large that it goes in parts."""
    with local.open("wb") as file:
        file.truncate(LARGE)
    storage.upload(local, path)
    assert storage.stored_files(path)[0].n_bytes == LARGE


def _upload_that_breaks_off(path: str, local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise OSError("the bucket's disk is full")

    with local.open("wb") as file:
        file.truncate(LARGE)
    with monkeypatch.context() as patched:
        patched.setattr(Buckets, "_upload_file_part_concurrent", full)
        with pytest.raises(OSError, match="full"):
            storage.upload(local, path)
    assert not storage.exists(path)


def test_no_other_service_of_aws_is_asked() -> None:
    """S3 by the storage alone, EMR Serverless by its operator, SNS by its notifier: what the policies allow."""
    asked = re.compile(r"boto3|get_client_type|airflow\.providers\.amazon\.aws\.(\w+\.\w+)")
    found = {
        match[1] or match[0]
        for folder in ("include", "plugins", "dags", "spark_jobs")
        for path in (CHECKOUT / folder).rglob("*.py")
        for match in asked.finditer(path.read_text())
    }
    assert found <= {"operators.emr", "triggers.emr", "notifications.sns", "hooks.emr", "hooks.base_aws"}, found
    services = {
        action.partition(":")[0] for file in ("airflow-policy.json", "job-policy.json") for action in actions(file)
    }
    assert services == {"emr-serverless", "iam", "s3", "sns"}
    assert "sns:Publish" in actions("airflow-policy.json") and "sns" in ALERT_CHANNELS


def test_a_bucket_is_had_by_tls_alone_by_those_that_are_granted_it() -> None:
    denied = statements("bucket-policy.json")
    assert all(s["Effect"] == "Deny" and s["Principal"] == "*" and s["Action"] == "s3:*" for s in denied)
    conditions = [s["Condition"] for s in denied]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
    assert {"NumericLessThan": {"s3:TlsVersion": "1.2"}} in conditions
    assert all(s["Resource"] == ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"] for s in denied)
    shapes = get_session().get_service_model("s3")
    documents = {"ServerSideEncryptionConfiguration": "bucket-encryption.json",
                 "PublicAccessBlockConfiguration": "public-access.json",
                 "BucketLifecycleConfiguration": "lifecycle.json"}  # fmt: skip
    for shape, file in documents.items():
        report = ParamValidator().validate(json.loads((POLICIES / file).read_text()), shapes.shape_for(shape))
        assert not report.has_errors(), report.generate_report()
    assert all(json.loads((POLICIES / "public-access.json").read_text()).values())
    [rule] = json.loads((POLICIES / "bucket-encryption.json").read_text())["Rules"]
    assert rule["BucketKeyEnabled"] and rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"


@pytest.mark.parametrize(
    ("url", "is_told"),
    [("http://minio.firm.org:9000", True), ("https://minio.firm.org", False), ("http://127.0.0.1:7070", False),
     ("http://localhost:9000", False), ("http://[::1]:9000", False), (None, False)],
)  # fmt: skip
def test_the_check_names_a_bucket_that_is_had_without_tls(
    monkeypatch: pytest.MonkeyPatch, url: str | None, is_told: bool
) -> None:
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    else:
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    found = list(check_transport(Settings(storage_root="s3://bucket/tables")))
    assert bool(found) is is_told
    assert all(not one.is_fatal and "AWS_ENDPOINT_URL" in one.text and url in one.text for one in found)
    assert not list(check_transport(Settings(storage_root="/tables")))


def test_the_archive_holds_a_python_at_its_root_and_lies_beside_jobs_and_jars(s3_root: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    (python / "bin").mkdir(parents=True)
    (python / "bin" / "python3.11").write_text("#!/bin/sh\necho here\n")
    (python / "bin" / "python3.11").chmod(0o755)
    (python / "bin" / "python3").symlink_to("python3.11")
    (python / "lib" / "__pycache__").mkdir(parents=True)
    pack.archive(python, tmp_path / pack.ARCHIVE)
    with tarfile.open(tmp_path / pack.ARCHIVE) as packed:
        assert "lib/__pycache__" not in packed.getnames()
        packed.extractall(tmp_path / "environment", filter="data")
    said = subprocess.run([tmp_path / "environment" / "bin" / "python3"], capture_output=True, text=True, check=True)
    assert said.stdout == "here\n"
    names = pack.upload(s3_root, tmp_path / pack.ARCHIVE)
    assert {storage.join(s3_root, name) for name in names} == set(storage.list_files(s3_root))
    jobs = {path.name for path in (CHECKOUT / "spark_jobs").glob("*.py")}
    assert {f"spark_jobs/{job}" for job in jobs} <= set(names) and pack.ARCHIVE in names
    asked = job_driver(Settings(storage_root=s3_root, emr_code=s3_root), "match_sources", [])["sparkSubmit"]
    named = re.findall(rf"{s3_root}/([^#,\s]+)", f"{asked['entryPoint']} {asked['sparkSubmitParameters']}")
    assert set(named) == {"jars/sedona.jar", "jars/geotools.jar", "spark_jobs/match_sources.py", pack.ARCHIVE}
    assert set(named) <= set(names), "what a job names lies there"


def test_the_check_names_what_the_service_needs() -> None:
    stated = {"storage_root": "s3://bucket/tables", "spark": EMR_SERVERLESS, "emr_application": "00f1"}
    stated["emr_code"] = "s3://bucket/code"
    lacking = check_spark(Settings(**stated))
    assert lacking.is_fatal and lacking.text.endswith("needs PLUMEWATCH_EMR_ROLE")
    stated["emr_role"] = "arn:aws:iam::123456789012:role/jobs"
    assert check_spark(Settings(**stated)).state is check_java(Settings(**stated)).state is State.OK
    assert check_spark(Settings(**stated | {"storage_root": "/tables"})).is_fatal
