"""What each candidate's numbers came from, as files for a person: JSON of all, pictures, rasters of plumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plumewatch import storage
from plumewatch.methane.details.facts import plume_facts
from plumewatch.methane.details.scene_pages import SUFFIX
from plumewatch.methane.pass_search import PassResult
from plumewatch.methane.plumes import Plume
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import ACCEPTED

MAX_REFUSED_PICTURES = 3  # of a pass: an operator wants to see why, and hundreds of clouds tell no more


def write_details(root: str, keys: Mapping[str, str], results: Sequence[PassResult]) -> None:
    """Write JSON of every candidate, the enhancement of every plume, and pictures; remove those of a former run.

    A picture is drawn of every accepted plume and of the strongest refused candidates of each pass.
    """
    folder = storage.partition_path(root, keys)
    written = set()
    for result in results:
        pictured = {plume.plume_id for plume in _pictured(result.plumes)}
        for plume in result.plumes:
            for suffix, content in _files(result.near(plume), plume, keys, plume.plume_id in pictured).items():
                storage.write_bytes(storage.join(folder, plume.plume_id + suffix), content)
                written.add(plume.plume_id + suffix)
    for path in storage.list_files(folder):
        name = path.rsplit("/", 1)[-1]
        if name not in written and not name.endswith(SUFFIX):  # pages have a writer of their own
            storage.delete(path)


def _files(result: PassResult, plume: Plume, keys: Mapping[str, str], is_pictured: bool) -> dict[str, bytes]:
    """Return the files of a candidate by the end of their names."""
    files = {".json": storage.json_bytes(plume_facts(result, plume, plume_thresholds()) | dict(keys))}
    if result.detection is not None and is_pictured:
        from plumewatch.methane.details.pictures import draw_plume  # matplotlib only where something is drawn

        files[".png"] = draw_plume(plume, result.target, result.detection, result.references)
    if result.detection is not None and plume.candidate.status == ACCEPTED:
        from plumewatch.methane.details.enhancement_raster import enhancement_cog  # as is GDAL

        files[".tif"] = enhancement_cog(plume, result.target, result.detection)
    return files


def _pictured(plumes: Sequence[Plume]) -> list[Plume]:
    """Return the accepted plumes and the strongest of the others: by significance, else by mass."""
    refused = [plume for plume in plumes if plume.candidate.status != ACCEPTED]
    refused.sort(key=lambda p: (-(p.candidate.significance or 0.0), -p.mass.ime_kg, p.plume_id))
    return [p for p in plumes if p.candidate.status == ACCEPTED] + refused[:MAX_REFUSED_PICTURES]
