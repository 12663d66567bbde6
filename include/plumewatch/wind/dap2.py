"""Answers of OPeNDAP servers in the Data Access Protocol 2.0 (ESE-RFC-004): attributes (.das) and arrays (.dods).

Read here and not by the client inside netCDF4: that one has no time limit and tells neither HTTP status nor a busy
server from a missing file.
"""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from plumewatch.errors import ServiceError

VARIABLE = re.compile(r"(\w+)\s*\{([^{}]*)\}")
ATTRIBUTE = re.compile(r'\w+\s+(\w+)\s+"?([^";]*)"?\s*;')
ARRAY = re.compile(r"(\w+)\s+(\w+)((?:\s*\[[^\]]*\])+)\s*;")
DIMENSION = re.compile(r"\[\s*(?:\w+\s*=\s*)?(\d+)\s*\]")
# XDR: big-endian, and nothing narrower than four bytes but bytes and texts, which no wind is.
XDR_TYPES = {"Int16": ">i4", "UInt16": ">u4", "Int32": ">i4", "UInt32": ">u4", "Float32": ">f4", "Float64": ">f8"}
DATA = re.compile(rb"\nData:\s?\r?\n")
LENGTH_BYTES = 8  # the number of values, twice
FIRST_WORDS = 300  # characters of an unexpected answer that a message quotes


def parse_das(answer: bytes, source: str) -> dict[str, dict[str, str]]:
    """Return the attributes of each variable that a .das answer describes, as texts; `source` is named in errors."""
    if not re.match(rb"\s*Attributes\s*\{", answer):
        raise _unexpected(answer, source)
    text = answer.decode("utf-8", "replace").split("{", 1)[1]
    return {name: dict(ATTRIBUTE.findall(content)) for name, content in VARIABLE.findall(text)}


def parse_dods(answer: bytes, source: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a .dods answer by name; of arrays with one name, the maps of grids, the first.
    Their numbers are as they are stored.

    Raises ServiceError, which is retryable, where the answer is an error message or ends too early.
    """
    parts = DATA.split(answer, maxsplit=1)
    declared = _declared(parts[0], source)
    if len(parts) < 2:
        raise _unexpected(answer, source)
    content, place = parts[1], 0
    arrays: dict[str, NDArray[np.generic]] = {}
    for kind, name, shape in declared:
        if kind not in XDR_TYPES:
            raise ServiceError(f"{source}: {name} is of type {kind}; allowed: {', '.join(XDR_TYPES)}")
        size, dtype = math.prod(shape), np.dtype(XDR_TYPES[kind])
        end = place + LENGTH_BYTES + size * dtype.itemsize
        if len(content) < end:
            raise ServiceError(f"{source}: the answer ends inside {name}, {end - len(content)} bytes are missing")
        stated = np.frombuffer(content, ">u4", 2, place)
        if (stated != size).any():
            raise ServiceError(f"{source}: {name} has {stated.tolist()} values where its declaration says {size}")
        values = np.frombuffer(content, dtype, size, place + LENGTH_BYTES).astype(dtype.newbyteorder("="))
        arrays.setdefault(name, values.reshape(shape))
        place = end
    return arrays


def _declared(text: bytes, source: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """Type, name and shape of the arrays, in the order of the data."""
    if not text.lstrip().startswith(b"Dataset"):
        raise _unexpected(text, source)
    return [
        (kind, name, tuple(int(size) for size in DIMENSION.findall(dimensions)))
        for kind, name, dimensions in ARRAY.findall(text.decode("ascii", "replace"))
    ]


def _unexpected(answer: bytes, source: str) -> ServiceError:
    """A server answers an error with status 200: `Error {...}` or a page that says what is wrong."""
    words = re.sub(r"<[^>]*>", " ", answer[: 4 * FIRST_WORDS].decode("utf-8", "replace"))
    return ServiceError(f"{source}: not a DAP2 answer: {' '.join(words.split())[:FIRST_WORDS]!r}")
