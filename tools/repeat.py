"""`make repeat`: what the last `make demo` did is done twice more, and the tables are equal.

1. A second backfill over all runs, the completed ones too, into the same storage.
2. A third one, into an empty storage.
"""

from __future__ import annotations

import json
import os
import sys

from plumewatch import storage

from tools.airflow_client import AirflowError
from tools.checkout import DEMO
from tools.demo import Clock, DemoFailed, process, say
from tools.equality import differences, read_contents
from tools.java import JavaNotFound, find_java
from tools.places import demo_place, remembered_storage
from tools.ports import choose_ports
from tools.supervisor import AlreadyRunning, ServiceFailed, Supervisor
from tools.up import CannotStart

AIRFLOW_PORT = 8080


def run_repeat() -> int:
    """Repeat the demonstration twice and return the exit code."""
    clock = Clock()
    storage_kind = remembered_storage()
    if storage_kind is None:
        raise CannotStart("There is no demonstration to repeat yet: run `make demo` first.")
    with Supervisor(DEMO, say=lambda text: say(clock, text)) as supervisor:
        place = demo_place(find_java(), storage_kind)
        os.environ.update({k: v for k, v in place.environment.items() if k.startswith(("PLUMEWATCH_", "AWS_"))})
        airflow = place.airflow(choose_ports(AIRFLOW_PORT)[0])
        place.start_services(supervisor)
        supervisor.wait("migrate", supervisor.run(airflow.migration()))
        supervisor.start(*airflow.services())
        airflow.wait_until_healthy(supervisor, lambda text: say(clock, text))
        place.wait_for_services(supervisor)
        truth = json.loads((DEMO / "world" / "truth.json").read_text())
        root = place.environment["PLUMEWATCH_STORAGE_ROOT"]
        # Unpaused again, the DAGs also run for today: those rows are no part of the world.
        last_key = max(truth["dates"])
        first = read_contents(root, last_key)
        process(airflow.client, supervisor, truth, clock, reprocess="completed")
        second = differences(first, read_contents(root, last_key))
        storage.delete(root)
        process(airflow.client, supervisor, truth, clock, reprocess="completed")
        third = differences(first, read_contents(root, last_key))
    print("\nSecond backfill, same storage:\n  " + "\n  ".join(second))
    print("\nThird backfill, empty storage:\n  " + "\n  ".join(third))
    return int(any(line.startswith("DIFFERENT") for line in [*second, *third]))


def main() -> None:
    """No arguments."""
    try:
        sys.exit(run_repeat())
    except AlreadyRunning:
        sys.exit("A demonstration, or `make up DEMO=1`, is at work: end it first (make down).")
    except (CannotStart, JavaNotFound, ServiceFailed, AirflowError, DemoFailed) as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
