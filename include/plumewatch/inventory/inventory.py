"""What an inventory is to those who read them all: a name, what its files are called, and who reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from plumewatch.errors import InputError
from plumewatch.models import FailedScene, OnFailure
from plumewatch.statuses import INVENTORY_STAGE
from plumewatch.table import Table
from plumewatch.tables import SOURCES

OnSetAside = Callable[[str], None]
"""What a reader tells of what it leaves out on purpose, in a sentence."""
ReadFiles = Callable[[Sequence[str], OnFailure | None, OnSetAside | None], pa.Table]
"""From the paths of a list's files to rows of its table."""


@dataclass
class Told:
    """What is told while files are read."""

    failures: list[FailedScene] = field(default_factory=list)
    """Files and rows that could not be used."""
    set_aside: list[str] = field(default_factory=list)
    """What doesn't count, and why."""


@dataclass(frozen=True)
class Inventory:
    """A kind of inventory file."""

    name: str
    """Its partition of the table."""
    file_name: re.Pattern[str]
    """What its files are called, in small or large letters."""
    read: ReadFiles
    """Reads its files."""
    ending: str = ".csv"
    """How their names end."""
    table: Table = field(default=SOURCES, hash=False)
    """The table that it fills, whose partitions are called as it is."""
    are_apart: bool = False
    """Whether each file is a list of its own, which is one without the others too."""

    def is_meant(self, name: str) -> bool:
        """Return whether a file would be one of this inventory if it had the ending of those that are read."""
        return any(self.file_name.fullmatch(f"{name.rsplit('.', n)[0]}{self.ending}") for n in (0, 1, 2))

    def read_told(self, files: Sequence[str], told: Told) -> pa.Table:
        """Return the rows of its files; what isn't used is told."""
        return self.read(files, told.failures.append, told.set_aside.append)


def named(pattern: str) -> re.Pattern[str]:
    """Return the pattern of file names, in any letters."""
    return re.compile(pattern, re.IGNORECASE)


def one_file(name: str, read: Callable[[str, OnFailure | None], pa.Table]) -> ReadFiles:
    """Return the reader of an inventory that is one file: several would be releases of the same sources."""

    def read_one(files: Sequence[str], on_failure: OnFailure | None, on_set_aside: OnSetAside | None) -> pa.Table:
        if len(files) > 1:
            names = ", ".join(map(file_name, files))
            raise InputError(files[0], f"{len(files)} files of {name} ({names})", "one, as they list the same sources")
        return read(files[0], on_failure)

    return read_one


def file_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rsplit("/", 1)[-1]


def tell_set_aside(sentence: str, on_set_aside: OnSetAside | None) -> None:
    """Tell of what is left out, where somebody listens."""
    if on_set_aside is not None:
        on_set_aside(sentence)


def refusal(error: InputError, name: str) -> FailedScene:
    """Return what is recorded of a file, or a part of one, that cannot be used."""
    return FailedScene.from_exception(error, scene_id=file_name(name), stage=INVENTORY_STAGE)


def refuse_part(path: str, part: str, found: str, allowed: str, on_failure: OnFailure | None) -> None:
    """Report a part of a file (`pixels`) that isn't used, while the rest of it is; raise where nobody listens."""
    if on_failure is None:
        raise InputError(path, found, allowed)
    on_failure(refusal(InputError(path, found, allowed), f"{path}:{part}"))
