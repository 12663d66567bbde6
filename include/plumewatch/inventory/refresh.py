"""From a folder of inventory files to the table `sources`.

An inventory is one module with a `read_` function and one entry in INVENTORIES.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import InputError, some_of
from plumewatch.inventory import coco2, gppd, own_sources
from plumewatch.inventory.combine import combine_sources
from plumewatch.inventory.csv_rows import OnFailure
from plumewatch.inventory.power_plants import power_plant_factors
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.statuses import INVENTORY_STAGE
from plumewatch.tables import COMBINED, SOURCES

READ_ENDING = ".csv"
MAX_NAMED = 20  # files in one line of the log

log = logging.getLogger(__name__)


@dataclass
class Told:
    """What is told while files are read."""

    failures: list[FailedScene] = field(default_factory=list)
    """Files and rows that could not be used."""
    set_aside: list[str] = field(default_factory=list)
    """Entries that don't count, as a newer one of the same emitter does."""


@dataclass(frozen=True)
class Inventory:
    """A kind of inventory file."""

    name: str
    """Its partition of the table `sources`."""
    file_name: re.Pattern[str]
    """What its files are called, in small or large letters."""
    read: Callable[[Sequence[str], Told], pa.Table]
    """From the paths of its files to rows of `sources`."""

    def is_meant(self, name: str) -> bool:
        """Return whether a file would be one of this inventory if it had the ending of those that are read."""
        return any(self.file_name.fullmatch(f"{name.rsplit('.', n)[0]}{READ_ENDING}") for n in (0, 1, 2))


def one_file(name: str, read: Callable[[str, OnFailure], pa.Table]) -> Callable[[Sequence[str], Told], pa.Table]:
    """Return the reader of an inventory that is one file: several would be releases of the same sources."""

    def read_one(files: Sequence[str], told: Told) -> pa.Table:
        if len(files) > 1:
            names = ", ".join(map(_file_name, files))
            raise InputError(files[0], f"{len(files)} files of {name} ({names})", "one, as they list the same sources")
        return read(files[0], told.failures.append)

    return read_one


def _read_own_lists(files: Sequence[str], told: Told) -> pa.Table:
    return own_sources.read_own_lists(files, told.failures.append, told.set_aside.append)


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


INVENTORIES = (
    Inventory(coco2.NAME, _named(r"coco2_ps_(?!.*profiles).*\.csv"), one_file(coco2.NAME, coco2.read_coco2)),
    Inventory(
        gppd.NAME, _named(r"gppd.*\.csv|global_power_plant_database.*\.csv"), one_file(gppd.NAME, gppd.read_gppd)
    ),
    Inventory(own_sources.NAME, _named(r"own_sources.*\.csv"), _read_own_lists),
)


NAMES = ", ".join(inventory.file_name.pattern for inventory in INVENTORIES)
"""What inventory files are called."""


@dataclass(frozen=True)
class RefreshedSources:
    """What a refresh did."""

    rows: dict[str, int]
    """Sources written, by inventory, `combined` included."""
    failures: tuple[FailedScene, ...]
    """Files and rows that could not be used."""
    gone: dict[str, int]
    """Sources that left, by inventory whose file is gone."""
    set_aside: tuple[str, ...] = ()
    """Entries of own lists that don't count, as a newer one of the same emitter does."""
    unread: tuple[str, ...] = ()
    """Files of the folder that no inventory reads."""


def refresh_sources(inventories_path: str, storage_root: str) -> RefreshedSources:
    """Read all inventory files of a folder or prefix, and write `sources`: one partition each, and `combined`.

    A file that cannot be used leaves its inventory's partition as it was; the others go through. `combined` is made of
    what the partitions then hold. An inventory whose file is gone is emptied, so that its sources leave `combined`;
    where only its ending is one that isn't read, the file cannot be used. The log names all files that aren't read.
    Raises InputError where the folder has no inventory file at all.
    """
    found, unread = inventory_files(inventories_path)
    if unread:
        log.warning("%s: not read: %s; read are files named %s", inventories_path, some_of(unread, MAX_NAMED), NAMES)
    if not any(found.values()):
        beside = f" among its files ({some_of(unread, MAX_NAMED)})" if unread else ""
        raise InputError(inventories_path, f"no inventory file{beside}", f"files named {NAMES}")
    root = storage.join(storage_root, SOURCES.name)
    rows: dict[str, int] = {}
    told = Told()
    gone: dict[str, int] = {}
    for inventory, files in followed(found.items(), "inventories read", "inventories"):
        meant = [name for name in unread if inventory.is_meant(_file_name(name))]
        if not files and not meant:
            if left := storage.read_table(SOURCES, root, where={"inventory": inventory.name}).num_rows:
                log.warning("%s: no file of %s any more, its %d sources go", inventories_path, inventory.name, left)
                _write(root, inventory.name, SOURCES.empty(), [])
                rows[inventory.name], gone[inventory.name] = 0, left
            continue
        try:
            if not files:
                asked = f"{inventory.name} as a file named {inventory.file_name.pattern}"
                raise InputError(storage.join(inventories_path, meant[0]), "an ending that isn't read", asked)
            sources = inventory.read(files, told)
        except InputError as error:
            name = re.sub(r":[0-9]+$", "", _file_name(error.file))
            told.failures.append(FailedScene.from_exception(error, scene_id=name, stage=INVENTORY_STAGE))
            continue
        _write(root, inventory.name, sources, files)
        rows[inventory.name] = sources.num_rows
    stored = (storage.read_table(SOURCES, root, where={"inventory": inventory.name}) for inventory in INVENTORIES)
    combined = combine_sources(*stored)
    _write(root, COMBINED, combined, [storage.join(root, f"inventory={i.name}") for i in INVENTORIES])
    counts = {**rows, COMBINED: combined.num_rows}
    return RefreshedSources(counts, tuple(told.failures), gone, tuple(told.set_aside), tuple(unread))


def inventory_files(path: str) -> tuple[dict[Inventory, list[str]], list[str]]:
    """Return the files of each inventory below a path, and the names below it of those that no inventory reads."""
    files = storage.list_files(path)
    found = {i: [f for f in files if i.file_name.fullmatch(_file_name(f))] for i in INVENTORIES}
    read = {file for of_one in found.values() for file in of_one}
    above = storage.absolute(path).rstrip("/") + "/"
    return found, [storage.absolute(file).removeprefix(above) for file in files if file not in read]


def _file_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _write(root: str, inventory: str, sources: pa.Table, inputs: list[str]) -> None:
    """Replace the inventory's partition. The lock keeps a second refresh from writing between data and manifest."""
    keys = {"inventory": inventory}
    gases = sources["gas"].value_counts().to_pylist()
    with storage.lock(storage.partition_path(root, keys)):
        storage.write_partition(
            SOURCES,
            root,
            keys,
            sources,
            inputs=inputs,
            settings={"calibration": power_plant_factors().version},
            counts={g["values"]: g["counts"] for g in gases},
        )
