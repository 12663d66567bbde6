"""The form of an OCO-2 Lite file: its variables, their types, units and fill values (oco2_lite_format.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

FORMAT_FILE = "oco2_lite_format.json"
COMPRESSION = {"zlib": True, "complevel": 1, "shuffle": True}
# Dimensions that take their length from a variable of their own name, or from the one named here.
GROWING = {"sounding_id": "sounding_id", "source_files": "source_files", "frames": "L1b/frame_time"}


def write_lite_file(
    file: Path, values: Mapping[str, NDArray[Any]], made_at: datetime, rng: np.random.Generator
) -> None:
    """Write a Lite file with the variables `values` by path (such as Sounding/orbit); the others get typical noise."""
    layout = json.loads(resources.files("plumewatch.simulation").joinpath(FORMAT_FILE).read_text(encoding="utf-8"))
    sizes = layout["dimensions"] | {name: len(values[path]) for name, path in GROWING.items()}
    with netCDF4.Dataset(file, "w", format="NETCDF4") as target:
        target.setncatts(_attributes(made_at))
        for entry in layout["variables"]:
            group, _, name = entry["path"].rpartition("/")
            parent = target.createGroup(group) if group else target
            # The group L1b counts frames and has that dimension to itself; all others are the root's.
            owner = parent if entry["dims"] == ["frames"] else target
            for dimension in entry["dims"]:
                if dimension not in owner.dimensions:
                    owner.createDimension(dimension, sizes[dimension])
            content = values.get(entry["path"])
            if content is None:
                mean, spread = entry["typical"]
                content = mean + spread * rng.standard_normal(sizes["sounding_id"])
            _write_variable(parent, name, entry, content)


def _write_variable(parent: Any, name: str, entry: dict[str, Any], content: NDArray[Any]) -> None:
    is_text = entry["dtype"] == "str"
    packed = {} if is_text or entry["dims"] == [name] else COMPRESSION
    variable = parent.createVariable(name, str if is_text else entry["dtype"], tuple(entry["dims"]), **packed)
    variable.setncatts({key: entry[key] for key in ("units", "long_name", "comment") if entry.get(key)})
    if entry["missing"] is not None:
        variable.setncattr("missing_value", _missing_value(entry["missing"], entry["dtype"]))
    variable[:] = content if is_text else np.asarray(content).astype(entry["dtype"])


def _missing_value(value: Any, dtype: str) -> Any:
    if dtype == "str":
        return value
    if dtype.startswith("u") and value < 0:
        return np.int8(value)  # unsigned variables with the missing value -1 are what real files have
    return np.dtype(dtype).type(value)


def _attributes(made_at: datetime) -> dict[str, Any]:
    return {
        "title": "ACOS L2 Lite Output",
        "Platform": "OCO-2",
        "Sensor": "OCO-2",
        "BuildId": "B11.2.10",
        "CollectionLabel": "OCO2_L2_Lite_FP_11.2r",
        "identifier_product_doi_authority": "http://dx.doi.org/",
        "creation_date": f"{made_at:%b %Y}",
        "filtering_state": "unfiltered",
        "history": "Made up by plumewatch.simulation: nothing in this file was measured.",
    }
