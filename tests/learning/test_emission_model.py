"""Emissions learnt from peaks: planted relations are found, places not learnt by heart, models are files of numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learnt_world import SEEN, world
from plumewatch import storage
from plumewatch.errors import InputError
from plumewatch.gases import CO2
from plumewatch.learning.emission_model import (
    ALL_FEATURES,
    FLUX_ALONE,
    NothingToLearnFrom,
    from_json,
    judge_model,
    to_json,
    train_model,
)
from plumewatch.learning.features import examples_of, known_emission_kt_h, upwind_pairs
from plumewatch.learning.published_peaks import read_published_peaks
from plumewatch.learning.training import learnt_emissions, read_emission_model, train_emission
from plumewatch.reviews import append_review
from plumewatch.tables import PEAKS, SOURCES


def test_the_known_emission_is_that_upwind_along_the_wind() -> None:
    peaks, known, _ = world(1, 20, 0.0)
    pairs = upwind_pairs(peaks, known)
    assert known_emission_kt_h(pairs, 20).tolist() == pytest.approx(peaks["emission_kt_h"].to_pylist(), rel=1e-3)
    turned = [r | {name: -r[name] for name in ("wind_u_m_s", "wind_v_m_s")} for r in peaks.to_pylist()]
    back = PEAKS.from_pylist(turned)
    assert max(known_emission_kt_h(upwind_pairs(back, known), 20)) < 0.05


def test_a_planted_relation_is_found_and_another_list_tells_more_than_the_flux() -> None:
    peaks, known, other = world(2, 200, 0.8)
    judged = judge_model(examples_of(peaks, known, {"b": other}))
    assert 0.55 < judged.r2[ALL_FEATURES] < 0.95 and judged.r2[FLUX_ALONE] < 0.3 and judged.is_better
    assert judged.learning_curve[0][2] < judged.learning_curve[-1][2] and judged.learning_curve[-1][0] == 160


def test_a_place_is_not_learnt_by_heart() -> None:
    """Many peaks of few places: what only tells places apart must not pay."""
    peaks, known, _ = world(3, 12, 0.0)
    rng = np.random.default_rng(0)
    rows = [row | {"peak_id": 100 * n + row["peak_id"], "emission_kt_h": float(np.exp(rng.normal()))}
            for n in range(10) for row in peaks.to_pylist()]  # fmt: skip
    judged = judge_model(examples_of(PEAKS.from_pylist(rows), known, {}))
    assert judged.n_cells == 12 and judged.r2[ALL_FEATURES] < 0.2 and not judged.is_better


def test_too_few_are_refused_by_number() -> None:
    peaks, known, other = world(4, 20, 0.3)
    with pytest.raises(NothingToLearnFrom, match="20 peaks with a known emission"):
        judge_model(examples_of(peaks, known, {"b": other}))


def test_a_model_is_numbers_in_json_and_another_form_is_refused() -> None:
    peaks, known, other = world(2, 60, 0.3)
    examples = examples_of(peaks, known, {"b": other})
    model = train_model(examples, judge_model(examples))
    again = from_json("card.json", json.loads(json.dumps(to_json(model))))
    assert again == model and np.isfinite(again.predict(examples)).all()
    for wrong in ({}, to_json(model) | {"mean": [1.0]}, to_json(model) | {"scale": "x"}, []):
        with pytest.raises(InputError, match=r"card\.json"):
            from_json("card.json", wrong)
    with pytest.raises(InputError, match="other features"):
        model.predict(examples_of(peaks, known, {}))


@pytest.fixture
def root(tmp_path: Path) -> str:
    peaks, known, other = world(2, 120, 0.8)
    keys = {"method": "scan", "month": "2018-06"}
    storage.write_partition(PEAKS, f"{tmp_path}/peaks", keys, peaks)
    for name, rows in (("coco2", known), ("gppd", other), ("combined", known)):
        storage.write_partition(SOURCES, f"{tmp_path}/sources", {"inventory": name}, rows)
    return str(tmp_path)


def test_what_is_stored_is_learnt_and_used(root: str) -> None:
    peaks = storage.read_table(PEAKS, f"{root}/peaks")
    assert read_emission_model(root) is None and learnt_emissions(root, peaks) == {}
    path, lines = train_emission(root)
    assert "120 peaks with a known emission" in lines[0] and train_emission(root)[0] == path
    card: dict[str, Any] = storage.read_json(path)
    assert card["learnt_from"]["upwind_sums_of"] == ["gppd"] and card["is_better_than_flux"]
    found = learnt_emissions(root, peaks)
    error = [np.log(found[str(r["peak_id"])] / e) for r, e in zip(peaks.to_pylist(), _true(root), strict=True)]
    assert len(found) == 120 and np.std(error) < 0.5
    append_review(root, "co2", "7", longitude=0, latitude=0, observed_at_utc=None, verdict="reject", by="ann", at=SEEN)
    assert storage.read_json(train_emission(root)[0])["learnt_from"]["peaks"] == 119


def _true(root: str) -> list[float]:
    rows = storage.read_table(SOURCES, f"{root}/sources", where={"inventory": "coco2"}).to_pylist()
    return [r["emission_t_y"] * CO2.units_per_t_y for r in sorted(rows, key=lambda r: int(r["source_id"][1:]))]


def test_an_inventory_that_is_not_there_is_named(root: str) -> None:
    with pytest.raises(NothingToLearnFrom, match=r"no inventory edgar \(there are coco2, gppd\)"):
        train_emission(root, "edgar")


def test_a_model_that_cannot_be_used_is_told_and_nothing_is_shown(root: str, caplog: pytest.LogCaptureFixture) -> None:
    path, _ = train_emission(root)
    peaks = storage.read_table(PEAKS, f"{root}/peaks")
    card = storage.read_json(path)
    storage.write_json(path, card | {"model": card["model"] | {"names": [f"old {n}" for n in card["model"]["names"]]}})
    assert learnt_emissions(root, peaks) == {} and "other features" in caplog.text
    storage.write_json(path, card | {"model": {}})
    assert learnt_emissions(root, peaks) == {} and "card.json" in caplog.text
    storage.write_json(path, card)
    shutil.rmtree(f"{root}/sources/inventory=gppd")
    assert learnt_emissions(root, peaks) == {} and "['gppd'] too" in caplog.text


def test_a_file_that_cannot_be_read_is_not_too_few_peaks(root: str) -> None:
    [file] = Path(root, "peaks").rglob("*.parquet")
    file.write_bytes(b"no Parquet")
    with pytest.raises(InputError) as raised:
        train_emission(root)
    assert not isinstance(raised.value, NothingToLearnFrom) and file.name in str(raised.value)


def test_published_peaks_are_one_a_plume(tmp_path: Path) -> None:
    from plumewatch.learning.published_peaks import COLUMNS

    head = list(COLUMNS)
    row = {"sounding_id": 2014090607005973, "latitude": 43.5, "longitude": 90.9, "orbit": 961, "delta": 1.2,
           "amplitude": 29.4, "sigma": 9.5, "R": 0.66, "windspeed_u": 3.0, "windspeed_v": 2.9,
           "surface_pressure": 774.5, "tcwv": 9.0, "ktCO2_per_h": 4.8, "date": "2014-09-06 07:00:59.730"}  # fmt: skip
    rows = [
        row,
        row | {"latitude": 43.54, "R": 0.7, "sounding_id": 2014090607010032},
        row | {"latitude": 45.0, "R": 0.5},
    ]
    text = "\n".join([",".join(head), *(",".join(str(r[name]) for name in head) for r in rows)])
    (tmp_path / "peaks_and_invent_1409.csv").write_text(text)
    found = read_published_peaks([str(tmp_path / "peaks_and_invent_1409.csv")]).to_pylist()
    assert [(r["latitude"], r["correlation"]) for r in found] == [(45.0, 0.5), (43.54, 0.7)]
    assert found[1]["emission_kt_h"] == 4.8 and found[1]["observed_at_utc"].year == 2014
