"""Areas that somebody draws or uploads in the UI: read by the rules of area files, priced, and kept below `areas/`.

What comes from a browser is bounded and never becomes a path: it is read from a folder of its own, and what is kept is
written anew from what was read.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plumewatch import storage
from plumewatch.area_files import BESIDE_SHAPEFILE, JSON_SUFFIXES, NAME, PROPERTIES, name_of, read_features
from plumewatch.areas import grid_of, read_areas
from plumewatch.constants import METRES_PER_KM
from plumewatch.errors import InputError, ServiceError, reading
from plumewatch.keys import is_file_name
from plumewatch.maps.geojson import collection, feature, mapping
from plumewatch.models import Area, FailedScene
from plumewatch.sentinel2.scene_cost import bytes_of_scene, bytes_text, cost_lines, count_text
from plumewatch.settings import Settings

ZIP = ".zip"
SUFFIXES = (*JSON_SUFFIXES, ".gpkg", ZIP)
ALLOWED = "a GeoJSON (.geojson, .json), a GeoPackage (.gpkg) or a zipped Shapefile (.zip)"
MAX_BYTES = 2_000_000  # of a file: some 50,000 corners as GeoJSON
MAX_UNPACKED_BYTES = 10 * MAX_BYTES  # of a zip: coordinates are hardly packed
MAX_NAME = 100  # characters, of a folder
MAX_AREAS = 20  # of a file: each is searched for while somebody waits
BEGINNINGS = {
    ".gpkg": ("GeoPackage", re.compile(rb"SQLite format 3\0.{52}(GPKG|GP10|GP11)", re.DOTALL)),
    ".shp": ("Shapefile", re.compile(rb"\0\0\x27\x0a")),
}
"""How files begin that GDAL opens. Whatever a file is called, it goes by what is in it, and some of its formats name
further files and addresses. (OGC 12-128, 1.1.1.1.1: the application id; ESRI Shapefile Technical Description, 1998.)"""
BY_HAND = ("stac_api", "evalscript")
"""What leads to addresses and files: who may upload need not be who may reach them."""


@dataclass(frozen=True)
class NewAreas:
    """What a file of somebody's holds."""

    areas: tuple[Area, ...]
    """By name."""
    features: tuple[Mapping[str, Any], ...]
    """The same as GeoJSON, as they would be kept."""


def read_new_areas(file_name: str, content: bytes, settings: Settings) -> NewAreas:
    """Return the areas of a file that somebody uploads.

    Raises InputError, which names the file as its owner does: of another form or size, with what no area file may hold
    (`area_files`, `areas`), with the name of an area that there is already, or with what only files that are put into
    the folder by hand may state (BY_HAND).
    """
    suffix = Path(file_name).suffix.lower()
    if not is_file_name(file_name) or suffix not in SUFFIXES:
        raise InputError("the uploaded file", "another kind of file or name", ALLOWED)
    if len(content) > MAX_BYTES:
        raise InputError(file_name, f"{bytes_text(len(content))}", f"at most {bytes_text(MAX_BYTES)}")
    with TemporaryDirectory(prefix="plumewatch-") as folder:
        try:
            return _read(Path(folder), file_name, content, settings)
        except InputError as error:  # by the name that the file has where it comes from
            raise InputError(file_name, error.found.replace(f"{folder}/", ""), error.allowed) from error


def price(new: NewAreas, first: date, last: date, settings: Settings) -> list[str]:
    """Return in lines what the areas are, and what their scenes cost from `first` to `last`."""
    lines = []
    for area in new.areas:
        grid = grid_of(area)
        km2 = grid.width * grid.height * (grid.resolution_m / METRES_PER_KM) ** 2
        size = f"{grid.width:,} x {grid.height:,} cells of {grid.resolution_m:g} m ({km2:,.0f} km2)"
        lines.append(f"{area.name} ({area.catalogue}): {size}, at most {bytes_text(bytes_of_scene(area))} a scene")
    lines.append(f"From {first} to {last}:")
    return lines + cost_lines(new.areas, first, last, settings)


def outlines(areas: Sequence[Area]) -> dict[str, Any]:
    """Return areas as GeoJSON for a map."""
    return collection([feature(mapping(area.geometry), name=area.name) for area in areas])


def keep(new: NewAreas, settings: Settings, note: str) -> str:
    """Write the areas to `areas/` of the storage root and return the path; `note` says who brought them.

    Raises InputError where one of their names is taken by now.
    """
    folder = settings.table_root("areas")
    path = storage.join(folder, f"{new.areas[0].name}.geojson")
    features = [
        {**one, "properties": {**one["properties"], "note": one["properties"].get("note") or note}}
        for one in new.features
    ]
    with storage.lock(folder):
        _refuse_known([area.name for area in new.areas], settings)
        if storage.exists(path):
            raise InputError(
                "areas", f"{new.areas[0].name}.geojson is there already", "a name of its own for each area"
            )
        storage.write_json(path, collection(features))
    return path


