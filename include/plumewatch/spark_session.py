"""Spark sessions with Sedona: local, on a standalone cluster, or by a Spark Connect server that stays up.

`python -m plumewatch.spark_session serve --port N` runs such a server in the foreground: it serves the next job in
about a second, where a session of its own takes five.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumewatch import spark_runtime
from plumewatch.errors import ConfigurationError
from plumewatch.meanwhile import meanwhile
from plumewatch.progress import POLL_S, Progress
from plumewatch.settings import EMR_SERVERLESS, SPARK_MASTERS, Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHUFFLE_PARTITIONS = 4  # the shuffled rows are work lists and detections: thousands, not millions
MOST_BATCH_BYTES = 64 << 20  # that a worker's Python gets at once: a tile's windows find ten times as much
LARGEST_KEPT_BYTES, KEPT_BYTES = 32 << 20, 128 << 20  # of glibc's heap: of one array, and of all that is free
SQL_OPTIONS = {
    "spark.sql.extensions": "org.apache.sedona.sql.SedonaSqlExtensions",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": str(SHUFFLE_PARTITIONS),
    "spark.sql.execution.arrow.pyspark.enabled": "true",  # else pandas turns null strings into text
    "spark.sql.execution.arrow.maxBytesPerBatch": str(MOST_BATCH_BYTES),
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # partition values are strings
}
"""What every session needs, whoever started it."""


def get_spark(app_name: str) -> SparkSession:
    """Return the session of this process, created by the setting PLUMEWATCH_SPARK on first use.

    Raises ConfigurationError where the setting isn't a master that this build serves, or Java is missing.
    """
    from pyspark.sql import SparkSession

    if active := SparkSession.getActiveSession():
        return active
    settings = Settings.load()
    master = settings.spark
    if master.startswith("sc://"):
        return SparkSession.builder.remote(master).appName(app_name).getOrCreate()
    if master == EMR_SERVERLESS:
        return _submitted(app_name)
    if not master.startswith(("local", "spark://")):
        raise ConfigurationError(f"PLUMEWATCH_SPARK: {master!r}; allowed: {SPARK_MASTERS}")
    if master.startswith("local") and settings.spark_cores:
        master = f"local[{settings.spark_cores}]"
    spark = _start(master, app_name, session_options(settings))
    spark.sparkContext.setLogLevel("WARN")
    return spark


def _submitted(app_name: str) -> SparkSession:
    """The session of a job that spark-submit has started, which has said where it runs."""
    from pyspark.sql import SparkSession

    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # by which spark-submit tells a driver in Python of its JVM
        allowed = "a DAG's tasks send jobs there; by hand PLUMEWATCH_SPARK=local[*], or spark-submit"
        raise ConfigurationError(f"PLUMEWATCH_SPARK: {EMR_SERVERLESS!r}, but spark-submit didn't start it; {allowed}")
    builder = SparkSession.builder.appName(app_name)
    for name, value in SQL_OPTIONS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    return spark


@contextmanager
def progress_logged(spark: SparkSession, what: str) -> Iterator[None]:
    """Log now and then how many of its tasks Spark has done of what the block waits for (plumewatch.progress)."""
    by_stage: dict[int, Progress] = {}

    def tell(stage: int, n_tasks: int, n_done: int) -> None:
        by_stage.setdefault(stage, Progress(what, n_tasks, "tasks")).reached(n_done)

    if not hasattr(spark, "_jsparkSession"):  # a client of Spark Connect

        def told(stages: Iterable[Any] | None, **_: Any) -> None:
            for stage in stages or ():
                tell(stage.stage_id, stage.num_tasks, stage.num_completed_tasks)

        spark.registerProgressHandler(told)
        try:
            yield
        finally:
            spark.removeProgressHandler(told)
        return
    tracker = spark.sparkContext.statusTracker()

    def watch() -> None:
        for stage in tracker.getActiveStageIds():
            if info := tracker.getStageInfo(stage):  # none of one that has just ended
                tell(stage, info.numTasks, info.numCompletedTasks)

    with meanwhile(watch, POLL_S):
        yield


def _start(master: str, app_name: str, options: dict[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    os.environ.setdefault("JAVA_HOME", str(spark_runtime.require_java().resolve().parents[1]))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName(app_name)
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


FORGETFUL = {
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "400",
    "spark.sql.ui.retainedExecutions": "10",
    "spark.connect.ui.retainedStatements": "10",
}
"""What is remembered of jobs that are over: a server that stays up would hold a thousand of each, which no UI shows."""


def session_options(settings: Settings, java_options: str | None = None) -> dict[str, str]:
    """Return the Spark configuration of every session and server."""
    options = {
        **SQL_OPTIONS,
        "spark.sql.warehouse.dir": f"file://{spark_runtime.CACHE / 'spark' / 'warehouse'}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Workers keep the memory of an array for the next one: asking the kernel for it anew takes them a sixth longer.
        "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": str(LARGEST_KEPT_BYTES),
        "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.executor.memory": settings.spark_executor_memory,
        "spark.driver.extraClassPath": spark_runtime.class_path(),
        "spark.driver.extraJavaOptions": java_options or spark_runtime.java_options(),
        **_s3a_options(),
    }
    if settings.spark.startswith("spark://"):
        options["spark.jars"] = ",".join(map(str, spark_runtime.jars()))
        if settings.spark_cores:  # else the first job takes all that the cluster has, and the next one waits
            options["spark.cores.max"] = str(settings.spark_cores)
    else:
        options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return options


def _s3a_options() -> dict[str, str]:
    """The endpoint in the usual AWS variables; s3a finds the keys there by itself."""
    options = {"spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        options |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",  # a server of one's own has no name for each bucket
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https")).lower(),
        }
    if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        options["spark.hadoop.fs.s3a.endpoint.region"] = region
    return options


def serve(port: int) -> None:
    """Become a Spark Connect server on loopback; SIGTERM ends it."""
    settings = Settings.load()
    java = spark_runtime.require_java()
    cores = settings.spark_cores or "*"
    options = session_options(settings) | {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.session.manager.defaultSessionTimeout": "365d",  # a session that jobs share may idle for long
        **FORGETFUL,
    }
    command = [str(spark_runtime.spark_home() / "bin" / "spark-submit"), "--master", f"local[{cores}]"]
    for name, value in options.items():
        command += ["--conf", f"{name}={value}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    environment = {
        **os.environ,
        "JAVA_HOME": str(java.resolve().parents[1]),
        "SPARK_HOME": str(spark_runtime.spark_home()),
        "PYSPARK_PYTHON": sys.executable,
    }
    os.execvpe(command[0], command, environment)


def warm_up(archive: Path) -> None:
    """Do a little of everything that jobs do, and leave the loaded classes in `archive` when the JVM ends."""
    from pyspark.sql.functions import expr

    java_options = " ".join([*spark_runtime.FAST_START, f"-XX:ArchiveClassesAtExit={archive}"])
    spark = _start("local[2]", "warm-up", session_options(Settings.load(), java_options))
    points = spark.range(100).selectExpr("id", "ST_Point(id * 0.01D, 0D) AS point").repartition(2)
    pairs = points.alias("a").join(points.alias("b"), on=expr("ST_DWithin(a.point, b.point, 5000, true)"))
    assert pairs.selectExpr("a.id AS id").mapInArrow(lambda batches: batches, "id long").toArrow().num_rows >= 100
    gateway: Any = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends, and writes the archive, when its standard input closes
    gateway.proc.wait(timeout=120)


def main() -> None:
    """Command line: `serve --port N`, `warm-up FILE`."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve").add_argument("--port", type=int, required=True)
    commands.add_parser("warm-up").add_argument("archive", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "serve":
        serve(arguments.port)
    else:
        warm_up(arguments.archive)


if __name__ == "__main__":
    try:
        main()
    except ConfigurationError as error:
        sys.exit(str(error))
