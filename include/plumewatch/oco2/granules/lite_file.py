"""The form of a Lite file of OCO-2 or OCO-3: an HDF5 file whose variables have other places in other versions.

By h5py, which opens only what is asked for: the NetCDF library looks at all hundred variables first, and that takes as
long as reading nineteen of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from plumewatch.errors import InputError, reading
from plumewatch.netcdf.own_values import require_own_values
from plumewatch.netcdf.packing import text_of
from plumewatch.oco2.archive.file_head import HDF5_MAGIC, HEAD_BYTES, describe_other_than_hdf5
from plumewatch.oco2.granules.lite_values import LiteVariable, lite_variables, oddity

LITE_FILE = "a Lite NetCDF-4 file of OCO-2 or OCO-3"
MOST_SOUNDINGS = 5_000_000  # eight footprints three times a second are two million a day

log = logging.getLogger(__name__)


@contextmanager
def open_lite_file(local: Path, path: str) -> Iterator[h5py.File]:
    """Open a local file that messages call `path`; InputError says what is wrong where it is no whole HDF5 file."""
    _check_head(local, path)
    try:
        dataset = h5py.File(local, "r")
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"damaged or truncated, {local.stat().st_size} bytes ({error})", LITE_FILE) from error
    with dataset, reading(path, LITE_FILE, "damaged"):
        yield dataset


def _check_head(local: Path, path: str) -> None:
    """Refuse what is no HDF5 file."""
    if not local.is_file():
        raise InputError(path, "no such file", LITE_FILE)
    with local.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if found := describe_other_than_hdf5(head):
        raise InputError(path, found, f"{LITE_FILE}, which begins with {HDF5_MAGIC!r}")


def find_variables(dataset: h5py.File, path: str) -> dict[str, LiteVariable]:
    """Return the variable of every column that the file has; all are of one length.

    InputError lists what the file has where a required one is missing, and names one of another type or unit. An
    optional one of another type or unit counts as missing.
    """
    sounding_id = _variable(dataset, "sounding_id")
    n = sounding_id.shape[:1] if sounding_id else None
    if n and n[0] > MOST_SOUNDINGS:
        raise InputError(path, f"{n[0]} soundings", f"at most {MOST_SOUNDINGS}, more than a day can have")
    found = {}
    for column, entry in lite_variables().items():
        # Groups of single files hold arrays of another length under familiar names: the length decides as well.
        present = (_variable(dataset, p) for p in entry["paths"])
        stored = next((v for v in present if v is not None and v.shape == n), None)
        fitting = None if stored is None else LiteVariable.of(stored)
        wanted = f"no variable {' or '.join(entry['paths'])} of one value a sounding"
        odd = None if fitting is None else oddity(fitting, column)
        if fitting is not None and odd is None:
            found[column] = fitting
        elif odd is not None and entry["required"]:
            raise InputError(path, odd, LITE_FILE)
        elif odd is not None:
            log.warning("%s: %s", path, odd)
        elif entry["required"]:
            raise InputError(path, f"{wanted}; it has {_inventory(dataset) or 'none'}", LITE_FILE)
        else:
            log.warning("%s: %s", path, wanted)
    return found


def _variable(dataset: h5py.File, path: str) -> h5py.Dataset | None:
    found = dataset.get(path)
    if not isinstance(found, h5py.Dataset) or _is_bare_dimension(found):
        return None
    require_own_values(found, dataset)
    return found


def _is_bare_dimension(found: h5py.Dataset) -> bool:
    """Whether it is what NetCDF-4 writes for a dimension that has no variable."""
    return text_of(found.attrs.get("NAME", "")).startswith("This is a netCDF dimension but not a netCDF variable")


def _inventory(dataset: h5py.File) -> str:
    """Names and shapes of all variables, those of the root first."""
    names: list[str] = []
    dataset.visit(names.append)
    variables = ((name, _variable(dataset, name)) for name in sorted(names, key=lambda name: name.count("/")))
    return ", ".join(f"{name}{list(variable.shape)}" for name, variable in variables if variable is not None)
