"""`make repeat`: what the last `make demo` did is done twice more, and the tables are equal.

1. A second backfill over all runs, the completed ones too, into the same storage.
2. A third one, into an empty storage.
"""

from __future__ import annotations

import json

from plumewatch import storage

from tools.checkout import DEMO
from tools.demo import Clock, end_with, prepare_place, process
from tools.equality import differences, read_contents
from tools.places import remembered_demo
from tools.supervisor import Supervisor
from tools.up import CannotStart


def run_repeat() -> int:
    """Repeat the demonstration twice and return the exit code."""
    clock = Clock()
    if (remembered := remembered_demo()) is None:
        raise CannotStart("There is no demonstration to repeat yet: run `make demo` first.")
    with Supervisor(DEMO, say=clock.say) as supervisor:
        place, airflow = prepare_place(*remembered)
        place.start(airflow, supervisor.run(airflow.migration()), supervisor, clock.say)
        truth = json.loads((DEMO / "world" / "truth.json").read_text())
        root = place.environment["PLUMEWATCH_STORAGE_ROOT"]
        # Unpaused again, the DAGs also run for today: those rows are no part of the world.
        last_key = max(truth["dates"])
        first = read_contents(root, last_key)
        process(airflow.client, supervisor.check, truth, clock, reprocess="completed")
        second = differences(first, read_contents(root, last_key))
        storage.delete(root)
        process(airflow.client, supervisor.check, truth, clock, reprocess="completed")
        third = differences(first, read_contents(root, last_key))
    print("\nSecond backfill, same storage:\n  " + "\n  ".join(second))
    print("\nThird backfill, empty storage:\n  " + "\n  ".join(third))
    return int(any(line.startswith("DIFFERENT") for line in [*second, *third]))


if __name__ == "__main__":
    end_with(run_repeat)
