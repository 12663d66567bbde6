"""This machine: Python, Java, Spark, where the tables are, and what in them waits for its detection."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from plumewatch import spark_runtime, storage
from plumewatch.errors import ConfigurationError, PlumewatchError, is_trouble, redact, some_of
from plumewatch.gases import DETECTION, GASES
from plumewatch.hand_offs import waiting_keys
from plumewatch.settings import EMR_SERVERLESS, SPARK_MASTERS, Settings, environment_name

from tools.checks.finding import Finding, missing, ok, problem
from tools.java import present_java

PYTHONS = ((3, 11), (3, 12))
S3_TIMEOUT_S = 10
KEYS_SHOWN = 10


def check_python() -> Finding:
    """The interpreter's version."""
    is_served = sys.version_info[:2] in PYTHONS
    version = platform.python_version()
    return ok("Python", version) if is_served else problem("Python", f"{version}; install Python 3.11 or 3.12")


def check_java(settings: Settings) -> Finding:
    """A Java that Spark runs on; only looked for, never fetched."""
    if settings.spark.startswith("sc://") or settings.spark == EMR_SERVERLESS:
        return ok("Java", "not needed here: PLUMEWATCH_SPARK names a service")
    home = present_java()
    if home is None:
        versions = " or ".join(map(str, spark_runtime.JAVA_VERSIONS))
        return problem("Java", f"no Java {versions}; install one, set JAVA_HOME, or let `make up` try to fetch one")
    return ok("Java", f"{spark_runtime.java_version(home / 'bin' / 'java')} in {home}")


def check_spark(settings: Settings) -> Finding:
    """The master, the jars, and the archive of classes."""
    if settings.spark == EMR_SERVERLESS:
        needed = {name: getattr(settings, name) for name in ("emr_application", "emr_role", "emr_code")}
        if lacking := [environment_name(name) for name, value in needed.items() if not value]:
            return problem("Spark", f"PLUMEWATCH_SPARK={EMR_SERVERLESS} needs {', '.join(lacking)}")
        if storage.is_local(settings.storage_root):
            return problem("Spark", f"EMR Serverless can't read PLUMEWATCH_STORAGE_ROOT={settings.storage_root}")
        return ok("Spark", f"EMR Serverless, application {settings.emr_application} (not asked)")
    if not settings.spark.startswith(("local", "spark://", "sc://")):
        return problem("Spark", f"PLUMEWATCH_SPARK={settings.spark}; allowed: {SPARK_MASTERS}")
    if settings.spark.startswith("sc://"):
        return ok("Spark", f"{settings.spark} (not asked)")
    if not spark_runtime.jars_folder().is_dir():
        return missing("Spark", "the jars of Sedona and s3a: the first `make up` or job fetches them (109 MB, once)")
    if present_java() is None or not spark_runtime.class_archive().exists():
        return missing("Spark", "the archive of classes: the first `make up` builds it (once); jobs work without")
    return ok("Spark", f"{settings.spark}, jars and archive of classes in {spark_runtime.CACHE / 'spark'}")


def check_storage(settings: Settings) -> Finding:
    """The storage root: by its permissions, or by a list call; nothing is written."""
    root = settings.storage_root
    try:
        return ok("storage", _folder_state(root) if storage.is_local(root) else _prefix_state(root))
    except (PlumewatchError, OSError) as error:
        return problem("storage", f"PLUMEWATCH_STORAGE_ROOT={root}: {error or type(error).__name__}")


def check_transport(settings: Settings) -> Iterator[Finding]:
    """Whether a bucket is had without TLS by another machine: keys are signed, but tables and maps would be open."""
    url = urlsplit(os.environ.get("AWS_ENDPOINT_URL") or "")
    if url.scheme == "http" and not storage.is_local(settings.storage_root) and not _is_loopback(url.hostname or ""):
        told = f"AWS_ENDPOINT_URL={redact(url.geturl())} goes without TLS: who is on the way can read and change tables"
        yield problem("storage", f"{told}; allowed: https://, or http:// on this machine", is_fatal=False)


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def check_waiting(settings: Settings) -> Iterator[Finding]:
    """What was handed on to detection and with which that hasn't begun; whether a DAG is paused only Airflow knows."""
    for gas in GASES.values():
        try:
            waiting = waiting_keys(settings.storage_root, gas)
        except Exception as error:
            if not (isinstance(error, PlumewatchError | OSError) or is_trouble(error)):
                raise
            return  # `check_storage` says why it can't be listed
        dag_id = DETECTION[gas.name]
        if waiting:
            names, since = some_of(list(waiting), KEYS_SHOWN), f"{min(waiting.values()):%Y-%m-%d %H:%M} UTC"
            what_to_do = f"where {dag_id} is paused, unpause it, and where Airflow isn't running, start it; "
            what_to_do += "else it begins within half an hour, or when what it is at is done"
            yield problem("detection", f"{names} waiting since {since}: {what_to_do}", is_fatal=False)
        else:
            yield ok("detection", f"nothing waits for {dag_id}")


def _folder_state(root: str) -> str:
    folder = Path(storage.filesystem(root)[1])
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise ConfigurationError(f"{there} is a file; set a folder")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(f"{there} isn't writable for this user; change its permissions, or set another folder")
    return root if there == folder else f"{root} (the first run makes it)"


def _prefix_state(root: str) -> str:
    import fsspec  # slow to import with S3, and only needed for it

    bucket, _, prefix = storage.filesystem(root)[1].partition("/")
    limits = {"connect_timeout": S3_TIMEOUT_S, "read_timeout": S3_TIMEOUT_S, "retries": {"max_attempts": 1}}
    fs = fsspec.filesystem("s3", config_kwargs=limits, skip_instance_cache=True)
    fs.retries = 1
    try:
        fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except Exception as error:
        hint = "check AWS_ENDPOINT_URL, the keys and the bucket (Airflow's connection aws_default isn't looked at here)"
        raise ConfigurationError(f"cannot be listed: {type(error).__name__}: {error}; {hint}") from error
    return f"{root} can be listed (writing isn't tried)"
