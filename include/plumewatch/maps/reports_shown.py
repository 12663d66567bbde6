"""What others saw near a map's detections and areas, about the map's time, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely

from plumewatch.evidence.rule import evidence_rule
from plumewatch.gases import Gas
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.keys import DAY
from plumewatch.maps.geojson import rounded
from plumewatch.maps.map_style import STYLES
from plumewatch.models import Area
from plumewatch.pages.wording import place_text, rate_text, time_text

Row = Mapping[str, Any]

MAX_REPORTS = 500  # the nearest in time
LONGEST_MONTH = timedelta(days=31)


def reports_shown(
    gas: Gas, key: str, reports: Sequence[Row], places: Sequence[tuple[float, float]], areas: Sequence[Area]
) -> list[dict[str, Any]]:
    """Return what is shown of rows of `reported_plumes` (with `provider`) of the gas.

    These are the ones within 30 days of the key (a day or month), in an area or as near to a detection (`places`,
    longitude and latitude) as sources are shown.
    """
    of_gas = [r for r in reports if r["gas"] == gas.name]
    if not of_gas:
        return []
    days = timedelta(days=evidence_rule().reports.within_days)
    first = datetime.strptime(key, gas.key_format).replace(tzinfo=UTC)
    last = first + (timedelta(days=1) if gas.key_format == DAY else LONGEST_MONTH)
    near = [r for r in of_gas if first - days <= r["observed_at_utc"] <= last + days]
    if not near:
        return []
    lon, lat = (np.array([r[name] for r in near], float) for name in ("longitude", "latitude"))
    is_shown = np.zeros(len(near), bool)
    for area in areas:
        is_shown |= shapely.contains_xy(area.geometry, lon, lat)
    for place in places:
        is_shown |= great_circle_distance_km(*place, lon, lat) <= STYLES[gas.name].source_radius_km
    chosen = [r for r, is_one in zip(near, is_shown, strict=True) if is_one]
    chosen.sort(key=lambda r: (abs(r["observed_at_utc"] - first), r["report_id"]))
    return [_shown(gas, r) for r in sorted(chosen[:MAX_REPORTS], key=lambda r: r["report_id"])]


def _shown(gas: Gas, report: Row) -> dict[str, Any]:
    emission, sigma = report["emission_kg_h"], report["emission_sigma_kg_h"]
    rate = rate_text(gas, None if emission is None else emission * gas.units_per_kg_h)
    if emission is not None and sigma is not None:
        rate += f" ± {rate_text(gas, sigma * gas.units_per_kg_h)}"
    facts = [
        ["seen by", report["provider"]], ["with", report["platform"]], ["sector", report["sector"]],
        ["licence", report["licence"]], ["place", place_text(report["longitude"], report["latitude"])],
        ["id", report["report_id"]],
    ]  # fmt: skip
    return {
        "id": report["report_id"],
        "provider": report["provider"],
        "licence": report["licence"],
        "lon": rounded(report["longitude"]),
        "lat": rounded(report["latitude"]),
        "time": time_text(report["observed_at_utc"]),
        "rate_text": rate,
        "facts": [[label, str(text)] for label, text in facts if text],
    }


def report_licences(shown: Sequence[Row]) -> list[str]:
    """Return whom the reports that are shown are from."""
    return sorted({f"Reported plumes: {r['provider']} ({r['licence'] or 'no licence stated'})" for r in shown})
