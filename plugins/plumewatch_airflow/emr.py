"""Spark jobs on EMR Serverless, by the operator of Airflow's amazon provider, while no worker of Airflow waits.

A task that is a `spark_task` hands its waiting over to the triggerer, and is called again from its beginning when the
job has ended: which of its jobs were sent, and what they answered, lies below the storage root meanwhile. So what such
a task does before and between its jobs must bear being done again, as it must for retries. Other tasks wait in place.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from plumewatch import storage
from plumewatch.errors import redact
from plumewatch.settings import EMR_SERVERLESS, Settings, environment_name

from plumewatch_airflow.connections import AWS_CONNECTION

CALLS = ".spark_jobs"
"""Folder below the storage root: what was sent, and what came back, until the task that asked has ended."""
POLL_S, LONGEST_S = 30, 13 * 3600
"""EMR Serverless itself ends a job after 12 hours (its executionTimeoutMinutes, default 720)."""
PYTHON = "./environment/bin/python3"
PYTHON_MEMORY = "3g"
"""Of an executor beside its Java heap: a worker of the methane search keeps 1 GiB of passes, and works on some."""
JARS = ("sedona.jar", "geotools.jar")
READ = "plumewatch_read_calls"

log = logging.getLogger("plumewatch.spark")


class SparkTask(_PythonDecoratedOperator):
    """A Python task that can be called again when a Spark job that it waits for has ended."""

    def execute(self, context: Any) -> Any:
        """Call the function; what its jobs have left is forgotten once it is over, whether it went well or not."""
        is_over = True
        try:
            return super().execute(context)
        except TaskDeferred:
            is_over = False
            raise
        finally:
            for path in context.get(READ, ()) if is_over else ():
                storage.delete(path)

    def resume(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Call the function again; `event` is what the triggerer saw, which the job's own answer says better."""
        with _in_charge(self):
            return self.execute(context)


def spark_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """`@task`, for a function that runs Spark jobs and bears being called again after each of them."""
    return task_decorator_factory(python_callable=python_callable, decorated_operator_class=SparkTask, **kwargs)


def run_on_emr(settings: Settings, name: str, options: Sequence[str], context: Any) -> tuple[int, str]:
    """Run a job with its options there; return its exit code and the last line that it said.

    Raises TaskDeferred while it runs, where the task is a `spark_task`. AirflowFailException names a setting that is
    missing, or a path that isn't there for a service; AirflowException says that the job ended without a word.
    """
    check_settings(settings, options)
    ti = context["ti"]
    asked = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, name, *options]
    token = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
    sent, answered = (storage.join(settings.storage_root, CALLS, f"{token}.{part}.json") for part in ("job", "answer"))
    if not storage.exists(sent):
        _start(settings, name, [*options, "--answer-path", answered], token, sent, context)
    answer = _answer(settings, name, json.loads(storage.read_bytes(sent))["job_id"], answered)
    if isinstance(ti.task, SparkTask):
        context.setdefault(READ, []).extend([sent, answered])
    else:  # which isn't called again
        storage.delete(sent)
        storage.delete(answered)
    return answer["code"], answer["last_line"]


@contextmanager
def _in_charge(operator: Any) -> Iterator[None]:
    """Let an operator execute inside of a task, of which Airflow would warn."""
    token = ExecutorSafeguard.tracker.set(operator)
    try:
        yield
    finally:
        ExecutorSafeguard.tracker.reset(token)


def check_settings(settings: Settings, options: Sequence[str]) -> None:
    """Raise AirflowFailException for a setting that the service needs, or a path that it can't reach."""
    needed = {name: getattr(settings, name) for name in ("emr_application", "emr_role", "emr_code")}
    if missing := [environment_name(name) for name, value in needed.items() if not value]:
        raise AirflowFailException(f"PLUMEWATCH_SPARK={EMR_SERVERLESS} needs {', '.join(missing)}; docs/clusters.md")
    local = [path for path in (str(settings.emr_code), *options) if path.startswith(("/", "file://"))]
    if local:
        allowed = "s3:// alone: PLUMEWATCH_STORAGE_ROOT, and PLUMEWATCH_AREAS where areas lie in the checkout"
        raise AirflowFailException(f"EMR Serverless can't read {', '.join(map(redact, local))}; allowed: {allowed}")


