#!/usr/bin/env bash
# `make containers`: lints the Dockerfile, checks the compose files as `docker compose` would, builds the image, runs the
# demonstration in the containers and a run that must fail, adds a worker, stops them and takes everything down.
#
# Where Docker with its compose answers, by it and on the official images. Else, as root on Debian, by buildah
# and podman in namespaces of their own, on images that stand in for the official ones: Debian's base by debootstrap,
# PostgreSQL of Debian's package, versitygw built by Go. ONLY=lint stops before the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$PWD/.cache/containers
step() { printf '[%5d s] %s\n' "$SECONDS" "$*"; }

step "Linting the Dockerfiles, checking the compose files"
bash tools/containers/lint.sh "$work"
if [[ ${ONLY:-} == lint ]]; then
    exit
fi
set -a
# shellcheck source=/dev/null
. "$work/env"
set +a
export COMPOSE_PROJECT_NAME=plumewatch-check PLUMEWATCH_IMAGE=localhost/plumewatch:check PORT=${PORT:-18090}
if ! { docker info && docker compose version; } > /dev/null 2>&1; then
    export BEGAN_S=$SECONDS
    exec bash tools/containers/stand-ins.sh "$work"
fi

compose=(docker compose --env-file "$work/env" -f docker-compose.yaml -f docker-compose.demo.yaml)
step "Building the image"
"${compose[@]}" build --quiet
trap '"${compose[@]}" logs --no-color > "$work/containers.log" 2>&1; "${compose[@]}" down --volumes --remove-orphans > "$work/down.log" 2>&1' EXIT
step "Running the demonstration"
"${compose[@]}" run --rm -T demo
step "Running it with a wrong password, which must fail"
bash tools/containers/must-be-refused.sh "${compose[@]}" run --rm --no-deps -T -e PLUMEWATCH_UI_PASSWORD=wrong demo
step "A third worker by SPARK_WORKERS=3"
SPARK_WORKERS=3 "${compose[@]}" up --detach --no-build spark-worker
bash tools/containers/has-workers.sh 3 "${compose[@]}" exec -T spark-master
step "Stopping it; whoever doesn't end by itself has failed"
"${compose[@]}" stop
killed=$("${compose[@]}" ps --all --format '{{.Name}} {{.ExitCode}}' | awk '$2 == 137 {print $1}')
if [[ -n $killed ]]; then
    echo "killed, as they didn't end in their time: $killed" >&2
    exit 1
fi
step "Done"
