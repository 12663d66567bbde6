"""What the page of a scene shows, as plain values: its anomalies, and what each method says of it.

The words are those of `pages.wording`; the page only places them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from plumewatch.constants import EARTH_RADIUS_KM
from plumewatch.gases import CH4, ISOLATION_FOREST
from plumewatch.geodesy import wrap_longitude
from plumewatch.methane.anomalies import NOISE
from plumewatch.pages.outcomes import outcome_text, sight_text
from plumewatch.pages.wording import (
    METHOD_TEXTS,
    area_text,
    chance_text,
    emission_text,
    interval_text,
    mass_text,
    place_text,
    probability_text,
    rate_text,
    status_text,
)
from plumewatch.statuses import ACCEPTED, SEARCHED, UNRATED

Row = Mapping[str, Any]

METHODS = CH4.methods
MAX_CANDIDATES = 100  # of a method: more outlines hide the scene and swell the file
UNITS_PER_DEGREE = 1_000_000  # places are whole numbers of a tenth of a metre
SCORE_UNITS = 10_000
DEFAULT_CELL_DEG = 20.0 / (np.pi / 180 * EARTH_RADIUS_KM * 1000)  # of the 20 m grid, where one row tells no spacing
NOT_RUN = "not run"
NOT_RECORDED = "outcome not recorded"
NOT_RATED = "not rated"


@dataclass(frozen=True)
class MethodRows:
    """What one method has stored of the area and date."""

    method: str
    """multi_pass, single_pass or isolation_forest."""
    plumes: pa.Table | None
    """Rows of `plumes` of all scenes of the date; None where the method has not been run."""
    observations: Sequence[Row] = ()
    """What the partition's manifest states of each pass."""
    files: Collection[str] = ()
    """Names of the files of details."""


def scene_content(
    area: str, date: str, scene_id: str, anomalies: pa.Table, methods: Sequence[MethodRows]
) -> dict[str, Any]:
    """Return what the page of one scene shows, from the rows of `anomalies` of that scene (at least one)."""
    longitude, latitude = (anomalies[name].to_numpy().astype(float) for name in ("longitude", "latitude"))
    west = float(wrap_longitude(longitude[0] + wrap_longitude(longitude - longitude[0]).min()))
    origin = west, float(latitude.min())
    clusters = anomalies["cluster"].to_numpy()
    n_clusters, n_noise = len(np.unique(clusters[clusters != NOISE])), int((clusters == NOISE).sum())
    return {
        "title": f"What stands out of {scene_id}",
        "summary": f"Area {area}, {date}: {len(clusters):,} unusual pixels, {n_noise:,} of them alone (grey), the "
        f"others in {n_clusters:,} cluster{'' if n_clusters == 1 else 's'}.",
        "area": area,
        "date": date,
        "scene_id": scene_id,
        "origin": origin,
        "units": UNITS_PER_DEGREE,
        "score_units": SCORE_UNITS,
        "cell_deg": _cell_deg(anomalies["row"].to_numpy(), latitude),
        "points": {
            **dict(zip("xy", _in_units(longitude, latitude, origin).T.tolist(), strict=True)),
            "score": np.round(anomalies["score"].to_numpy() * SCORE_UNITS).astype(int).tolist(),
            "cluster": clusters.tolist(),
        },
        "n_clusters": n_clusters,
        "n_noise": n_noise,
        "clusters_text": f"clusters ({n_clusters:,})",
        "noise_text": f"noise ({n_noise:,})",
        "methods": [_method(area, date, scene_id, rows, origin) for rows in methods],
    }


def _in_units(longitude: NDArray, latitude: NDArray, origin: tuple[float, float]) -> NDArray[np.int64]:
    """Return places as whole units east and north of the origin."""
    offset = np.column_stack([wrap_longitude(longitude - origin[0]), latitude - origin[1]])
    return np.round(offset * UNITS_PER_DEGREE).astype(np.int64)


def _cell_deg(row: NDArray, latitude: NDArray) -> float:
    rows = int(row.max() - row.min())
    spacing = float(latitude.max() - latitude.min()) / rows if rows else 0.0
    return spacing or DEFAULT_CELL_DEG


