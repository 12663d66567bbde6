ARG BASE_IMAGE
FROM ${BASE_IMAGE}
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/lib/postgresql/*/bin/pg_isready /usr/local/bin/ \
    && rm -rf /var/lib/postgresql/* && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
COPY tools/containers/postgres-standin.sh /entrypoint.sh
# hadolint ignore=DL3066
USER postgres
# As the official image: end sessions and stop, where SIGTERM would wait for them.
STOPSIGNAL SIGINT
ENTRYPOINT ["/entrypoint.sh"]
