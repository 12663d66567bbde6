from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from plumewatch.catalogues.stac import read_item
from plumewatch.errors import InputError
from plumewatch.sensors.sentinel2 import SENTINEL2
from plumewatch.sentinel2.scene import SceneRef, scene_ref, select_newest
from sentinel2_scenes import source_item

TILE = shapely.box(56.0, 24.0, 57.0, 25.0)
NOON = datetime(2025, 8, 21, 6, 48, 12, 123000, tzinfo=UTC)
REF = SceneRef("a", "href", NOON, "sentinel-2a", 20, "40RDN", 1.0, (5, 11), 0, "2025-08-21T12:00:00Z", TILE)


def refs(*changes: dict) -> list[SceneRef]:
    return [replace(REF, scene_id=f"s{n}", **change) for n, change in enumerate(changes)]


@pytest.mark.parametrize(
    ("changes", "newest"),
    [
        (({"baseline": (5, 11)}, {"baseline": (5, 10)}), "s0"),
        (({"baseline": (5, 9)}, {"baseline": (5, 10)}), "s1"),  # by number, not by text
        (({"baseline": None}, {"baseline": (2, 14)}), "s1"),
        (({"sequence": 1}, {"sequence": 0}), "s0"),
        (({"updated": "2025-08-22"}, {"updated": "2025-08-23"}), "s1"),
        (({"baseline": (5, 11)}, {"baseline": (5, 10), "sequence": 3, "updated": "2026"}), "s0"),
        (({"is_deprecated": True, "baseline": (9, 9), "sequence": 9}, {}, {"is_deprecated": True}), "s1"),
        (({"is_deprecated": True}, {"is_deprecated": True, "sequence": 1}), "s1"),  # better than none
        (({}, {}), "s1"),  # nothing tells them apart but the id
    ],
)
def test_the_newest_product_of_an_acquisition_is_used(changes: tuple[dict, ...], newest: str) -> None:
    used, replaced = select_newest(refs(*changes))
    assert [r.scene_id for r in used] == [newest]
    assert len(replaced) == len(changes) - 1


@pytest.mark.parametrize(
    "change",
    [
        {"tile": "40RCN"}, {"platform": "sentinel-2b"}, {"relative_orbit": 63},
        {"observed_at_utc": NOON + timedelta(days=1)}, {"observed_at_utc": NOON - timedelta(days=10)},
        {"relative_orbit": None, "observed_at_utc": NOON + timedelta(minutes=101)},
    ],
)  # fmt: skip
def test_other_acquisitions_are_no_duplicates(change: dict) -> None:
    used, replaced = select_newest(refs({}, change))
    assert (len(used), replaced) == (2, [])


@pytest.mark.parametrize(
    "shift",
    [
        timedelta(milliseconds=876), timedelta(milliseconds=877), timedelta(milliseconds=-124), timedelta(seconds=2),
        timedelta(minutes=3, seconds=34), timedelta(minutes=-7), timedelta(minutes=49),
    ],
)  # fmt: skip
@pytest.mark.parametrize("orbits", [(20, 20), (20, None), (None, 20), (None, None)])
def test_another_time_makes_no_other_acquisition(shift: timedelta, orbits: tuple[int | None, int | None]) -> None:
    old, new = ({"relative_orbit": orbit} for orbit in orbits)
    used, replaced = select_newest(refs(old | {"baseline": (2, 14)}, new | {"observed_at_utc": NOON + shift}))
    assert ([r.scene_id for r in used], [r.scene_id for r in replaced]) == (["s1"], ["s0"])


@pytest.mark.parametrize(("tile", "hour"), [("57XVA", 0), ("01KAB", 22), ("60HVD", 23), ("31UFU", 11), ("10SGF", 19)])
def test_midnight_utc_parts_no_acquisition(tile: str, hour: int) -> None:
    at = datetime(2025, 8, 21, hour, 0, 0, 5000, tzinfo=UTC)
    two = refs({"tile": tile, "observed_at_utc": at}, {"tile": tile, "observed_at_utc": at - timedelta(milliseconds=9)})
    assert len(select_newest(two)[0]) == 1


def test_without_an_orbit_the_two_passes_of_a_day_are_told_apart_by_their_time() -> None:
    later = NOON + timedelta(minutes=100)
    first, second = {"relative_orbit": 20}, {"relative_orbit": 34, "observed_at_utc": later}
    again = {"relative_orbit": None, "observed_at_utc": later + timedelta(seconds=5), "sequence": 1}
    used, replaced = select_newest(refs(first, second, again))
    assert ([r.scene_id for r in used], [r.scene_id for r in replaced]) == (["s0", "s2"], ["s1"])


