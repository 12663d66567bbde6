"""Ends a supervisor's processes when the supervisor itself was killed.

It holds the reading end of a pipe; when that closes without the word `done`, nobody else is left to clean up.
"""

from __future__ import annotations

import signal
import sys

from tools.processes import end_marked

DONE = b"done"


def main() -> None:
    """`python -m tools.guard PREFIX GRACE_S`, with the pipe as standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() != DONE:
        end_marked(sys.argv[1], float(sys.argv[2]))


if __name__ == "__main__":
    main()
