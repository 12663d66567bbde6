"""`make check`: what works with the present settings, one line each; nothing is written.

Exit code 1 where something that the present settings need doesn't work, else 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from tools.checkout import CHECKOUT
from tools.checks.areas import check_areas
from tools.checks.finding import Finding, State
from tools.checks.machine import (
    check_java,
    check_python,
    check_spark,
    check_storage,
    check_transport,
    check_waiting,
)
from tools.checks.sentinel_hub import check_sentinel_hub
from tools.checks.settings import check_alerts, check_names, check_values
from tools.checks.sources import check_catalogues, check_earthdata, check_granules, check_inventories, check_wind
from tools.java import present_java
from tools.places import user_environment


def findings_of() -> Iterator[Finding]:
    """Look at one part after the other."""
    settings, findings = check_values()
    yield from findings
    yield from check_names()
    yield check_python()
    yield check_java(settings)
    yield check_spark(settings)
    yield check_storage(settings)
    yield from check_transport(settings)
    yield from check_waiting(settings)
    findings, areas = check_areas(settings)
    yield from findings
    yield from check_catalogues(settings, areas)
    yield from check_sentinel_hub(settings, areas)
    yield check_granules(settings)
    yield check_earthdata(settings)
    yield from check_wind(settings)
    yield check_inventories(settings)
    yield from check_alerts(settings)


def run(say: Callable[[str], None]) -> int:
    """Say all findings and return the exit code."""
    problems = []
    for finding in findings_of():
        say(str(finding))
        problems += [finding] if finding.state is State.PROBLEM else []
    n_fatal = sum(finding.is_fatal for finding in problems)
    if n_fatal:
        others = f" The other {len(problems) - n_fatal} may wait." if len(problems) > n_fatal else ""
        say(f"\n{n_fatal} of the problems, marked !, to solve first.{others}")
    else:
        say("\nReady, but look at what is a problem above." if problems else "\nReady.")
    return 1 if n_fatal else 0


def main() -> None:
    """Check with the settings of the environment and `.env`."""
    os.environ.update(user_environment(present_java(), on_problem=lambda _: None))  # `check_values` tells of them
    os.chdir(CHECKOUT)  # tasks run here, so relative paths mean the same
    sys.exit(run(lambda text: print(text, flush=True)))


if __name__ == "__main__":
    main()
