"""The real soundings of OCO-2 orbit 11522 over the South-African Highveld (2016-08-31) as an OCO-2 Lite file.

What is published of them is place, xco2 and orbit, and at 16 of them the id, the met wind, surface pressure and water
vapour. The ids of all follow from the grid of the instrument (frames of a third of a second, rows of eight footprints)
and meet those that are known; wind, pressure and water are interpolated by latitude.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "oco2"))

from lite_granules import NAME, calendar, sounding_ids, write_lite

ORBIT = 11522
PUBLISHED = "peer_published_peaks.csv"
UNCERTAINTY_PPM = 0.65  # stated with the data
ROW_SLANT = 0.0575  # degrees of latitude per degree of longitude within a row of footprints
NEW_FRAME_DEG = 0.008  # rows are 0.019 degrees apart, footprints within one 0.0009
FOOTPRINT_DEG = -0.01294  # longitude from one footprint to the next
FIRST_FRAME_THIRDS = 4_417_933_571  # thirds of a second since 1970 of the first frame; by any of the known ids


def write_highveld_granule(real_data: Path, folder: Path) -> Path:
    """Write the 1,598 soundings into a Lite file of 2016-08-31 and return its path."""
    source = real_data / "oco2" / "orbit11522"
    soundings, known = read_columns(source / "soundings_dist300_800.csv"), read_columns(source / PUBLISHED)
    frame, footprint = instrument_grid(soundings["latitude"], soundings["longitude"])
    thirds = FIRST_FRAME_THIRDS + frame
    order = np.argsort(sounding_ids(thirds, footprint))
    n = len(order)
    columns = {
        "sounding_id": sounding_ids(thirds, footprint),
        "date": calendar(thirds),
        "latitude": soundings["latitude"],
        "longitude": soundings["longitude"],
        "time": thirds / 3,
        "xco2_quality_flag": np.zeros(n),
        "xco2": soundings["xco2"],
        "xco2_uncertainty": np.full(n, UNCERTAINTY_PPM),
        "Sounding/operation_mode": np.zeros(n),
        "Sounding/orbit": np.full(n, ORBIT),
        "Sounding/footprint": footprint,
        "Sounding/altitude": np.full(n, 1600.0),
        "Sounding/land_fraction": np.full(n, 100.0),
        "Sounding/land_water_indicator": np.zeros(n),
        "Retrieval/psurf": by_latitude(known, "surface_pressure", soundings["latitude"]),
        "psurf_apriori": by_latitude(known, "surface_pressure", soundings["latitude"]),
        "Retrieval/tcwv": by_latitude(known, "tcwv", soundings["latitude"]),
        "Meteorology/windspeed_u_met": by_latitude(known, "windspeed_u", soundings["latitude"]),
        "Meteorology/windspeed_v_met": by_latitude(known, "windspeed_v", soundings["latitude"]),
    }
    return write_lite(folder / NAME, {name: values[order] for name, values in columns.items()})


def instrument_grid(latitude: Any, longitude: Any) -> tuple[Any, Any]:
    """Frame (from 0, gaps counted) and footprint (1 to 8) of each sounding."""
    row = latitude - ROW_SLANT * longitude
    order = np.argsort(row)
    is_new = np.diff(row[order]) > NEW_FRAME_DEG
    group = np.empty(len(row), int)
    group[order] = np.concatenate([[0], np.cumsum(is_new)])
    step = np.diff(np.bincount(group, row) / np.bincount(group))
    frame = np.concatenate([[0], np.cumsum(np.rint(step / np.median(step)))]).astype(int)[group]
    in_full_row = (np.bincount(group) == 8)[group]
    middle = np.polynomial.Polynomial.fit(frame[in_full_row], longitude[in_full_row], 3)
    return frame, np.rint((longitude - middle(frame)) / FOOTPRINT_DEG + 4.5).astype(int)


def by_latitude(known: dict[str, Any], name: str, latitude: Any) -> Any:
    """A published column at other latitudes."""
    order = np.argsort(known["latitude"])
    return np.interp(latitude, known["latitude"][order], known[name][order])


def read_columns(path: Path) -> dict[str, Any]:
    """Columns of a CSV of numbers."""
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
