"""# Detect again

Makes the detection DAGs run again for stored days or months: after a new method, a new calibration, new sources.
(Airflow refuses backfills of DAGs that run on assets.)

* **Schedule**: by hand, with `from`, `to`, `gas` and, where another method than the default is wanted, `methods`.
* **Reads**: which partitions of `pixels` and `peaks` are stored; for CO2 with `methods`, `soundings`.
* **Writes**: `peaks` of those methods. Hands on the assets `plumewatch_pixels` and `plumewatch_peaks` for every stored
  key in the range.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, PartitionedAtRuntime, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch.errors import ParameterError
from plumewatch.gases import CH4, CO2, GASES, Gas
from plumewatch.keys import DAY, MONTH
from plumewatch_airflow.assets import PEAKS, PIXELS, keys_between, partition_key
from plumewatch_airflow.co2 import make_peaks
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.failures import report_failures
from plumewatch_airflow.hand_offs import hand_on
from plumewatch_airflow.params import DEFAULT_ARGS, TAGS, doc
from plumewatch_airflow.summary import summarised

BOTH = "both"
GAS_OF = {method: gas.name for gas in GASES.values() for method in gas.methods}

PARAMS = {
    "from": Param(type="string", format="date", title="From", description_md="First day."),
    "to": Param(type="string", format="date", title="To", description_md="Last day, included; not before the first."),
    "gas": Param(BOTH, enum=[BOTH, *GASES], title="Gas", description_md="One of them, or both."),
    "methods": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "enum": list(GAS_OF)},
        examples=list(GAS_OF),
        values_display={method: f"{method} ({gas})" for method, gas in GAS_OF.items()},
        title="Methods",
        description_md="Beside the default one. CO2 is matched again from stored peaks; to scan anew: `scan`.",
    ),
}


@task
def check_params() -> None:
    """Refuse what the form can't: dates in the wrong order, and methods of a gas that isn't chosen."""
    params = get_current_context()["params"]
    with summarised() as summary:
        summary.read = len(keys_between(params["from"], params["to"], DAY))
        allowed = [method for method, gas in GAS_OF.items() if params["gas"] in (BOTH, gas)]
        if others := [method for method in params["methods"] or [] if method not in allowed]:
            found = f"methods {', '.join(others)} with gas {params['gas']}"
            raise ParameterError(f"{found}; allowed: {', '.join(allowed)}")


@task(outlets=[PIXELS])
def redetect_methane(outlet_events: Any = None) -> None:
    """Hand on the stored days of the range."""
    with summarised() as summary:
        keys, methods = _wanted(CH4, "pixels")
        summary.read = summary.written = len(keys)
        hand_on(CH4, keys, outlet_events, methods)


@spark_task(outlets=[PEAKS])
def redetect_co2(outlet_events: Any = None) -> None:
    """Hand on the stored months of the range, scanned again where methods are given."""
    with summarised() as summary:
        keys, methods = _wanted(CO2, "soundings" if _methods(CO2) else "peaks")
        own_key = partition_key(get_current_context(), MONTH)
        for method in methods:
            summary.add(make_peaks(own_key, keys, method=method))
        summary.path = load_settings().table_root("peaks")
        hand_on(CO2, keys, outlet_events)


def _wanted(gas: Gas, table: str) -> tuple[list[str], list[str]]:
    """The stored keys in the range and the methods of the gas; skips where there is nothing to do."""
    from plumewatch.storage import list_partitions
    from plumewatch.tables import TABLES

    params = get_current_context()["params"]
    if params["gas"] not in (BOTH, gas.name):
        raise AirflowSkipException(f"gas is {params['gas']}")
    wanted = keys_between(params["from"], params["to"], gas.key_format)
    stored = {
        p.keys[gas.key_column]
        for p in list_partitions(TABLES[table], load_settings().table_root(table), {gas.key_column: wanted})
    }
    if not stored:
        raise AirflowSkipException(f"no {table} are stored from {params['from']} to {params['to']}")
    return sorted(stored), _methods(gas)


def _methods(gas: Gas) -> list[str]:
    """The methods of a gas that are asked for."""
    return [method for method in get_current_context()["params"]["methods"] or [] if method in gas.methods]


@dag(schedule=PartitionedAtRuntime(), params=PARAMS, default_args=DEFAULT_ARGS, tags=TAGS, **doc(__doc__))
def redetect() -> None:
    """Check what is asked for, hand stored keys on again, report."""
    check_params() >> [redetect_methane(), redetect_co2()] >> report_failures(MONTH)


redetect()
