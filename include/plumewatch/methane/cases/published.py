"""Published methane emissions that Sentinel-2 or Landsat saw, and how a result stands beside them.

The cases are `reference/methane_published_cases.csv`: controlled releases with a metered rate first, then plumes whose
rate others have estimated. Each row says where its figures are from and under which licence.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import shapely

from plumewatch.errors import ConfigurationError, InputError
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.reference.loading import read_reference
from plumewatch.sensors.landsat import LANDSAT
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.statuses import ACCEPTED, DETECTED, NO_INPUT, NOT_DETECTED, SEARCHED

FILE = "methane_published_cases.csv"
MARSS2L = "MARS-S2L"
ALL_TEAMS = "all teams"
"""Stands for every team that took part, where the publication doesn't name those that saw nothing."""
NOTHING_RELEASED_KG_H = 10.0  # metered rates up to this count as none: a hundredth of what Sentinel-2 ever saw
SITE_RADIUS_KM = 1.0  # chosen: 1 t/h plumes are 0.5 km long, and where a faint one begins is not seen
WRS_PATH_DIGITS = 3  # of path and row, 038037
ESTIMATE = re.compile(r"(?P<team>[^:]+):(?P<rate>failed|[\d.]+)(?:\[(?P<low>[\d.]+)-(?P<high>[\d.]+)\])?")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """What one team says of a case."""

    team: str
    """Who."""
    emission_kg_h: float | None
    """CH4; 0 where the team saw nothing, None where it could not look."""
    emission_kg_h_low: float | None = None
    """Lower end of the interval that the team states, at its own level."""
    emission_kg_h_high: float | None = None
    """Upper end."""
    probability: float | None = None
    """Of a plume, where the team states one."""


@dataclass(frozen=True)
class PublishedCase:
    """One place at one time, with what is known of its emission."""

    case_id: str
    """Site and time; the partition `case` of the table `validation`."""
    set: str
    """Campaign or publication."""
    site: str
    """Where it is, in words."""
    area: str
    """Area of interest that is fetched for it; cases of one site share it."""
    longitude: float
    """Of the source, degrees."""
    latitude: float
    """Of the source, degrees."""
    sensor: str
    """`sentinel-2` or `landsat`."""
    platform: str | None
    """`sentinel-2a`, `landsat-8` ...; None where the publication doesn't say."""
    tile: str | None
    """MGRS tile, or path and row of Landsat."""
    relative_orbit: int | None
    """Of Landsat the path."""
    observed_on: str
    """UTC date, YYYY-MM-DD."""
    observed_at_utc: datetime | None
    """Start of the published acquisition, None where only the date is known."""
    metered_kg_h: float | None
    """CH4 as metered at the source; None for emissions that nobody metered."""
    estimates: tuple[Estimate, ...]
    """What others estimated."""
    wind_speed_10m_m_s: float | None
    """The wind that the estimate used, where stated."""
    l1c_product: str | None
    """Published product, level 1C; the catalogue is asked for level 2A of the same pass."""
    note: str | None
    """What else is to be known."""
    source: str
    """Publication."""
    provenance: str
    """Where the figures were taken from."""
    licence: str
    """Under which terms they are public."""

    @property
    def is_sentinel2(self) -> bool:
        """Whether Sentinel-2 saw it, and not Landsat."""
        return self.sensor == SENTINEL2.name


@lru_cache(maxsize=1)
def read_cases() -> tuple[PublishedCase, ...]:
    """Return all cases, metered releases first."""
    cases = [_case(row) for row in csv.DictReader(io.StringIO(read_reference(FILE)))]
    return tuple(sorted(cases, key=lambda case: case.metered_kg_h is None))


def select_cases(sets: Collection[str], case_ids: Collection[str], max_cases: int | None) -> list[PublishedCase]:
    """Return the first `max_cases` of the cases of these sets or with these ids, all where both are empty.

    Raises ConfigurationError for a set or an id that isn't known.
    """
    cases = read_cases()
    for wanted, known in ((sets, [c.set for c in cases]), (case_ids, [c.case_id for c in cases])):
        if unknown := sorted(set(wanted) - set(known)):
            raise ConfigurationError(f"unknown {', '.join(unknown)}; known: {', '.join(dict.fromkeys(known))}")
    chosen = [c for c in cases if c.set in sets or c.case_id in case_ids] if sets or case_ids else list(cases)
    return chosen[:max_cases]


def parse_estimates(text: str) -> tuple[Estimate, ...]:
    """Return the estimates of a text such as `Orbio:555[296-707]|Kayrros:0|SRON:failed` (kg/h).

    Raises InputError where it is something else.
    """
    estimates = []
    for part in text.split("|") if text else ():
        if not (match := ESTIMATE.fullmatch(part)):
            raise InputError(FILE, f"estimate {part!r}", "team:kg/h, team:kg/h[low-high] or team:failed")
        rate = None if match["rate"] == "failed" else float(match["rate"])
        estimates.append(Estimate(match["team"], rate, _number(match["low"]), _number(match["high"])))
    return tuple(estimates)


