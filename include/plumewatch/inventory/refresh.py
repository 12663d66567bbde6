"""From a folder of inventory files to the table `sources`.

An inventory is one module with a `read_` function and one entry in INVENTORIES.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.inventory import coco2, gppd, own_sources
from plumewatch.inventory.combine import combine_sources
from plumewatch.inventory.csv_rows import OnFailure
from plumewatch.inventory.power_plants import power_plant_factors
from plumewatch.models import FailedScene
from plumewatch.statuses import INVENTORY_STAGE
from plumewatch.tables import COMBINED, SOURCES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inventory:
    """A kind of inventory file."""

    name: str
    """Its partition of the table `sources`."""
    file_name: re.Pattern[str]
    """What its files are called."""
    read: Callable[[str, OnFailure | None], pa.Table]
    """From a file's path to rows of `sources`; bad rows go to the callback."""
    may_be_several: bool = False
    """Whether several files together are the inventory; else they would be releases of the same sources."""


INVENTORIES = (
    Inventory(coco2.NAME, re.compile(r"coco2_ps_(?!.*profiles).*\.csv"), coco2.read_coco2),
    Inventory(gppd.NAME, re.compile(r"gppd.*\.csv|global_power_plant_database.*\.csv"), gppd.read_gppd),
    Inventory(own_sources.NAME, re.compile(r"own_sources.*\.csv"), own_sources.read_own_sources, may_be_several=True),
)


@dataclass(frozen=True)
class RefreshedSources:
    """What a refresh did."""

    rows: dict[str, int]
    """Sources written, by inventory, `combined` included."""
    failures: tuple[FailedScene, ...]
    """Files and rows that could not be used."""
    gone: dict[str, int]
    """Sources that left, by inventory whose file is gone."""


def refresh_sources(inventories_path: str, storage_root: str) -> RefreshedSources:
    """Read all inventory files of a folder or prefix, and write `sources`: one partition each, and `combined`.

    A file that cannot be used leaves its inventory's partition as it was; the others go through. `combined` is made of
    what the partitions then hold. An inventory whose file is gone is emptied, so that its sources leave `combined`.
    Raises InputError where the folder has no inventory file at all.
    """
    found = {inventory: _files(inventory, inventories_path) for inventory in INVENTORIES}
    if not any(found.values()):
        allowed = ", ".join(i.file_name.pattern for i in INVENTORIES)
        raise InputError(inventories_path, "no inventory file", f"files named {allowed}")
    root = storage.join(storage_root, SOURCES.name)
    rows: dict[str, int] = {}
    failures: list[FailedScene] = []
    gone: dict[str, int] = {}
    for inventory, files in found.items():
        if not files:
            if left := storage.read_table(SOURCES, root, where={"inventory": inventory.name}).num_rows:
                log.warning("%s: no file of %s any more, its %d sources go", inventories_path, inventory.name, left)
                _write(root, inventory.name, SOURCES.empty(), [])
                rows[inventory.name], gone[inventory.name] = 0, left
            continue
        try:
            sources = _read(inventory, files, failures)
        except InputError as error:
            name = files[0].rsplit("/", 1)[-1]
            failures.append(FailedScene.from_exception(error, scene_id=name, stage=INVENTORY_STAGE))
            continue
        _write(root, inventory.name, sources, files)
        rows[inventory.name] = sources.num_rows
    stored = (storage.read_table(SOURCES, root, where={"inventory": inventory.name}) for inventory in INVENTORIES)
    combined = combine_sources(*stored)
    _write(root, COMBINED, combined, [storage.join(root, f"inventory={i.name}") for i in INVENTORIES])
    return RefreshedSources({**rows, COMBINED: combined.num_rows}, tuple(failures), gone)


def _files(inventory: Inventory, path: str) -> list[str]:
    return [f for f in storage.list_files(path) if inventory.file_name.fullmatch(f.rsplit("/", 1)[-1])]


def _read(inventory: Inventory, files: list[str], failures: list[FailedScene]) -> pa.Table:
    if len(files) > 1 and not inventory.may_be_several:
        names = ", ".join(f.rsplit("/", 1)[-1] for f in files)
        raise InputError(
            files[0], f"{len(files)} files of {inventory.name} ({names})", "one, as they list the same sources"
        )
    sources = pa.concat_tables([inventory.read(file, failures.append) for file in files])
    return sources.filter(pa.array(~sources["source_id"].to_pandas().duplicated()))


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
