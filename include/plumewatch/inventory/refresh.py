"""From a folder of lists to the tables `sources` and `reported_plumes`.

An inventory is one module with an INVENTORY (what its files are called, who reads them) and one entry in INVENTORIES.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.errors import InputError, some_of
from plumewatch.inventory import cities, climate_trace, coco2, edgar, eu_ets, gppd, odiac, own_sources
from plumewatch.inventory.combine import combine_inventories
from plumewatch.inventory.inventory import Inventory, Told, file_name
from plumewatch.inventory.reported_plumes import PROVIDERS
from plumewatch.inventory.rows.factors import inventory_factors
from plumewatch.inventory.rows.power_plants import power_plant_factors
from plumewatch.models import FailedScene
from plumewatch.progress import followed
from plumewatch.statuses import INVENTORY_STAGE
from plumewatch.table import Table
from plumewatch.tables import COMBINED, SOURCES

MAX_NAMED = 20  # files in one line of the log
INVENTORIES = tuple(
    module.INVENTORY for module in (coco2, gppd, climate_trace, eu_ets, cities, edgar, odiac, own_sources)
)

LINE = re.compile(r":[0-9]+$")
"""What stands behind a file's name where a row of it is meant."""

log = logging.getLogger(__name__)


LISTS = (*INVENTORIES, *PROVIDERS)
"""Lists of emitters, and of plumes that others published."""
NAMES = ", ".join(each.file_name.pattern for each in LISTS)
"""What inventory files are called."""


@dataclass(frozen=True)
class RefreshedSources:
    """What a refresh did."""

    rows: dict[str, int]
    """Rows written, by list, `combined` included."""
    failures: tuple[FailedScene, ...]
    """Files and rows that could not be used."""
    gone: dict[str, int]
    """Rows that left, by list whose file is gone."""
    set_aside: tuple[str, ...] = ()
    """Entries of own lists that don't count, as a newer one of the same emitter does."""
    unread: tuple[str, ...] = ()
    """Files of the folder that no inventory reads."""


def refresh_sources(inventories_path: str, storage_root: str) -> RefreshedSources:
    """Read all lists of a folder or prefix, and write `sources`, `combined` with them, and `reported_plumes`.

    A file that cannot be used leaves its inventory's partition as it was, of a grid its gas; where nothing is stored of
    it yet other lists of one's own go through. So do the other inventories.
    `combined` is made of what the partitions then hold. An inventory whose file is gone is emptied, so that its sources
    leave `combined`; where only its ending is one that isn't read, the file cannot be used. The log names all files
    that aren't read. Raises InputError where the folder has no inventory file at all.
    """
    names, unread = find_inventories(inventories_path, storage_root)
    parts = [
        refresh_inventory(name, inventories_path, storage_root)
        for name in followed(names, "inventories read", "inventories")
    ]
    rows = {name: n for part in parts for name, n in part.rows.items()}
    return RefreshedSources(
        {**rows, COMBINED: refresh_combined(storage_root)},
        tuple(failure for part in parts for failure in part.failures),
        {name: n for part in parts for name, n in part.gone.items()},
        tuple(said for part in parts for said in part.set_aside),
        unread,
    )