def compare_case(case: PublishedCase, observation: Row | None, plumes: Sequence[Row]) -> dict[str, Any]:
    """Return the row of the table `validation`: our result of a pass beside what is published.

    `observation` is what the detection states of the pass (None: it wasn't searched, outcome `no_input`), `plumes` are
    the rows of the table `plumes` of that area and date. The site's own candidate is the most probable accepted one,
    else the most probable refused one, whose origin is within SITE_RADIUS_KM of the site or whose outline holds it.
    """
    own, elsewhere = _at_site(case, plumes)
    row = _published_columns(case) | {"outcome": NO_INPUT, "n_plumes_elsewhere": elsewhere}
    if observation is None:
        return row
    row |= {name: observation[name] for name in ("outcome", "scene_id", "observed_at_utc", "clear_fraction")}
    row["wind_speed_10m_m_s"] = observation["wind_speed_m_s"]
    row["detection_limit_kg_h"] = observation["detection_limit"]
    if observation["outcome"] != SEARCHED:
        return row
    is_detected = own is not None and own["status"] == ACCEPTED
    row["outcome"] = DETECTED if is_detected else NOT_DETECTED
    if own is not None:
        row |= {name: own[name] for name in ("plume_id", "status", "probability")}
        row["distance_km"] = _distance_km(case, own)
    if own is not None and is_detected:
        names = ("emission_kg_h", "emission_kg_h_low", "emission_kg_h_high", "emission_status")
        row |= {name: own[name] for name in names}
        row["error_percent"] = error_percent(own["emission_kg_h"], case.metered_kg_h)
    return row


def error_percent(emission_kg_h: float | None, metered_kg_h: float | None) -> float | None:
    """Return 100 (estimate / metered - 1); None where one is missing or nothing was released.

    >>> error_percent(6500.0, 5000.0)
    30.0
    """
    if emission_kg_h is None or metered_kg_h is None or metered_kg_h <= NOTHING_RELEASED_KG_H:
        return None
    return round(100.0 * (emission_kg_h / metered_kg_h - 1.0), 6)


def _at_site(case: PublishedCase, plumes: Sequence[Row]) -> tuple[Row | None, int]:
    """The site's own candidate, and the number of accepted plumes that are somebody else's."""
    near = [p for p in plumes if _distance_km(case, p) <= SITE_RADIUS_KM or _covers(case, p)]
    ranked = sorted(near, key=lambda p: (p["status"] != ACCEPTED, -(p["probability"] or 0.0), _distance_km(case, p)))
    elsewhere = sum(p["status"] == ACCEPTED for p in plumes) - sum(p["status"] == ACCEPTED for p in near)
    return (ranked[0] if ranked else None), elsewhere


def _distance_km(case: PublishedCase, plume: Row) -> float:
    distance = great_circle_distance_km(case.longitude, case.latitude, plume["longitude"], plume["latitude"])
    return round(float(distance), 6)


def _covers(case: PublishedCase, plume: Row) -> bool:
    return bool(shapely.from_wkb(plume["geometry"]).covers(shapely.Point(case.longitude, case.latitude)))


def _published_columns(case: PublishedCase) -> dict[str, Any]:
    names = ("set", "site", "longitude", "latitude", "platform", "observed_on", "metered_kg_h", "note", "source")
    return {
        **{name: getattr(case, name) for name in names},
        "licence": case.licence,
        "published_wind_speed_10m_m_s": case.wind_speed_10m_m_s,
        "published": [vars(estimate) for estimate in case.estimates],
    }


def _case(row: Mapping[str, Any]) -> PublishedCase:
    estimates = parse_estimates(row["estimates"])
    if row["marss2l_probability"]:
        rate, sigma = _number(row["marss2l_emission_kg_h"]), _number(row["marss2l_sigma_kg_h"])
        low, high = (None, None) if rate is None or sigma is None else (rate - sigma, rate + sigma)
        estimates += (Estimate(MARSS2L, rate, low, high, _number(row["marss2l_probability"])),)
    at = row["observed_at_utc"]
    texts = ("case_id", "set", "site", "area", "sensor", "observed_on", "source", "provenance", "licence")
    values: dict[str, Any] = {name: row[name] for name in texts}
    values |= {name: row[name] or None for name in ("platform", "tile", "l1c_product", "note")}
    values |= {name: _number(row[name]) for name in ("longitude", "latitude", "metered_kg_h", "wind_speed_10m_m_s")}
    path = row["tile"][:WRS_PATH_DIGITS] if row["sensor"] == LANDSAT.name else None
    orbit = row["relative_orbit"] or path
    return PublishedCase(
        **values,
        relative_orbit=int(orbit) if orbit else None,
        observed_at_utc=datetime.fromisoformat(at) if at else None,
        estimates=estimates,
    )


def _number(text: str | None) -> float | None:
    return float(text) if text else None