def test_a_split_acquisition_keeps_both_parts() -> None:
    west, east = shapely.box(56.0, 24.0, 56.6, 25.0), shapely.box(56.5, 24.0, 57.0, 25.0)
    used, replaced = select_newest(refs({"footprint": west}, {"footprint": east, "sequence": 1}))
    assert (len(used), replaced) == (2, [])


def test_a_whole_adds_nothing_to_its_newer_parts() -> None:
    west, east = shapely.box(56.0, 24.0, 56.5, 25.0), shapely.box(56.5, 24.0, 57.0, 25.0)
    used, replaced = select_newest(refs({"sequence": 2, "footprint": west}, {"sequence": 1, "footprint": east}, {}))
    assert [r.scene_id for r in used] == ["s0", "s1"] and [r.scene_id for r in replaced] == ["s2"]


def test_a_footprint_that_crosses_itself_stops_nothing() -> None:
    bow_tie = {"type": "Polygon", "coordinates": [[[56, 24], [57, 25], [57, 24], [56, 25], [56, 24]]]}
    item = {**source_item({}), "geometry": bow_tie}
    used, replaced = select_newest([scene_ref({**item, "id": f"S2A_40RDN_20250821_{n}_L2A"}, "href") for n in (0, 1)])
    assert (len(used), len(replaced)) == (1, 1)


def test_a_footprint_of_the_whole_world_meets_everything_and_one_of_no_area_is_told_so() -> None:
    item = source_item({})
    world = scene_ref({**item, "geometry": shapely.geometry.mapping(shapely.box(-180, -90, 180, 90))}, "href")
    assert world.footprint.contains(TILE)
    flat = {"type": "Polygon", "coordinates": [[[57, 24], [57.5, 24], [57, 24], [57, 24]]]}
    with pytest.raises(InputError, match=f"{item['id']}: not readable .*a Polygon without an area"):
        scene_ref({**item, "geometry": flat}, "href")


CHANGES = st.fixed_dictionaries(
    {
        "tile": st.sampled_from(["40RDN", "40RCN"]),
        "platform": st.sampled_from(["sentinel-2a", "sentinel-2b"]),
        "baseline": st.sampled_from([None, (2, 14), (5, 9), (5, 11)]),
        "sequence": st.integers(0, 2),
        "updated": st.sampled_from(["", "2025-08-21", "2025-08-22"]),
        "footprint": st.sampled_from([TILE, shapely.box(56, 24, 56.5, 25), shapely.box(56.5, 24, 57, 25)]),
    }
)


@settings(max_examples=100, deadline=None)
@given(st.lists(CHANGES, max_size=6), st.randoms(use_true_random=False))
def test_nothing_is_lost_and_order_does_not_matter(changes: list[dict], random: object) -> None:
    given_refs = refs(*changes)
    used, replaced = select_newest(given_refs)
    assert sorted(r.scene_id for r in [*used, *replaced]) == [r.scene_id for r in given_refs]
    shuffled = list(given_refs)
    random.shuffle(shuffled)
    assert select_newest(shuffled) == (used, replaced)
    for key, group in itertools.groupby(sorted(given_refs, key=lambda r: str(r.acquisition)), lambda r: r.acquisition):
        mine = list(group)
        kept = [r for r in used if r.acquisition == key]
        assert max(mine, key=lambda r: r.newness) in kept
        lost = shapely.union_all([r.footprint for r in mine]).difference(shapely.union_all([r.footprint for r in kept]))
        assert lost.area <= 0.05 * TILE.area


def test_real_items_of_all_catalogues(real_data: Path) -> None:
    expected = {
        "sentinel2/S2A_29RKH_20200219_0_L2A/S2A_29RKH_20200219_0_L2A.json": ("29RKH", 37, "sentinel-2a", (2, 14), 0),
        "stac_items/earth-search.aws.element84.com_sentinel-2-l2a.json": ("20EPT", 95, "sentinel-2b", (5, 11), 0),
        "stac_items/earth-search.aws.element84.com_sentinel-2-c1-l2a.json": ("20EPT", 95, "sentinel-2b", (5, 11), 0),
        "stac_items/earth-search.aws.element84.com_sentinel-s2-l2a-cogs.json": ("20EPT", 95, "sentinel-2b", (5, 11), 0),
        "stac_items/S2A_31NBJ_20190524_0_L2A.json": ("31NBJ", 22, "sentinel-2a", (2, 12), 0),
    }
    for path, facts in expected.items():
        ref = scene_ref(json.loads((real_data / path).read_text()), "href")
        assert (ref.tile, ref.relative_orbit, ref.platform, ref.baseline, ref.sequence) == facts, path


