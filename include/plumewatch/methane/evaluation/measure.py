"""One trial: an area with or without a planted plume is simulated, searched, and what was found is held against it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from plumewatch.gases import MULTI_PASS
from plumewatch.methane.anomalies import ForestSettings
from plumewatch.methane.evaluation.bare_threshold import absorption_to_nearest, bare_plumes, bare_score
from plumewatch.methane.evaluation.forest_score import forest_scores
from plumewatch.methane.evaluation.ground import DESERT, Texture
from plumewatch.methane.evaluation.sahara import texture_of_sahara
from plumewatch.methane.evaluation.scenes import PlantedPlume, SimulatedArea, simulate_area
from plumewatch.methane.pass_search import PassResult, search_pass
from plumewatch.methane.passes import Pass
from plumewatch.methane.plumes import Plume
from plumewatch.methane.retrieval import PLATFORMS
from plumewatch.methane.thresholds import PlumeThresholds
from plumewatch.progress import followed
from plumewatch.sensors.known import sensor_of_platform
from plumewatch.statuses import ACCEPTED
from plumewatch.wind.at_point import SURFACE_WIND_HEIGHT_M, WindAtPoint

SAHARA = "sahara"  # ground beside desert and fields: the texture of the real scene
AREA_PX = 250
UNIT_AREA_PX = 500 * 500  # false plumes are stated per 500 x 500 pixels, as published detectors do
WIND_M_S = (2.0, 6.0)
LEAST_WIND_M_S = 0.5  # that an erroneous wind may have
SOURCE_PLACE = (0.25, 0.75)  # of the area's side: a source lies inside
FOOTPRINT_MASS, FOOTPRINT_MARGIN_PX = 0.8, 3  # cells that hold so much of the planted methane, and a margin
LEAST_INSIDE = 0.3  # share of a candidate's cells in the footprint that makes it the plume
NEAR_PX, LEAST_SEEN = 50, 0.5  # a plume of which less is clear within a kilometre of the source can't be found


@dataclass(frozen=True)
class Setting:
    """What a trial simulates. Satellite, wind and place of the source follow from the seed."""

    seed: int
    """Of all draws."""
    ground: str = DESERT
    """desert, fields or sahara."""
    emission_kg_h: float = 0.0
    """Planted rate; 0 for none."""
    size: int = AREA_PX
    """Pixels along a side."""
    n_references: int = 8
    """Earlier dates."""
    reference_plume_share: float = 0.3
    """Of the earlier dates on which the source emits too."""
    wind_error: float = 0.3
    """Relative standard deviation of the error of the wind speed that the detector is told."""
    wind_turn_deg: float = 15.0
    """Standard deviation of the error of its direction."""
    has_baselines: bool = False
    """Whether the bare threshold is tried as well."""
    has_forest: bool = False
    """Whether Isolation Forest and DBSCAN are tried as well."""
    test_data: str = ""
    """Folder of the real data, for the ground sahara."""
    units: tuple[str, ...] = tuple(PLATFORMS)
    """Satellites of one sensor, of which the seed takes one."""

    @property
    def pixel_m(self) -> float:
        """Size of the cells."""
        return sensor_of_platform(self.units[0]).pixel_m


@dataclass(frozen=True)
class Judged:
    """A candidate and whether it is the planted plume."""

    probability: float
    """As stated; 0 where none is."""
    significance: float
    """As stated; 0 where none is."""
    status: str
    """accepted, or the reason against it."""
    is_plume: bool
    """Whether it lies on the planted plume."""
    emission_kg_h: float
    """As estimated; NaN for none."""
    low_kg_h: float
    """Lower end of its interval."""
    high_kg_h: float
    """Upper end."""

    @property
    def rank(self) -> tuple[float, float]:
        """By probability, equal ones by significance."""
        return self.probability, self.significance


@dataclass(frozen=True)
class Trial:
    """One simulated area and what was found in it."""

    setting: Setting
    """What was simulated."""
    platform: str
    """Satellite of the target pass."""
    wind_m_s: float
    """True wind."""
    is_visible: bool
    """Whether enough of the planted plume is clear; true where none is planted."""
    candidates: tuple[Judged, ...]
    """All candidates of multi_pass, highest rank first."""
    detection_limit_kg_h: float
    """As stated for the pass."""
    n_bare: int
    """Plumes of the bare threshold."""
    bare: float
    """Score of the scene by the bare threshold."""
    forest: dict[str, float]
    """Scores of the scene by Isolation Forest and DBSCAN, empty where they were not tried."""

    @property
    def hits(self) -> tuple[Judged, ...]:
        """Accepted candidates on the planted plume; one is right, further ones are parts of it."""
        return tuple(c for c in self.candidates if c.is_plume and c.status == ACCEPTED)

    @property
    def false_plumes(self) -> tuple[Judged, ...]:
        """Accepted candidates elsewhere."""
        return tuple(c for c in self.candidates if not c.is_plume and c.status == ACCEPTED)

    @property
    def found_kg_h(self) -> tuple[float, ...]:
        """Estimated rates of the hits."""
        return tuple(hit.emission_kg_h for hit in self.hits if np.isfinite(hit.emission_kg_h))


def run_trials(settings: Iterable[Setting], limits: PlumeThresholds, processes: int) -> list[Trial]:
    """Run trials in `processes` processes; the result has their order and does not depend on how many there are."""
    settings = list(settings)
    if processes == 1:
        return [run_trial(setting, limits) for setting in followed(settings, "methane", "trials")]
    with ProcessPoolExecutor(processes) as pool:
        trials = pool.map(partial(run_trial, limits=limits), settings, chunksize=4)
        return list(followed(trials, "methane", "trials", len(settings)))


def run_trial(setting: Setting, limits: PlumeThresholds) -> Trial:
    """Simulate an area, search it, and compare with what was planted."""
    area, told = simulate_setting(setting)
    target, earlier = area.passes[-1], area.passes[-2::-1]
    result = search(area, told, limits)
    absorption = absorption_to_nearest(target, earlier) if setting.has_baselines else None
    speed = float(np.hypot(area.plumes[0].wind_u_m_s, area.plumes[0].wind_v_m_s)) if area.plumes else told.speed_m_s
    return Trial(
        setting=setting,
        platform=target.platform,
        wind_m_s=speed,
        is_visible=is_visible(area),
        candidates=judge_candidates(result.plumes, area),
        detection_limit_kg_h=float(result.observation["detection_limit"] or np.nan),
        n_bare=0 if absorption is None else int(bare_plumes(absorption).max()),
        bare=float("nan") if absorption is None else bare_score(absorption),
        forest=forest_scores(target) if setting.has_forest else {},
    )


def simulate_setting(setting: Setting) -> tuple[SimulatedArea, WindAtPoint]:
    """Return the area of a setting and the wind that the detector is told."""
    rng = np.random.default_rng([setting.seed, 1])
    platform = setting.units[setting.seed % len(setting.units)]
    speed, towards = rng.uniform(*WIND_M_S), rng.uniform(0.0, 2.0 * np.pi)
    row, col = rng.uniform(SOURCE_PLACE[0] * setting.size, SOURCE_PLACE[1] * setting.size, 2)
    u, v = float(speed * np.sin(towards)), float(speed * np.cos(towards))
    plume = PlantedPlume(setting.emission_kg_h, float(row), float(col), u, v)
    area = simulate_area(
        setting.seed,
        size=setting.size,
        n_references=setting.n_references,
        ground=setting.ground,
        platform=platform,
        plumes=(plume,) if setting.emission_kg_h else (),
        reference_plume_share=setting.reference_plume_share,
        texture=_sahara(setting.test_data) if setting.ground == SAHARA else None,
    )
    told = max(LEAST_WIND_M_S, speed * (1 + setting.wind_error * rng.standard_normal()))
    turned = towards + np.radians(setting.wind_turn_deg) * rng.standard_normal()
    return area, WindAtPoint(float(told * np.sin(turned)), float(told * np.cos(turned)), SURFACE_WIND_HEIGHT_M)


def search(area: SimulatedArea, wind: WindAtPoint, limits: PlumeThresholds) -> PassResult:
    """Return what multi_pass makes of the target of an area, in a uniform wind."""
    target, earlier = area.passes[-1], area.passes[-2::-1]
    return search_pass("simulated", target, earlier, lambda *_: wind, MULTI_PASS, ForestSettings(), limits)


@lru_cache(maxsize=1)
def _sahara(folder: str) -> Texture:
    texture = texture_of_sahara(folder)
    if texture is None:
        raise FileNotFoundError(f"no Sahara scene in {folder!r}")
    return texture


def judge_candidates(plumes: Iterable[Plume], area: SimulatedArea) -> tuple[Judged, ...]:
    """Return the candidates and whether each is the planted plume, highest rank first."""
    inside = footprint(area.column_mol_m2)
    judged = []
    for plume in plumes:
        one, rate = plume.candidate, plume.emission
        judged.append(
            Judged(
                probability=float(one.probability or 0.0),
                significance=float(one.significance or 0.0),
                status=one.status,
                is_plume=lies_on(one.mask, inside),
                emission_kg_h=rate.emission_kg_h if rate else float("nan"),
                low_kg_h=rate.low_kg_h if rate else float("nan"),
                high_kg_h=rate.high_kg_h if rate else float("nan"),
            )
        )
    return tuple(sorted(judged, key=lambda one: one.rank, reverse=True))


def footprint(column_mol_m2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the fewest cells that hold 80 % of the planted methane, and three cells around; none where there is none.

    A chance candidate of some places counts as the plume as rarely as it lies there.
    """
    if not column_mol_m2.any():
        return np.zeros(column_mol_m2.shape, bool)
    falling = np.sort(column_mol_m2.ravel())[::-1]
    held = np.cumsum(falling) / falling.sum()
    least = falling[int(np.searchsorted(held, FOOTPRINT_MASS))]
    return ndimage.binary_dilation(column_mol_m2 >= least, iterations=FOOTPRINT_MARGIN_PX)


def lies_on(mask: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Whether a candidate is the planted plume, by its footprint."""
    return bool(inside[mask].mean() >= LEAST_INSIDE)


def is_visible(area: SimulatedArea) -> bool:
    """Whether the screen calls clear what holds half of the planted methane within a kilometre of the source."""
    if not area.plumes:
        return True
    target: Pass = area.passes[-1]
    row, col = np.indices(target.shape)
    near = np.hypot(row - area.plumes[0].row, col - area.plumes[0].col) <= NEAR_PX
    seen = area.column_mol_m2[near & target.is_usable].sum() / area.column_mol_m2[near].sum()
    return bool(seen >= LEAST_SEEN)
