"""What each candidate's numbers came from, as files for a person: JSON of all, picture and raster of plumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from plumewatch import storage
from plumewatch.methane.detection import ACCEPTED
from plumewatch.methane.plumes import Plume
from plumewatch.methane.quantification import SECONDS_PER_HOUR, effective_wind_m_s
from plumewatch.methane.search import PassResult
from plumewatch.methane.thresholds import Thresholds, thresholds

SHOWN_WINDS_M_S = (2, 4, 6, 8)  # of the table of rates in the details


def write_details(root: str, keys: Mapping[str, str], results: Sequence[PassResult]) -> None:
    """Write what each candidate's numbers came from, picture and raster of plumes; remove those of a former run."""
    from plumewatch.methane.pictures import (  # matplotlib and GDAL only where something is drawn
        draw_plume,
        enhancement_cog,
    )

    folder = storage.partition_path(root, keys)
    written = set()
    for result in results:
        for plume in result.plumes:
            files = {".json": (json.dumps(_details(result, plume), indent=1, sort_keys=True) + "\n").encode()}
            if plume.candidate.status == ACCEPTED and result.detection is not None:
                files[".png"] = draw_plume(plume, result.target, result.detection)
                files[".tif"] = enhancement_cog(plume, result.target, result.detection)
            for suffix, content in files.items():
                path = storage.join(folder, plume.plume_id + suffix)
                storage.write_bytes(path, content)
                written.add(path.rsplit("/", 1)[-1])
    for path in storage.list_files(folder):
        if path.rsplit("/", 1)[-1] not in written:
            storage.delete(path)


def _details(result: PassResult, plume: Plume) -> dict[str, Any]:
    row = {name: value for name, value in plume.table_row.items() if name != "geometry"}
    row["observed_at_utc"] = result.observation["observed_at_utc"]
    limits = thresholds()
    detection = result.detection
    return row | {
        "platform": result.target.platform,
        "relative_orbit": result.target.relative_orbit,
        "air_mass_factor": result.target.air_mass_factor,
        "clear_fraction": result.target.clear_fraction,
        "significance": plume.candidate.significance,
        "scale_m": plume.candidate.scale_m,
        "noise_mol_m2": {f"{scale:g} m": sigma for scale, sigma in detection.noise_mol_m2.items()} if detection else {},
        "ime_sigma_kg": plume.mass.ime_sigma_kg,
        "ime_per_length_kg_m": dict(
            zip(("one_pixel_smaller", "mask", "one_pixel_larger"), plume.mass.ime_per_length_kg_m, strict=True)
        ),
        "emission_by_wind_kg_h": _emission_by_wind(plume, limits),
        "outline": plume.geometry.__geo_interface__,
        "emission_rule": limits["emission"],
        "calibration": limits.version,
    }


def _emission_by_wind(plume: Plume, limits: Thresholds) -> dict[str, float]:
    """Return the rate that each wind speed would give: what is known without one."""
    per_length = plume.mass.ime_per_length_kg_m[1]
    return {f"{u} m/s": float(effective_wind_m_s(u, limits)) * per_length * SECONDS_PER_HOUR for u in SHOWN_WINDS_M_S}