def _read(folder: Path, file_name: str, content: bytes, settings: Settings) -> NewAreas:
    stem, suffix = Path(file_name).stem, Path(file_name).suffix.lower()
    file = folder / f"{_name(stem)}{suffix}"
    if suffix == ZIP:
        with reading(file_name, ALLOWED):
            file = _unpacked(folder, file_name, content)
    else:
        file.write_bytes(content)
    _check_beginning(file, file_name)
    stated = read_features(str(file))
    if len(stated) > MAX_AREAS:
        raise InputError(file_name, count_text(len(stated), "area"), f"at most {MAX_AREAS} in a file")
    features = [_feature(str(file), where, one) for where, one in stated]
    kept = folder / "kept.geojson"
    kept.write_text(json.dumps(collection(features)))
    areas = read_areas(str(kept))
    _refuse_known([area.name for area in areas], settings)
    by_name = {one["properties"]["name"]: one for one in features}
    return NewAreas(tuple(areas), tuple(by_name[area.name] for area in areas))


def _check_beginning(file: Path, file_name: str) -> None:
    """Refuse what isn't of the format that it is called by, before GDAL looks into it."""
    name, begins = BEGINNINGS.get(file.suffix, ("", None))
    if begins and not begins.match(file.read_bytes()):
        raise InputError(file_name, f"no {name} by how it begins", ALLOWED)


def _unpacked(folder: Path, file_name: str, content: bytes) -> Path:
    """The Shapefile of a zip: nothing else of it is unpacked, and each part under a name of ours."""
    packed = folder / "packed.zip"
    packed.write_bytes(content)
    with zipfile.ZipFile(packed) as archive:
        parts = [one for one in archive.infolist() if not one.is_dir() and not Path(one.filename).name.startswith(".")]
        shapes = [one for one in parts if one.filename.lower().endswith(".shp")]
        if len(shapes) != 1:
            raise InputError(file_name, count_text(len(shapes), "file") + " .shp", "one Shapefile in a zip")
        stem = shapes[0].filename[: -len(".shp")]
        endings = (".shp", *BESIDE_SHAPEFILE)
        own = [one for one in parts if one.filename.startswith(stem) and _ending(one, stem) in endings]
        if sum(one.file_size for one in own) > MAX_UNPACKED_BYTES:
            raise InputError(file_name, "more than that unpacked", f"at most {bytes_text(MAX_UNPACKED_BYTES)}")
        for one in own:
            if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
                raise InputError(
                    file_name, f"{one.filename} packed by method {one.compress_type}", "deflated or stored"
                )
            with archive.open(one) as part:  # at most what the zip states, whatever is packed
                content = part.read(one.file_size)
            (folder / f"{_name(Path(stem).name)}{_ending(one, stem)}").write_bytes(content)
    return folder / f"{_name(Path(stem).name)}.shp"


def _name(stem: str) -> str:
    """What a file is called here: as where it comes from, as features without a name are called so too."""
    return stem if NAME.fullmatch(stem) and len(stem) <= MAX_NAME else "area"


def _ending(part: zipfile.ZipInfo, stem: str) -> str:
    return part.filename[len(stem) :].lower()


def _feature(file: str, where: str, stated: Any) -> dict[str, Any]:
    """A feature as it is kept: what an area file may say, with its name."""
    properties = stated.get("properties") if isinstance(stated, dict) else None
    if not isinstance(properties, dict | None) or not isinstance(stated, dict):
        raise InputError(file, f"{where}: no feature with properties", "a Feature")
    known = {name: value for name, value in (properties or {}).items() if name in PROPERTIES and value is not None}
    if refused := [name for name in BY_HAND if name in known]:
        allowed = "files put into the folder by hand that state it; here areas of the catalogue in the settings"
        raise InputError(file, f"{where}: {', '.join(refused)}", allowed)
    return feature(stated.get("geometry"), **known | {"name": name_of(file, known)})


def _refuse_known(names: Sequence[str], settings: Settings) -> None:
    failures: list[FailedScene] = []
    there = {area.name for area in read_areas(*settings.area_folders, on_failure=failures.append)}
    if unread := next((one for one in failures if one.is_retryable), None):
        raise ServiceError(f"whether the names are taken isn't known: {unread.message}")
    there |= {one.area or Path(one.asset or "").stem for one in failures}  # areas too, once their files are mended
    if taken := [name for name in names if name in there]:
        raise InputError("areas", f"area {taken[0]!r} is there already", "a name of its own for each area")
