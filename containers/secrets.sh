#!/usr/bin/env bash
# Prints new secrets for docker-compose.yaml: bash containers/secrets.sh >> .env
# In a .env that has some already it adds none, as the database keeps its first password, and that file becomes its
# owner's alone.
set -euo pipefail
if [[ /dev/stdout -ef .env ]]; then
    if grep -q '^POSTGRES_PASSWORD=' .env; then
        echo ".env has secrets already; nothing is added" >&2
        exit 1
    fi
    chmod 600 .env
fi
random() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'; }
cat <<EOF

# --- Secrets of docker-compose.yaml, made by containers/secrets.sh
PLUMEWATCH_UI_PASSWORD=$(random 12)
AIRFLOW_FERNET_KEY=$(random 32)
AIRFLOW_JWT_SECRET=$(random 48)
AIRFLOW_SECRET_KEY=$(random 33)
POSTGRES_PASSWORD=$(random 24)
S3_ACCESS_KEY=$(random 12)
S3_SECRET_KEY=$(random 30)
EOF
