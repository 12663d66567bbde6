"""The form of an OCO-2 Lite file: an HDF5 file whose variables have other places in other versions.

By h5py, which opens only what is asked for: the NetCDF library looks at all hundred variables first, and that takes as
long as reading nineteen of them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from netCDF4 import default_fillvals
from numpy.typing import NDArray

from plumewatch.errors import InputError
from plumewatch.oco2.archive.file_head import HDF5_MAGIC, HEAD_BYTES, describe_other_than_hdf5
from plumewatch.oco2.archive.listing import VARIABLES_FILE
from plumewatch.reference.loading import read_reference

LITE_FILE = "an OCO-2 Lite NetCDF-4 file"
FLOAT_BYTES = (4, 8)
PACKING = ("scale_factor", "add_offset")  # Lite files hold values as they are
USUAL_FILL = -999_999  # in Lite files, also where a variable doesn't state it

Array = NDArray[Any]
Mask = NDArray[np.bool_]

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def _variables() -> dict[str, dict[str, Any]]:
    return dict(read_reference(VARIABLES_FILE)["variables"])


@contextmanager
def open_lite_file(local: Path, path: str) -> Iterator[h5py.File]:
    """Open a local file that messages call `path`; InputError says what is wrong where it is no whole HDF5 file."""
    _check_head(local, path)
    try:
        dataset = h5py.File(local, "r")
    except (OSError, RuntimeError) as error:
        raise InputError(path, f"damaged or truncated, {local.stat().st_size} bytes ({error})", LITE_FILE) from error
    with dataset:
        try:
            yield dataset
        except (OSError, RuntimeError) as error:
            raise InputError(path, f"damaged ({error})", LITE_FILE) from error
        except (LookupError, TypeError, ValueError) as error:  # h5py, of types and attributes that it doesn't know
            raise InputError(path, f"not to be read ({type(error).__name__}: {error})", LITE_FILE) from error


def text_attribute(attribute: Any) -> str:
    """Return a text attribute, in whichever of the forms HDF5 has for it."""
    value = np.asarray(attribute).ravel()[0] if np.size(attribute) else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_head(local: Path, path: str) -> None:
    """Refuse what is no HDF5 file."""
    if not local.is_file():
        raise InputError(path, "no such file", LITE_FILE)
    with local.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if found := describe_other_than_hdf5(head):
        raise InputError(path, found, f"{LITE_FILE}, which begins with {HDF5_MAGIC!r}")


def find_variables(dataset: h5py.File, path: str) -> dict[str, h5py.Dataset]:
    """Return the variable of every column that the file has; all are of one length.

    InputError lists what the file has where a required one is missing, and names one of another type. An optional one
    of another type counts as missing.
    """
    sounding_id = _variable(dataset, "sounding_id")
    n = sounding_id.shape[:1] if sounding_id else None
    found = {}
    for column, entry in _variables().items():
        # Groups of single files hold arrays of another length under familiar names: the length decides as well.
        present = (_variable(dataset, p) for p in entry["paths"])
        fitting = next((v for v in present if v is not None and v.shape == n), None)
        wanted = f"no variable {' or '.join(entry['paths'])} of one value a sounding"
        odd = None if fitting is None else _oddity(fitting)
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


def _oddity(variable: h5py.Dataset) -> str | None:
    """What keeps a variable from being read as it is, None where nothing does."""
    kind, name = variable.dtype, variable.name.lstrip("/")
    if kind.kind not in "biuf" or (kind.kind == "f" and kind.itemsize not in FLOAT_BYTES):
        return f"variable {name} of type {kind}, neither an integer nor a float of 4 or 8 bytes"
    packed = [attribute for attribute in PACKING if attribute in variable.attrs]
    return f"variable {name} is packed ({', '.join(packed)}), not in its unit" if packed else None


def _variable(dataset: h5py.File, path: str) -> h5py.Dataset | None:
    found = dataset.get(path)
    return found if isinstance(found, h5py.Dataset) and not _is_bare_dimension(found) else None


def _is_bare_dimension(found: h5py.Dataset) -> bool:
    """Whether it is what NetCDF-4 writes for a dimension that has no variable."""
    return text_attribute(found.attrs.get("NAME", "")).startswith(
        "This is a netCDF dimension but not a netCDF variable"
    )


def _inventory(dataset: h5py.File) -> str:
    """Names and shapes of all variables, those of the root first."""
    names: list[str] = []
    dataset.visit(names.append)
    variables = ((name, _variable(dataset, name)) for name in sorted(names, key=lambda name: name.count("/")))
    return ", ".join(f"{name}{list(variable.shape)}" for name, variable in variables if variable is not None)


@dataclass(frozen=True)
class LiteValues:
    """A variable, and what stands for a missing value in it."""

    values: Array
    """One a sounding."""
    fills: tuple[float, ...]
    """What stands for missing ones."""
    plausible: tuple[float, float] = (-math.inf, math.inf)
    """Values beyond these are no measurement, whatever the file says of them."""

    def valid(self, at: NDArray[np.intp] | slice = slice(None)) -> Mask:
        """Return whether values are valid: not `missing_value`, not the fill value in force, finite."""
        values = self.values[at]
        valid = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        for fill in self.fills:
            valid &= values != fill
        return valid

    def believable(self, at: NDArray[np.intp] | slice = slice(None)) -> Mask:
        """Return whether values are valid and plausible."""
        least, most = self.plausible
        values = self.values[at]
        return self.valid(at) & (values >= least) & (values <= most)


def read_values(variable: h5py.Dataset, column: str) -> LiteValues:
    """Read the variable of a column."""
    values, attributes = variable[()], variable.attrs
    stated = [attributes[name] for name in ("missing_value", "_FillValue") if name in attributes]
    fills = [fill for attribute in stated if not isinstance(attribute, h5py.Empty) for fill in np.ravel(attribute)]
    if "_FillValue" not in attributes and values.dtype.itemsize > 1:  # bytes have no default fill value
        fills.append(default_fillvals[values.dtype.str[1:]])
    of_type = (_as_type(fill, values.dtype, variable.name) for fill in (*fills, USUAL_FILL))
    plausible = _variables()[column].get("plausible", (-math.inf, math.inf))
    return LiteValues(values, tuple(dict.fromkeys(fill for fill in of_type if fill is not None)), tuple(plausible))


def _as_type(fill: Any, dtype: np.dtype[Any], name: str) -> float | None:
    """A fill value in the type of the values; None where none of them can be equal to it."""
    number = np.asarray(fill).item()
    if isinstance(number, str | bytes):
        try:
            number = float(number)
        except ValueError as error:
            raise ValueError(f"missing value {number!r} of {name.lstrip('/')} is no number") from error
    if dtype.kind == "f":
        return dtype.type(number).item() if abs(number) <= float(np.finfo(dtype).max) else None
    if dtype.kind == "b" or not math.isfinite(number) or number != int(number):
        return None
    limits = np.iinfo(dtype)
    return int(number) if limits.min <= number <= limits.max else None
