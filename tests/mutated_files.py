"""Files with bytes, numbers and values changed by chance, as a disk, a network or a hand may change them."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
NO_NUMBERS = (b"1e999", b"-1", b"NaN", b"null", b'"x"', b"[]", b"{}", b"9" * 25, b"0", b"true")
SIZES = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x08")
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e999, float("nan"), "x", "", [], {}, [1], {"a": 1}, "../x", "/etc/passwd", 10**30, "\0",
    "\ud800", "0001-01-01T00:00:00-12:00", "9999-12-31T23:59:59+00:00", [[]], [None], 1.5, -1e308,
)  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return bytes, some of them changed, cut out, put in, doubled, or replaced by what sizes and numbers can't be."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 30])):
        changed = changed or bytearray(1)
        at = rng.randrange(len(changed))
        kind = rng.randrange(8)
        if kind == 0:
            changed[at] = rng.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            changed[at:at] = changed[at : at + rng.randrange(1, 200)]
        elif kind == 5:
            changed[at : at + rng.choice([1, 2, 4, 8])] = rng.choice(SIZES)
        elif kind == 6:
            numbers = list(NUMBER.finditer(changed, at)) or list(NUMBER.finditer(changed))
            if numbers:
                changed[numbers[0].start() : numbers[0].end()] = rng.choice(NO_NUMBERS)
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """Return JSON of which some values, or objects and lists of them, were replaced or taken out."""
    document = json.loads(content)
    for _ in range(rng.choice([1, 1, 3])):
        places: list[tuple[Any, Any]] = []
        find_places(document, places)
        if places:
            holder, key = rng.choice(places)
            if rng.random() < 0.15:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return json.dumps(document).encode()


def find_places(holder: Any, places: list[tuple[Any, Any]]) -> None:
    """Put into `places` where values stand in a JSON: what holds each, and the key."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
    for key in keys:
        places.append((holder, key))
        find_places(holder[key], places)
