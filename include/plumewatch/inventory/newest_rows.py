"""Which of several entries of one emitter in the user's own lists counts: the newest."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from plumewatch.errors import InputError, some_of
from plumewatch.geodesy import chord_to_distance_km, distance_to_chord, unit_vectors
from plumewatch.inventory.power_plants import power_plant_factors
from plumewatch.inventory.repeated_rows import meaning

POWER_PLANT = "power_plant"
OF_ANY_PLANT = {"power", "plant", "station", "powerplant", "generating", "thermal", "facility", "the"}
"""Words that one list writes behind a plant's name and another one doesn't."""
VALUES = ("fuel", "emission_t_y", "emission_t_y_sigma")
MAX_NAMED = 20  # entries in one line of the log

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counted:
    """What is left of the entries."""

    rows: pd.DataFrame
    """Each emitter once; the provenance says instead of what it counts."""
    set_aside: tuple[str, ...]
    """A sentence for each entry that a newer one replaces."""
    contradictions: tuple[InputError, ...]
    """Entries of which none is newer, and that say different things: none of them counts."""


def newest_rows(rows: pd.DataFrame, written_at: Mapping[str, datetime | None]) -> Counted:
    """Return the entries that count; `written_at` tells when each file was written.

    Entries of two files are one emitter where gas, kind and name are the same, capitals, accents and words such as
    "power station" aside, the fuels are too (or one says none), and the places are no farther apart than units of a
    plant (1 km: a place with two decimals is up to 0.8 km off); and two rows of one file where name, gas, kind and
    place are exactly the same. What has another name or number, `Unit 1` and `Unit 2`, is another emitter, however
    near. Of one emitter the latest `year` counts, then the file that was written last.

    The rows have the columns of the table `sources`, `file`, `line` (where they are from) and `identity` (name, gas,
    kind and place, in one spelling); their index counts from 0.
    """
    never = datetime.min.replace(tzinfo=UTC)
    written = [written_at.get(file) or never for file in rows["file"]]
    rank = list(zip(rows["year"].tolist(), written, strict=True))
    same = _same_emitters(rows)
    refused = _contradictions(rows, same, rank)
    newest_first = sorted(same.keys() - refused.keys(), key=lambda i: (rank[i], -i), reverse=True)
    instead: dict[int, tuple[int, float]] = {}
    for index in newest_first:
        if index not in instead:
            of_older = ((i, km) for i, km in same[index].items() if i not in refused and rank[i] <= rank[index])
            instead |= {i: (index, km) for i, km in of_older if i not in instead}
    provenance = rows["provenance"].tolist()
    told: dict[str, list[str]] = {}
    for old, (new, km) in sorted(instead.items()):
        provenance[new] += f"; instead of {_where(rows, old)}, {km:.2f} km away"
        is_same_year = rows["year"][old] == rows["year"][new]
        newer = f"{_where(rows, new)}{', a newer file' if is_same_year and rank[old] < rank[new] else ''}"
        told.setdefault(rows["file"][old], []).append(
            f"{_where(rows, old)} {rows['name'][old]}: set aside for {newer}, {km:.2f} km away"
        )
    for file, said in told.items():
        log.warning("%s: %d entries don't count: %s", file, len(said), some_of(said, MAX_NAMED))
    left = rows.assign(provenance=provenance).drop(index=[*instead, *refused])
    return Counted(left, tuple(one for said in told.values() for one in said), tuple(refused.values()))


def _same_emitters(rows: pd.DataFrame) -> dict[int, dict[int, float]]:
    """For each row that is there with others: the rows that are the same emitter, and how far off they are (km)."""
    limit = distance_to_chord(power_plant_factors().plants.unit_distance_km)
    names = [name_key(name, kind) for name, kind in zip(rows["name"], rows["kind"], strict=True)]
    same: dict[int, dict[int, float]] = {}
    for _, group in rows.groupby([rows["gas"], rows["kind"], pd.Series(names, rows.index)], sort=False):
        if len(group) == 1:
            continue
        points = unit_vectors(group["longitude"].to_numpy(float), group["latitude"].to_numpy(float))
        for a, b in cKDTree(points).query_pairs(limit):
            one, other = group.index[a], group.index[b]
            if _is_same(rows, one, other):
                km = float(chord_to_distance_km(np.linalg.norm(points[a] - points[b])))
                same.setdefault(one, {})[other] = same.setdefault(other, {})[one] = km
    return same


def _is_same(rows: pd.DataFrame, one: int, other: int) -> bool:
    if rows["identity"][one] == rows["identity"][other]:
        return True
    fuels = {rows["fuel"][one], rows["fuel"][other]} - {""}
    return bool(rows["file"][one] != rows["file"][other]) and len(fuels) <= 1


def _contradictions(
    rows: pd.DataFrame, same: Mapping[int, Mapping[int, float]], rank: list[tuple[float, datetime]]
) -> dict[int, InputError]:
    """The rows that say something else than one that is as new, where none is newer."""
    refused: dict[int, InputError] = {}
    for index in sorted(same):
        if any(rank[other] > rank[index] for other in same[index]):
            continue
        for other in sorted(same[index]):
            column = next((c for c in VALUES if meaning(rows[c][index]) != meaning(rows[c][other])), None)
            if column is not None and rank[index] == rank[other] and index not in refused:
                found = f"{column} of {rows['name'][index]} is {meaning(rows[column][index])!r}"
                found += f", but {meaning(rows[column][other])!r} in {_where(rows, other)}, which is as new"
                allowed = "one entry of an emitter, or a newer one by its year or its file's time"
                refused[index] = InputError(f"{rows['file'][index]}:{rows['line'][index]}", found, allowed)
    return refused


def _where(rows: pd.DataFrame, index: int) -> str:
    """File, line and year of a row."""
    return f"{rows['file'][index].rsplit('/', 1)[-1]}:{rows['line'][index]} ({rows['year'][index]:.0f})"


def name_key(name: str, kind: str) -> str:
    """Return what two spellings of an emitter's name share; numbers and letters that tell units apart stay.

    >>> name_key("Kendal Power Station", "power_plant"), name_key("KÉNDAL", "power_plant")
    ('kendal', 'kendal')
    >>> name_key("Well-07", "oil_and_gas"), name_key("Gas plant", "oil_and_gas"), name_key("Unit II", "power_plant")
    ('well 7', 'gas plant', 'unit ii')
    """
    letters = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    words = [w.lstrip("0") or "0" if w.isdigit() else w for w in re.findall(r"[^\W\d_]+|\d+", letters)]
    telling = [w for w in words if w not in OF_ANY_PLANT] if kind == POWER_PLANT else words
    return " ".join(telling or words) or letters
