from __future__ import annotations

import numpy as np
import pytest
from plumewatch.oco2.evaluation.clouds import FULL, GAP_CLASSES, GapClass, draw_seen, gap_lengths_km
from plumewatch.oco2.evaluation.judged_strips import JUDGING, ORBIT_KM, TRAINING, World
from plumewatch.oco2.evaluation.particle_plume import Weather, simulate_plume
from plumewatch.oco2.evaluation.strip import ROW_KM, Crossing, Strip
from plumewatch.oco2.evaluation.strip_truth import TruePlume, one_or_two, owner_of
from plumewatch.oco2.evaluation.surroundings import (
    BACKGROUNDS,
    RealStripNoise,
    SimulatedStripNoise,
    draw_surroundings,
)

STRIP = Strip(267, 10.0)
FIELD = simulate_plume(np.random.default_rng(5), Weather(5.0))


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(JUDGING, 6, [SimulatedStripNoise()])


def planted(crossing: Crossing, emission_kt_h: float, is_seen: np.ndarray | None = None) -> TruePlume:
    seen = np.ones(STRIP.along_km.shape, dtype=bool) if is_seen is None else is_seen
    return TruePlume.of([(crossing, emission_kt_h * crossing.enhancement(FIELD, STRIP))], seen, STRIP.row_km)


@pytest.mark.parametrize("kind", GAP_CLASSES[1:], ids=lambda kind: kind.name)
def test_clouds_hide_what_they_are_to_hide(kind: GapClass) -> None:
    missing, lengths = [], []
    for number in range(60):
        rng = np.random.default_rng(number)
        strip = Strip.draw(rng, 600.0)
        is_seen = draw_seen(rng, kind, strip)
        missing.append(1.0 - is_seen.mean())
        lengths.append(gap_lengths_km(strip, is_seen))
    low, high = kind.missing
    assert min(missing) >= low - 0.02 and max(missing) <= high + 0.1 * (1 - high) + 0.02
    assert np.ptp(missing) > 0.6 * (high - low)
    gaps = np.concatenate(lengths)
    assert gaps.min() < 5.0 and (gaps > 60.0).any() == kind.name.startswith("large")


def test_full_coverage_has_no_gap() -> None:
    for number in range(10):
        rng = np.random.default_rng(number)
        is_seen = draw_seen(rng, FULL, STRIP)
        assert is_seen.mean() > 0.87 and len(gap_lengths_km(STRIP, is_seen)) == 0


def test_truth_is_linear_in_the_emission_and_knows_no_gaps() -> None:
    crossing = Crossing(300.0, 15.0, 50.0)
    one, some = planted(crossing, 1.0), [planted(crossing, rate) for rate in (0.3, 2.0, 5.0, 12.0, 20.0)]
    for plume, rate in zip(some, (0.3, 2.0, 5.0, 12.0, 20.0), strict=True):
        assert plume.amplitude_ppm_km == pytest.approx(rate * one.amplitude_ppm_km)
        assert plume.largest_ppm == pytest.approx(rate * one.largest_ppm)
        assert (plume.centre_km, plume.n_soundings) == (pytest.approx(one.centre_km), one.n_soundings)
    half = np.ones(STRIP.along_km.shape, dtype=bool)
    half[STRIP.row_km < one.centre_km] = False
    hidden = np.ones_like(half)
    hidden[np.abs(STRIP.row_km - one.centre_km) < 15.0] = False
    cut, gone = planted(crossing, 1.0, half), planted(crossing, 1.0, hidden)
    assert cut.amplitude_ppm_km == gone.amplitude_ppm_km == one.amplitude_ppm_km
    assert 0 < cut.n_soundings < one.n_soundings and not cut.is_core_hidden and gone.is_core_hidden
    assert one.seen_core == 1.0 and not one.is_core_hidden


