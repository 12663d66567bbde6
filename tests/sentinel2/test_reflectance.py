from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plumewatch.errors import InputError
from plumewatch.sensors.sensor import ReflectanceRule
from plumewatch.sensors.sentinel2 import compute_reflectance_rule, processing_baseline
from plumewatch.sentinel2.reflectance import decide_offset, normalise

EARTH_SEARCH, C1 = "sentinel-2-l2a", "sentinel-2-c1-l2a"


def rule(
    collection: str = EARTH_SEARCH, *, baseline: str | None, flag: bool | None = None, offset: float | None = None
) -> ReflectanceRule:
    properties: dict[str, object] = {} if baseline is None else {"s2:processing_baseline": baseline}
    if flag is not None:
        properties["earthsearch:boa_offset_applied"] = flag
    band = {"scale": 0.0001} if offset is None else {"scale": 0.0001, "offset": offset}
    asset = {"href": "https://host/B11.tif", "raster:bands": [band]}
    return compute_reflectance_rule("item", collection, properties, asset)


@pytest.mark.parametrize(
    ("collection", "baseline", "flag", "declared", "expected"),
    [
        (EARTH_SEARCH, "05.11", True, -0.1, 0.0),  # the trap: declared and taken off already
        (EARTH_SEARCH, "05.11", True, 0.0, 0.0),
        (EARTH_SEARCH, "02.14", False, 0.0, 0.0),
        (EARTH_SEARCH, None, True, -0.1, 0.0),
        (C1, "05.11", None, -0.1, -0.1),
        (C1, "05.00", None, None, -0.1),
        (EARTH_SEARCH, "05.10", None, None, -0.1),  # Planetary Computer: no flag, no offset, the baseline alone
        (EARTH_SEARCH, "03.01", None, None, 0.0),
        ("elsewhere", "05.10", None, -0.1, -0.1),
        ("elsewhere", "05.10", None, 0.0, 0.0),
    ],
)
def test_offset(
    collection: str, baseline: str | None, flag: bool | None, declared: float | None, expected: float
) -> None:
    found = rule(collection, baseline=baseline, flag=flag, offset=declared)
    assert (found.scale, found.offset, found.is_certain) == (0.0001, expected, True)


@pytest.mark.parametrize(
    ("collection", "baseline", "flag", "declared"),
    [
        (C1, "05.11", True, -0.1),  # applied, they say, in a collection where it never is
        (C1, "05.11", None, 0.0),
        (EARTH_SEARCH, "02.14", False, -0.1),  # an offset that didn't exist yet
        ("elsewhere", None, None, None),  # nothing to go by
    ],
)
def test_flags_that_contradict_are_refused(
    collection: str, baseline: str | None, flag: bool | None, declared: float | None
) -> None:
    with pytest.raises(InputError, match=r"item: .*allowed"):
        rule(collection, baseline=baseline, flag=flag, offset=declared)


def packed(baseline: str | None, *, tags: tuple[float, float] = (1.0, 0.0), **band: object) -> ReflectanceRule:
    """The rule of a catalogue that isn't Earth Search's, whose item states `band`."""
    properties = {} if baseline is None else {"s2:processing_baseline": baseline}
    asset = {"href": "https://host/B11.tif?sig=secret", "raster:bands": [band]}
    return compute_reflectance_rule("item", EARTH_SEARCH, properties, asset, tags)


