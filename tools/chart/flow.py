"""What is on the chart: DAGs, their schedules, assets, tables and services, as the code and the DAGs' docs say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from plumewatch.gases import GASES
from plumewatch.inventory.refresh import INVENTORIES
from plumewatch.settings import Settings
from plumewatch.tables import TABLES
from plumewatch.wind.providers import PRODUCTS

FOLDERS = ("composites", "scenes", "maps", "models", *sorted(gas.details for gas in GASES.values()))
"""What is stored beside the tables, and named like them in the docs of DAGs."""
TITLE_OF_PRODUCT = {"geos_fp": "GEOS-FP", "era5": "ERA5"}


@dataclass(frozen=True)
class Service:
    """Something outside that DAGs read."""

    title: str
    word: str
    """How the docs of a DAG call it, under Reads, outside of backticks."""
    settings: tuple[str, ...] = ()
    """Fields of the settings that hold its addresses."""
    lines: tuple[str, ...] = ()
    """What is told of it beside the hosts of its addresses."""


SERVICES = (
    Service("Areas of interest", "areas", lines=("include/areas/", "<storage root>/areas/")),
    Service(
        "Image catalogues",
        "catalogues",
        ("stac_api", "pc_stac_api", "pc_sas_url", "cdse_s3_endpoint", "sh_base_url", "maxar_catalogue"),
    ),
    Service("Wind", "wind", ("geos_fp_url", "era5_url"), (" or ".join(TITLE_OF_PRODUCT.get(p, p) for p in PRODUCTS),)),
    Service("OCO-2, OCO-3 granules", "granules", ("cmr_url",), ("or a folder of Lite files",)),
    Service("Inventories", "inventory files", lines=(", ".join(inventory.name for inventory in INVENTORIES),)),
)


@dataclass(frozen=True)
class DagNode:
    """One DAG."""

    dag_id: str
    schedule: str
    """When it runs, UTC."""
    services: tuple[str, ...]
    """Titles of the services that it reads."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    waits_for: tuple[str, ...]
    """Assets whose events make it run."""
    hands_on: tuple[str, ...]
    """Assets of which it makes events."""
    starts: tuple[str, ...]
    """DAGs that it makes run."""


def hosts_of(service: Service) -> list[str]:
    """Return the hosts of a service's addresses by default."""
    defaults = {field.name: field.default for field in fields(Settings)}
    return [str(urlsplit(str(defaults[name])).hostname) for name in service.settings]


def addresses_without_service() -> list[str]:
    """Return the settings with an address by default that no service of the chart has: none, unless one is new."""
    addresses = {f.name for f in fields(Settings) if str(f.default).startswith("https://")}
    return sorted(addresses - {name for service in SERVICES for name in service.settings})


def read_flow(dags: Mapping[str, Any]) -> list[DagNode]:
    """Return the DAGs of a DagBag by their ids. Raises ValueError where a setting's service isn't on the chart."""
    if missing := addresses_without_service():
        raise ValueError(f"{', '.join(missing)}: no service in SERVICES of tools/chart/flow.py")
    return [_node(dag) for _, dag in sorted(dags.items())]


def _node(dag: Any) -> DagNode:
    reads, writes = _section(dag, "Reads"), _section(dag, "Writes").split("Hands on")[0]
    words = re.sub(r"`[^`]*`", "", reads)
    services = tuple(s.title for s in SERVICES if re.search(rf"\b{s.word}\b", words))
    return DagNode(
        dag.dag_id,
        _schedule(dag.timetable),
        services,
        _tables(reads),
        _tables(writes),
        _assets(getattr(dag.timetable, "asset_condition", None)),
        tuple(sorted({outlet.name for task in dag.tasks for outlet in task.outlets})),
        tuple(sorted({started for task in dag.tasks if (started := _started(task))})),
    )


def _schedule(timetable: Any) -> str:
    if expression := getattr(timetable, "expression", None):
        from airflow.timetables.trigger import CronTriggerTimetable  # once Airflow has its home

        said = CronTriggerTimetable(expression, timezone="UTC").description.removeprefix("At ")
        return f"{said[0].lower()}{said[1:]} (UTC)"
    return ", ".join(_assets(getattr(timetable, "asset_condition", None))) or "by hand"


def _assets(condition: Any) -> tuple[str, ...]:
    """The names of the assets of a condition, which is one or a combination of some."""
    if condition is None:
        return ()
    parts = getattr(condition, "objects", None)
    return tuple(sorted(name for part in parts for name in _assets(part))) if parts else (condition.name,)


def _section(dag: Any, name: str) -> str:
    found = re.search(rf"\*\*{name}\*\*:(.*?)(?=\n\*|\n\n|\Z)", dag.doc_md, re.DOTALL)
    return found[1] if found else ""


def _tables(text: str) -> tuple[str, ...]:
    known = {*TABLES, *FOLDERS}
    return tuple(dict.fromkeys(name for name in re.findall(r"`(\w+)[`/]", text) if name in known))


def _started(task: Any) -> str | None:
    """The DAG that a task makes run."""
    own = getattr(task, "trigger_dag_id", None)
    return own or getattr(task, "partial_kwargs", {}).get("trigger_dag_id")
