"""`make check`: what works with the present settings, one line each; nothing is written.

Exit code 1 where something that the present settings need doesn't work, else 0.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import requests
from plumewatch import spark_runtime, storage
from plumewatch.area_files import SUFFIXES, unread_files
from plumewatch.areas import grid_of, read_areas
from plumewatch.errors import ConfigurationError, PlumewatchError, redact
from plumewatch.inventory.refresh import INVENTORIES
from plumewatch.models import Area, FailedScene
from plumewatch.oco2.archive.cmr import count_granules
from plumewatch.oco2.archive.listing import read_listing
from plumewatch.settings import CHECKOUT, CMR, SPARK_MASTERS, Settings
from plumewatch.wind.providers import PRODUCTS

from tools.java import present_java
from tools.places import user_environment

PYTHONS = ((3, 11), (3, 12))
CATALOGUE_TIMEOUT_S = (5.0, 10.0)
"""To connect, to answer: whoever waits for a check wants to know now."""
S3_TIMEOUT_S = 10
SERVED_CATALOGUES = ("stac",)
LATER_ACCOUNTS = {"SH_CLIENT_ID": "Sentinel Hub"}
CHANNEL_CONNECTIONS = {"smtp": "smtp_default", "sns": "aws_default", "slack": "slack_default"}


class State(Enum):
    """How a part is."""

    OK = "OK"
    MISSING = "missing"
    """Not there, and the present settings work without it."""
    PROBLEM = "problem"
    """There, and doesn't work."""


@dataclass(frozen=True)
class Finding:
    """One line of the answer."""

    part: str
    """What was looked at."""
    state: State
    """How it is."""
    text: str
    """What was found, and what to do about it."""
    is_fatal: bool = False
    """Whether the present settings need it and it doesn't work."""


def ok(part: str, text: str) -> Finding:
    """It works."""
    return Finding(part, State.OK, text)


def missing(part: str, text: str) -> Finding:
    """It isn't there, and needn't be."""
    return Finding(part, State.MISSING, text)


def problem(part: str, text: object, *, is_fatal: bool = True) -> Finding:
    """It doesn't work."""
    return Finding(part, State.PROBLEM, " ".join(redact(str(text)).split()), is_fatal)


def check_python() -> Finding:
    """The interpreter's version."""
    is_served = sys.version_info[:2] in PYTHONS
    version = platform.python_version()
    return ok("Python", version) if is_served else problem("Python", f"{version}; install Python 3.11 or 3.12")


def check_java(settings: Settings) -> Finding:
    """A Java that Spark runs on; only looked for, never fetched."""
    if settings.spark.startswith("sc://"):
        return ok("Java", "not needed here: PLUMEWATCH_SPARK names a Spark Connect server")
    home = present_java()
    if home is None:
        versions = " or ".join(map(str, spark_runtime.JAVA_VERSIONS))
        return problem("Java", f"no Java {versions}; install one, set JAVA_HOME, or let `make up` try to fetch one")
    return ok("Java", f"{spark_runtime.java_version(home / 'bin' / 'java')} in {home}")


def check_spark(settings: Settings) -> Finding:
    """The master, the jars, and the archive of classes."""
    if not settings.spark.startswith(("local", "spark://", "sc://")):
        return problem("Spark", f"PLUMEWATCH_SPARK={settings.spark}; allowed: {SPARK_MASTERS}")
    if settings.spark.startswith("sc://"):
        return ok("Spark", f"{settings.spark} (not asked)")
    if not spark_runtime.jars_folder().is_dir():
        return missing("Spark", "the jars of Sedona and s3a: the first `make up` or job fetches them (109 MB, once)")
    if present_java() is None or not spark_runtime.class_archive().exists():
        return missing("Spark", "the archive of classes: the first `make up` builds it (once); jobs work without")
    return ok("Spark", f"{settings.spark}, jars and archive of classes in {spark_runtime.CACHE / 'spark'}")


def check_storage(settings: Settings) -> Finding:
    """The storage root: by its permissions, or by a list call; nothing is written."""
    root = settings.storage_root
    try:
        return ok("storage", _folder_state(root) if storage.is_local(root) else _prefix_state(root))
    except (PlumewatchError, OSError) as error:
        return problem("storage", f"PLUMEWATCH_STORAGE_ROOT={root}: {error or type(error).__name__}")


def _folder_state(root: str) -> str:
    folder = Path(storage.filesystem(root)[1])
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise ConfigurationError(f"{there} is a file; set a folder")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigurationError(f"{there} isn't writable for this user; change its permissions, or set another folder")
    return root if there == folder else f"{root} (the first run makes it)"


