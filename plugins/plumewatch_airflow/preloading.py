"""The library is loaded once, before the scheduler forks its workers, and no more by each task.

A task of the LocalExecutor is a fork of a worker, and that one of the scheduler: what is imported there costs a task
nothing, where it is a second of processor time for the smallest. Other executors start tasks in their own way.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

MODULES = (
    "plumewatch.areas", "plumewatch.catalogues.sentinel_hub", "plumewatch.evidence.update",
    "plumewatch.inventory.refresh", "plumewatch.maps.map_file", "plumewatch.maps.report", "plumewatch.maps.site",
    "plumewatch.methane.dates.due", "plumewatch.oco2.granules.soundings", "plumewatch.oco2.granules.staging",
    "plumewatch.oco2.orbits.peak_wind", "plumewatch.sentinel2.day_search", "plumewatch.sentinel2.ingest",
    "plumewatch.sentinel2.process_api", "plumewatch.zones.hub_batch",
)  # fmt: skip
"""What the tasks of each day and month import inside them (a test compares), and what areas of Sentinel Hub need."""

log = logging.getLogger("plumewatch.preloading")


class _Preloading:
    """A hook that Airflow calls where one of its processes starts."""

    @hookimpl
    def on_starting(self, component: Any) -> None:
        """Load the library into a scheduler whose tasks are forks of it; what fails, the task that needs it says."""
        if tasks_are_forks(sys.argv):
            preload()


def preload() -> None:
    """Import what tasks import."""
    for name in MODULES:
        try:
            import_module(name)
        except Exception:
            log.warning("%s isn't loaded before the tasks that need it", name, exc_info=True)


def tasks_are_forks(argv: list[str]) -> bool:
    """Return whether this process is a scheduler with the LocalExecutor, on a system where processes are forked.

    The command line says which one it is: the hook comes before Airflow's own name of it is set.
    """
    from airflow.configuration import conf

    is_local = conf.get("core", "executor").endswith("LocalExecutor")
    return argv[1:2] == ["scheduler"] and is_local and multiprocessing.get_start_method() == "fork"


class PlumewatchPreloading(AirflowPlugin):
    """What Airflow finds in the folder of plugins."""

    name = "plumewatch_preloading"
    listeners: list[Any] = [_Preloading()]  # noqa: RUF012 - as Airflow declares it
