"""What the soundings around a peak say of its source: the Gaussian plume of the likely ones, inverted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from plumewatch.errors import InputError
from plumewatch.gases import CO2
from plumewatch.matching.candidates import CELL, CITY, ListedSources
from plumewatch.matching.rule import matching_rule
from plumewatch.models import FailedScene
from plumewatch.oco2.gaussian_plume import PlumeSource
from plumewatch.oco2.granules.soundings import OrbitFiles, OrbitReader
from plumewatch.oco2.plume_inversion import NO_ENHANCEMENT, estimate_source_emission
from plumewatch.orbits import OCO2, good_soundings
from plumewatch.statuses import MATCHING_STAGE, RATED, UNKNOWN_SOURCE

OrbitFilesByKey = Mapping[tuple[str, int], OrbitFiles]
"""Files of an orbit by sensor and number."""
OnFailure = Callable[[FailedScene], None]

NAME = "plume_model_emission"

log = logging.getLogger(__name__)


def orbit_files(orbits: Iterable[OrbitFiles]) -> OrbitFilesByKey:
    """Return the files of orbits by sensor and number."""
    return {one.key: one for one in orbits}


class EmissionReader:
    """Adds the inversion to matches, orbit by orbit."""

    def __init__(self, orbits: OrbitFilesByKey) -> None:
        self._orbits, self._reader, self._failed = orbits, OrbitReader(), set[str]()

    def added(self, matches: pa.Table, detections: pa.Table, listed: ListedSources, on_failure: OnFailure) -> pa.Table:
        """Return matches with `plume_model_emission` of each detection's first source, where its soundings are stored.

        The other sources that take part in the plume keep what is expected of them. Of unknown sources, of grid cells,
        and without a wind of 2 m/s there is none. An orbit whose soundings can't be read is told, once.
        """
        rule = matching_rule(CO2.name)
        place_of = {id_: at for at, id_ in enumerate(listed.ids.to_pylist())}
        no_point = {None, *listed.ids.filter(pa.array(listed.kind == CELL)).to_pylist()}
        seen = {row["detection_id"]: row for row in detections.to_pylist()}
        values = {end: np.full(len(matches), np.nan) for end in ("", "_low", "_high")}
        rows = matches.select(["detection_id", "source_id", "rank", "probability", "expected_emission", "status"])
        by_detection: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        for at, row in enumerate(rows.to_pylist()):
            likely = row["rank"] == 1 or row["probability"] >= rule.min_shared_probability
            if row["source_id"] not in no_point and likely and row["status"] != UNKNOWN_SOURCE:
                by_detection.setdefault(row["detection_id"], []).append((at, row))
        for id_, ((at, first), *others) in by_detection.items():
            soundings = self._soundings(seen[id_], on_failure) if first["rank"] == 1 else None
            if soundings is None:
                continue
            taking_part = (first, *(row for _, row in others))
            own, *further = (_plume_source(listed, place_of[r["source_id"]], r) for r in taking_part)
            u, v = seen[id_]["wind_u_m_s"], seen[id_]["wind_v_m_s"]
            wind = None if u is None or v is None else (u, v)
            try:
                found = estimate_source_emission(soundings, own, further, wind=wind)
            except Exception as error:  # what is odd in one orbit must not take the others along
                log.exception("%s", id_)
                on_failure(FailedScene.from_exception(error, scene_id=id_, stage=MATCHING_STAGE))
                continue
            if found.status in (RATED, NO_ENHANCEMENT):
                for end, column in values.items():
                    column[at] = getattr(found, f"emission_kt_h{end}")
        for end, column in values.items():
            index = matches.column_names.index(NAME + end)
            matches = matches.set_column(index, NAME + end, pa.array(column, mask=np.isnan(column)))
        return matches

    def _soundings(self, detection: Mapping[str, Any], on_failure: OnFailure) -> pa.Table | None:
        orbit = self._orbits.get((detection["sensor"] or OCO2, detection["orbit"]))
        if orbit is None or orbit.name in self._failed:
            return None
        try:
            soundings = self._reader.read(orbit)
        except (InputError, OSError) as error:
            self._failed.add(orbit.name)
            on_failure(FailedScene.from_exception(error, scene_id=orbit.name, stage=MATCHING_STAGE))
            return None
        return good_soundings(soundings)


def _plume_source(listed: ListedSources, at: int, match: Mapping[str, Any]) -> PlumeSource:
    rule = matching_rule(CO2.name)
    emission = match["expected_emission"]  # at that hour, kt/h
    width = rule.city_width_km if listed.kind[at] == CITY else 0.0
    return PlumeSource(float(listed.longitude[at]), float(listed.latitude[at]), emission, width)