def _prefix_state(root: str) -> str:
    import fsspec  # slow to import with S3, and only needed for it

    bucket, _, prefix = storage.filesystem(root)[1].partition("/")
    limits = {"connect_timeout": S3_TIMEOUT_S, "read_timeout": S3_TIMEOUT_S, "retries": {"max_attempts": 1}}
    fs = fsspec.filesystem("s3", config_kwargs=limits, skip_instance_cache=True)
    fs.retries = 1
    try:
        fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except Exception as error:
        hint = "check AWS_ENDPOINT_URL, the keys and the bucket (Airflow's connection aws_default isn't looked at here)"
        raise ConfigurationError(f"cannot be listed: {type(error).__name__}: {error}; {hint}") from error
    return f"{root} can be listed (writing isn't tried)"


def check_areas(settings: Settings) -> tuple[list[Finding], list[Area]]:
    """Every file of areas, and the areas that can be used."""
    findings, areas = [], []
    try:
        files = [f for folder in settings.area_folders for f in storage.list_files(folder)]
    except Exception as error:  # noqa: BLE001 - a storage that cannot be listed has its own line, with the reason
        files = storage.list_files(settings.area_folders[0])
        findings.append(problem("areas", f"{settings.area_folders[1]} cannot be listed: {error}"))
    for file in files:
        if file.lower().endswith(SUFFIXES):
            failures: list[FailedScene] = []
            areas += read_areas(file, on_failure=failures.append)
            findings += [problem("areas", failure.message) for failure in failures]
    unread = dict(found for folder in {*map(storage.parent, files)} for found in unread_files(folder))
    findings += [missing("areas", f"not read: {file}: {reason}") for file, reason in sorted(unread.items())]
    for area in (area for area in areas if area.catalogue not in SERVED_CATALOGUES):
        findings.append(problem("areas", f"{area.file}: {area.name}: catalogue {area.catalogue} is not served yet"))
    areas = [area for area in areas if area.catalogue in SERVED_CATALOGUES]
    names = [area.name for area in areas]
    for name in sorted({name for name in names if names.count(name) > 1}):
        where = ", ".join(area.file for area in areas if area.name == name)
        findings.append(problem("areas", f"{name} is in several files: {where}; give each a name of its own"))
    if names:
        findings.append(ok("areas", f"{len(names)}: {', '.join(sorted(map(_place_and_size, areas)))}"))
    elif not findings:
        findings.append(missing("areas", f"none: put a GeoJSON, GPKG or Shapefile into {settings.area_folders[0]}"))
    return findings, areas


def _place_and_size(area: Area) -> str:
    """Name, centre and size: longitude and latitude in the wrong order show here."""
    grid, centre = grid_of(area), area.geometry.centroid
    place = f"{abs(centre.y):.2f} {'NS'[centre.y < 0]} {abs(centre.x):.2f} {'EW'[centre.x < 0]}"
    width_km, height_km = (n * grid.resolution_m / 1000 for n in (grid.width, grid.height))
    return f"{area.name} ({place}, {width_km:.1f} x {height_km:.1f} km)"


def check_catalogues(settings: Settings, areas: Sequence[Area]) -> Iterator[Finding]:
    """Each catalogue that an area is searched in."""
    for url in sorted({area.stac_api or settings.stac_api for area in areas} or {settings.stac_api}):
        if reason := why_unreachable(url):
            yield problem("catalogue", f"{url}: {reason}; `sentinel2_daily_ingest` needs it", is_fatal=False)
        else:
            yield ok("catalogue", f"{redact(url)} answers")


def why_unreachable(url: str) -> str | None:
    """Return why a STAC API doesn't answer, None where it does."""
    try:
        answer = requests.get(url, timeout=CATALOGUE_TIMEOUT_S)
        if answer.status_code != requests.codes.ok:
            return f"HTTP {answer.status_code}"
        return None if "stac_version" in answer.json() else "an answer that isn't STAC"
    except requests.JSONDecodeError:
        return "an answer that isn't JSON"
    except requests.RequestException as error:
        return f"cannot be reached ({type(error).__name__})"


def check_granules(settings: Settings) -> Finding:
    """Where OCO-2 Lite files come from."""
    if settings.granules == CMR:
        return _cmr_state(settings)
    try:
        listing = read_listing(settings.granules)
    except (PlumewatchError, OSError) as error:
        return problem("granules", f"PLUMEWATCH_GRANULES: {error}")
    months = sorted({granule.month for granule in listing.granules})
    if not months:
        return missing("granules", f"{settings.granules} holds no OCO-2 Lite file; {len(listing.refused)} refused")
    return ok(
        "granules",
        f"{len(listing.granules)} of {months[0]} to {months[-1]} in {settings.granules}; "
        f"{len(listing.superseded)} superseded, {len(listing.refused)} refused",
    )


def _cmr_state(settings: Settings) -> Finding:
    try:
        n_granules = count_granules(settings.cmr_url)
    except PlumewatchError as error:
        return problem("granules", f"{error}; `oco2_monthly_extraction` needs it", is_fatal=False)
    return ok("granules", f"{redact(settings.cmr_url)} answers: {n_granules:,} in the newest collection")


