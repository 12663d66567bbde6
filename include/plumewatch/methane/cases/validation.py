"""What the storage has of published cases, and the table `validation` that sets our results beside the published."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc

from plumewatch import storage
from plumewatch.constants import KM_PER_DEGREE, METRES_PER_KM
from plumewatch.errors import PlumewatchError, redact
from plumewatch.gases import MULTI_PASS
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.methane.cases.page import render_cases
from plumewatch.methane.cases.published import NOT_DETECTED, PublishedCase, compare_case, read_cases
from plumewatch.methane.cases.scenes import CaseNote
from plumewatch.methane.passes import DEFAULT_PIXEL_SIZE_M
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.observations import stated_observations
from plumewatch.progress import followed
from plumewatch.statuses import FAILED, NO_INPUT, NO_REFERENCE, SKIPPED_CLOUD
from plumewatch.storage import Partition
from plumewatch.tables import PIXELS, PLUMES, VALIDATION

PAGE = "maps/published_cases.html"
"""The readable summary, below the storage root."""
BOX_KM = 0.5  # around a site: what must be clear so that a plume of 1 t/h can be seen
MIN_CLEAR_AROUND = 0.5  # chosen: below, nothing seen is no statement on the site
PASS_LASTS = timedelta(minutes=2)  # tiles of one pass are seconds apart, passes of one day an orbit (100 minutes)
COLUMNS = (
    "scene_id", "platform", "relative_orbit", "observed_at_utc", "longitude", "latitude", "pixel_size_m", "b12",
    "is_clear",
)  # fmt: skip

log = logging.getLogger(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SitePixels:
    """The pixels of a case that are stored."""

    area: str
    """Area of interest that holds the site."""
    path: str
    """Their partition."""
    scene_id: str
    """Scene of the site's own pixel."""
    observed_at_utc: datetime | None
    """Time of its pass, None where the table doesn't say."""
    clear_share: float
    """Share of clear pixels within BOX_KM."""


@dataclass(frozen=True)
class StoredPixels:
    """Partitions of the table `pixels` on the dates of some cases."""

    by_date: Mapping[str, Sequence[Partition]]
    """In the order of their areas."""

    @classmethod
    def of_cases(cls, storage_root: str, cases: Sequence[PublishedCase]) -> StoredPixels:
        """List them, the storage once; rows outside of partition folders are named in the log and left out."""
        dates = {case.observed_on for case in cases}
        root = storage.join(storage_root, PIXELS.name)
        found: dict[str, list[Partition]] = {day: [] for day in dates}
        on_stray = partial(log.warning, "left out: %s")
        for partition in storage.list_partitions(PIXELS, root, {"date": dates}, on_stray) if dates else ():
            found[partition.keys["date"]].append(partition)
        return cls(found)

    def find(self, case: PublishedCase) -> tuple[SitePixels | None, list[str]]:
        """Return the pixels that show a case's site on its date, by its satellite and orbit, and what can't be read.

        Areas are tried in order, the case's own first.
        """
        unreadable: list[str] = []
        stored = self.by_date.get(case.observed_on, ())
        for partition in sorted(stored, key=lambda p: p.keys["area"] != case.area):
            try:
                if found := _pixels_in(partition, case):
                    return found, unreadable
            except (PlumewatchError, OSError) as error:
                log.error("%s: %s", case.case_id, error)
                unreadable.append(redact(str(error)))
        return None, unreadable


def partitions_of_cases(storage_root: str, case_ids: Sequence[str]) -> list[str]:
    """Return the partitions of pixels that show cases, relative to the table's root, sorted."""
    cases = [case for case in read_cases() if case.case_id in case_ids]
    stored = StoredPixels.of_cases(storage_root, cases)
    found = [stored.find(case)[0] for case in followed(cases, "pixels of cases looked for", "cases")]
    root = storage.join(storage_root, PIXELS.name) + "/"
    return sorted({one.path.removeprefix(root) for one in found if one is not None})


def _pixels_in(partition: Partition, case: PublishedCase) -> SitePixels | None:
    half_lat = BOX_KM / KM_PER_DEGREE
    half_lon = half_lat / float(np.cos(np.radians(case.latitude)))
    lon, lat = pc.field("longitude"), pc.field("latitude")
    box = (lon >= case.longitude - half_lon) & (lon <= case.longitude + half_lon)
    box &= (lat >= case.latitude - half_lat) & (lat <= case.latitude + half_lat)
    rows = storage.read_table(PIXELS, partition.path, COLUMNS, filter=box)
    shown = pc.is_finite(rows["b12"])
    if case.platform:
        shown = pc.and_(shown, pc.equal(rows["platform"], case.platform))
    if case.relative_orbit is not None:  # a table that doesn't say the orbit doesn't contradict it
        shown = pc.and_(shown, pc.fill_null(pc.equal(rows["relative_orbit"], case.relative_orbit), True))
    rows = rows.filter(shown)
    if not rows.num_rows:
        return None
    place = (rows[name].to_numpy() for name in ("longitude", "latitude"))
    distance_m = great_circle_distance_km(case.longitude, case.latitude, *place) * METRES_PER_KM
    nearest = int(np.argmin(distance_m))
    own = rows.slice(nearest, 1).to_pylist()[0]
    if distance_m[nearest] > (own["pixel_size_m"] or DEFAULT_PIXEL_SIZE_M):
        return None
    clear = float(pc.mean(pc.cast(rows["is_clear"], "float64")).as_py())
    return SitePixels(partition.keys["area"], partition.path, own["scene_id"], own["observed_at_utc"], clear)


