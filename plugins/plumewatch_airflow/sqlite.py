"""Arguments of each connection to Airflow's SQLite database: `[database] sql_alchemy_connect_args`, and `..._async`."""

CONNECT_ARGS: dict[str, object] = {"timeout": 60.0}
"""Seconds that a write waits for those of other processes, before it fails with "database is locked" (default 5)."""