def _method(area: str, date: str, scene_id: str, rows: MethodRows, origin: tuple[float, float]) -> dict[str, Any]:
    """Return the table row of a method, and its candidates."""
    facts = {"method": rows.method, "name": METHOD_TEXTS[rows.method], "candidates": []}
    if rows.plumes is None:
        unknown = ("heading", "n_candidates", "n_accepted", "best", "rate", "interval", "refused", "more")
        return facts | dict.fromkeys(unknown, "") | {"state": NOT_RUN, "sight": NOT_RUN}
    found = [_known(row) for row in rows.plumes.to_pylist() if row["scene_id"] == scene_id]
    found.sort(key=_strongest_first)
    refused = Counter(row["status"] for row in found if row["status"] not in (ACCEPTED, UNRATED))
    rated = [row["probability"] for row in found if row["probability"] is not None]
    is_unrated = rows.method == ISOLATION_FOREST
    state, sight = _outcome(scene_id, rows.observations)
    folder = "/".join(["../../..", *(f"{k}={quote(v, safe='')}" for k, v in
                                     (("method", rows.method), ("area", area), ("date", date)))])  # fmt: skip
    plume = found[0] if found and found[0]["status"] == ACCEPTED else None  # of what isn't one no rate is said
    return facts | {
        "name": facts["name"] if state == outcome_text(CH4, {"outcome": SEARCHED}) else f"{facts['name']}: {state}",
        "state": state,
        "sight": ", ".join(filter(None, [state, sight])),
        "heading": f"{rows.method}: {len(found)} candidate{'' if len(found) == 1 else 's'}",
        "n_candidates": str(len(found)),
        "n_accepted": NOT_RATED if is_unrated else str(sum(row["status"] == ACCEPTED for row in found)),
        "best": NOT_RATED if is_unrated else chance_text(max(rated)) if rated else "",
        "rate": rate_text(CH4, plume["emission_kg_h"]) if plume else "",
        "interval": interval_text(CH4, *_emission(plume)[1:]) if plume else "",
        "refused": ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in sorted(refused.items())),
        "candidates": [_candidate(row, origin, folder, rows.files) for row in found[:MAX_CANDIDATES]],
        "more": "" if len(found) <= MAX_CANDIDATES else f"and {len(found) - MAX_CANDIDATES} weaker ones",
    }


def _known(row: Row) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in row.items()}


def _strongest_first(row: Row) -> tuple[Any, ...]:
    return (row["status"] != ACCEPTED, -(row["probability"] or 0.0), -(row["ime_kg"] or 0.0), row["plume_id"])


def _outcome(scene_id: str, observations: Sequence[Row]) -> tuple[str, str]:
    """Return what became of the search, and what could be seen.

    A pass of several scenes is stated under the first of them: of a scene with no row of its own all rows are said.
    """
    stated = [o for o in observations if o.get("scene_id") == scene_id] or observations
    outcomes = dict.fromkeys(outcome_text(CH4, o) for o in stated)
    return " or ".join(outcomes) or NOT_RECORDED, sight_text(CH4, stated[0]) if len(stated) == 1 else ""


def _emission(row: Row) -> tuple[Any, ...]:
    return tuple(row[f"emission_{name}"] for name in ("kg_h", "kg_h_low", "kg_h_high", "status"))


def _candidate(row: Row, origin: tuple[float, float], folder: str, files: Collection[str]) -> dict[str, Any]:
    name, is_accepted = row["plume_id"], row["status"] == ACCEPTED
    doubt = "" if is_accepted else ", if it is some"
    facts = [
        "" if row["probability"] is None else probability_text(row["probability"]),
        "" if row["ime_kg"] is None else f"{mass_text(row['ime_kg'])} of methane{doubt}",
        "" if row["area_m2"] is None else area_text(row["area_m2"]),
        emission_text(CH4, *_emission(row)) if is_accepted else "",
    ]
    return {
        "id": name,
        "place": place_text(row["longitude"], row["latitude"]),
        "at": _in_units(np.array([row["longitude"]]), np.array([row["latitude"]]), origin)[0].tolist(),
        "is_accepted": is_accepted,
        "status": status_text(row["status"]),
        "facts": ", ".join(fact for fact in facts if fact),
        "outline": _outline(row["geometry"], origin),
        "picture": f"{folder}/{quote(name)}.png" if f"{name}.png" in files else None,
        "details": f"{folder}/{quote(name)}.json" if f"{name}.json" in files else None,
    }


def _outline(geometry: bytes | None, origin: tuple[float, float]) -> list[list[int]]:
    """Return the rings of an outline, each as x, y, x, y ... in units from the origin."""
    if not geometry:
        return []
    parts = shapely.get_parts(shapely.from_wkb(geometry))
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors) if not part.is_empty]
    coordinates = [shapely.get_coordinates(ring) for ring in rings]
    return [_in_units(ring[:, 0], ring[:, 1], origin).ravel().tolist() for ring in coordinates]
