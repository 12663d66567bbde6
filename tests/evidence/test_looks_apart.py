"""What counts as one look: areas that overlap, satellites in tandem, several detections of one pass."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from evidence_rows import SEEN, observation, passes, plume, rows_of, sources
from plumewatch.evidence.candidates import find_candidates
from plumewatch.evidence.estimates import estimate_sources
from plumewatch.evidence.passes import passes_of_key
from plumewatch.evidence.sights import sights_of_areas
from plumewatch.gases import CH4, CO2
from plumewatch.tables import MATCHES

OUTLINES = {"field": shapely.box(54, 38, 55, 39), "larger": shapely.box(53.9, 37.9, 55.1, 39.1)}
DAY_S = 86_400.0
LISTED = sources({"source_id": "own-1"})

Look = tuple[str, str, float]
"""Area, scene, and seconds after the first."""


def seen_in(*looks: Look, source_id: str | None) -> pa.Table:
    """SOURCE_PASSES of looks that each see the one plume."""
    names = [f"p{n}" for n in range(len(looks))]
    of_looks = [(area, scene, SEEN + timedelta(seconds=seconds)) for area, scene, seconds in looks]
    observed = pa.concat_tables([observation(area=a, scene_id=s, observed_at_utc=at) for a, s, at in of_looks])
    plumes = pa.concat_tables(
        [
            plume(name, scene_id=scene, observed_at_utc=at).append_column("area", pa.array([area]))
            for name, (area, scene, at) in zip(names, of_looks, strict=True)
        ]
    )
    usual = {"source_id": source_id, "rank": 1, "probability": 0.95, "false_detection_probability": 0.03, "status": "x"}
    matches = rows_of(MATCHES, [{"detection_id": name} for name in names], **usual)
    sights = sights_of_areas(observed.to_pylist(), OUTLINES, LISTED)
    return passes_of_key(CH4, sights, observed, matches, plumes)


def estimate(*looks: Look) -> dict[str, Any]:
    [row] = estimate_sources(CH4, seen_in(*looks, source_id="own-1"), LISTED).to_pylist()
    return {name: row[name] for name in ("times_observed", "times_seen", "emission", "emission_low", "emission_high")}


def test_a_pass_over_two_areas_that_overlap_is_one_look() -> None:
    alone = estimate(("field", "S2A", 0.0))
    assert alone["times_observed"] == alone["times_seen"] == 1
    assert estimate(("field", "S2A", 0.0), ("larger", "S2A", 0.0)) == alone
    twice = seen_in(("field", "S2A", 0.0), ("larger", "S2A", 0.0), source_id=None)
    assert find_candidates(CH4, twice).num_rows == 0, "seen once, it does not recur"


def test_a_pass_over_areas_that_overlap_and_saw_nothing_of_a_candidate_is_one_too() -> None:
    twice = seen_in(("field", "S2A 0", 0.0), ("larger", "S2A 5", 5 * DAY_S), source_id=None)
    times = {"scene_id": "S2A 9", "observed_at_utc": SEEN + timedelta(seconds=9 * DAY_S)}
    observed = pa.concat_tables([observation(area=area, **times) for area in OUTLINES])
    sights = sights_of_areas(observed.to_pylist(), OUTLINES, LISTED)
    unseen = passes_of_key(CH4, sights, observed, MATCHES.empty(), plume("p").slice(1))
    of_candidates = unseen.filter(pc.is_null(unseen["source_id"]))
    assert of_candidates.num_rows == 2
    [row] = find_candidates(CH4, pa.concat_tables([twice, of_candidates])).to_pylist()
    assert (row["times_observed"], row["times_seen"]) == (3, 2)


@pytest.mark.parametrize("seconds", [30.0, 300.0])
def test_satellites_in_tandem_are_two_looks(seconds: float) -> None:
    both = estimate(("field", "S2A", 0.0), ("field", "S2C", seconds))
    assert (both["times_observed"], both["times_seen"]) == (2, 2)
    assert both["emission"] == pytest.approx(2000.0, rel=0.3)


def test_faint_pieces_beside_a_peak_of_the_same_orbit_leave_the_emission_as_it_is() -> None:
    def peak(name: str, orbit: int, rate: float, latitude: float, probability: float) -> dict[str, Any]:
        return {"detection_id": name, "orbit": orbit, "sensor": "oco2", "longitude": 20.0, "latitude": latitude,
                "observed_at_utc": SEEN + timedelta(days=orbit), "probability": probability, "emission": rate,
                "emission_low": rate / 1.5, "emission_high": rate * 1.5, "detection_limit": 1.0,
                "wind_from_deg": 90.0}  # fmt: skip

    strong = [peak("1", 1, 6.0, 40.0, 0.9), peak("2", 17, 6.0, 40.0, 0.9)]
    faint = [peak("3", 1, 1.0, 40.05, 0.8), peak("4", 1, 1.0, 39.95, 0.8)]
    [alone], [beside] = (find_candidates(CO2, passes(*rows)).to_pylist() for rows in (strong, [*strong, *faint]))
    assert alone["times_seen"] == beside["times_seen"] == 2 and len(beside["detection_ids"]) == 4
    assert beside["emission"] == alone["emission"] == pytest.approx(6.0, rel=0.1)