def check_earthdata(settings: Settings) -> Finding:
    """The account that downloads of granules need; whether it is accepted only a download shows."""
    part = "NASA Earthdata"
    if settings.earthdata_token:
        used = "not tried" if settings.granules == CMR else "not needed: granules come from a folder"
        return ok(part, f"EARTHDATA_TOKEN is set ({used})")
    if settings.granules != CMR:
        return ok(part, "not needed: granules come from a folder")
    return missing(
        part,
        "EARTHDATA_TOKEN is not set: `oco2_monthly_extraction` skips its months, unless Airflow has the connection "
        "earthdata (not looked at here)",
    )


def check_wind(settings: Settings) -> Finding:
    """Where wind comes from."""
    if not settings.wind:
        hint = "set geos_fp,era5 (no account) or a path of wind files"
        return missing("wind", f"PLUMEWATCH_WIND is not set: rates of methane stay null; {hint}")
    if all(name.strip() in PRODUCTS for name in settings.wind.split(",")):
        return ok("wind", settings.wind)
    products = ", ".join(PRODUCTS)
    try:
        files = files_of("PLUMEWATCH_WIND", settings.wind, ".parquet", f"products ({products}) or a path that exists")
    except ConfigurationError as error:
        return problem("wind", error)
    return ok("wind", f"{len(files)} Parquet files in {settings.wind}")


def check_inventories(settings: Settings) -> Finding:
    """Where inventories come from."""
    if not settings.inventories:
        return missing("inventories", "PLUMEWATCH_INVENTORIES is not set: detections are matched to no source; set it")
    try:
        files = files_of("PLUMEWATCH_INVENTORIES", settings.inventories, ".csv", "a path that exists")
    except ConfigurationError as error:
        return problem("inventories", error)
    names = [file.rsplit("/", 1)[-1] for file in files]
    known = [i.name for i in INVENTORIES if any(i.file_name.fullmatch(name) for name in names)]
    if not known:
        patterns = ", ".join(i.file_name.pattern for i in INVENTORIES)
        return problem("inventories", f"{settings.inventories}: no inventory among its files; allowed: {patterns}")
    return ok("inventories", f"{', '.join(known)} in {settings.inventories}")


def files_of(setting: str, path: str, suffix: str, allowed: str) -> list[str]:
    """Return the files of a path that a setting names; ConfigurationError where there is none."""
    try:
        if not storage.exists(path):
            raise ConfigurationError(f"{setting}={path} doesn't exist; allowed: {allowed}")
        files = storage.list_files(path, suffix)
    except OSError as error:
        raise ConfigurationError(f"{setting}={path} cannot be listed: {error}") from error
    if not files:
        raise ConfigurationError(f"{setting}={path}: no {suffix} file in it")
    return files


def check_alerts(settings: Settings) -> Iterator[Finding]:
    """Each alert channel; nothing is sent."""
    for channel in settings.alerts:
        connection = CHANNEL_CONNECTIONS.get(channel)
        if channel == "log":
            yield ok("alerts", "log: in the log of each run's report_failures")
        elif not settings.alert_to:
            yield problem("alerts", f"{channel}: PLUMEWATCH_ALERT_TO is not set; set the recipient")
        else:
            needs = f", by Airflow's connection {connection} (not looked at here)" if connection else ""
            yield ok("alerts", f"{channel}: to {redact(settings.alert_to)}{needs}")


def check_accounts() -> Iterator[Finding]:
    """Accounts of later versions."""
    for name, service in LATER_ACCOUNTS.items():
        is_set = "set" if os.environ.get(name) else "not set"
        yield ok(service, f"{name} is {is_set}; not used yet")


def findings_of(settings: Settings) -> Iterator[Finding]:
    """Look at one part after the other."""
    yield check_python()
    yield check_java(settings)
    yield check_spark(settings)
    yield check_storage(settings)
    findings, areas = check_areas(settings)
    yield from findings
    yield from check_catalogues(settings, areas)
    yield check_granules(settings)
    yield check_earthdata(settings)
    yield check_wind(settings)
    yield check_inventories(settings)
    yield from check_alerts(settings)
    yield from check_accounts()


def run(say: Callable[[str], None]) -> int:
    """Say all findings and return the exit code."""
    problems = []
    for finding in findings_of(Settings.load()):
        say(f"{finding.state.value:8} {finding.part:14} {finding.text}")
        problems += [finding] if finding.state is State.PROBLEM else []
    n_fatal = sum(finding.is_fatal for finding in problems)
    if n_fatal:
        say(f"\n{n_fatal} problem{'' if n_fatal == 1 else 's'} to solve first.")
    else:
        say("\nReady, but for the problem above that may pass by itself." if problems else "\nReady.")
    return 1 if n_fatal else 0


def main() -> None:
    """Check with the settings of the environment and `.env`."""
    try:
        os.environ.update(user_environment(present_java()))
        os.chdir(CHECKOUT)  # tasks run here, so relative paths mean the same
        sys.exit(run(lambda text: print(text, flush=True)))
    except ConfigurationError as error:  # a setting that cannot even be read
        sys.exit(f"problem  settings       {error}")


if __name__ == "__main__":
    main()