@pytest.mark.parametrize(
    ("baseline", "band", "expected"),
    [
        ("02.14", {"scale": 1.0, "offset": 0.0}, 0.0),  # a writer copied them from a GeoTIFF without tags
        ("05.11", {"scale": 1.0, "offset": 0.0}, -0.1),
        ("05.11", {"scale": 1}, -0.1),
        ("02.14", {"scale": None, "offset": None}, 0.0),
        ("05.11", {"raster:scale": 1, "raster:offset": 0}, -0.1),
        ("N0511", {}, -0.1),
        ("05.11", {"scale": 1e-4, "offset": -1000}, -0.1),  # in digital numbers
        ("05.11", {"scale": 1, "offset": -1000}, -0.1),
        (None, {"offset": -1000.0}, -0.1),
        (None, {"scale": "0.0001", "offset": "-0.1"}, -0.1),
        (None, {"scale": float(np.float32(1e-4)), "offset": float(np.float32(-0.1))}, -0.1),
        ("05.11", {"scale": 1e-4, "offset": 0}, 0.0),
    ],
)
def test_what_an_item_states_in_other_units(baseline: str | None, band: dict, expected: float) -> None:
    found = packed(baseline, **band)
    assert (found.scale, found.offset) == (0.0001, expected)


@pytest.mark.parametrize(
    ("baseline", "band", "text"),
    [
        ("02.14", {"scale": 1e-4, "offset": -0.1}, "no product of this baseline has an offset; allowed: offset 0"),
        ("03.01", {"scale": 1e-4, "offset": -1000}, "no product of this baseline"),
        (None, {"scale": 1, "offset": 0}, "no telling"),
        ("05.11", {"scale": 1.0, "offset": -0.1}, "scale 1 with offset -0.1; allowed: scale 0.0001"),
        ("05.11", {"scale": 0.001, "offset": -0.1}, "scale 0.001"),
        ("05.11", {"scale": 2.75e-5, "offset": -0.2}, "scale 2.75e-05"),
        ("05.11", {"scale": 10000, "offset": 0}, "scale 10000"),
        ("05.11", {"scale": 0.0}, "scale 0"),
        ("05.11", {"scale": -1e-4}, "scale -0.0001"),
        ("05.11", {"scale": 1e-4, "offset": 0.1}, "offset 0.1; allowed: offset 0 or -0.1 .-1000 digital numbers."),
        ("05.11", {"scale": 1e-4, "offset": 1000}, "offset 1000"),
        ("05.11", {"scale": 1e-4, "offset": float("nan")}, "offset nan; allowed: a number"),
        ("05.11", {"scale": "much"}, "scale 'much'; allowed: a number"),
        ("05.11", {"scale": True}, "scale True"),
    ],
)
def test_what_no_product_has_is_refused(baseline: str | None, band: dict, text: str) -> None:
    with pytest.raises(InputError, match=f"item: .*{text}"):
        packed(baseline, **band)


@pytest.mark.parametrize("bands", [{"scale": 1e-4}, ["B11"], "B11", [None]])
def test_bands_of_another_form_are_refused(bands: object) -> None:
    with pytest.raises(InputError, match="allowed: a list of objects"):
        compute_reflectance_rule("item", "elsewhere", {}, {"href": "b.tif", "raster:bands": bands})


