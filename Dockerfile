# One image for all containers of docker-compose.yaml: Airflow's processes, Spark's master and workers, the demonstration.
# What changes seldom comes first, so that a change of code makes only the last layers anew.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS system
# Debian's own versions, as of the base image; libexpat1 is what rasterio's wheel takes from the system.
# Java's package links its manual, for which slim images have no folder, and fails without.
# hadolint ignore=DL3008
RUN mkdir -p /usr/share/man/man1 \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libexpat1 openjdk-17-jre-headless python3 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
ENV JAVA_HOME=/usr/lib/jvm/default-java \
    PATH=/opt/plumewatch/.venv/bin:$PATH \
    PYTHONPATH=/opt/plumewatch/include:/opt/plumewatch
RUN ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" "$JAVA_HOME"

FROM system AS packages
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/plumewatch
COPY requirements.txt requirements.lock ./
ARG UV_VERSION=0.13.8
# Without what only tests and linters need: the lock pins, requirements.txt chooses.
RUN python3 -m venv .venv \
    && pip install --no-cache-dir "uv==$UV_VERSION" \
    && uv pip install --system-certs --no-cache --compile-bytecode -r requirements.txt -c requirements.lock \
    && pip uninstall -y uv
# What nothing here runs: what packages carry for tests of their own, Spark's interactive shell and its store of streams.
RUN for packages in .venv/lib/python3*/site-packages; do \
        rm -rf "$packages"/pip* "$packages"/setuptools* "$packages"/pyarrow/include "$packages"/pyspark/examples \
            "$packages"/pyspark/jars/connect-repl "$packages"/pyspark/jars/rocksdbjni-*.jar \
        && find "$packages"/pandas "$packages"/scipy "$packages"/sklearn "$packages"/pyarrow "$packages"/matplotlib \
            "$packages"/libcst -type d -name tests -prune -exec rm -rf {} +; \
    done
# The jars of Sedona and s3a need these modules alone, so that other changes of code don't fetch them again.
COPY include/plumewatch/__init__.py include/plumewatch/constants.py include/plumewatch/errors.py \
    include/plumewatch/spark_runtime.py include/plumewatch/
COPY include/plumewatch/reference/__init__.py include/plumewatch/reference/loading.py \
    include/plumewatch/reference/spark_jars.xml include/plumewatch/reference/
# Of Java while it fetches them, like a proxy's address and certificates.
ARG JAVA_TOOL_OPTIONS
RUN python -c "from plumewatch import spark_runtime; spark_runtime.jars()" && rm -rf .cache/ivy

FROM system
RUN useradd --uid 50000 --user-group --create-home --home-dir /home/plumewatch plumewatch \
    && install -d -o plumewatch -g plumewatch /opt/airflow /opt/airflow/logs /world
WORKDIR /opt/plumewatch
COPY --from=packages /opt/plumewatch/.venv .venv
COPY --from=packages /opt/plumewatch/.cache .cache
# Spark's classes, loaded once here, shorten the start of each job; their archive fits the Java and the jars of this
# image. It needs what a session needs, so that a change of the science doesn't make it anew.
COPY include/plumewatch/*.py include/plumewatch/
COPY include/plumewatch/reference include/plumewatch/reference
COPY include/plumewatch/storage include/plumewatch/storage
RUN PYTHONDONTWRITEBYTECODE=1 SPARK_LOCAL_HOSTNAME=localhost SPARK_LOCAL_IP=127.0.0.1 \
    python -m plumewatch.spark_runtime && rm -rf /tmp/*
COPY . .
RUN python -m compileall -q dags include plugins spark_jobs tools
# Whoever runs here can't change the code, the packages or the jars.
USER 50000:50000
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/plumewatch/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/plumewatch/plugins \
    DO_NOT_TRACK=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["/opt/plumewatch/containers/entrypoint.sh"]
CMD ["airflow", "info"]
