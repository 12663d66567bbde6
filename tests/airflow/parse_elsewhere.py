"""Loads the DAGs as another Airflow would, and prints as JSON what that took: run by test_other_airflows.py.

parse_elsewhere.py OTHER_BUNDLE
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HOME = Path(os.environ["AIRFLOW_HOME"])
MAY_READ = (str(HOME), sys.prefix, sys.base_prefix, os.path.realpath(sys.prefix), "/proc", "/dev", "/etc", "/usr")
reached: list[str] = []
is_parsing = False


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what reaches beyond the bundle and the Python that runs it, and let no connection through."""
    if not is_parsing:
        return
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        reached.append(f"{event} {arguments[-1]}")
        raise ConnectionRefusedError("no network while DAGs are parsed")
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        path = os.path.abspath(arguments[0])  # noqa: PTH100 - pathlib would open what is watched here
        if not path.startswith(MAY_READ):
            reached.append(f"{event} {path}")


def main() -> None:
    global is_parsing
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, DagBag

    sys.addaudithook(watch)
    seconds, modules = {}, {}
    sys.path.insert(0, str(HOME / "plugins"))  # as Airflow's own start does
    for file in sorted((HOME / "dags").glob("*.py")):
        before, started = set(sys.modules), time.perf_counter()
        is_parsing = True
        bag = DagBag(dag_folder=str(file), bundle_path=HOME / "dags", bundle_name="ours")
        is_parsing = False
        seconds[file.stem] = time.perf_counter() - started
        modules[file.stem] = len(set(sys.modules) - before)
        assert not bag.import_errors, bag.import_errors
    import plumewatch

    bundles = {}
    for bundle in DagBundlesManager().get_all_dag_bundles():
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        bundles[bundle.name] = {"dags": sorted(bag.dags), "errors": bag.import_errors}
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    found = {"seconds": seconds, "modules": modules, "reached": reached, "bundles": bundles, "loaded": loaded}
    found["library"] = plumewatch.__file__
    sys.__stdout__.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        main()
