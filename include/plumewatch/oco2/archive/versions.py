"""The versions of Lite files: which collection a file belongs to, which are searched, which are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from plumewatch.errors import InputError
from plumewatch.reference.loading import read_reference

COLLECTIONS_FILE = "oco2_collections.yaml"


@dataclass(frozen=True)
class Collection:
    """One collection of Lite files in the archive: a sensor in a version of the processing."""

    sensor: str
    """Whose soundings they are, such as oco2, as file names begin."""
    short_name: str
    """Name of the product, such as OCO2_L2_Lite_FP."""
    version: str
    """Version, such as 11.2r."""
    concept_id: str | None
    """Its id at CMR; None where short name and version stand for it."""
    builds: tuple[str, ...]
    """What the build tags of its files begin with."""
    is_searched: bool
    """Whether CMR is asked for it."""
    is_read: bool
    """Whether its files are used."""

    @property
    def name(self) -> str:
        """Short name and version."""
        return f"{self.short_name} {self.version}"


@lru_cache(maxsize=1)
def collections() -> tuple[Collection, ...]:
    """Return all known collections, newest first."""
    known = []
    for entry in read_reference(COLLECTIONS_FILE)["collections"]:
        facts = {name: value for name, value in entry.items() if name != "source"}
        known.append(Collection(**{"concept_id": None} | facts | {"builds": tuple(entry["builds"])}))
    return tuple(known)


def collection_of(path: str, sensor: str, build: str) -> Collection:
    """Return the collection of a file by its sensor and its build tag: the longest prefix in the table decides.

    Raises InputError, naming the file, where the table has no such collection or says that it isn't read.

    >>> collection_of("oco2_LtCO2_190601_B11210Ar_240910224028s.nc4", "oco2", "B11210Ar").version
    '11.2r'
    """
    of_sensor = [entry for entry in collections() if entry.sensor == sensor]
    matches = [(len(prefix), entry) for entry in of_sensor for prefix in entry.builds if build.startswith(prefix)]
    if not of_sensor or not matches:
        what = f"build {build} of {sensor}" if of_sensor else f"a file of {sensor}"
        raise InputError(path, what, readable())
    entry = max(matches, key=lambda match: match[0])[1]
    if not entry.is_read:
        raise InputError(path, f"a file of {entry.name}, a known collection that is not read", readable())
    return entry


def readable() -> str:
    """Return what is read, in words."""
    builds: dict[str, list[str]] = {}
    for entry in collections():
        if entry.is_read:
            builds.setdefault(entry.sensor, []).extend(entry.builds)
    return "files of " + " or ".join(f"{sensor} of the builds {', '.join(sorted(builds[sensor]))}" for sensor in builds)
