#!/usr/bin/env bash
# The demonstration in podman's containers, inside the namespaces that stand-ins.sh makes: `in-namespace.sh WORK`.
set -euo pipefail
work=$1
step() { printf '[%5d s] %s\n' "$((SECONDS + ${BEGAN_S:-0}))" "$*"; }
umount /sys/fs/cgroup/unified 2> /dev/null || true  # crun refuses two kinds of cgroups side by side
mount -t tmpfs tmpfs /run                            # what engines note there ends with this namespace
ip link set lo up

finish() {
    for name in $(podman ps --all --format '{{.Names}}'); do podman logs "$name" > "$work/$name.log" 2>&1 || true; done
    podman rm --all --force > /dev/null && podman volume rm --all --force > /dev/null
}
trap finish EXIT

step "Running the demonstration in containers"
"$work/compose-check" docker-compose.yaml docker-compose.demo.yaml > "$work/project.json"
up=(python3 tools/containers/podman_up.py "$work/project.json")
"${up[@]}" up demo
podman ps --format '{{.Names}} {{.Status}}'
step "Running it with a wrong password, which must fail"
bash tools/containers/must-be-refused.sh "${up[@]}" again demo PLUMEWATCH_UI_PASSWORD=wrong
step "A third worker by SPARK_WORKERS=3"
SPARK_WORKERS=3 "$work/compose-check" docker-compose.yaml docker-compose.demo.yaml > "$work/project-3.json"
up=(python3 tools/containers/podman_up.py "$work/project-3.json")
"${up[@]}" more spark-worker
bash tools/containers/has-workers.sh 3 podman exec "$COMPOSE_PROJECT_NAME-spark-master-1"
step "Stopping it; whoever doesn't end by itself has failed"
"${up[@]}" stop
step "Done"