def validate_case(
    storage_root: str, case: PublishedCase, note: CaseNote, failures: Sequence[Row], stored: StoredPixels
) -> dict[str, Any]:
    """Write a case's partition of the table `validation` from what is stored now, and return its row.

    `note` says what came of the search for its scenes, `failures` are the rows of failed_scenes of this run, `stored`
    the pixels on its date.
    """
    found, unreadable = stored.find(case)
    names = {case.case_id, *note.scene_ids} if found is None else {f"area={found.area}/date={case.observed_on}"}
    failed = [f"{row['scene_id']}: {row['message']}" for row in failures if row["scene_id"] in names]
    failed += unreadable if found is None else []
    observation, plumes, inputs = None, [], []
    row: dict[str, Any] = {}
    if found is not None:
        keys = {"method": MULTI_PASS, "area": found.area, "date": case.observed_on}
        path = storage.partition_path(storage.join(storage_root, PLUMES.name), keys)
        manifest = {} if failed else storage.read_manifest(path) or {}
        observation = None if failed else _observation(stated_observations(path), found)
        inputs, row["area"] = [found.path, path], found.area
        if observation is not None:
            row["n_references"] = len(manifest.get("references", {}).get(observation["scene_id"], ()))
            plumes = storage.read_table(PLUMES, path).to_pylist()
            plumes = [p for p in plumes if _is_same_pass(p, observation["observed_at_utc"])]
    row |= compare_case(case, observation, plumes)
    row |= _reason(storage_root, case, row, found, note.missing, failed)
    storage.write_partition(
        VALIDATION,
        storage.join(storage_root, VALIDATION.name),
        {"case": case.case_id},
        VALIDATION.from_pylist([row]),
        inputs=inputs,
        settings={"calibration": plume_thresholds().version},
        counts={row["outcome"]: 1},
        extra={"provenance": case.provenance},
    )
    return row


def validate_cases(
    storage_root: str, notes: Mapping[str, Mapping[str, Any]], failures: Sequence[Row]
) -> list[dict[str, Any]]:
    """Write the partitions of some cases (case_id: fields of its CaseNote) and the page of all; return their rows.

    `failures` are the open rows of failed_scenes of this run.
    """
    cases = [case for case in read_cases() if case.case_id in notes]
    pixels = StoredPixels.of_cases(storage_root, cases)
    rows = [
        validate_case(storage_root, case, CaseNote(**notes[case.case_id]), failures, pixels)
        for case in followed(cases, "cases judged", "cases")
    ]
    counts = Counter(row["outcome"] for row in rows)
    log.info("%d cases: %s", len(rows), ", ".join(f"{outcome} {n}" for outcome, n in sorted(counts.items())))
    log.info("%s", write_case_page(storage_root))
    return rows


def write_case_page(storage_root: str) -> str:
    """Write the readable summary of all cases in the table `validation`; return its path."""
    rows = storage.read_table(VALIDATION, storage.join(storage_root, VALIDATION.name)).to_pylist()
    path = storage.join(storage_root, PAGE)
    storage.write_bytes(path, render_cases(rows).encode())
    return path


def _observation(observations: Sequence[Row], found: SitePixels) -> Row | None:
    """What the detection states of the pass that shows the site."""
    same = [o for o in observations if _is_same_pass(o, found.observed_at_utc)]
    of_scene = [o for o in same if o["scene_id"] == found.scene_id]
    return next(iter(of_scene or same), None)


def _is_same_pass(row: Row, other: datetime | None) -> bool:
    one = row["observed_at_utc"]
    return one is None or other is None or abs(one - other) <= PASS_LASTS


def _reason(
    storage_root: str, case: PublishedCase, row: Row, found: SitePixels | None, missing: str | None,
    failed: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """Outcome and what is missing, where the comparison alone doesn't say it."""
    if failed:
        return {"outcome": FAILED, "missing": "; ".join(failed)}
    days_back = plume_thresholds().references.max_days_back
    if found is None:
        wanted = f"pixels of {case.platform or case.sensor} on {case.observed_on} in an area that holds the site, "
        wanted += f"and of earlier dates, at most {days_back} days before"
        return {"outcome": NO_INPUT, "missing": f"{wanted}; {missing}" if missing else wanted}
    if "scene_id" not in row:
        return {"outcome": FAILED, "missing": f"what the detection says of area={found.area}/date={case.observed_on}"}
    if row["outcome"] == NO_REFERENCE:
        first = str(date.fromisoformat(case.observed_on) - timedelta(days=days_back))
        stored = storage.list_partitions(PIXELS, storage.parent(found.path))
        n = sum(first <= partition.keys["date"] < case.observed_on for partition in stored)
        return {"missing": f"a clear earlier date, at most {days_back} days before ({n} are stored)"}
    if row["outcome"] == SKIPPED_CLOUD:
        return {"missing": f"clear ground: {100 * row['clear_fraction']:.0f} % of what was seen of the area"}
    if row["outcome"] == NOT_DETECTED and found.clear_share < MIN_CLEAR_AROUND:
        share = f"{100 * found.clear_share:.0f} % within {BOX_KM} km of the site"
        return {"outcome": SKIPPED_CLOUD, "missing": f"clear ground: {share}"}
    return {}
