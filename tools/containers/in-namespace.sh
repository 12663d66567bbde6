#!/usr/bin/env bash
# The demonstration in podman's containers, inside the namespaces that stand-ins.sh makes.
set -euo pipefail
work=$1
step() { printf '[%5d s] %s\n' "$SECONDS" "$*"; }
umount /sys/fs/cgroup/unified 2> /dev/null || true  # crun refuses two kinds of cgroups side by side
ip link set lo up
compose() { "$work/venv/bin/podman-compose" -f docker-compose.yaml -f docker-compose.demo.yaml "$@"; }
trap 'compose down --volumes > "$work/down.log" 2>&1; podman ps --all --quiet | grep . && echo "containers are left" >&2' EXIT

step "Starting the containers"
compose up --no-build --detach > "$work/up.log" 2>&1 || { tail -20 "$work/up.log" >&2; exit 1; }
demo=$(podman ps --all --filter label=com.docker.compose.service=demo --format '{{.ID}}')
podman logs --follow "$demo"
code=$(podman wait "$demo")
step "The demonstration ended with code $code"
if [[ $code != 0 ]]; then
    for name in $(podman ps --all --format '{{.Names}}'); do podman logs "$name" > "$work/$name.log" 2>&1; done
    exit 1
fi
step "Running it with a wrong password, which must fail"
if compose run --rm --no-deps -e PLUMEWATCH_UI_PASSWORD=wrong demo; then
    echo "a wrong password is let in" >&2
    exit 1
fi
podman ps --format '{{.Names}} {{.Status}}'
step "Done"
