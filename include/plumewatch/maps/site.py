"""The map of all keys as a static site below `site/` of the storage root, for anybody: no login, no server, no links
into the house. `python -m plumewatch.maps.site` writes it; from then on every map that is drawn brings it up to date.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from plumewatch import storage
from plumewatch.errors import InputError, is_of_content
from plumewatch.gases import CH4, GASES, Gas
from plumewatch.maps.by_hand import write_by_hand
from plumewatch.maps.cells_shown import FORM, LAYERS, gas_offered, made_at, read_cells, unreadable
from plumewatch.maps.content import MapRows, detection_told, period_content
from plumewatch.maps.map_page import ASSETS, read_asset, render_served_map
from plumewatch.maps.plume_layers import ENHANCEMENT, draw_layer, enhancement_layer
from plumewatch.maps.site_rows import read_rows_together
from plumewatch.maps.stored_rows import read_map_rows, stored_keys, stored_picture
from plumewatch.models import Area
from plumewatch.pages.outcomes import FAILED_WHY_TEXT
from plumewatch.progress import followed
from plumewatch.statuses import ACCEPTED

SITE, INDEX, DATA = "site", "index.html", "data"
PROGRAM = "program.txt"
"""Beside the first page: the digest of the program that all of the site was written for."""
ALL = "all"
MAX_KEYS = 366  # so many of the last keys are shown as one
TITLE = "Emissions seen from space"

log = logging.getLogger(__name__)


def write_site(storage_root: str, areas: Sequence[Area] = ()) -> str:
    """Write the whole site from what is stored and return the path of its first page."""
    for name in ASSETS:
        storage.write_bytes(storage.join(storage_root, SITE, "assets", name), read_asset(name))
    for gas in GASES.values():
        keys = stored_keys(gas, storage_root)
        own = _of(gas, areas)
        _write_keys(gas, followed(keys, "keys of the site", "keys"), storage_root, own)
        _write_cells(gas, None, storage_root)
        _write_together(gas, None, keys, storage_root, own)
    index = _write_index(storage_root)
    storage.write_bytes(storage.join(storage_root, SITE, PROGRAM), _program().encode())  # last: all is of it now
    return index


def refresh_site(gas: Gas, keys: Sequence[str], storage_root: str, areas: Sequence[Area] = ()) -> bool:
    """Bring some keys of a gas up to date and return whether there is a site; where there is none, none is made.

    A site of another program is written anew as a whole: its files of other keys have another form.
    """
    if not storage.exists(storage.join(storage_root, SITE, INDEX)):
        return False
    program = storage.join(storage_root, SITE, PROGRAM)
    if not storage.exists(program) or storage.read_bytes(program).decode() != _program():
        write_site(storage_root, areas)
        return True
    listed = stored_keys(gas, storage_root)
    changed = [key for key in keys if key in listed]
    _write_keys(gas, changed, storage_root, _of(gas, areas))
    _write_cells(gas, None, storage_root)
    _write_together(gas, changed, listed, storage_root, _of(gas, areas))
    _write_index(storage_root)
    return True


@lru_cache
def _program() -> str:
    """The digest of what reads a site: its assets and its page without content."""
    page = render_served_map({"title": TITLE, "summary": ""}).encode()
    return hashlib.sha256(b"".join([*map(read_asset, ASSETS), page])).hexdigest()


def _of(gas: Gas, areas: Sequence[Area]) -> Sequence[Area]:
    return areas if gas is CH4 else ()


def _write_keys(gas: Gas, keys: Iterable[str], storage_root: str, areas: Sequence[Area]) -> None:
    folder = storage.join(storage_root, SITE, DATA, gas.name)
    for key in keys:
        rows = read_map_rows(gas, [key], storage_root, areas)
        _write(storage.join(folder, f"{key}.json"), _public(period_content(gas, [key], _without_waiting(rows))))
        _write(storage.join(folder, f"{key}.details.json"), _details(gas, key, rows, folder, storage_root))
        _write_cells(gas, key, storage_root)


def _write_cells(gas: Gas, key: str | None, storage_root: str) -> None:
    """The cells of a key, or (None) those that are the same for all, where what they are made of has changed."""
    folder = storage.join(storage_root, SITE, DATA, gas.name)
    for layer in LAYERS[gas.name]:
        if layer.is_monthly is not (key is not None):
            continue
        made = made_at(layer, key, storage_root)  # before it is read: what comes meanwhile is newer
        file = storage.join(folder, layer.file_name(key))
        noted, now = f"{file.removesuffix('.json')}.of.json", [FORM, made and made.isoformat()]
        if made and storage.exists(file) and storage.exists(noted) and storage.read_json(noted) == now:
            continue
        try:
            _write(file, read_cells(gas, layer, key, storage_root))
            storage.write_json(noted, now)
        except InputError as error:
            if not is_of_content(error):
                raise
            log.warning("%s: not on the site", error)
            _write(file, unreadable(layer))


def _write_together(
    gas: Gas, changed: Sequence[str] | None, listed: Sequence[str], storage_root: str, areas: Sequence[Area]
) -> None:
    if listed:
        together = listed[-MAX_KEYS:]
        rows = _without_waiting(read_rows_together(gas, together, changed, storage_root, areas))
        path = storage.join(storage_root, SITE, DATA, gas.name, f"{ALL}.json")
        _write(path, _public(period_content(gas, together, rows)))


def _details(gas: Gas, key: str, rows: MapRows, folder: str, storage_root: str) -> dict[str, Any]:
    """What the panels of a key's detections tell, by their ids on the map; their pictures are copied beside."""
    told: dict[str, Any] = {}
    for row in rows.detections.to_pylist():
        is_accepted, name = row["status"] == ACCEPTED, str(row[gas.id_column])
        own = {column: None if value != value else value for column, value in row.items()}
        details = detection_told(gas, own, rows.matches, rows.sources)
        picture = stored_picture(gas, row, storage_root) if is_accepted else None
        if picture:
            storage.write_bytes(storage.join(folder, key, f"{name}.png"), storage.read_bytes(picture))
        told[name if is_accepted else f"{name} {row['status']}"] = {
            "facts": details["facts"],
            "matches": details["matches"],
            "outline": details["geometry"],
            "sector": details["sector"],
            "picture": f"{DATA}/{gas.name}/{key}/{name}.png" if picture else None,
            "layers": _enhancement(gas, key, row, storage_root) if is_accepted else [],
            "links": [],
        }
    return told


