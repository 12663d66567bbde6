"""`make evaluate [ONLY=oco2|methane|matching|learning]`: quality figures in full size, with their numbers of trials."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from tools.checkout import CHECKOUT

EVALUATIONS: dict[str, list[str]] = {
    "oco2": ["plumewatch.oco2.evaluation", "--test-data", "{test_data}", "--pictures", "{pictures}"],
    "matching": ["plumewatch.matching.evaluation", "--test-data", "{test_data}", "--pictures", "{pictures}"],
    "methane": ["plumewatch.methane.evaluation", "--test-data", "{test_data}", "--pictures", "{pictures}"],
    "learning": ["plumewatch.learning", "--test-data", "{test_data}"],
}
"""Name of each and its module with arguments."""
PICTURES = CHECKOUT / "build" / "evaluation"


def main() -> None:
    """Run one or all, one after the other; exit code 1 where one fails or misses a limit of its own."""
    parser = argparse.ArgumentParser(prog="make evaluate", description=__doc__)
    parser.add_argument("--only", choices=sorted(EVALUATIONS), help="default: all")
    arguments = parser.parse_args()
    test_data = os.environ["PLUMEWATCH_TEST_DATA"]
    failed = []
    for name in [arguments.only] if arguments.only else EVALUATIONS:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        command = [part.format(test_data=test_data, pictures=PICTURES / name) for part in EVALUATIONS[name]]
        if subprocess.run([sys.executable, "-m", *command], cwd=CHECKOUT).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
