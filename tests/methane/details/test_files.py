"""Files of details: what each number came from, for accepted and refused alike, and nothing of a former run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch import storage
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.details.facts import as_plain, emission_by_wind_kg_h, plume_facts
from plumewatch.methane.details.files import MAX_REFUSED_PICTURES, write_details
from plumewatch.methane.evaluation.scenes import PlantedPlume, simulate_area
from plumewatch.methane.pass_search import PassResult, search_pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.quantification import Mass
from plumewatch.methane.thresholds import plume_thresholds
from plumewatch.statuses import ACCEPTED, NOT_SIGNIFICANT, SURFACE_CHANGE, UNRATED
from plumewatch.wind.at_point import WindAtPoint

SIZE = 130
WIND = WindAtPoint(3.0, 1.0, 10.0, "era5", (10.0,))
KEYS = {"method": "multi_pass", "area": "field", "date": "2025-08-17"}
LIMITS = plume_thresholds()


@pytest.fixture(scope="module")
def found() -> PassResult:
    """A pass with one accepted plume and five copies of it that were refused, ever weaker."""
    plume = PlantedPlume(12_000.0, 70.0, 40.0, WIND.wind_u_m_s, WIND.wind_v_m_s)
    area = simulate_area(51, size=SIZE, n_references=3, plumes=(plume,), clouds=False, reference_plume_share=0.0)
    result = search_pass(
        "field", area.passes[-1], area.passes[-2::-1], lambda lon, lat: WIND, "multi_pass", ForestSettings(), LIMITS
    )
    accepted = next(p for p in result.plumes if p.candidate.status == ACCEPTED)
    refused = [as_refused(accepted, f"{n:016x}", 9.0 - n, (SURFACE_CHANGE, NOT_SIGNIFICANT)[n % 2]) for n in range(5)]
    return replace(result, plumes=(*refused[::-1], accepted))


def as_refused(plume: Plume, plume_id: str, significance: float | None, status: str) -> Plume:
    candidate = replace(plume.candidate, significance=significance, status=status)
    row = plume.table_row | {"plume_id": plume_id, "status": status}
    return replace(plume, plume_id=plume_id, candidate=candidate, table_row=row)


def strict(text: bytes) -> dict:
    """JSON as the standard has it."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def stored(root: Path, suffix: str) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in root.rglob(f"*{suffix}")}


def test_every_candidate_has_its_json_and_the_strongest_refused_their_picture(
    found: PassResult, tmp_path: Path
) -> None:
    write_details(str(tmp_path), KEYS, [found])
    accepted = found.plumes[-1].plume_id
    assert stored(tmp_path, ".json").keys() == {plume.plume_id for plume in found.plumes}
    assert stored(tmp_path, ".png").keys() == {accepted, *(f"{n:016x}" for n in range(MAX_REFUSED_PICTURES))}
    assert stored(tmp_path, ".tif").keys() == {accepted}
    folder = storage.partition_path(str(tmp_path), KEYS)
    assert {path.parent for path in tmp_path.rglob("*.json")} == {Path(folder)}


def test_keys_are_stable_and_values_are_json(found: PassResult, tmp_path: Path) -> None:
    odd = found.plumes[-1]
    unknown = replace(
        odd,
        plume_id="2016083111560104",
        wind=None,
        emission=None,
        mass=replace(odd.mass, ime_sigma_kg=float("nan")),
        table_row=odd.table_row | {"plume_id": "2016083111560104", "observed_at_utc": None, "probability": np.nan},
    )
    write_details(str(tmp_path), KEYS, [replace(found, plumes=(*found.plumes, unknown))])
    facts = {name: strict(text) for name, text in stored(tmp_path, ".json").items()}
    assert len({tuple(sorted(about)) for about in facts.values()}) == 1
    about = facts["2016083111560104"]
    assert about["plume_id"] == "2016083111560104"
    assert about["ime_sigma_kg"] is None and about["probability"] is None and about["wind"] is None
    assert all(isinstance(name, str) for name in about["reference_scene_ids"])


