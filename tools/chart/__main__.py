"""`python -m tools.chart`: draw docs/hand_off.svg anew from the DAGs, the tables and the settings."""

from __future__ import annotations

import os
import sys
from tempfile import TemporaryDirectory
from typing import Any

from tools.chart.flow import read_flow
from tools.chart.picture import draw
from tools.checkout import CHECKOUT

FILE = CHECKOUT / "docs" / "hand_off.svg"


def main() -> None:
    """Write the file, and say so."""
    with TemporaryDirectory(prefix="plumewatch-chart-") as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        FILE.write_text(draw(read_flow(_dags())), encoding="utf-8")
    print(f"{FILE.relative_to(CHECKOUT)} is drawn.")


def _dags() -> Any:
    """The DAGs of the bundle, by an Airflow that is imported only now, with a home that goes again."""
    sys.path.insert(0, str(CHECKOUT / "plugins"))
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(CHECKOUT / "dags"))
    if bag.import_errors:
        sys.exit("\n".join(f"{file}: {error}" for file, error in bag.import_errors.items()))
    return bag.dags


if __name__ == "__main__":
    main()
