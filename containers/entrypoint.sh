#!/usr/bin/env bash
# What every container of the image does first: settings that docker-compose.yaml leaves empty are no settings, and the
# container that has the UI's password writes the file that Airflow's login reads.
set -euo pipefail
while IFS= read -r name; do
    [[ -n ${!name} ]] || unset "$name"
done < <(compgen -e)
if [[ -n ${PLUMEWATCH_UI_PASSWORD:-} && $1 == airflow ]]; then
    umask 077
    python -c 'import json, os; print(json.dumps({"admin": os.environ["PLUMEWATCH_UI_PASSWORD"]}))' \
        > "$AIRFLOW_HOME/passwords.json"
    unset PLUMEWATCH_UI_PASSWORD
fi
exec "$@"