def test_the_json_says_what_the_number_came_from(found: PassResult, tmp_path: Path) -> None:
    write_details(str(tmp_path), KEYS, [found])
    plume = found.plumes[-1]
    about = strict(stored(tmp_path, ".json")[plume.plume_id])
    assert {name: about[name] for name in KEYS} == KEYS
    assert [r["scene_ids"] for r in about["references"]] == [list(p.scene_ids) for p in found.references]
    days = [r["days_before"] for r in about["references"]]
    assert days == sorted(days) and days[0] >= 1 and about["references"][0]["platform"].startswith("sentinel-2")
    assert {"version": about["calibration"], **about["thresholds"]} == json.loads(json.dumps(asdict(LIMITS)))
    assert about["wind"]["speed_m_s"] == pytest.approx(10**0.5) and about["wind"]["product"] == "era5"
    assert about["emission_formula"].startswith("Q = (slope x U10 + offset) x IME / sqrt(area)")
    rule = about["emission_rule"]
    assert (rule["effective_wind_slope"], rule["effective_wind_offset"]) == (0.33, 0.45)
    rate = (0.33 * 10**0.5 + 0.45) * about["ime_kg"] / about["area_m2"] ** 0.5 * 3600
    assert about["emission_kg_h"] == pytest.approx(rate)
    assert set(about["ime_per_length_kg_m"]) == {"one_pixel_smaller", "mask", "one_pixel_larger"}
    assert list(about["emission_by_wind_kg_h"]) == ["2 m/s", "4 m/s", "6 m/s", "8 m/s"]
    assert all(sigma > 0 for sigma in about["noise_mol_m2"].values()) and about["noise_mol_m2"]
    assert about["tests"] == as_plain(plume.candidate.tests)
    assert about["cut_off"].keys() == {"at_edge", "at_gap", "text"}
    assert about["outline"]["type"] == "Polygon" and about["observation"]["outcome"] == "searched"
    assert about["status_text"] == "accepted" and about["observed_at_utc"].startswith("2025-08-")


def test_a_former_run_s_files_go_and_pages_of_scenes_stay(found: PassResult, tmp_path: Path) -> None:
    folder = Path(storage.partition_path(str(tmp_path), KEYS))
    folder.mkdir(parents=True)
    for name in ("0123456789abcdef.png", "0123456789abcdef.json", "0123456789abcdef.tif", "S2A_X.html"):
        (folder / name).write_bytes(b"old")
    write_details(str(tmp_path), KEYS, [found])
    assert not stored(tmp_path, ".json").keys() & {"0123456789abcdef"}
    assert stored(tmp_path, ".html") == {"S2A_X": b"old"}
    write_details(str(tmp_path), KEYS, [])
    assert [path.name for path in folder.iterdir()] == ["S2A_X.html"]


def test_a_repetition_gives_the_same_bytes(found: PassResult, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_details(str(tmp_path / name), KEYS, [found])
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    )
    assert first == second and len(first) > 6


def test_unrated_clusters_have_facts_and_few_pictures(found: PassResult, tmp_path: Path) -> None:
    clusters = [as_refused(found.plumes[-1], f"c{n}", None, UNRATED) for n in range(6)]
    clusters = [replace(c, mass=replace(c.mass, ime_kg=float(n))) for n, c in enumerate(clusters)]
    write_details(str(tmp_path), KEYS, [replace(found, plumes=tuple(clusters))])
    assert stored(tmp_path, ".png").keys() == {"c5", "c4", "c3"} and len(stored(tmp_path, ".json")) == 6
    about = strict(stored(tmp_path, ".json")["c0"])
    assert about["status"] == "unrated" and about["significance"] is None


def test_the_raster_holds_the_enhancement(found: PassResult, tmp_path: Path) -> None:
    assert found.detection is not None
    write_details(str(tmp_path), KEYS, [found])
    (path,) = tmp_path.rglob("*.tif")
    with rasterio.open(path) as raster:
        assert np.nanmax(raster.read(1)) == pytest.approx(float(np.nanmax(found.detection.enhancement_mol_m2)), rel=0.5)


def test_rates_by_wind_follow_the_formula() -> None:
    """IME 520 kg on 0.36 km2: 5.0 t/h in 3.5 m/s."""
    mass = Mass(520.0, 10.0, 360_000.0, (0.8, 520.0 / 600.0, 0.9))
    rates = emission_by_wind_kg_h(mass, (3.5, 7.0), LIMITS)
    assert rates[3.5] == pytest.approx(5008, abs=5) and rates[7.0] > rates[3.5]


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
        lambda part: st.lists(part) | st.dictionaries(st.text() | st.integers() | st.floats(), part) | st.tuples(part),
        max_leaves=12,
    )
)
def test_anything_becomes_json(value: object) -> None:
    strict(json.dumps(as_plain(value), allow_nan=False).encode())


def test_facts_of_a_pass_without_detection_have_the_same_keys(found: PassResult) -> None:
    plume = found.plumes[-1]
    assert plume_facts(replace(found, detection=None), plume, LIMITS).keys() == plume_facts(found, plume, LIMITS).keys()