def test_one_plume_or_two_by_the_valley() -> None:
    x = np.arange(0.0, 300.0, ROW_KM)

    def hill(at_km: float, height: float = 1.0, sigma_km: float = 8.0) -> np.ndarray:
        return height * np.exp(-0.5 * ((x - at_km) / sigma_km) ** 2)

    # equal ones meet in 2 exp(-d^2 / 8 sigma^2): 0.35 of the height where d = 3.73 sigma = 29.9 km
    assert one_or_two([hill(100.0), hill(128.0)]) == [[0, 1]]
    assert one_or_two([hill(100.0), hill(132.0)]) == [[0], [1]]
    assert one_or_two([hill(132.0), hill(100.0)]) == [[1], [0]]
    # tops of narrow ones have to be ten kilometres apart, as those of rows have
    assert one_or_two([hill(100.0, sigma_km=1.0), hill(106.0, sigma_km=1.0)]) == [[0, 1]]
    assert one_or_two([hill(100.0, sigma_km=1.0), hill(112.0, sigma_km=1.0)]) == [[0], [1]]
    assert one_or_two([hill(100.0), hill(126.0, 0.2)]) == [[0, 1]]  # on the flank of a stronger one
    assert one_or_two([hill(100.0), hill(140.0, 0.2)]) == [[0], [1]]
    assert one_or_two([hill(100.0), hill(115.0), hill(180.0)]) == [[0, 1], [2]]
    assert one_or_two([hill(100.0), hill(150.0), hill(200.0)]) == [[0], [1], [2]]
    assert one_or_two([hill(100.0)]) == [[0]]


def test_rows_belong_to_the_nearest_plume_in_reach() -> None:
    plumes = [planted(Crossing(at, 15.0, 80.0), 2.0) for at in (200.0, 240.0)]
    owner = owner_of(plumes, np.array([198.0, 221.0, 243.0, 300.0]))
    assert owner[0] == 0 and owner[2] == 1 and owner[3] == -1
    assert owner_of([], np.array([5.0])).tolist() == [-1] and owner_of(plumes, np.array([])).size == 0
    assert all(plume.reach_km <= 50.0 for plume in plumes)


def test_strips_repeat_and_their_streams_are_apart(world: World) -> None:
    again, other = World.make(JUDGING, 6, [SimulatedStripNoise()]), World.make(TRAINING, 6, [SimulatedStripNoise()])
    assert np.array_equal(again.fields[3].enhancement_ppm, world.fields[3].enhancement_ppm)
    assert not np.array_equal(other.fields[3].enhancement_ppm, world.fields[3].enhancement_ppm)
    for name in ("empty_strips", "planted_strips", "pairs"):
        same, first, trained = (next(getattr(w, name)(1)).track.xco2_ppm for w in (again, world, other))
        assert np.array_equal(same, first) and not np.array_equal(trained, first)
    # of a stream, what is asked for more of begins alike
    few, many = ([strip.track.xco2_ppm[0] for strip in world.empty_strips(n)] for n in (3, 6))
    assert many[:3] == few and len(set(many)) == 6


def test_planted_strips_are_of_all_kinds(world: World) -> None:
    strips = list(world.planted_strips(90))
    assert {(strip.gaps, strip.background) for strip in strips} == {
        (kind.name, background) for kind in GAP_CLASSES for background in BACKGROUNDS
    }
    plumes = [plume for strip in strips for plume in strip.plumes]
    assert {len(strip.plumes) for strip in strips} == {1, 2, 3} and max(len(p.crossings) for p in plumes) > 1
    crossings = [crossing for plume in plumes for crossing in plume.crossings]
    angle, distance = (np.array([getattr(c, name) for c in crossings]) for name in ("angle_deg", "distance_km"))
    assert 15.0 <= angle.min() < 20.0 and 80.0 < angle.max() <= 90.0
    assert 2.0 <= distance.min() < 3.0 and 50.0 < distance.max() <= 80.0
    assert any(plume.is_core_hidden for plume in plumes) and any(plume.is_part_of_strip for plume in plumes)
    for strip in strips:
        assert strip.is_seen.sum() == len(strip.track) and np.ptp(strip.track.across_km) < 10.5
        assert all(100.0 < plume.centre_km < 500.0 for plume in strip.plumes)


def test_plumes_in_strips_are_skewed(world: World) -> None:
    skews: dict[bool, list[float]] = {True: [], False: []}
    for strip in world.planted_strips(60):
        for plume in strip.plumes:
            profile, z = plume.enhancement_ppm.mean(axis=1), (strip.strip.row_km - plume.centre_km) / plume.spread_km
            skews[plume.crossings[0].angle_deg < 45.0].append(abs(float(profile @ z**3 / profile.sum())))
    assert np.median(skews[True]) > 0.8 and np.median(skews[False]) > 0.25


