"""What a map says of who looked: the outcome of each area or orbit, and never "searched" where nobody did."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from browser import content_of, run_page
from map_rows import DAY, NASTY, observation
from plumewatch import storage
from plumewatch.gases import CH4, CO2
from plumewatch.maps.map_file import write_map
from plumewatch.models import Area
from plumewatch.tables import OBSERVATIONS

MAPLIBRE = Path(__file__).with_name("maplibre_stand_in.js").read_text(encoding="utf-8")
MONTH = "2016-08"
WHY = "why is in the table failed_scenes and in the log of the run's last task, report_failures"
SEEN = {"clear_fraction": 0.779, "covered_fraction": 0.9856, "detection_limit": 2066.4, "wind_speed_m_s": 3.5}


def area(name: str, west: float = 55.9) -> Area:
    return Area(name, shapely.box(west, 21.9, west + 0.2, 22.1))


def page(root: str, rows: list[dict], areas: tuple[Area, ...] = (), gas: Any = CH4, key: str = DAY) -> str:
    keys = {"gas": gas.name, "key": key}
    storage.write_partition(OBSERVATIONS, storage.join(root, "observations"), keys, OBSERVATIONS.from_pylist(rows))
    return storage.read_bytes(write_map(gas, key, root, areas)).decode()


def shown(root: str, rows: list[dict], *names: str) -> dict[str, Any]:
    """What the map of the rows shows, for areas of these names, of all that the rows name where none is given."""
    areas = names or sorted({row["area"] for row in rows})
    return content_of(page(root, rows, tuple(area(name) for name in areas)))


@pytest.mark.parametrize(
    ("row", "outcome", "lines"),
    [
        (
            observation("oman", "searched", "S2A_X", **SEEN),
            "searched",
            ["S2A_X", "78 % of what was seen is clear, 99 % of the area was seen, detection limit 2,100 kg/h"],
        ),
        (
            observation("oman", "searched", **SEEN | {"detection_limit": None, "wind_speed_m_s": None}),
            "searched",
            ["78 % of what was seen is clear, 99 % of the area was seen, no detection limit (no wind)"],
        ),
        (
            observation("oman", "searched", detection_limit=874.4, clear_fraction=0.998),
            "searched",
            ["above 99 % of what was seen is clear, detection limit 870 kg/h"],
        ),
        (
            observation("oman", "skipped_cloud", "S2A_X", clear_fraction=0.0, stage="search"),
            "too cloudy",
            ["S2A_X", "0 % of the scene is clear by the catalogue"],
        ),
        (
            observation("oman", "skipped_cloud", clear_fraction=0.03, covered_fraction=0.001),
            "too cloudy",
            ["3 % of what was seen is clear, below 1 % of the area was seen"],
        ),
        (
            observation("oman", "skipped_duplicate", stage="search"),
            "another product of the same acquisition was used",
            [],
        ),
        (observation("oman", "no_input", stage="search"), "no scene", []),
        (observation("oman", "no_input", covered_fraction=0.0), "no pixels", ["0 % of the area was seen"]),
        (observation("oman", "failed", "S2A_X", stage="fetch"), "failed", ["S2A_X", WHY]),
        (observation("oman", "no_reference"), "no earlier clear date to compare with", []),
        (observation("oman", "waiting_for_quota", stage="search"), "waiting for quota", []),
        (observation("oman", "eaten_by_goats"), "eaten by goats", []),
        (
            observation("oman", "searched", clear_fraction=float("nan"), detection_limit=float("inf")),
            "searched",
            ["no detection limit (no wind)"],
        ),
    ],
)
def test_each_outcome_has_its_words(storage_root: str, row: dict, outcome: str, lines: list[str]) -> None:
    content = shown(storage_root, [row])
    is_searched = outcome == "searched"
    assert content["looked_at"] == [{"name": "oman", "is_searched": is_searched, "outcome": outcome, "lines": lines}]
    assert [f["properties"] for f in content["areas"]["features"]] == [{"name": "oman", "is_searched": is_searched}]
    known = re.findall(r"detection (limit [\d,]+ kg/h)", "".join(lines))
    assert content["area_boxes"][0]["label"] == ", ".join([f"oman: {outcome}", *known])
    expected = "No plumes accepted in 1 area searched." if is_searched else f"Nothing was searched: {outcome} (1 area)."
    assert content["summary"] == expected


def test_an_area_of_which_nothing_is_on_record_was_not_looked_at(storage_root: str) -> None:
    content = shown(storage_root, [observation("oman", "searched")], "oman", "permian")
    assert [(a["name"], a["outcome"]) for a in content["looked_at"]] == [
        ("oman", "searched"),
        ("permian", "not looked at"),
    ]
    assert content["summary"] == "No plumes accepted in 1 area searched. Not searched: not looked at (1 area)."


def test_an_area_whose_file_is_gone_is_still_listed(storage_root: str) -> None:
    content = shown(storage_root, [observation("gone", "failed", stage="fetch")], "oman")
    assert [(a["name"], a["outcome"]) for a in content["looked_at"]] == [("gone", "failed"), ("oman", "not looked at")]
    assert [box["name"] for box in content["area_boxes"]] == ["oman"]


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        (["skipped_cloud", "searched", "failed"], "searched"),
        (["no_input", "searched"], "searched"),
        (["skipped_duplicate", "skipped_cloud", "failed"], "failed"),
        (["no_reference", "waiting_for_quota"], "waiting for quota"),
        (["skipped_cloud", "no_reference"], "no earlier clear date to compare with"),
        (["skipped_duplicate", "skipped_cloud"], "too cloudy"),
        (["no_input", "skipped_duplicate"], "another product of the same acquisition was used"),
        (["no_input", "eaten_by_goats"], "eaten by goats"),
    ],
)
@pytest.mark.parametrize("step", [1, -1])
def test_of_several_rows_the_first_by_the_rule_is_told_whatever_their_order(
    storage_root: str, outcomes: list[str], told: str, step: int
) -> None:
    content = shown(storage_root, [observation("oman", outcome, f"S{n}") for n, outcome in enumerate(outcomes)][::step])
    [only] = content["looked_at"]
    assert only["outcome"] == told and only["is_searched"] == (told == "searched")


def test_the_other_rows_of_an_area_are_told_beside_it(storage_root: str) -> None:
    early, late = (datetime(2025, 8, 31, hour, 46, tzinfo=UTC) for hour in (6, 7))
    rows = [
        observation("oman", "failed", "S2B_Z", stage="fetch"),
        observation("oman", "searched", "S2B_Y", observed_at_utc=late, clear_fraction=0.5, detection_limit=1500.0),
        observation("oman", "searched", "S2A_X", observed_at_utc=early, clear_fraction=1.0, detection_limit=25_300.0),
        observation("oman", "no_input", stage="search"),
    ]
    [only] = shown(storage_root, rows)["looked_at"]
    assert only["lines"] == [
        "S2A_X, 2025-08-31 06:46 UTC",
        "100 % of what was seen is clear, detection limit 25,000 kg/h",
        "S2B_Y, 2025-08-31 07:46 UTC",
        "50 % of what was seen is clear, detection limit 1,500 kg/h",
        "S2B_Z",
        f"failed: {WHY}",
        "no scene",
    ]


def test_a_day_on_which_nobody_could_look_says_why(storage_root: str) -> None:
    rows = [
        observation("a", "no_input", stage="search"),
        observation("b", "no_input", stage="search"),
        observation("c", "failed", stage="fetch"),
        observation("d", "skipped_cloud", stage="search"),
    ]
    content = shown(storage_root, rows)
    assert content["summary"] == "Nothing was searched: failed (1 area), too cloudy (1 area), no scene (2 areas)."
    assert content_of(page(storage_root, []))["summary"] == "Nothing was searched: there is no area."


def test_plumes_are_told_with_the_areas_that_were_searched(plumes_stored: str) -> None:
    content = shown(plumes_stored, [observation("oman", "searched"), observation("permian", "searched")], "oman")
    assert content["summary"] == "3 plumes accepted in 2 areas searched, the largest 5.2 t/h."


def orbit(number: int, outcome: str = "searched", **more: Any) -> dict:
    return observation(None, outcome, orbit=number, **more)


@pytest.mark.parametrize(
    ("rows", "summary", "told"),
    [
        (
            [
                orbit(11522, clear_fraction=0.964, detection_limit=3.44),
                orbit(11523, clear_fraction=1.0, detection_limit=16.02),
                orbit(11524, detection_limit=None),
                orbit(11525, "no_input", clear_fraction=0.0),
            ],
            "No peaks accepted in 3 orbits searched. Not searched: too few soundings (1 orbit).",
            [
                (
                    "3 orbits",
                    "searched",
                    ["96 % to 100 % of their tracks was searched", "detection limit 3.4 kt/h to 16 kt/h"],
                ),
                ("1 orbit", "too few soundings", []),
            ],
        ),
        (
            [orbit(11522, clear_fraction=0.5, detection_limit=4.0)],
            "No peaks accepted in 1 orbit searched.",
            [("1 orbit", "searched", ["50 % of their tracks was searched", "detection limit 4.0 kt/h"])],
        ),
        (
            [orbit(0, "no_input", stage="search")],
            "Nothing was searched: no granules.",
            [("the month", "no granules", [])],
        ),
        (
            [orbit(0, "no_input", stage="search", missing_setting="EARTHDATA_TOKEN")],
            "Nothing was searched: not asked: no EARTHDATA_TOKEN.",
            [("the month", "not asked: no EARTHDATA_TOKEN", [])],
        ),
        (
            [orbit(0, "failed", stage="search")],
            "Nothing was searched: failed.",
            [("the month", "failed", [WHY])],
        ),
        (
            [orbit(11522, clear_fraction=1.0), *(orbit(0, "failed", scene_id=name, stage="fetch") for name in "ggh")],
            "No peaks accepted in 1 orbit searched. Not searched: failed (2 granules).",
            [
                ("1 orbit", "searched", ["100 % of their tracks was searched", "no detection limit (no wind)"]),
                ("2 granules", "failed", [WHY]),
            ],
        ),
        ([], "Nothing was searched: not looked at.", [("the month", "not looked at", [])]),
        (
            [orbit(11522, "no_input"), orbit(11522, clear_fraction=0.7, detection_limit=4.0)],
            "No peaks accepted in 1 orbit searched.",
            [("1 orbit", "searched", ["70 % of their tracks was searched", "detection limit 4.0 kt/h"])],
        ),
    ],
)  # fmt: skip
def test_a_month_of_orbits(storage_root: str, rows: list[dict], summary: str, told: list[tuple]) -> None:
    content = content_of(page(storage_root, rows, gas=CO2, key=MONTH))
    assert content["summary"] == summary
    assert [(a["name"], a["outcome"], a["lines"]) for a in content["looked_at"]] == told


def test_another_gas_and_key_say_nothing_of_this_one(storage_root: str) -> None:
    page(storage_root, [observation("oman", "searched")], key="2025-08-30")
    page(storage_root, [orbit(11522)], gas=CO2)
    content = content_of(storage.read_bytes(write_map(CH4, DAY, storage_root, [area("oman")])).decode())
    assert [a["outcome"] for a in content["looked_at"]] == ["not looked at"]


MIXED = [
    observation("oman", "searched", "S2A_X", **SEEN),
    observation(NASTY, "failed", NASTY, stage="fetch"),
]


def test_areas_that_were_not_searched_are_drawn_and_named_otherwise(storage_root: str) -> None:
    seen = run_page(
        page(storage_root, MIXED, (area("oman"), area(NASTY, 56.9))),
        """
        const style = theMap.options.style, layer = (id) => style.layers.find((one) => one.id === id);
        const tags = theMap.markers.filter((one) => one.element.className.includes("area-name"));
        const result = { tags: tags.map((one) => [one.element.textContent, one.element.className]) };
        const drawn = ({ filter, paint }) => [filter, paint["line-dasharray"] ?? null];
        result.layers = ["areas", "areas-not-searched"].map((id) => drawn(layer(id)));
        result.legend = texts("#legend-body label");
        result.icons = all("#legend-body .line").map((icon) => icon.className);
        const hidden = () => tags.map((one) => one.element.style.visibility);
        for (const box of all("#legend-body input")) {
          box.checked = false;
          fire(box, "change");
          result[box.parentNode.textContent] = hidden();
        }
        result.off = Object.keys(theMap.layout).filter((id) => theMap.layout[id].visibility === "none");
        return result;
    """,
        maplibre=MAPLIBRE,
    )
    assert seen["tags"] == [
        [f"{NASTY}: failed", "place-name area-name not-searched"],
        ["oman: searched, limit 2,100 kg/h", "place-name area-name"],
    ]
    (is_searched, solid), (is_not, dashes) = seen["layers"]
    assert is_searched == ["get", "is_searched"] and is_not == ["!", ["get", "is_searched"]]
    assert solid is None and dashes
    assert seen["legend"] == ["areas that were searched", "areas that were not searched"]
    assert seen["icons"] == ["line", "line dashed"]
    assert seen["areas that were searched"] == [None, "hidden"]
    assert seen["areas that were not searched"] == ["hidden", "hidden"]
    assert {"areas", "areas-not-searched"} <= set(seen["off"])


LOOKED_AT = """
    const said = (entry) => [entry.localName, ...entry.children.map((part) => part.textContent)];
    const looked = () => all("#looked-at .entry").map(said);
"""


@pytest.mark.parametrize("maplibre", [MAPLIBRE, ""])
def test_the_list_says_of_each_area_what_came_of_it(storage_root: str, maplibre: str) -> None:
    html = page(storage_root, MIXED, (area("oman"),))
    seen = run_page(html, f"{LOOKED_AT} return [looked(), texts('#looked-head'), texts('#list')];", maplibre=maplibre)
    there = "button" if maplibre else "div"
    searched = "78 % of what was seen is clear, 99 % of the area was seen, detection limit 2,100 kg/h"
    assert seen[0] == [
        ["div", NASTY, "failed", NASTY, WHY],
        [there, "oman", "searched", "S2A_X", searched],
    ]
    assert seen[1] == ["What was looked at"]
    assert seen[2] == ["No plumes accepted in 1 area searched. Not searched: failed (1 area)."]


def test_an_area_in_the_list_is_gone_to(storage_root: str) -> None:
    html = page(storage_root, MIXED, (area("oman"),))
    moves = run_page(html, "click(all('#looked-at button')[0]); return theMap.moves;", maplibre=MAPLIBRE)
    assert moves == [[[55.9, 21.9], [56.1, 22.1]]]
