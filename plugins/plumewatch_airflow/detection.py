"""The steps that both detection DAGs share: matching, observations, and maps, which the ingests draw too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from plumewatch import storage
from plumewatch.gases import CH4, CO2, GASES, Gas
from plumewatch.models import Area
from plumewatch.observations import write_detection_observations
from plumewatch.progress import followed
from plumewatch.settings import Settings
from plumewatch.tables import COMBINED, REVIEWS, SOURCES

from plumewatch_airflow.assets import partition_key
from plumewatch_airflow.connections import load_settings
from plumewatch_airflow.emr import spark_task
from plumewatch_airflow.missing import skip_without
from plumewatch_airflow.news import tell_news
from plumewatch_airflow.spark import run_spark_job
from plumewatch_airflow.summary import summarised

log = logging.getLogger("plumewatch.task")


@spark_task
def match_sources(gas_name: str) -> None:
    """Name the likely sources of the key's detections by the combined inventory; skips without one."""
    from plumewatch.reviews import heed_in_matches

    gas, settings = GASES[gas_name], load_settings()
    key = partition_key(get_current_context(), gas.key_format)
    sources = storage.partition_path(settings.table_root(SOURCES.name), {"inventory": COMBINED})
    with summarised() as summary:
        there = storage.exists(sources)
        skip_without("sources", key, None if there else f"no {sources}: run inventory_refresh, then redetect")
        summary.path = settings.table_root("matches")
        result = run_spark_job(
            "match_sources",
            key=key,
            detections_path=settings.table_root(gas.table.name),
            gas=gas.name,
            sources_path=sources,
            wind_path=settings.table_root("wind"),
            profiles_path=settings.inventories,
            soundings_path=settings.table_root("soundings") if gas is CO2 else None,
            reviews_path=settings.table_root(REVIEWS.name),
            matches_path=summary.path,
            **{gas.key_column: key},
        )
        summary.add(result)
        heed_in_matches(settings.storage_root, gas, key)  # what people said while the job ran, which it hasn't read


@task
def estimate_sources(gas_name: str) -> None:
    """Say of each source how often it was looked at and seen, and what it emits by all passes of all keys together.

    And where detections recur that no inventory explains.
    """
    from plumewatch.evidence.update import update_evidence

    gas, settings = GASES[gas_name], load_settings()
    key = partition_key(get_current_context(), gas.key_format)
    with summarised() as summary:
        summary.path = settings.table_root("source_estimates")
        updated = update_evidence(settings.storage_root, gas, key, areas_of(gas, settings))
        summary.read, summary.written = updated.passes, updated.estimates + updated.candidates + updated.pages


@task(trigger_rule="none_failed")
def write_observations_and_map(gas_name: str) -> None:
    """Write the observations that the detection left in its manifests, draw the key's map, and tell what is news."""
    gas, settings = GASES[gas_name], load_settings()
    key = partition_key(get_current_context(), gas.key_format)
    with summarised() as summary:
        of_key = {"method": gas.method, gas.key_column: key}
        detections = storage.list_partitions(gas.table, settings.table_root(gas.table.name), of_key)
        summary.read = len(detections)
        summary.written = write_detection_observations(settings.storage_root, gas.name, key, detections)
        [summary.path] = draw_maps(gas, [key])
        if n_news := tell_news(gas, key, summary.path):
            summary.notes.append(f"{n_news} {gas.noun}s are news")


def draw_maps(gas: Gas, keys: Iterable[str], *, with_reports: bool = True) -> list[str]:
    """Draw the maps of keys from what is stored, and return their paths; the site follows, where there is one, and the
    reports of their months: without `with_reports` only what they tell of these keys, for whom somebody waits.

    An ingest calls it for keys of which it hands nothing on, or whose detection waits: no detection follows, or not
    soon, that would say that nobody looked.
    """
    from plumewatch.maps.map_file import write_map
    from plumewatch.maps.report import refresh_reports, write_parts
    from plumewatch.maps.site import refresh_site

    settings, keys = load_settings(), sorted(keys)
    areas = areas_of(CH4, settings)  # a report, and a site that is written anew, tell of both gases
    own = areas if gas is CH4 else ()
    paths = [write_map(gas, key, settings.storage_root, own) for key in followed(keys, "maps drawn", "maps")]
    if with_reports:
        refresh_reports(gas, keys, settings.storage_root, areas)
    else:
        write_parts(gas, keys, settings.storage_root, areas)
    refresh_site(gas, keys, settings.storage_root, areas)
    return paths


def areas_of(gas: Gas, settings: Settings) -> Sequence[Area]:
    """Return the outlines of the areas in which a gas is looked for; CO2 is looked for along orbits."""
    from plumewatch.areas import log_unreadable, read_areas

    return read_areas(*settings.area_folders, on_failure=log_unreadable) if gas is CH4 else ()


def map_times(gas: Gas) -> dict[str, datetime]:
    """Return the keys that have a map, and when it was drawn (UTC), by the storage's clock."""
    from plumewatch.maps.map_file import map_path

    folder = storage.parent(map_path(load_settings().storage_root, gas, "any"))
    times = storage.modified_times(folder).items()
    return {path.rsplit("/", 1)[-1].removesuffix(".html"): at for path, at in times}


@contextmanager
def maps_drawn(gas: Gas) -> Iterator[set[str]]:
    """Yield a set, and draw the maps of the keys that the block puts into it, however the block ends.

    It stands outside `failure_recorded`: a map that can't be drawn is no failure of what was done before.
    """
    keys: set[str] = set()
    with afterwards(lambda: draw_maps(gas, keys)):
        yield keys


@contextmanager
def afterwards(step: Callable[[], object]) -> Iterator[None]:
    """Do a step when the block has ended, however it ends.

    Where both fail, the block's error counts, as it says whether to try again; that of the step is logged.
    """
    try:
        yield
    except AirflowSkipException:
        step()
        raise
    except BaseException:  # a task that is stopped or out of time too
        try:
            step()
        except Exception:
            log.exception("what follows a failure failed too")
        raise
    step()
