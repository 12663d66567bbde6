"""What the workers of both jobs do, on a real S3 server."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from lite_granules import NAME, write_lite
from planted import Planted, planted_columns
from plumewatch import storage
from plumewatch.oco2.archive.listing import read_listing
from plumewatch.oco2.granules.seed_csv import write_seed_csv
from plumewatch.oco2.granules.soundings import GranuleTask, OrbitReader, extract_granule, list_orbits
from plumewatch.oco2.orbits.worker import OrbitTask, detect_orbit
from plumewatch.tables import SOUNDINGS

MONTH = "2016-08"


def test_granule_to_peak(s3_root: str, tmp_path: Path) -> None:
    columns = planted_columns(np.random.default_rng(7), 1000, [Planted(500, 3.0, 8.0)])
    local = write_lite(tmp_path / NAME, columns)
    storage.write_bytes(storage.join(s3_root, "granules", NAME), local.read_bytes())
    storage.write_bytes(storage.join(s3_root, "granules", NAME.replace("160831", "160830")), b"<html></html>")
    good, bad = sorted(read_listing(storage.join(s3_root, "granules")).granules, key=lambda g: -g.date.day)
    assert read_listing(storage.join(s3_root, "nothing")).granules == ()

    soundings = storage.join(s3_root, "soundings")
    said = [
        extract_granule(asdict(GranuleTask(g.name, g.path, g.month, soundings, False, None, None))) for g in (good, bad)
    ]
    assert said[0]["rows"] == len(columns["xco2"]) and "HTML page" in json.loads(said[1]["failure"])["message"]
    storage.publish_partition(SOUNDINGS, soundings, {"month": MONTH}, [said[0]["file"]], said[0]["rows"])
    assert write_seed_csv(soundings, MONTH, storage.join(s3_root, "csv")) == [f"{s3_root}/csv/oco2_1608.csv.bz2"]

    (orbit,) = list_orbits(soundings)
    assert orbit.files == (storage.join(soundings, f"month={MONTH}", said[0]["file"]),)
    task = OrbitTask(0, orbit, (MONTH,), "scan", None, storage.join(s3_root, "peak_details"))
    *peaks, report = detect_orbit(OrbitTask.from_json(task.to_json()), OrbitReader())
    accepted = [row for row in peaks if row["status"] == "accepted"]
    assert len(accepted) == 1 and json.loads(report["orbit_report"])["failure"] is None
    there = [Path(f).name for f in storage.list_files(storage.join(s3_root, "peak_details"))]
    assert there == [f"{accepted[0]['peak_id']}.{kind}" for kind in ("json", "png")]
