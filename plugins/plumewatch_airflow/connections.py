"""Settings as a task sees them: Airflow Connections first, then the environment and `.env`."""

from __future__ import annotations

import os

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from plumewatch.settings import Settings

AWS_CONNECTION = "aws_default"


def load_settings() -> Settings:
    """Return the settings that hold for this task; on S3 the connection `aws_default` goes first."""
    settings = Settings.load()
    if settings.storage_root.startswith("s3://"):
        os.environ.update(aws_environment())
    return settings


def aws_environment() -> dict[str, str]:
    """Return the connection `aws_default` as the usual AWS variables; empty where there is no such connection."""
    try:
        connection = BaseHook.get_connection(AWS_CONNECTION)
    except AirflowNotFoundException:
        return {}
    extra = connection.extra_dejson
    found = {
        "AWS_ACCESS_KEY_ID": connection.login,
        "AWS_SECRET_ACCESS_KEY": connection.password,
        "AWS_SESSION_TOKEN": extra.get("aws_session_token"),
        "AWS_ENDPOINT_URL": extra.get("endpoint_url"),
        "AWS_DEFAULT_REGION": extra.get("region_name"),
    }
    return {name: value for name, value in found.items() if value}
