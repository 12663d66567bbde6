"""Runs of Airflow as the view speaks of them: which key a run is of, and where the run of a key is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.configuration import conf
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from fastapi import Request
from plumewatch.gases import CH4, CO2, DETECTION, GASES, Gas
from plumewatch.keys import is_key
from sqlalchemy import select

SHOWN = {
    DETECTION[CH4.name]: CH4.name,
    DETECTION[CO2.name]: CO2.name,
    "sentinel2_daily_ingest": CH4.name,
    "oco2_monthly_extraction": CO2.name,
}
"""DAGs whose runs the view can open at their key, and the gas of each."""
LOGGED_BY = {CH4.name: "detect_plumes", CO2.name: "match_sources"}
"""Task of the detection whose log tells most of its key."""


def base_path() -> str:
    """Return the path under which Airflow's UI is served, without a slash at its end."""
    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


def key_of_run(dag_id: str, run_id: str, request: Request, user: Any) -> dict[str, Any]:
    """Return gas and key of a run that the user may read, or why there are none (`problem`)."""
    if dag_id not in SHOWN:
        return {"gas": None, "key": None, "problem": "Runs of this DAG have no map of their own: this is all of it."}
    requires_access_dag("GET", DagAccessEntity.RUN, dag_id)(request, user)
    gas = GASES[SHOWN[dag_id]]
    with create_session() as session:
        query = select(DagRun.partition_key, DagRun.logical_date).where(
            DagRun.dag_id == dag_id, DagRun.run_id == run_id
        )
        found = session.execute(query).first()
    key = (found.partition_key or (found.logical_date and f"{found.logical_date:{gas.key_format}}")) if found else None
    if key is None or not is_key(key, gas.key_format):
        return {"gas": gas.name, "key": None, "problem": "This run has no key: this is all of the map."}
    return {"gas": gas.name, "key": key, "problem": None}


def run_links(gas: Gas, key: str) -> list[dict[str, str]]:
    """Return links to the newest run that detected a key, and to its log; none where Airflow has forgotten it."""
    dag_id = DETECTION[gas.name]
    with create_session() as session:
        query = select(DagRun.run_id).where(DagRun.dag_id == dag_id, DagRun.partition_key == key)
        run_id = session.scalars(query.order_by(DagRun.id.desc()).limit(1)).first()
    if run_id is None:
        return []
    run = f"{base_path()}/dags/{dag_id}/runs/{quote(run_id, safe='')}"
    return [
        {"text": "Run in Airflow", "href": run},
        {"text": "Log of its detection", "href": f"{run}/tasks/{LOGGED_BY[gas.name]}"},
    ]
