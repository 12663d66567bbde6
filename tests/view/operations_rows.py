"""A storage in which something failed, waits and is missing, as the operations page shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from map_rows import NASTY, observation
from plumewatch import storage
from plumewatch.tables import FAILED_SCENES, OBSERVATIONS, PROCESSING_UNITS, SCENE_GAPS

INGEST = "sentinel2_daily_ingest"


def days_ago(n: int) -> str:
    return str(datetime.now(UTC).date() - timedelta(days=n))


def failed(scene_id: str, **more: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(hours=2)
    row = {
        "run_id": "scheduled__one", "area": "oman", "scene_id": scene_id, "stage": "fetch_scene", "attempts": 3,
        "error_class": "HTTPError", "http_status": 503, "message": "the service is down", "is_retryable": True,
        "first_failed_at_utc": at - timedelta(days=1), "last_failed_at_utc": at,
    }  # fmt: skip
    return dict.fromkeys(FAILED_SCENES.schema.names) | row | more


def fill_operations(root: str) -> None:
    """Write three failures and one that is healed, five days of an area, and two months of units."""

    def write(table: Any, keys: dict, rows: list[dict]) -> None:
        storage.write_partition(table, storage.join(root, table.name), keys, table.from_pylist(rows))

    for_good = failed("S2_3", area=NASTY, message=NASTY, http_status=None, error_class="ValueError", is_retryable=False)
    healed = failed("S2_2", healed_at_utc=datetime.now(UTC))
    write(FAILED_SCENES, {"dag_id": INGEST, "key": days_ago(3)}, [failed("S2_1"), healed, for_good])
    write(FAILED_SCENES, {"dag_id": INGEST, "key": days_ago(200)}, [failed("S2_old", area="sahara")])
    of_granule = {"area": None, "stage": "fetch_granule", "last_failed_at_utc": datetime.now(UTC) - timedelta(days=9)}
    month = days_ago(3)[:7]
    write(FAILED_SCENES, {"dag_id": "oco2_monthly_extraction", "key": month}, [failed("granule.nc4", **of_granule)])

    outcomes = {5: ["searched", "failed"], 4: ["skipped_cloud"], 3: ["failed"], 2: ["no_input"]}
    for n, of_day in outcomes.items():
        rows = [observation("oman", outcome, f"S2_{i}") for i, outcome in enumerate(of_day)]
        write(OBSERVATIONS, {"gas": "ch4", "key": days_ago(n)}, rows)
    gap = dict.fromkeys(SCENE_GAPS.schema.names) | {"area": "oman", "is_due": True, "run_id": "scheduled__one"}
    gap |= {"first_missed_at_utc": datetime.now(UTC)}
    for n, reasons in {5: ["broken"], 2: ["not_fetched", "waiting_for_quota"], 1: ["not_searched"]}.items():
        gaps = [gap | {"scene_id": f"S2_gap_{i}", "reason": reason} for i, reason in enumerate(reasons)]
        gaps.append(gap | {"scene_id": "S2_filled", "reason": "broken", "filled_at_utc": datetime.now(UTC)})
        write(SCENE_GAPS, {"date": days_ago(n)}, gaps)
    at = datetime(2016, 8, 31, 11, 56, tzinfo=UTC)
    seen = {"detected": True, "detection_limit": 3.44, "clear_fraction": 0.5, "observed_at_utc": at}
    nothing = {"detection_limit": 5.1, "clear_fraction": 0.25, "observed_at_utc": at + timedelta(days=1)}
    lines = {11522: [(8.0, 40.0), (5.0, 50.0)], 11523: [(14.0, 40.0), (11.0, 50.0)]}
    orbits = [
        observation(None, "searched", orbit=n, track=shapely.MultiLineString([lines[n]]).wkb, **of_orbit)
        for n, of_orbit in ((11522, seen), (11523, nothing))
    ]
    orbits.append(observation(None, "failed", "granule.nc4", orbit=0))
    write(OBSERVATIONS, {"gas": "co2", "key": "2016-08"}, orbits)

    now = datetime.now(UTC)
    spent = dict.fromkeys(PROCESSING_UNITS.schema.names) | {"begun_at_utc": now, "area": "hassi", "scene_id": "S2"}
    spent |= {"predicted_units": 4.0, "spent_units": 3.53, "n_requests": 2, "is_refused": False}
    of_dead = spent | {"scene_id": "S3", "spent_units": None, "n_requests": 0}
    write(PROCESSING_UNITS, {"account": "aabbccddeeff", "month": f"{now:%Y-%m}"}, [spent, of_dead])
    write(PROCESSING_UNITS, {"account": "aabbccddeeff", "month": "2020-01"}, [spent | {"is_refused": True}])
