"""Which granules there are: Lite files in a folder or an S3 prefix, of each sensor the newest version of every day."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.oco2.archive.versions import collection_of
from plumewatch.orbits import OCO2, SENSOR_NAMES

VARIABLES_FILE = "oco2_lite_variables.yaml"
SUFFIX = ".nc4"
_STEM = r"(oco2|oco3|acos)_LtCO2_(\d{6})_(B\d{4,5}[A-Z]?r)_(\d{12})s"
LITE_NAME = re.compile(rf"{_STEM}\.nc4")
_PACKED = r"\.(zip|tar|tgz|tar\.gz|gz|bz2|xz)"
OTHER_LITE = re.compile(rf".*\.nc4|.*LtCO2.*(\.(nc|nc4|cdf|h5|he5|hdf|hdf5)({_PACKED})?|{_PACKED})", re.IGNORECASE)
"""Names of files that may be meant as granules, and aren't read; what lies beside one (.xml, .md5) is none."""
LITE_NAME_EXAMPLE = "oco2_LtCO2_190601_B11210Ar_240910224028s.nc4"

SensorDay = tuple[str, date]
"""A sensor and a UTC day, whose soundings are one Lite file."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatedContent:
    """What an archive's catalogue says of a file's content, to check a download by."""

    least_bytes: int
    """The file has at least so many bytes."""
    most_bytes: int
    """And at most so many; the same number where the catalogue states bytes."""
    checksum_algorithm: str | None = None
    """Such as sha256, as hashlib calls it; None where no checksum is stated that hashlib knows."""
    checksum: str | None = None
    """The checksum in hexadecimal digits."""


@dataclass(frozen=True)
class GranuleRef:
    """One Lite file: the soundings of one sensor on one UTC day."""

    name: str
    """File name, which is also its id in the tables."""
    path: str
    """Where it is, with the scheme of the folder that was listed; the address of a download."""
    date: date
    """UTC day of its soundings."""
    build: str
    """Build tag of the processing, such as B11210Ar."""
    produced: datetime
    """When it was produced (UTC)."""
    stated: StatedContent | None = None
    """What the catalogue of the archive says of it; None in a folder, or where it says nothing."""
    sensor: str = OCO2
    """Whose soundings they are, oco2 or oco3."""

    @property
    def month(self) -> str:
        """YYYY-MM."""
        return f"{self.date:%Y-%m}"

    @property
    def sensor_day(self) -> SensorDay:
        """Sensor and UTC day, of which one version counts."""
        return self.sensor, self.date


@dataclass(frozen=True)
class RefusedGranule:
    """A file that looks like a granule and can't serve."""

    name: str
    """File name."""
    path: str
    """Where it is."""
    error: InputError
    """What it is, and what is allowed."""
    month: str | None
    """YYYY-MM, None where the name doesn't tell."""


@dataclass(frozen=True)
class GranuleListing:
    """What a folder holds."""

    granules: tuple[GranuleRef, ...]
    """The newest of every sensor and UTC day, by day."""
    superseded: tuple[GranuleRef, ...]
    """Older versions and productions of those days, which are not used."""
    refused: tuple[RefusedGranule, ...]
    """Other sensors, unknown builds, names of another form."""


def parse_granule(path: str) -> GranuleRef:
    """Return what a file's name says; InputError where it is not the name of a Lite file that is read (versions.py).

    >>> str(parse_granule("/data/oco2_LtCO2_190601_B11210Ar_240910224028s.nc4").date)
    '2019-06-01'
    """
    name = path.rsplit("/", 1)[-1]
    match = LITE_NAME.fullmatch(name)
    if not match:
        raise InputError(path, "not the name of a Lite file", f"names such as {LITE_NAME_EXAMPLE}")
    sensor, day, build, produced = match.groups()
    collection_of(path, sensor, build)
    try:
        return GranuleRef(
            name,
            path,
            datetime.strptime(day, "%y%m%d").date(),
            build,
            datetime.strptime(produced, "%y%m%d%H%M%S").replace(tzinfo=UTC),
            sensor=sensor,
        )
    except ValueError as error:
        raise InputError(path, f"no date in its name ({error})", f"names such as {LITE_NAME_EXAMPLE}") from error


