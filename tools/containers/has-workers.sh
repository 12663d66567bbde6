#!/usr/bin/env bash
# `has-workers.sh N COMMAND...`: waits until Spark's master has N workers alive; COMMAND runs something in its container.
set -euo pipefail
wanted=$1
shift
ask='import json, urllib.request as u; print(json.load(u.urlopen("http://spark-master:8080/json/", timeout=10))["aliveworkers"])'
for _ in $(seq 30); do
    if alive=$("$@" python -c "$ask") && [[ $alive == "$wanted" ]]; then
        echo "Spark's master has $alive workers"
        exit
    fi
    sleep 2
done
echo "Spark's master has ${alive:-no} workers after a minute; wanted: $wanted" >&2
exit 1
