"""Settings as a task sees them: Airflow Connections first, then the environment and `.env`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from plumewatch.settings import CMR, Settings

AWS_CONNECTION = "aws_default"
EARTHDATA_CONNECTION = "earthdata"
HUB_CONNECTION = "sentinel_hub"


def load_settings() -> Settings:
    """Return the settings that hold for this task.

    On S3 the connection `aws_default` goes first, where granules come from NASA's archive `earthdata`, and of Sentinel
    Hub `sentinel_hub`.
    """
    settings = storage_settings()
    if settings.granules == CMR:
        settings = replace(settings, earthdata_token=earthdata_token() or settings.earthdata_token)
    return replace(settings, **hub_settings())


def storage_settings() -> Settings:
    """Return the settings as far as the storage goes: on S3 with the connection `aws_default`."""
    settings = Settings.load()
    if settings.storage_root.startswith("s3://"):
        os.environ.update(aws_environment())
    return settings


def hub_settings() -> dict[str, Any]:
    """Return what the connection `sentinel_hub` says: login and password are the client and its secret, and the extra
    may hold `base_url` and `token_url`. Empty where there is no such connection.
    """
    if (connection := _connection(HUB_CONNECTION)) is None:
        return {}
    extra = connection.extra_dejson
    found = {
        "sh_client_id": connection.login,
        "sh_client_secret": connection.password,
        "sh_base_url": extra.get("base_url"),
        "sh_token_url": extra.get("token_url"),
    }
    return {name: value for name, value in found.items() if value}


def earthdata_token() -> str | None:
    """Return the password of the connection `earthdata`, which is the token; None where there is no such connection."""
    connection = _connection(EARTHDATA_CONNECTION)
    return ((connection and connection.password) or "").strip() or None


def aws_environment() -> dict[str, str]:
    """Return the connection `aws_default` as the usual AWS variables; empty where there is no such connection."""
    if (connection := _connection(AWS_CONNECTION)) is None:
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


def _connection(name: str) -> Any:
    """A connection, None where there is none of that name."""
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