def test_one_acquisition_in_two_collections_is_the_same(real_data: Path) -> None:
    names = ("sentinel-2-l2a", "sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs")
    items = [real_data / "stac_items" / f"earth-search.aws.element84.com_{name}.json" for name in names]
    assert len({scene_ref(json.loads(item.read_text()), "href").acquisition for item in items}) == 1


def test_what_is_missing_is_named() -> None:
    item = source_item({}, scene_id="S2A_40RDN_20250821_0_L2A")
    assert scene_ref(item, "href").tile == "40RDN"
    broken = [{**item, "geometry": None}, {**item, "geometry": {"type": "Polygon", "coordinates": [[0]]}}]
    for name, value in (
        ("eo:cloud_cover", "much"),
        ("s2:sequence", "first"),
        ("datetime", "today"),
        ("datetime", None),
    ):
        broken.append({**item, "properties": {**item["properties"], name: value}})
    for each in broken:
        with pytest.raises(InputError, match=r"S2A_40RDN_20250821_0_L2A: .*; allowed: "):
            scene_ref(each, "href")
    properties = {"datetime": "2025-08-21T00:00:00Z", "platform": "landsat-8"}
    for name in ("landsat", "S2A_like_it"):
        with pytest.raises(InputError, match=f"{name}: platform 'landsat-8'"):
            scene_ref(
                {"id": name, "geometry": shapely.geometry.mapping(TILE), "properties": properties}, "href", SENTINEL2
            )


TIMES = {
    "made later": ({"s2:generation_time": "2025-08-22T00:00:00Z"}, {"s2:generation_time": "2025-08-21T23:00:00Z"}),
    "made later, in another zone": (
        {"s2:generation_time": "2025-08-21T23:00:00Z"}, {"s2:generation_time": "2025-08-22T02:00:00+04:00"}),
    "made later, its item changed earlier": (
        {"s2:generation_time": "2025-08-22T00:00:00Z", "updated": "2025-08-22T01:00:00Z"},
        {"s2:generation_time": "2025-08-21T00:00:00Z", "updated": "2025-09-01T00:00:00Z"}),
    "changed later, in another zone": ({"updated": "2025-08-21T23:30:00Z"}, {"updated": "2025-08-22T02:00:00+04:00"}),
    "changed later, without fractions": ({"updated": "2025-08-21T12:00:01Z"}, {"updated": "2025-08-21T12:00:00.999Z"}),
    "processed later, of an item of CDSE": (
        {"processing:datetime": "2025-08-22T00:00:00Z"}, {"processing:datetime": "2025-08-21T00:00:00Z"}),
    "published later": ({"published": "2025-08-22T00:00:00Z"}, {"published": "2025-08-21T00:00:00Z"}),
    "a time against none": ({"updated": "2025-08-22T00:00:00Z"}, {"updated": "yesterday"}),
}  # fmt: skip


@pytest.mark.parametrize(("newer", "older"), TIMES.values(), ids=TIMES)
def test_products_are_told_apart_by_when_they_were_made_and_then_changed(newer: dict, older: dict) -> None:
    base = source_item({}, scene_id="S2A_40RDN_20250821_9_L2A")
    times = dict.fromkeys(("updated", "s2:generation_time"))
    items = [
        {**base, "id": f"S2A_40RDN_20250821_{number}_L2A", "properties": {**base["properties"], **times, **stated}}
        for number, stated in ((1, newer), (2, older))  # by the id alone the other one would be used
    ]
    used, _ = select_newest([scene_ref(item, "href") for item in items])
    assert [ref.scene_id for ref in used] == ["S2A_40RDN_20250821_1_L2A"]


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", ".hidden", "a\\b", "\ud800", "a\0b", "a\nb"])
def test_an_id_that_no_file_can_be_called_is_refused(name: str, tmp_path: Path) -> None:
    item = {**source_item({}), "id": name}
    with pytest.raises(InputError, match="an id that files can be named by"):
        scene_ref(item, "href")
    (tmp_path / "item.json").write_text(json.dumps(item))
    with pytest.raises(InputError, match=r"item\.json: id .*; allowed: an id that files can be named by"):
        read_item(str(tmp_path / "item.json"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eo:cloud_cover", -1), ("eo:cloud_cover", 101), ("eo:cloud_cover", float("nan")), ("eo:cloud_cover", [3]),
        ("sat:relative_orbit", 0), ("sat:relative_orbit", 144), ("sat:relative_orbit", float("inf")),
        ("sat:relative_orbit", 10**30), ("s2:sequence", [1]),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused_by_the_item_s_name(name: str, value: object) -> None:
    item = source_item({}, **{name: value})
    with pytest.raises(InputError, match=r"S2A_40RDN_20250821_0_L2A: .*; allowed: "):
        scene_ref(item, "href")
