"""The job granules_to_soundings against the rate at which netCDF4 reads the same variables of the same files."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from figures import Figure
from jobs import load_job
from orbits import MONTH_START, orbits_of_day, simulate_orbit
from plumewatch.reference.loading import read_reference
from plumewatch.simulation.oco2_granules import granule_name
from plumewatch.simulation.oco2_lite_file import FORMAT_FILE, GROWING, write_lite_file
from plumewatch.spark_session import get_spark

# About 170,000 soundings a day, as real days have; each day written serves five times, as another day.
WRITTEN, DAYS, SHARE = 6, 30, 0.17
BAD = 0.5  # share of soundings whose quality flag is not 0
PROCESSES, ROUNDS = 2, 4
MIN_RATIO = ">= 0.5"
BY_PATH = {
    "sounding_id": "sounding_id", "longitude": "longitude", "latitude": "latitude", "xco2": "xco2_ppm",
    "xco2_uncertainty": "xco2_uncertainty_ppm", "Sounding/orbit": "orbit", "Sounding/footprint": "footprint",
    "Sounding/altitude": "altitude_m", "Sounding/land_fraction": "land_fraction_percent",
    "Meteorology/windspeed_u_met": "wind_u_m_s", "Meteorology/windspeed_v_met": "wind_v_m_s",
    "Retrieval/psurf": "surface_pressure_hpa", "Retrieval/psurf_apriori": "surface_pressure_apriori_hpa",
    "Retrieval/tcwv": "tcwv_kg_m2", "Retrieval/tcwv_apriori": "tcwv_apriori_kg_m2",
    "Retrieval/tcwv_uncertainty": "tcwv_uncertainty_kg_m2",
}  # fmt: skip


def extraction() -> Iterator[Figure]:
    """Soundings a second of the job, start-up excluded, against two processes that only read."""
    with TemporaryDirectory(prefix="plumewatch-bench-") as folder:
        granules = Path(folder, "granules")
        granules.mkdir()
        written = [_write_day(granules, day) for day in range(WRITTEN)]
        n = sum(count for _, count in written) * DAYS // WRITTEN
        for day in range(WRITTEN, DAYS):
            _write_later_day(written[day % WRITTEN][0], _file_of(granules, day), day - day % WRITTEN)
        files = [str(_file_of(granules, day)) for day in range(DAYS)]
        paths = _paths(files[0])
        job = load_job("granules_to_soundings")
        get_spark("bench")
        arguments = ["--granules-path", f"file://{granules}", "--soundings-path", f"file://{folder}/soundings"]

        def extract() -> None:
            result = job.run(job.parse_arguments(arguments))
            if result.failed or result.rows_read != n:
                raise RuntimeError(f"{result}; {n} soundings expected")

        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            steps = {"job": extract, "read": lambda: pool.starmap(read_variables, [(f, paths) for f in files], 1)}
            best = {}
            for turn in range(1 + ROUNDS):
                for name, step in steps.items():
                    shutil.rmtree(Path(folder, "soundings"), ignore_errors=True)
                    started = time.perf_counter()
                    step()
                    if turn:  # the first one starts workers and fills the file cache
                        best[name] = min(best.get(name, float("inf")), time.perf_counter() - started)
    own, baseline = n / best["job"], n / best["read"]
    note = f"{DAYS} files, {n} soundings, {len(paths)} variables; Spark in local[2], started before"
    baseline_is = "netCDF4 in two processes reads the same variables"
    yield Figure("granules to soundings", own, "soundings/s", baseline, baseline_is, own / baseline, MIN_RATIO, note)


def read_variables(file: str, paths: Sequence[str]) -> int:
    """Read variables of a file, without masks or scales, and return the number of values."""
    with netCDF4.Dataset(file) as dataset:
        dataset.set_auto_maskandscale(False)
        return sum(dataset[path][:].size for path in paths)


def _paths(file: str) -> list[str]:
    """The variables of a file that the job reads."""
    found = []
    with netCDF4.Dataset(file) as dataset:
        for entry in read_reference("oco2_lite_variables.yaml")["variables"].values():
            for path in entry["paths"]:
                with suppress(IndexError):
                    dataset[path]
                    found.append(path)
                    break
    return found


def _write_day(folder: Path, day: int) -> tuple[str, int]:
    """Write the Lite file of a day and return its path and number of soundings."""
    table = pa.concat_tables(simulate_orbit(number, SHARE) for number in orbits_of_day(day))
    dates = pc.strftime(table["observed_at_utc"], "%Y-%m-%d")
    date = _date(day)
    table = table.filter(pc.equal(dates, date)).sort_by("sounding_id")
    rng = np.random.default_rng(day)
    values = {path: table[column].to_numpy() for path, column in BY_PATH.items()}
    seconds = table["observed_at_utc"].cast(pa.int64()).to_numpy() / 1e6
    values |= {
        "time": seconds,
        "xco2_quality_flag": (rng.random(len(table)) < BAD).astype("i1"),
        "source_files": np.array(["oco2_L2StdGL.h5"], dtype=object),
        "L1b/frame_time": np.unique(seconds),
    }
    file = _file_of(folder, day)
    write_lite_file(file, _completed(values, len(table)), datetime.fromisoformat(date), rng)
    return str(file), len(table)


def _write_later_day(file: str, later: Path, days: int) -> None:
    """Copy a file of a day as that of another day of its month: ids and times have to be of the day of the name."""
    shutil.copy(file, later)
    with h5py.File(later, "r+") as dataset:
        dataset["sounding_id"][:] += np.uint64(days * 10**8)  # YYYYMMDDhhmmssmf
        dataset["time"][:] += days * 86_400.0
        dataset["date"][:, 2] += np.int16(days)


def _date(day: int) -> str:
    return f"{MONTH_START + timedelta(days=day):%Y-%m-%d}"


def _file_of(folder: Path, day: int) -> Path:
    return folder / granule_name(_date(day))


def _completed(values: dict[str, Any], n: int) -> dict[str, Any]:
    """The values with zeros for variables of the format that nothing reads and that have no typical value."""
    layout = json.loads(resources.files("plumewatch.simulation").joinpath(FORMAT_FILE).read_text(encoding="utf-8"))
    sizes = layout["dimensions"] | {name: len(values[path]) for name, path in GROWING.items()}
    zeros = {
        entry["path"]: np.zeros([sizes[name] for name in entry["dims"]])
        for entry in layout["variables"]
        if not entry.get("typical")
    }
    return zeros | values
