"""The page of a scene: every unusual pixel is on it, every method is in its table, and nothing of it can act."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote

import numpy as np
import pytest
import shapely
from browser import Elements, content_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plumewatch import storage
from plumewatch.gases import CH4
from plumewatch.maps.map_file import write_map
from plumewatch.methane.details.scene_content import MAX_CANDIDATES, METHODS, MethodRows, scene_content
from plumewatch.methane.details.scene_pages import render_scene, scene_page_path, write_scene_pages
from plumewatch.tables import ANOMALIES, PLUMES

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"' \u2028 @script@ 漢 ../x"
DAY, AREA = "2025-08-31", "oil field"


def anomalies(scene_id: str, n: int = 40, west: float = 56.0) -> list[dict]:
    rng = np.random.default_rng(5)
    row, col = rng.integers(0, 300, n), rng.integers(0, 300, n)
    return [
        {
            "scene_id": scene_id, "row": int(r), "col": int(c), "longitude": (west + 2e-4 * c + 180) % 360 - 180,
            "latitude": 22.0 - 1.8e-4 * r, "score": float(s), "cluster": int(k),
        }
        for r, c, s, k in zip(row, col, rng.uniform(0.5, 0.9, n), rng.integers(-1, 4, n), strict=True)
    ]  # fmt: skip


def plume(plume_id: str, scene_id: str, status: str = "accepted", **more: object) -> dict:
    lon, lat = 56.01, 21.99
    row = dict.fromkeys(PLUMES.schema.names) | {
        "plume_id": plume_id, "scene_id": scene_id, "observed_at_utc": datetime(2025, 8, 31, 7, 12, tzinfo=UTC),
        "reference_scene_ids": [], "longitude": lon, "latitude": lat, "area_m2": 250_000.0, "n_pixels": 625,
        "ime_kg": 1234.0, "status": status, "probability": 0.97, "emission_kg_h": 5200.0, "emission_kg_h_low": 3100.0,
        "emission_kg_h_high": 7800.0, "emission_status": "ok", "geometry": shapely.Point(lon, lat).buffer(0.004).wkb,
    }  # fmt: skip
    return row | more


def store(root: str, method: str, rows: list[dict], observations: list[dict] | None = None) -> None:
    keys = {"method": method, "area": AREA, "date": DAY}
    extra = {"observations": observations or []}
    storage.write_partition(PLUMES, storage.join(root, "plumes"), keys, PLUMES.from_pylist(rows), extra=extra)


def store_anomalies(root: str, rows: list[dict]) -> None:
    keys = {"area": AREA, "date": DAY}
    storage.write_partition(ANOMALIES, storage.join(root, "anomalies"), keys, ANOMALIES.from_pylist(rows))


def pages_of(root: str) -> list[str]:
    roots = (storage.join(root, name) for name in ("plume_details", "plumes", "anomalies"))
    return write_scene_pages(*roots, AREA, DAY)


def content_at(path: str) -> dict:
    return content_of(storage.read_bytes(path).decode())


@pytest.fixture
def stored(storage_root: str) -> str:
    """A date searched by two methods: one scene with anomalies and plumes, another with anomalies alone."""
    store_anomalies(storage_root, [*anomalies("S2A_X"), *anomalies("S2A_Y", 3)])
    searched = [{"scene_id": "S2A_X", "outcome": "searched"}]
    store(storage_root, "isolation_forest", [plume("c1", "S2A_X", "unrated", probability=None)], searched)
    rows = [
        plume("p1", "S2A_X"),
        plume("p2", "S2A_X", "too_small", probability=0.99),
        plume("p3", "S2A_X", "surface_change", probability=0.2),
        plume("p4", "S2A_X", "surface_change", probability=None, geometry=None),
    ]
    store(storage_root, "multi_pass", rows, searched)
    folder = storage.join(storage_root, "plume_details", "method=multi_pass", f"area={AREA}", f"date={DAY}")
    for name in ("p1.png", "p1.json", "p2.json"):
        storage.write_bytes(storage.join(folder, name), b"x")
    return storage_root


def test_every_anomaly_is_on_the_page_in_its_place(stored: str) -> None:
    first, second = pages_of(stored)
    assert first == storage.join(
        stored, "plume_details/method=isolation_forest", f"area={AREA}", f"date={DAY}", "S2A_X.html"
    )
    content, rows = content_at(first), anomalies("S2A_X")
    rows.sort(key=lambda r: (r["row"], r["col"]))
    points, (west, south) = content["points"], content["origin"]
    assert len(points["x"]) == len(rows) == 40 and len(content_at(second)["points"]["x"]) == 3
    np.testing.assert_allclose(
        west + np.array(points["x"]) / content["units"], [r["longitude"] for r in rows], atol=1e-6
    )
    np.testing.assert_allclose(
        south + np.array(points["y"]) / content["units"], [r["latitude"] for r in rows], atol=1e-6
    )
    np.testing.assert_allclose(
        np.array(points["score"]) / content["score_units"], [r["score"] for r in rows], atol=1e-4
    )
    assert points["cluster"] == [r["cluster"] for r in rows]
    noise = sum(r["cluster"] == -1 for r in rows)
    assert (content["n_noise"], content["n_clusters"]) == (noise, 4)
    assert f"40 unusual pixels, {noise} of them alone" in content["summary"]
    assert content["cell_deg"] == pytest.approx(1.8e-4)


def test_the_table_says_what_each_method_says(stored: str) -> None:
    content = content_at(pages_of(stored)[0])
    by_name = {m["method"]: m for m in content["methods"]}
    assert list(by_name) == list(METHODS)
    multi = by_name["multi_pass"]
    assert (multi["n_candidates"], multi["n_accepted"], multi["best"]) == ("4", "1", "0.99")
    assert (multi["rate"], multi["interval"]) == ("5.2 t/h", "3.1 t/h to 7.8 t/h (68 %)")
    assert (multi["refused"], multi["state"]) == ("2 surface change, 1 too small", "searched")
    assert [c["id"] for c in multi["candidates"]] == ["p1", "p2", "p3", "p4"]
    first = multi["candidates"][0]
    assert first["place"] == "56.0100°E 21.9900°N" and first["is_accepted"] and len(first["outline"][0]) > 20
    assert unquote(first["picture"]) == f"../../../method=multi_pass/area={AREA}/date={DAY}/p1.png"
    assert multi["candidates"][1]["picture"] is None and multi["candidates"][1]["details"].endswith("/p2.json")
    assert multi["candidates"][3]["outline"] == [] and multi["candidates"][3]["details"] is None
    forest = by_name["isolation_forest"]
    assert (forest["n_candidates"], forest["n_accepted"], forest["best"]) == ("1", "not rated", "not rated")
    assert by_name["single_pass"]["state"] == "not run" and by_name["single_pass"]["n_candidates"] == ""
    other = {m["method"]: m for m in content_at(pages_of(stored)[1])["methods"]}
    assert (other["multi_pass"]["n_candidates"], other["multi_pass"]["rate"]) == ("0", "")


def test_on_s3_the_page_is_the_same(stored: str, s3_root: str) -> None:
    for path in storage.list_files(stored):
        storage.write_bytes(storage.join(s3_root, path.removeprefix(stored)), storage.read_bytes(path))
    local, remote = pages_of(stored), pages_of(s3_root)
    assert [storage.read_bytes(path) for path in local] == [storage.read_bytes(path) for path in remote]
    assert [path.removeprefix(s3_root) for path in remote] == [path.removeprefix(stored) for path in local]


def test_links_lead_to_files_that_are_there(stored: str) -> None:
    page = pages_of(stored)[0]
    for method in content_at(page)["methods"]:
        for candidate in method["candidates"]:
            for link in (candidate["picture"], candidate["details"]):
                if link:
                    folders = page.split("/")[:-4]
                    assert link.startswith("../../../")
                    assert storage.exists("/".join([*folders, unquote(link.removeprefix("../../../"))]))


def test_a_later_run_of_another_method_renews_the_page(stored: str) -> None:
    before = content_at(pages_of(stored)[0])
    store(stored, "single_pass", [], [{"scene_id": "S2A_X", "outcome": "skipped_cloud"}])
    after = content_at(pages_of(stored)[0])
    states = [[m["state"] for m in content["methods"]] for content in (before, after)]
    assert states == [["searched", "not run", "searched"], ["searched", "too cloudy", "searched"]]
    store(stored, "multi_pass", [], [{"scene_id": "S2A_X", "outcome": "no_reference"}])
    assert content_at(pages_of(stored)[0])["methods"][0]["state"] == "no earlier clear date to compare with"


SEEN = {"clear_fraction": 0.779, "covered_fraction": 1.0, "detection_limit": 2066.4, "wind_speed_m_s": 3.5}
TOLD = "78 % of what was seen is clear, 100 % of the area was seen, detection limit 2,100 kg/h"


@pytest.mark.parametrize(
    ("observations", "state", "sight"),
    [
        ([{"scene_id": "S2A_X", "outcome": "searched"} | SEEN], "searched", f"searched, {TOLD}"),
        ([{"scene_id": "first of the pass", "outcome": "searched"} | SEEN], "searched", f"searched, {TOLD}"),
        (
            [{"scene_id": "S2A_X", "outcome": "skipped_cloud", "clear_fraction": 0.04, "covered_fraction": 0.5}],
            "too cloudy",
            "too cloudy, 4 % of what was seen is clear, 50 % of the area was seen",
        ),
        (
            [{"scene_id": "S2A_X", "outcome": "failed"}],
            "failed",
            "failed, why is in the table failed_scenes and in the log of the run's last task, report_failures",
        ),
        (
            [{"scene_id": "S2B_Z", "outcome": "searched"} | SEEN, {"scene_id": "S2C_Z", "outcome": "no_reference"}],
            "searched or no earlier clear date to compare with",
            "searched or no earlier clear date to compare with",
        ),
        (
            [{"scene_id": "S2B_Z", "outcome": "searched"} | SEEN, {"scene_id": "S2C_Z", "outcome": "searched"}],
            "searched",
            "searched",
        ),
        (
            [{"scene_id": "S2A_X", "outcome": "no_reference"}, {"scene_id": "S2C_Z", "outcome": "searched"} | SEEN],
            "no earlier clear date to compare with",
            "no earlier clear date to compare with",
        ),
        ([], "outcome not recorded", "outcome not recorded"),
    ],
)
def test_what_came_of_each_method_is_what_its_observations_say(
    stored: str, observations: list[dict], state: str, sight: str
) -> None:
    store(stored, "multi_pass", [], observations)
    multi = content_at(pages_of(stored)[0])["methods"][0]
    assert (multi["state"], multi["sight"]) == (state, sight)
    is_searched = state == "searched"
    assert multi["name"] == "against earlier dates" + ("" if is_searched else f": {state}")


def test_nothing_is_done_without_anomalies_and_pages_of_others_go(stored: str) -> None:
    pages_of(stored)
    store_anomalies(stored, anomalies("S2A_Y", 3))
    (only,) = pages_of(stored)
    assert only.endswith("S2A_Y.html")
    assert [p.rsplit("/", 1)[-1] for p in storage.list_files(storage.parent(only), ".html")] == ["S2A_Y.html"]
    store_anomalies(stored, [])
    assert pages_of(stored) == [] and storage.list_files(storage.join(stored, "plume_details"), ".html") == []


def test_a_date_never_searched_by_it_has_no_page(storage_root: str) -> None:
    store(storage_root, "multi_pass", [plume("p1", "S2A_X")])
    assert pages_of(storage_root) == [] and not storage.exists(storage.join(storage_root, "plume_details"))


def test_the_same_rows_give_the_same_bytes_and_hold_at_most_so_many_candidates(stored: str) -> None:
    store(stored, "multi_pass", [plume(f"{n:016x}", "S2A_X", "too_small", probability=n / 999) for n in range(130)])
    first = storage.read_bytes(pages_of(stored)[0])
    assert storage.read_bytes(pages_of(stored)[0]) == first
    multi = content_of(first.decode())["methods"][0]
    assert len(multi["candidates"]) == MAX_CANDIDATES and multi["more"] == "and 30 weaker ones"
    assert multi["candidates"][0]["id"] == f"{129:016x}" and multi["n_candidates"] == "130"


def test_over_the_antimeridian_points_stay_together() -> None:
    content = scene_content(
        "a", DAY, "s", ANOMALIES.from_pylist(anomalies("s", west=179.97)), [MethodRows(m, None) for m in METHODS]
    )
    xs = np.array(content["points"]["x"]) / content["units"]
    assert xs.min() == 0 and xs.max() < 0.07 and 179.9 < content["origin"][0] < 180


def test_a_single_point_has_a_page() -> None:
    content = scene_content("a", DAY, "s", ANOMALIES.from_pylist(anomalies("s", 1)), [])
    assert content["points"]["x"] == [0] and content["cell_deg"] == pytest.approx(1.8e-4, rel=0.01)


def test_names_of_strangers_stay_text_and_files_stay_in_their_folder(storage_root: str) -> None:
    store_anomalies(storage_root, anomalies(NASTY))
    store(storage_root, "multi_pass", [plume(NASTY, NASTY, NASTY)])
    (path,) = pages_of(storage_root)
    assert storage.parent(path) == storage.parent(
        scene_page_path(storage.join(storage_root, "plume_details"), AREA, DAY, "x")
    )
    page = storage.read_bytes(path).decode()
    elements = Elements(page)
    assert [attrs.get("id") for attrs, _ in elements.scripts] == ["content", None]
    assert not [tag for tag, attrs in elements.tags if any(name.startswith("on") for name in attrs)]
    assert not [tag for tag, _ in elements.tags if tag in ("img", "iframe", "link", "object", "base")]
    content = content_of(page)
    assert content["scene_id"] == NASTY and content["methods"][0]["candidates"][0]["id"] == NASTY


@settings(max_examples=40, deadline=None)
@example(NASTY)
@given(st.text())
def test_any_name_leaves_the_page_whole(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    rows = ANOMALIES.from_pylist(anomalies(text, 2))
    plumes = PLUMES.from_pylist([plume(text, text, text)])
    content = scene_content(text, text, text, rows, [MethodRows("multi_pass", plumes)])
    elements = Elements(render_scene(content))
    assert len(elements.scripts) == 2 and sum(tag == "h1" for tag, _ in elements.tags) == 1
    assert content_of(render_scene(content)) == json.loads(json.dumps(content))
    assert re.fullmatch(r"\.\./\.\./\.\./method=multi_pass/area=[^/]*/date=[^/]*",
                        "/".join(_link(content).split("/")[:-1]))  # fmt: skip


def _link(content: dict) -> str:
    """Where a picture of the first candidate would be, were there one."""
    rows = PLUMES.from_pylist([plume("id", content["scene_id"])])
    with_file = MethodRows("multi_pass", rows, files=["id.png"])
    again = scene_content(
        content["area"], content["date"], content["scene_id"],
        ANOMALIES.from_pylist(anomalies(content["scene_id"], 2)), [with_file],
    )  # fmt: skip
    return again["methods"][0]["candidates"][0]["picture"]


def test_only_the_page_s_own_program_may_run_and_nothing_may_be_loaded(stored: str) -> None:
    page = storage.read_bytes(pages_of(stored)[0]).decode()
    elements = Elements(page)
    policy = next(a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    program = next(text for attrs, text in elements.scripts if not attrs)
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert not [attrs for _, attrs in elements.tags if {"src", "href", "srcset", "action"} & attrs.keys()]
    assert not re.findall(r"https?:|//[a-z]", page.replace("/* ", ""))


def test_the_map_links_to_the_page_of_the_scene(stored: str) -> None:
    def links() -> dict:
        return content_at(write_map(CH4, DAY, stored))["scene_pages"]

    assert links() == {}
    pages_of(stored)
    assert {i: unquote(href) for i, href in links().items()} == {
        "p1": f"../../plume_details/method=isolation_forest/area={AREA}/date={DAY}/S2A_X.html"
    }