def read_listing(path: str, month: str | None = None) -> GranuleListing:
    """Return the granules in a folder, below a prefix, or the one file that `path` is, of one `month` if given.

    Of a sensor's UTC day only the newest counts: the higher build, then the later production. A prefix without objects
    is an empty listing; a local path that doesn't exist is an InputError, and so is a file of another kind. Hidden
    files, whose names begin with a dot, are still being written and don't count. Links to folders are followed; a file
    that by its name is a granule of another ending, packed or renamed, is refused.
    """
    if storage.is_local(path) and not storage.exists(path):
        raise InputError(path, "no such folder or file", "a folder, an s3:// prefix or a file of Lite granules")
    found: list[GranuleRef] = []
    refused: list[RefusedGranule] = []
    there = storage.visible_files(path)
    files = [file for file in there if file.endswith(SUFFIX)]
    if not files and storage.is_file(path):
        raise InputError(
            path, f"a file that isn't called *{SUFFIX}", f"a folder, or a file such as {LITE_NAME_EXAMPLE}"
        )
    names = {_name(file) for file in files}
    files += [file for file in there if not file.endswith(SUFFIX) and _is_other_lite(_name(file), names)]
    for file in sorted(files):
        name = _name(file)
        try:
            found.append(parse_granule(file))
        except InputError as error:
            refused.append(RefusedGranule(name, file, error, month_in_name(name)))
    return newest_of_each_day(found, refused, month)


def _name(file: str) -> str:
    return file.rsplit("/", 1)[-1]


def _is_other_lite(name: str, names: Collection[str]) -> bool:
    """Whether a file may be meant as a granule, and isn't the packed or renamed copy of one of `names`."""
    stem = re.search(_STEM, name)
    return OTHER_LITE.fullmatch(name) is not None and not (stem and stem[0] + SUFFIX in names)


def older_of_day(listing: GranuleListing, sensor_day: SensorDay) -> list[GranuleRef]:
    """Return a sensor's superseded granules of a UTC day, the newest first: what can serve where the newest is bad."""
    return sorted((g for g in listing.superseded if g.sensor_day == sensor_day), key=_age, reverse=True)


def newest_of_each_day(
    found: Sequence[GranuleRef], refused: Sequence[RefusedGranule], month: str | None = None
) -> GranuleListing:
    """Return the listing in which of a sensor's UTC day only the newest counts, narrowed to a month if one is given."""
    newest: dict[SensorDay, GranuleRef] = {}
    for granule in sorted(found, key=lambda g: (g.date, g.sensor, *_age(g))):
        newest[granule.sensor_day] = granule
    superseded = [g for g in found if newest[g.sensor_day] is not g]
    return GranuleListing(
        tuple(g for g in newest.values() if month in (None, g.month)),
        tuple(g for g in superseded if month in (None, g.month)),
        tuple(r for r in refused if month is None or r.month in (None, month)),
    )


def log_left_out(listing: GranuleListing) -> None:
    """Name in the log what a listing leaves out, and why."""
    used = {granule.sensor_day: granule.name for granule in listing.granules}
    for granule in listing.superseded:
        log.warning("%s is superseded by %s", granule.name, used[granule.sensor_day])
    for refused in listing.refused:
        log.warning("refused: %s", refused.error)


def sensor_day_in_name(name: str) -> SensorDay | None:
    """Return sensor and UTC day that the name of a Lite file tells, of whatever build; None where it is none.

    >>> sensor_day_in_name("oco3_LtCO2_190601_B99999r_240910224028s.nc4")
    ('oco3', datetime.date(2019, 6, 1))
    """
    match = LITE_NAME.fullmatch(name)
    day = _date(match) if match and match[1] in SENSOR_NAMES else None
    return (match[1], day) if match and day else None


def day_in_name(name: str) -> date | None:
    """Return the UTC day that the name of a Lite file tells; None where it is none."""
    told = sensor_day_in_name(name)
    return told[1] if told else None


def sensor_in_name(name: str) -> str:
    """Return the sensor that the name of a Lite file tells; OCO-2 where it is none."""
    told = sensor_day_in_name(name)
    return told[0] if told else OCO2


def month_in_name(text: str) -> str | None:
    """Return the month, YYYY-MM, that the name of a Lite file in a text tells; None where there is none."""
    match = re.search(_STEM, text)
    day = _date(match) if match else None
    return f"{day:%Y-%m}" if day else None


def _date(match: re.Match[str]) -> date | None:
    try:
        return datetime.strptime(match[2], "%y%m%d").date()
    except ValueError:
        return None


def _age(granule: GranuleRef) -> tuple[tuple[int, int], datetime, str]:
    """Sorts granules of one day, the newest last."""
    return _build_number(granule.build), granule.produced, granule.path


def _build_number(build: str) -> tuple[int, int]:
    """Main version and the rest of a build tag: B11210Ar is (11, 210), B9003r is (9, 3)."""
    digits = re.sub(r"\D", "", build)
    major = 1 if digits.startswith("9") else 2
    return int(digits[:major]), int(digits[major:])
