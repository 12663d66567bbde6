"""`python -m tools.run PROGRAM ARGUMENTS...`: run a program of .venv in the project's environment."""

from __future__ import annotations

import os
import sys

from tools.checkout import CHECKOUT, project_environment
from tools.java import JavaNotFound, find_java


def main() -> None:
    """Replace this process by the program; without Java it runs all the same, and says what doesn't work."""
    try:
        java_home = find_java()
    except JavaNotFound as error:
        print(error, file=sys.stderr, flush=True)
        java_home = None
    environment = project_environment(java_home)
    environment.setdefault("PLUMEWATCH_TEST_DATA", str(CHECKOUT.parent / "shared" / "data"))
    os.chdir(CHECKOUT)
    os.execvpe(sys.argv[1], sys.argv[1:], environment)


if __name__ == "__main__":
    main()
