"""What is done now and then while something else is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(do: Callable[[], object], every_s: float) -> Iterator[None]:
    """Call `do` every so many seconds while the block runs, in a thread of its own; none of it goes on after the block.

    What `do` raises ends its thread, not the block.
    """
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(every_s):
            do()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