def test_what_is_planted_is_in_the_track(world: World) -> None:
    n_compared = 0
    for strip in world.planted_strips(60):
        for plume in strip.plumes:
            seen = plume.enhancement_ppm[strip.is_seen]
            is_core = seen > 0.5 * plume.largest_ppm
            is_beside = (seen < 0.05) & (np.abs(strip.track.distance_km - plume.centre_km) < 60.0)
            if len(strip.plumes) > 1 or plume.largest_ppm < 3.0 or is_core.sum() < 5 or is_beside.sum() < 50:
                continue
            rise = strip.track.xco2_ppm[is_core].mean() - strip.track.xco2_ppm[is_beside].mean()
            assert rise == pytest.approx(seen[is_core].mean(), abs=1.0)
            n_compared += 1
    assert n_compared >= 5


def test_pairs_are_two_plants_30_km_apart(world: World) -> None:
    for strip in world.pairs(8):
        places = [crossing.along_km for plume in strip.plumes for crossing in plume.crossings]
        assert len(places) == 2 and 28.0 <= np.ptp(places) <= 32.0 and strip.gaps == FULL.name


@pytest.mark.parametrize("n_plumes", [0, 5, 30])
def test_months_hold_so_many_plants(world: World, n_plumes: int) -> None:
    orbits = list(world.month(n_plumes, n_orbits=12))
    crossings = [crossing for orbit in orbits for plume in orbit.plumes for crossing in plume.crossings]
    assert len(orbits) == 12 and len(crossings) == n_plumes
    assert [orbit.track.orbit for orbit in orbits] == list(range(12))
    assert all(orbit.strip.row_km[-1] == pytest.approx(ORBIT_KM, abs=10.0) for orbit in orbits)
    for orbit in orbits:  # the truth of a row, by its place
        centres = np.array([plume.centre_km for plume in orbit.plumes])
        owner = owner_of(orbit.plumes, np.r_[centres, -500.0])
        assert (owner[:-1] >= 0).all() and owner[-1] == -1
    again = list(world.month(n_plumes, number=1, n_orbits=12))
    assert not np.array_equal(again[0].track.xco2_ppm, orbits[0].track.xco2_ppm)


def test_background_bends_by_half_a_ppm_in_100_km_and_coasts_are_steps() -> None:
    still = SimulatedStripNoise()
    over = {name: [] for name in BACKGROUNDS}
    for number in range(60):
        for name in BACKGROUNDS:
            rng = np.random.default_rng([number, 7])
            drawn = draw_surroundings(rng, name, still, STRIP)
            level = drawn.xco2_ppm.mean(axis=1)
            level = np.convolve(level, np.ones(9) / 9, mode="valid")
            over[name].append(np.mean((level[44:] - level[:-44]) ** 2))  # 99 km
            water, calmer = drawn.covariance.is_water, drawn.covariance.factor.min()
            assert water.any() == (name == "coast") or name == "coast"
            assert (calmer < 0.85) == water.any()
    rms = {name: float(np.sqrt(np.mean(values))) for name, values in over.items()}
    assert rms["calm"] < 0.3 and 0.5 < rms["vegetation"] < 1.0


def test_real_noise_is_put_into_rows_and_footprints() -> None:
    """A slanted swath on a curved track, given in any order, comes back as rows of eight."""
    rng = np.random.default_rng(2)
    strip = Strip(120, 12.0)
    seen = rng.random(strip.along_km.shape) < 0.9
    north, east = strip.along_km[seen] - 130.0, strip.across_km[seen]
    angle = np.radians(-12.0)
    x, y = east * np.cos(angle) + north * np.sin(angle), north * np.cos(angle) - east * np.sin(angle)
    latitude = -28.0 + y / 111.195
    longitude = 29.0 + x / 111.195 / np.cos(np.radians(latitude))
    row, footprint = np.nonzero(seen)
    value = row + 0.001 * footprint  # a ramp: what the median leaves tells the row's neighbours
    order = rng.permutation(len(value))
    is_plume = (row >= 40) & (row < 60)
    noise = RealStripNoise.of("ramp", longitude[order], latitude[order], value[order], is_plume[order])
    assert len(noise.blocks) == 25 and all(block.shape == (4, 8) for block in noise.blocks)
    inner = noise.blocks[5:8]
    for block in inner:
        across = np.nanmean(block, axis=0) - np.nanmean(block)
        assert np.nanmax(np.abs(block)) < 0.6 and np.nanstd(block, axis=1).max() < 0.01
        assert np.polyfit(np.arange(8), across, 1)[0] == pytest.approx(0.001, abs=1e-3)
    drawn = noise.draw(rng, Strip(50, 0.0)).error_ppm
    assert drawn.shape == (50, 8) and 0.02 < np.isnan(drawn).mean() < 0.2
