"""The judge of matching in small: the rule keeps its limits, and the bound knows at least as much."""

from __future__ import annotations

import numpy as np
from plumewatch.geodesy import great_circle_distance_km
from plumewatch.matching.evaluation.bound import bayes_posterior
from plumewatch.matching.evaluation.judge import answers_of_bound, answers_of_rule, score, score_lines
from plumewatch.matching.evaluation.plain import PLAIN, make_plain_detections, plain_posterior, plants_of
from plumewatch.matching.evaluation.worlds import JUDGED, made_up_plants, make_detections

N = 600


def test_the_rule_keeps_its_limits_on_made_up_plants_and_the_bound_is_above() -> None:
    plants = made_up_plants(seed=5)
    detections = make_detections(JUDGED, plants, N, seed=40)
    of_rule = score(answers_of_rule(detections, plants), detections, plants)
    assert of_rule.misses() == []
    assert of_rule.n_isolated + of_rule.n_clustered == of_rule.n_known == N * 0.8
    bound = answers_of_bound(bayes_posterior(JUDGED, detections, plants))
    right = [np.mean(one.plant == detections.source) for one in (bound, answers_of_rule(detections, plants))]
    assert right[0] > right[1] - 0.02
    assert len(score_lines([("rule", of_rule)])) == 3


def test_a_world_is_what_it_says() -> None:
    plants = made_up_plants(seed=5)
    made = make_detections(JUDGED, plants, N, seed=41)
    again = make_detections(JUDGED, plants, N, seed=41)
    assert np.array_equal(made.longitude, again.longitude) and np.array_equal(made.source, again.source)
    unlisted = made.source < 0
    assert unlisted.mean() == JUDGED.unlisted_share and made.is_near.sum() * 2 == unlisted.sum()
    known = ~unlisted
    source = made.source[known]
    away = great_circle_distance_km(
        made.longitude[known], made.latitude[known], plants.longitude[source], plants.latitude[source]
    )
    assert away.max() < JUDGED.longest_km + 10.0
    off = np.log(made.rate_kt_h[known] / plants.emission_kt_h[source])
    assert 0.3 < off.std() < 0.7


def test_in_a_plain_world_the_unlisted_are_found_nearly_as_well_as_can_be() -> None:
    """Neither rates nor widths help there: it is the prior, which follows what is listed around, and the wind."""
    [world, _] = PLAIN
    plants = plants_of(world, made_up_plants(seed=5))
    detections = make_plain_detections(world, plants, 4 * N, seed=42)
    unlisted = detections.source < 0
    assert unlisted.mean() == 0.2 and detections.is_near.sum() * 2 == unlisted.sum()
    assert set(plants.emission_kt_h) == {1.0} and not detections.is_near[~unlisted].any()
    of_rule = score(answers_of_rule(detections, plants, has_intervals=False), detections, plants)
    of_bound = score(answers_of_bound(plain_posterior(world, detections, plants)), detections, plants)
    print("\n".join(score_lines([("rule", of_rule), ("bound", of_bound)])))
    assert of_rule.known <= 0.05 and of_rule.unknown > of_bound.unknown - 0.08
    assert of_bound.unknown_at[1] - 0.05 < of_rule.unknown_at[1] < of_bound.unknown_at[1] + 0.02
