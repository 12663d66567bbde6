"""Scenes to judge with are as they are stated to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from plumewatch.constants import MOLAR_MASS_CH4_KG_MOL
from plumewatch.methane.evaluation import planted as planted_plumes
from plumewatch.methane.evaluation.control import scene_noise_mol_m2
from plumewatch.methane.evaluation.ground import FIELDS, Texture
from plumewatch.methane.evaluation.limits import (
    noise_check,
)
from plumewatch.methane.evaluation.sahara import pass_of_sahara, texture_of_sahara
from plumewatch.methane.evaluation.scenes import PlantedPlume, plume_column, simulate_area


def test_a_plume_holds_what_its_source_emits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over many plumes, as a single one puffs; followed for so short that all of it is in the scene."""
    monkeypatch.setattr(planted_plumes, "SCENES_LONG", 0.5)
    rate, speed, size = 3000.0, 4.0, 200
    columns = [
        plume_column(np.random.default_rng(n), size, PlantedPlume(rate, 100.0, 50.0, speed, 0.0)) for n in range(200)
    ]
    mass_kg = np.array([c.sum() for c in columns]) * 20.0**2 * MOLAR_MASS_CH4_KG_MOL
    emitted_kg = rate / 3600 * (0.5 * size * 20.0 / speed)
    assert mass_kg.mean() == pytest.approx(emitted_kg, rel=0.05)
    assert 0.1 < mass_kg.std() / emitted_kg < 0.35
    assert all((c >= 0).all() for c in columns)


def test_two_plumes_of_one_source_differ_in_shape() -> None:
    plume = PlantedPlume(3000.0, 60.0, 20.0, 4.0, 0.0)
    one, other = (plume_column(np.random.default_rng(n), 120, plume) for n in (1, 2))
    middle = [np.average(np.arange(120), weights=c[:, 80]) for c in (one, other)]
    assert abs(middle[0] - middle[1]) > 1.0  # they meander
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.95


def test_noise_of_a_pixel_is_as_published() -> None:
    assert noise_check(scene_noise_mol_m2(6, size=150)).is_ok


def test_equal_seeds_give_equal_pixels_and_others_do_not() -> None:
    one, same, other = (simulate_area(seed, size=60, n_references=1).passes[-1] for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.b12, same.b12)
    assert not np.array_equal(one.b12, other.b12)


def test_fields_change_from_date_to_date_and_desert_does_not() -> None:
    def largest_change(ground: str) -> float:
        first, last = simulate_area(5, size=150, n_references=1, ground=ground, clouds=False).passes
        change = np.log(last.b11 / first.b11)
        return float(np.ptp(np.quantile(change - np.median(change), [0.01, 0.99])))

    assert largest_change(FIELDS) > 2 * largest_change("desert")


def test_the_screen_misses_the_edge_of_clouds() -> None:
    """Beside screened pixels the ground is further from its other dates than away from them."""
    dates = [p for n in range(8) for p in simulate_area(100 + n, size=150, n_references=2).passes]
    assert 0.2 < np.mean([p.is_usable.all() for p in dates]) < 0.9
    assert all(p.is_usable.mean() > 0.3 for p in dates)


def test_real_ground_is_cut_from_its_texture() -> None:
    rng = np.random.default_rng(3)
    b11 = rng.uniform(0.3, 0.5, (90, 80))
    texture = Texture(b11, 0.9 * b11, {"b04": 0.6 * b11})
    one = simulate_area(4, size=60, n_references=1, texture=texture, clouds=False, other_bands=("b04",)).passes[-1]
    assert np.median(one.other_bands["b04"] / one.b11) == pytest.approx(0.6, rel=0.05)
    assert np.median(one.b12 / one.b11) == pytest.approx(0.9, rel=0.05)
    assert 0.3 < np.median(one.b11) < 0.5
    with pytest.raises(ValueError, match="90 x 80"):
        simulate_area(4, size=80, n_references=1, texture=texture)


def test_the_real_scene_is_read_and_its_gaps_are_filled(tmp_path: Path) -> None:
    assert texture_of_sahara(tmp_path) is None
    folder = tmp_path / "sentinel2" / "S2A_29RKH_20200219_0_L2A"
    folder.mkdir(parents=True)
    for name in ("B02", "B03", "B04", "B08", "B8A", "B11", "B12", "SCL"):
        numbers = np.full((5, 6), 5 if name == "SCL" else 4000, np.uint16)
        numbers[0, 0] = 9 if name == "SCL" else 0
        shape = {
            "width": 6,
            "height": 5,
            "count": 1,
            "dtype": "uint16",
            "transform": rasterio.Affine(20, 0, 0, 0, -20, 0),
        }
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **shape) as file:
            file.write(numbers, 1)
    texture = texture_of_sahara(tmp_path)
    assert texture is not None and sorted(texture.other) == ["b02", "b03", "b04", "b08", "b8a"]
    np.testing.assert_allclose(texture.b12, 0.4)
    whole = pass_of_sahara(tmp_path)
    assert whole.is_usable.sum() == 29 and not whole.is_usable[0, 0]
    assert whole.air_mass_factor == pytest.approx(2.34, abs=0.01) and whole.shape == (5, 6)
