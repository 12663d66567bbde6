"""Published cases: what the table says, and how a result is set beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import shapely
from case_rows import EHRENBERG, KORPEZHE, case_of, observation, plume
from plumewatch.errors import ConfigurationError, InputError
from plumewatch.methane.cases.published import (
    Estimate,
    compare_case,
    parse_estimates,
    read_cases,
    select_cases,
)
from plumewatch.tables import VALIDATION


def test_the_table_holds_what_was_published() -> None:
    cases = read_cases()
    assert len(cases) == len({case.case_id for case in cases}) == 55
    is_metered = [case.metered_kg_h is not None for case in cases]
    assert is_metered == sorted(is_metered, reverse=True) and sum(is_metered) == 34
    assert all(case.source and case.licence and case.provenance for case in cases)
    assert "2018-11-11" not in {case.observed_on for case in cases}
    first = cases[0]
    assert (first.case_id, first.platform, first.tile, first.relative_orbit) == (EHRENBERG, "sentinel-2b", "11SQT", 84)
    assert first.metered_kg_h == 7175.7 and first.observed_at_utc == datetime(2021, 10, 19, 18, 13, 59, tzinfo=UTC)
    assert first.estimates[0] == Estimate("Kayrros", 6790.0)
    assert first.estimates[-1] == Estimate("MARS-S2L", 6491.0, 4524.0, 8458.0, 0.9986)
    assert sum(not case.is_sentinel2 for case in cases) == 10
    imeo = case_of(KORPEZHE)
    assert imeo.estimates == (Estimate("IMEO", 7204.0, 4465.0, 9943.0),) and imeo.wind_speed_10m_m_s == 4.22
    assert imeo.l1c_product and imeo.l1c_product.startswith("S2B_MSIL1C_20231031T071029") and imeo.metered_kg_h is None


def test_estimates_are_read_or_refused_by_name() -> None:
    assert parse_estimates("Orbio:555[296-707]|SRON:failed") == (
        Estimate("Orbio", 555.0, 296.0, 707.0), Estimate("SRON", None),
    )  # fmt: skip
    with pytest.raises(InputError, match="Orbio 555"):
        parse_estimates("Orbio 555")


def test_cases_are_chosen_by_set_id_and_number() -> None:
    assert {case.set for case in select_cases(["imeo"], [], None)} == {"imeo"}
    assert [case.case_id for case in select_cases([], [KORPEZHE], None)] == [KORPEZHE]
    assert [case.case_id for case in select_cases(["imeo"], [EHRENBERG], 1)] == [EHRENBERG]
    assert len(select_cases([], [], None)) == 55
    with pytest.raises(ConfigurationError, match=r"atlantis; known: stanford2021, stanford2022"):
        select_cases(["atlantis"], [], None)


def test_the_plume_at_the_site_is_the_case_s_and_others_are_elsewhere() -> None:
    case = case_of(EHRENBERG)
    refused = plume(case, 50.0, status="surface_change", probability=0.95)
    row = compare_case(case, observation(), [plume(case, 4000.0), refused, plume(case, 300.0)])
    assert (row["outcome"], row["plume_id"], row["n_plumes_elsewhere"]) == ("detected", "plume-300", 1)
    assert row["distance_km"] == pytest.approx(0.3, rel=0.01)
    assert row["error_percent"] == pytest.approx(100 * (6000 / 7175.7 - 1))
    assert row["detection_limit_kg_h"] == 1100.0 and row["published"][0]["team"] == "Kayrros"
    VALIDATION.from_pylist([row])


def test_a_plume_that_covers_the_site_is_its_own_wherever_it_begins() -> None:
    case = case_of(EHRENBERG)
    outline = shapely.box(case.longitude - 0.001, case.latitude - 0.001, case.longitude + 0.02, case.latitude + 0.001)
    row = compare_case(case, observation(), [plume(case, 1500.0, geometry=shapely.to_wkb(outline))])
    assert row["outcome"] == "detected" and row["distance_km"] > 1.4


def test_a_refused_candidate_keeps_its_reason_and_gives_no_rate() -> None:
    case = case_of(EHRENBERG)
    row = compare_case(case, observation(), [plume(case, 100.0, status="surface_change", probability=0.1)])
    assert (row["outcome"], row["status"], row["probability"]) == ("not_detected", "surface_change", 0.1)
    assert "emission_kg_h" not in row and row["n_plumes_elsewhere"] == 0


@pytest.mark.parametrize("outcome", ["skipped_cloud", "no_reference", "failed"])
def test_a_pass_that_was_not_searched_says_nothing_of_a_plume(outcome: str) -> None:
    row = compare_case(case_of(EHRENBERG), observation(outcome), [])
    assert row["outcome"] == outcome and "status" not in row


def test_landsat_s_passes_are_cases_like_the_others() -> None:
    case = case_of("ehrenberg_20211021T181037")
    assert (case.platform, case.tile, case.relative_orbit) == ("landsat-8", "038037", 38)
    assert case.area == "case_ehrenberg_landsat" and compare_case(case, None, [])["outcome"] == "no_input"
    assert {c.area for c in read_cases() if c.area.endswith("_landsat")} == {
        c.area for c in read_cases() if not c.is_sentinel2
    }
