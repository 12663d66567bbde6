#!/usr/bin/env bash
# `must-be-refused.sh COMMAND...`: runs the demonstration with a wrong password, and is content only if Airflow has
# refused the login: a command that fails for another reason shows nothing of that.
set -uo pipefail
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if "$@" 2>&1 | tee "$said"; then
    echo "a wrong password is let in" >&2
    exit 1
fi
# As tools/airflow_client.py words it.
if ! grep -Eq '^POST /auth/token: 40[13] ' "$said"; then
    echo "it failed, and not because the login was refused" >&2
    exit 1
fi