def find_inventories(inventories_path: str, storage_root: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of inventories that have a file, or had one, and the files that no inventory reads.

    The log names the latter. Raises InputError where there is no inventory file.
    """
    found, unread = inventory_files(inventories_path)
    if unread:
        log.warning("%s: not read: %s; read are files named %s", inventories_path, some_of(unread, MAX_NAMED), NAMES)
    if not any(found.values()):
        beside = f" among its files ({some_of(unread, MAX_NAMED)})" if unread else ""
        raise InputError(inventories_path, f"no inventory file{beside}", f"files named {NAMES}")
    names = [i.name for i, files in found.items() if files or _meant(i, unread) or _is_stored(i, storage_root)]
    return names, tuple(unread)


def refresh_inventory(name: str, inventories_path: str, storage_root: str) -> RefreshedSources:
    """Read the files of one inventory and write its partition; what `refresh_sources` says of one."""
    inventory = next(each for each in LISTS if each.name == name)
    table, root = inventory.table, storage.join(storage_root, inventory.table.name)
    where = {table.partitions[0]: name}
    found, unread = inventory_files(inventories_path)
    files, meant, told = found[inventory], _meant(inventory, unread), Told()
    if not files and not meant:
        left = storage.read_table(table, root, where=where).num_rows
        if not left:
            return RefreshedSources({}, (), {})
        log.warning("%s: no file of %s any more, its %d rows go", inventories_path, name, left)
        _write(root, inventory.table, name, table.empty(), [])
        return RefreshedSources({name: 0}, (), {name: left})
    try:
        if not files:
            asked = f"{name} as a file named {inventory.file_name.pattern}"
            raise InputError(storage.join(inventories_path, meant[0]), "an ending that isn't read", asked)
        rows, files = _read(inventory, files, told, is_first=not _is_stored(inventory, storage_root))
    except InputError as error:
        told.failures.append(_failure(error))
        return RefreshedSources({}, tuple(told.failures), {}, tuple(told.set_aside))
    for said in told.set_aside:
        log.info("set aside: %s", said)
    if any(":" not in failure.scene_id for failure in told.failures):  # a whole file
        stored = storage.read_table(table, root, where=where).select(table.schema.names)
        is_told = pc.is_in(stored["gas"], pc.unique(rows["gas"]))
        rows = table.conform(pa.concat_tables([rows, stored.filter(pc.invert(is_told))]))
    _write(root, table, name, rows, files)
    return RefreshedSources({name: rows.num_rows}, tuple(told.failures), {}, tuple(told.set_aside))


def _read(inventory: Inventory, files: list[str], told: Told, *, is_first: bool) -> tuple[pa.Table, list[str]]:
    """Read files, and return which: the first time, where each is a list of its own, without those that can't be used.

    Their InputError is raised later, when what is stored of them would be lost, and where no other can be used.
    """
    while True:
        of_these = Told()
        try:
            rows = inventory.read_told(files, of_these)
        except InputError as error:
            others = [file for file in files if file != LINE.sub("", error.file)]
            if not (is_first and inventory.are_apart and 0 < len(others) < len(files)):
                raise
            told.failures.append(_failure(error))
            files = others
        else:
            told.failures += of_these.failures
            told.set_aside += of_these.set_aside
            return rows, files


def _failure(error: InputError) -> FailedScene:
    return FailedScene.from_exception(error, scene_id=LINE.sub("", file_name(error.file)), stage=INVENTORY_STAGE)


def refresh_combined(storage_root: str) -> int:
    """Write the one list of what the partitions of all inventories hold, and return its number of sources."""
    root = storage.join(storage_root, SOURCES.name)
    stored = {i.name: storage.read_table(SOURCES, root, where={"inventory": i.name}) for i in INVENTORIES}
    combined = combine_inventories(stored)
    made_of = [storage.join(root, f"inventory={name}") for name, rows in stored.items() if rows.num_rows]
    _write(root, SOURCES, COMBINED, combined, made_of)
    return combined.num_rows


def inventory_files(path: str) -> tuple[dict[Inventory, list[str]], list[str]]:
    """Return the files of each inventory below a path, and the names below it of those that no inventory reads.

    Hidden files are none.
    """
    files = storage.visible_files(path)
    found = {i: [f for f in files if i.file_name.fullmatch(file_name(f))] for i in LISTS}
    read = {file for of_one in found.values() for file in of_one}
    above = storage.absolute(path).rstrip("/") + "/"
    return found, [storage.absolute(file).removeprefix(above) for file in files if file not in read]


def _meant(inventory: Inventory, unread: Sequence[str]) -> list[str]:
    """Unread files that the inventory would read if they had its ending."""
    return [name for name in unread if inventory.is_meant(file_name(name))]


def partition_of(name: str, storage_root: str) -> str:
    """Return the path of a list's partition."""
    table = next(each for each in LISTS if each.name == name).table
    return storage.partition_path(storage.join(storage_root, table.name), {table.partitions[0]: name})


def _is_stored(inventory: Inventory, storage_root: str) -> bool:
    return storage.exists(partition_of(inventory.name, storage_root))


def _write(root: str, table: Table, name: str, rows: pa.Table, inputs: list[str]) -> None:
    """Replace a list's partition. The lock keeps a second refresh from writing between data and manifest."""
    keys = {table.partitions[0]: name}
    gases = rows["gas"].value_counts().to_pylist()
    with storage.lock(storage.partition_path(root, keys)):
        storage.write_partition(
            table,
            root,
            keys,
            rows,
            inputs=inputs,
            settings={"calibration": f"{power_plant_factors().version}, {inventory_factors().version}"},
            counts={g["values"]: g["counts"] for g in gases},
        )
