"""The one place that starts Spark jobs. Where they run is a setting (PLUMEWATCH_SPARK), not a matter of the DAG."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from plumewatch.errors import redact
from plumewatch.jobs import EXIT_BAD_ARGUMENTS, EXIT_GOOD, EXIT_NOTHING_DONE, EXIT_SOME_BAD, TRY_AGAIN, JobResult
from plumewatch.settings import EMR_SERVERLESS

from plumewatch_airflow.assets import recorded_under
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import run_on_emr

JOBS = Path(__file__).resolve().parents[2] / "spark_jobs"

log = logging.getLogger("plumewatch.spark")


def run_spark_job(name: str, *, key: str, **arguments: Any) -> JobResult:
    """Run `spark_jobs/<name>.py`, its log line by line into the task's log, and return what it says of itself.

    `arguments` become options (`pixels_path="x"` is `--pixels-path x`; None is left out, True is a bare flag, a list
    is one option with several values). Inputs that fail are recorded under this DAG, run and `key`. Raises
    AirflowFailException, which isn't retried, for bad arguments or where nothing could be done for a reason that the
    job names; any other end of the process is retried.
    """
    context = get_current_context()
    arguments |= {"dag_id": recorded_under(context["dag"].dag_id), "run_id": context["run_id"], "key": key}
    settings, options = load_settings(), _options(arguments)
    if settings.spark == EMR_SERVERLESS:
        code, answer = run_on_emr(settings, name, options, context)
        last_line = answer
    else:
        log.info("starting %s on %s: %s", name, redact(settings.spark), redact(" ".join(options)))
        code, answer, last_line = _run([sys.executable, str(JOBS / f"{name}.py"), *options])
    if code in (EXIT_GOOD, EXIT_SOME_BAD):
        result = json.loads(answer.splitlines()[-1])
        log.info("%s: %s", name, result)
        return JobResult(result["rows_read"], result["rows_written"], result["failed"])
    is_final = code == EXIT_BAD_ARGUMENTS or (code == EXIT_NOTHING_DONE and not last_line.startswith(TRY_AGAIN))
    reason = f"{name} ended with exit code {code}: {last_line.removeprefix(TRY_AGAIN)}"
    raise (AirflowFailException if is_final else AirflowException)(reason)


def _run(command: list[str]) -> tuple[int, str, str]:
    """Run a job; return its exit code, its standard output, and the last line of its log, which goes to the task's."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    last = ""
    assert process.stdout is not None and process.stderr is not None
    try:
        # Standard output is one line at the end: it fits into the pipe while the log is read.
        for line in process.stderr:
            shown = redact(line.rstrip())
            log.info("%s", shown)
            last = shown or last
        answer = process.stdout.read()
        return process.wait(), answer, last or "no word from it"
    finally:
        process.kill()  # a task that is stopped takes its job along; one that has ended isn't there any more
        process.wait()


def _options(arguments: dict[str, Any]) -> list[str]:
    options = []
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            options.append(flag)
        else:
            options += [flag, *map(str, value if isinstance(value, list | tuple) else [value])]
    return options
