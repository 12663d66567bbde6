"""The note of a run that handed keys on to a detection that is paused: the UI shows it with the run.

A task can't write a note; so a listener does, where Airflow ends the run (the scheduler, or `dag.test`).
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from plumewatch.gases import DETECTION

from plumewatch_airflow.hand_offs import HANDED_ON_BY


def waiting_note(dag_run: Any, session: Any) -> str | None:
    """Return what to note of a run that has ended: which paused DAGs were to detect what it handed on."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    handed_on = select(AssetModel.name).where(
        AssetModel.id == AssetEvent.asset_id,
        AssetEvent.source_dag_id == dag_run.dag_id,
        AssetEvent.source_run_id == dag_run.run_id,
    )
    assets = set(session.scalars(handed_on.distinct()))
    waited_for = [DETECTION[gas] for gas, asset in HANDED_ON_BY.items() if asset.name in assets]
    is_paused = DagModel.dag_id.in_(waited_for) & DagModel.is_paused
    paused = sorted(session.scalars(select(DagModel.dag_id).where(is_paused))) if waited_for else []
    if not paused:
        return None
    return f"Detection waits until it is unpaused: {', '.join(paused)} (paused when this run ended)."


class _Notes:
    """Hooks that Airflow calls where a run ends; what they raise it logs."""

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """Some keys were handed on."""
        _write(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """So they are in a run that is red for something else."""
        _write(dag_run)


def _write(dag_run: Any) -> None:
    """Write the note in the session that ends the run, so that no other waits for its lock; else in one of its own."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy.orm import object_session

    if session := object_session(dag_run):
        _write_in(session, dag_run)
    else:
        with create_session() as session:
            _write_in(session, session.get(DagRun, dag_run.id))


def _write_in(session: Any, dag_run: Any) -> None:
    """Write the note; one that is there, a person's, stays."""
    if dag_run.note is None and (text := waiting_note(dag_run, session)):
        dag_run.note = text


class PlumewatchNotes(AirflowPlugin):
    """What Airflow finds in the folder of plugins."""

    name = "plumewatch_notes"
    listeners: list[Any] = [_Notes()]  # noqa: RUF012 - as Airflow declares it
