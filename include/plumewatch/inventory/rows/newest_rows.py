"""Which of several entries of one emitter in the user's own lists counts: the newest."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from plumewatch.errors import InputError, some_of
from plumewatch.geodesy import chord_to_distance_km, distance_to_chord, unit_vectors
from plumewatch.inventory.rows.power_plants import power_plant_factors
from plumewatch.inventory.rows.repeated_rows import meaning

POWER_PLANT = "power_plant"
OF_ANY_PLANT = {"power", "plant", "station", "powerplant", "generating", "thermal", "facility", "the"}
"""Words that one list writes behind a plant's name and another one doesn't."""
VALUES = ("fuel", "emission_t_y", "emission_t_y_sigma")
MAX_NAMED = 20  # entries in one line of the log

Said = dict[str, list[Any]]  # columns of rows

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
    said: Said = rows.to_dict("list")
    rank = [(year, written_at.get(file) or never) for year, file in zip(said["year"], said["file"], strict=True)]
    same = _same_emitters(rows, said)
    refused = _contradictions(said, same, rank)
    newest_first = sorted(same.keys() - refused.keys(), key=lambda i: (rank[i], -i), reverse=True)
    instead: dict[int, tuple[int, float]] = {}
    for index in newest_first:
        if index not in instead:
            of_older = ((i, km) for i, km in same[index].items() if i not in refused and rank[i] <= rank[index])
            instead |= {i: (index, km) for i, km in of_older if i not in instead}
    provenance = said["provenance"]
    told: dict[str, list[str]] = {}
    for old, (new, km) in sorted(instead.items()):
        provenance[new] += f"; instead of {_where(said, old)}, {km:.2f} km away"
        is_newer_file = said["year"][old] == said["year"][new] and rank[old] < rank[new]
        newer = f"{_where(said, new)}{', a newer file' if is_newer_file else ''}"
        told.setdefault(said["file"][old], []).append(
            f"{_where(said, old)} {said['name'][old]}: set aside for {newer}, {km:.2f} km away"
        )
    for file, texts in told.items():
        log.warning("%s: %d entries don't count: %s", file, len(texts), some_of(texts, MAX_NAMED))
    left = rows.assign(provenance=provenance).drop(index=[*instead, *refused])
    return Counted(left, tuple(text for texts in told.values() for text in texts), tuple(refused.values()))


def _same_emitters(rows: pd.DataFrame, said: Said) -> dict[int, dict[int, float]]:
    """For each row that is there with others: the rows that are the same emitter, and how far off they are (km)."""
    limit = distance_to_chord(power_plant_factors().plants.unit_distance_km)
    names = pd.Series(map(name_key, said["name"], said["kind"]), rows.index)
    points = unit_vectors(rows["longitude"].to_numpy(float), rows["latitude"].to_numpy(float))
    same: dict[int, dict[int, float]] = {}
    for indices in rows.groupby([rows["gas"], rows["kind"], names], sort=False).indices.values():
        if len(indices) == 1:
            continue
        for pair in cKDTree(points[indices]).query_pairs(limit):
            one, other = indices[list(pair)].tolist()
            if _is_same(said, one, other):
                km = float(chord_to_distance_km(np.linalg.norm(points[one] - points[other])))
                same.setdefault(one, {})[other] = same.setdefault(other, {})[one] = km
    return same


def _is_same(said: Said, one: int, other: int) -> bool:
    if said["identity"][one] == said["identity"][other]:
        return True
    fuels = {said["fuel"][one], said["fuel"][other]} - {""}
    return bool(said["file"][one] != said["file"][other]) and len(fuels) <= 1


def _contradictions(
    said: Said, same: Mapping[int, Mapping[int, float]], rank: list[tuple[float, datetime]]
) -> dict[int, InputError]:
    """The rows that say something else than one that is as new, where none is newer."""
    refused: dict[int, InputError] = {}
    for index in sorted(same):
        if any(rank[other] > rank[index] for other in same[index]):
            continue
        for other in sorted(same[index]):
            if index in refused or rank[index] != rank[other]:
                continue
            column = next((c for c in VALUES if meaning(said[c][index]) != meaning(said[c][other])), None)
            if column is not None:
                found = f"{column} of {said['name'][index]} is {meaning(said[column][index])!r}"
                found += f", but {meaning(said[column][other])!r} in {_where(said, other)}, which is as new"
                allowed = "one entry of an emitter, or a newer one by its year or its file's time"
                refused[index] = InputError(f"{said['file'][index]}:{said['line'][index]}", found, allowed)
    return refused


def _where(said: Said, index: int) -> str:
    """File, line and year of a row."""
    return f"{said['file'][index].rsplit('/', 1)[-1]}:{said['line'][index]} ({said['year'][index]:.0f})"


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
