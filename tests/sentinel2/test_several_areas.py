"""Several areas and days in one job, on a folder and on a real S3 server."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from known_pixels import JOB, classes, lonlat_polygon, numbers, write_area
from plumewatch import storage
from plumewatch.tables import PIXELS
from sentinel2_scenes import write_stacked

KEYS = [("dune", "2025-08-21"), ("dune", "2025-08-23"), ("erg", "2025-08-21"), ("erg", "2025-08-24")]
SHAPE = (20, 30)


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_each_has_its_own_partition(
    job: ModuleType, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    root = f"file://{tmp_path}" if place == "folder" else request.getfixturevalue("s3_root")
    b11 = {key: numbers(*SHAPE) for key in KEYS}
    for (area, date), values in b11.items():
        write_stacked(tmp_path / "scenes", values, values, classes(*SHAPE), area=area, date=date)
    areas = tmp_path / "areas"
    write_area(areas / "dune.geojson", lonlat_polygon((-1, -1), (31, -1), (31, 21), (-1, 21)), name="dune")
    write_area(areas / "erg.geojson", lonlat_polygon((-1, -1), (15, -1), (15, 21), (-1, 21)), name="erg")
    if place == "s3":
        for file in (f for f in tmp_path.rglob("*") if f.is_file()):
            storage.write_bytes(storage.join(root, str(file.relative_to(tmp_path))), file.read_bytes())
    arguments = [text for n in ("scenes", "pixels", "areas") for text in (f"--{n}-path", storage.join(root, n))]
    if place == "s3":  # in a session of its own: the workers of this one were started without the server's keys
        done = subprocess.run([sys.executable, str(JOB), *arguments], stdout=subprocess.PIPE, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1])
    else:
        request.getfixturevalue("spark")
        said = asdict(job.run(job.parse_arguments(arguments)))
    assert (said["failed"], said["rows_written"]) == (0, 2 * 600 + 2 * 300)
    pixels = storage.join(root, "pixels")
    assert [tuple(p.keys.values()) for p in storage.list_partitions(PIXELS, pixels)] == KEYS
    for (area, date), values in b11.items():
        found = storage.read_table(PIXELS, pixels, where={"area": area, "date": date})
        row, col = (found[name].to_numpy() - found[name].to_numpy().min() for name in ("row", "col"))
        expected = (values / 1e4).astype(np.float32)[row, col]
        np.testing.assert_array_equal(found["b11"].to_numpy(), expected)
        assert found.num_rows == (600 if area == "dune" else 300)