def test_what_the_geotiff_says_of_itself() -> None:
    assert packed("05.11", tags=(1e-4, -0.1)).offset == packed(None, tags=(1e-4, -0.1)).offset == -0.1
    assert packed("05.11", tags=(1e-4, 0.0)).offset == 0.0
    assert packed("05.11", tags=(1e-4, -0.1), scale=1.0, offset=0.0).offset == -0.1
    with pytest.raises(InputError, match=r"offset 0.0 in the item and -0.1 in the GeoTIFF; allowed: one offset"):
        packed("05.11", tags=(1e-4, -0.1), scale=1e-4, offset=0.0)
    with pytest.raises(InputError, match=r"item, tags of B11.tif: scale 0.5 with offset 0.0"):
        packed("05.11", tags=(0.5, 0.0))
    trap = {"earthsearch:boa_offset_applied": True}
    asset = {"href": "B11.tif", "raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assert compute_reflectance_rule("item", EARTH_SEARCH, trap, asset, (1e-4, 0.0)).offset == 0.0


@pytest.mark.parametrize(("flag", "offset"), [("true", 0.0), ("True", 0.0), (True, 0.0), (None, -0.1)])
def test_a_flag_in_words(flag: object, offset: float) -> None:
    properties = {"earthsearch:boa_offset_applied": flag, "s2:processing_baseline": "05.11"}
    assert compute_reflectance_rule("item", EARTH_SEARCH, properties, {"href": "B11.tif"}).offset == offset


def test_a_flag_that_is_none_is_refused_and_false_in_words_is_no_true() -> None:
    properties = {"earthsearch:boa_offset_applied": "false", "s2:processing_baseline": "05.11"}
    assert not compute_reflectance_rule("item", EARTH_SEARCH, properties, {"href": "B11.tif"}).is_certain
    with pytest.raises(InputError, match="boa_offset_applied 'maybe'; allowed: true or false"):
        compute_reflectance_rule("item", EARTH_SEARCH, {"earthsearch:boa_offset_applied": "maybe"}, {})


def test_old_bucket_without_flag_has_its_offset_taken_off() -> None:
    asset = {"href": "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x/B11.tif", "raster:bands": [{"offset": -0.1}]}
    assert compute_reflectance_rule("item", EARTH_SEARCH, {"s2:processing_baseline": "05.09"}, asset).offset == 0.0


def test_real_items(real_data: Path) -> None:
    expected = {
        "sentinel2/S2A_33TWM_20230815_0_L2A/S2A_33TWM_20230815_0_L2A.json": ("red", 0.0),
        "sentinel2/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json": ("swir16", 0.0),
        "stac_items/earth-search.aws.element84.com_sentinel-2-l2a.json": ("swir16", 0.0),
        "stac_items/earth-search.aws.element84.com_sentinel-2-c1-l2a.json": ("swir16", -0.1),
        "stac_items/earth-search.aws.element84.com_sentinel-s2-l2a-cogs.json": ("B11", 0.0),
    }
    for path, (key, offset) in expected.items():
        item = json.loads((real_data / path).read_text())
        found = compute_reflectance_rule(item["id"], item["collection"], item["properties"], item["assets"][key])
        assert found.offset == offset, path


def test_flag_false_is_settled_by_dark_pixels_or_refused() -> None:
    uncertain = rule(baseline="05.11", flag=False, offset=-0.1)
    assert not uncertain.is_certain
    bright, dark = np.full(1000, 4000, np.uint16), np.full(1000, 4000, np.uint16)
    dark[:20] = 300  # reflectance -0.07 if the offset were still in
    assert decide_offset("item", uncertain, [bright, dark]).offset == 0.0
    with pytest.raises(InputError, match="contradictory flags"):
        decide_offset("item", uncertain, [bright, bright])


def test_pixels_that_lost_their_offset_before_are_refused() -> None:
    stated = rule(C1, baseline="05.11", offset=-0.1)
    carries = np.full(1000, 1300, np.uint16)
    assert decide_offset("item", stated, [carries]) == stated
    carries[:5] = 1  # a few defective ones prove nothing
    assert decide_offset("item", stated, [carries]) == stated
    with pytest.raises(InputError, match="taken off already"):
        decide_offset("item", stated, [carries, np.full(1000, 300, np.uint16)])


def test_normalise() -> None:
    numbers = np.array([0, 1, 1000, 1500, 65535], np.uint16)
    values, n_clipped = normalise(numbers, ReflectanceRule(1e-4, -0.1, ""))
    assert values.tolist() == [0, 1, 1, 500, 64535]
    assert (n_clipped, values.dtype) == (2, np.uint16)


@given(st.integers(0, 65535))
def test_normalise_leaves_a_scale_of_a_ten_thousandth_alone(number: int) -> None:
    values, n_clipped = normalise(np.array([number], np.uint16), ReflectanceRule(1e-4, 0.0, ""))
    assert (values[0], n_clipped) == (number, 0)


def test_baseline_by_property_or_product_name() -> None:
    assert processing_baseline({"s2:processing_baseline": "05.11"}) == (5, 11)
    assert processing_baseline({"sentinel:product_id": "S2A_MSIL2A_20190524T101031_N0212_R022_T31NBJ"}) == (2, 12)
    assert processing_baseline({}) is None


@pytest.mark.parametrize(
    ("stated", "baseline"),
    [
        (5.1, (5, 10)), ("5.1", (5, 10)), (5.09, (5, 9)), (5.11, (5, 11)), (5.0, (5, 0)), (4, (4, 0)), (2.14, (2, 14)),
        ("05.01", (5, 1)),
    ],
)  # fmt: skip
def test_a_baseline_as_a_number(stated: float | str, baseline: tuple[int, int]) -> None:
    assert processing_baseline({"s2:processing_baseline": stated}) == baseline


PRODUCT = "S2A_MSIL2A_20250821T064621_{}_R020_T40RDN_20250821T102030.SAFE"


@pytest.mark.parametrize(
    ("collection", "stated"),
    [
        (EARTH_SEARCH, {"s2:processing_baseline": "02.14", "s2:product_uri": PRODUCT.format("N0511")}),
        (EARTH_SEARCH, {"s2:processing_baseline": "05.11", "s2:product_uri": PRODUCT.format("N0214")}),
        ("elsewhere", {"processing:version": "05.11", "s2:product_uri": PRODUCT.format("N0301")}),
        ("elsewhere", {"sentinel:processing_baseline": 5.1, "sentinel:product_id": PRODUCT.format("N0214")}),
        (C1, {"s2:processing_baseline": "05.11", "s2:product_uri": PRODUCT.format("N0214")}),
        (C1, {"s2:processing_baseline": "02.14", "s2:product_uri": PRODUCT.format("N0214")}),
        (C1, {"s2:product_uri": PRODUCT.format("N0301")}),
        (C1, {"s2:processing_baseline": 2.1, "raster:offset": -0.1}),
    ],
)
def test_baselines_that_contradict_are_refused(collection: str, stated: dict) -> None:
    with pytest.raises(InputError, match=r"item: .*(02\.1|03\.01).*; allowed: baselines? "):
        compute_reflectance_rule("item", collection, stated, {"href": "B11.tif"})


def test_baselines_that_have_both_an_offset_or_that_the_catalogue_settles_may_differ() -> None:
    product = {"s2:product_uri": PRODUCT.format("N0511")}
    later = {"s2:processing_baseline": "05.00", **product}
    assert compute_reflectance_rule("item", "elsewhere", later, {"href": "B11.tif"}).offset == -0.1
    applied = {"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": True, **product}
    assert compute_reflectance_rule("item", EARTH_SEARCH, applied, {"href": "B11.tif"}).offset == 0.0


@pytest.mark.parametrize(
    ("properties", "asset", "expected"),
    [
        ({"raster:scale": 1e-4, "raster:offset": 0.0}, {}, 0.0),
        ({"raster:scale": 1e-4, "raster:offset": -0.1}, {}, -0.1),
        ({"raster:scale": "0.0001", "raster:offset": "0"}, {}, 0.0),
        ({"raster:scale": 1, "raster:offset": -1000}, {}, -0.1),
        ({"raster:offset": 0.0}, {"raster:offset": -0.1}, -0.1),
        ({"raster:offset": 0.0}, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, -0.1),
        ({"raster:offset": -0.1}, {"bands": [{"raster:scale": 1e-4, "raster:offset": 0.0}]}, 0.0),
        ({}, {}, -0.1),
    ],
)
def test_what_the_properties_of_an_item_state_holds_for_its_assets(
    properties: dict, asset: dict, expected: float
) -> None:
    """STAC 1.1: common metadata of an item's properties is that of each asset which doesn't say otherwise."""
    stated = {"s2:processing_baseline": "05.11", **properties}
    assert compute_reflectance_rule("item", "elsewhere", stated, {"href": "B11.tif", **asset}).offset == expected
