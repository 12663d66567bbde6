ARG BASE_IMAGE
FROM ${BASE_IMAGE}
# The official image has busybox's wget.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends busybox && rm -rf /var/lib/apt/lists/* \
    && ln -s /bin/busybox /usr/local/bin/wget
COPY .cache/bin/versitygw /app/versitygw
# hadolint ignore=DL3066
USER nobody
ENTRYPOINT ["/app/versitygw"]
