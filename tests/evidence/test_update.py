"""The tables of all keys, though of old keys only what may have changed is held: the same rows as from all of it."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from evidence_rows import SEEN, match, matches, observation, plume, sources
from plumewatch import storage
from plumewatch.evidence import update
from plumewatch.evidence.candidates import find_candidates
from plumewatch.evidence.estimates import estimate_sources, read_source_passes, rejected_by_people
from plumewatch.evidence.keys import read_sources, write_source_passes
from plumewatch.evidence.update import update_evidence
from plumewatch.gases import CH4
from plumewatch.models import Area
from plumewatch.reviews import append_review
from plumewatch.tables import MATCHES, PLUMES, SOURCE_CANDIDATES, SOURCE_ESTIMATES, SOURCES

FIELDS = [Area(name, shapely.box(lon, 38.3, lon + 0.4, 38.7)) for name, lon in (("west", 54.0), ("east", 60.0))]
UNLISTED = (54.35, 38.65)
N_KEYS = 6


def listed(emission: float = 8760.0) -> list[dict[str, Any]]:
    return [{"source_id": f"{area.name}{n}", "longitude": area.geometry.bounds[0] + 0.05 + n / 20, "latitude": 38.5,
             "emission_t_y": emission} for area in FIELDS for n in range(4)]  # fmt: skip


def write_key(root: str, n: int) -> str:
    """The west is looked at each day, the east every third; each sees a plume of a listed or an unlisted source."""
    at = SEEN + timedelta(days=n)
    key, of_day = f"{at:%Y-%m-%d}", []
    for area in FIELDS[: 2 if n % 3 == 0 else 1]:
        lon, lat = UNLISTED if n % 2 and area.name == "west" else (area.geometry.bounds[0] + 0.05, 38.5)
        name = f"{area.name}{key}"
        found = plume(name, longitude=lon, latitude=lat, observed_at_utc=at, emission_kg_h=2000.0 + 300.0 * n)
        source = f"{area.name}0" if lat == 38.5 else None
        of_day += [match(name, source, 0.8), match(name, None if source else f"{area.name}3", 0.2, 2)]
        [seen] = observation(area=area.name, observed_at_utc=at, detection_limit=900.0 + 100.0 * n).to_pylist()
        stated = {"observations": [seen | {"observed_at_utc": at.isoformat(), "stage": "detection"}]}
        keys = {"method": "multi_pass", "area": area.name, "date": key}
        storage.write_partition(PLUMES, f"{root}/plumes", keys, found, extra=stated)
    storage.write_partition(MATCHES, f"{root}/matches", {"gas": "ch4", "period": key}, matches(*of_day))
    return key


def write_sources(root: str, rows: list[dict[str, Any]]) -> None:
    storage.write_partition(SOURCES, f"{root}/sources", {"inventory": "combined"}, sources(*rows))


def stored(root: str, table: Any = SOURCE_ESTIMATES) -> pa.Table:
    return storage.read_table(table, f"{root}/{table.name}", table.schema.names)


def from_all(root: str) -> pa.Table:
    """Estimates from all passes of all keys."""
    passes, rejected = read_source_passes(root, CH4), rejected_by_people(root, CH4)
    return SOURCE_ESTIMATES.conform(estimate_sources(CH4, passes, read_sources(root, CH4), rejected))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """All keys, updated one after the other."""
    root = str(tmp_path_factory.mktemp("storage"))
    write_sources(root, listed())
    keys = [write_key(root, n) for n in range(N_KEYS)]
    for key in keys:
        update_evidence(root, CH4, key, FIELDS)
    return root, keys


@pytest.fixture
def world(made: tuple[str, list[str]], tmp_path: Path) -> tuple[str, list[str]]:
    return str(shutil.copytree(made[0], tmp_path / "storage", copy_function=shutil.copy2)), made[1]


def test_rows_are_those_of_all_passes_after_every_key(tmp_path: Path) -> None:
    root = str(tmp_path)
    write_sources(root, listed())
    held = []
    for n in (*range(N_KEYS), 2, 0):
        held.append(update_evidence(root, CH4, write_key(root, n), FIELDS).passes)
        assert stored(root).equals(from_all(root))
        passes = read_source_passes(root, CH4, update.OF_CANDIDATE)
        assert stored(root, SOURCE_CANDIDATES).equals(SOURCE_CANDIDATES.conform(find_candidates(CH4, passes)))
    assert stored(root).num_rows == 8 and stored(root, SOURCE_CANDIDATES).num_rows == 1
    assert held[-1] > held[-2]  # day 2 looked at the west alone, day 0 at the east too


def test_only_what_may_have_changed_is_read_of_old_keys(world: tuple[str, list[str]], monkeypatch: Any) -> None:
    root, keys = world
    estimated: list[set[str]] = []

    def watched(gas: Any, passes: pa.Table, *more: Any) -> pa.Table:
        estimated.append(set(passes["source_id"].to_pylist()))
        return estimate_sources(gas, passes, *more)

    monkeypatch.setattr("plumewatch.evidence.estimates.estimate_sources", watched)
    all_rows = read_source_passes(root, CH4).num_rows
    updated = update_evidence(root, CH4, keys[1], FIELDS)
    assert estimated == [{"west0", "west1", "west2", "west3"}] and updated.passes < all_rows
    assert stored(root).equals(from_all(root))


@pytest.mark.parametrize("change", ["sources", "a rejection", "a lost key", "a run that ended before"])
def test_all_is_read_where_what_the_estimates_were_made_of_is_another(world: Any, change: str) -> None:
    root, keys = world
    before = stored(root)
    if change == "sources":
        write_sources(root, listed(3 * 8760.0))
    elif change == "a rejection":
        place = {"longitude": 60.05, "latitude": 38.5, "observed_at_utc": SEEN}
        append_review(root, "ch4", f"east{keys[0]}", **place, verdict="reject", by="ann", at=SEEN)
    elif change == "a lost key":
        shutil.rmtree(f"{root}/source_passes/gas=ch4/key={keys[3]}")
    else:  # it had written what the passes saw, and no estimates
        storage.write_partition(MATCHES, f"{root}/matches", {"gas": "ch4", "period": keys[0]}, MATCHES.empty())
        write_source_passes(root, CH4, keys[0], FIELDS)
    update_evidence(root, CH4, keys[1], FIELDS)  # a day of the west; of the east all has changed
    after = stored(root)
    assert after.equals(from_all(root))
    of_east = [i for i, name in enumerate(after["source_id"].to_pylist()) if name == "east0"]
    assert after.take(of_east).to_pylist() != before.take(of_east).to_pylist()


def test_passes_that_saw_nothing_of_a_candidate_count(world: tuple[str, list[str]]) -> None:
    root, _ = world
    [row] = stored(root, SOURCE_CANDIDATES).to_pylist()
    assert (row["times_observed"], row["times_seen"]) == (6, 3)  # the west each day
    passes = read_source_passes(root, CH4, update.OF_CANDIDATE)
    is_look = pc.and_(passes["source_id"].is_null(), passes["detection_id"].is_null())
    [alone] = find_candidates(CH4, passes.filter(pc.invert(is_look))).to_pylist()
    assert alone["times_observed"] == 3 and row["emission"] < 0.95 * alone["emission"]
    assert {n: row[n] for n in ("candidate_id", "times_seen", "probability")} == {
        n: alone[n] for n in ("candidate_id", "times_seen", "probability")
    }
