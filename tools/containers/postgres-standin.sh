#!/usr/bin/env bash
# Stands in for the official image's entry point: makes a database cluster on the first start, then serves.
set -euo pipefail
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [[ ! -s $data/PG_VERSION ]]; then
    "$bin/initdb" --pgdata="$data" --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") \
        --auth=scram-sha-256 > /dev/null
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    "$bin/pg_ctl" --pgdata="$data" --options="-c listen_addresses=''" --wait start > /dev/null
    PGPASSWORD="$POSTGRES_PASSWORD" "$bin/createdb" --username="$POSTGRES_USER" --host=/var/run/postgresql "$POSTGRES_DB" \
        2> /dev/null || true
    "$bin/pg_ctl" --pgdata="$data" --wait stop > /dev/null
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*'