def job_driver(settings: Settings, name: str, options: Sequence[str]) -> dict[str, Any]:
    """Return what the service is asked to run, with the Python and the jars that `python -m tools.pack` has left."""
    code = str(settings.emr_code)
    conf = {
        "spark.archives": f"{storage.join(code, 'environment.tar.gz')}#environment",
        "spark.jars": ",".join(storage.join(code, "jars", jar) for jar in JARS),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.executor.memoryOverhead": PYTHON_MEMORY,
        "spark.executor.cores": "1",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PLUMEWATCH_SPARK": EMR_SERVERLESS,
        "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
    }
    if settings.spark_cores:
        conf["spark.dynamicAllocation.maxExecutors"] = str(settings.spark_cores)
    return {
        "sparkSubmit": {
            "entryPoint": storage.join(code, "spark_jobs", f"{name}.py"),
            "entryPointArguments": list(options),
            "sparkSubmitParameters": " ".join(f"--conf {key}={value}" for key, value in conf.items()),
        }
    }


def _start(settings: Settings, name: str, options: Sequence[str], token: str, sent: str, context: Any) -> None:
    """Send the job, note in the file `sent` which run it is, and wait for its end, here or by the triggerer."""
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

    operator = EmrServerlessStartJobOperator(
        task_id=f"{context['ti'].task_id}_{name}",
        application_id=str(settings.emr_application),
        execution_role_arn=str(settings.emr_role),
        job_driver=job_driver(settings, name, options),
        configuration_overrides={"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": _logs(settings)}}},
        client_request_token=token,  # sent twice it is one run all the same
        name=f"plumewatch {name} {context['run_id']}"[:256],
        aws_conn_id=AWS_CONNECTION,
        waiter_delay=POLL_S,
        waiter_max_attempts=LONGEST_S // POLL_S,
        deferrable=isinstance(context["ti"].task, SparkTask),
    )
    try:
        with _in_charge(operator):
            operator.execute(context)
    except TaskDeferred as deferred:
        _note_sent(settings, name, operator.job_id, sent)
        raise TaskDeferred(trigger=deferred.trigger, method_name="resume", timeout=deferred.timeout) from None
    except AirflowException as error:
        if not operator.job_id:
            raise
        log.warning("%s", error)  # the job has failed: what it left, or what the service knows, says why
    except BaseException:  # a task that is stopped takes its job along
        if operator.job_id:
            operator.hook.conn.cancel_job_run(applicationId=settings.emr_application, jobRunId=operator.job_id)
        raise
    _note_sent(settings, name, operator.job_id, sent)


def _note_sent(settings: Settings, name: str, job_id: str | None, sent: str) -> None:
    """Note which run a job is, and say where its log comes to lie; without an id its application is only starting."""
    if job_id is None:
        return
    storage.write_bytes(sent, json.dumps({"job_id": job_id}).encode())
    application = str(settings.emr_application)
    where = storage.join(_logs(settings), "applications", application, "jobs", job_id, "SPARK_DRIVER")
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    page = f"https://s3.console.aws.amazon.com/s3/buckets/{bucket}?prefix={prefix}/"
    log.info("%s is job run %s of application %s; its logs: %s/ (%s)", name, job_id, application, where, page)


def _answer(settings: Settings, name: str, job_id: str, path: str) -> dict[str, Any]:
    """What the job has left."""
    if storage.exists(path):
        return dict(json.loads(storage.read_bytes(path)))
    from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook

    found = EmrServerlessHook(aws_conn_id=AWS_CONNECTION).conn.get_job_run(
        applicationId=settings.emr_application, jobRunId=job_id
    )["jobRun"]
    told = redact(found.get("stateDetails") or "no details")
    raise AirflowException(f"{name}: {job_id} is {found['state']} without an answer: {told}; logs: {_logs(settings)}")


def _logs(settings: Settings) -> str:
    return storage.join(str(settings.emr_code), "logs") + "/"