def _enhancement(gas: Gas, key: str, row: Mapping[str, Any], storage_root: str) -> list[dict[str, str]]:
    """What can be laid under a plume, beside its picture: the methane; its scenes are for who runs it."""
    layer = enhancement_layer(gas, row, storage_root)
    if layer is None:
        return []
    try:
        drawn = draw_layer([layer], ENHANCEMENT)
    except InputError as error:
        log.warning("%s: not on the site", error)
        return []
    assert drawn is not None, "a layer of that name is given"
    href = f"{DATA}/{gas.name}/{key}/{row[gas.id_column]}.{ENHANCEMENT}.json"
    _write(storage.join(storage_root, SITE, href), drawn)
    return [{"label": layer.label, "href": href}]


def _without_waiting(rows: MapRows) -> MapRows:
    """What waits for a DAG, and why, concerns who runs it."""
    return replace(rows, waits_since_utc=None)


def _public(content: dict[str, Any]) -> dict[str, Any]:
    """The content without pointers to logs and tables that its readers can't open."""
    for one in content["looked_at"]:
        one["lines"] = [line for line in one["lines"] if FAILED_WHY_TEXT not in line]
    return content


def _write_index(storage_root: str) -> str:
    gases = [gas_offered(gas, stored_keys(gas, storage_root)) for gas in GASES.values()]
    content = {"feed": "site", "title": TITLE, "summary": "Reading ...", "gases": gases, "widths": [1], "max_keys": 0}
    path = storage.join(storage_root, SITE, INDEX)
    storage.write_bytes(path, render_served_map(content).encode())
    return path


def _write(path: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    storage.write_bytes(path, text.encode())


def main() -> int:
    """Command line: write the site of the settings' storage."""
    return write_by_hand(
        "python -m plumewatch.maps.site", __doc__, lambda storage_root, areas: [write_site(storage_root, areas)]
    )


if __name__ == "__main__":
    sys.exit(main())
